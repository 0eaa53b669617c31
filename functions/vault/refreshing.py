"""One refresh of a connection's token set (RFC 6749 section 6): under its lease asked for, and committed or concluded.

Who holds the lease, and nobody else, uses the refresh token. Whatever comes of it is written on that lease alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .connection import Connection
from .errors import (
    GatehouseError,
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from .record import record
from .store import Conflict
from .stored_set import RefreshedFrom
from .timing import AFTER_HTTP, CALL, RESCUED_WITHIN, SETTLE, SHORTEST_REQUEST

if TYPE_CHECKING:
    from .cipher import Cipher
    from .client import Client
    from .committing import Committing
    from .providers import Registration
    from .registrations import Registrations
    from .shared import Shared
    from .store import Connections
    from .stored_set import Sealer, StoredSet
    from .timing import Deadline, Timing
    from .token_set import TokenSet
    from .tokens import SealedTokens, TokenResponse

_PAUSE = 0.5
"""Seconds between two tries to write what an attempt came to."""

_REPLAY_PAUSE = 0.2

After = Callable[[Connection], Connection]
"""What becomes of a record, as it is when that is written."""


@record
class Plan:
    """All that an attempt needs, from before the lease is claimed: nothing else can fail once the server is asked."""

    registration: Registration
    refresh_token: str
    sealer: Sealer


@record
class Refreshing:
    """What refreshes a token set for whoever needs that."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    committing: Committing
    shared: Shared
    timing: Timing

    def refresh(self, connection: Connection, holder: str, deadline: Deadline, *, needed: bool = False) -> Connection:
        """Claim the lease, ask the server, commit what came of it; return the record to decide on next.

        `needed`: the access token that is there will not do. Only who holds the lease asks KMS and the server: a
        thousand who find a token expired cost one of each. Raises `TemporarilyUnavailable` where nothing was begun, or
        where its end could not be written.
        """
        registration = self.registrations.get(connection.provider, deadline).for_tenant(connection.parameters)
        deadline.for_http(registration.provider.request_timeout)  # with too little time nothing is begun
        held = self._claim(connection, holder, deadline)
        if held.lease is None or held.lease.holder != holder:
            return held
        try:
            if held.lease.is_after_an_interruption and self._came_late(held):
                return self._conclude(held, self._let_go, deadline)
            plan = self._plan(held, registration)
        except TemporarilyUnavailable as error:
            if held.lease.is_after_an_interruption:
                # What is known of the interruption stays with the lease: a failure shared by all would forget it.
                self._conclude(held, self._given_back, deadline)
                raise
            return self._fail(held, error, deadline, needed=needed)
        except Exception:
            self._conclude(held, self._given_back, deadline)
            raise
        return self._carry_out(held, plan, deadline, needed=needed)

    def _came_late(self, held: Connection) -> bool:
        """Tell whether the answer of an interrupted attempt came in after all, given a moment more.

        It may lie in the rescue queue, behind an outage: sending its refresh token again would, at a server that
        detects reuse, end the grant that is about to be rescued. Raises `TemporarilyUnavailable` where that may be so.
        """
        assert held.lease is not None  # noqa: S101 - `held` is what we hold it in
        self.timing.sleep(SETTLE)
        is_recent = self.timing.now() < (held.lease.interrupted_at or 0) + RESCUED_WITHIN
        # The queue is asked before the record: what a rescue stores in between, the record then tells of.
        may_come = is_recent and self.committing.may_hold_another()
        stored = self.connections.require(held.connection_id)
        came = (stored.version, stored.status, _used_id(stored)) != (held.version, held.status, _used_id(held))
        if may_come and not came:
            raise TemporarilyUnavailable(
                "An earlier refresh was interrupted, and its tokens may be on their way into the record: try again.",
                retry_after=5,
            )
        return came

    def _carry_out(self, held: Connection, plan: Plan, deadline: Deadline, *, needed: bool) -> Connection:
        lost = False
        try:
            try:
                response = self._ask(held, plan, deadline)
            except ProviderUnavailable as error:
                may_be_at_work = isinstance(error, ProviderTimedOut)
                lost = error.outcome_unknown and plan.registration.provider.replays_refresh and not may_be_at_work
                if not lost:
                    raise
                response = self._ask_again(held, plan, error, deadline)
        except ReauthorizationRequired as error:
            # Guarded by our lease: where it no longer holds, somebody else may have won, and the next read tells.
            return self._conclude(held, self._dead_of(error, after_loss=lost), deadline)
        except TemporarilyUnavailable:
            self._conclude(held, self._given_back, deadline)
            raise
        except ProviderTimedOut as error:
            return self._give_up(held, plan, error, deadline, needed=needed)
        except GatehouseError as error:
            return self._fail(held, error, deadline, needed=needed)
        except Exception:
            # A defect must not hold the lease until it lapses: the others would wait for nothing, and meet it in turn.
            self._fail(held, _defect(), deadline, needed=needed)
            raise
        return self._commit(held, plan, response, deadline)

    def _ask(self, held: Connection, plan: Plan, deadline: Deadline) -> TokenResponse:
        """Return the server's answer. Whatever came before was slow, the request ends within our time and our lease.

        Raises `TemporarilyUnavailable`, with nothing sent, where that leaves too little.
        """
        assert held.lease is not None  # noqa: S101 - `held` is what we hold it in
        lease_left = held.lease.until - AFTER_HTTP - self.timing.now()
        timeout = min(deadline.for_http(plan.registration.provider.request_timeout), lease_left)
        if timeout < SHORTEST_REQUEST:
            raise TemporarilyUnavailable("Preparing the refresh took too long: try again.", retry_after=1)
        return self.client.refresh(plan.registration, plan.refresh_token, timeout)

    def _ask_again(self, held: Connection, plan: Plan, lost: ProviderUnavailable, deadline: Deadline) -> TokenResponse:
        """Return the lost answer from a server that replays it, still on our own lease; without time raise `lost`.

        The connection broke, or a gateway answered: unlike after a time-out, nobody is at work there. Any other loss is
        for the next holder to find out about.
        """
        self.timing.sleep(_REPLAY_PAUSE)
        try:
            return self._ask(held, plan, deadline)
        except TemporarilyUnavailable:
            raise lost from None
        except ProviderUnavailable as error:
            error.outcome_unknown = True  # whatever this answer says, the first one is still missing
            raise

    def _fail(self, held: Connection, error: GatehouseError, deadline: Deadline, *, needed: bool) -> Connection:
        jitter = self.timing.jitter()

        def failed(stored: Connection) -> Connection:
            return stored.refresh_failed(error, self.timing.now(), jitter, needed=needed)

        return self._conclude(held, failed, deadline)

    def _give_up(
        self, held: Connection, plan: Plan, error: ProviderTimedOut, deadline: Deadline, *, needed: bool
    ) -> Connection:
        """Write that no answer came in time: until our lease lapses no other request may meet ours at work.

        Where the server repeats answers, the next one comes in the middle of the window that is left if it took ours
        just now: later it might be taken for reuse.
        """
        assert held.lease is not None  # noqa: S101 - `held` is what we hold it in
        now, jitter, until = self.timing.now(), self.timing.jitter(), float(held.lease.until)
        if window := plan.registration.provider.refresh_token_replay_seconds:
            until = min(until, now + window / 2)

        def given_up(stored: Connection) -> Connection:
            return stored.refresh_timed_out(error, until, self.timing.now(), jitter, needed=needed)

        return self._conclude(held, given_up, deadline)

    def _dead_of(self, error: GatehouseError, *, after_loss: bool) -> After:
        def dead(stored: Connection) -> Connection:
            return stored.died(error, self.timing.now(), after_loss=after_loss)

        return dead

    def _given_back(self, stored: Connection) -> Connection:
        return stored.lease_given_back(self.timing.now())

    def _let_go(self, stored: Connection) -> Connection:
        return stored.lease_ended(self.timing.now())

    def _plan(self, held: Connection, registration: Registration) -> Plan:
        refresh_token = self._opened(held).refresh_token
        if refresh_token is None:
            raise ReauthorizationRequired("The grant came without a refresh token: start again.")
        whose = registration.whose(held.parameters)
        return Plan(registration, refresh_token, self.cipher.prepare(held.connection_id, held.version + 1, whose))

    def _opened(self, held: Connection) -> TokenSet:
        used = _require_used(held)
        return self.cipher.tokens_of(held) if used is held.current else self.cipher.open(held.connection_id, used)

    def _claim(self, connection: Connection, holder: str, deadline: Deadline) -> Connection:
        """Return the record with the lease in our hand (the journal entry of the attempt), or as another changed it."""
        now = self.timing.now()
        held = connection.leased(holder, now + deadline.for_lease(), now)
        try:
            self.connections.change(connection, held)
        except Conflict:
            return self.connections.require(connection.connection_id)
        return held

    def _commit(self, held: Connection, plan: Plan, response: TokenResponse, deadline: Deadline) -> Connection:
        from .obtained import Obtained  # noqa: PLC0415 - a token that is good needs none of it

        at, jitter, upkeep = int(self.timing.now()), self.timing.jitter(), plan.registration.provider.upkeep

        def reseal(version: int) -> SealedTokens:
            sealer = self.cipher.prepare(held.connection_id, version, plan.sealer.whose, plan.sealer.id)
            return response.sealed_with(sealer, upkeep, at, jitter, first=False)

        used = _require_used(held)
        assert used.lease is not None  # noqa: S101 - `held` is what we hold it in
        obtained = Obtained(
            held.connection_id,
            used.lease.holder,
            response.sealed_with(plan.sealer, upkeep, at, jitter, first=False),
            refreshed_from=RefreshedFrom(used.id, used.lease.attempt),
            request_id=used.request_id,
            revocations=held.revocations,
            grants_are_apart=plan.registration.provider.grants_are_apart,
        )
        stored = self.committing.commit(obtained, reseal, deadline, held)
        client_id = plan.registration.client_id
        self.shared.note_refreshed(held.provider, client_id, self.timing.now(), deadline)
        return stored

    def _conclude(self, held: Connection, after: After, deadline: Deadline) -> Connection:
        """Write what an attempt without tokens came to, on our own lease; return what is stored then.

        Whatever else is written meanwhile, our lease and the token set that we had it for decide what is to be written.
        """
        stored = held
        while True:
            if not _is_ours(stored, held):
                return stored
            # A stale holder's answer came in while ours failed: what we learnt is of a token set of the past.
            concluded = after(stored) if _used_id(stored) == _used_id(held) else self._let_go(stored)
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


def _require_used(held: Connection) -> StoredSet:
    """Return the token set whose refresh token is used."""
    assert held.to_refresh is not None  # noqa: S101 - what is leased is there
    return held.to_refresh


def _used_id(connection: Connection) -> str | None:
    return connection.to_refresh.id if connection.to_refresh else None


def _is_ours(stored: Connection, held: Connection) -> bool:
    """Tell whether the lease that we held is still there, in our hand."""
    return stored.lease is not None and held.lease is not None and stored.lease.holder == held.lease.holder


def _defect() -> ProviderUnavailable:
    return ProviderUnavailable("The refresh was interrupted by a defect of Gatehouse.", outcome_unknown=True)
