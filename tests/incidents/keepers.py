"""Who keeps the tokens in a story, and what they say: a token, or one of a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tests.flows.application import fresh
from tests.flows.scripted import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser import Browser
    from tests.flows.application import Application

TRY_AGAIN = "try again"
CONNECT_AGAIN = "connect again"
ASK_THE_OPERATOR = "ask the operator"
REVOKED = "revoked"
REVOKING = "revoking"

CLIENT_ID = "story-client"

LONGER_THAN_A_REGISTRATION_IS_KEPT = 1800

_WORDS = {
    "reauthorization_required": CONNECT_AGAIN,
    "connection_revoked": REVOKED,
    "connection_not_found": CONNECT_AGAIN,
    "provider_misconfigured": ASK_THE_OPERATOR,
}


class Clock(Protocol):
    """The time of a story (Unix seconds): it is moved, never waited for."""

    def now(self) -> float:
        """Return the time."""

    def advance(self, seconds: float) -> None:
        """Move it forward."""


class Keeper(Protocol):
    """Keeps one connection. `comes_back_after` is when it asks again, in seconds, after it could give no token."""

    comes_back_after: float

    def connect(self) -> None:
        """Let the customer consent."""

    def registered_as(self, client_id: str) -> None:
        """Let the operator change the client's id."""

    def token(self) -> str:
        """Return an access token, or what is said in its place."""

    def refused(self) -> str:
        """Say that an API has refused the token of a moment ago; return the next one."""

    def disconnect(self) -> str:
        """End the grant; return what is said of it."""


class Gatehouse:
    """Gatehouse, by its handlers: the redirect over HTTP, all else by Invoke."""

    def __init__(
        self,
        application: Application,
        new_browser: Callable[[], Browser],
        clock: Clock,
        provider: str,
        register: Callable[[str], None],
    ) -> None:
        self._application = application
        self._new_browser = new_browser
        self._clock = clock
        self._provider = provider
        self._register = register
        self._connection_id = fresh()
        self._version = 0
        self.comes_back_after: float = 0

    def connect(self) -> None:
        """Start, consent, and come back."""
        connect(self._application, self._new_browser(), self._provider, connection_id=self._connection_id)

    def registered_as(self, client_id: str) -> None:
        """Write another registration, and wait until it has been read."""
        self._register(client_id)
        self._clock.advance(LONGER_THAN_A_REGISTRATION_IS_KEPT)

    def token(self) -> str:
        """Call `token`."""
        return self._said(self._call("token"))

    def refused(self) -> str:
        """Call `refresh` with the version that was refused."""
        return self._said(self._call("refresh", if_version=self._version))

    def disconnect(self) -> str:
        """Call `revoke`."""
        return str(self._call("revoke")["status"])

    def _call(self, function: str, **fields: Any) -> dict[str, Any]:
        return self._application.call(function, connection_id=self._connection_id, **fields)

    def _said(self, answer: dict[str, Any]) -> str:
        if "access_token" in answer:
            self._version = answer["version"]
            return str(answer["access_token"])
        self.comes_back_after = answer.get("retry_after", 0)
        return TRY_AGAIN if answer["retryable"] else _WORDS[answer["error"]]
