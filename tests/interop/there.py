"""One client at a server that was not written here, and the provider that its owner registered for it."""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any

import boto3
import requests

from functions.vault.services import Services
from tests.flows.application import Application, fresh
from tests.interop.servers import consent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.stack import Stack
    from tests.browser import Browser

AWKWARD_ID = "shop:1 /+%&="
AWKWARD_SECRET = "s:1 +%&=/\"'<>~ 0123456789abcdefghijklmnopqrstuvwxyz-0123456789-ABCDEF"
LONGER_THAN_A_TOKEN_LIVES = 3700


def redirect_uris(stack: Stack, providers: Iterable[str]) -> list[str]:
    """Return what is to be registered at a server for these providers."""
    return [f"{stack.base_url}/callback/{provider}" for provider in providers]


class There:
    """What the tests do at a server: `connect`, `live`, and what follows from them."""

    def __init__(self, stack: Stack, browser: Browser, provider: str, **answers: str) -> None:
        """``provider`` is whose redirect URI the server knows; ``answers`` are what a person fills in there."""
        self.stack = stack
        self.browser = browser
        self.application = Application(stack)
        self.provider = provider
        self.document: dict[str, Any] = {}
        """The registration as it is stored."""
        self.account_url = ""
        """What answers the bearer of a good token, at the server."""
        self._answers = answers

    def with_person(self, browser: Browser, **answers: str) -> There:
        """Return the same, as met by another person with a new browser."""
        other = copy(self)
        other.browser, other._answers = browser, answers  # noqa: SLF001 - its own class
        return other

    def register(self, document: dict[str, Any]) -> None:
        """Store the registration of the provider, or replace it."""
        self.document = document
        secrets, name = boto3.client("secretsmanager"), f"gatehouse/providers/{self.provider}"
        try:
            secrets.create_secret(Name=name, SecretString=json.dumps(document))
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=name, SecretString=json.dumps(document))

    def call(self, function: str, connection_id: str, **fields: Any) -> dict[str, Any]:
        """Invoke a function for a connection."""
        return self.application.call(function, connection_id=connection_id, **fields)

    def refresh(self, connection_id: str) -> dict[str, Any]:
        """Refresh a token set that is old enough for that."""
        return self.application.refresh_later(connection_id)

    def connect(self, connection_id: str | None = None, **fields: Any) -> tuple[str, requests.Response]:
        """Have a person connect, and return the connection and the last page."""
        connection_id = connection_id or fresh()
        started = self.call("start", connection_id, provider=self.provider, **fields)
        return connection_id, consent(self.browser, started["authorize_url"], self._answers, self.stack.base_url)

    def live(self, connection_id: str) -> dict[str, Any]:
        """Return what `token` answers, which has to be a token."""
        vended = self.call("token", connection_id)
        assert "access_token" in vended, vended
        return vended

    def account(self, access_token: str) -> int:
        """Ask for the account of a token: 200 while the token is valid, 401 or 403 after."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return requests.get(self.account_url, headers=headers, timeout=10).status_code

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Return what `connections` says about a connection."""
        return dict(self.call("connections", connection_id)["connection"])

    def refresh_token(self, connection_id: str) -> str:
        """Return what only our own functions can decrypt."""
        environment = self.stack.deployment.functions["gatehouse-refresh"].environment
        services = Services.from_environ(environment, clock=self.stack.clock.now)
        return str(services.cipher.tokens_of(services.connections.require(connection_id)).refresh_token)


def whole_life(there: There) -> None:
    """Authorize, exchange, refresh on demand and when due, revoke; check at the server that each took effect."""
    connection_id, page = there.connect()
    assert page.status_code == 200, page.text
    first = there.live(connection_id)
    second = there.refresh(connection_id)
    there.stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    third = there.live(connection_id)
    assert [vended.get("version") for vended in (first, second, third)] == [1, 2, 3]
    assert len({vended["access_token"] for vended in (first, second, third)}) == 3
    assert there.account(third["access_token"]) == 200

    assert there.call("revoke", connection_id)["status"] == "revoked"

    assert there.account(third["access_token"]) in {401, 403}
    assert there.call("token", connection_id)["error"] == "connection_revoked"


def stolen_refresh_token(there: There, token_endpoint: str) -> None:
    """Somebody else uses our refresh token: the server notices, the grant ends, and a new consent restores it."""
    connection_id, _ = there.connect()
    form = {"grant_type": "refresh_token", "refresh_token": there.refresh_token(connection_id)}
    credentials = {"client_id": there.document["client_id"], "client_secret": AWKWARD_SECRET}

    thiefs = requests.post(token_endpoint, form | credentials, timeout=10)
    ours = there.refresh(connection_id)

    assert thiefs.status_code == 200
    assert (ours["error"], ours["retryable"]) == ("reauthorization_required", False)
    assert ours["provider_error"]["error"] == "invalid_grant"
    assert there.account(thiefs.json()["access_token"]) in {401, 403}
    assert there.connection(connection_id)["status"] == "reauthorization_required"
    _, page = there.connect(connection_id)
    assert (page.status_code, there.account(there.live(connection_id)["access_token"])) == (200, 200)
