"""A token set as a connection's record holds it: its seal, its lease, and the state of its revocation.

A record may hold several, each with an id and in a place of its own (`life`). None takes another's place: a refresh may
be answered after a revocation, and a user may consent again before the server was reached.
"""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderTimedOut
from functions.vault.base.record import record

from .failure import LONGEST_REVOCATION_DELAY, Failure
from .lease import Lease
from .life import Place
from .revocation import DEAD, GONE, REVOKED, Revocation

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

    from .belief import Belief
    from .revocation import Answers
    from .seal import Seal, Whose

FRESH_FOR = 600
"""Seconds in which tokens that came after the end of their grant are not refreshed: newer ones would be no better."""

ASKED_AFTER = 120
"""Seconds until the background asks for an account, unless whoever has the answer in hand has found it by then."""

LONGEST_UNASKED = 3600
"""Seconds at most between two attempts of the background to find an account."""


@record
class RefreshedFrom:
    """The token set whose refresh token brought this one, and the number of that use."""

    set_id: str
    attempt: int


@record
class Pending:
    """What the connection takes from a waiting token set when that becomes current. Times are Unix seconds.

    Its request and the tenant's parameters are with the token set. `until` is when its account is asked for next, or
    else when it has waited long enough. `revocations` is the connection's count when its authorization was begun.
    `grants_are_apart`: to revoke it ends no other grant of its account. If it waits for the application, `confirmation`
    is the hash of what that must bring, before `confirm_by`. `account_known`: its account is not to be asked for, or
    not any more.
    """

    until: int
    obtained_at: int
    revocations: int
    upkeep_at: int | None = None
    owner: str | None = None
    subject: str | None = None
    scope: str | None = None
    scope_missing: tuple[str, ...] = ()
    requested_scope: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    allow_new_subject: bool = False
    grants_are_apart: bool = False
    confirmation: str | None = None
    confirm_by: int | None = None
    account_known: bool = False

    def next_at(self, at: int) -> Pending:
        """Return it as it waits until `at`, or for as long as it may at most."""
        return replace(self, until=at if self.confirm_by is None else min(at, self.confirm_by))

    def with_account(self) -> Pending:
        """Return it as it waits for nothing but its confirmation."""
        return replace(self, account_known=True, until=self.confirm_by or self.until)

    def has_run_out(self, now: float) -> bool:
        """Return whether it is too late to confirm it."""
        return self.confirm_by is not None and now >= self.confirm_by


@record
class StoredSet:
    """One token set. Times are Unix seconds.

    `request_id` is the authorization that it comes from, directly or by refreshes. `attempts` counts the uses of its
    refresh token; `unsent` counts those among them that sent nothing. `refresh_at` is when the access token comes into
    its soft margin. `scope` is what it was granted, if that can differ from the connection's. `belief` is set if the
    server has refused it, and may have been wrong. `pending` is set while it waits, and stays if it is then revoked.
    `account_at` is when the account of current tokens is asked for next, if nobody knows it yet. `confirmed_by` is the
    hash of the confirmation that made it current.
    """

    id: str
    place: Place
    seal: Seal
    whose: Whose
    token_type: str = "Bearer"  # noqa: S105 - a type of token, not a token
    refreshable: bool = False
    expires_at: int | None = None
    refresh_at: int | None = None
    refresh_expires_at: int | None = None
    client_secret_used: str | None = None
    request_id: str | None = None
    refreshed_from: RefreshedFrom | None = None
    attempts: int = 0
    unsent: int = 0
    lease: Lease | None = None
    was_refused: bool = False
    belief: Belief | None = None
    revocation: Revocation | None = None
    scope: str | None = None
    pending: Pending | None = None
    account_at: int | None = None
    confirmed_by: str | None = None

    @property
    def waits_until(self) -> int | None:
        """Return when its account is asked for next, or its time to be confirmed is over; None if neither will be."""
        if self.place is Place.PENDING:
            return self.pending.until if self.pending else None
        return self.account_at if self.place is Place.CURRENT else None

    @property
    def asks_account(self) -> bool:
        """Return whether its account is still to be asked for."""
        is_known = self.pending is not None and self.pending.account_known
        return self.waits_until is not None and not is_known

    @property
    def is_unconfirmed(self) -> bool:
        """Return whether it waits for the application's confirmation."""
        return self.place is Place.PENDING and self.pending is not None and self.pending.confirmation is not None

    def has_run_out_unconfirmed(self, now: float) -> bool:
        """Return whether it is too late to confirm it."""
        return self.is_unconfirmed and self.pending is not None and self.pending.has_run_out(now)

    def asked_again_at(self, at: int) -> StoredSet:
        """Return it with another time at which its account is asked for."""
        if self.pending is not None:
            return replace(self, pending=self.pending.next_at(at))
        return replace(self, account_at=at)

    def lease_of_another(self, holder: str, now: float) -> Lease | None:
        """Return its lease if somebody other than `holder` is at work with it: what takes its place takes that over."""
        is_anothers = self.lease is not None and self.lease.holder != holder and self.lease.is_at_work(now)
        return self.lease if is_anothers else None

    def is_in_hand(self, now: float) -> bool:
        """Return whether somebody has its lease, so that nobody else may use it."""
        return self.lease is not None and self.lease.is_live(now)

    def is_held_by(self, holder: str) -> bool:
        """Return whether its lease is `holder`'s."""
        return self.lease is not None and self.lease.holder == holder

    def lease_ended(self) -> StoredSet:
        """Return it without a holder; what is unknown of earlier uses stays unknown."""
        before = self.lease
        if before is None or before.interrupted_at is None:
            return replace(self, lease=None)
        lease = Lease("", self.attempts, 0, before.interrupted_at, answer_lost=before.answer_lost)
        return replace(self, lease=lease)

    def answer_lost(self, since: float) -> StoredSet:
        """Return it without a holder, after a use whose answer was lost on its way to us."""
        return replace(self, lease=Lease("", self.attempts, 0, int(since), answer_lost=True))

    def timed_out(self, until: float, since: float) -> StoredSet:
        """Return it after a use that timed out: the server may be at work on it until `until`."""
        lease = Lease("", self.attempts, math.ceil(until), int(since), timed_out=True, answer_lost=True)
        return replace(self, lease=lease)

    def nothing_sent(self, now: float) -> StoredSet:
        """Return it after an attempt that has sent nothing. Its number is not used again."""
        had_number = self.lease is not None and not self.lease.waiting
        belief = self.belief.not_looked_at(now) if self.belief else None
        return replace(self, unsent=self.unsent + had_number, belief=belief)

    def belief_before_a_look(self, now: float) -> Belief | None:
        """Return what is believed of it; the look of a holder who has got no slot does not count."""
        if self.belief is None or self.lease is None or not self.lease.waiting:
            return self.belief
        return self.belief.not_looked_at(now)

    @property
    def is_asked_for_the_first_time(self) -> bool:
        """Return, in the middle of an attempt, whether no earlier one can have reached the server."""
        return self.lease is not None and self.lease.attempt == self.unsent + 1

    # Its revocation

    @property
    def answers(self) -> Answers:
        """Return what was answered about its tokens so far."""
        return self.revocation.answers if self.revocation else {}

    @property
    def revoke_at(self) -> int | None:
        """Return when it is to be revoked next; None if it is not to be. While somebody has its lease it waits."""
        if self.revocation is None:
            return None
        at = self.revocation.failure.retry_at if self.revocation.failure else self.revocation.since
        return max(at, self.lease.until) if self.lease else at

    @property
    def was_dead(self) -> bool:
        """Return whether the server has refused its refresh token."""
        return self.was_refused or self.answers.get("grant", {}).get("answer") == DEAD

    @property
    def is_confirmed(self) -> bool:
        """Return whether the server has confirmed the end of the grant.

        It has if it confirmed the end of its refresh token, or of an access token that was alive.
        """
        answers = {kind: entry["answer"] for kind, entry in self.answers.items()}
        return answers.get("refresh_token") in {REVOKED, GONE} or answers.get("access_token") == REVOKED

    @property
    def open_attempts(self) -> int:
        """Return how many attempts to revoke it may have reached the server, with an unknown outcome."""
        return self.revocation.open_attempts if self.revocation else 0

    def has_run_out(self, at: float) -> bool:
        """Return whether its access token has expired by then; if nobody knows its expiry, it is taken to live."""
        return self.expires_at is not None and self.expires_at <= at

    def is_fresh(self, now: float) -> bool:
        """Return whether its tokens have come only now, to be revoked: a refresh would bring none that are better."""
        came_at = self.revocation.came_at if self.revocation else None
        return came_at is not None and now < came_at + FRESH_FOR

    def to_be_revoked(self, now: float, came_at: float | None = None) -> StoredSet:
        """Return it as it comes into the place `revoking`."""
        begun = Revocation(int(now), came_at=None if came_at is None else int(came_at))
        return replace(self, revocation=begun, belief=None)

    def claimed(self, holder: str, until: float, now: float, *, revokes: bool, waiting: bool = False) -> StoredSet:
        """Return it with a lease of `holder`, to be revoked, or to be refreshed before that.

        If an earlier holder was interrupted, its outcome is unknown from now on: that of a revocation, whether it
        reached the server; that of a refresh, which tokens there are. A holder `waiting` for a slot has sent nothing.
        """
        before, revocation = self.lease, self._revocation
        if before is not None and before.revokes and before.is_unfinished and before.holder != holder:
            revocation = replace(revocation, open_attempts=revocation.open_attempts + 1)
        attempts = self.attempts if revokes else self.attempts + 1
        lease = Lease.taken_after(before, holder, attempts, until, now, revokes=revokes, waiting=waiting)
        return replace(self, lease=lease, attempts=attempts, revocation=revocation)

    def got_slot(self, until: float) -> StoredSet:
        """Return it with the attempt begun that its lease has waited with: from now on a request may have been sent."""
        assert self.lease is not None  # noqa: S101 - only a holder waits for a slot
        return replace(self, lease=self.lease.got_slot(self.lease.attempt, until))

    def refused(self) -> StoredSet:
        """Return it after the server has refused its refresh token."""
        return replace(self, was_refused=True)

    def answered(self, kind: str, answer: str, now: float) -> StoredSet:
        """Return it with what the server answered to the revocation of one `kind` of token, or of the grant."""
        return self.with_answers({kind: {"answer": answer, "at": int(now)}})

    def with_answers(self, answers: Answers) -> StoredSet:
        """Return it with further answers of the server."""
        before = self._revocation
        return replace(self, revocation=replace(before, answers={**before.answers, **answers}))

    def attempt_failed(self, error: GatehouseError, now: float, jitter: float) -> StoredSet:
        """Return it after an attempt to revoke it that failed, or has an unknown outcome. `jitter` is from 0 to 1."""
        before = self._revocation
        failure = Failure.of(error, before.failure, now, jitter, longest=LONGEST_REVOCATION_DELAY)
        open_attempts = before.open_attempts + failure.outcome_unknown
        return replace(self, revocation=replace(before, failure=failure, open_attempts=open_attempts)).lease_ended()

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float) -> StoredSet:
        """Return it after an attempt to refresh it, for its revocation, that failed or has an unknown outcome."""
        before, lease = self._revocation, self.lease
        failure = Failure.of(error, before.failure, now, jitter, longest=LONGEST_REVOCATION_DELAY)
        failed = replace(self, revocation=replace(before, failure=failure))
        if isinstance(error, ProviderTimedOut) and lease is not None:
            return failed.timed_out(lease.until, now)
        return failed.answer_lost(now) if failure.outcome_unknown else failed.lease_ended()

    @property
    def _revocation(self) -> Revocation:
        assert self.revocation is not None  # noqa: S101 - what is not to be revoked has no attempts
        return self.revocation
