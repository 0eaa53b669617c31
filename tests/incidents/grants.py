"""An authorization server that knows which of its grants live: the judge of each story."""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from tests.flows.scripted import Received, Scripted

PATIENCE = 10.0
"""Seconds that a request waits at most; only a failing test ever does."""


@dataclass
class Grant:
    """What one account has allowed: its tokens, and whether it lives. Times are Unix seconds."""

    account: str
    refresh_token: str | None
    access_tokens: dict[str, float] = field(default_factory=dict)
    replaced: dict[str, float] = field(default_factory=dict)
    """Refresh tokens that were rotated away, and when."""
    lives: bool = True


def says(status: int, document: Any = None, **headers: str) -> Response:
    """Return an answer: JSON, or text, or nothing at all."""
    body = "" if document is None else document if isinstance(document, str) else json.dumps(document)
    kind = "application/json" if isinstance(document, dict) else "text/html"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status, {"Content-Type": kind, **named})


@dataclass
class Grants:
    """The grants of one server, behind its token and revocation endpoints. What a story says of it is in the fields."""

    server: Scripted
    now: Callable[[], float]
    lifetime: int = 3600
    """Seconds that an access token lives."""
    rotates: bool = False
    """Whether each refresh token is for one use. A second use ends the grant, but for the `replay` seconds after."""
    replay: int = 0
    refresh_token_once: bool = False
    """Whether only the first consent of an account brings a refresh token: the later ones leave it as it was."""
    takes_only_live_access_tokens: bool = False
    """Whether the revocation endpoint takes access tokens alone, and those that live."""
    to_a_dead_access_token: Response = field(default_factory=lambda: says(400, {"error": "invalid_token"}))
    account: str = "ada"
    """Who consents next."""
    client_id: str | None = None
    """The client that grants are issued to: the first that comes. Another one's refreshes are refused."""
    grants: list[Grant] = field(default_factory=list)
    instead: list[Callable[[Received], Response | None]] = field(default_factory=list)
    """What the token endpoint answers to the next requests in place of the truth; None is the truth."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Stand behind the server's paths."""
        self.server.answers |= {"/token": self._token, "/revoke": self._revoke}

    @property
    def living(self) -> int:
        """Return how many grants live."""
        return sum(each.lives for each in self.grants)

    def refuses_next(self, *answers: Response) -> None:
        """Give these answers to the next token requests, whatever is asked, and change nothing."""
        self.instead.extend(partial(_same, answer) for answer in answers)

    def accepts(self, access_token: str | None) -> bool:
        """Return whether the API of this server would take an access token."""
        return any(each.lives and each.access_tokens.get(access_token or "", 0) > self.now() for each in self.grants)

    def was_issued(self, access_token: str) -> bool:
        """Return whether an access token is one of this server's, whatever has become of it."""
        return any(access_token in each.access_tokens for each in self.grants)

    def answers_after(self, event: threading.Event) -> None:
        """Do what the next token request asks for, and answer it when `event` has come."""

        def wait(received: Received) -> Response:
            answer = self._answer(received)
            event.wait(PATIENCE)
            return answer

        self.instead.append(wait)

    def requests(self, path: str = "/token") -> int:
        """Return how many requests a path has had."""
        return self.server.paths().count(path)

    def _token(self, received: Received) -> Response:
        instead = self.instead.pop(0)(received) if self.instead else None
        return self._answer(received) if instead is None else instead

    def _answer(self, received: Received) -> Response:
        form = dict(received.form)
        if form["grant_type"] == "authorization_code":
            self.client_id = _client_in(received)
            return self._issued(*self._consented())
        if _client_in(received) != self.client_id:
            return says(400, {"error": "invalid_grant", "error_description": "issued to another client"})
        grant = self._of_refresh_token(form["refresh_token"])
        if grant is None:
            return says(400, {"error": "invalid_grant"})
        if self.rotates and form["refresh_token"] == grant.refresh_token:
            grant.replaced[form["refresh_token"]] = self.now()
            grant.refresh_token = self._fresh("refresh")
        return self._issued(grant, grant.refresh_token if self.rotates else None)

    def _consented(self) -> tuple[Grant, str | None]:
        known = next((each for each in self.grants if each.account == self.account and each.lives), None)
        if known is not None and self.refresh_token_once:
            return known, None
        self.grants.append(Grant(self.account, self._fresh("refresh")))
        return self.grants[-1], self.grants[-1].refresh_token

    def _of_refresh_token(self, refresh_token: str) -> Grant | None:
        for grant in self.grants:
            if not grant.lives or refresh_token not in {grant.refresh_token, *grant.replaced}:
                continue
            if refresh_token in grant.replaced and self.now() > grant.replaced[refresh_token] + self.replay:
                grant.lives = False
                return None
            return grant
        return None

    def _issued(self, grant: Grant, refresh_token: str | None) -> Response:
        access_token = self._fresh("access")
        grant.access_tokens[access_token] = self.now() + self.lifetime
        document = {"access_token": access_token, "token_type": "Bearer", "expires_in": self.lifetime, "ok": True}
        return says(
            200,
            document
            | {"account": grant.account, "team": {"id": grant.account}}
            | ({"refresh_token": refresh_token} if refresh_token else {}),
        )

    def _revoke(self, received: Received) -> Response:
        token = _token_in(received)
        for grant in self.grants:
            is_refresh_token = token in {grant.refresh_token, *grant.replaced}
            if not is_refresh_token and token not in grant.access_tokens:
                continue
            is_live = grant.lives and grant.access_tokens.get(token, 0) > self.now()
            if self.takes_only_live_access_tokens and not is_live:
                return self.to_a_dead_access_token
            grant.lives = False
        return says(200, {"ok": True, "revoked": True})

    def _fresh(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"


def _same(answer: Response, _received: Received) -> Response:
    return answer


def _client_in(received: Received) -> str:
    """Return the client: from its credentials (RFC 6749 section 2.3.1), or from the form."""
    scheme, _, credentials = received.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        return base64.b64decode(credentials).decode().partition(":")[0]
    return dict(received.form)["client_id"]


def _token_in(received: Received) -> str:
    """Return the token that is to be revoked: in a form (RFC 7009), in JSON, or as the request's own credentials."""
    if received.headers.get("authorization", "").startswith("Bearer "):
        return received.headers["authorization"].removeprefix("Bearer ")
    if received.headers.get("content-type", "").startswith("application/json"):
        return str(json.loads(received.body)["access_token"])
    return dict(received.form)["token"]
