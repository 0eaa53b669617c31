"""The authorization request has no secret at rest, and a response is believed only in its own browser."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.vault import authorization
from functions.vault.authorization import BrowserBinding, Refused, Ticket, ValidatedResponse, validate, with_query
from functions.vault.errors import ProviderMisconfigured
from functions.vault.fields import Mismatch
from tests.unit.samples import BROWSER, NOW, authorization_request

VECTOR = BrowserBinding("AAECAwQFBgcICQoLDA0ODw", "T" * 43, "N" * 43)
COOKIE = f"__Host-gatehouse-{BROWSER.request_id}={BROWSER.cookie_value}"


def b64url(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def s256(code_verifier: str) -> str:
    """Return the challenge as an authorization server computes it (RFC 7636 section 4.6)."""
    return b64url(sha256(code_verifier.encode("ascii")).digest())


def answered(cookies: list[str] | None = None, *, secure: bool = True, **parameters: str) -> ValidatedResponse:
    """Validate a response to `BROWSER`'s request, with these parameters beside its state."""
    query = urlencode({"state": BROWSER.state, **parameters})
    return validate("acme", query, [COOKIE] if cookies is None else cookies, secure=secure)


def refusal(query: str, cookies: list[str] | None = None) -> str:
    """Return why a response is refused."""
    with pytest.raises(Refused) as caught:
        validate("acme", query, [COOKIE] if cookies is None else cookies, secure=True)
    return caught.value.reason


# What is derived


def test_state_and_verifier_are_frozen() -> None:
    """A deployment in the middle of somebody's consent must not change what both sides derive."""
    assert VECTOR.state == "AAECAwQFBgcICQoLDA0ODw.flPoZ3iu3xGxeeD-DcBihs-n9qEZVSOSEfrq8ylpQWc"
    assert VECTOR.code_verifier == "YHtNgd2ERn31w8PmyOO_3qv-onUAwmxeCX8tZphiS-c"
    assert VECTOR.code_challenge == "rQYsC5xhcOHxaeXpcfm_o3UKeACDPVL6DOKXL0k9ScE"


def test_the_derivation_is_that_of_the_rfcs() -> None:
    """The six lines of our own agree with the library's HKDF (RFC 5869) and HMAC over it."""
    secrets = f"{VECTOR.ticket_secret}.{VECTOR.nonce}".encode()
    hkdf = HKDF(SHA256(), 32, salt=VECTOR.request_id.encode(), info=b"gatehouse authorization request")
    key = hkdf.derive(secrets)

    assert VECTOR.state == f"{VECTOR.request_id}.{b64url(hmac.digest(key, b'state', 'sha256'))}"
    assert VECTOR.code_verifier == b64url(hmac.digest(key, b"code_verifier", "sha256"))


def test_the_challenge_is_s256_of_the_verifier() -> None:
    """Checked as a server would, whose own computation is that of RFC 7636 appendix B."""
    appendix_b = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    assert appendix_b == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert s256(VECTOR.code_verifier) == VECTOR.code_challenge
    assert 43 <= len(VECTOR.code_verifier) <= 128


def test_every_part_of_the_binding_changes_what_is_derived() -> None:
    """Another request, another link or another browser has another state, verifier and challenge."""
    others = [
        VECTOR,
        BrowserBinding("BAECAwQFBgcICQoLDA0ODw", VECTOR.ticket_secret, VECTOR.nonce),
        BrowserBinding(VECTOR.request_id, "U" + VECTOR.ticket_secret[1:], VECTOR.nonce),
        BrowserBinding(VECTOR.request_id, VECTOR.ticket_secret, "O" + VECTOR.nonce[1:]),
    ]

    assert len({other.state.partition(".")[2] for other in others}) == 4
    assert len({other.code_verifier for other in others}) == 4


def test_fresh_ids_and_secrets_have_the_bits_that_they_claim() -> None:
    """128 bits for the request's id, 256 for each secret, in the form that is parsed."""
    request_id, secret = authorization.new_request_id(), authorization.new_secret()

    ticket = Ticket.parse(f"{request_id}.{secret}")

    assert ticket == Ticket(request_id, secret)
    assert (len(request_id), len(secret)) == (22, 43)
    assert len({authorization.new_secret() for _ in range(100)}) == 100


def test_nothing_secret_shows_in_a_representation() -> None:
    """Tickets, bindings, requests and responses can be in an exception without giving anything away."""
    response = answered(code="CODE-secret")
    ticket = Ticket(VECTOR.request_id, "T" * 43)

    shown = f"{ticket!r} {VECTOR!r} {authorization_request()!r} {response!r}"

    for secret in ("T" * 43, "N" * 43, "t" * 43, "n" * 43, "CODE-secret", authorization_request().ticket_hash):
        assert secret not in shown


# The stored request


def test_a_stored_request_cannot_be_completed_by_its_reader() -> None:
    """What is stored of the ticket is its hash: it admits the secret, and is not it."""
    request = authorization_request()

    assert request.admits(BROWSER.ticket_secret)
    assert not request.admits(request.ticket_hash)
    assert not request.admits("T" * 43)
    assert BROWSER.ticket_secret not in str(request.ticket_hash)


@pytest.mark.parametrize(("now", "expired"), [(NOW, False), (NOW + 599.9, False), (NOW + 600, True), (NOW + 601, True)])
def test_a_request_ends_on_the_second(now: float, *, expired: bool) -> None:
    """Valid until, but not at, its `expires_at`."""
    assert authorization_request().is_expired(now) is expired


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


def test_without_pkce_only_the_state_is_added() -> None:
    """A server that does not know PKCE may refuse its parameters."""
    location = authorization_request(pkce=False).location(BROWSER)

    assert parse_qs(urlsplit(location).query).keys() == {"response_type", "client_id", "state"}


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://a.example", "https://a.example?k=v+%26%3D"),
        ("https://a.example/p", "https://a.example/p?k=v+%26%3D"),
        ("https://a.example/p?", "https://a.example/p?k=v+%26%3D"),
        ("https://a.example/p?x=%20y", "https://a.example/p?x=%20y&k=v+%26%3D"),
    ],
)
def test_a_query_that_is_there_is_kept_as_it_is(url: str, whole: str) -> None:
    """RFC 6749 section 3.1: an endpoint's own query is retained."""
    assert with_query(url, {"k": "v &="}) == whole


# The response


def test_a_response_with_a_code_is_validated() -> None:
    """The one way to a validated response, and all that it holds."""
    response = answered(code="CODE-1", iss="https://acme.example")

    assert response == ValidatedResponse("acme", BROWSER, "https://acme.example", "CODE-1", None)
    assert response.state_hash != BROWSER.state


def test_parameters_that_nobody_knows_are_passed_over() -> None:
    """RFC 6749 section 4.1.2: the client must ignore them."""
    assert answered(code="CODE-1", session_state="x", scope="read").code == "CODE-1"


@pytest.mark.parametrize("error", sorted(authorization.RESPONSE_ERRORS))
def test_the_errors_of_the_rfcs_are_taken_as_they_are(error: str) -> None:
    """Each is a word that we know."""
    response = answered(error=error, error_description="<script>")

    assert (response.code, response.error) == (None, error)


@pytest.mark.parametrize("error", ["<script>alert(1)</script>", "nope", "x" * 5000, "access_denied ", "ACCESS_DENIED"])
def test_any_other_error_is_only_an_error(error: str) -> None:
    """What comes from outside is not passed on: it could end up in a page, a log or an application's URL."""
    assert answered(error=error).error == "server_error"


@pytest.mark.parametrize("position", range(len(BROWSER.state)))
def test_no_changed_state_is_believed(position: int) -> None:
    """Every single character of the state counts."""
    other = "A" if BROWSER.state[position] != "A" else "B"
    state = BROWSER.state[:position] + other + BROWSER.state[position + 1 :]

    reason = refusal(urlencode({"state": state, "code": "CODE-1"}))

    expected = "browser_unknown" if position < 22 else "state_malformed" if position == 22 else "state_mismatch"
    assert reason == expected


@pytest.mark.parametrize("position", range(len(BROWSER.cookie_value)))
def test_no_changed_cookie_is_believed(position: int) -> None:
    """Every single character of the cookie counts."""
    value = BROWSER.cookie_value
    other = "A" if value[position] != "A" else "B"
    changed = f"__Host-gatehouse-{BROWSER.request_id}={value[:position]}{other}{value[position + 1 :]}"

    reason = refusal(urlencode({"state": BROWSER.state, "code": "CODE-1"}), [changed])

    assert reason == ("browser_unknown" if position == 43 else "state_mismatch")


@pytest.mark.parametrize(
    "state",
    [
        "",
        ".",
        BROWSER.request_id,
        f"{BROWSER.request_id}.",
        BROWSER.state + "A",
        BROWSER.state[:-1],
        BROWSER.state + "\n",
        " " + BROWSER.state,
        BROWSER.state.replace(".", "%2E"),
        BROWSER.state + "=",
        "é" * 22 + "." + "é" * 43,
        "\x00" * 66,
        f"../{BROWSER.state}",
    ],
)
def test_what_is_no_state_is_refused_by_its_form(state: str) -> None:
    """Before anything is computed or compared."""
    assert refusal(urlencode({"state": state, "code": "CODE-1"})) == "state_malformed"


@pytest.mark.parametrize(
    "cookies",
    [
        [],
        [""],
        ["gatehouse"],
        [COOKIE.removeprefix("__Host-")],
        [COOKIE.lower()],
        [COOKIE + "A"],
        [COOKIE + "; x=y"],
        [f'__Host-gatehouse-{BROWSER.request_id}="{BROWSER.cookie_value}"'],
        [f"__Host-gatehouse-{BROWSER.request_id}="],
        [f"__Host-gatehouse-{BROWSER.request_id}"],
        [f"__Host-gatehouse-{VECTOR.request_id}={BROWSER.cookie_value}"],
        [f"x__Host-gatehouse-{BROWSER.request_id}={BROWSER.cookie_value}"],
        [COOKIE, COOKIE],
        [COOKIE, f"__Host-gatehouse-{BROWSER.request_id}={VECTOR.cookie_value}"],
        [f"__Host-gatehouse-{BROWSER.request_id}=", COOKIE],
    ],
)
def test_without_exactly_its_cookie_a_browser_is_unknown(cookies: list[str]) -> None:
    """Missing, renamed, odd or doubled (a planted second one): there is no choosing between cookies."""
    assert refusal(urlencode({"state": BROWSER.state, "code": "CODE-1"}), cookies) == "browser_unknown"


def test_other_requests_cookies_do_no_harm() -> None:
    """A browser with several requests under way has a cookie for each."""
    others = [f"__Host-gatehouse-{VECTOR.request_id}={VECTOR.cookie_value}", "theme=dark", f" {COOKIE} "]

    assert answered(others, code="CODE-1").browser == BROWSER


def test_on_plain_http_the_cookie_has_its_plain_name() -> None:
    """A browser honours `__Host-` by https only; each deployment knows one name."""
    plain = COOKIE.removeprefix("__Host-")

    assert answered([plain], secure=False, code="CODE-1").browser == BROWSER
    with pytest.raises(Refused, match="browser_unknown"):
        answered([COOKIE], secure=False, code="CODE-1")


@pytest.mark.parametrize("name", ["state", "code", "error", "iss", "anything"])
@pytest.mark.parametrize("second", ["same", "other", ""])
def test_a_parameter_that_comes_twice_is_an_error(name: str, second: str) -> None:
    """RFC 6749 section 3.1: no parameter more than once, not even with the same value."""
    parameters = {"state": BROWSER.state, "code": "CODE-1", **({name: "same"} if name not in {"state", "code"} else {})}
    doubled = urlencode([*parameters.items(), (name, parameters[name] if second == "same" else second)])

    assert refusal(doubled) == "parameter_duplicated"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"code": ""}, {"error": ""}, {"code": "", "error": ""}, {"code": "CODE-1", "error": "access_denied"}],
)
def test_a_response_is_either_a_code_or_an_error(parameters: dict[str, str]) -> None:
    """Neither or both is no response of an authorization server."""
    assert refusal(urlencode({"state": BROWSER.state, **parameters})) == "code_or_error_expected"


def test_an_error_needs_the_state_and_the_cookie_too() -> None:
    """Nobody can end another's request with a made-up error."""
    assert refusal("error=access_denied") == "state_malformed"
    assert refusal(urlencode({"error": "access_denied", "state": BROWSER.state}), []) == "browser_unknown"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "state_malformed"),
        ("&&&", "state_malformed"),
        ("state", "state_malformed"),
        ("x=" + "y" * 8192, "query_too_long"),
        ("&".join(f"p{number}=1" for number in range(51)), "query_malformed"),
        ("code=%ff", "query_malformed"),
        ("code=%ed%a0%80", "query_malformed"),
    ],
)
def test_what_is_no_query_is_refused(query: str, reason: str) -> None:
    """Too long, too many parameters, or not UTF-8."""
    assert refusal(query) == reason


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
def test_what_is_no_ticket_is_none(ticket: str) -> None:
    """A path that could not have come from `start` is not looked up."""
    assert Ticket.parse(ticket) is None


def test_a_ticket_without_its_secret_is_a_second_visit() -> None:
    """The "try again" of a page has the id alone; the cookie has the secret."""
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
    """Any path and query of it, as it was given."""
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
    """An open redirector is a gift to every phisher: the origin is compared to the letter."""
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
        "%73tatus=connected",
        "connection%5Fid=victim",
        "x=1&&status=connected",
    ],
)
def test_an_answer_is_not_forged_by_the_address_it_goes_to(query: str) -> None:
    """An application that passes on a user's `return_to` would read the user's own outcome before ours."""
    with pytest.raises(Mismatch, match="without the parameters that the answer adds"):
        ALLOWED(f"https://app.example/done?{query}")


@pytest.mark.parametrize("query", ["my_status=1", "Status=1", "x=status=connected", "next=/%3Fstatus%3D1", "errors=0"])
def test_parameters_that_only_look_like_the_answers_are_let_through(query: str) -> None:
    """They are the application's own."""
    assert ALLOWED(f"https://app.example/done?{query}").endswith(query)


def test_without_allowed_origins_nobody_is_sent_anywhere() -> None:
    """The default of a deployment is the safe one."""
    with pytest.raises(Mismatch):
        authorization.return_to(frozenset())("https://app.example")


def test_a_code_may_come_under_another_name() -> None:
    """What else stands in a response is kept for whoever knows the provider, and shows in no representation."""
    response = answered(spapi_oauth_code="CODE-1", selling_partner_id="A1", empty="")

    assert response.code is None
    assert response.with_code("spapi_oauth_code").code == "CODE-1"
    assert response.parameters == {"spapi_oauth_code": "CODE-1", "selling_partner_id": "A1"}
    assert "CODE-1" not in repr(response)


def test_a_response_without_the_code_that_its_provider_sends_is_the_operators_affair() -> None:
    """The registration names the parameter, and may name it wrong; whatever came is not taken for a code."""
    with pytest.raises(ProviderMisconfigured, match="neither an error nor the code, expected as 'code'"):
        answered(spapi_oauth_code="CODE-1").with_code("code")
