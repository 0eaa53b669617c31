"""The whole life of a connection at django-oauth-toolkit, unmodified: PKCE, rotation, no reuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.application import fresh
from tests.interop.servers import django_oauth_toolkit
from tests.interop.there import AWKWARD_ID, AWKWARD_SECRET, There, redirect_uris, stolen_refresh_token, whole_life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack
    from tests.browser import Browser


PUBLIC_ID = f"{AWKWARD_ID} public"


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    """Run the server with two clients, once, and yield its URL and the providers that it knows."""
    providers = [fresh("provider") for _ in range(10)]
    known = {
        "authorization_grant_type": "authorization-code",
        "redirect_uris": " ".join(redirect_uris(stack, providers)),
    }
    confidential = {"client_id": AWKWARD_ID, "client_secret": AWKWARD_SECRET, "client_type": "confidential"}
    public = {"client_id": PUBLIC_ID, "client_secret": AWKWARD_SECRET, "client_type": "public"}
    with django_oauth_toolkit(known | confidential, known | public) as url:
        yield url, providers


@pytest.fixture
def server(stack: Stack, browser: Browser, running: tuple[str, list[str]]) -> Callable[..., There]:
    """Register a provider as its owner does: the issuer, and what a test adds."""
    url, providers = running

    def register(client_id: str = AWKWARD_ID, **registration: Any) -> There:
        there = There(stack, browser, providers.pop())
        there.account_url = f"{url}/me"
        there.register({"issuer": f"{url}/o", "client_id": client_id, "scopes": ["read", "write"], **registration})
        return there

    return register


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_whole_life_of_a_connection(server: Callable[..., There], method: str) -> None:
    """Discovered from its issuer, with a secret full of special characters in either place."""
    there = server(client_secret=AWKWARD_SECRET, token_endpoint_auth_method=method)

    whole_life(there)


def test_the_whole_life_of_a_public_clients_connection(server: Callable[..., There]) -> None:
    """Without a secret, PKCE matters all the more."""
    there = server(PUBLIC_ID)

    whole_life(there)


def test_reuse_of_a_refresh_token_is_recognized(server: Callable[..., There]) -> None:
    """The server revokes all its successors; the person has to consent again, and can."""
    there = server(client_secret=AWKWARD_SECRET)

    stolen_refresh_token(there, f"{there.document['issuer']}/token/")


@pytest.mark.parametrize("good", [0, 1])
def test_either_of_two_live_secrets_connects(server: Callable[..., There], good: int) -> None:
    """A code that came with the wrong secret first is still valid: the server had not looked at it."""
    secrets = ["not-known-there", "not-known-there"]
    secrets[good] = AWKWARD_SECRET
    there = server(client_secrets=secrets)

    connection_id, page = there.connect()

    assert page.status_code == 200
    assert there.connection(connection_id)["client_secret_used"] == ["newest", "previous"][good]
    assert there.account(there.live(connection_id)["access_token"]) == 200
