"""Refreshing a token set in order to revoke it, for a server that revokes only by a live access token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.vault.base.errors import GatehouseError, ReauthorizationRequired, RevocationRefused
from functions.vault.base.record import record
from functions.vault.grant import refreshes, revocations
from functions.vault.grant.revocation import DEAD, INTERRUPTED, REFUSED_AFTER_AN_INTERRUPTION

from .revocation_results import given_back, is_ours, to_revoke

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.revocation_attempt import RevocationAttempt
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.oauth.client import Client
    from functions.vault.provider.registration import Registration

    from .revocation_results import After, RevocationResults
    from .token_refresh import TokenRefresh

_TRY_AGAIN_AFTER = 60
"""Seconds after a first refusal of the refresh token until it is tried once more: a refusal may be temporary."""


@record
class RefreshToRevoke:
    """Refreshes a token set that is to be revoked, under its own lease."""

    token_refresh: TokenRefresh
    results: RevocationResults
    timing: Timing

    def refresh(  # noqa: PLR0913, PLR0917 - a token set, and what was asked about it
        self,
        held: Connection,
        mine: StoredSet,
        registration: Registration,
        attempt: RevocationAttempt,
        client: Client,
        deadline: Deadline,
    ) -> Connection:
        """Refresh a token set and return the record: the new set is sealed, stored in its place and never vended.

        It is revoked next, as any token set that comes late is. A refusal shows that the grant has gone.
        """
        assert mine.lease is not None  # noqa: S101 - it is in our hand
        holder = mine.lease.holder

        def claimed(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not current.is_held_by(holder):
                return None
            answered = current.with_answers(attempt.answers)
            leased = answered.claimed(holder, now + deadline.for_lease(), now, revokes=False)
            return revocations.refresh_to_revoke_began(stored, leased)

        leased = self.results.change(held, mine, claimed)
        used = to_revoke(leased, mine)
        if used is None or not used.is_held_by(holder):
            return leased
        after_a_defect: After = given_back
        try:
            plan = self.token_refresh.plan(leased, used, registration, used.seal.version)
            after_a_defect = _answer_lost
            response = self.token_refresh.send(used, plan, client, deadline)
        except ReauthorizationRequired as error:
            return self._refused(leased, used, error)
        except GatehouseError as error:
            return self._failed(leased, used, error)
        except Exception:
            self.results.change(leased, used, after_a_defect)
            raise
        return self.token_refresh.commit(leased, used, plan, response, deadline)

    def _refused(self, leased: Connection, used: StoredSet, error: ReauthorizationRequired) -> Connection:
        """Write that the server takes neither the tokens nor the refresh token. The second refusal ends the set."""
        jitter = self.timing.jitter()
        refusal = RevocationRefused(
            "The authorization server takes no token of this grant for its revocation, and does not refresh it.",
            retry_after=_TRY_AGAIN_AFTER,
            provider_error=error.provider_error,
        )

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not is_ours(current, used):
                return None
            if end := _end_by_refusal(current, after_loss=error.after_loss):
                return revocations.revocation_confirmed(stored, current.answered("grant", end, now), now)
            return revocations.revocation_failed(stored, current.refused().attempt_failed(refusal, now, jitter), now)

        return self.results.change(leased, used, after)

    def _failed(self, leased: Connection, used: StoredSet, error: GatehouseError) -> Connection:
        jitter = self.timing.jitter()

        def after(stored: Connection, current: StoredSet, now: float) -> Connection | None:
            if not is_ours(current, used):
                return None
            return revocations.revocation_failed(stored, current.refresh_failed(error, now, jitter), now)

        return self.results.change(leased, used, after)


def _end_by_refusal(current: StoredSet, *, after_loss: bool) -> str | None:
    """Return how a token set ends whose refresh token is refused; None if one refusal is not enough to go by."""
    if after_loss or (current.lease is not None and current.lease.is_after_an_interruption):
        return INTERRUPTED
    if current.was_dead:
        return DEAD
    return REFUSED_AFTER_AN_INTERRUPTION if current.open_attempts else None


def _answer_lost(stored: Connection, token_set: StoredSet, now: float) -> Connection:
    return refreshes.lease_ended_aside(stored, token_set.answer_lost(now))
