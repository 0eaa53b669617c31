"""The life of one connection to a provider through the real use cases, written down as it went over the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from functions.vault.base.timing import NEVER
from functions.vault.oauth import cookies
from functions.vault.oauth.authorization import BrowserBinding, Ticket
from functions.vault.oauth.authorization_response import validate
from functions.vault.oauth.client import Client
from functions.vault.oauth.transport import Answer
from functions.vault.storage.registrations import Registrations
from tests.golden.examples import COMMON, EXAMPLES, body_of
from tests.unit.services import MemoryServices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.vault.grant.connection import Connection
    from tests.golden.examples import Example

_NONCE = "n" * 43


class Wire:
    """The provider's endpoints: they answer in turn, and record what came."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.lines: list[str] = []

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, _timeout: float) -> Answer:
        """Answer one request."""
        self.lines += [f"{method} {url}", *(f"{name}: {value}" for name, value in headers.items()), ""]
        if body is not None:
            self.lines += [*_split(body), ""]
        status, said = self.answers.pop(0)
        self.lines.append(f"<- {status} {body_of(said)}".rstrip())
        return Answer(status, {"content-type": "application/json"}, body_of(said).encode())

    def taken(self) -> list[str]:
        """Return what was written down, and begin the next part."""
        lines, self.lines = self.lines, []
        return lines


class _Secrets:
    """A Secrets Manager with one registration in it."""

    def __init__(self, registration: Mapping[str, Any]) -> None:
        self._document = json.dumps(registration)

    def get_secret_value(self, **_arguments: str) -> dict[str, str]:
        return {"SecretString": self._document}


def snapshot(provider: str) -> str:
    """Return the life of a connection to this provider, for a person to compare with its documentation."""
    life = _Life(provider, EXAMPLES.get(provider, COMMON))
    return "\n".join(
        ["\n".join(part()) + "\n" for part in (life.opening, life.exchange, life.refresh, life.revocation)]
    )


class _Life:
    """The life of one connection; each method goes one step on, and returns the lines that describe it."""

    def __init__(self, provider: str, example: Example) -> None:
        self._provider = provider
        self._example = example
        self._wire = Wire()
        self._registration = {"client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET", **example.registration}
        self._services = services = MemoryServices()
        secrets = _Secrets(self._registration)
        registrations = Registrations(lambda _: secrets, "", self._wire, lambda: services.now, loopback_http=False)
        shared: dict[str, Any] = {"registrations": registrations}
        self._starting = replace(services.starting, **shared)
        shared["client"] = Client(self._wire, lambda: services.now, slots=services.slots)
        self._completing = services.completing_with(**shared)
        self._vending = replace(services.vending, refreshing=services.refreshing_with(**shared))
        self._revoking = services.revoking_with(**shared)

    def opening(self) -> Iterator[str]:
        """Start, and be redirected."""
        fields = {"provider": self._provider, "connection_id": "merchant-1", **self._example.start}
        ticket = Ticket.parse(self._starting.start(fields, NEVER)["authorize_url"].rpartition("/")[2])
        assert ticket is not None
        self._browser = BrowserBinding(ticket.request_id, ticket.secret or "", _NONCE)
        self._request = self._services.authorizations.records[ticket.request_id]
        yield f"start {json.dumps(self._example.start)}"
        yield f"registration {json.dumps(self._registration)}"
        yield ""
        yield "== authorization request"
        yield from self._named(_split(self._request.location(self._browser)))

    def exchange(self) -> Iterator[str]:
        """Come back, and have the code exchanged."""
        query = urlencode({**self._example.redirect, "state": self._browser.state})
        yield "== redirect"
        yield from self._named([self._request.redirect_uri, *_split(f"?{query}")])
        yield ""
        browser = self._browser
        name = cookies.name_of(browser.request_id, secure=True, form_post=False)
        response = validate(self._provider, query, [f"{name}={browser.ticket_secret}.{browser.nonce}"], secure=True)
        self._wire.answers = [(200, said) for said in (self._example.issued, self._example.account) if said is not None]
        outcome = self._completing.complete(response, self._services.deadline())
        assert outcome.page == "connected", outcome
        yield "== token request" + (", account request" if self._example.account is not None else "")
        yield from self._named(self._wire.taken())
        yield from _stored(self._services)

    def refresh(self) -> Iterator[str]:
        """Refresh once, if there is a refresh token."""
        self._wire.answers = [(200, self._example.refreshed)]
        yield "== refresh request"
        if self._services.tokens().refresh_token is None:
            yield "none: the grant came without a refresh token"
            return
        self._services.pass_time(60)()  # what came a moment ago would be taken as it is
        self._vending.refresh("merchant-1", None, self._services.deadline())
        yield from self._wire.taken()
        yield from _stored(self._services)

    def revocation(self) -> Iterator[str]:
        """Revoke the connection."""
        self._wire.answers = [self._example.revoked] * 2
        self._revoking.revoke("merchant-1", self._services.deadline())
        assert self._services.stored().status == "revoked", self._services.stored()
        yield "== revocation requests"
        yield from self._wire.taken() or ["none: no revocation endpoint is known; the connection ends here alone"]

    def _named(self, lines: list[str]) -> Iterator[str]:
        """Yield lines in which random values have names."""
        browser = self._browser
        names = {
            browser.state: "STATE",
            browser.code_challenge: "CODE_CHALLENGE",
            browser.code_verifier: "CODE_VERIFIER",
        }
        for line in lines:
            for value, name in names.items():
                line = line.replace(value, name)  # noqa: PLW2901 - one line, value by value
            yield line


def _split(text: str) -> list[str]:
    """Return a URL or a form in lines: each begins with the character that joins it to the one before."""
    if text.startswith(("{", "[")):
        return [text]
    return text.replace("?", "\n?").replace("&", "\n&").strip("\n").split("\n")


def _stored(services: MemoryServices) -> Iterator[str]:
    """Yield what is stored of an answer, times in seconds from now."""
    stored, tokens = services.stored(), services.tokens()
    current = stored.current
    assert current is not None
    yield f"   access_token {tokens.access_token}"
    yield f"   refresh_token {tokens.refresh_token}"
    yield f"   token_type {current.token_type}"
    refresh_expires_at = _after(services, current.refresh_expires_at)
    yield f"   expires_at {_after(services, stored.expires_at)}, refresh_expires_at {refresh_expires_at}"
    yield f"   scope {stored.scope}"
    yield from _account(stored)


def _account(stored: Connection) -> Iterator[str]:
    if stored.subject is not None:
        yield f"   subject {stored.subject}"
    if stored.metadata:
        yield f"   metadata {json.dumps(stored.metadata)}"
    if stored.parameters:
        yield f"   parameters {json.dumps(stored.parameters)}"


def _after(services: MemoryServices, moment: int | None) -> str:
    return "unknown" if moment is None else f"now + {moment - int(services.now)}"
