"""One refresh of one token set, for whoever holds its lease: what it takes, the request, and the answer stored.

`refreshing` uses it for what a connection vends, `refresh_to_revoke` for a token set that is about to be revoked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    AnswerMayCome,
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.base.timing import AFTER_HTTP, QUEUE_SPEAKS_FOR, RESCUED_WITHIN, SETTLE, SHORTEST_REQUEST
from functions.vault.grant import scopes
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.unproved import unproved_in

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.seal import Sealer
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.grant.token_set import TokenSet
    from functions.vault.grant.tokens import SealedTokens, TokenResponse
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.shared import Shared

    from .committing import Committing

_REPLAY_PAUSE = 0.2
"""Seconds before a lost answer is requested again from a server that replays it."""


@record
class Plan:
    """Everything an attempt needs, prepared before the request: afterwards only the request itself can fail.

    `unverified_id_token` goes on to the new token set until its account is known; so does `asks_endpoint`, if the
    account endpoint is to be asked instead. `scope` is sent with the request, if the server wants one.
    """

    registration: Registration
    refresh_token: str
    sealer: Sealer
    unverified_id_token: str | None = None
    asks_endpoint: bool = False
    scope: str | None = None


@record
class TokenRefresh:
    """Refreshes a token set whose lease the caller holds (RFC 6749 section 6)."""

    connections: Connections
    cipher: Cipher
    committing: Committing
    shared: Shared
    timing: Timing

    def has_late_answer(self, held: Connection, used: StoredSet, *, is_needed: bool = True) -> bool:
        """Return whether the answer of an interrupted attempt has reached the record after a short wait.

        It may be in the rescue queue, after an outage. To send its refresh token again would then end the grant at a
        server that detects reuse. Raises `AnswerMayCome` if that is possible: for minutes if the tokens are needed now,
        for an hour if not. The queue does not show whose response it holds, so it is not waited for without end.
        """
        assert used.lease is not None  # noqa: S101 - the caller holds it
        self.timing.sleep(SETTLE)
        longest = RESCUED_WITHIN if is_needed else QUEUE_SPEAKS_FOR
        is_recent = self.timing.now() < (used.lease.interrupted_at or 0) + longest
        # The queue first, then the record: whatever a rescue stores between the two is then seen in the record.
        may_come = is_recent and self.committing.may_hold_another()
        stored = self.connections.require(held.connection_id)
        still = stored.set_of(used.id)
        came = (stored.version, still and still.place) != (held.version, used.place)
        if may_come and not came:
            raise AnswerMayCome
        return came

    def plan(self, held: Connection, used: StoredSet, registration: Registration, version: int) -> Plan:
        """Return what is needed to refresh a token set and to seal the answer for `version`."""
        tokens = self._opened(held, used)
        if tokens.refresh_token is None:
            raise ReauthorizationRequired("The grant came without a refresh token: start again.")
        sealer = self.cipher.prepare(held.connection_id, version, registration.whose(used.whose.parameters))
        unverified_id_token = tokens.unverified_id_token if used.account_at is not None else None
        return self.plan_with(held, used, registration, tokens.refresh_token, sealer, unverified_id_token)

    @staticmethod
    def plan_with(  # noqa: PLR0913, PLR0917 - all that an attempt needs
        held: Connection,
        used: StoredSet,
        registration: Registration,
        refresh_token: str,
        sealer: Sealer,
        unverified_id_token: str | None = None,
    ) -> Plan:
        """Return what is needed to refresh a token set, by somebody who has its refresh token in hand.

        Tokens that were imported name no account: once they are proved it is asked for, unless the import named it.
        """
        is_unknown = used.account_at is not None or (unproved_in(held) is used and held.subject is None)
        asks_endpoint = is_unknown and registration.provider.account_endpoint is not None
        scope = _scope_to_send(held, used) if registration.provider.scope_in_refresh else None
        return Plan(registration, refresh_token, sealer, unverified_id_token, asks_endpoint, scope)

    def _opened(self, held: Connection, used: StoredSet) -> TokenSet:
        return self.cipher.tokens_of(held) if used is held.current else self.cipher.open(held.connection_id, used)

    def send(self, used: StoredSet, plan: Plan, client: Client, deadline: Deadline) -> TokenResponse:
        """Send the refresh request and return the token response; raise what a refusal or a failure means.

        `client` has a slot, if the provider has slots. A lost answer is requested again at once if the server replays
        answers and no longer works on the first request; but not in a second look, which is one request.
        """
        try:
            return self._request(used, plan, client, deadline)
        except ProviderUnavailable as error:
            is_replayed = plan.registration.provider.replays_refresh and not isinstance(error, ProviderTimedOut)
            if not error.outcome_unknown or not is_replayed or used.belief is not None:
                raise
            return self._request_again(used, plan, client, error, deadline)

    def _request(self, used: StoredSet, plan: Plan, client: Client, deadline: Deadline) -> TokenResponse:
        """Send one request that ends within our time and our lease, however slow the steps before it were.

        Raises `TemporarilyUnavailable`, with nothing sent, if that leaves too little time.
        """
        assert used.lease is not None  # noqa: S101 - the caller holds it
        lease_left = used.lease.until - AFTER_HTTP - self.timing.now()
        timeout = min(deadline.for_http(plan.registration.provider.request_timeout), lease_left)
        if timeout < SHORTEST_REQUEST:
            raise TemporarilyUnavailable("Preparing the refresh took too long: try again.", retry_after=1)
        # A refresh token that was imported may have been used for years.
        is_first = used.refreshed_from is None and used.request_id is not None
        return client.refresh(plan.registration, plan.refresh_token, timeout, plan.scope, first=is_first)

    def _request_again(
        self, used: StoredSet, plan: Plan, client: Client, lost: ProviderUnavailable, deadline: Deadline
    ) -> TokenResponse:
        """Return the lost answer from a server that replays it, under the same lease; without time raise `lost`.

        The connection broke, or a gateway answered: unlike after a time-out, the server has stopped working on the
        first request. If this answer is lost, too, the next holder of the lease deals with it.
        """
        self.timing.sleep(_REPLAY_PAUSE)
        try:
            return self._request(used, plan, client, deadline)
        except TemporarilyUnavailable:
            raise lost from None
        except ReauthorizationRequired as error:
            error.after_loss = True
            raise
        except ProviderUnavailable as error:
            error.outcome_unknown = True  # whatever this answer says, the first one is still missing
            raise

    def commit(
        self, held: Connection, used: StoredSet, plan: Plan, response: TokenResponse, deadline: Deadline
    ) -> Connection:
        """Store the new token set in the connection and return the record. Raises as `Committing.commit` does."""
        from functions.vault.grant.obtained import Obtained  # noqa: PLC0415 - a token that is good needs none of it

        at, jitter, upkeep = int(self.timing.now()), self.timing.jitter(), plan.registration.provider.upkeep
        response = response.asking_endpoint() if plan.asks_endpoint else response
        response = _with_missing_scopes(response.asking_with(plan.unverified_id_token), held, used, plan)

        def reseal(version: int, purpose: str) -> SealedTokens:
            sealer = self.cipher.prepare(held.connection_id, version, plan.sealer.whose, plan.sealer.id, purpose)
            return response.sealed_with(sealer, upkeep, at, jitter, first=False)

        assert used.lease is not None  # noqa: S101 - the caller holds it
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


def _scope_to_send(held: Connection, used: StoredSet) -> str | None:
    """Return the scope of a token set in the words it was requested in, without what was not granted.

    The server knows those words, and for a refresh it accepts no scope that was not granted (RFC 6749 section 6).
    """
    requested = [scope for scope in (held.requested_scope or "").split() if scope not in held.scope_missing]
    return used.scope or " ".join(requested) or held.scope or None


def _with_missing_scopes(response: TokenResponse, held: Connection, used: StoredSet, plan: Plan) -> TokenResponse:
    """Return the response with the requested scopes that the connection lacks from then on."""
    scope = response.scope or used.scope or held.scope
    aliases = plan.registration.provider.scope_aliases
    missing = scopes.missing(held.requested_scope, scope, aliases, refreshable=True)
    return replace(response, scope_missing=missing)
