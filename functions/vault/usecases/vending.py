"""Vending a valid access token: as it is stored, or refreshed once for all who ask, or refused with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    AnswerMayCome,
    GatehouseError,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.base.timing import CALL, SLOT_WAIT
from functions.vault.grant.connection import Connection

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections

    from .account_lookup import AccountLookup
    from .refreshing import Refreshing
    from .second_look import SecondLook

# A caller that waits sees the result within a third of the time it has waited. A thousand callers that wait for long
# stay below the 3,000 reads a second that DynamoDB allows of one item.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 0.5, 1.3

Test = Callable[[Connection, float], bool]
"""A condition on a record's token set at a time (Unix seconds)."""


@record
class _Wanted:
    """What a call wants.

    `best`: the token of this record is what it wants. `enough`: the token will do if nothing better can be had at once.
    `narrowing`: what its path limits it to. `may_look`: a second look may be taken for it at a grant that is believed
    dead, as one of those that callers have (`looks_as_caller`). `is_background`: nobody waits. `ask_now`: the server is
    to be asked although it is left alone.
    """

    enough: Test
    best: Test
    narrowing: Narrowing | None
    may_look: bool = False
    is_background: bool = False
    ask_now: bool = False
    looks_as_caller: bool = True

    def require_vendable(self, connection: Connection) -> None:
        """Raise the reason if this call gets no token of a record.

        It is asked of each record that is read: while a call waits, its connection may become another owner's.
        """
        if self.narrowing is not None:
            self.narrowing.require(connection.connection_id, connection.owner)
        connection.require_vendable()

    def is_needed(self, connection: Connection, at: float) -> bool:
        """Return whether this call needs a refresh: somebody waits for a token, and the stored one will not do."""
        return not self.is_background and not self.enough(connection, at)

    def has_to_wait_until(self, connection: Connection, now: float) -> int | None:
        """Return until when this call must not call the server after the last failure; None if nothing failed."""
        failure, lease = connection.failure, connection.lease
        if failure is None:
            return None
        if self.ask_now:
            # The server may still be at work, and would take a second request for reuse.
            return failure.retry_at if lease is not None and lease.timed_out and lease.is_live(now) else failure.at
        was_needed = self.is_needed(connection, failure.at)
        return failure.in_force_until(needed=self.is_needed(connection, now), was_needed=was_needed)


class _SlotWait:
    """How long one call waits for a slot of the provider: `seconds`, counted from when it first needs one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None

    def until(self, now: float) -> float:
        """Return when it gives up."""
        self._until = now + self._seconds if self._until is None else self._until
        return self._until


@record
class Vending:
    """The use cases `token` and `refresh`."""

    connections: Connections
    cipher: Cipher
    refreshing: Refreshing
    second_look: SecondLook
    account_lookup: AccountLookup
    timing: Timing

    def token(
        self, connection_id: str, min_ttl: int, deadline: Deadline, narrowing: Narrowing | None = None
    ) -> dict[str, Any]:
        """Return an access token that is valid for `min_ttl` more seconds, refreshed first if that is needed or due."""

        def enough(connection: Connection, at: float) -> bool:
            return connection.is_valid_for(min_ttl, at)

        def best(connection: Connection, at: float) -> bool:
            return enough(connection, at) and not connection.is_due(at)

        connection = self.connections.require(connection_id, narrowing)
        return self._obtain(connection, _Wanted(enough, best, narrowing), deadline)

    def refresh(
        self, connection_id: str, if_version: int | None, deadline: Deadline, narrowing: Narrowing | None = None
    ) -> dict[str, Any]:
        """Refresh now, at most once for all who ask; with `if_version`, only while that is still the stored version.

        A token set that was obtained a moment ago is returned as it is, whatever `if_version` says.
        """
        connection = self.connections.require(connection_id, narrowing)
        return self._obtain(connection, _another_than(if_version, narrowing), deadline)

    def refresh_due(
        self, connection_id: str, version: int, deadline: Deadline, *, ask_now: bool = False
    ) -> GatehouseError | None:
        """Refresh a connection in the background if it is still at `version`; or do what is due with what waits in it.

        Returns the failure, for the log; the record has it, too, and says when the work is due again. Raises
        `TemporarilyUnavailable` if there was no time to begin, or AWS failed.
        """
        try:
            connection = self.connections.require(connection_id)
            waiting = connection.waits_first
            if waiting is not None and self.timing.now() >= (waiting.waits_until or 0):
                return self.account_lookup.look_up_due(connection, waiting, deadline)
            if not ask_now and self.connections.announce_end(connection, self.timing.now()):
                return None  # a refresh that was due as well is again within the hour
            wanted = _another_than(version, is_background=True, ask_now=ask_now, looks_as_caller=ask_now)
            self._obtain(connection, wanted, deadline)
        except GatehouseError as error:
            if isinstance(error, TemporarilyUnavailable) and not isinstance(error, AnswerMayCome):
                raise
            return error
        return None

    def _obtain(self, connection: Connection, wanted: _Wanted, deadline: Deadline) -> dict[str, Any]:
        """Decide by what is stored until there is a result: vend, refresh, wait for another's, or share its failure."""
        connection_id = connection.connection_id
        first_version, first_failure = connection.version, connection.failure
        pause, has_tried, for_slot = _FIRST_PAUSE, False, _SlotWait(0 if wanted.is_background else SLOT_WAIT)
        if connection.is_believed_dead and wanted.may_look:
            connection = self._looked_at(connection, wanted, deadline, for_slot)
        while True:
            wanted.require_vendable(connection)
            now, lease, failure = self.timing.now(), connection.lease, connection.failure
            # A newer token set is the result, unless it came so late that it has expired meanwhile.
            # An import that is yet to be proved never is.
            is_newer = connection.version != first_version and (has_tried or connection.is_valid_for(0, now))
            is_newer = is_newer and not connection.is_to_be_proved
            if is_newer or wanted.best(connection, now):
                return self._vended(connection)
            if lease is not None and lease.is_at_work(now):
                if wanted.enough(connection, now):
                    return self._vended(connection)
                self._wait(connection, pause, deadline, for_slot)
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
                connection = self._read_again(connection, deadline)
                continue
            # A refresh that failed since this call began was tried for this call, too, however late the call sees it.
            is_shared = failure is not None and failure != first_failure
            until = wanted.has_to_wait_until(connection, now)
            if failure is not None and until is not None and (is_shared or now < until):
                if wanted.enough(connection, now):
                    return self._vended(connection)
                raise failure.as_error(connection_id, failure.at if is_shared else now)
            has_tried = True
            try:
                connection = self._attempt(connection, wanted, deadline, for_slot)
            except GatehouseError as error:
                connection = self.connections.require(connection_id)
                wanted.require_vendable(connection)
                if wanted.enough(connection, self.timing.now()):
                    return self._vended(connection)
                raise error.about(connection_id) from None

    def _looked_at(
        self, connection: Connection, wanted: _Wanted, deadline: Deadline, for_slot: _SlotWait
    ) -> Connection:
        """Return the record of a grant that is believed dead after a second look: ours, or one that is under way.

        If no look is due, the record is as it was.
        """
        pause, has_looked = _FIRST_PAUSE, False
        while connection.is_believed_dead and not wanted.best(connection, now := self.timing.now()):
            if connection.lease is not None and connection.lease.is_at_work(now):
                self._wait(connection, pause, deadline, for_slot)
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
                connection = self._read_again(connection, deadline)
            elif has_looked or not connection.may_be_looked_at(now, by_caller=wanted.looks_as_caller):
                break
            else:
                connection, has_looked = self._look(connection, wanted, deadline), True
        return connection

    def _look(self, connection: Connection, wanted: _Wanted, deadline: Deadline) -> Connection:
        try:
            return self.second_look.take(connection, deadline, by_caller=wanted.looks_as_caller)
        except TemporarilyUnavailable:
            raise
        except GatehouseError:
            # The caller gets the stored refusal, and not a failure of our own: background work will look again.
            if wanted.is_background:
                raise
            return self.connections.require(connection.connection_id)

    def _attempt(self, connection: Connection, wanted: _Wanted, deadline: Deadline, for_slot: _SlotWait) -> Connection:
        """Refresh, or write that the grant has ended if it cannot be refreshed; return the record to decide on next."""
        if connection.to_refresh is None:
            return self._without_refresh_token(connection)
        now = self.timing.now()
        needed = wanted.is_needed(connection, now)
        # A refresh that nobody needs yet does not wait for a slot: it looks for one once.
        slot_by = for_slot.until(now) if needed else now
        holder, is_background = uuid.uuid4().hex, wanted.is_background
        return self.refreshing.refresh(
            connection, holder, deadline, needed=needed, slot_by=slot_by, is_background=is_background
        )

    def _without_refresh_token(self, connection: Connection) -> Connection:
        """Return the record of a grant that has run out; raise if its access token is still valid, as the last one."""
        error = ReauthorizationRequired(
            "The access token cannot be refreshed, the grant came without a refresh token: start again. If each grant "
            "comes without one, the registration may have to ask for it: with offline_access among its scopes, or with "
            "what the server documents in authorization_params."
        )
        from functions.vault.grant import refreshes  # noqa: PLC0415 - a usual call changes nothing

        now = self.timing.now()
        if not connection.is_valid_for(0, now):
            return self.connections.change_or_read(connection, refreshes.refused(connection, error, now))
        raise error

    def _wait(self, connection: Connection, pause: float, deadline: Deadline, for_slot: _SlotWait) -> None:
        """Wait a little longer for another's refresh: for its slot, or for its answer."""
        connection_id, now = connection.connection_id, self.timing.now()
        if connection.lease is not None and connection.lease.waiting and now > for_slot.until(now):
            raise SlotsTaken(self.timing.jitter()).about(connection_id)
        if deadline.remaining() < pause + 0.5:
            raise TemporarilyUnavailable(
                "Another call is refreshing this connection, and this call's time is up: try again.",
                connection_id=connection_id,
                retry_after=1,
            )
        self.timing.sleep(pause * (0.5 + 0.5 * self.timing.jitter()))

    def _read_again(self, connection: Connection, deadline: Deadline) -> Connection:
        """Return the record as it is now, or as it was if the table throttles the read.

        A thousand callers that come at once read more often, at first, than DynamoDB allows. They go on waiting.
        """
        try:
            return self.connections.require(connection.connection_id)
        except TemporarilyUnavailable:
            if deadline.remaining() < CALL + _LONGEST_PAUSE:
                raise
            return connection

    def _vended(self, connection: Connection) -> dict[str, Any]:
        current = connection.require_current()
        return {
            "connection_id": connection.connection_id,
            "provider": connection.provider,
            "access_token": self.cipher.tokens_of(connection).access_token,
            "token_type": current.token_type,
            "expires_at": current.expires_at,
            "scope": connection.scope,
            "version": connection.version,
            "subject": connection.subject,
            "metadata": connection.metadata,
        }


def _another_than(version: int | None, narrowing: Narrowing | None = None, **wish: bool) -> _Wanted:
    """Return the wish for a newer token set than that of a version. One of a moment ago is new enough for any."""

    def is_another(connection: Connection, at: float) -> bool:
        is_another_version = version is not None and connection.version != version and not connection.is_to_be_proved
        return is_another_version or connection.was_just_obtained(at)

    return _Wanted(is_another, is_another, narrowing, may_look=True, **wish)
