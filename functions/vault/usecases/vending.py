"""A valid access token for whoever asks: served as it is, refreshed at most once for all, or refused with a reason."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import GatehouseError, ReauthorizationRequired, SlotsTaken, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import CALL, SLOT_WAIT
from functions.vault.grant.connection import Connection
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections

    from .accounts import Accounts
    from .looking import Looking
    from .refreshing import Refreshing

# Who waits sees the end within a third of what it has waited; and a thousand who wait for long stay below the 3,000
# reads a second that DynamoDB gives of one item.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 0.5, 1.3

Test = Callable[[Connection, float], bool]
"""What is told of a record's token set at a time (Unix seconds)."""


@record
class _Wanted:
    """What a call wants.

    `best`: the token of this record is it. `enough`: it will do where nothing better can be had at once. `may_look`: a
    grant that is believed dead may be looked at again for it. For work in the background nobody waits.
    """

    enough: Test
    best: Test
    may_look: bool = False
    is_background: bool = False

    def is_needed(self, connection: Connection, at: float) -> bool:
        """Tell whether this call needs a refresh: somebody waits for a token, and the one that is there will not do."""
        return not self.is_background and not self.enough(connection, at)

    def has_to_wait_until(self, connection: Connection, now: float) -> int | None:
        """Return until when this call leaves the server alone after the last failure; None where nothing failed."""
        failure = connection.failure
        if failure is None:
            return None
        was_needed = self.is_needed(connection, failure.at)
        return failure.in_force_until(needed=self.is_needed(connection, now), was_needed=was_needed)


class _SlotWait:
    """How long one call waits for a slot of the provider: `seconds`, from when it first needs one."""

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
    looking: Looking
    timing: Timing
    accounts: Accounts

    def token(self, connection_id: str, min_ttl: int, deadline: Deadline) -> dict[str, Any]:
        """Return an access token that lives `min_ttl` seconds more, refreshing first where that is needed or due."""

        def enough(connection: Connection, at: float) -> bool:
            return connection.is_valid_for(min_ttl, at)

        def best(connection: Connection, at: float) -> bool:
            return enough(connection, at) and not connection.is_due(at)

        return self._obtain(self.connections.require(connection_id), _Wanted(enough, best), deadline)

    def refresh(self, connection_id: str, if_version: int | None, deadline: Deadline) -> dict[str, Any]:
        """Refresh now, at most once for all who ask; with `if_version`, only while that is still the stored version.

        A token set of a moment ago is returned as it is, whichever version was asked about.
        """
        return self._obtain(self.connections.require(connection_id), _another_than(if_version), deadline)

    def keep(self, connection_id: str, version: int, deadline: Deadline) -> GatehouseError | None:
        """Refresh in the background what is still at `version`; or ask whose account it is for, where that is due.

        Returns the failure, for the log; it is in the record, which says when it is due. Raises
        `TemporarilyUnavailable` where there was no time or no AWS to begin it.
        """
        try:
            connection = self.connections.require(connection_id)
            asked = connection.asked_first
            if asked is not None and self.timing.now() >= (asked.ask_at or 0):
                return self.accounts.ask_due(connection, asked, deadline)
            self._obtain(connection, _another_than(version, is_background=True), deadline)
        except TemporarilyUnavailable:
            raise
        except GatehouseError as error:
            return error
        return None

    def _obtain(self, connection: Connection, wanted: _Wanted, deadline: Deadline) -> dict[str, Any]:
        """Decide on what is stored: serve it, wait for another's refresh, share its failure, or refresh; and again."""
        connection_id = connection.connection_id
        first_version, first_failure = connection.version, connection.failure
        pause, has_tried, for_slot = _FIRST_PAUSE, False, _SlotWait(0 if wanted.is_background else SLOT_WAIT)
        if connection.is_believed_dead and wanted.may_look:
            connection = self._looked_at(connection, wanted, deadline, for_slot)
        while True:
            connection.require_vendable()
            now, lease, failure = self.timing.now(), connection.lease, connection.failure
            # A newer token set is what there is to be had, unless it came so late that it has run out meanwhile.
            is_newer = connection.version != first_version and (has_tried or connection.is_valid_for(0, now))
            if is_newer or wanted.best(connection, now):
                return self._vended(connection)
            if lease is not None and lease.is_at_work(now):
                if wanted.enough(connection, now):
                    return self._vended(connection)
                self._wait(connection, pause, deadline, for_slot)
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
                connection = self._seen_again(connection, deadline)
                continue
            # What failed since this call came was tried for this call too, however late it learns of that.
            is_shared = failure is not None and failure != first_failure
            until = wanted.has_to_wait_until(connection, now)
            if failure is not None and until is not None and (is_shared or now < until):
                if wanted.enough(connection, now):
                    return self._vended(connection)
                raise failure.as_error(connection_id, failure.at if is_shared else now, until)
            has_tried = True
            try:
                connection = self._attempt(connection, wanted, deadline, for_slot)
            except GatehouseError as error:
                connection = self.connections.require(connection_id)
                connection.require_vendable()
                if wanted.enough(connection, self.timing.now()):
                    return self._vended(connection)
                raise error.about(connection_id) from None

    def _looked_at(
        self, connection: Connection, wanted: _Wanted, deadline: Deadline, for_slot: _SlotWait
    ) -> Connection:
        """Return the record of a grant that was believed dead after a look at it: ours, or another's that is under way.

        It is as it was where it is not time for one.
        """
        pause, has_looked = _FIRST_PAUSE, False
        while connection.is_believed_dead and not wanted.best(connection, now := self.timing.now()):
            if connection.lease is not None and connection.lease.is_at_work(now):
                self._wait(connection, pause, deadline, for_slot)
                pause = min(pause * _GROWTH, _LONGEST_PAUSE)
                connection = self._seen_again(connection, deadline)
            elif has_looked or not connection.may_be_looked_at(now, by_caller=not wanted.is_background):
                break
            else:
                connection, has_looked = self._look(connection, wanted, deadline), True
        return connection

    def _look(self, connection: Connection, wanted: _Wanted, deadline: Deadline) -> Connection:
        try:
            return self.looking.look(connection, deadline, by_caller=not wanted.is_background)
        except TemporarilyUnavailable:
            raise
        except GatehouseError:
            # A caller is told what is believed, and not what is wrong with us: the background is there for that.
            if wanted.is_background:
                raise
            return self.connections.require(connection.connection_id)

    def _attempt(self, connection: Connection, wanted: _Wanted, deadline: Deadline, for_slot: _SlotWait) -> Connection:
        """Refresh, or bury a grant that cannot be; return the record to decide on next."""
        if connection.to_refresh is None:
            return self._without_refresh_token(connection)
        now = self.timing.now()
        needed = wanted.is_needed(connection, now)
        # What nobody needs yet waits for nobody: it looks for a slot once.
        slot_by = for_slot.until(now) if needed else now
        holder, is_background = uuid.uuid4().hex, wanted.is_background
        return self.refreshing.refresh(
            connection, holder, deadline, needed=needed, slot_by=slot_by, is_background=is_background
        )

    def _without_refresh_token(self, connection: Connection) -> Connection:
        """Return the record of a grant that has run out; raise where its access token still lives, irreplaceable.

        When its end comes near the record says that a person is needed, whoever finds that out.
        """
        error = ReauthorizationRequired(
            "The access token cannot be refreshed, the grant came without a refresh token: start again. If each grant "
            "comes without one, the registration may have to ask for it: with offline_access among its scopes, or with "
            "what the server documents in authorization_params."
        )
        now = self.timing.now()
        if not connection.is_valid_for(0, now):
            return self._changed(connection, connection.died(error, now))
        if connection.needs is None and now >= (connection.needs_from or math.inf):
            self._changed(connection, connection.ends_soon(now))
        raise error

    def _changed(self, was: Connection, now: Connection) -> Connection:
        """Return what is stored, which is `now` unless another has changed it meanwhile."""
        try:
            self.connections.change(was, now)
        except Conflict:
            return self.connections.require(was.connection_id)
        return now

    def _wait(self, connection: Connection, pause: float, deadline: Deadline, for_slot: _SlotWait) -> None:
        """Wait for another's refresh a little longer, be it for its slot or for its answer."""
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

    def _seen_again(self, connection: Connection, deadline: Deadline) -> Connection:
        """Return the record of who waits as it is now, or as it was where the table is throttling just then.

        A thousand who have come at once look more often, at first, than DynamoDB lets anybody. They go on waiting.
        """
        try:
            return self.connections.require(connection.connection_id)
        except TemporarilyUnavailable:
            if deadline.remaining() < CALL + _LONGEST_PAUSE:
                raise
            return connection

    def _vended(self, connection: Connection) -> dict[str, Any]:
        current = _require_current(connection)
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


def _another_than(version: int | None, *, is_background: bool = False) -> _Wanted:
    """Return the wish for a newer token set than that of a version; one of a moment ago is as new as there can be."""

    def is_another(connection: Connection, at: float) -> bool:
        is_another_version = version is not None and connection.version != version
        return is_another_version or connection.was_just_obtained(at)

    return _Wanted(is_another, is_another, may_look=True, is_background=is_background)


def _require_current(connection: Connection) -> StoredSet:
    """Return the current token set of a connection that has one: an active one, or one that is leased."""
    assert connection.current is not None  # noqa: S101 - nothing ends a connection and leaves it vendable
    return connection.current
