"""The whole life of a connection at django-oauth-toolkit, unmodified: PKCE, rotation, no reuse."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.servers import django_oauth_toolkit
from tests.interop.there import AWKWARD_ID, AWKWARD_SECRET, There, stolen_refresh_token, whole_life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack
    from tests.browser import Browser


@pytest.fixture
def server(stack: Stack, browser: Browser) -> Iterator[Callable[..., tuple[There, str]]]:
    """Run the server with one client; its owner registers the issuer and what a test adds. Yields its URL."""
    with ExitStack() as running:

        def start(client: dict[str, Any] | None = None, **registration: Any) -> tuple[There, str]:
            there = There(stack, browser)
            known = {
                "client_id": AWKWARD_ID,
                "client_secret": AWKWARD_SECRET,
                "client_type": "confidential",
                "authorization_grant_type": "authorization-code",
                "redirect_uris": there.redirect_uri,
            }
            url = running.enter_context(django_oauth_toolkit(known | (client or {})))
            there.account_url = f"{url}/me"
            there.register({"issuer": f"{url}/o", "client_id": AWKWARD_ID, "scopes": ["read", "write"], **registration})
            return there, url

        yield start


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_whole_life_of_a_connection(server: Callable[..., tuple[There, str]], method: str) -> None:
    """Discovered from its issuer, with a secret full of special characters in either place."""
    there, _ = server(client_secret=AWKWARD_SECRET, token_endpoint_auth_method=method)

    whole_life(there)


def test_the_whole_life_of_a_public_clients_connection(server: Callable[..., tuple[There, str]]) -> None:
    """Without a secret, PKCE matters all the more."""
    there, _ = server({"client_type": "public"})

    whole_life(there)


def test_reuse_of_a_refresh_token_is_recognized(server: Callable[..., tuple[There, str]]) -> None:
    """The server revokes all its successors; the person has to consent again, and can."""
    there, url = server(client_secret=AWKWARD_SECRET)

    stolen_refresh_token(there, f"{url}/o/token/")


@pytest.mark.parametrize("good", [0, 1])
def test_either_of_two_live_secrets_connects(server: Callable[..., tuple[There, str]], good: int) -> None:
    """A code that came with the wrong secret first is still valid: the server had not looked at it."""
    secrets = ["not-known-there", "not-known-there"]
    secrets[good] = AWKWARD_SECRET
    there, _ = server(client_secrets=secrets)

    connection_id, page = there.connect()

    assert page.status_code == 200
    assert there.connection(connection_id)["client_secret_used"] == ["newest", "previous"][good]
    assert there.account(there.live(connection_id)["access_token"]) == 200
