"""A token set as a connection's record holds it: its seal, whose it is, its lease, and how its revocation goes.

A record may hold several. Each has an id of its own and a place (`life`), and none takes another's: tokens come back
from a refresh in flight after a revocation, and a user consents anew before the server was reached.
"""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderTimedOut
from functions.vault.base.record import record

from .failure import LONGEST_REVOCATION_DELAY, Failure
from .life import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.errors import GatehouseError

    from .belief import Belief
    from .token_set import TokenSet

TOKENS, PENDING = "gatehouse/tokens", "gatehouse/pending"
"""What a token set is sealed for: to be used, or to wait. What waits does not open as what is used."""

# What is known of a token, or of the grant as a whole, when its revocation is over.

REVOKED = "revoked"
"""The server has confirmed its end."""

GONE = "gone"
"""The server says that there is no such token (any more)."""

DEAD = "dead"
"""The server has refused the refresh token, and once more when the grant was to be revoked."""

REFUSED_AFTER_AN_INTERRUPTION = "refused after an interruption"
"""What stands for a confirmation that was lost: the server, asked once more, has nothing left to revoke."""

INTERRUPTED = "interrupted"
"""The answer to a refresh was lost: there may be tokens of this grant that only the server knows of."""

ENDED_WITH_ALL = "ended with all of its account"
"""The server has confirmed the end, and ends every grant that the account has given this client with any of them."""

LEFT_AT_THE_SERVER = "left at the server"
"""The server offers no revocation, or nothing is left that it would take."""

FRESH_FOR = 600
"""Seconds for which tokens that came after the end are not refreshed again: no newer ones would be better."""

Answers = dict[str, dict[str, Any]]
"""`{kind: {answer, at}}`: what was answered about each kind of token, and under `grant` about the grant as a whole."""


@record
class Seal:
    """What holds the secrets of a token set: see `sealing`. `key` names the KMS key; format 1 did not say."""

    ciphertext: bytes
    format: int
    version: int
    key: str | None = None


@record
class Whose:
    """To whom a token set was issued, and where: what has to be so still before any of it is sent.

    `origins` are those of the token, refresh, revocation and account endpoints. Where `client_id` is None nothing but
    provider and parameters is known.
    """

    provider: str
    client_id: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    issuer: str | None = None
    origins: dict[str, str] = field(default_factory=dict)

    def is_of_the_same_client(self, other: Whose) -> bool:
        """Tell whether both are one client's, for one tenant, as far as is known."""
        are_known = None not in {self.client_id, other.client_id}
        is_same_client = self.client_id == other.client_id or not are_known
        return is_same_client and (self.provider, self.parameters) == (other.provider, other.parameters)

    def is_used_like(self, other: Whose) -> bool:
        """Tell whether both are known to be one client's, for one tenant, and are refreshed and revoked alike.

        Where an account is asked for is of no matter to that.
        """
        return self.client_id is not None and self._without_account == other._without_account

    @property
    def _without_account(self) -> Whose:
        return replace(self, origins={use: origin for use, origin in self.origins.items() if use != "account"})


@record
class Sealer:
    """Seals one token set under the `id` that it has from then on. It depends on nobody: its key is at hand."""

    id: str
    whose: Whose
    seal: Callable[[TokenSet], Seal]


@record
class Lease:
    """The right to use a token set, and the journal entry of that use. It holds until `until` (Unix seconds).

    `attempt` numbers the uses of one token set. `interrupted_at` says that the one before never told how it ended, and
    since when that is known. `timed_out`: the holder waits for its answer no more, but the server may be at work still,
    and would refuse another request for that: so nobody else may ask it either, until the lease lapses. `revokes`: it
    was taken to revoke the token set, and not to refresh it, which alone can replace its tokens. `waiting`, for a slot
    of the provider: it is no attempt yet, and lapses as if it had never been. `answer_lost`: whoever was interrupted
    has told that no answer came, so that nobody can have one in hand.
    """

    holder: str
    attempt: int
    until: int
    interrupted_at: int | None = None
    timed_out: bool = False
    revokes: bool = False
    waiting: bool = False
    answer_lost: bool = False

    @property
    def is_after_an_interruption(self) -> bool:
        """Tell whether the outcome of an earlier attempt is unknown."""
        return self.interrupted_at is not None

    @property
    def may_be_answered(self) -> bool:
        """Tell whether the answer of an earlier attempt may be on its way into the record."""
        return self.is_after_an_interruption and not self.answer_lost

    @property
    def is_without_end(self) -> bool:
        """Tell whether its holder has something under way, or never told what came of it."""
        return self.until > 0 and not self.waiting and not self.timed_out

    def is_live(self, now: float) -> bool:
        """Tell whether the token set is nobody else's to use."""
        return now < self.until

    def is_at_work(self, now: float) -> bool:
        """Tell whether its holder may still be at work: who waits for it may get an answer."""
        return self.is_live(now) and not self.timed_out


@record
class RefreshedFrom:
    """The token set whose refresh token brought this one, and the number of that use."""

    set_id: str
    attempt: int


@record
class Revocation:
    """How the revocation of one token set goes (RFC 7009), since when it is due (Unix seconds).

    `open_attempts` counts the attempts of which nobody knows how they ended. `came_at` is when the tokens came, if that
    was later than the end of their grant.
    """

    since: int
    open_attempts: int = 0
    answers: Answers = field(default_factory=dict)
    failure: Failure | None = None
    came_at: int | None = None


ASKED_AFTER = 120
"""Seconds until the background asks for an account, should whoever had the answer in hand not have found it."""

LONGEST_UNASKED = 3600
"""Seconds that the background waits at the most between two tries to find an account."""


@record
class Pending:
    """What a token set brings that waits, and the connection takes when it becomes current. Times are Unix seconds.

    Its request and the tenant's parameters are with the token set. `until` is when somebody looks at it next,
    `revocations` the connection's count when its authorization was begun. `grants_are_apart`: to revoke it ends no
    other grant of its account.
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


@record
class StoredSet:
    """One token set. Times are Unix seconds.

    `request_id` is the authorization that it comes from, at first or by refreshes since. `attempts` counts the uses of
    its refresh token, of which `unsent` have sent nothing. `refresh_at` is when the access token comes into its soft
    margin. `scope` is what it was granted, where that may be another than the connection's. `belief` is there if it was
    refused, and may be good; `pending` if it waits, or is revoked since it did. `account_at` is when it is asked next
    whose account current tokens are for, if nobody knows yet.
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

    @property
    def ask_at(self) -> int | None:
        """Return when it is asked next whose account it is for; None where that need not be, or nobody cares."""
        if self.place is Place.PENDING:
            return self.pending.until if self.pending else None
        return self.account_at if self.place is Place.CURRENT else None

    def asked_again_at(self, at: int) -> StoredSet:
        """Return it with another time at which it is asked whose account it is for."""
        if self.pending is not None:
            return replace(self, pending=replace(self.pending, until=at))
        return replace(self, account_at=at)

    def lease_of_another(self, holder: str, now: float) -> Lease | None:
        """Return its lease, if somebody else than `holder` is at work with it: what takes its place takes that, too."""
        is_anothers = self.lease is not None and self.lease.holder != holder and self.lease.is_at_work(now)
        return self.lease if is_anothers else None

    def is_in_hand(self, now: float) -> bool:
        """Tell whether somebody has its lease, and it is nobody else's to use."""
        return self.lease is not None and self.lease.is_live(now)

    def is_held_by(self, holder: str) -> bool:
        """Tell whether its lease is `holder`'s."""
        return self.lease is not None and self.lease.holder == holder

    def lease_for(  # noqa: PLR0913 - who takes it, and what for
        self, holder: str, attempt: int, until: float, now: float, *, revokes: bool = False, waiting: bool = False
    ) -> Lease:
        """Return the lease of whoever takes it over `now`.

        What is unknown of earlier uses stays unknown. It is the latest of those without an end that counts: its answer
        may still be on its way into the record.
        """
        before = self.lease
        interrupted_at, is_lost = (before.interrupted_at, before.answer_lost) if before else (None, False)
        if before is not None and before.is_without_end and not before.revokes:
            interrupted_at, is_lost = int(now), False
        return Lease(
            holder,
            attempt,
            math.ceil(until),
            interrupted_at,
            revokes=revokes,
            waiting=waiting,
            answer_lost=is_lost,
        )

    def released(self) -> StoredSet:
        """Return it in nobody's hand; what is unknown of earlier uses stays unknown."""
        before = self.lease
        if before is None or before.interrupted_at is None:
            return replace(self, lease=None)
        lease = Lease("", self.attempts, 0, before.interrupted_at, answer_lost=before.answer_lost)
        return replace(self, lease=lease)

    def answer_lost(self, since: float) -> StoredSet:
        """Return it in nobody's hand, after a use whose answer was lost on its way to us."""
        return replace(self, lease=Lease("", self.attempts, 0, int(since), answer_lost=True))

    def timed_out(self, until: float, since: float) -> StoredSet:
        """Return it after a use at which the server may still be at work, `until` then."""
        lease = Lease("", self.attempts, math.ceil(until), int(since), timed_out=True, answer_lost=True)
        return replace(self, lease=lease)

    def not_asked(self, now: float) -> StoredSet:
        """Return it after an attempt that has sent nothing. Its number is not used again."""
        had_number = self.lease is not None and not self.lease.waiting
        belief = self.belief.not_looked_at(now) if self.belief else None
        return replace(self, unsent=self.unsent + had_number, belief=belief)

    def belief_before_a_look(self, now: float) -> Belief | None:
        """Return what is believed, without the look of one who has waited for a slot in vain."""
        if self.belief is None or self.lease is None or not self.lease.waiting:
            return self.belief
        return self.belief.not_looked_at(now)

    @property
    def is_asked_for_the_first_time(self) -> bool:
        """Tell, in the middle of an attempt, whether no earlier one can have reached the server."""
        return self.lease is not None and self.lease.attempt == self.unsent + 1

    # Its revocation

    @property
    def answers(self) -> Answers:
        """Return what was answered about its tokens so far."""
        return self.revocation.answers if self.revocation else {}

    @property
    def revoke_at(self) -> int | None:
        """Return when it is to be revoked next; None where it is not to be. While somebody has it in hand it waits."""
        if self.revocation is None:
            return None
        at = self.revocation.failure.retry_at if self.revocation.failure else self.revocation.since
        return max(at, self.lease.until) if self.lease else at

    @property
    def was_dead(self) -> bool:
        """Tell whether the server has refused its refresh token."""
        return self.was_refused or self.answers.get("grant", {}).get("answer") == DEAD

    @property
    def is_confirmed(self) -> bool:
        """Tell whether the server has confirmed the end of the grant.

        That is by the end of its refresh token, or of an access token that was alive.
        """
        answers = {kind: entry["answer"] for kind, entry in self.answers.items()}
        return answers.get("refresh_token") in {REVOKED, GONE} or answers.get("access_token") == REVOKED

    @property
    def open_attempts(self) -> int:
        """Return how many attempts to revoke it may have reached the server, and nobody knows how they ended."""
        return self.revocation.open_attempts if self.revocation else 0

    def has_run_out(self, at: float) -> bool:
        """Tell whether its access token is known to be dead by then; where nobody knows, it is taken to live."""
        return self.expires_at is not None and self.expires_at <= at

    def is_fresh(self, now: float) -> bool:
        """Tell whether its tokens have come just now, to be revoked: a refresh would bring none that are better."""
        came_at = self.revocation.came_at if self.revocation else None
        return came_at is not None and now < came_at + FRESH_FOR

    def to_be_revoked(self, now: float, came_at: float | None = None) -> StoredSet:
        """Return it as it comes into the place `revoking`."""
        begun = Revocation(int(now), came_at=None if came_at is None else int(came_at))
        return replace(self, revocation=begun, belief=None)

    def claimed(self, holder: str, until: float, now: float, *, revokes: bool, waiting: bool = False) -> StoredSet:
        """Return it in `holder`'s hand, to be revoked, or to be refreshed before that.

        What another had in hand and never told the end of is unknown from now on: of a revocation whether the server
        has heard of it, of a refresh which tokens there are. One that was `waiting` for a slot has sent nothing.
        """
        before, revocation = self.lease, self._revocation
        if before is not None and before.revokes and before.is_without_end and before.holder != holder:
            revocation = replace(revocation, open_attempts=revocation.open_attempts + 1)
        attempts = self.attempts if revokes else self.attempts + 1
        lease = self.lease_for(holder, attempts, until, now, revokes=revokes, waiting=waiting)
        return replace(self, lease=lease, attempts=attempts, revocation=revocation)

    def got_slot(self, until: float) -> StoredSet:
        """Return it with the attempt begun that its lease has waited with: from now on it may have been sent."""
        assert self.lease is not None  # noqa: S101 - only a holder waits for a slot
        return replace(self, lease=replace(self.lease, until=math.ceil(until), waiting=False))

    def refused(self) -> StoredSet:
        """Return it after the server has refused its refresh token."""
        return replace(self, was_refused=True)

    def answered(self, kind: str, answer: str, now: float) -> StoredSet:
        """Return it with what the server answered to the revocation of one `kind` of token, or of the grant."""
        return self.with_answers({kind: {"answer": answer, "at": int(now)}})

    def with_answers(self, answers: Answers) -> StoredSet:
        """Return it with what another was answered as well."""
        before = self._revocation
        return replace(self, revocation=replace(before, answers={**before.answers, **answers}))

    def attempt_failed(self, error: GatehouseError, now: float, jitter: float) -> StoredSet:
        """Return it after an attempt to revoke it that failed, or whose end nobody knows. `jitter` is from 0 to 1."""
        before = self._revocation
        failure = Failure.of(error, before.failure, now, jitter, longest=LONGEST_REVOCATION_DELAY)
        open_attempts = before.open_attempts + failure.outcome_unknown
        return replace(self, revocation=replace(before, failure=failure, open_attempts=open_attempts)).released()

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float) -> StoredSet:
        """Return it after an attempt to refresh it, for its revocation, that failed or whose end nobody knows."""
        before, lease = self._revocation, self.lease
        failure = Failure.of(error, before.failure, now, jitter, longest=LONGEST_REVOCATION_DELAY)
        failed = replace(self, revocation=replace(before, failure=failure))
        if isinstance(error, ProviderTimedOut) and lease is not None:
            return failed.timed_out(lease.until, now)
        return failed.answer_lost(now) if failure.outcome_unknown else failed.released()

    @property
    def _revocation(self) -> Revocation:
        assert self.revocation is not None  # noqa: S101 - what is not to be revoked has no attempts
        return self.revocation


@record
class Revoked:
    """What became of one token set that was revoked: what the server answered to each token of that `version`.

    `request_id` is the authorization that it came from.
    """

    provider: str
    version: int
    answers: Answers = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    set_id: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, over: StoredSet) -> Revoked:
        """Return the record of a token set whose revocation is over."""
        whose = over.whose
        return cls(whose.provider, over.seal.version, over.answers, whose.parameters, over.id, over.request_id)

    def is_of_the_grant_of(self, other: StoredSet, *, is_any: bool) -> bool:
        """Tell whether another token set is of the same grant; with `is_any`, of any that the same party has given."""
        if (self.provider, self.parameters) != (other.whose.provider, other.whose.parameters):
            return False
        return is_any or self.request_id == other.request_id

    @property
    def ended_the_grant(self) -> bool:
        """Tell whether the server has confirmed an end: tokens of that grant that come later may be refused."""
        confirmed = {REVOKED, REFUSED_AFTER_AN_INTERRUPTION}
        return any(entry["answer"] in confirmed for entry in self.answers.values())

    @property
    def is_left(self) -> bool:
        """Tell whether the server was not told of the grant's end, for want of a way."""
        return self._grant == LEFT_AT_THE_SERVER

    @property
    def ended_all(self) -> bool:
        """Tell whether the server has ended all of the account with it."""
        return self._grant == ENDED_WITH_ALL

    @property
    def _grant(self) -> str | None:
        """Return what is known of the grant as a whole, where that is more than of its tokens."""
        answer: str | None = self.answers.get("grant", {}).get("answer")
        return answer
