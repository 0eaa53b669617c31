"""Revoking a connection: it ends here at once, and its token sets are revoked until the server confirms it.

What is done with each token set is in `token_revocation`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record
from functions.vault.base.timing import SLOT_WAIT
from functions.vault.grant import revocations
from functions.vault.grant.life import ENDED, Status
from functions.vault.grant.revocation import ENDED_WITH_ALL, LEFT_AT_THE_SERVER

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.failure import Failure
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations

    from .token_revocation import TokenRevocation

GIVE_UP_AFTER = 30
"""Failures to revoke after which a person has to look: with the delays between them, most of a day."""


class NotRevokedYet(Exception):
    """The server has not confirmed the end for so long that the message goes to the dead letters: an alarm fires."""


@record
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    token_revocation: TokenRevocation
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline, narrowing: Narrowing | None = None) -> dict[str, Any]:
        """End the connection: `revoked` if the server has confirmed it or cannot be asked, else `revoking`."""
        holder = uuid.uuid4().hex
        ended = self._end_here(connection_id, holder, deadline, narrowing)
        stored = self._revoke_all(ended, holder, deadline, self.timing.now() + SLOT_WAIT)
        if stored.to_revoke:
            return {"connection_id": connection_id, "status": str(Status.REVOKING)}
        return {"connection_id": connection_id, "status": str(Status.REVOKED), **_of_the_grant(stored)}

    def retry(self, connection_id: str, deadline: Deadline) -> GatehouseError | None:
        """Try once more, for the queue. If no slot of the provider is free, it is due again soon.

        Returns the failure, for the log; the record says when it is due again. Raises `NotRevokedYet` if it has failed
        too often.
        """
        connection = self.connections.get(connection_id)
        if connection is None:
            return None
        stored = self._revoke_all(connection, uuid.uuid4().hex, deadline, self.timing.now())
        self._raise_if_given_up(stored)
        failures = _failures(stored)
        return failures[0].as_error(connection_id, self.timing.now()) if failures else None

    def put_off(self, connection_id: str) -> None:
        """Skip an attempt of the queue; raise `NotRevokedYet` if there were too many, as `retry` does."""
        if (connection := self.connections.get(connection_id)) is not None:
            self._raise_if_given_up(connection)

    def _raise_if_given_up(self, connection: Connection) -> None:
        most = max((failure.count for failure in _failures(connection)), default=0)
        if most >= GIVE_UP_AFTER:
            raise NotRevokedYet(f"The authorization server did not confirm the revocation in {most} attempts.")

    def _end_here(self, connection_id: str, holder: str, deadline: Deadline, narrowing: Narrowing | None) -> Connection:
        """Return the connection with nothing to vend any more; its current token set is leased to us if it was free."""

        def ending(connection: Connection) -> Connection | None:
            # Asked of each record that is read: it may have become another owner's since the first.
            if narrowing is not None:
                narrowing.require(connection_id, connection.owner)
            if connection.status in ENDED and not _has_unconfirmed_for(narrowing, connection):
                return None
            waiting = self.registrations.has_slots(connection.provider)
            now = self.timing.now()
            return revocations.revoked(connection, now, holder, now + deadline.for_lease(), waiting=waiting)

        return self.connections.change_as_found(self.connections.require(connection_id), ending)

    def _revoke_all(self, connection: Connection, holder: str, deadline: Deadline, slot_by: float) -> Connection:
        """Try each token set once, also those that come meanwhile; return what is stored."""
        tried: set[str] = set()
        while left := [each for each in connection.to_revoke if each.id not in tried]:
            tried.add(left[0].id)
            connection = self.token_revocation.attempt(connection, left[0], holder, deadline, slot_by)
        return connection


def _has_unconfirmed_for(narrowing: Narrowing | None, connection: Connection) -> bool:
    """Return whether tokens wait to be confirmed that a call may take away.

    In a connection that was revoked they may be another owner's, until they are confirmed.
    """
    waiting = connection.unconfirmed
    if waiting is None or waiting.pending is None:
        return False
    return narrowing is None or narrowing.includes(connection.connection_id, waiting.pending.owner)


def _of_the_grant(revoked: Connection) -> dict[str, str]:
    """Return what `revoke` answers beside the status: whether a grant may live on, or others have ended with it."""
    if any(end.is_left for end in revoked.revocation):
        return {"grant": LEFT_AT_THE_SERVER}
    return {"grant": ENDED_WITH_ALL} if any(end.ended_all for end in revoked.revocation) else {}


def _failures(connection: Connection) -> list[Failure]:
    """Return the last failure of each token set that is to be revoked and has failed."""
    revocations = (each.revocation for each in connection.to_revoke)
    return [each.failure for each in revocations if each is not None and each.failure is not None]
