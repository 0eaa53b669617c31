"""The whole life of a connection at oidc-provider, with its strictest settings."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urljoin

import boto3
import pytest
import requests

from functions.vault.grant.connection import JUST_OBTAINED
from tests.breadth import combinations
from tests.flows.application import fresh
from tests.interop.servers import oidc_provider
from tests.interop.there import AWKWARD_ID, AWKWARD_SECRET, There, redirect_uris, stolen_refresh_token, whole_life
from tools.jwk import jwk_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack
    from tests.browser import Browser

pytestmark = pytest.mark.needs_node


Client = tuple[dict[str, Any], dict[str, Any]]


def signing_key(key_spec: Any) -> tuple[str, dict[str, Any]]:
    """Create a key in KMS that the functions may use, and return its ARN and its public half as a JWK."""
    kms = boto3.client("kms")
    arn = kms.create_key(KeySpec=key_spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=f"alias/gatehouse-client-{uuid.uuid4()}", TargetKeyId=arn)
    return arn, jwk_of(kms.get_public_key(KeyId=arn)["PublicKey"])


def secret(client_id: str, method: str, **registration: Any) -> Client:
    """Return a client with a secret: what the server stores, and what its owner registers."""
    client = {
        "client_id": client_id,
        "client_secret": AWKWARD_SECRET,
        "token_endpoint_auth_method": method,
    }
    return client | registration, {
        "client_secret": AWKWARD_SECRET,
        "token_endpoint_auth_method": method,
        **registration,
    }


def key(client_id: str, key_spec: str, algorithm: str) -> Client:
    """Return a client with a key, likewise."""
    arn, jwk = signing_key(key_spec)
    client = {
        "client_id": client_id,
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": algorithm,
        "jwks": {"keys": [jwk | {"use": "sig"}]},
    }
    registration = {
        "client_signing_key": arn,
        "client_signing_kid": jwk["kid"],
        "token_endpoint_auth_signing_alg": algorithm,
    }
    return client, registration


CLIENTS: dict[str, Callable[[str], Client]] = {
    "none": lambda name: ({"client_id": name, "token_endpoint_auth_method": "none"}, {}),
    "basic": lambda name: secret(name, "client_secret_basic"),
    "post": lambda name: secret(name, "client_secret_post"),
    "jwt": lambda name: secret(name, "client_secret_jwt"),
    "jwt HS512": lambda name: secret(name, "client_secret_jwt", token_endpoint_auth_signing_alg="HS512"),
    "key ES256": lambda name: key(name, "ECC_NIST_P256", "ES256"),
    "key ES384": lambda name: key(name, "ECC_NIST_P384", "ES384"),
    "key ES512": lambda name: key(name, "ECC_NIST_P521", "ES512"),
    "key RS256": lambda name: key(name, "RSA_2048", "RS256"),
    "key PS256": lambda name: key(name, "RSA_2048", "PS256"),
}
"""The ways for a client to authenticate."""


@pytest.fixture(scope="module")
def providers() -> list[str]:
    """Give the names whose redirect URIs the servers know."""
    return [fresh("provider") for _ in range(50)]


@pytest.fixture(scope="module")
def clients(stack: Stack) -> dict[str, Client]:
    """Give a client for each way to authenticate."""
    assert stack.aws_endpoint
    return {name: make(f"{AWKWARD_ID}{number}") for number, (name, make) in enumerate(CLIENTS.items())}


@pytest.fixture(scope="module")
def issuers(stack: Stack, providers: list[str], clients: dict[str, Client]) -> Iterator[Callable[[bool], str]]:
    """Run the server with all clients, once with pushed requests required and once without. Gives its issuer."""
    known = {
        "redirect_uris": redirect_uris(stack, providers),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
    all_of_them = [known | client for client, _ in clients.values()]
    with ExitStack() as running:

        @cache
        def issuer(pushed: bool) -> str:  # noqa: FBT001 - the one thing in which the two differ
            return running.enter_context(oidc_provider(*all_of_them, requirePushedAuthorizationRequests=pushed))

        yield issuer


@pytest.fixture
def there(
    stack: Stack,
    browser: Browser,
    providers: list[str],
    clients: dict[str, Client],
    issuers: Callable[[bool], str],
) -> Callable[..., There]:
    """Register one of the clients as its owner does, with what a test adds; what is None is left out."""

    def register(client: str, *, pushed: bool = False, **more: Any) -> There:
        there = There(stack, browser, providers.pop(), login="merchant-1", password="anything")
        known, registration = clients[client]
        issuer = issuers(pushed)
        there.account_url = f"{issuer}/me"
        here = {"issuer": issuer, "client_id": known["client_id"], "scopes": ["openid", "offline_access"]}
        document = here | registration | more
        there.register({name: value for name, value in document.items() if value is not None})
        return there

    return register


@pytest.mark.parametrize(("client", "pushed"), combinations(list(CLIENTS), [True, False]))
def test_the_whole_life_of_a_connection(there: Callable[..., There], client: str, *, pushed: bool) -> None:
    """With each way to authenticate, with PKCE, pushed and not."""
    server = there(client, pushed=pushed)

    whole_life(server)


def test_reuse_of_a_refresh_token_is_recognized(there: Callable[..., There]) -> None:
    """The server revokes the grant; the person has to consent again, and can."""
    server = there("post")

    stolen_refresh_token(server, issuer_of(server) + "/token")


def test_many_who_ask_at_once_do_not_trip_reuse_detection(there: Callable[..., There]) -> None:
    """One refresh serves all of them: at this server a second use would have ended the grant."""
    # given
    server = there("basic")
    connection_id, _ = server.connect()
    server.stack.clock.advance(JUST_OBTAINED)

    # when
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: server.call("refresh", connection_id, if_version=1), range(8)))

    # then
    assert {answer.get("version") for answer in answers} == {2}
    assert server.account(server.live(connection_id)["access_token"]) == 200


@pytest.mark.parametrize("pushed", [True, False], ids=["pushed", "by URL"])
def test_an_answer_may_be_posted(there: Callable[..., There], *, pushed: bool) -> None:
    """`form_post`: the server's own page posts code, state and iss to the callback."""
    # given
    server = there("basic", pushed=pushed, response_mode="form_post")

    # when
    connection_id, page = server.connect()

    # then
    assert (page.status_code, page.request.method, "Your account is connected" in page.text) == (200, "GET", True)
    assert server.account(server.live(connection_id)["access_token"]) == 200


def test_a_token_is_for_the_resource_that_was_named(there: Callable[..., There]) -> None:
    """RFC 8707: authorization, exchange and refresh name the resource, and the token is for it."""
    # given
    orders = {"resource": ["urn:example:orders"], "scopes": ["openid", "offline_access", "orders"]}
    server = there("basic", **orders)

    # when
    connection_id, _ = server.connect()
    tokens = [server.live(connection_id), server.refresh(connection_id)]

    # then
    audiences = [introspect(server, vended["access_token"])["aud"] for vended in tokens]
    assert audiences == ["urn:example:orders", "urn:example:orders"]


def test_a_person_who_declines_sees_that(there: Callable[..., There]) -> None:
    """The error is believed, with the `iss` that this server adds to it; nothing was exchanged."""
    # given
    server = there("basic")
    started = server.application.call("start", provider=server.provider)

    # when
    request = server.browser.authorize(started["authorize_url"])
    page = decline(server, request)

    # then
    assert (page.status_code, "declined" in page.text) == (200, True)
    assert server.application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"


@pytest.mark.parametrize("good", [0, 1])
def test_either_of_two_live_secrets_connects_and_refreshes(there: Callable[..., There], good: int) -> None:
    """During a rotation the server may know the new secret, or not yet; the record says which one it accepted."""
    # given
    secrets = ["not-known-there-yet", "not-known-there-yet"]
    secrets[good] = AWKWARD_SECRET
    server = there("basic", client_secret=None, client_secrets=secrets)

    # when
    connection_id, page = server.connect()
    refreshed = server.refresh(connection_id)
    connection = server.connection(connection_id)
    revoked = server.call("revoke", connection_id)

    # then
    assert (page.status_code, refreshed.get("version"), revoked["status"]) == (200, 2, "revoked")
    assert connection["client_secret_used"] == ["newest", "previous"][good]


def test_a_secret_that_was_replaced_takes_effect_at_once(there: Callable[..., There]) -> None:
    """The registration is kept for minutes, but read again when the server refuses its secret."""
    # given
    server = there("post", client_secret="mistyped")
    connection_id, page = server.connect()
    assert page.status_code == 502

    # when
    server.register(server.document | {"client_secret": AWKWARD_SECRET})
    _, page = server.connect(connection_id)

    # then
    assert page.status_code == 200


def test_the_account_is_in_the_id_token_and_verified(
    there: Callable[..., There], new_browser: Callable[..., Browser]
) -> None:
    """Nobody can take the connection over with another account, unless `start` allows it."""
    # given
    server = there("basic", subject="id_token.sub")
    connection_id, page = server.connect()
    another = server.with_person(new_browser(), login="merchant-2", password="anything")

    # when
    subject = server.connection(connection_id)["subject"]
    _, refused = another.connect(connection_id)
    kept = server.connection(connection_id)["subject"], server.account(server.live(connection_id)["access_token"])
    _, allowed = another.connect(connection_id, allow_new_subject=True)

    # then
    assert (page.status_code, subject) == (200, "merchant-1")
    assert (refused.status_code, kept) == (409, ("merchant-1", 200))
    assert (allowed.status_code, server.connection(connection_id)["subject"]) == (200, "merchant-2")


def test_userinfo_names_the_account(there: Callable[..., There], new_browser: Callable[[], Browser]) -> None:
    """Without an ID token, the server's own endpoint shows that an account is another one."""
    # given
    server = there("post")
    another = server.with_person(new_browser(), login="merchant-2", password="anything")
    asked = {"account_endpoint": server.account_url, "subject": "sub", "metadata": ["sub"]}
    server.register(server.document | asked)

    # when
    connection_id, page = server.connect()
    vended = server.live(connection_id)
    _, refused = another.connect(connection_id)

    # then
    assert (page.status_code, vended["subject"], vended["metadata"]) == (200, "merchant-1", {"sub": "merchant-1"})
    assert refused.status_code == 409
    assert server.live(connection_id) == vended


def issuer_of(server: There) -> str:
    """Return the server's issuer."""
    return str(server.document["issuer"])


def introspect(server: There, token: str) -> dict[str, Any]:
    """Return what the server says about a token (RFC 7662)."""
    halves = (quote_plus(server.document["client_id"]), quote_plus(AWKWARD_SECRET))
    said = requests.post(f"{issuer_of(server)}/token/introspection", {"token": token}, auth=halves, timeout=10)
    return dict(said.json())


def decline(server: There, authorization_request: str) -> requests.Response:
    """Follow the link back on the server's first page."""
    to_sign_in = server.browser.open(authorization_request).headers["Location"]
    page = server.browser.open(urljoin(issuer_of(server), to_sign_in))
    link = re.search(r'href="([^"]*)">\[ Cancel', page.text)
    assert link is not None
    response = server.browser.open(urljoin(page.url, link[1]))
    while "Location" in response.headers:
        response = server.browser.open(urljoin(response.url, response.headers["Location"]))
    return response
