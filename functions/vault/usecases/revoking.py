"""The end of a grant: here at once, then at the authorization server (RFC 7009), which is asked until it confirms it.

Each token set is revoked in somebody's hand, like a refresh: under its own lease, with its journal in the record. What
one attempt asks the server, and what its answers mean, is in `attempting`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import GatehouseError, ReauthorizationRequired, RevocationRefused, SlotsTaken
from functions.vault.base.record import record
from functions.vault.base.timing import SLOT_WAIT
from functions.vault.grant.attempting import Attempt, ask
from functions.vault.grant.connection import ENDED, Status
from functions.vault.grant.stored_set import (
    DEAD,
    ENDED_WITH_ALL,
    INTERRUPTED,
    LEFT_AT_THE_SERVER,
    REFUSED_AFTER_AN_INTERRUPTION,
)
from functions.vault.provider.registration_changes import as_issued_to
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.failure import Failure
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations

    from .refreshing import Refreshing

GIVE_UP_AFTER = 30
"""Failures to revoke until a person has to look: with the delays between them, a day and more."""

_ASK_AGAIN_AFTER = 60
"""Seconds after a first refusal of the refresh token until it is tried once more: a server may refuse in passing."""

After = Callable[["Connection", "StoredSet", float], "Connection | None"]
"""What becomes of a record with a certain token set to revoke in it, at a certain time; None where nothing does."""


class NotRevokedYet(Exception):
    """The server has not confirmed the end for so long that the message goes to the dead letters: an alarm fires."""


@record
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    refreshing: Refreshing
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline) -> dict[str, Any]:
        """End the connection: `revoked` where the server has confirmed it or cannot be asked, `revoking` until then."""
        holder = uuid.uuid4().hex
        ended = self._end_here(connection_id, holder, deadline)
        stored = self._revoke_all(ended, holder, deadline, self.timing.now() + SLOT_WAIT)
        if stored.to_revoke:
            return {"connection_id": connection_id, "status": str(Status.REVOKING)}
        return {"connection_id": connection_id, "status": str(Status.REVOKED), **_of_the_grant(stored)}

    def retry(self, connection_id: str, deadline: Deadline) -> GatehouseError | None:
        """Try once more, for the queue. Where no slot of the provider is free, it is due again soon.

        Returns the failure, for the log; the record says when it is due again. Raises `NotRevokedYet` where that has
        failed too often.
        """
        connection = self.connections.get(connection_id)
        if connection is None:
            return None
        stored = self._revoke_all(connection, uuid.uuid4().hex, deadline, self.timing.now())
        self._require_hope(stored)
        failures = _failures(stored)
        return failures[0].as_error(connection_id, self.timing.now()) if failures else None

    def put_off(self, connection_id: str) -> None:
        """Do without an attempt, for the queue: raise `NotRevokedYet` where there were too many, as `retry` does."""
        if (connection := self.connections.get(connection_id)) is not None:
            self._require_hope(connection)

    def _require_hope(self, connection: Connection) -> None:
        most = max((failure.count for failure in _failures(connection)), default=0)
        if most >= GIVE_UP_AFTER:
            raise NotRevokedYet(f"The authorization server did not confirm the revocation in {most} attempts.")

    def _end_here(self, connection_id: str, holder: str, deadline: Deadline) -> Connection:
        """Return the connection with nothing to vend any more, and its current token set in our hand if it was free."""
        while True:
            connection = self.connections.require(connection_id)
            if connection.status in ENDED:
                return connection
            waiting = self.registrations.has_slots(connection.provider)
            now = self.timing.now()
            ending = connection.revoking(now, holder, now + deadline.for_lease(), waiting=waiting)
            try:
                self.connections.change(connection, ending)
            except Conflict:
                continue
            return ending

    def _revoke_all(self, connection: Connection, holder: str, deadline: Deadline, slot_by: float) -> Connection:
        """Try each token set once, also those that come meanwhile; return what is stored."""
        tried: set[str] = set()
        while left := [each for each in connection.to_revoke if each.id not in tried]:
            tried.add(left[0].id)
            connection = self._attempt(connection, left[0], holder, deadline, slot_by)
        return connection

    def _attempt(
        self, connection: Connection, over: StoredSet, holder: str, deadline: Deadline, slot_by: float
    ) -> Connection:
        """Try to revoke one token set, and write down what came of it. What another has in hand waits.

        So does what gets no slot of its provider until `slot_by` (Unix seconds).
        """
        held = self._claim(connection, over, holder, deadline)
        mine = _to_revoke(held, over)
        if mine is None or not mine.is_held_by(holder):
            return held
        with ExitStack() as until_stored:
            try:
                registration = self._registration_of(mine, deadline)
                if (instead := self._instead(held, mine, registration)) is not None:
                    return self._change(held, mine, instead)
                client = until_stored.enter_context(self.client.in_slot(registration, deadline, slot_by))
            except SlotsTaken:
                return self._change(held, mine, _let_go)
            except GatehouseError as error:
                return self._conclude(held, mine, Attempt(failure=error))
            except Exception:
                self._change(held, mine, _let_go)
                raise
            held = self._begun(held, mine, deadline)
            begun = _to_revoke(held, mine)
            if begun is None or not begun.is_held_by(holder):
                return held
            return self._carry_out(held, begun, registration, client, deadline)

    def _instead(self, held: Connection, mine: StoredSet, registration: Registration) -> After | None:
        """Return what becomes of a token set that is not to be sent now; None where it is."""
        if self._is_put_off(held, mine, registration):
            return _put_off
        if mine.lease is not None and mine.lease.may_be_answered and self.refreshing.came_late(held, mine):
            return _let_go
        return None

    def _begun(self, held: Connection, mine: StoredSet, deadline: Deadline) -> Connection:
        """Return the record with the attempt in it: from here on it may have been sent."""
        if mine.lease is None or not mine.lease.waiting:
            return held

        def got_slot(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not _is_ours(current, mine):
                return None
            return stored.revocation_began(current.got_slot(now + deadline.for_lease()), now)

        return self._change(held, mine, got_slot)

    def _carry_out(
        self, held: Connection, mine: StoredSet, registration: Registration, client: Client, deadline: Deadline
    ) -> Connection:
        """Ask the server, with a slot in hand where it has them, and write down what it answers."""
        try:
            attempt = self._ask(held, mine, registration, client, deadline)
            if attempt.needs_refresh:
                deadline.for_http(registration.provider.request_timeout)  # with too little time nothing is begun
        except GatehouseError as error:
            return self._conclude(held, mine, Attempt(failure=error))
        except Exception:
            # A defect must not hold the lease until it lapses, nor count for an attempt that may have been heard.
            self._change(held, mine, _let_go)
            raise
        if attempt.needs_refresh:
            return self._refresh(held, mine, registration, attempt, client, deadline)
        return self._conclude(held, mine, attempt)

    def _claim(self, connection: Connection, over: StoredSet, holder: str, deadline: Deadline) -> Connection:
        """Return the record with the token set in our hand, or as it is where another has it or it is gone."""
        waiting = self.registrations.has_slots(over.whose.provider)

        def claimed(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if current.is_in_hand(now):
                return None
            until = now + deadline.for_lease()
            return stored.revocation_began(current.claimed(holder, until, now, revokes=True, waiting=waiting), now)

        return self._change(connection, over, claimed)

    def _registration_of(self, over: StoredSet, deadline: Deadline) -> Registration:
        """Return the registration under which a token set was issued; without its revocation if that is no more."""
        registration = self.registrations.get(over.whose.provider, deadline).for_tenant(over.whose.parameters)
        try:
            return as_issued_to(registration, over.whose)
        except ReauthorizationRequired:
            return registration.without_revocation()

    def _is_put_off(self, connection: Connection, over: StoredSet, registration: Registration) -> bool:
        """Tell whether to revoke it might end what the user has consented to since."""
        return not registration.provider.grants_are_apart and _a_newer_consent_stands(connection, over)

    def _ask(
        self, held: Connection, mine: StoredSet, registration: Registration, client: Client, deadline: Deadline
    ) -> Attempt:
        """Return what came of asking the server to revoke the tokens that there are."""

        def revoke(kind: str, token: str) -> bool:
            timeout = deadline.for_http(registration.provider.request_timeout)
            return client.revoke(registration, kind, token, timeout)

        ends_all = registration.provider.revocation_ends_authorization is True
        had_ended = held.has_ended_the_grant_of(mine, ends_all=ends_all)
        tokens = self.cipher.open(held.connection_id, mine)
        return ask(
            mine,
            tokens,
            registration.revocable_tokens,
            revoke,
            self.timing.now,
            had_ended=had_ended,
            ends_all=ends_all,
            first_ends_all=registration.provider.first_revocation_ends_all,
            refuses_us=registration.has_no_method_for_revocation,
        )

    # A live access token, where the server takes nothing else

    def _refresh(  # noqa: PLR0913, PLR0917 - a token set, and what was asked about it
        self,
        held: Connection,
        mine: StoredSet,
        registration: Registration,
        attempt: Attempt,
        client: Client,
        deadline: Deadline,
    ) -> Connection:
        """Refresh a token set under its own lease: what comes is sealed, stored in its place, and vended to nobody.

        It is revoked next, as any token set that comes late is. A refusal tells that the grant has gone.
        """
        assert mine.lease is not None  # noqa: S101 - it is in our hand
        holder = mine.lease.holder

        def claimed(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not current.is_held_by(holder):
                return None
            leased = current.with_answers(attempt.answers).claimed(
                holder, now + deadline.for_lease(), now, revokes=False
            )
            return stored.refresh_to_revoke_began(leased, now)

        leased = self._change(held, mine, claimed)
        used = _to_revoke(leased, mine)
        if used is None or not used.is_held_by(holder):
            return leased
        after_a_defect = _let_go
        try:
            plan = self.refreshing.plan(leased, used, registration, used.seal.version)
            after_a_defect = _without_answer
            response = self.refreshing.ask(used, plan, client, deadline)
        except ReauthorizationRequired as error:
            return self._refused(leased, used, error)
        except GatehouseError as error:
            return self._refresh_failed(leased, used, error)
        except Exception:
            self._change(leased, used, after_a_defect)
            raise
        return self.refreshing.commit(leased, used, plan, response, deadline)

    def _refused(self, leased: Connection, used: StoredSet, error: ReauthorizationRequired) -> Connection:
        """Write down that the server takes neither the tokens nor the refresh token: at the second time that is all."""
        jitter = self.timing.jitter()
        refusal = RevocationRefused(
            "The authorization server takes no token of this grant for its revocation, and does not refresh it.",
            retry_after=_ASK_AGAIN_AFTER,
            provider_error=error.provider_error,
        )

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not _is_ours(current, used):
                return None
            if end := _end_by_refusal(current, after_loss=error.after_loss):
                return stored.revocation_confirmed(current.answered("grant", end, now), now)
            return stored.revocation_failed(current.refused().attempt_failed(refusal, now, jitter), now)

        return self._change(leased, used, after)

    def _refresh_failed(self, leased: Connection, used: StoredSet, error: GatehouseError) -> Connection:
        jitter = self.timing.jitter()

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not _is_ours(current, used):
                return None
            return stored.revocation_failed(current.refresh_failed(error, now, jitter), now)

        return self._change(leased, used, after)

    # Into the record

    def _conclude(self, held: Connection, mine: StoredSet, attempt: Attempt) -> Connection:
        """Write what an attempt came to.

        What a server has confirmed stands over whatever another came to meanwhile; a failure is written on our own
        lease alone.
        """
        jitter, failure = self.timing.jitter(), attempt.failure

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            known = current.with_answers(attempt.answers)
            if failure is None:
                return stored.revocation_confirmed(known, now)
            if not _is_ours(current, mine):
                return None
            return stored.revocation_failed(known.attempt_failed(failure, now, jitter), now)

        ended = mine.with_answers(attempt.answers) if failure is None else None
        return self._change(held, mine, after, ended=ended)

    def _change(
        self, connection: Connection, over: StoredSet, after: After, *, ended: StoredSet | None = None
    ) -> Connection:
        """Write what has become of a token set into the record, whatever else happens to that; return what is stored.

        One that is no more was revoked by another, and that stands; or it has given way to a late answer. If its end
        was confirmed, the server may refuse to end the grant once more, and that is known from what is noted.
        """
        while True:
            current, now = _to_revoke(connection, over), self.timing.now()
            changed: Connection | None = None
            if current is not None:
                changed = after(connection, current, now)
            elif ended is not None and _has_given_way(connection, over):
                changed = connection.end_noted(ended, now)
            if changed is None:
                return connection
            try:
                self.connections.change(connection, changed)
            except Conflict:
                connection = self.connections.require(connection.connection_id)
            else:
                return changed


def _of_the_grant(revoked: Connection) -> dict[str, str]:
    """Return what `revoke` answers beside the status: whether a grant may live on, or others have ended with it."""
    if any(end.is_left for end in revoked.revocation):
        return {"grant": LEFT_AT_THE_SERVER}
    return {"grant": ENDED_WITH_ALL} if any(end.ended_all for end in revoked.revocation) else {}


def _to_revoke(connection: Connection, over: StoredSet) -> StoredSet | None:
    """Return a token set as it is to be revoked now; None where that is over."""
    return next((each for each in connection.to_revoke if each.id == over.id), None)


def _failures(connection: Connection) -> list[Failure]:
    """Return the last failure of each token set that is to be revoked and has failed."""
    revocations = (each.revocation for each in connection.to_revoke)
    return [each.failure for each in revocations if each is not None and each.failure is not None]


def _has_given_way(connection: Connection, over: StoredSet) -> bool:
    """Tell whether what is to be revoked now came of a token set."""
    return any(each.refreshed_from and each.refreshed_from.set_id == over.id for each in connection.to_revoke)


def _is_ours(current: StoredSet, mine: StoredSet) -> bool:
    """Tell whether the lease that we hold is still there, in our hand."""
    return mine.lease is not None and current.is_held_by(mine.lease.holder)


def _is_interrupted(mine: StoredSet) -> bool:
    return mine.lease is not None and mine.lease.is_after_an_interruption


def _a_newer_consent_stands(connection: Connection, over: StoredSet) -> bool:
    """Tell whether the user has consented anew, to the same client for the same tenant.

    To revoke the old grant may end the new one with it.
    """
    current = connection.current
    return current is not None and over.whose.is_of_the_same_client(current.whose)


def _end_by_refusal(current: StoredSet, *, after_loss: bool) -> str | None:
    """Return how a token set ends whose refresh token is refused; None where one refusal is not enough to go by."""
    if after_loss or _is_interrupted(current):
        return INTERRUPTED
    if current.was_dead:
        return DEAD
    return REFUSED_AFTER_AN_INTERRUPTION if current.open_attempts else None


def _put_off(stored: Connection, over: StoredSet, now: float) -> Connection:
    """Return a record with a token set that waits, unless the connection was revoked meanwhile: then it is next."""
    if _a_newer_consent_stands(stored, over):
        return stored.revocation_put_off(over, now)
    return stored.lease_ended_aside(over.released(), now)


def _let_go(stored: Connection, over: StoredSet, now: float) -> Connection:
    return stored.lease_ended_aside(over.released(), now)


def _without_answer(stored: Connection, over: StoredSet, now: float) -> Connection:
    return stored.lease_ended_aside(over.answer_lost(now), now)
