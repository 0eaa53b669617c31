"""What an attempt to revoke a token set came to: written into the connection's record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from functions.vault.base.record import record
from functions.vault.grant import refreshes, revocations

if TYPE_CHECKING:
    from functions.vault.base.timing import Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.revocation_attempt import RevocationAttempt
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.storage.connections import Connections

After = Callable[["Connection", "StoredSet", float], "Connection | None"]
"""What a record becomes, given the token set as it is to be revoked now and the time; None if it stays as it is."""


@record
class RevocationResults:
    """Writes what becomes of a token set that is to be revoked."""

    connections: Connections
    timing: Timing

    def conclude(self, held: Connection, mine: StoredSet, attempt: RevocationAttempt) -> Connection:
        """Write what an attempt came to, and return the record.

        What a server has confirmed is written whatever another attempt came to meanwhile; a failure only if our lease
        still holds.
        """
        jitter, failure = self.timing.jitter(), attempt.failure

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            known = current.with_answers(attempt.answers)
            if failure is None:
                return revocations.revocation_confirmed(stored, known, now)
            if not is_ours(current, mine):
                return None
            return revocations.revocation_failed(stored, known.attempt_failed(failure, now, jitter), now)

        ended = mine.with_answers(attempt.answers) if failure is None else None
        return self.change(held, mine, after, ended=ended)

    def lease_given_back(self, held: Connection, mine: StoredSet) -> Connection:
        """Give the lease of a token set back: nothing was sent. Return the record."""
        return self.change(held, mine, given_back)

    def change(
        self, connection: Connection, token_set: StoredSet, after: After, *, ended: StoredSet | None = None
    ) -> Connection:
        """Write what has become of a token set, whatever else changes in the record; return the record.

        If the set is gone, another attempt has revoked it, and nothing is written; or a late answer has replaced it. If
        the server confirmed the end of the one that was replaced (`ended`), that is noted: it may refuse to end the
        same grant a second time.
        """

        def changed(stored: Connection) -> Connection | None:
            current, now = to_revoke(stored, token_set), self.timing.now()
            if current is not None:
                return after(stored, current, now)
            if ended is not None and _was_replaced(stored, token_set):
                return revocations.end_noted(stored, ended, now)
            return None

        return self.connections.change_as_found(connection, changed)


def to_revoke(connection: Connection, token_set: StoredSet) -> StoredSet | None:
    """Return a token set as it is to be revoked now; None if that is done."""
    return next((each for each in connection.to_revoke if each.id == token_set.id), None)


def is_ours(current: StoredSet, mine: StoredSet) -> bool:
    """Return whether the lease of `mine` still holds."""
    return mine.lease is not None and current.is_held_by(mine.lease.holder)


def given_back(stored: Connection, token_set: StoredSet, _now: float) -> Connection:
    """Return a record in which the lease of a token set is given back."""
    return refreshes.lease_ended_aside(stored, token_set.lease_ended())


def _was_replaced(connection: Connection, token_set: StoredSet) -> bool:
    """Return whether a set that is to be revoked now was refreshed from this one."""
    return any(each.refreshed_from and each.refreshed_from.set_id == token_set.id for each in connection.to_revoke)
