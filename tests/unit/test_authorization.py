"""The authorization request leaves no secret at rest, and sends its user back to no stranger."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.vault.base.fields import Mismatch, matches
from functions.vault.oauth import authorization
from functions.vault.oauth.authorization import BrowserBinding, Phase, Ticket, with_query
from tests.unit.samples import BROWSER, NOW, authorization_request, validated_response

VECTOR = BrowserBinding("AAECAwQFBgcICQoLDA0ODw", "T" * 43, "N" * 43)


def b64url(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def s256(code_verifier: str) -> str:
    """Return the challenge as an authorization server computes it (RFC 7636 section 4.6)."""
    return b64url(sha256(code_verifier.encode("ascii")).digest())


# What is derived


def test_state_and_verifier_never_change() -> None:
    """A deployment in the middle of somebody's consent must not change what both sides derive."""
    assert VECTOR.state == "AAECAwQFBgcICQoLDA0ODw.flPoZ3iu3xGxeeD-DcBihs-n9qEZVSOSEfrq8ylpQWc"
    assert VECTOR.code_verifier == "YHtNgd2ERn31w8PmyOO_3qv-onUAwmxeCX8tZphiS-c"
    assert VECTOR.result == "AAECAwQFBgcICQoLDA0ODw.mZIIbr0W1DW04g777-DgmfZi4GMlKmTHMq4pVYMbH-8"
    assert VECTOR.confirmation == "ktUyu5Y8SelzMcLs4bTGusptlM71dBy4FG8FfHVfmUs"
    assert VECTOR.openid_nonce == "70Gx0L-Etb-tejG6e_1R4C0YtWZ5e6_T-nGuvS0QLxI"
    assert VECTOR.code_challenge == "rQYsC5xhcOHxaeXpcfm_o3UKeACDPVL6DOKXL0k9ScE"


def test_the_derivation_is_that_of_the_rfcs() -> None:
    """Our six lines agree with the library's HKDF (RFC 5869) and HMAC over it."""
    secrets = f"{VECTOR.ticket_secret}.{VECTOR.nonce}".encode()
    hkdf = HKDF(SHA256(), 32, salt=VECTOR.request_id.encode(), info=b"gatehouse authorization request")
    key = hkdf.derive(secrets)

    assert VECTOR.state == f"{VECTOR.request_id}.{b64url(hmac.digest(key, b'state', 'sha256'))}"
    assert VECTOR.code_verifier == b64url(hmac.digest(key, b"code_verifier", "sha256"))
    assert VECTOR.openid_nonce == b64url(hmac.digest(key, b"nonce", "sha256"))
    assert VECTOR.result == f"{VECTOR.request_id}.{b64url(hmac.digest(key, b'result', 'sha256'))}"
    assert VECTOR.confirmation == b64url(hmac.digest(key, b"confirmation", "sha256"))


def test_the_challenge_is_s256_of_the_verifier() -> None:
    """Checked as a server would, whose computation follows RFC 7636 appendix B."""
    appendix_b = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert appendix_b == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert s256(VECTOR.code_verifier) == VECTOR.code_challenge
    assert 43 <= len(VECTOR.code_verifier) <= 128


def test_every_part_of_the_binding_changes_what_is_derived() -> None:
    """Another request, link or browser has another state, verifier and challenge."""
    others = [
        VECTOR,
        BrowserBinding("BAECAwQFBgcICQoLDA0ODw", VECTOR.ticket_secret, VECTOR.nonce),
        BrowserBinding(VECTOR.request_id, "U" + VECTOR.ticket_secret[1:], VECTOR.nonce),
        BrowserBinding(VECTOR.request_id, VECTOR.ticket_secret, "O" + VECTOR.nonce[1:]),
    ]

    assert len({other.state.partition(".")[2] for other in others}) == 4
    assert len({other.code_verifier for other in others}) == 4


def test_whatever_is_derived_is_256_bits_long() -> None:
    """In 43 characters, whichever they end with: a reader of the address compares them whole."""
    nonces = (f"{number:043}" for number in range(300))

    derived = [BrowserBinding(VECTOR.request_id, VECTOR.ticket_secret, nonce).code_verifier for nonce in nonces]

    assert {len(each) for each in derived} == {43}


def test_new_ids_and_secrets_have_as_many_bits_as_they_claim() -> None:
    """128 bits for a request's id, 256 for each secret, in the form that is parsed."""
    request_id, secret = authorization.new_request_id(), authorization.new_secret()

    ticket = Ticket.parse(f"{request_id}.{secret}")

    assert ticket == Ticket(request_id, secret)
    assert str(ticket) == f"{request_id}.{secret}", "the end of the link that `start` returns"
    assert (len(request_id), len(secret)) == (22, 43)
    assert len({authorization.new_secret() for _ in range(100)}) == 100


def test_nothing_secret_shows_in_a_representation() -> None:
    """An exception may contain tickets, bindings, requests and responses without revealing anything."""
    response = validated_response(code="CODE-secret")
    ticket = Ticket(VECTOR.request_id, "T" * 43)

    shown = f"{ticket!r} {VECTOR!r} {authorization_request()!r} {response!r}"

    for secret in ("T" * 43, "N" * 43, "t" * 43, "n" * 43, "CODE-secret", authorization_request().ticket_hash):
        assert secret not in shown


# The stored request


def test_a_stored_request_cannot_be_completed_by_its_reader() -> None:
    """It has the hash of the ticket secret, which admits the secret and does not contain it."""
    request = authorization_request()

    assert request.admits(BROWSER.ticket_secret)
    assert not request.admits(request.ticket_hash)
    assert not request.admits("T" * 43)
    assert BROWSER.ticket_secret not in str(request.ticket_hash)


@pytest.mark.parametrize(("age", "expired"), [(0, False), (599.9, False), (600, True), (601, True)])
def test_a_link_ends_on_the_second(age: float, *, expired: bool) -> None:
    """A link can be opened for ten minutes, and by a browser that has opened it while answers are accepted."""
    request = authorization_request()

    assert request.link_has_expired(NOW + age, was_opened_here=False) is expired
    assert not request.link_has_expired(NOW + age, was_opened_here=True)


def test_requests_in_flight_outlast_a_release() -> None:
    """What an earlier version has stored is read by these words, and its links were promised ten minutes."""
    assert [str(phase) for phase in Phase] == ["open", "consumed", "failed"]
    assert (authorization.LINK_LIFETIME, authorization.LIFETIME) == (600, 2400)


@pytest.mark.parametrize(("age", "expired"), [(0, False), (2399.9, False), (2400, True), (2401, True)])
def test_a_request_ends_on_the_second(age: float, *, expired: bool) -> None:
    """Forty minutes from `start`, for everybody: sign-in and a second factor take time."""
    request = authorization_request()

    assert request.has_expired(NOW + age) is expired
    assert request.link_has_expired(NOW + age, was_opened_here=True) is expired


@pytest.mark.parametrize(
    ("issuer", "required", "iss", "accepted"),
    [
        (None, False, None, True),
        (None, False, "https://acme.example", True),
        ("https://acme.example", False, None, True),
        ("https://acme.example", True, None, False),
        ("https://acme.example", True, "https://acme.example", True),
        ("https://acme.example", False, "https://evil.example", False),
        ("https://acme.example", False, "https://acme.example/", False),
        ("https://acme.example", False, "", False),
    ],
)
def test_the_issuer_has_to_be_the_one_that_was_asked(
    issuer: str | None, iss: str | None, *, required: bool, accepted: bool
) -> None:
    """RFC 9207 section 2.4: by simple comparison, and named if the server promises to name it."""
    assert authorization_request(issuer=issuer, iss_required=required).accepts_issuer(iss) is accepted


def test_a_request_says_of_itself_only_what_start_was_given() -> None:
    """Nothing else is asked of the server, the browser or the application, and nothing has come of it yet."""
    request = authorization_request()

    assert request.accepts_issuer("https://any.example")
    assert (request.phase, request.is_used_up, request.exchanges, request.pushes) == (Phase.OPEN, False, 0, 0)
    assert not any((request.form_post, request.nonce, request.confirm, request.has_slots, request.allow_new_subject))
    absent = ("scope", "return_to", "owner", "pushed", "consumed_by", "consumed_at", "outcome", "last_attempt")
    assert {getattr(request, name) for name in absent} == {None}


def test_log_lines_name_the_request_by_a_name_of_its_own() -> None:
    """`request_id` is Lambda's own id of a call there."""
    assert authorization_request().facts == {
        "authorization_request_id": BROWSER.request_id,
        "provider": "acme",
        "connection_id": "merchant-1",
    }


@pytest.mark.parametrize(
    ("fields", "prompts"),
    [
        ({}, set()),
        ({"authorization_url": "https://acme.example/authorize?prompt=none"}, {"none"}),
        ({"authorization_url": "https://acme.example/authorize?x=1&prompt=login%20consent"}, {"login", "consent"}),
        ({"pushed": "client_id=client-1&prompt=login+consent"}, {"login", "consent"}),
    ],
)
def test_a_request_knows_what_it_asks_the_person_to_do(fields: dict[str, str], prompts: set[str]) -> None:
    """OpenID Connect Core section 3.1.2.1: any number of prompts, in the URL or in what is pushed."""
    assert authorization_request(**fields).prompt == prompts


def test_what_is_pushed_is_pushed_whole() -> None:
    """A parameter may be empty, or come twice (RFC 8707); what depends on the browser follows."""
    pushed = authorization_request(pushed="response_type=code&login_hint=&resource=a%3Ab&resource=c", pkce=False)

    assert pushed.to_push(BROWSER) == [
        ("response_type", "code"),
        ("login_hint", ""),
        ("resource", "a:b"),
        ("resource", "c"),
        ("state", BROWSER.state),
    ]
    assert authorization_request(pkce=False).to_push(BROWSER) == [("state", BROWSER.state)]


def test_a_pushed_request_is_referred_to_in_the_url() -> None:
    """RFC 9126 section 4: by its `request_uri`, beside the client's id."""
    request = authorization_request(authorization_url="https://acme.example/authorize?client_id=client-1")

    location = request.pushed_location("urn:a/b c")

    assert location == "https://acme.example/authorize?client_id=client-1&request_uri=urn%3Aa%2Fb%20c"


def test_the_browser_is_sent_with_state_and_challenge() -> None:
    """The whole authorization URL, parameter by parameter (RFC 6749 section 4.1.1, RFC 7636 section 4.3)."""
    location = authorization_request().location(BROWSER)

    assert location.startswith("https://acme.example/authorize?response_type=code&client_id=client-1&state=")
    assert parse_qs(urlsplit(location).query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["client-1"],
        "state": [BROWSER.state],
        "code_challenge": [s256(BROWSER.code_verifier)],
        "code_challenge_method": ["S256"],
    }
    assert BROWSER.code_verifier not in location


def test_a_nonce_goes_along_if_one_is_wanted() -> None:
    """That of OpenID Connect, in the browser's URL as well as in a pushed request."""
    request = authorization_request(nonce=True, pushed="response_type=code")

    assert parse_qs(urlsplit(request.location(BROWSER)).query)["nonce"] == [BROWSER.openid_nonce]
    assert dict(request.to_push(BROWSER))["nonce"] == BROWSER.openid_nonce


def test_without_pkce_only_the_state_is_added() -> None:
    """A server that does not know PKCE may refuse its parameters."""
    location = authorization_request(pkce=False).location(BROWSER)

    assert parse_qs(urlsplit(location).query).keys() == {"response_type", "client_id", "state"}


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://a.example", "https://a.example?k=v%20%26%3D"),
        ("https://a.example/p", "https://a.example/p?k=v%20%26%3D"),
        ("https://a.example/p?", "https://a.example/p?k=v%20%26%3D"),
        ("https://a.example/p?x=%20y", "https://a.example/p?x=%20y&k=v%20%26%3D"),
    ],
)
def test_an_endpoints_own_query_is_kept(url: str, whole: str) -> None:
    """RFC 6749 section 3.1."""
    assert with_query(url, {"k": "v &=/"}) == f"{whole}%2F"


# Its link


@pytest.mark.parametrize(
    "ticket",
    [
        "",
        ".",
        "a",
        "A" * 22 + ".",
        "A" * 22 + "." + "B" * 42,
        "A" * 21,
        "A" * 22 + "." + "B" * 43 + "\n",
        "Ä" * 22,
        "../" * 9,
    ],
)
def test_a_malformed_ticket_is_none(ticket: str) -> None:
    """A path that cannot come from `start` is not looked up."""
    assert Ticket.parse(ticket) is None


def test_a_ticket_without_its_secret_is_a_second_visit() -> None:
    """The "try again" link of a page has only the id; the cookie has the secret."""
    assert Ticket.parse("A" * 22) == Ticket("A" * 22, None)


# Where the application wants its user back

ALLOWED = authorization.return_to(
    frozenset({"https://app.example", "http://localhost:3000", "https://other.example:8443"})
)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.example",
        "https://app.example/",
        "https://app.example/settings?tab=1&x=%2F",
        "HTTPS://App.Example/Path",
        "https://app.example//evil.example",
        "https://app.example/?next=https://evil.example/",
        "http://localhost:3000/done",
        "https://other.example:8443/",
    ],
)
def test_the_user_may_be_sent_back_to_an_allowed_origin(url: str) -> None:
    """To any path and query of it, unchanged."""
    assert ALLOWED(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "/settings",
        "//app.example",
        "app.example",
        "app.example/",
        "https:app.example",
        "https:/app.example",
        "https:///app.example",
        "https://",
        "https://evil.example",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://app.example.",
        "https://sub.app.example",
        "https://app.example:444",
        "https://app.example:443",
        "https://app.example:",
        "https://app.example:99999",
        "https://app.example:x",
        "http://app.example",
        "http://localhost",
        "http://localhost:30000",
        "https://localhost:3000",
        "https://app.example@evil.example",
        "https://evil.example@app.example",
        "https://app.example:pw@evil.example/",
        "https://@app.example",
        "https://evil.example\\@app.example",
        "https://app.example\\.evil.example",
        "https://evil.example#https://app.example",
        "https://app.example#fragment",
        "https://app.example%2eevil.example",
        "https://app.example%00.evil.example",
        "https://app.example\x00.evil.example",
        "https://app.example\t.evil.example",
        "https://app.example\r\nSet-Cookie: x=y",
        "https://app.example/\n",
        " https://app.example",
        "https://app.example ",
        "https://app.exаmple",  # noqa: RUF001 - a Cyrillic letter is what this is about
        "https://app。example",
        "https://[app.example",
        "https://[::1]",
        "javascript:alert(1)//https://app.example",
        "javascript://app.example/%0aalert(1)",
        "data:text/html,x",
        "file://app.example/",
        "https://app.example/" + "x" * 2048,
        None,
        7,
        ["https://app.example"],
    ],
)
def test_the_user_is_sent_nowhere_else(url: object) -> None:
    """An open redirector helps phishers: the origin has to be exactly the same."""
    with pytest.raises(Mismatch, match="of an origin that the deployment allows"):
        ALLOWED(url)


@pytest.mark.parametrize(
    "query",
    [
        "status=connected&connection_id=victim",
        "tab=1&connection_id=",
        "connection_id",
        "error=",
        "confirmation=x",
        "request_id=x",
        "%73tatus=connected",
        "connection%5Fid=victim",
        "x=1&&status=connected",
    ],
)
def test_return_to_cannot_forge_an_answer(query: str) -> None:
    """An application that passes on a visitor's `return_to` would read the visitor's own outcome before ours."""
    with pytest.raises(Mismatch, match="without the parameters that the answer adds"):
        ALLOWED(f"https://app.example/done?{query}")


@pytest.mark.parametrize("query", ["my_status=1", "Status=1", "x=status=connected", "next=/%3Fstatus%3D1", "errors=0"])
def test_parameters_that_only_resemble_the_answers_are_accepted(query: str) -> None:
    """They belong to the application."""
    assert ALLOWED(f"https://app.example/done?{query}").endswith(query)


def test_an_address_may_have_as_many_characters_as_the_message_says() -> None:
    """Browsers and servers take addresses of that length."""
    start = "https://app.example/"

    assert len(ALLOWED(start + "x" * (2048 - len(start)))) == 2048
    with pytest.raises(Mismatch, match="at most 2,048 characters"):
        ALLOWED(start + "x" * (2049 - len(start)))


def test_the_contract_says_which_characters_an_address_may_have() -> None:
    """As JSON Schema says it, with an example that is accepted if its origin is."""
    check = authorization.return_to(frozenset({"https://app.example.com"}))

    assert check(check.example) == "https://app.example.com/connected"
    assert check.schema == {"type": "string", "pattern": check.schema["pattern"]}
    assert [matches(each, check.schema["pattern"]) for each in (check.example, "https://a b", "")] == [
        True,
        False,
        False,
    ]


def test_without_allowed_origins_nobody_is_sent_anywhere() -> None:
    """The default of a deployment is the safe one."""
    with pytest.raises(Mismatch):
        authorization.return_to(frozenset())("https://app.example")
