"""The end of a grant: here at once, then at the authorization server (RFC 7009)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .connection import Status
from .errors import GatehouseError, ReauthorizationRequired, TemporarilyUnavailable
from .store import Conflict

if TYPE_CHECKING:
    from .cipher import Cipher
    from .client import Client
    from .connection import Connection
    from .registrations import Registrations
    from .store import Connections
    from .timing import Deadline, Timing


_ENDINGS = frozenset({Status.REVOKING, Status.REVOKED})


@dataclass(frozen=True, slots=True)
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline) -> dict[str, Any]:
        """End the connection; `revoked` where the server was told or need not be, `revoking` where it could not be."""
        ending, was_dead = self._end_here(connection_id)
        if ending.status is Status.REVOKING:
            ending = self._end_there(ending, deadline, was_dead=was_dead)
        return {"connection_id": connection_id, "status": str(ending.status)}

    def _end_here(self, connection_id: str) -> tuple[Connection, bool]:
        """Return the connection with nothing to vend any more, and whether its grant was dead before."""
        while True:
            connection = self.connections.require(connection_id)
            was_dead = connection.failure is not None and connection.failure.code == ReauthorizationRequired.code
            if connection.status in _ENDINGS:
                return connection, was_dead
            ending = connection.revoking(self.timing.now())
            try:
                self.connections.change(connection, ending)
            except Conflict:
                continue
            return ending, was_dead

    def _end_there(self, ending: Connection, deadline: Deadline, *, was_dead: bool) -> Connection:
        now = self.timing.now
        try:
            self._tell_server(ending, deadline)
        except GatehouseError as error:
            refused = error.provider_error is not None and not _is_outage(error)
            if was_dead and refused:
                return self._settle(
                    ending, ending.revoked(now())
                )  # the server said itself that there is nothing left to revoke
            return self._settle(ending, ending.revocation_failed(error, now(), self.timing.jitter()))
        return self._settle(ending, ending.revoked(now()))

    def _tell_server(self, ending: Connection, deadline: Deadline) -> None:
        registration = self.registrations.get(ending.provider)
        if registration.provider.revocation_endpoint is None:
            return  # this server has no way to be told; what is here ends here
        tokens = self.cipher.open(ending)
        self.client.revoke(registration, tokens, deadline.for_http(registration.provider.request_timeout))

    def _settle(self, ending: Connection, after: Connection) -> Connection:
        """Write how it ended. Where another call was first, its outcome counts; a new authorization is left alone.

        A confirmed end is the exception: it stands over the failure of another, whom the server may have refused only
        because it had just confirmed it to us.
        """
        while True:
            try:
                self.connections.change(ending, after)
            except Conflict:
                stored = self.connections.get(ending.connection_id)
                if stored is None or stored.version != ending.version or stored.status not in _ENDINGS:
                    return after
                if stored.status is Status.REVOKED or after.status is Status.REVOKING:
                    return stored
                ending, after = stored, stored.revoked(self.timing.now())
            else:
                return after


def _is_outage(error: GatehouseError) -> bool:
    status = error.provider_error.status if error.provider_error else None
    return (
        isinstance(error, TemporarilyUnavailable)
        or status is None
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status == HTTPStatus.TOO_MANY_REQUESTS
    )
