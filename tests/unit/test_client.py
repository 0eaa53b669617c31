"""What goes to token and revocation endpoints: whole requests, octet by octet."""

import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable, TokenTypeNotRevoked
from functions.vault.grant.tokens import Account, TokenResponse, TokenSet
from functions.vault.oauth.client import Client
from functions.vault.oauth.id_token import KeyUnknown, NotVerified
from functions.vault.oauth.transport import Answer
from functions.vault.provider.merging import registration_of
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration
from tests.unit.samples import BROWSER, NOW, answer, registration, validated_response
from tests.unit.test_id_token import public, signed

if TYPE_CHECKING:
    from collections.abc import Callable

REDIRECT_URI = "https://gate.example/callback/acme"
WALL = NOW - 86400
"""The wall clock: the clock of the records was moved forward by a day."""

TOKEN_ANSWER = answer('{"access_token":"AT-2","expires_in":3600}')
HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "gatehouse",
}


@dataclass
class Server:
    """An authorization server that records each request, and sends the given answers, the last one repeatedly."""

    answers: list[Answer] = field(default_factory=lambda: [TOKEN_ANSWER])
    requests: list[tuple[str, str, dict[str, str], str, float]] = field(default_factory=list)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Note the request and answer."""
        self.requests.append((method, url, dict(headers), body or "", timeout))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def forms(self) -> list[dict[str, str]]:
        """Return the form of each request; every name comes once."""
        parsed = [parse_qs(body, keep_blank_values=True, strict_parsing=True) for *_, body, _ in self.requests]
        assert all(len(values) == 1 for form in parsed for values in form.values())
        return [{name: value for name, (value,) in form.items()} for form in parsed]


@pytest.fixture
def server() -> Server:
    """Return a server that issues tokens."""
    return Server()


@pytest.fixture
def client(server: Server) -> Client:
    """Return a client of it, at the time `NOW`."""
    return Client(server, lambda: NOW, wall_clock=lambda: WALL)


def test_a_code_is_exchanged(server: Server, client: Client) -> None:
    """The whole request of a public client with PKCE (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    response = client.exchange(registration(), validated_response(code="C+/=& 1"), REDIRECT_URI, 9.5)

    assert response == TokenResponse(TokenSet("AT-2"), expires_at=NOW + 3600)
    body = (
        "grant_type=authorization_code&code=C%2B%2F%3D%26+1&redirect_uri=https%3A%2F%2Fgate.example%2Fcallback%2Facme"
        f"&code_verifier={BROWSER.code_verifier}&client_id=client-1"
    )
    assert server.requests == [("POST", "https://acme.example/token", HEADERS, body, 9.5)]


def test_without_pkce_no_verifier_is_sent(server: Server, client: Client) -> None:
    """A field that a server does not know may be refused."""
    client.exchange(registration(pkce="none"), validated_response(), REDIRECT_URI, 9)

    assert server.forms[0].keys() == {"grant_type", "code", "redirect_uri", "client_id"}


def test_a_refresh_token_is_exchanged(server: Server, client: Client) -> None:
    """The whole request (RFC 6749 section 6); the old refresh token stays if no new one came."""
    response = client.refresh(registration(), "RT-1", 9)

    assert response.tokens == TokenSet("AT-2", "RT-1")
    body = "grant_type=refresh_token&refresh_token=RT-1&client_id=client-1"
    assert server.requests == [("POST", "https://acme.example/token", HEADERS, body, 9)]


def test_a_rotated_refresh_token_replaces_the_old_one(server: Server, client: Client) -> None:
    """The new one is kept."""
    server.answers = [answer('{"access_token":"AT-2","refresh_token":"RT-2"}')]

    assert client.refresh(registration(), "RT-1", 9).tokens == TokenSet("AT-2", "RT-2")


def test_a_secret_goes_into_the_form(server: Server, client: Client) -> None:
    """client_secret_post (RFC 6749 section 2.3.1)."""
    client.refresh(registration("s:1 &", token_endpoint_auth_method="client_secret_post"), "RT-1", 9)

    assert server.forms[0] == {
        "grant_type": "refresh_token",
        "refresh_token": "RT-1",
        "client_id": "client-1",
        "client_secret": "s:1 &",
    }
    assert "Authorization" not in server.requests[0][2]


def test_a_secret_goes_into_the_header(server: Server, client: Client) -> None:
    """client_secret_basic: both parts are form-encoded before they are joined, and neither is in the form as well."""
    basic = Registration(registration(token_endpoint_auth_method="client_secret_basic").provider, "c:1", "s:ü %+&")

    client.refresh(basic, "RT-1", 9)

    expected = "Basic " + b64encode(b"c%3A1:s%3A%C3%BC%20%25%2B%26").decode()
    assert server.requests[0][2] == HEADERS | {"Authorization": expected}
    assert server.forms[0].keys() == {"grant_type", "refresh_token"}


def test_quirks_are_sent_where_they_belong(server: Server, client: Client) -> None:
    """Each extra parameter of a provider goes into its own kind of request, its headers into every one."""
    quirky = registration(
        token_params={"audience": "exchange"},
        refresh_params={"audience": "refresh"},
        revocation_params={"audience": "revoke"},
        token_headers={"X-Api-Version": "1"},
    )

    client.exchange(quirky, validated_response(), REDIRECT_URI, 9)
    client.refresh(quirky, "RT-1", 9)
    client.revoke(quirky, "access_token", "AT-1", 9)

    assert [form["audience"] for form in server.forms] == ["exchange", "refresh", "revoke"]
    assert {headers["X-Api-Version"] for _, _, headers, *_ in server.requests} == {"1"}


@pytest.mark.parametrize(("kind", "token"), [("refresh_token", "RT-1"), ("access_token", "AT-1")])
def test_a_token_is_revoked(server: Server, client: Client, kind: str, token: str) -> None:
    """RFC 7009 section 2.1: the whole request, one for each token, with its hint."""
    server.answers = [answer("")]

    client.revoke(registration(), kind, token, 9)

    body = f"token={token}&token_type_hint={kind}&client_id=client-1"
    assert server.requests == [("POST", "https://acme.example/revoke", HEADERS, body, 9)]


def test_a_server_may_want_no_hint_and_confirm_in_the_body(server: Server, client: Client) -> None:
    """UltraCart: a mere 200 confirms nothing."""
    server.answers = [answer('{"successful":true}')]
    one = registration(revocation_token_type_hint=False, revocation_success="successful")

    client.revoke(one, "access_token", "AT-1", 9)

    assert server.forms == [{"token": "AT-1", "client_id": "client-1"}]
    server.answers = [answer('{"successful":false}')]
    with pytest.raises(ProviderUnavailable):
        client.revoke(one, "access_token", "AT-1", 9)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (answer('{"error":"unsupported_token_type"}', 400), TokenTypeNotRevoked),
        (answer("", 503), ProviderUnavailable),
    ],
)
def test_a_revocation_that_is_refused_is_a_failure(
    server: Server, client: Client, said: Answer, error: type[GatehouseError]
) -> None:
    """The token lives on. What to do about that is not for the client to decide."""
    server.answers = [said]

    with pytest.raises(error):
        client.revoke(registration(), "refresh_token", "RT-1", 9)

    assert len(server.requests) == 1


def test_a_missing_endpoint_is_named_and_nothing_is_sent(server: Server, client: Client) -> None:
    """The code or token stays here."""
    with pytest.raises(ProviderMisconfigured, match="no token_endpoint"):
        client.refresh(registration(token_endpoint=None), "RT-1", 9)

    assert server.requests == []


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize("act", ["exchange", "refresh", "revoke"])
def test_a_server_that_repeats_the_request_gets_nothing_into_the_error(
    server: Server, client: Client, act: str, method: str
) -> None:
    """Code, verifier, tokens, client secret, Authorization header: none of them reaches callers or logs."""
    secrets = ["CODE-1", BROWSER.code_verifier, "RT-1", "AT-1", "hunter2/+"]
    basic = b64encode(b"client-1:hunter2%2F%2B").decode()
    said = " ".join([*secrets, basic, "hunter2%2F%2B"])
    server.answers = [answer(f'{{"error":"invalid_request","error_description":"{said}"}}', 400)]
    known = registration("hunter2/+", token_endpoint_auth_method=method)

    acts: dict[str, Callable[[], object]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
    }

    with pytest.raises(GatehouseError) as caught:
        acts[act]()

    sent = f"{server.requests} {server.forms}"
    shown = f"{caught.value} {caught.value.as_result()}"
    assert [secret for secret in [*secrets, basic, "hunter2"] if secret in sent and secret in shown] == []


# Who asks


def claims_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the claims of the assertion in a form, and its header's members under their names."""
    header, claims, _ = form["client_assertion"].split(".")
    return {**json.loads(urlsafe_b64decode(header + "==")), **json.loads(urlsafe_b64decode(claims + "=="))}


def at_issuer(client_secret: str | None = None, **fields: Any) -> Registration:
    """Return the registration of a client at a server with a known issuer."""
    return registration(client_secret, **{"issuer": "https://acme.example", **fields})


def test_a_secret_signs_an_assertion_and_is_not_sent(server: Server, client: Client) -> None:
    """client_secret_jwt (RFC 7523 section 2.2), for the issuer, dated by the wall clock and not the records' clock."""
    client.refresh(at_issuer("s-1", token_endpoint_auth_method="client_secret_jwt"), "RT-1", 9)

    (form,) = server.forms
    claims = claims_of(form)
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert (form["client_id"], claims["iss"], claims["sub"]) == ("client-1", "client-1", "client-1")
    assert (claims["aud"], claims["alg"], claims["iat"]) == ("https://acme.example", "HS256", WALL)
    assert "s-1" not in str(server.requests)
    assert "Authorization" not in server.requests[0][2]


def test_a_key_in_kms_signs_an_assertion(server: Server) -> None:
    """private_key_jwt: with a key, only the algorithm has to be configured."""
    signed: list[tuple[str, str, bytes]] = []

    def sign(key: str, algorithm: str, octets: bytes) -> bytes:
        signed.append((key, algorithm, octets))
        return b"signature"

    known = replace(
        at_issuer(token_endpoint_auth_signing_alg="ES256"), client_signing_key="alias/key", client_signing_kid="k-1"
    )

    Client(server, lambda: NOW, sign, wall_clock=lambda: WALL).revoke(known, "access_token", "AT-1", 9)

    (form,) = server.forms
    ((key, algorithm, octets),) = signed
    assert (key, algorithm, claims_of(form)["kid"]) == ("alias/key", "ES256", "k-1")
    assert form["client_assertion"] == f"{octets.decode()}.{b64encode(b'signature').decode()}"
    assert 1 <= server.requests[0][4] <= 9


@pytest.mark.parametrize(
    ("fields", "audience"),
    [
        ({}, "https://acme.example"),
        ({"client_assertion_audience": "token_endpoint"}, "https://acme.example/token"),
        ({"issuer": None}, "https://acme.example/token"),
        ({"client_assertion_audience": "endpoint"}, "https://acme.example/token"),
        (
            {"client_assertion_audience": "endpoint", "refresh_endpoint": "https://acme.example/refresh"},
            "https://acme.example/refresh",
        ),
    ],
)
def test_an_assertion_is_for_the_issuer_if_it_is_known(
    server: Server, client: Client, fields: dict[str, Any], audience: str
) -> None:
    """It is for the token endpoint if the server insists on that, or if no issuer is known."""
    client.refresh(at_issuer("s-1", token_endpoint_auth_method="client_secret_jwt", **fields), "RT-1", 9)

    assert claims_of(server.forms[0])["aud"] == audience


@pytest.mark.parametrize(
    ("audience", "revocation", "push"),
    [
        ("issuer", "https://acme.example", "https://acme.example"),
        ("token_endpoint", "https://acme.example/token", "https://acme.example/token"),
        ("endpoint", "https://acme.example/revoke", "https://acme.example/par"),
    ],
)
def test_each_endpoint_may_want_assertions_for_itself(
    server: Server, client: Client, audience: str, revocation: str, push: str
) -> None:
    """A revocation endpoint that accepts only its own URL would never confirm anything otherwise."""
    server.answers = [answer('{"request_uri":"urn:x:1"}')]
    known = par("s-1", issuer="https://acme.example", token_endpoint_auth_method="client_secret_jwt")
    known = replace(known, provider=replace(known.provider, client_assertion_audience=audience))

    client.revoke(known, "refresh_token", "RT-1", 9)
    client.push(known, [("client_id", "client-1")], 9)

    assert [claims_of(form)["aud"] for form in server.forms] == [revocation, push]


@pytest.mark.parametrize("act", ["exchange", "refresh", "revoke", "push"])
def test_a_server_may_want_the_client_id_beside_the_header(server: Server, client: Client, act: str) -> None:
    """It looks the client up by a form field before it reads the header; no form has the field twice."""
    server.answers = [TOKEN_ANSWER if act in {"exchange", "refresh"} else answer('{"request_uri":"urn:x:1"}')]
    known = par("s-1", token_endpoint_auth_method="client_secret_basic", client_id_in_body=True)
    acts: dict[str, Callable[[], object]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
        "push": lambda: client.push(known, [("client_id", "client-1")], 9),
    }

    acts[act]()

    (form,) = server.forms
    assert (form["client_id"], "client_secret" in form) == ("client-1", False)
    assert server.requests[0][2]["Authorization"] == f"Basic {b64encode(b'client-1:s-1').decode()}"


@pytest.mark.parametrize(
    ("method", "fields", "advised"),
    [
        ("client_secret_jwt", {}, "try client_assertion_audience token_endpoint or endpoint"),
        ("client_secret_jwt", {"client_assertion_audience": "endpoint"}, "audience issuer or token_endpoint"),
        ("client_secret_basic", {}, "try token_endpoint_auth_method client_secret_post"),
        ("client_secret_basic", {}, "try client_id_in_body true"),
        ("client_secret_post", {}, "try token_endpoint_auth_method client_secret_basic"),
    ],
)
def test_a_refused_client_gets_advice_on_what_else_the_server_may_want(
    server: Server, client: Client, method: str, fields: dict[str, Any], advised: str
) -> None:
    """The advice names the key: the server only says that it does not know the client."""
    server.answers = [answer('{"error":"invalid_client"}', 401)]

    with pytest.raises(ProviderMisconfigured) as caught:
        client.refresh(at_issuer("s-1", token_endpoint_auth_method=method, **fields), "RT-1", 9)

    assert advised in caught.value.description


@pytest.mark.parametrize(
    ("method", "configured", "supported", "algorithm"),
    [
        ("client_secret_jwt", None, None, "HS256"),
        ("client_secret_jwt", None, ("RS256", "HS512", "HS256"), "HS256"),
        ("client_secret_jwt", None, ("RS256", "HS512"), "HS512"),
        ("client_secret_jwt", "HS384", ("HS256",), "HS384"),
        ("client_secret_jwt", "ES256", None, None),
        ("client_secret_jwt", None, ("RS256",), None),
        ("private_key_jwt", None, None, None),
        ("private_key_jwt", None, ("RS256", "ES256"), None),
        ("private_key_jwt", None, ("HS256", "ES256", "EdDSA"), "ES256"),
        ("private_key_jwt", "PS256", ("RS256", "PS256"), "PS256"),
        ("private_key_jwt", "HS256", None, None),
    ],
)
def test_how_assertions_are_signed(
    server: Server, method: str, configured: str | None, supported: tuple[str, ...] | None, algorithm: str | None
) -> None:
    """As configured, or as the metadata leaves no choice. Nobody guesses which algorithm a key is for."""
    known = replace(
        at_issuer(
            "s-1",
            token_endpoint_auth_method=method,
            token_endpoint_auth_signing_alg=configured,
            token_endpoint_auth_signing_alg_values_supported=supported,
        ),
        client_signing_key="alias/key",
    )
    client = Client(server, lambda: NOW, lambda *_: b"signature")

    if algorithm is None:
        with pytest.raises(ProviderMisconfigured, match="expected token_endpoint_auth_signing_alg to be one of"):
            client.refresh(known, "RT-1", 9)
        assert server.requests == []
    else:
        client.refresh(known, "RT-1", 9)
        assert claims_of(server.forms[0])["alg"] == algorithm


def test_a_server_may_not_decode_basic_credentials(server: Server, client: Client) -> None:
    """Then they are sent as they are."""
    known = registration("s 1+", token_endpoint_auth_method="client_secret_basic", basic_credentials_encoding="none")

    client.refresh(known, "RT-1", 9)

    assert server.requests[0][2]["Authorization"] == "Basic " + b64encode(b"client-1:s 1+").decode()


@pytest.mark.parametrize(
    ("method", "client_secret", "is_advised"),
    [
        ("client_secret_basic", "s 1+", True),
        ("client_secret_basic", "s-1_.~", False),
        ("client_secret_post", "s 1+", False),
    ],
)
def test_a_refused_client_learns_what_else_to_try(
    server: Server, client: Client, method: str, client_secret: str, *, is_advised: bool
) -> None:
    """Servers differ in how they decode special characters in a Basic header."""
    server.answers = [REFUSED]

    with pytest.raises(ProviderMisconfigured) as caught:
        client.refresh(registration(client_secret, token_endpoint_auth_method=method), "RT-1", 9)

    assert ("basic_credentials_encoding none" in caught.value.description) is is_advised
    assert client_secret not in caught.value.description


def test_without_kms_no_key_signs(server: Server, client: Client) -> None:
    """A function without permission to sign says so, and sends nothing."""
    known = replace(at_issuer(token_endpoint_auth_signing_alg="ES256"), client_signing_key="alias/key")

    with pytest.raises(ProviderMisconfigured):
        client.refresh(known, "RT-1", 9)

    assert server.requests == []


# Two live secrets


REFUSED = answer('{"error":"invalid_client"}', 401)
UNAUTHORIZED = answer('{"error":"unauthorized_client"}', 401)
FORBIDDEN = answer('{"error":"unauthorized_client"}', 403)
TWO: dict[str, Any] = {"client_secret": "new", "previous_client_secret": "old"}


def two_secrets(method: str = "client_secret_post") -> Registration:
    """Return the registration of a client whose secret is being rotated."""
    return replace(registration(token_endpoint_auth_method=method), **TWO)


@pytest.mark.parametrize(
    ("answers", "shown", "label"),
    [
        ([TOKEN_ANSWER], ["new"], "newest"),
        ([REFUSED, TOKEN_ANSWER], ["new", "old"], "previous"),
        ([UNAUTHORIZED, TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer("", 401), TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer("<html>", 401), TOKEN_ANSWER], ["new", "old"], "previous"),
        ([answer('{"error":"deleted_client"}', 401), TOKEN_ANSWER], ["new", "old"], "previous"),
    ],
)
@pytest.mark.parametrize("act", ["exchange", "refresh"])
def test_the_newest_secret_is_tried_first(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    server: Server, client: Client, answers: list[Answer], shown: list[str], label: str, act: str
) -> None:
    """The other one follows if the server refuses it. The response says which was accepted, but never the secret."""
    server.answers = list(answers)
    acts: dict[str, Callable[[], TokenResponse]] = {
        "exchange": lambda: client.exchange(two_secrets(), validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(two_secrets(), "RT-1", 9),
    }

    response = acts[act]()

    assert [form["client_secret"] for form in server.forms] == shown
    assert response.client_secret_used == label


@pytest.mark.parametrize("refusal", [UNAUTHORIZED, FORBIDDEN])
@pytest.mark.parametrize("act", ["refresh", "revoke", "push"])
def test_a_client_that_is_not_authorized_may_have_another_secret(
    server: Server, client: Client, act: str, refusal: Answer
) -> None:
    """Some servers mean by this that a secret is wrong. A request that may be repeated is sent with the other one."""
    server.answers = [refusal, TOKEN_ANSWER if act == "refresh" else answer('{"request_uri":"urn:x:1"}')]
    known = replace(par(token_endpoint_auth_method="client_secret_post"), **TWO)
    acts: dict[str, Callable[[], object]] = {
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
        "push": lambda: client.push(known, [("client_id", "client-1"), ("state", "x")], 9),
    }

    acts[act]()

    assert [form["client_secret"] for form in server.forms] == ["new", "old"]


@pytest.mark.parametrize("refusal", [REFUSED, UNAUTHORIZED, FORBIDDEN, answer("", 401)])
@pytest.mark.parametrize("act", ["exchange", "refresh"])
def test_a_refused_client_gets_advice_about_special_characters(
    server: Server, client: Client, act: str, refusal: Answer
) -> None:
    """Whatever the server calls it: a secret that it decodes differently is refused like a wrong one."""
    server.answers = [refusal]
    known = registration("s 1+", token_endpoint_auth_method="client_secret_basic")

    acts: dict[str, Callable[[], TokenResponse]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
    }

    with pytest.raises(ProviderMisconfigured) as caught:
        acts[act]()

    assert caught.value.description.count("basic_credentials_encoding none") == 1


@pytest.mark.parametrize(
    "refusal",
    [
        answer('{"error":"invalid_grant"}', 401),
        answer('{"error":"unauthorized_client"}', 400),
        answer('{"error":"invalid_scope"}', 403),
        answer('{"error":"slow_down"}', 401),
        answer('{"error":"temporarily_unavailable"}', 401),
        answer('{"error":"E-1","error_description":"Refresh token expired"}', 401),
    ],
)
def test_no_other_refusal_of_a_refresh_is_about_the_secret(server: Server, client: Client, refusal: Answer) -> None:
    """A client that is refused for another reason asks once: the server did know it."""
    server.answers = [refusal, TOKEN_ANSWER]
    rules = ({"words": ["token expired"], "means": "invalid_grant"},)

    with pytest.raises(GatehouseError):
        client.refresh(replace(registration(refusals=rules), **TWO), "RT-1", 9)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ('{"error":"incorrect_client_credentials"}', {}),
        ('{"ok":false,"error":"bad_client_secret"}', {}),
        ('{"error":"E-1"}', {"E-1": "invalid_client"}),
    ],
)
def test_a_server_may_say_in_its_own_words_that_it_does_not_know_the_client(
    server: Server, client: Client, body: str, codes: dict[str, str]
) -> None:
    """Codes of GitHub and Slack on a 200, and rules in the data, mean the same as `invalid_client`."""
    server.answers = [answer(body), TOKEN_ANSWER]
    known = two_secrets()
    known = replace(known, provider=replace(known.provider, error_codes=codes))

    assert client.refresh(known, "RT-1", 9).client_secret_used == "previous"


def test_a_registration_that_is_read_again_is_for_the_same_tenant(server: Server) -> None:
    """The whole registration is read, but only the connection's own server is asked."""
    tenants: dict[str, Any] = {
        "token_endpoint": "https://{shop}.acme.example/token",
        "parameters": {"shop": "[a-z]{1,9}"},
        "token_endpoint_auth_method": "client_secret_post",
    }
    whole, fresh = registration("old", **tenants), registration("fresh", **tenants)
    asked: list[Registration] = []

    def reread(refused: Registration) -> Registration:
        asked.append(refused)
        return fresh

    server.answers = [REFUSED, TOKEN_ANSWER]

    Client(server, lambda: NOW, reread=reread).refresh(whole.for_tenant({"shop": "one"}), "RT-1", 9)

    assert asked == [whole]
    assert [url for _, url, *_ in server.requests] == ["https://one.acme.example/token"] * 2
    assert [form["client_secret"] for form in server.forms] == ["old", "fresh"]


def test_a_secret_in_a_header_of_the_providers_own_is_not_quoted(server: Server, client: Client) -> None:
    """Square's revocation sends the secret although the client does not authenticate with it."""
    server.answers = [answer('{"error":"nope","error_description":"Client s3cret-of-square is unknown"}', 400)]
    known = registration(
        "s3cret-of-square",
        revocation_endpoint_auth_method="none",
        revocation_headers={"Authorization": "Client {client_secret}"},
    )

    with pytest.raises(ProviderMisconfigured) as caught:
        client.revoke(known, "access_token", "AT-1", 9)

    assert server.requests[0][2]["Authorization"] == "Client s3cret-of-square"
    assert "s3cret" not in str(caught.value.as_result())


@pytest.mark.parametrize("act", ["exchange", "refresh", "revoke", "push"])
def test_no_confidential_value_of_a_registration_is_quoted(server: Server, client: Client, act: str) -> None:
    """Keys in headers, parameters and queries, and every secret: a server may repeat anything that it knows."""
    values = {
        "token_headers": {"X-Api-Key": "Key h34der-k3y"},
        "token_params": {"api_key": "c0de-par4m-1"},
        "refresh_params": {"api_key": "r3fresh-par4m"},
        "first_refresh": {"refresh_params": {"api_key": "f1rst-par4m-k"}},
        "revocation_params": {"api_key": "r3voke-par4m"},
        "revocation_headers": {"X-Api-Key": "r3voke-h34der"},
        "token_endpoint": "https://acme.example/token?key=qu3ry-token-k",
        "revocation_endpoint": "https://acme.example/revoke?key=qu3ry-revoke",
        "authorization_endpoint": "https://acme.example/authorize",
        "pushed_authorization_request_endpoint": "https://acme.example/par?key=qu3ry-par-k3y",
    }
    credentials = {
        "client_id": "client-1",
        "client_secrets": ["n3west-s3cret", "pr3vious-s3cret"],
        "previous_clients": [{"client_id": "old", "client_secrets": ["0ld-s3cret-1", "0ld-s3cret-2"]}],
    }
    secrets = re.findall(r"(?<=[' =])[a-z0-9-]*\d[a-z0-9-]*(?=')", f"{values} {credentials}")
    said = " ".join(secret for secret in secrets if secret not in {"client-1", "old"})
    server.answers = [answer(json.dumps({"error": "nope", "error_description": said}), 400)]
    known = registration_of("acme", [values], credentials)
    acts: dict[str, Callable[[], object]] = {
        "exchange": lambda: client.exchange(known, validated_response(), REDIRECT_URI, 9),
        "refresh": lambda: client.refresh(known, "RT-1", 9),
        "revoke": lambda: client.revoke(known, "refresh_token", "RT-1", 9),
        "push": lambda: client.push(known, [("client_id", "client-1")], 9),
    }

    with pytest.raises(GatehouseError) as caught:
        acts[act]()

    assert len(said.split()) == 13
    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error_description == " ".join(["***"] * 13)


def test_values_from_the_catalogue_are_no_secrets(server: Server, client: Client) -> None:
    """Everybody sends the same version: the operator may read which one the server refuses."""
    said = "Version 2017-03-01 is gone, h34der-k3y, k-7, offline, p-9, select_account"
    server.answers = [answer(json.dumps({"error": "nope", "error_description": said}), 400)]
    file = {"token_headers": {"X-Version": "2017-03-01"}, "token_endpoint": "https://acme.example/token"}
    headers = {"X-Version": "2017-03-01", "X-Partner": "h34der-k3y", "X-Api-Key": "k-7", "X-Mode": "offline"}
    own = {"token_headers": headers, "authorization_params": {"partner_secret": "p-9", "prompt": "select_account"}}

    with pytest.raises(GatehouseError) as caught:
        client.refresh(registration_of("acme", [file, own], {"client_id": "c"}), "RT-1", 9)

    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error_description == (
        "Version 2017-03-01 is gone, ***, ***, offline, ***, select_account"
    )


def test_a_revocation_tries_both_secrets_too(server: Server, client: Client) -> None:
    """With Basic as well."""
    server.answers = [REFUSED, answer("")]

    client.revoke(two_secrets("client_secret_basic"), "refresh_token", "RT-1", 9)

    sent = [headers["Authorization"].removeprefix("Basic ") for _, _, headers, *_ in server.requests]
    assert sent == [b64encode(f"client-1:{secret}".encode()).decode() for secret in ("new", "old")]


@pytest.mark.parametrize(
    "said",
    [
        answer('{"error":"invalid_grant"}', 400),
        answer('{"error":"invalid_grant"}', 401),
        answer('{"error":"unauthorized_client"}', 400),
        answer('{"error":"unauthorized_client"}', 403),
        answer('{"error":"invalid_request"}', 400),
        answer("", 400),
        answer("", 403),
        answer("<html>", 403),
        answer("", 500),
        answer("", 429),
        answer('{"error":"invalid_client","access_token":"AT-1"}', 500),
    ],
)
def test_nothing_else_lets_a_code_be_sent_again(server: Server, client: Client, said: Answer) -> None:
    """Only a server that says it does not know the client has surely not looked at the code."""
    server.answers = [said, TOKEN_ANSWER]

    with pytest.raises(GatehouseError):
        client.exchange(two_secrets(), validated_response(), REDIRECT_URI, 9)

    assert len(server.requests) == 1


def test_a_lost_answer_lets_nothing_be_sent_again() -> None:
    """Nobody knows whether the server got the code."""

    class Silent(Server):
        def send(self, *request: Any) -> Answer:
            super().send(*request)
            raise ProviderUnavailable("No answer.", outcome_unknown=True)

    silent = Silent()

    with pytest.raises(ProviderUnavailable):
        Client(silent, lambda: NOW).exchange(two_secrets(), validated_response(), REDIRECT_URI, 9)

    assert len(silent.requests) == 1


def test_if_every_secret_is_refused_the_registration_is_read_again(server: Server) -> None:
    """A new secret in it is tried; if there is none, the refusal is the result."""
    server.answers = [REFUSED, REFUSED, TOKEN_ANSWER]
    fresh = [registration("fresh", token_endpoint_auth_method="client_secret_post")]
    client = Client(server, lambda: NOW, reread=lambda _refused: fresh.pop() if fresh else None)

    response = client.refresh(two_secrets(), "RT-1", 9)

    assert [form["client_secret"] for form in server.forms] == ["new", "old", "fresh"]
    assert response.client_secret_used == "newest"
    server.answers = [REFUSED]
    with pytest.raises(ProviderMisconfigured) as caught:
        client.refresh(two_secrets(), "RT-1", 9)
    assert caught.value.provider_error is not None
    assert caught.value.provider_error.error == "invalid_client"


def test_a_request_without_time_to_read_the_registration_again_does_without(server: Server) -> None:
    """A lease and a caller wait for it: everything has to end within the given time."""
    server.answers = [REFUSED]
    asked: list[Registration] = []
    client = Client(server, lambda: NOW, reread=asked.append)

    with pytest.raises(ProviderMisconfigured):
        client.refresh(registration("s-1"), "RT-1", 7)

    assert (asked, len(server.requests)) == ([], 1)


def test_a_second_secret_needs_time_for_a_request(server: Server) -> None:
    """The second request gets what is left of the timeout; if that is too little, the first refusal is the result."""
    server.answers = [REFUSED, TOKEN_ANSWER]
    client = Client(server, lambda: NOW)

    with pytest.raises(ProviderMisconfigured):
        client.refresh(two_secrets(), "RT-1", 0.5)

    assert len(server.requests) == 1


# The account in an ID token


class Keys:
    """An issuer's keys; records what is asked for."""

    def __init__(self, *keys: dict[str, Any] | Exception) -> None:
        self.calls: list[str] = []
        self._keys = list(keys)

    def of(self, _provider: Provider) -> list[Any]:
        """Return the keys."""
        return self._given("keys")

    def newest(self, _provider: Provider, _timeout: float) -> list[Any]:
        """Return the newest keys."""
        return self._given("newest")

    def _given(self, which: str) -> list[Any]:
        self.calls.append(which)
        if isinstance(self._keys[0], Exception):
            raise self._keys[0]
        return self._keys


def with_id_token_subject() -> Registration:
    """Return a registration whose provider names the account in its ID token."""
    return at_issuer(subject="id_token.sub")


def issues(id_token: Any) -> Answer:
    """Return a token response with an ID token."""
    return answer(json.dumps({"access_token": "AT-2", "refresh_token": "RT-2", "id_token": id_token}))


OURS = {"iss": "https://acme.example", "aud": "client-1", "exp": WALL + 60, "iat": WALL}


def test_the_account_is_taken_from_a_verified_id_token(server: Server) -> None:
    """The keys are read before the code is sent, and the ID token is valid by the wall clock."""
    server.answers = [issues(signed({**OURS, "sub": "user-1"}))]
    keys = Keys(public("ES256"))
    client = Client(server, lambda: NOW, issuer_keys=keys, wall_clock=lambda: WALL)

    response = client.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)

    assert (response.subject, response.tokens) == ("user-1", TokenSet("AT-2", "RT-2"))
    assert keys.calls == ["keys"]


@pytest.mark.parametrize(
    "unverified",
    [None, "x", signed({**OURS, "sub": "user-1", "aud": "client-2"}), signed({**OURS, "sub": "user-1"})[:-4] + "AAAA"],
    ids=["none", "no token", "for another", "forged"],
)
def test_the_failure_of_an_id_token_comes_with_the_tokens(server: Server, unverified: Any) -> None:
    """Nobody knows whose they are. The failure says what is wrong, and nothing that the ID token says."""
    server.answers = [issues(unverified)]
    client = Client(server, lambda: NOW, issuer_keys=Keys(public("ES256")), wall_clock=lambda: WALL)

    response = client.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)

    assert isinstance(response.not_verified, ProviderMisconfigured)
    assert response.not_verified.description.startswith("The ID token cannot be verified: ")
    assert "user-1" not in str(response.not_verified.as_result())
    assert (response.asks_account, response.subject, response.tokens) == (False, None, TokenSet("AT-2", "RT-2"))


def test_an_id_token_does_not_expire_because_it_is_read_late(server: Server) -> None:
    """It was valid when it was requested, however long our process was frozen since; an old one is refused."""
    keys = Keys(public("ES256"))
    for issued_at in (WALL, WALL + 900):
        claims = {**OURS, "iat": issued_at, "exp": issued_at + 60, "sub": "user-1"}
        server.answers = [issues(signed(claims))]
        times = iter([WALL, *[WALL + 900] * 9])
        late = Client(server, lambda: NOW, issuer_keys=keys, wall_clock=times.__next__)

        assert late.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9).subject == "user-1"

    server.answers = [issues(signed({**OURS, "sub": "user-1"}))]
    replayed = Client(server, lambda: NOW, issuer_keys=keys, wall_clock=lambda: WALL + 900)
    answered = replayed.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)
    assert answered.not_verified is not None
    assert "expired" in answered.not_verified.description


def test_an_account_is_asked_for_with_the_access_token(server: Server, client: Client) -> None:
    """RFC 6750 section 2.1, with the provider's headers; the scope is read as in a token response."""
    headers = {"X-Api-Version": "2017-03-01", "Accept": "application/vnd.acme+json"}
    where: dict[str, Any] = {"subject": "data.id", "metadata": ("data.name", "plan"), "account_scope": "data.scopes"}
    provider = registration(account_endpoint="https://acme.example/me", token_headers=headers, **where).provider
    server.answers = [answer('{"data":{"id":7,"name":"Shop","scopes":["a","b"]},"plan":"free","more":1}')]

    account = client.account_of(provider, "client-1", TokenSet("AT-1", "RT-1"), 5)

    assert account == Account("7", "a b", metadata={"data.name": "Shop", "plan": "free"})
    assert server.requests == [
        (
            "GET",
            "https://acme.example/me",
            {"User-Agent": "gatehouse", **headers, "Authorization": "Bearer AT-1"},
            "",
            5,
        )
    ]


def test_an_id_token_of_a_newer_key_is_kept_to_be_verified_later(server: Server) -> None:
    """It is verified once the keys are read again. Its times were valid when it came, and no longer count."""
    unverified = signed({**OURS, "sub": "user-1"}, kid="k-2")
    server.answers = [issues(unverified)]
    keys = Keys(public("ES256"))
    client = Client(server, lambda: NOW, issuer_keys=keys, wall_clock=lambda: WALL)

    response = client.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)

    assert (response.asks_account, response.subject, response.not_verified) == (True, None, None)
    assert response.tokens == TokenSet("AT-2", "RT-2", unverified)
    provider, by_now = with_id_token_subject().provider, Keys(public("ES256") | {"kid": "k-2"})
    asked = Client(server, lambda: NOW, issuer_keys=by_now, wall_clock=lambda: WALL + 86400)
    assert asked.account_of(provider, "client-1", response.tokens, 9) == Account("user-1")
    assert by_now.calls == ["newest"]
    with pytest.raises(KeyUnknown):
        client.account_of(provider, "client-1", response.tokens, 9)
    with pytest.raises(NotVerified, match="another client"):
        asked.account_of(provider, "client-2", response.tokens, 9)


def test_without_the_issuers_keys_no_code_is_sent(server: Server) -> None:
    """An outage shows before the code is spent; and if nothing can verify ID tokens, nothing is sent either."""
    down = Client(server, lambda: NOW, issuer_keys=Keys(ProviderUnavailable("Down.")))

    with pytest.raises(ProviderUnavailable):
        down.exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)
    with pytest.raises(ProviderMisconfigured):
        Client(server, lambda: NOW).exchange(with_id_token_subject(), validated_response(), REDIRECT_URI, 9)

    assert server.requests == []


def test_no_id_token_is_read_if_the_account_comes_from_elsewhere(server: Server) -> None:
    """Nor at a refresh, which does not change whose the grant is."""
    server.answers = [issues("nonsense")]
    keys = Keys(public("ES256"))
    client = Client(server, lambda: NOW, issuer_keys=keys)

    client.exchange(at_issuer(subject="account"), validated_response(), REDIRECT_URI, 9)
    client.exchange(at_issuer(), validated_response(), REDIRECT_URI, 9)
    server.answers = [answer('{"access_token":"AT-2","id_token":"nonsense","id_token.sub":"mallory"}')]
    assert client.refresh(with_id_token_subject(), "RT-1", 9).subject is None

    assert keys.calls == []


# Pushed authorization requests


REQUEST = [
    ("response_type", "code"),
    ("client_id", "client-1"),
    ("resource", "a:b"),
    ("resource", "c:d"),
    ("state", "x"),
]


def par(client_secret: str | None = None, **fields: Any) -> Registration:
    """Return a registration whose provider takes pushed requests."""
    return at_issuer(client_secret, pushed_authorization_request_endpoint="https://acme.example/par", **fields)


def test_a_request_is_pushed_as_it_is(server: Server, client: Client) -> None:
    """RFC 9126 section 2.1: its own parameters, each as often as it comes, and the client, named once."""
    server.answers = [answer('{"request_uri":"urn:example:1","expires_in":60}', 201)]

    assert client.push(par("s-1", token_endpoint_auth_method="client_secret_post"), REQUEST, 9) == "urn:example:1"

    body = "response_type=code&client_id=client-1&resource=a%3Ab&resource=c%3Ad&state=x&client_secret=s-1"
    assert server.requests == [("POST", "https://acme.example/par", HEADERS, body, 9)]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (answer('{"error":"invalid_request"}', 400), ProviderMisconfigured),
        (answer('{"error":"invalid_client"}', 401), ProviderMisconfigured),
        (answer("", 503), ProviderUnavailable),
        (answer("{}", 201), ProviderUnavailable),
        (answer("[]", 201), ProviderUnavailable),
        (answer("<html>", 200), ProviderUnavailable),
        (answer('{"request_uri":7}', 201), ProviderUnavailable),
        (answer('{"request_uri":""}', 201), ProviderUnavailable),
        (answer('{"request_uri":"/relative"}', 201), ProviderUnavailable),
        (answer('{"request_uri":"urn:a b"}', 201), ProviderUnavailable),
        (answer('{"request_uri":"urn:a\\r\\nX:1"}', 201), ProviderUnavailable),
        (answer('{"request_uri":"urn:%s"}' % ("x" * 3000), 201), ProviderUnavailable),
        (answer('{"request_uri":"urn:a","request_uri":"urn:b"}', 201), ProviderUnavailable),
        (answer("[" * 100_000, 201), ProviderUnavailable),
        (answer('{"request_uri":' + "1" * 5000 + "}", 201), ProviderUnavailable),
    ],
)
def test_an_answer_without_a_request_uri_is_a_failure(
    server: Server, client: Client, said: Answer, error: type[GatehouseError]
) -> None:
    """Nobody is sent on with anything else."""
    server.answers = [said]

    with pytest.raises(error):
        client.push(par(), REQUEST, 9)


@pytest.mark.parametrize(
    ("endpoint", "error"), [("authorization", ProviderUnavailable), ("token", ProviderMisconfigured)]
)
def test_data_can_explain_the_refusal_of_a_pushed_request(
    server: Server, client: Client, endpoint: str, error: type[GatehouseError]
) -> None:
    """Its rules are those of the authorization endpoint, and of no other."""
    server.answers = [answer('{"error":"invalid_request","error_description":"Closed for maintenance"}', 400)]
    rules = ({"endpoint": endpoint, "words": ["maintenance"], "means": "temporarily_unavailable"},)

    with pytest.raises(error):
        client.push(par(refusals=rules), REQUEST, 9)


def test_the_other_secret_is_tried_for_a_pushed_request(server: Server, client: Client) -> None:
    """This is where a wrong secret costs least: no code exists yet."""
    server.answers = [REFUSED, answer('{"request_uri":"urn:example:1"}', 201)]

    assert client.push(replace(par(token_endpoint_auth_method="client_secret_post"), **TWO), REQUEST, 9)

    assert [parse_qs(body)["client_secret"] for *_, body, _ in server.requests] == [["new"], ["old"]]


# Resource indicators


def test_resources_are_named_in_exchange_and_refresh(server: Server, client: Client) -> None:
    """RFC 8707 section 2.2: each once more, so that the token is for them. A revocation does not need them."""
    known = registration(resource=("https://api.example/v1", "urn:example:2"))

    client.exchange(known, validated_response(), REDIRECT_URI, 9)
    client.refresh(known, "RT-1", 9)
    client.revoke(known, "access_token", "AT-1", 9)

    named = [parse_qs(body).get("resource") for *_, body, _ in server.requests]
    assert named == [["https://api.example/v1", "urn:example:2"]] * 2 + [None]
