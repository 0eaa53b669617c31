"""The demo authorization server on a loopback port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.base.serving import LoopbackServer
from local.demo.application import Application
from local.demo.clients import STANDARD_CLIENT, ULTRACART_CLIENT
from local.demo.ultracart import PREFIX as ULTRACART_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from local.demo.faults import Faults


class DemoServer:
    """Speaks UltraCart's dialect at `/rest/v2/oauth`, and the RFCs' under the issuers `/standard` and `/openid`."""

    def __init__(self, clock: Callable[[], float], callbacks_at: str | None = None) -> None:
        """Go by `clock` (Unix seconds). Browsers are sent back to this machine, and to `callbacks_at`."""
        self._clock = clock
        self._callbacks_at = callbacks_at
        self._socket: LoopbackServer | None = None
        self._application: Application | None = None

    def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1, on any free port unless one is given."""
        self._socket = LoopbackServer(port)
        self._application = Application(self._socket.url, self._clock, self._callbacks_at)
        self._socket.serve(self._application)
        return self

    def stop(self) -> None:
        """Stop listening, and cut short what waits or drips."""
        if self._socket is not None and self._application is not None:
            self._application.stopping.set()
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        if self._socket is None:
            raise RuntimeError("The demo server is not started.")
        return self._socket.url

    @property
    def registrations(self) -> dict[str, dict[str, Any]]:
        """The two providers as the owner of an application would register them: `ultracart` and `demo`."""
        oauth = f"{self.url}{ULTRACART_PREFIX}"
        return {
            "ultracart": {
                "client_id": ULTRACART_CLIENT.client_id,
                "authorization_endpoint": f"{oauth}/authorize",
                "token_endpoint": f"{oauth}/token",
                "revocation_endpoint": f"{oauth}/revoke",
                "account_endpoint": f"{oauth}/me",
            },
            "demo": self.standard_registration("standard"),
        }

    def standard_registration(self, issuer: str) -> dict[str, Any]:
        """Return the registration at the issuer `standard` (RFC 8414) or `openid` (OpenID discovery only)."""
        return {
            "issuer": f"{self.url}/{issuer}",
            "client_id": STANDARD_CLIENT.client_id,
            "client_secret": STANDARD_CLIENT.secret,
            "scopes": list(STANDARD_CLIENT.scopes),
        }

    def put_faults(self, *sequence: Faults) -> None:
        """Set what an endpoint does; see FaultBook.put. Raises FaultError."""
        self._running.faults.put(*sequence)

    def faults(self) -> list[Faults]:
        """Return the switches in force, with the `times` that are left."""
        return self._running.faults.in_force()

    def work(self) -> None:
        """Work again."""
        self._running.faults.clear()

    def reset(self) -> None:
        """Work again, and forget the requests (grants and secrets stay)."""
        self._running.faults.clear()
        self._running.ledger.clear()

    def withdraw(self, merchant_id: str | None = None) -> None:
        """End the grants of a merchant, or all: consent was withdrawn at the server."""
        self._running.grants.withdraw(merchant_id)

    def requests(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return the requests since the last reset, to one endpoint or to all; see observation.Seen."""
        return [seen for seen in self._running.ledger.requests() if endpoint in {None, seen["endpoint"]}]

    def grants(self) -> list[dict[str, Any]]:
        """Return every grant with its state, and the most token requests that it ever had open at once."""
        return self._running.fault_api.grants()

    def secrets(self) -> dict[str, list[str]]:
        """Return every secret value ever issued or received, by kind."""
        return self._running.ledger.secrets()

    @property
    def _running(self) -> Application:
        if self._application is None:
            raise RuntimeError("The demo server is not started.")
        return self._application
