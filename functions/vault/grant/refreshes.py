"""What a refresh does to a connection: its lease, its attempt, and its outcome.

A grant that is believed dead may be tried a few times more. Such a look is a refresh like any other (`belief`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import consents, unproved
from .lease import Lease
from .life import Happened, Place
from .transition import after, after_lease, settled, within_bounds

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ReauthorizationRequired

    from .belief import Belief
    from .connection import Connection
    from .failure import Failure
    from .stored_set import RefreshedFrom, StoredSet
    from .tokens import SealedTokens

_AFTER_AN_INTERRUPTION = (
    " An earlier refresh was interrupted before its answer arrived;"
    " the server may have replaced the refresh token then."
)


def leased(  # noqa: PLR0913 - who takes the lease, and what for
    connection: Connection,
    holder: str,
    until: float,
    now: float,
    *,
    waiting: bool = False,
    by_caller: bool = True,
) -> Connection:
    """Return the connection with the lease taken by `holder`. One that was never given back is an interrupted attempt.

    A lease that is `waiting` for a slot is not: nothing was sent with it. If the grant is believed dead this is a look,
    `by_caller` or in the background.
    """
    used = connection.require_used()
    attempt = used.attempts + (not waiting)
    lease = Lease.taken_after(used.lease, holder, attempt, until, now, waiting=waiting)
    belief = used.belief_before_a_look(now)
    belief = belief.looked_at(until, by_caller=by_caller) if belief else None
    return after_lease(connection, Happened.LEASED, replace(used, lease=lease, attempts=attempt, belief=belief))


def got_slot(connection: Connection, until: float) -> Connection:
    """Return the connection with the attempt that its lease has waited with: a request may be sent from now on."""
    used = connection.require_used()
    assert used.lease is not None  # noqa: S101 - only a holder waits for a slot
    attempt = used.attempts + 1
    begun = replace(used, lease=used.lease.got_slot(attempt, until), attempts=attempt)
    return after_lease(connection, Happened.GOT_SLOT, begun)


def lease_given_back(connection: Connection, now: float, again_at: int | None = None) -> Connection:
    """Return the connection after an attempt that sent nothing; what was unknown before it stays unknown.

    Upkeep that could not be done now is due `again_at`.
    """
    used = connection.require_used()
    assert used.lease is not None  # noqa: S101 - only a holder gives a lease back
    before = replace(used.lease, until=0) if used.lease.is_after_an_interruption else None
    upkeep_at = connection.upkeep_at if again_at is None or connection.upkeep_at is None else again_at
    given_back = replace(used.nothing_sent(now), lease=before)
    return after_lease(connection, Happened.LEASE_GIVEN_BACK, given_back, upkeep_at=upkeep_at)


def lease_ended(connection: Connection) -> Connection:
    """Return the connection without its lease: its holder has learned about a token set that is not used any more."""
    return after_lease(connection, Happened.LEASE_ENDED, replace(connection.require_used(), lease=None))


def lease_ended_aside(connection: Connection, moved: StoredSet) -> Connection:
    """Return the connection after an attempt with a token set that has `moved` since: it was replaced or revoked."""
    return after_lease(connection, Happened.LEASE_ENDED, moved)


def refreshed(  # noqa: PLR0913 - tokens, where they come from, and who brings them
    connection: Connection,
    tokens: SealedTokens,
    source: RefreshedFrom,
    holder: str,
    now: float,
    *,
    grants_are_apart: bool = False,
) -> Connection:
    """Return the connection with its next token set. What the response does not say stays (RFC 6749 section 6).

    A grant that was believed dead lives: a server that issues tokens for it has not ended it. If somebody else is at
    work with the lease it stays theirs. An import is proved, unless the tokens are of another account than it named.
    """
    old, is_import = connection.require_used(), unproved.unproved_in(connection) is not None
    if unproved.is_of_another_account(connection, tokens):
        from . import imports  # noqa: PLC0415 - seldom

        return imports.proved_of_another(connection, tokens, old, source, now, grants_are_apart=grants_are_apart)
    whole = replace(
        tokens,
        scope=tokens.scope or old.scope or connection.scope,
        subject=tokens.subject or connection.subject,
        metadata={**connection.metadata, **tokens.metadata},
        refresh_expires_at=tokens.refresh_expires_at or old.refresh_expires_at,
    )
    new = replace(
        whole.stored(old.request_id),
        refreshed_from=source,
        lease=old.lease_of_another(holder, now),
        account_at=consents.account_at(tokens, now) if is_import or not tokens.asks_account else old.account_at,
    )
    values = {"version": connection.version + 1, **whole.values_for_connection()}
    if is_import:
        values["authorized_at"] = tokens.obtained_at
    if old.place is Place.KEPT:
        replaced = [old, *connection.in_place(Place.CURRENT)]
        done = after(connection, Happened.KEPT_REFRESHED, now, replaced, new, **values)
        return settled(done, now, grants_are_apart=grants_are_apart)
    happened = Happened.PROVED if connection.is_to_be_proved else Happened.REFRESHED
    happened = Happened.RECOVERED if connection.is_believed_dead else happened
    return after(connection, happened, now, [old], new, **values)


def refresh_failed(
    connection: Connection, error: GatehouseError, now: float, jitter: float, *, needed: bool = False
) -> Connection:
    """Return the connection after an attempt that failed but did not kill the grant. `jitter` is from 0 to 1.

    `needed`: whoever made the attempt cannot do with the access token that there is.
    """
    failure, used = connection.failure_after(error, now, jitter, needed=needed), connection.require_used()
    failed = used.nothing_sent(now) if error.sent_nothing else used
    return _failed(connection, failure, replace(failed, lease=None), now, jitter)


def refresh_timed_out(  # noqa: PLR0913 - as `refresh_failed`, and until when
    connection: Connection, error: GatehouseError, until: float, now: float, jitter: float, *, needed: bool
) -> Connection:
    """Return the connection after an attempt without an answer in time: its lease stays `until` then (Unix seconds)."""
    used = connection.require_used()
    assert used.lease is not None  # noqa: S101 - only a holder can give up on its request
    lease = replace(used.lease, until=math.ceil(until), interrupted_at=None, timed_out=True)
    failure = connection.failure_after(error, now, jitter, needed=needed).with_no_request_before(lease.until)
    return _failed(connection, failure, replace(used, lease=lease), now, jitter)


def _failed(connection: Connection, failure: Failure, failed: StoredSet, now: float, jitter: float) -> Connection:
    if connection.is_believed_dead and failed.belief is not None:
        # What is known of the grant is its refusal: a failed look says nothing new about it.
        belief = failed.belief.answered(now, jitter)
        looked = replace(failed, belief=belief)
        return after(connection, Happened.REFRESH_FAILED, now, [looked], upkeep_at=belief.next_at)
    failure = replace(failure, outcome_unknown=failure.outcome_unknown or connection.was_interrupted)
    upkeep_at = None if connection.upkeep_at is None else max(connection.upkeep_at, failure.retry_at)
    return after(connection, Happened.REFRESH_FAILED, now, [failed], failure=failure, upkeep_at=upkeep_at)


def refused(
    connection: Connection,
    error: ReauthorizationRequired,
    now: float,
    jitter: float = 0.5,
    *,
    after_loss: bool = False,
) -> Connection:
    """Return the connection with a dead grant. If an earlier attempt was interrupted, its failure says so.

    `after_loss`: the answer to an earlier request with the same refresh token was lost; the failure says that too.
    If it was a kept refresh token that was refused, the current tokens are vended until they expire. `jitter` (0 to 1)
    spreads the looks at a grant that may live.
    """
    failure = connection.failure_after(error, now)
    belief = _belief_after(connection, error, now, jitter, after_loss=after_loss)
    if connection.is_believed_dead and connection.failure is not None:
        failure = connection.failure
    elif connection.was_interrupted or after_loss:
        failure = replace(failure, description=failure.description + _AFTER_AN_INTERRUPTION)
    dead = replace(connection.require_used(), lease=None, refresh_at=None, was_refused=True, belief=belief)
    values: dict[str, Any] = {"failure": failure, "upkeep_at": belief.next_at if belief else None}
    if dead.place is Place.KEPT:
        current = replace(connection.require_current(), refresh_at=None)
        return within_bounds(after(connection, Happened.KEPT_REFUSED, now, [dead, current], **values), now)
    return after(connection, Happened.REFUSED, now, [dead], **values)


def _belief_after(
    connection: Connection, error: ReauthorizationRequired, now: float, jitter: float, *, after_loss: bool
) -> Belief | None:
    """Return what is believed of the token set that was refused; None if nothing speaks against the refusal.

    Only of the first attempt with a token set is it known that its refresh token was not used before.
    """
    from .belief import Belief  # noqa: PLC0415 - few grants are refused

    used = connection.require_used()
    if used.place is Place.KEPT or error.is_final:
        return None
    if connection.is_believed_dead:
        return used.belief.answered(now, jitter) if used.belief else None
    is_first = used.is_asked_for_the_first_time and not connection.was_interrupted and not after_loss
    return Belief.begin(now, jitter) if is_first and error.provider_error is not None else None


def looks_ended(connection: Connection, now: float) -> Connection:
    """Return the connection with a refused grant that is not tried any more: its account authorized elsewhere."""
    used = replace(connection.require_used(), belief=None)
    return after(connection, Happened.LOOKS_ENDED, now, [used], upkeep_at=None)


def ends_soon(connection: Connection, now: float) -> Connection:
    """Return the connection as one whose end is near: a person can connect it again before that."""
    return after(connection, Happened.ENDS_SOON, now, [connection.require_current()])
