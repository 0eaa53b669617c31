"""One refresh of a connection's token set (RFC 6749 section 6): under its lease asked for, and committed or concluded.

Who holds the lease, and nobody else, uses the refresh token. Whatever comes of it is written on that lease alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    GatehouseError,
    LastingRefusal,
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
    UnknownRefusal,
)
from functions.vault.base.record import record
from functions.vault.base.timing import AFTER_HTTP, CALL, RESCUED_WITHIN, SETTLE, SHORTEST_REQUEST
from functions.vault.grant import scopes
from functions.vault.grant.connection import Connection
from functions.vault.grant.stored_set import RefreshedFrom, StoredSet
from functions.vault.provider.registration_changes import as_issued_to
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.stored_set import Sealer
    from functions.vault.grant.token_set import TokenSet
    from functions.vault.grant.tokens import SealedTokens, TokenResponse
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations
    from functions.vault.storage.shared import Shared

    from .committing import Committing

_PAUSE = 0.5
"""Seconds between two tries to write what an attempt came to."""

_REPLAY_PAUSE = 0.2

After = Callable[[Connection], Connection]
"""What becomes of a record, as it is when that is written."""

Aside = Callable[[StoredSet], StoredSet]
"""What becomes of a token set that was replaced or revoked while it was refreshed in vain."""


@record
class Plan:
    """All that an attempt needs, from before the lease is claimed: nothing else can fail once the server is asked.

    An ID token goes on with what comes, for as long as it has to be asked whose account it names; so does the question
    to an account endpoint (`asks_endpoint`). `scope` is asked for, if the server wants that.
    """

    registration: Registration
    refresh_token: str
    sealer: Sealer
    unverified_id_token: str | None = None
    asks_endpoint: bool = False
    scope: str | None = None


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
        """Claim the lease, ask the server, commit what came of it; return the record to decide on next.

        `needed`: the access token that is there will not do. Only who holds the lease asks KMS and the server: a
        thousand who find a token expired cost one of each. Raises `TemporarilyUnavailable` where nothing was begun, or
        where its end could not be written.

        Where the provider has slots, it looks for one until `slot_by` (Unix seconds), and at least once. Without one
        nothing is sent, what is done in the background is put off for minutes, and `SlotsTaken` is raised.
        """
        try:
            registration = self._registration_of(connection, deadline)
        except ReauthorizationRequired as error:
            return self._changed(connection, connection.died(error, self.timing.now()))
        deadline.for_http(registration.provider.request_timeout)  # with too little time nothing is begun
        held = self._claim(
            connection, holder, deadline, waiting=registration.provider.has_slots, by_caller=not is_background
        )
        if held.lease is None or held.lease.holder != holder:
            return held
        try:
            if held.lease.may_be_answered and self.came_late(held, _require_used(held)):
                return self._conclude(held, self._let_go, deadline)
            used = _require_used(held)
            plan = self.plan(held, used, registration, held.version + 1)
        except TemporarilyUnavailable as error:
            if held.lease.is_after_an_interruption:
                # What is known of the interruption stays with the lease: a failure shared by all would forget it.
                self._conclude(held, self._given_back, deadline)
                raise
            return self._fail(held, error, deadline, needed=needed)
        except Exception:
            self._conclude(held, self._given_back, deadline)
            raise
        with ExitStack() as until_stored:
            try:
                client = until_stored.enter_context(self.client.in_slot(registration, deadline, slot_by))
            except SlotsTaken:
                self._conclude(held, self._put_off if is_background else self._given_back, deadline)
                raise
            except Exception:
                self._conclude(held, self._given_back, deadline)
                raise
            begun = self._begun(held, deadline)
            if begun.lease is None or begun.lease.holder != holder or begun.lease.waiting:
                return begun
            return self._carry_out(begun, plan, client, deadline, needed=needed)

    def _registration_of(self, connection: Connection, deadline: Deadline) -> Registration:
        """Return the registration under which the token set to be used was issued; raise where it is another by now."""
        registration = self.registrations.get(connection.provider, deadline).for_tenant(connection.parameters)
        return as_issued_to(registration, _require_used(connection).whose)

    def _changed(self, was: Connection, now: Connection) -> Connection:
        """Return what is stored, which is `now` unless another has changed it meanwhile."""
        try:
            self.connections.change(was, now)
        except Conflict:
            return self.connections.require(was.connection_id)
        return now

    def _begun(self, held: Connection, deadline: Deadline) -> Connection:
        """Return the record with the attempt in it: from here on it may have been sent."""
        assert held.lease is not None  # noqa: S101 - `held` is what we hold it in
        if not held.lease.waiting:
            return held

        def got_slot(stored: Connection) -> Connection:
            now = self.timing.now()
            return stored.got_slot(now + deadline.for_lease(), now)

        return self._conclude(held, got_slot, deadline)

    def came_late(self, held: Connection, used: StoredSet) -> bool:
        """Tell whether the answer of an interrupted attempt came in after all, given a moment more.

        It may lie in the rescue queue, behind an outage: sending its refresh token again would, at a server that
        detects reuse, end the grant that is about to be rescued. Raises `TemporarilyUnavailable` where that may be so.
        """
        assert used.lease is not None  # noqa: S101 - `held` is what we hold it in
        self.timing.sleep(SETTLE)
        is_recent = self.timing.now() < (used.lease.interrupted_at or 0) + RESCUED_WITHIN
        # The queue is asked before the record: what a rescue stores in between, the record then tells of.
        may_come = is_recent and self.committing.may_hold_another()
        stored = self.connections.require(held.connection_id)
        still = stored.set_of(used.id)
        came = (stored.version, still and still.place) != (held.version, used.place)
        if may_come and not came:
            raise TemporarilyUnavailable(
                "An earlier refresh was interrupted, and its tokens may be on their way into the record: try again.",
                retry_after=5,
            )
        return came

    def _carry_out(
        self, held: Connection, plan: Plan, client: Client, deadline: Deadline, *, needed: bool
    ) -> Connection:
        used = _require_used(held)
        try:
            response = self.ask(used, plan, client, deadline)
        except ReauthorizationRequired as error:
            # Guarded by our lease: where it no longer holds, somebody else may have won, and the next read tells.
            return self._conclude(held, self._dead_of(error), deadline, _refused)
        except TemporarilyUnavailable:
            self._conclude(held, self._given_back, deadline)
            raise
        except ProviderTimedOut as error:
            return self._give_up(held, plan, error, deadline, needed=needed)
        except UnknownRefusal as error:
            return self._refused_unknown(held, plan, error, deadline, needed=needed)
        except GatehouseError as error:
            return self._fail(held, error, deadline, needed=needed)
        except Exception:
            # A defect must not hold the lease until it lapses: the others would wait for nothing, and meet it in turn.
            self._fail(held, _defect(), deadline, needed=needed)
            raise
        return self.commit(held, used, plan, response, deadline)

    def ask(self, used: StoredSet, plan: Plan, client: Client, deadline: Deadline) -> TokenResponse:
        """Return the server's answer about the token set that we hold the lease of; raise what it means.

        `client` has a slot, where the provider has them.

        A lost answer is asked for again, at once, where the server repeats it and is not at work on it any more; not
        in a look, which is one request.
        """
        try:
            return self._ask(used, plan, client, deadline)
        except ProviderUnavailable as error:
            is_repeated = plan.registration.provider.replays_refresh and not isinstance(error, ProviderTimedOut)
            if not error.outcome_unknown or not is_repeated or used.belief is not None:
                raise
            return self._ask_again(used, plan, client, error, deadline)

    def _ask(self, used: StoredSet, plan: Plan, client: Client, deadline: Deadline) -> TokenResponse:
        """Return the server's answer. Whatever came before was slow, the request ends within our time and our lease.

        Raises `TemporarilyUnavailable`, with nothing sent, where that leaves too little.
        """
        assert used.lease is not None  # noqa: S101 - it is in our hand
        lease_left = used.lease.until - AFTER_HTTP - self.timing.now()
        timeout = min(deadline.for_http(plan.registration.provider.request_timeout), lease_left)
        if timeout < SHORTEST_REQUEST:
            raise TemporarilyUnavailable("Preparing the refresh took too long: try again.", retry_after=1)
        is_first = used.refreshed_from is None
        return client.refresh(plan.registration, plan.refresh_token, timeout, plan.scope, first=is_first)

    def _ask_again(
        self, used: StoredSet, plan: Plan, client: Client, lost: ProviderUnavailable, deadline: Deadline
    ) -> TokenResponse:
        """Return the lost answer from a server that replays it, still on our own lease; without time raise `lost`.

        The connection broke, or a gateway answered: unlike after a time-out, nobody is at work there. Any other loss is
        for the next holder to find out about.
        """
        self.timing.sleep(_REPLAY_PAUSE)
        try:
            return self._ask(used, plan, client, deadline)
        except TemporarilyUnavailable:
            raise lost from None
        except ReauthorizationRequired as error:
            error.after_loss = True
            raise
        except ProviderUnavailable as error:
            error.outcome_unknown = True  # whatever this answer says, the first one is still missing
            raise

    def _fail(self, held: Connection, error: GatehouseError, deadline: Deadline, *, needed: bool) -> Connection:
        jitter = self.timing.jitter()

        def failed(stored: Connection) -> Connection:
            return stored.refresh_failed(error, self.timing.now(), jitter, needed=needed)

        def aside(moved: StoredSet) -> StoredSet:
            is_unknown = isinstance(error, ProviderUnavailable) and error.outcome_unknown
            return moved.answer_lost(self.timing.now()) if is_unknown else moved.released()

        return self._told(self._conclude(held, failed, deadline, aside), held, error)

    def _refused_unknown(
        self, held: Connection, plan: Plan, error: UnknownRefusal, deadline: Deadline, *, needed: bool
    ) -> Connection:
        """Write that a server refuses for a reason that nobody knows: it may pass, if it has not lasted too long.

        Then the grant is dead if the client's others are answered. Else it may be the client, and a person has to see.
        """
        since = held.refused_unknown_since(error, self.timing.now())
        if since is None or held.is_believed_dead:
            return self._fail(held, error, deadline, needed=needed)
        try:
            answered_at = self.shared.last_refreshed(held.provider, plan.registration.client_id)
        except TemporarilyUnavailable:
            return self._fail(held, error, deadline, needed=needed)  # the next refusal is judged
        if answered_at is not None and answered_at > since:
            return self._conclude(held, self._dead_of(_dead_by_comparison(error)), deadline, _refused)
        return self._fail(held, _lasting(error), deadline, needed=needed)

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

        concluded = self._conclude(held, given_up, deadline, lambda moved: moved.timed_out(until, now))
        return self._told(concluded, held, error)

    def _told(self, concluded: Connection, held: Connection, error: GatehouseError) -> Connection:
        """Return the record of a failed attempt. That of a look says nothing of it: then raise the failure."""
        if held.is_believed_dead:
            raise error
        return concluded

    def _dead_of(self, error: ReauthorizationRequired) -> After:
        jitter = self.timing.jitter()

        def dead(stored: Connection) -> Connection:
            return stored.died(error, self.timing.now(), jitter, after_loss=error.after_loss)

        return dead

    def _given_back(self, stored: Connection) -> Connection:
        return stored.lease_given_back(self.timing.now())

    def _put_off(self, stored: Connection) -> Connection:
        return stored.lease_given_back(self.timing.now(), self.timing.after_no_slot())

    def _let_go(self, stored: Connection) -> Connection:
        return stored.lease_ended(self.timing.now())

    def plan(self, held: Connection, used: StoredSet, registration: Registration, version: int) -> Plan:
        """Return all that it takes to refresh a token set and to seal what comes of it for a `version`."""
        tokens = self._opened(held, used)
        if tokens.refresh_token is None:
            raise ReauthorizationRequired("The grant came without a refresh token: start again.")
        sealer = self.cipher.prepare(held.connection_id, version, registration.whose(used.whose.parameters))
        unverified_id_token = tokens.unverified_id_token if used.account_at is not None else None
        asks_endpoint = used.account_at is not None and registration.provider.account_endpoint is not None
        scope = _scope_as_asked(held, used) if registration.provider.scope_in_refresh else None
        return Plan(registration, tokens.refresh_token, sealer, unverified_id_token, asks_endpoint, scope)

    def _opened(self, held: Connection, used: StoredSet) -> TokenSet:
        return self.cipher.tokens_of(held) if used is held.current else self.cipher.open(held.connection_id, used)

    def _claim(
        self, connection: Connection, holder: str, deadline: Deadline, *, waiting: bool, by_caller: bool
    ) -> Connection:
        """Return the record with the lease in our hand, or as another changed it.

        That is the journal entry of the attempt, unless the lease is `waiting` for a slot.
        """
        now = self.timing.now()
        held = connection.leased(holder, now + deadline.for_lease(), now, waiting=waiting, by_caller=by_caller)
        try:
            self.connections.change(connection, held)
        except Conflict:
            return self.connections.require(connection.connection_id)
        return held

    def commit(
        self, held: Connection, used: StoredSet, plan: Plan, response: TokenResponse, deadline: Deadline
    ) -> Connection:
        """Bring what a token set was refreshed to into the record; return that. Raises as `Committing.commit` does."""
        from functions.vault.grant.obtained import Obtained  # noqa: PLC0415 - a token that is good needs none of it

        at, jitter, upkeep = int(self.timing.now()), self.timing.jitter(), plan.registration.provider.upkeep
        response = response.asking_endpoint() if plan.asks_endpoint else response
        response = _with_missing_scopes(response.asking_with(plan.unverified_id_token), held, used, plan)

        def reseal(version: int, purpose: str) -> SealedTokens:
            sealer = self.cipher.prepare(held.connection_id, version, plan.sealer.whose, plan.sealer.id, purpose)
            return response.sealed_with(sealer, upkeep, at, jitter, first=False)

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
        self.shared.note_refreshed(used.whose.provider, client_id, self.timing.now(), deadline)
        return stored

    def _conclude(
        self, held: Connection, after: After, deadline: Deadline, aside: Aside = StoredSet.released
    ) -> Connection:
        """Write what an attempt without tokens came to, on our own lease; return what is stored then.

        Whatever else is written meanwhile, our lease and the token set that we had it for decide what is to be written.
        `aside` is what becomes of that one where it is used no more: a consent or a revocation came.
        """
        stored, used = held, _require_used(held)
        while True:
            moved = stored.set_of(used.id)
            if _is_ours(stored, held):
                # A stale holder's answer came in while ours failed: what we learnt is of a token set of the past.
                concluded = after(stored) if _used_id(stored) == used.id else self._let_go(stored)
            elif moved is not None and used.lease is not None and moved.is_held_by(used.lease.holder):
                concluded = stored.lease_ended_aside(aside(moved), self.timing.now())
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


def _scope_as_asked(held: Connection, used: StoredSet) -> str | None:
    """Return the scope of a token set in the words that it was asked for in, without what was not granted.

    The server knows those words, and takes none for a refresh that were not granted (RFC 6749 section 6).
    """
    asked = [scope for scope in (held.requested_scope or "").split() if scope not in held.scope_missing]
    return used.scope or " ".join(asked) or held.scope or None


def _with_missing_scopes(response: TokenResponse, held: Connection, used: StoredSet, plan: Plan) -> TokenResponse:
    """Return the response with what is missing of what was asked for, by the scope that the connection then has."""
    scope = response.scope or used.scope or held.scope
    aliases = plan.registration.provider.scope_aliases
    missing = scopes.missing(held.requested_scope, scope, aliases, refreshable=True)
    return replace(response, scope_missing=missing)


def _require_used(held: Connection) -> StoredSet:
    """Return the token set whose refresh token is used."""
    assert held.to_refresh is not None  # noqa: S101 - what is leased is there
    return held.to_refresh


def _used_id(connection: Connection) -> str | None:
    return connection.to_refresh.id if connection.to_refresh else None


def _refused(moved: StoredSet) -> StoredSet:
    return replace(moved.refused(), lease=None)


def _is_ours(stored: Connection, held: Connection) -> bool:
    """Tell whether the lease that we held is still there, in our hand."""
    return stored.lease is not None and held.lease is not None and stored.lease.holder == held.lease.holder


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


def _defect() -> ProviderUnavailable:
    return ProviderUnavailable("The refresh was interrupted by a defect of Gatehouse.", outcome_unknown=True)
