"""Refreshing what a connection vends: claim the lease, get a slot, send the request, write the result.

Whoever holds the lease, and nobody else, uses the refresh token. The request is in `token_refresh`; what is written if
it brings no tokens is in `refresh_results`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    AnswerMayCome,
    GatehouseError,
    ProviderUnavailable,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import refreshes
from functions.vault.provider.registration_changes import as_issued_to

from .refresh_results import has_our_lease, require_used

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations

    from .refresh_results import RefreshResults
    from .token_refresh import Plan, TokenRefresh


@record
class Refreshing:
    """Refreshes a connection's token set for whoever needs that."""

    connections: Connections
    registrations: Registrations
    client: Client
    token_refresh: TokenRefresh
    results: RefreshResults
    timing: Timing

    def refresh(  # noqa: PLR0913 - for whom, and how long that one waits
        self,
        connection: Connection,
        holder: str,
        deadline: Deadline,
        *,
        needed: bool = False,
        slot_by: float = 0.0,
        is_background: bool = False,
    ) -> Connection:
        """Refresh the token set, if nobody else does; return the record to decide on next.

        `needed`: a caller waits, and the stored access token will not do. Only the holder of the lease calls KMS and
        the server: a thousand callers who find a token expired cost one call of each. Raises `TemporarilyUnavailable`
        if nothing was begun, or if the result could not be written.

        If the provider has slots, waits for one until `slot_by` (Unix seconds) and looks at least once. Without a slot,
        or while the answer of an interrupted attempt may come, nothing is sent: background work is put off for minutes,
        and `SlotsTaken` or `AnswerMayCome` is raised.
        """
        try:
            registration = self._registration_of(connection, deadline)
        except ReauthorizationRequired as error:
            return self.connections.change_or_read(connection, refreshes.refused(connection, error, self.timing.now()))
        deadline.for_http(registration.provider.request_timeout)  # with too little time nothing is begun
        has_slots = registration.provider.has_slots
        held = self._claim(connection, holder, deadline, waiting=has_slots, by_caller=not is_background)
        if held.lease is None or held.lease.holder != holder:
            return held
        try:
            if self._has_late_answer(held, is_needed=not is_background):
                return self.results.lease_ended(held, deadline)
            plan = self.token_refresh.plan(held, require_used(held), registration, held.version + 1)
        except AnswerMayCome:
            self._give_back(held, deadline, is_background=is_background)
            raise
        except TemporarilyUnavailable as error:
            if held.lease.is_after_an_interruption:
                # The lease keeps what is known of the interruption: a failure shared by all callers would forget it.
                self.results.lease_given_back(held, deadline)
                raise
            return self.results.failed(held, registration, error, deadline, needed=needed)
        except Exception:
            self.results.lease_given_back(held, deadline)
            raise
        return self.refresh_leased(held, plan, deadline, slot_by, needed=needed, is_background=is_background)

    def _registration_of(self, connection: Connection, deadline: Deadline) -> Registration:
        """Return the registration that the token set was issued under; raise if the registration is another by now."""
        registration = self.registrations.get(connection.provider, deadline).for_tenant(connection.parameters)
        return as_issued_to(registration, require_used(connection).whose)

    def _claim(
        self, connection: Connection, holder: str, deadline: Deadline, *, waiting: bool, by_caller: bool
    ) -> Connection:
        """Return the record with the lease in our hand, or as another changed it.

        The lease is the journal entry of the attempt, unless it is `waiting` for a slot.
        """
        now = self.timing.now()
        held = refreshes.leased(
            connection, holder, now + deadline.for_lease(), now, waiting=waiting, by_caller=by_caller
        )
        return self.connections.change_or_read(connection, held)

    def _has_late_answer(self, held: Connection, *, is_needed: bool) -> bool:
        """Return whether the answer of an interrupted attempt has come; raise `AnswerMayCome` if it still may."""
        may_come = held.lease is not None and held.lease.may_be_answered
        return may_come and self.token_refresh.has_late_answer(held, require_used(held), is_needed=is_needed)

    def _give_back(self, held: Connection, deadline: Deadline, *, is_background: bool) -> None:
        """Give the lease back with nothing sent; background work is put off for minutes."""
        give_back = self.results.put_off if is_background else self.results.lease_given_back
        give_back(held, deadline)

    def refresh_leased(  # noqa: PLR0913 - an attempt, and how long it waits for a slot
        self,
        held: Connection,
        plan: Plan,
        deadline: Deadline,
        slot_by: float,
        *,
        needed: bool,
        is_background: bool = False,
    ) -> Connection:
        """Refresh under a lease that the caller holds, and return the record to decide on next. Raises as `refresh`.

        If the provider has slots, gets one first: it is held until the answer is stored.
        """
        with ExitStack() as until_stored:
            try:
                client = until_stored.enter_context(self.client.in_slot(plan.registration, deadline, slot_by))
            except SlotsTaken:
                self._give_back(held, deadline, is_background=is_background)
                raise
            except Exception:
                self.results.lease_given_back(held, deadline)
                raise
            begun = self._begun(held, deadline)
            if begun.lease is None or begun.lease.waiting or not has_our_lease(begun, held):
                return begun
            return self._refresh(begun, plan, client, deadline, needed=needed)

    def _begun(self, held: Connection, deadline: Deadline) -> Connection:
        """Return the record with the attempt in it: from here on the request may have been sent."""
        assert held.lease is not None  # noqa: S101 - `held` is what we hold it in
        if not held.lease.waiting:
            return held

        def got_slot(stored: Connection) -> Connection:
            now = self.timing.now()
            return refreshes.got_slot(stored, now + deadline.for_lease())

        return self.results.write(held, got_slot, deadline)

    def _refresh(self, held: Connection, plan: Plan, client: Client, deadline: Deadline, *, needed: bool) -> Connection:
        """Send the request, and write what came of it."""
        used, registration = require_used(held), plan.registration
        try:
            response = self.token_refresh.send(used, plan, client, deadline)
        except ReauthorizationRequired as error:
            # Guarded by our lease: if it no longer holds, somebody else may have refreshed, as the next read shows.
            return self.results.dead(held, error, deadline)
        except TemporarilyUnavailable:
            self.results.lease_given_back(held, deadline)
            raise
        except GatehouseError as error:
            return self.results.failed(held, registration, error, deadline, needed=needed)
        except Exception:
            # A defect must not hold the lease until it lapses: the others would wait for nothing, and meet it in turn.
            self.results.failed(held, registration, _defect(), deadline, needed=needed)
            raise
        return self.token_refresh.commit(held, used, plan, response, deadline)


def _defect() -> ProviderUnavailable:
    return ProviderUnavailable("The refresh was interrupted by a defect of Gatehouse.", outcome_unknown=True)
