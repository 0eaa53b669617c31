"""How a client proves who it is: assertions, secrets in forms and headers, and advice if they are refused."""

import json
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.oauth.client import Client
from tests.unit.recording_server import (
    REDIRECT_URI,
    REFUSED,
    TOKEN_ANSWER,
    WALL,
    Server,
    at_issuer,
    par,
)
from tests.unit.samples import NOW, answer, registration, validated_response

if TYPE_CHECKING:
    from collections.abc import Callable


def claims_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the claims of the assertion in a form, and its header's members under their names."""
    header, claims, _ = form["client_assertion"].split(".")
    return {**json.loads(urlsafe_b64decode(header + "==")), **json.loads(urlsafe_b64decode(claims + "=="))}


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
