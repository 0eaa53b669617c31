"""What a refresh without new tokens came to: written into the record on its own lease, and on no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    LastingRefusal,
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
    UnknownRefusal,
)
from functions.vault.base.record import record
from functions.vault.base.timing import CALL
from functions.vault.grant import refreshes
from functions.vault.grant.connection import Connection
from functions.vault.grant.stored_set import StoredSet
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.shared import Shared

_PAUSE = 0.5
"""Seconds between two tries to write a result."""

After = Callable[[Connection], Connection]
"""What a record becomes, given as it is when the result is written."""

Aside = Callable[[StoredSet], StoredSet]
"""What a token set becomes that was replaced or revoked while its refresh failed."""


@record
class RefreshResults:
    """Writes what came of a refresh whose lease the caller holds."""

    connections: Connections
    shared: Shared
    timing: Timing

    def lease_given_back(self, held: Connection, deadline: Deadline) -> Connection:
        """Give the lease back: nothing was sent. What is known of an interruption before it stays known."""
        return self.write(held, lambda stored: refreshes.lease_given_back(stored, self.timing.now()), deadline)

    def lease_ended(self, held: Connection, deadline: Deadline) -> Connection:
        """End the lease: the token set was replaced meanwhile."""
        return self.write(held, refreshes.lease_ended, deadline)

    def put_off(self, held: Connection, deadline: Deadline) -> Connection:
        """Give the lease back, and leave the refresh to background work in some minutes."""

        def put_off(stored: Connection) -> Connection:
            return refreshes.lease_given_back(stored, self.timing.now(), self.timing.put_off_until())

        return self.write(held, put_off, deadline)

    def dead(self, held: Connection, error: ReauthorizationRequired, deadline: Deadline) -> Connection:
        """Write that the server refuses the grant."""
        jitter = self.timing.jitter()

        def dead(stored: Connection) -> Connection:
            return refreshes.refused(stored, error, self.timing.now(), jitter, after_loss=error.after_loss)

        return self.write(held, dead, deadline, _refused)

    def failed(
        self, held: Connection, registration: Registration, error: GatehouseError, deadline: Deadline, *, needed: bool
    ) -> Connection:
        """Write a failure that says nothing about the grant, or not yet. `needed`: a caller waits for the token."""
        if isinstance(error, ProviderTimedOut):
            return self._timed_out(held, registration, error, deadline, needed=needed)
        if isinstance(error, UnknownRefusal):
            return self._refused_unknown(held, registration, error, deadline, needed=needed)
        return self._failed(held, error, deadline, needed=needed)

    def _failed(self, held: Connection, error: GatehouseError, deadline: Deadline, *, needed: bool) -> Connection:
        jitter = self.timing.jitter()

        def failed(stored: Connection) -> Connection:
            return refreshes.refresh_failed(stored, error, self.timing.now(), jitter, needed=needed)

        def aside(moved: StoredSet) -> StoredSet:
            is_unknown = isinstance(error, ProviderUnavailable) and error.outcome_unknown
            return moved.answer_lost(self.timing.now()) if is_unknown else moved.lease_ended()

        return _raise_if_second_look(self.write(held, failed, deadline, aside), held, error)

    def _refused_unknown(
        self, held: Connection, registration: Registration, error: UnknownRefusal, deadline: Deadline, *, needed: bool
    ) -> Connection:
        """Write a refusal for an unknown reason: it counts as temporary until it has lasted too long.

        Then the grant is dead if the server has meanwhile answered another connection of the same client. Otherwise the
        client itself may be refused, and a person has to look.
        """
        since = _refused_unknown_since(held, error, self.timing.now())
        if since is None or held.is_believed_dead:
            return self._failed(held, error, deadline, needed=needed)
        try:
            answered_at = self.shared.last_refreshed(held.provider, registration.client_id)
        except TemporarilyUnavailable:
            return self._failed(held, error, deadline, needed=needed)  # the next refusal is judged
        if answered_at is not None and answered_at > since:
            return self.dead(held, _dead_by_comparison(error), deadline)
        return self._failed(held, _lasting(error), deadline, needed=needed)

    def _timed_out(
        self, held: Connection, registration: Registration, error: ProviderTimedOut, deadline: Deadline, *, needed: bool
    ) -> Connection:
        """Write that no answer came in time: until our lease lapses, no other request may meet ours at the server.

        If the server replays answers, the next request is due halfway through the window that is left should the server
        have just processed ours: later, it might count as reuse.
        """
        assert held.lease is not None  # noqa: S101 - the caller holds it
        now, jitter, until = self.timing.now(), self.timing.jitter(), float(held.lease.until)
        if window := registration.provider.refresh_token_replay_seconds:
            until = min(until, now + window / 2)

        def timed_out(stored: Connection) -> Connection:
            return refreshes.refresh_timed_out(stored, error, until, self.timing.now(), jitter, needed=needed)

        written = self.write(held, timed_out, deadline, lambda moved: moved.timed_out(until, now))
        return _raise_if_second_look(written, held, error)

    def write(
        self, held: Connection, after: After, deadline: Deadline, aside: Aside = StoredSet.lease_ended
    ) -> Connection:
        """Write a result on our own lease; return the record as it is stored then.

        Others may write meanwhile: what is written depends on whether our lease still holds, and for which token set.
        If that set was replaced or revoked meanwhile, it becomes what `aside` returns.
        """
        stored, used = held, require_used(held)
        while True:
            moved = stored.set_of(used.id)
            if has_our_lease(stored, held):
                # If a late answer replaced the token set, our result is about one that is not used any more.
                concluded = after(stored) if _used_id(stored) == used.id else refreshes.lease_ended(stored)
            elif moved is not None and used.lease is not None and moved.is_held_by(used.lease.holder):
                concluded = refreshes.lease_ended_aside(stored, aside(moved))
            else:
                return stored
            try:
                self.connections.change(stored, concluded)
            except Conflict:
                stored = self.connections.require(held.connection_id)
            except TemporarilyUnavailable:
                if deadline.remaining() < CALL:
                    raise
                self.timing.sleep(_PAUSE)
            else:
                return concluded


def require_used(held: Connection) -> StoredSet:
    """Return the token set whose refresh token is used, of a record that is leased for it."""
    assert held.to_refresh is not None  # noqa: S101 - what is leased is there
    return held.to_refresh


def has_our_lease(stored: Connection, held: Connection) -> bool:
    """Return whether the lease that `held` was read with is still in the record."""
    return stored.lease is not None and held.lease is not None and stored.lease.holder == held.lease.holder


def _refused_unknown_since(held: Connection, error: UnknownRefusal, now: float) -> int | None:
    """Return since when its grant is refused for an unknown reason, if for too long to pass; else None."""
    following = held.failure_after(error, now)
    return following.unknown_since if following.lasts else None


def _used_id(connection: Connection) -> str | None:
    return connection.to_refresh.id if connection.to_refresh else None


def _refused(moved: StoredSet) -> StoredSet:
    return replace(moved.refused(), lease=None)


def _raise_if_second_look(written: Connection, held: Connection, error: GatehouseError) -> Connection:
    """Return the record with a failure in it. After a second look the record says nothing of it: raise the failure."""
    if held.is_believed_dead:
        raise error
    return written


def _dead_by_comparison(error: UnknownRefusal) -> ReauthorizationRequired:
    return ReauthorizationRequired(
        "The authorization server has refused this grant for days, for a reason that is not known, and refreshes "
        "others of the same client: authorize again.",
        provider_error=error.provider_error,
    )


def _lasting(error: UnknownRefusal) -> LastingRefusal:
    return LastingRefusal(
        "The authorization server has refused this grant for days, for a reason that is not known, and has refreshed "
        "no other of the same client since: check client_id, client_secret and endpoints of the registration, and what "
        "provider_error says. If they are right, the grant is dead: connecting the customer again would show which.",
        provider_error=error.provider_error,
    )
