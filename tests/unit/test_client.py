"""What goes to token and revocation endpoints: whole requests, octet by octet."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from functions.vault.client import Client
from functions.vault.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable
from functions.vault.providers import Registration
from functions.vault.responses import Answer
from functions.vault.tokens import TokenResponse, TokenSet
from tests.unit.samples import BROWSER, NOW, answer, registration, validated_response

if TYPE_CHECKING:
    from collections.abc import Callable

REDIRECT_URI = "https://gate.example/callback/acme"
TOKEN_ANSWER = answer('{"access_token":"AT-2","expires_in":3600}')
HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "gatehouse",
}


@dataclass
class Server:
    """An authorization server that notes each request, and answers with what it was given, the last answer for ever."""

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
    """Give a server that hands out tokens."""
    return Server()


@pytest.fixture
def client(server: Server) -> Client:
    """Give a client of it, at the time `NOW`."""
    return Client(server, lambda: NOW)


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
    """The whole request (RFC 6749 section 6); the old refresh token stays where no new one came."""
    response = client.refresh(registration(), "RT-1", 9)

    assert response.tokens == TokenSet("AT-2", "RT-1")
    body = "grant_type=refresh_token&refresh_token=RT-1&client_id=client-1"
    assert server.requests == [("POST", "https://acme.example/token", HEADERS, body, 9)]


def test_a_rotated_refresh_token_replaces_the_old_one(server: Server, client: Client) -> None:
    """The one that came is the one that is kept."""
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
    """client_secret_basic: both halves form-encoded before they are joined, and neither in the form as well."""
    basic = Registration(registration(token_endpoint_auth_method="client_secret_basic").provider, "c:1", "s:ü %+&")

    client.refresh(basic, "RT-1", 9)

    expected = "Basic " + b64encode(b"c%3A1:s%3A%C3%BC+%25%2B%26").decode()
    assert server.requests[0][2] == HEADERS | {"Authorization": expected}
    assert server.forms[0].keys() == {"grant_type", "refresh_token"}


def test_quirks_are_sent_where_they_belong(server: Server, client: Client) -> None:
    """Each of a provider's extra parameters goes into its own kind of request, its headers into every one."""
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


def test_a_server_may_want_no_hint_and_say_yes_in_words(server: Server, client: Client) -> None:
    """UltraCart: a 200 alone is no yes."""
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
        (answer('{"error":"unsupported_token_type"}', 400), ProviderMisconfigured),
        (answer("", 503), ProviderUnavailable),
    ],
)
def test_a_revocation_that_is_refused_is_a_failure(
    server: Server, client: Client, said: Answer, error: type[GatehouseError]
) -> None:
    """The token lives on, and that is said; what to do about it is not for the client to decide."""
    server.answers = [said]

    with pytest.raises(error):
        client.revoke(registration(), "refresh_token", "RT-1", 9)

    assert len(server.requests) == 1


def test_a_missing_endpoint_is_named_and_nothing_is_sent(server: Server, client: Client) -> None:
    """Before the code or token leaves the house."""
    with pytest.raises(ProviderMisconfigured, match="no token_endpoint"):
        client.refresh(registration(token_endpoint=None), "RT-1", 9)

    assert server.requests == []


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize("act", ["exchange", "refresh", "revoke"])
def test_a_server_that_repeats_the_request_gets_nothing_into_the_error(
    server: Server, client: Client, act: str, method: str
) -> None:
    """Code, verifier, tokens, client secret and Authorization header: none of them in what callers and logs see."""
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
