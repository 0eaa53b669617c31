"""What a revocation does to a connection: its end here, and each attempt to revoke a token set at its server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .consents import disowned
from .life import ENDED, Happened, Place, Status
from .revoked import Revoked
from .transition import after, after_lease, within_bounds

if TYPE_CHECKING:
    from .connection import Connection
    from .stored_set import StoredSet

MOST_REVOKED = 20
"""Records of what servers answered to revocations that a connection keeps, the latest."""


def revoked(
    connection: Connection, now: float, holder: str | None = None, until: float = 0.0, *, waiting: bool = False
) -> Connection:
    """Return the connection ended here: nothing is vended any more, and its token sets are to be revoked.

    Unless the current one is being refreshed, `holder` has its lease from then on, `until` that time; it may be
    `waiting` for a slot. If the connection had ended before, tokens that still wait in it go.
    """
    pending, revoked_once_more = connection.in_place(Place.PENDING), connection.revocations + 1
    if pending and connection.status in ENDED:
        return disowned(connection, pending[0], now, revocations=revoked_once_more)
    left = disowned(connection, pending[0], now) if pending else connection
    used = left.to_refresh
    held = left.in_place(Place.CURRENT) + left.in_place(Place.KEPT) + left.in_place(Place.SUPERSEDED)
    revoking = [(_as_known(left, each) if each is used else each).to_be_revoked(now) for each in held]
    if revoking and holder is not None and revoking[0].place is Place.CURRENT and not revoking[0].is_in_hand(now):
        revoking[0] = revoking[0].claimed(holder, until, now, revokes=True, waiting=waiting)
    revoking = revoking or [*left.to_revoke]
    happened = Happened.REVOKED if revoking else Happened.REVOKED_WITHOUT
    values: dict[str, Any] = {"revocations": revoked_once_more, "revocation": (), "upkeep_at": None}
    return after(left, happened, now, revoking, **values)


def _as_known(connection: Connection, used: StoredSet) -> StoredSet:
    """Return the token set that was refreshed last with what only the connection knows of that: how it failed."""
    if connection.failure is None or not connection.failure.outcome_unknown:
        return used
    if used.lease is None:
        return used.answer_lost(connection.failure.at)
    if used.lease.is_after_an_interruption:
        return used
    return replace(used, lease=replace(used.lease, interrupted_at=connection.failure.at, answer_lost=True))


def revocation_began(connection: Connection, claimed: StoredSet) -> Connection:
    """Return the connection with a token set claimed by somebody to revoke it: the journal entry of an attempt."""
    return after_lease(connection, Happened.REVOCATION_BEGAN, claimed)


def refresh_to_revoke_began(connection: Connection, claimed: StoredSet) -> Connection:
    """Return the connection with a token set claimed by somebody to refresh it, so that it can be revoked."""
    return after_lease(connection, Happened.LEASED, claimed)


def revocation_failed(connection: Connection, failed: StoredSet, now: float) -> Connection:
    """Return the connection with a token set as a failed attempt to revoke it has left it."""
    return after(connection, Happened.REVOCATION_FAILED, now, [failed])


def revocation_put_off(connection: Connection, token_set: StoredSet, now: float) -> Connection:
    """Return the connection with a token set that waits: to revoke it could end the newer consent that is in use."""
    superseded = replace(token_set.lease_ended(), revocation=None)
    return within_bounds(after(connection, Happened.REVOCATION_PUT_OFF, now, [superseded]), now)


def revocation_confirmed(connection: Connection, token_set: StoredSet, now: float) -> Connection:
    """Return the connection without a token set whose revocation has ended; what the server answered stays."""
    is_last = connection.status is Status.REVOKING and len(connection.to_revoke) == 1
    happened = Happened.LAST_CONFIRMED if is_last else Happened.REVOCATION_CONFIRMED
    return after(connection, happened, now, [token_set], revocation=_noted(connection, token_set))


def end_noted(connection: Connection, token_set: StoredSet, now: float) -> Connection:
    """Return the connection after a server has confirmed the end of a token set that is not there any more."""
    return after(connection, Happened.REVOCATION_CONFIRMED, now, (), revocation=_noted(connection, token_set))


def _noted(connection: Connection, token_set: StoredSet) -> tuple[Revoked, ...]:
    return (*connection.revocation, Revoked.of(token_set))[-MOST_REVOKED:]
