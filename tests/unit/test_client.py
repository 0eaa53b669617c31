"""What goes to the endpoints of a provider, octet by octet, and what the answers become."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable, TokenTypeNotRevoked
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account, TokenResponse
from functions.vault.oauth.client import Client
from functions.vault.oauth.id_token import KeyUnknown, NotVerified
from functions.vault.oauth.transport import Answer
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration
from tests.unit.recording_server import (
    HEADERS,
    REDIRECT_URI,
    REFUSED,
    REQUEST,
    TWO,
    WALL,
    Server,
    at_issuer,
    par,
)
from tests.unit.samples import BROWSER, NOW, answer, registration, validated_response
from tests.unit.test_id_token import public, signed

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize(
    ("named", "is_allowed"),
    [("ES256", True), (("PS256", "ES256"), True), ("PS256", False), (("PS256", "EdDSA"), False)],
)
def test_an_id_token_is_signed_as_the_registration_says(server: Server, named: Any, *, is_allowed: bool) -> None:
    """When it comes, and when it is verified later with a newer key. The operator reads what was found and expected."""
    registered = at_issuer(subject="id_token.sub", id_token_signed_response_alg=named)
    unverified = signed({**OURS, "sub": "user-1"})
    server.answers = [issues(unverified)]
    client = Client(server, lambda: NOW, issuer_keys=Keys(public("ES256")), wall_clock=lambda: WALL)

    response = client.exchange(registered, validated_response(), REDIRECT_URI, 9)

    waiting = TokenSet("AT-2", "RT-2", unverified)
    if is_allowed:
        assert (response.subject, response.not_verified) == ("user-1", None)
        assert client.account_of(registered.provider, "client-1", waiting, 9) == Account("user-1")
        return
    assert response.not_verified is not None
    assert "signed by ES256, and id_token_signed_response_alg expects PS256" in response.not_verified.description
    with pytest.raises(NotVerified, match="expects PS256"):
        client.account_of(registered.provider, "client-1", waiting, 9)


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

    with pytest.raises(error) as caught:
        client.push(par(), REQUEST, 9)

    assert caught.value.description


@pytest.mark.parametrize("request_uri", ["urn:a", "URN:Example:Bwc4JK-ESC0w8acc191e-Y1LTC2", "x-9.y+z:" + "q" * 2048])
def test_any_uri_names_a_pushed_request(server: Server, client: Client, request_uri: str) -> None:
    """RFC 9126 section 2.2 leaves its form to the server; a scheme may be in capitals (RFC 3986 section 3.1)."""
    server.answers = [answer(json.dumps({"request_uri": request_uri}), 201)]

    assert client.push(par(), REQUEST, 9) == request_uri


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
