"""A connection and its life: one frozen type, whose named methods return the next state, by the table in `life`."""

from __future__ import annotations

import math
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from functions.vault.base.errors import ConfirmationRequired, ConnectionRevoked, ReauthorizationRequired
from functions.vault.base.record import record

from .failure import Failure
from .life import MOST_SUPERSEDED, Happened, Place, Status, becomes
from .stored_set import ASKED_AFTER, Lease, RefreshedFrom, Revoked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from functions.vault.base.errors import GatehouseError, UnknownRefusal

    from .belief import Belief
    from .last_attempt import LastAttempt
    from .stored_set import Pending, StoredSet
    from .tokens import Account, SealedTokens

DUE_SHARDS = 16

LONGEST_NOTICE = 7 * 86400
"""Seconds before the end of tokens that nothing refreshes from which on a person is needed: a quarter of their life at
the most, and no more than this."""

JUST_OBTAINED = 10
"""Seconds for which a token set is as new as one can be: if it is refused somewhere, another would be, too."""

MOST_REVOKED = 20
"""Records of what servers answered to revocations that a connection keeps, the latest."""

_AFTER_AN_INTERRUPTION = (
    " An earlier refresh was interrupted before its answer arrived;"
    " the server may have replaced the refresh token then."
)

REAUTHORIZATION = "reauthorization"
NEEDS = (REAUTHORIZATION, "confirmation")
"""What a connection can need a person for."""

_NEEDED_WHERE = dict(zip((Status.REAUTHORIZATION_REQUIRED, Status.UNCONFIRMED), NEEDS, strict=True))

ENDED = frozenset({Status.REVOKING, Status.REVOKED})
"""Ended on purpose: whatever else happens, nothing is vended."""


@record
class Connection:
    """One connection as stored. Times are Unix seconds.

    `version` counts token sets that were current; `sets` are those that are held, each in its place. `revocations`
    counts how often the connection was revoked, and `revocation` is what servers answered to that since. `changes`
    counts writes: every write raises it, and is conditional on it. Background work is due at `due_at`: the grant's
    upkeep (`upkeep_at`) or telling a server of a revocation (`tell_at`). `last_attempt` is one to connect it again that
    came to nothing, since it was connected.
    """

    connection_id: str
    provider: str
    status: Status
    version: int
    created_at: int
    updated_at: int
    refreshed_at: int
    sets: tuple[StoredSet, ...] = ()
    scope: str | None = None
    scope_missing: tuple[str, ...] = ()
    subject: str | None = None
    owner: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    requested_scope: str | None = None
    authorized_by: str | None = None
    authorized_at: int | None = None
    revocations: int = 0
    revocation: tuple[Revoked, ...] = ()
    changes: int = 0
    failure: Failure | None = None
    last_attempt: LastAttempt | None = None
    due_shard: str | None = None
    due_at: int | None = None
    upkeep_at: int | None = None
    tell_at: int | None = None

    # Its token sets

    @property
    def current(self) -> StoredSet | None:
        """Return the token set that is vended and refreshed; None where there is none."""
        return next((each for each in self.sets if each.place is Place.CURRENT), None)

    def in_place(self, place: Place) -> tuple[StoredSet, ...]:
        """Return the token sets that are in a place."""
        return tuple(each for each in self.sets if each.place is place)

    def set_of(self, set_id: str) -> StoredSet | None:
        """Return the token set with an id; None where it is in no place here."""
        return next((each for each in self.sets if each.id == set_id), None)

    @property
    def to_revoke(self) -> tuple[StoredSet, ...]:
        """Return the token sets of whose end a server is yet to be told."""
        return self.in_place(Place.REVOKING)

    @property
    def to_refresh(self) -> StoredSet | None:
        """Return the token set whose refresh token is used: the current one, or what is kept beside one without."""
        current = self.current
        if current is None or current.refreshable:
            return current
        return next(iter(self.in_place(Place.KEPT)), None)

    @property
    def asked_first(self) -> StoredSet | None:
        """Return the token set of which it is asked next whose account it is for; None where of none."""
        asked = [each for each in self.sets if each.ask_at is not None]
        return min(asked, key=lambda each: each.ask_at or 0, default=None)

    @property
    def lease(self) -> Lease | None:
        """Return the lease at which all callers look: that of the token set whose refresh token is used."""
        used = self.to_refresh or self.current
        return used.lease if used else None

    @property
    def expires_at(self) -> int | None:
        """Return when the access token ends; None where nobody knows."""
        return self.current.expires_at if self.current else None

    def left_behind(self, after: Connection) -> tuple[StoredSet, ...]:
        """Return the token sets that are not in the record `after`, and gave way to nothing there, for want of room."""
        held = {each.id for each in after.sets}
        sources = {each.refreshed_from.set_id for each in after.sets if each.refreshed_from is not None}
        return tuple(
            each
            for each in self.sets
            if each.place in {Place.CURRENT, Place.KEPT, Place.SUPERSEDED}
            and each.id not in held | sources
            and (each.refreshed_from is None or each.refreshed_from.set_id not in sources)
        )

    # What may be done with it

    def require_vendable(self) -> None:
        """Raise the failure that says why this connection has no token to give, where it has none."""
        about = self.connection_id
        if self.status in ENDED:
            raise ConnectionRevoked("The connection was revoked; start again to connect anew.", connection_id=about)
        if self.status is Status.UNCONFIRMED:
            raise ConfirmationRequired("The connection waits for the application's confirmation.", connection_id=about)
        if self.status is Status.REAUTHORIZATION_REQUIRED:
            said = self.failure
            raise ReauthorizationRequired(
                said.description if said else "The grant is dead: start again, so that the user consents anew.",
                connection_id=about,
                provider_error=said.provider_error if said else None,
            )

    def belongs_to(self, provider: str, owner: str | None) -> bool:
        """Tell whether a request for this provider and owner may put its tokens here. A revoked connection is free."""
        return self.status is Status.REVOKED or (self.provider == provider and self.owner == owner)

    def is_valid_for(self, seconds: int, now: float) -> bool:
        """Tell whether the access token lives `seconds` more; one without known expiry does until a caller objects.

        A token set that was born with a shorter life than asked for cannot be bettered by a refresh: it counts as valid
        for its first half, so that one impatient caller does not wear the refresh token out.
        """
        expires_at = self.expires_at
        if expires_at is None:
            return True
        lifetime = expires_at - self.refreshed_at
        wanted = seconds if seconds < lifetime else lifetime / 2
        return now < expires_at - wanted

    def was_just_obtained(self, now: float) -> bool:
        """Tell whether the access token is a good one of a moment ago, which no refresh would better.

        An API that answers 401 for want of a permission makes its callers ask for another token again and again.
        """
        return now < self.refreshed_at + JUST_OBTAINED and self.is_valid_for(0, now)

    def is_due(self, now: float) -> bool:
        """Tell whether the access token has come into its soft margin, so that a refresh is worth trying."""
        current = self.current
        return current is not None and current.refresh_at is not None and now >= current.refresh_at

    @property
    def refreshable(self) -> bool:
        """Tell whether there is a refresh token to go on with."""
        return self.status is Status.ACTIVE and self.to_refresh is not None

    @property
    def needs(self) -> str | None:
        """Return what only a person can give it, as of its last write: one of `NEEDS`, None where it needs nobody."""
        ends_soon = self.needs_from is not None and self.updated_at >= self.needs_from
        may_be_dead = self.status is Status.ACTIVE and self.failure is not None and self.failure.lasts
        return REAUTHORIZATION if ends_soon or may_be_dead else _NEEDED_WHERE.get(self.status)

    @property
    def needs_from(self) -> int | None:
        """Return from when on a person has to connect it again, in time before tokens end that nothing refreshes."""
        if self.status is not Status.ACTIVE or self.to_refresh is not None or self.expires_at is None:
            return None
        return self.expires_at - min(LONGEST_NOTICE, (self.expires_at - self.refreshed_at) // 4)

    @property
    def is_believed_dead(self) -> bool:
        """Tell whether a server has refused its grant, and nothing else is known of that."""
        return self.status is Status.REAUTHORIZATION_REQUIRED

    def refused_unknown_since(self, error: UnknownRefusal, now: float) -> int | None:
        """Return since when nobody knows why its grant is refused, if that has lasted too long to pass; else None."""
        following = self._failure(error, now)
        return following.unknown_since if following.lasts else None

    def may_be_looked_at(self, now: float, *, by_caller: bool) -> bool:
        """Tell whether it is time to ask once more for a grant that is believed dead, as far as the record knows."""
        used = self.to_refresh
        if not self.is_believed_dead or used is None or used.belief is None:
            return False
        is_free = used.lease is None or not used.lease.is_live(now)
        return is_free and used.belief.may_be_looked_at(now, by_caller=by_caller)

    @property
    def was_interrupted(self) -> bool:
        """Tell whether an attempt with the stored refresh token has an unknown outcome: it may have been used up."""
        before = self.lease is not None and self.lease.is_after_an_interruption
        return before or (self.failure is not None and self.failure.outcome_unknown)

    # A consent

    @classmethod
    def authorized(  # noqa: PLR0913 - one argument for each thing that an authorization brings
        cls,
        connection_id: str,
        provider: str,
        tokens: SealedTokens,
        now: float,
        *,
        before: Connection | None,
        authorized_by: str,
        owner: str | None,
        parameters: dict[str, str],
        tags: dict[str, str],
        requested_scope: str | None = None,
        grants_are_apart: bool = False,
    ) -> Connection:
        """Return the connection that an authorization makes, or makes anew of the one `before`.

        Of an earlier grant its token sets are left, each in its place: a server may have to be told of their end. It is
        at once where `grants_are_apart`: that ends none but theirs.
        """
        at = int(now)
        fresh = cls(
            connection_id,
            provider,
            before.status if before else Status.ACTIVE,
            version=tokens.seal.version,
            created_at=before.created_at if before else at,
            updated_at=at,
            refreshed_at=at,
            owner=owner,
            parameters=parameters,
            tags=tags,
            requested_scope=requested_scope,
            authorized_by=authorized_by,
            authorized_at=tokens.obtained_at,
        )
        if before is not None:
            fresh = replace(
                fresh,
                sets=before.sets,
                revocations=before.revocations,
                revocation=before.revocation,
                changes=before.changes,
            )
        new = replace(tokens.stored(Place.OUTSIDE, authorized_by), account_at=_account_at(tokens, now))
        goes_on = before.goes_on_beside(tokens) if before is not None else None
        if before is None or goes_on is None:
            replaced = fresh.in_place(Place.CURRENT) + fresh.in_place(Place.KEPT)
            following = fresh._after(  # noqa: SLF001 - its own class; so below
                Happened.CONSENTED, now, replaced, new, is_first=before is None, **_told_by(tokens)
            )
            return following._settled(now, grants_are_apart=grants_are_apart)  # noqa: SLF001
        # Its upkeep goes on, too: it is the refresh token that an idle grant would die with.
        told = {**_told_by(tokens), "upkeep_at": before.upkeep_at}
        new = replace(new, refresh_at=tokens.refresh_at)
        if goes_on.place is Place.KEPT:
            following = fresh._after(Happened.CONSENTED, now, fresh.in_place(Place.CURRENT), new, **told)  # noqa: SLF001
            return following._settled(now, grants_are_apart=grants_are_apart)  # noqa: SLF001
        kept = replace(goes_on, scope=before.scope)
        return fresh._after(Happened.CONSENTED_KEEPING, now, [kept], new, **told)  # noqa: SLF001

    def goes_on_beside(self, tokens: SealedTokens) -> StoredSet | None:
        """Return the token set whose refresh token goes on beside the tokens of a consent that brings none.

        It does only where it is of the same account, at the same client and endpoints and for the same tenant; and what
        is believed dead does not.
        """
        used = self.to_refresh
        if tokens.refreshable or used is None or self.status is not Status.ACTIVE:
            return None
        is_same_account = tokens.subject is not None and tokens.subject == self.subject
        is_same_client = used.whose.is_used_like(tokens.whose)
        return used if is_same_account and is_same_client else None

    # Whose account it is for, where that has to be asked

    def waits(self, tokens: SealedTokens, pending: Pending, request_id: str | None, now: float) -> Connection:
        """Return it with tokens of a consent that wait for their account."""
        new = replace(tokens.stored(Place.OUTSIDE, request_id), refresh_at=tokens.refresh_at, pending=pending)
        return self._after(Happened.HAS_TO_WAIT, now, (), new)

    def account_found(self, account: Account, now: float) -> Connection:
        """Return it, of which nobody knew whose it is, with the account that its current tokens are for."""
        known = replace(self._require_current(), account_at=None)
        told: dict[str, Any] = {"subject": account.subject, "metadata": {**self.metadata, **account.metadata}}
        if account.scope is not None:
            told |= {"scope": account.scope, "scope_missing": account.scope_missing}
        return self._after(Happened.ACCOUNT_FOUND, now, [known], **told)

    def account_put_off(self, asked: StoredSet, until: int, now: float) -> Connection:
        """Return it with a token set whose account could not be asked, and is `until` then."""
        return self._after(Happened.ACCOUNT_PUT_OFF, now, [asked.asked_again_at(until)])

    def account_left_unknown(self, now: float) -> Connection:
        """Return it with first tokens whose account nobody asks for any more: nobody has claimed to know it."""
        left = replace(self._require_current(), account_at=None)
        return self._after(Happened.ACCOUNT_LEFT_UNKNOWN, now, [left])

    def disowned(self, theirs: StoredSet, now: float) -> Connection:
        """Return it without waiting tokens that are not its own: revoked if that ends nothing else, else forgotten."""
        if theirs.pending is not None and theirs.pending.grants_are_apart:
            return self._after(Happened.DISOWNED, now, [theirs.to_be_revoked(now)])
        return self._after(Happened.FORGOTTEN, now, [theirs])

    def never_verified(self, error: GatehouseError, now: float, *, grants_are_apart: bool) -> Connection:
        """Return it without its first tokens, of which nobody could tell whose they are."""
        theirs = self._require_current()
        told: dict[str, Any] = {"failure": self._failure(error, now)}
        dead = self._after(Happened.REFUSED, now, [theirs], upkeep_at=None) if self.status is Status.ACTIVE else self
        if grants_are_apart:
            return dead._after(Happened.DISOWNED, now, [theirs.to_be_revoked(now)], **told)  # noqa: SLF001 - its own class
        return dead._after(Happened.FORGOTTEN, now, [theirs], **told)  # noqa: SLF001

    # A refresh

    def leased(
        self, holder: str, until: float, now: float, *, waiting: bool = False, by_caller: bool = True
    ) -> Connection:
        """Return it with the lease in `holder`'s hand; a lease that was never given back is an interrupted attempt.

        One that is `waiting` for a slot is not: with it nothing was sent. Where its grant is believed dead this is a
        look, `by_caller` or in the background.
        """
        used = self._used()
        attempt = used.attempts + (not waiting)
        lease = used.lease_for(holder, attempt, until, now, waiting=waiting)
        belief = used.belief_before_a_look(now)
        belief = belief.looked_at(until, by_caller=by_caller) if belief else None
        return self._after(Happened.LEASED, now, [replace(used, lease=lease, attempts=attempt, belief=belief)])

    def got_slot(self, until: float, now: float) -> Connection:
        """Return it with the attempt recorded that the lease has waited with: from now on it may have been sent."""
        used = self._used()
        assert used.lease is not None  # noqa: S101 - only a holder waits for a slot
        lease = replace(used.lease, attempt=used.attempts + 1, until=math.ceil(until), waiting=False)
        return self._after(Happened.GOT_SLOT, now, [replace(used, lease=lease, attempts=lease.attempt)])

    def lease_given_back(self, now: float, again_at: int | None = None) -> Connection:
        """Return it after an attempt that sent nothing; what was unknown before it stays unknown.

        Upkeep that could not be done now is due `again_at`.
        """
        used = self._used()
        assert used.lease is not None  # noqa: S101 - only a holder gives a lease back
        before = replace(used.lease, until=0) if used.lease.is_after_an_interruption else None
        upkeep_at = self.upkeep_at if again_at is None or self.upkeep_at is None else again_at
        given_back = replace(used.not_asked(now), lease=before)
        return self._after(Happened.LEASE_GIVEN_BACK, now, [given_back], upkeep_at=upkeep_at)

    def lease_ended(self, now: float) -> Connection:
        """Return it without its lease: what its holder came to know is of a token set that is used no more."""
        return self._after(Happened.LEASE_ENDED, now, [replace(self._used(), lease=None)])

    def lease_ended_aside(self, moved: StoredSet, now: float) -> Connection:
        """Return it after an attempt with a token set that was replaced or revoked meanwhile; `moved` is that now."""
        return self._after(Happened.LEASE_ENDED, now, [moved])

    def refreshed(
        self,
        tokens: SealedTokens,
        source: RefreshedFrom,
        holder: str,
        now: float,
        *,
        grants_are_apart: bool = False,
    ) -> Connection:
        """Return it with its next token set; what the response is silent about stays (RFC 6749 section 6).

        A dead grant lives again, since a server that issues tokens for it has not ended it. The lease of another that
        is at work stays with that one.
        """
        old = self._used()
        whole = replace(
            tokens,
            scope=tokens.scope or old.scope or self.scope,
            subject=tokens.subject or self.subject,
            metadata={**self.metadata, **tokens.metadata},
            refresh_expires_at=tokens.refresh_expires_at or old.refresh_expires_at,
        )
        new = replace(
            whole.stored(Place.OUTSIDE, old.request_id),
            refreshed_from=source,
            lease=old.lease_of_another(holder, now),
            account_at=old.account_at if tokens.asks_account else None,
        )
        told = {"version": self.version + 1, **_told_by(whole)}
        if old.place is Place.KEPT:
            replaced = [old, *self.in_place(Place.CURRENT)]
            done = self._after(Happened.KEPT_REFRESHED, now, replaced, new, **told)
            return done._settled(now, grants_are_apart=grants_are_apart)  # noqa: SLF001 - its own class
        happened = Happened.RECOVERED if self.is_believed_dead else Happened.REFRESHED
        return self._after(happened, now, [old], new, **told)

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float, *, needed: bool = False) -> Connection:
        """Return it after an attempt that failed but did not kill the grant. `jitter` is from 0 to 1.

        `needed`: the access token will not do for who made the attempt.
        """
        failure, used = self._failure(error, now, jitter, needed=needed), self._used()
        return self._refresh_failed(failure, used.not_asked(now) if error.sent_nothing else used, None, now, jitter)

    def refresh_timed_out(
        self, error: GatehouseError, until: float, now: float, jitter: float, *, needed: bool
    ) -> Connection:
        """Return it after an attempt that got no answer in time: the lease stays `until` then (Unix seconds)."""
        used = self._used()
        assert used.lease is not None  # noqa: S101 - only a holder can give up on its request
        lease = replace(used.lease, until=math.ceil(until), interrupted_at=None, timed_out=True)
        failure = self._failure(error, now, jitter, needed=needed).with_no_request_before(lease.until)
        return self._refresh_failed(failure, used, lease, now, jitter)

    def _refresh_failed(
        self, failure: Failure, used: StoredSet, lease: Lease | None, now: float, jitter: float
    ) -> Connection:
        if self.is_believed_dead and used.belief is not None:
            # What is known of the grant is its refusal: the failure of a look is no news of it.
            belief = used.belief.answered(now, jitter)
            looked = replace(used, lease=lease, belief=belief)
            return self._after(Happened.REFRESH_FAILED, now, [looked], upkeep_at=belief.next_at)
        failure = replace(failure, outcome_unknown=failure.outcome_unknown or self.was_interrupted)
        upkeep_at = None if self.upkeep_at is None else max(self.upkeep_at, failure.retry_at)
        failed = replace(used, lease=lease)
        return self._after(Happened.REFRESH_FAILED, now, [failed], failure=failure, upkeep_at=upkeep_at)

    def died(
        self, error: ReauthorizationRequired, now: float, jitter: float = 0.5, *, after_loss: bool = False
    ) -> Connection:
        """Return it with a dead grant, saying whether an interruption or the loss of an answer came before.

        Where it was a kept refresh token that was refused, the current tokens are vended to their end. `jitter` (0 to
        1) spreads the looks that are taken at what may live.
        """
        failure, belief = self._failure(error, now), self._belief(error, now, jitter, after_loss=after_loss)
        if self.is_believed_dead and self.failure is not None:
            failure = self.failure
        elif self.was_interrupted or after_loss:
            failure = replace(failure, description=failure.description + _AFTER_AN_INTERRUPTION)
        refused = replace(self._used(), lease=None, refresh_at=None, was_refused=True, belief=belief)
        told: dict[str, Any] = {"failure": failure, "upkeep_at": belief.next_at if belief else None}
        if refused.place is Place.KEPT:
            current = replace(self._require_current(), refresh_at=None)
            return self._after(Happened.KEPT_REFUSED, now, [refused, current], **told)._within_bounds(now)  # noqa: SLF001
        return self._after(Happened.REFUSED, now, [refused], **told)

    def _belief(self, error: ReauthorizationRequired, now: float, jitter: float, *, after_loss: bool) -> Belief | None:
        """Return what is to be believed of the token set that was refused; None where nothing is to be doubted.

        That the refresh token was not used before is known of the first attempt with this token set alone.
        """
        from .belief import Belief  # noqa: PLC0415 - few grants are refused

        used = self._used()
        if used.place is Place.KEPT or error.is_final:
            return None
        if self.is_believed_dead:
            return used.belief.answered(now, jitter) if used.belief else None
        is_first = used.is_asked_for_the_first_time and not self.was_interrupted and not after_loss
        return Belief.begin(now, jitter) if is_first and error.provider_error is not None else None

    def not_looked_at_again(self, now: float) -> Connection:
        """Return it with a grant that is not asked for any more: its account has authorized the client elsewhere."""
        used = replace(self._used(), belief=None)
        return self._after(Happened.LOOKS_ENDED, now, [used], upkeep_at=None)

    def came_late(  # noqa: PLR0913 - tokens, where they come from and where they go
        self,
        tokens: SealedTokens,
        gives_way: StoredSet | None,
        request_id: str | None,
        now: float,
        source: RefreshedFrom | None = None,
        *,
        grants_are_apart: bool = False,
    ) -> Connection:
        """Return it with tokens that came after something newer: in the place of what `gives_way`, or beside all.

        They are vended to nobody, and revoked when the connection is, or at once where `grants_are_apart`.
        """
        new = replace(tokens.stored(Place.OUTSIDE, request_id), refreshed_from=source)
        replaced = [gives_way] if gives_way is not None else []
        came = self._after(Happened.CAME_LATE, now, replaced, new)
        return came._settled(now, grants_are_apart=grants_are_apart)  # noqa: SLF001

    def kept_came_late(
        self, tokens: SealedTokens, gives_way: StoredSet, holder: str, now: float, source: RefreshedFrom
    ) -> Connection:
        """Return it with tokens that a kept refresh token brought after a newer consent: kept in its place."""
        whole = replace(tokens, refresh_expires_at=tokens.refresh_expires_at or gives_way.refresh_expires_at)
        new = replace(
            whole.stored(Place.OUTSIDE, gives_way.request_id),
            refreshed_from=source,
            lease=gives_way.lease_of_another(holder, now),
            scope=tokens.scope or gives_way.scope,
        )
        return self._after(Happened.KEPT_CAME_LATE, now, [gives_way], new)

    def ends_soon(self, now: float) -> Connection:
        """Return it with a need of a person, who can connect it again before its tokens end."""
        return self._after(Happened.ENDS_SOON, now, [self._require_current()])

    # Its end

    def revoking(
        self, now: float, holder: str | None = None, until: float = 0.0, *, waiting: bool = False
    ) -> Connection:
        """Return it ended here: nothing is vended any more, and its token sets are to be revoked.

        `holder` has the current one in hand then, `until` that time, unless it is being refreshed; it may be `waiting`
        for a slot.
        """
        pending = self.in_place(Place.PENDING)
        left = self.disowned(pending[0], now) if pending else self
        used = left.to_refresh
        held = left.in_place(Place.CURRENT) + left.in_place(Place.KEPT) + left.in_place(Place.SUPERSEDED)
        over = [(left._as_known(each) if each is used else each).to_be_revoked(now) for each in held]  # noqa: SLF001 - its own class
        if over and holder is not None and over[0].place is Place.CURRENT and not over[0].is_in_hand(now):
            over[0] = over[0].claimed(holder, until, now, revokes=True, waiting=waiting)
        over = over or [*left.to_revoke]
        happened = Happened.REVOKED if over else Happened.REVOKED_WITHOUT
        counted: dict[str, Any] = {"revocations": self.revocations + 1, "revocation": (), "upkeep_at": None}
        return left._after(happened, now, over, **counted)  # noqa: SLF001 - its own class

    def came_after_revocation(
        self,
        tokens: SealedTokens,
        gives_way: StoredSet | None,
        request_id: str | None,
        now: float,
        source: RefreshedFrom | None = None,
    ) -> Connection:
        """Return it with tokens that came back after it was revoked, in the place of what `gives_way`, or beside all.

        They are vended to nobody, and revoked too.
        """
        new = replace(tokens.stored(Place.OUTSIDE, request_id), refreshed_from=source)
        return self._came_to_be_revoked(Happened.CAME_AFTER_REVOCATION, new, tokens.obtained_at, gives_way, now)

    def came_unwanted(
        self,
        tokens: SealedTokens,
        gives_way: StoredSet | None,
        request_id: str | None,
        now: float,
        source: RefreshedFrom | None = None,
    ) -> Connection:
        """Return it with tokens that are revoked of our own accord, in the place of what `gives_way`, or beside all.

        They are not the connection's own, or of a token set that is revoked while the connection goes on.
        """
        new = replace(tokens.stored(Place.OUTSIDE, request_id), refreshed_from=source)
        return self._came_to_be_revoked(Happened.CAME_UNWANTED, new, tokens.obtained_at, gives_way, now)

    def _came_to_be_revoked(
        self, happened: Happened, new: StoredSet, obtained_at: int, gives_way: StoredSet | None, now: float
    ) -> Connection:
        replaced = [gives_way] if gives_way is not None else []
        return self._after(happened, now, replaced, new.to_be_revoked(now, obtained_at))

    def _as_known(self, used: StoredSet) -> StoredSet:
        """Return the token set that was refreshed last with what only the connection knows of that: how it failed."""
        if self.failure is None or not self.failure.outcome_unknown:
            return used
        if used.lease is None:
            return used.answer_lost(self.failure.at)
        if used.lease.is_after_an_interruption:
            return used
        return replace(used, lease=replace(used.lease, interrupted_at=self.failure.at, answer_lost=True))

    def revocation_began(self, claimed: StoredSet, now: float) -> Connection:
        """Return it with a token set in somebody's hand, to be revoked: the journal entry of an attempt."""
        return self._after(Happened.REVOCATION_BEGAN, now, [claimed])

    def refresh_to_revoke_began(self, claimed: StoredSet, now: float) -> Connection:
        """Return it with a token set in somebody's hand, to be refreshed so that it can be revoked."""
        return self._after(Happened.LEASED, now, [claimed])

    def revocation_failed(self, failed: StoredSet, now: float) -> Connection:
        """Return it with what an attempt that failed has left of a revocation."""
        return self._after(Happened.REVOCATION_FAILED, now, [failed])

    def revocation_put_off(self, over: StoredSet, now: float) -> Connection:
        """Return it with a token set that is not revoked while a newer consent stands, which it might end with it."""
        waiting = self._after(Happened.REVOCATION_PUT_OFF, now, [replace(over.released(), revocation=None)])
        return waiting._within_bounds(now)  # noqa: SLF001

    def revocation_confirmed(self, over: StoredSet, now: float) -> Connection:
        """Return it with a token set's revocation over: the ciphertext goes, what the server answered stays."""
        known = replace(self, revocation=(*self.revocation, Revoked.of(over))[-MOST_REVOKED:])
        is_last = self.status is Status.REVOKING and len(self.to_revoke) == 1
        return known._after(Happened.LAST_CONFIRMED if is_last else Happened.REVOCATION_CONFIRMED, now, [over])  # noqa: SLF001

    def end_noted(self, over: StoredSet, now: float) -> Connection:
        """Return it after a server has confirmed the end of a token set that has given way to a late answer since."""
        noted = (*self.revocation, Revoked.of(over))[-MOST_REVOKED:]
        return self._after(Happened.REVOCATION_CONFIRMED, now, (), revocation=noted)

    # The one way from each state to the next

    def _after(
        self,
        happened: Happened,
        now: float,
        concerned: Iterable[StoredSet],
        new: StoredSet | None = None,
        *,
        is_first: bool = False,
        **fields: Any,
    ) -> Connection:
        """Return what becomes of it when something has happened to some of its token sets, and one may have come in.

        `concerned` are those token sets as they are after it, but for their places: where each goes, and which status
        the connection has then, the table says. What comes in may have waited here.
        `is_first`: there was no connection.
        """
        was = None if is_first else self.status
        status, following = self.status, []
        changed = {each.id: each for each in concerned}
        if new is not None and self.set_of(new.id) is not None:
            changed[new.id], new = new, None
        for each in self.sets:
            if each.id in changed:
                status, place = becomes(was, each.place, happened)
                each = replace(changed[each.id], place=place)  # noqa: PLW2901 - it is the same token set
            following.append(each)
        if happened is Happened.REVOKED_WITHOUT:
            status, _ = becomes(was, Place.OUTSIDE, happened)
        if new is not None:
            status, place = becomes(was, Place.OUTSIDE, happened)
            new = replace(new, place=place)
            following = [new, *following] if place is Place.CURRENT else [*following, new]
        held = tuple(each for each in following if each.place is not Place.OUTSIDE)
        if status in ENDED:
            failures = (each.revocation.failure for each in held if each.revocation)
            fields["failure"] = next((failure for failure in failures if failure), None)
        after = replace(self, status=status, sets=held, changes=self.changes + 1, updated_at=int(now), **fields)
        return after._scheduled()  # noqa: SLF001

    def has_ended_the_grant_of(self, over: StoredSet, *, ends_all: bool) -> bool:
        """Tell whether a server has confirmed the end of a token set's grant by what it answered to another set.

        `ends_all`: that server ends all grants of an account with any of them.
        """
        return any(end.ended_the_grant and end.is_of_the_grant_of(over, is_any=ends_all) for end in self.revocation)

    def _settled(self, now: float, *, grants_are_apart: bool) -> Connection:
        """Return it with what is superseded revoked where that ends nothing else, and else within bounds."""
        if not grants_are_apart:
            return self._within_bounds(now)
        over = [each.to_be_revoked(now) for each in self.in_place(Place.SUPERSEDED)]
        return self._after(Happened.REVOKED_APART, now, over) if over else self

    def _within_bounds(self, now: float) -> Connection:
        """Return it without the oldest superseded token sets, where there are more than it keeps.

        Those without a refresh token go first: what is left of their grants runs out by itself.
        """
        superseded = sorted(self.in_place(Place.SUPERSEDED), key=lambda each: (each.refreshable, each.seal.version))
        too_many = superseded[: max(0, len(superseded) - MOST_SUPERSEDED)]
        return self._after(Happened.LEFT_TO_SERVER, now, too_many) if too_many else self

    def _require_current(self) -> StoredSet:
        current = self.current
        assert current is not None  # noqa: S101 - without one there is nothing to refresh, and no lease
        return current

    def _used(self) -> StoredSet:
        """Return the token set that a refresh is about."""
        return self.to_refresh or self._require_current()

    def _failure(
        self, error: GatehouseError, now: float, jitter: float | None = None, *, needed: bool = False
    ) -> Failure:
        holder = self.lease.holder if self.lease else ""
        return Failure.of(error, self.failure, now, jitter, holder, needed=needed)

    def _scheduled(self) -> Connection:
        """Return it due at what comes first of its background work: its place in the `due` index.

        What nothing refreshes is due when a person is to be asked for it, and once more when it is over.
        """
        upkeep_at = self.upkeep_at
        if self.needs_from is not None:
            upkeep_at = self.expires_at if self.needs else self.needs_from
        tell_at = min((each.revoke_at for each in self.sets if each.revoke_at is not None), default=None)
        asked = self.asked_first
        ask_at = asked.ask_at if asked else None
        due_at = min((at for at in (upkeep_at, tell_at, ask_at) if at is not None), default=None)
        shard = None if due_at is None else _shard(self.connection_id)
        return replace(self, upkeep_at=upkeep_at, tell_at=tell_at, due_at=due_at, due_shard=shard)


def _account_at(tokens: SealedTokens, now: float) -> int | None:
    """Return when the background asks whose account first tokens are for, where that has to be asked."""
    return int(now) + ASKED_AFTER if tokens.asks_account else None


def _told_by(tokens: SealedTokens) -> dict[str, Any]:
    """Return what a token response says of the connection as a whole: all that its token set does not hold."""
    return {
        "scope": tokens.scope,
        "scope_missing": tokens.scope_missing,
        "subject": tokens.subject,
        "metadata": tokens.metadata,
        "refreshed_at": tokens.obtained_at,
        "upkeep_at": tokens.due_at,
        "failure": None,
    }


def _shard(connection_id: str) -> str:
    """Return the shard of the `due` index that a connection lies in: spread evenly, and always the same."""
    return str(crc32(connection_id.encode()) % DUE_SHARDS)


__all__ = [
    "DUE_SHARDS",
    "ENDED",
    "JUST_OBTAINED",
    "MOST_REVOKED",
    "NEEDS",
    "REAUTHORIZATION",
    "Connection",
    "Lease",
    "RefreshedFrom",
    "Status",
]
