"""A connection as its record holds it: what can be read from it. What happens to it is elsewhere.

`life` has the table of what can happen. `consents`, `refreshes`, `late_answers` and `revocations` return the next
record; `transition`, by which they do, is the only way from one record to the next.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ConfirmationRequired, ConnectionRevoked, ReauthorizationRequired
from functions.vault.base.record import record

from .failure import Failure
from .life import ENDED, Place, Status

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

    from .last_attempt import LastAttempt
    from .lease import Lease
    from .revoked import Revoked
    from .stored_set import StoredSet
    from .tokens import SealedTokens

DUE_SHARDS = 16
"""Parts of the index of background work, over which connections are spread evenly."""

LONGEST_NOTICE = 7 * 86400
"""Seconds before the expiry of tokens that nothing refreshes from which on a person is needed: the last quarter of
their life, and no more than this."""

JUST_OBTAINED = 10
"""Seconds for which a token set is as new as one can be: if it is refused somewhere, another would be, too."""

REAUTHORIZATION, CONFIRMATION = "reauthorization", "confirmation"
NEEDS = (REAUTHORIZATION, CONFIRMATION)
"""What a connection can need a person for."""
_UNCONFIRMED = "The connection is not confirmed: call confirm with what the customer's browser brought to return_to."


@record
class Connection:
    """One connection as stored. Times are Unix seconds.

    `version` counts token sets that were current; `sets` are those that it holds, each in its place.
    `revocations` counts how often the connection was revoked, and `revocation` is what servers answered since.
    `changes` counts writes: every write raises it, and is conditional on it. `updated_at` is the latest of them that
    was about more than a lease.
    Background work is due at `due_at`: the grant's upkeep (`upkeep_at`), the revocation of a token set at its server
    (`revocation_due_at`), or what is to happen with tokens that wait.
    `last_attempt` is the latest authorization that came to nothing, since the connection was authorized.
    `waited_at` is when the server issued the newest tokens that had to wait for a confirmation, `waited` are the ids of
    the newest token sets that had to wait, and `ran_out` is the hash of a confirmation that nobody has brought.
    `import_digest` is a digest of what the latest import has brought, until somebody consents.
    `ends_at` is when the grant ends as far as the server has said, and `notice_at` is when that is announced.
    `events` is what has happened since the record was read, each with the number of the change: it is written once.
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
    import_digest: str | None = None
    revocations: int = 0
    revocation: tuple[Revoked, ...] = ()
    changes: int = 0
    failure: Failure | None = None
    last_attempt: LastAttempt | None = None
    waited_at: int | None = None
    waited: tuple[str, ...] = ()
    ran_out: str | None = None
    due_shard: str | None = None
    due_at: int | None = None
    upkeep_at: int | None = None
    revocation_due_at: int | None = None
    ends_at: int | None = None
    notice_at: int | None = None
    events: tuple[tuple[int, str], ...] = field(default=(), compare=False)

    # Its token sets

    @property
    def current(self) -> StoredSet | None:
        """Return the token set that is vended and refreshed; None if there is none."""
        return next((each for each in self.sets if each.place is Place.CURRENT), None)

    def in_place(self, place: Place) -> tuple[StoredSet, ...]:
        """Return the token sets that are in a place."""
        return tuple(each for each in self.sets if each.place is place)

    def set_of(self, set_id: str) -> StoredSet | None:
        """Return the token set with an id; None if the connection does not hold it."""
        return next((each for each in self.sets if each.id == set_id), None)

    @property
    def to_revoke(self) -> tuple[StoredSet, ...]:
        """Return the token sets that are yet to be revoked at their server."""
        return self.in_place(Place.REVOKING)

    @property
    def to_refresh(self) -> StoredSet | None:
        """Return the token set whose refresh token is used: the current one, or the kept one beside one without."""
        current = self.current
        if current is None or current.refreshable:
            return current
        return next(iter(self.in_place(Place.KEPT)), None)

    @property
    def is_to_be_proved(self) -> bool:
        """Return whether its current tokens were imported, and are vended only once a refresh has proved them."""
        return self.status is Status.UNCONFIRMED and self.current is not None

    @property
    def waits_first(self) -> StoredSet | None:
        """Return the token set whose account is asked for next, or whose time is over next; None if there is none."""
        waiting = [each for each in self.sets if each.waits_until is not None]
        return min(waiting, key=lambda each: each.waits_until or 0, default=None)

    @property
    def unconfirmed(self) -> StoredSet | None:
        """Return the token set that waits for the application's confirmation; None if there is none."""
        return next((each for each in self.sets if each.is_unconfirmed), None)

    def waits_for_account(self, waiting: StoredSet) -> bool:
        """Return whether tokens wait until their account is known; those that nothing is compared with do not."""
        is_any_good = waiting.is_unconfirmed and (self.subject is None or self.status in ENDED)
        return waiting.asks_account and not is_any_good

    def require_current(self) -> StoredSet:
        """Return the current token set of a connection that has one: one that is vended, leased or refreshed has."""
        current = self.current
        assert current is not None  # noqa: S101 - without one there is nothing to refresh, and no lease
        return current

    def require_used(self) -> StoredSet:
        """Return the token set that a refresh is about."""
        return self.to_refresh or self.require_current()

    @property
    def lease(self) -> Lease | None:
        """Return the lease that all callers go by: that of the token set whose refresh token is used."""
        used = self.to_refresh or self.current
        return used.lease if used else None

    @property
    def expires_at(self) -> int | None:
        """Return when the access token expires; None if nobody knows."""
        return self.current.expires_at if self.current else None

    # What may be done with it

    def require_vendable(self) -> None:
        """Raise the error that says why this connection has no token to give, if it has none."""
        about, failure = self.connection_id, self.failure
        if self.is_to_be_proved:
            return  # whoever wants its token proves it, or waits for that
        if self.status in ENDED:
            raise ConnectionRevoked("The connection was revoked: start again to connect it.", connection_id=about)
        if self.status is Status.UNCONFIRMED or self.needs == CONFIRMATION:
            raise ConfirmationRequired(_UNCONFIRMED, connection_id=about)
        if self.status is Status.REAUTHORIZATION_REQUIRED:
            raise ReauthorizationRequired(
                failure.description if failure else "The grant is dead: start again, so that the user consents again.",
                connection_id=about,
                provider_error=failure.provider_error if failure else None,
            )

    def belongs_to(self, provider: str, owner: str | None) -> bool:
        """Return whether a request for this provider and owner may store tokens here. A revoked connection is free."""
        return self.status is Status.REVOKED or (self.provider == provider and self.owner == owner)

    def is_valid_for(self, seconds: int, now: float) -> bool:
        """Return whether the access token lives `seconds` more; one without known expiry does until a caller objects.

        If a token set is issued with a shorter life than asked for, no refresh brings a better one. It counts as valid
        for its first half, so that one impatient caller does not wear the refresh token out.
        """
        expires_at = self.expires_at
        if self.is_to_be_proved or expires_at is None:
            return not self.is_to_be_proved
        lifetime = expires_at - self.refreshed_at
        wanted = seconds if seconds < lifetime else lifetime / 2
        return now < expires_at - wanted

    def was_just_obtained(self, now: float) -> bool:
        """Return whether the access token is valid and so new that a refresh would bring no better one.

        An API that answers 401 for lack of a permission makes its callers ask for another token again and again.
        """
        return now < self.refreshed_at + JUST_OBTAINED and self.is_valid_for(0, now)

    def is_due(self, now: float) -> bool:
        """Return whether the access token has come into its soft margin, so that a refresh is worth trying."""
        current = self.current
        return current is not None and current.refresh_at is not None and now >= current.refresh_at

    @property
    def refreshable(self) -> bool:
        """Return whether there is a refresh token to go on with."""
        return self.status is Status.ACTIVE and self.to_refresh is not None

    def goes_on_beside(self, tokens: SealedTokens) -> StoredSet | None:
        """Return the token set whose refresh token goes on beside the tokens of a consent that brings none.

        It does only if it is of the same account, at the same client and endpoints and for the same tenant, and is not
        believed dead.
        """
        used = self.to_refresh
        if tokens.refreshable or used is None or self.status is not Status.ACTIVE:
            return None
        is_same_account = tokens.subject is not None and tokens.subject == self.subject
        is_same_client = used.whose.is_used_like(tokens.whose)
        return used if is_same_account and is_same_client else None

    def has_ended_the_grant_of(self, token_set: StoredSet, *, ends_all: bool) -> bool:
        """Return whether a server has confirmed the end of a token set's grant in answer to another token set.

        `ends_all`: that server ends all grants of an account with any of them.
        """
        return any(
            end.ended_the_grant and end.is_of_the_grant_of(token_set, is_any=ends_all) for end in self.revocation
        )

    # What a person is needed for

    @property
    def needs(self) -> str | None:
        """Return what only a person can give it, as of `updated_at`: one of `NEEDS`, or None.

        What works needs no confirmation, even if there are newer tokens that wait for one.
        """
        if self.status is not Status.ACTIVE and self.unconfirmed is not None:
            return CONFIRMATION
        ends_soon = self.needs_from is not None and self.updated_at >= self.needs_from
        return REAUTHORIZATION if ends_soon or self.needs_consent else None

    @property
    def needs_from(self) -> int | None:
        """Return from when on a person has to connect it again, before tokens expire that nothing refreshes."""
        if self.status is not Status.ACTIVE or self.to_refresh is not None or self.expires_at is None:
            return None
        return self.expires_at - min(LONGEST_NOTICE, (self.expires_at - self.refreshed_at) // 4)

    @property
    def needs_consent(self) -> bool:
        """Return whether it has lost its grant, as far as Gatehouse can tell, whether or not that was expected."""
        is_used = self.status is Status.ACTIVE or self.is_to_be_proved
        may_be_dead = is_used and self.failure is not None and self.failure.lasts
        return may_be_dead or self.is_believed_dead

    @property
    def grant_ends_at(self) -> int | None:
        """Return when a grant ends that works: with its refresh token, else with its access token; None if unknown."""
        if self.status is not Status.ACTIVE:
            return None
        return self.expires_at if self.to_refresh is None else self.to_refresh.refresh_expires_at

    # What is known of its failures

    @property
    def is_believed_dead(self) -> bool:
        """Return whether a server has refused its grant, and nothing else is known about that."""
        return self.status is Status.REAUTHORIZATION_REQUIRED

    @property
    def was_interrupted(self) -> bool:
        """Return whether an attempt with the stored refresh token has an unknown outcome: it may have been used up."""
        before = self.lease is not None and self.lease.is_after_an_interruption
        return before or (self.failure is not None and self.failure.outcome_unknown)

    def may_be_looked_at(self, now: float, *, by_caller: bool) -> bool:
        """Return whether it is time to try a grant once more that is believed dead, as far as the record knows."""
        used = self.to_refresh
        if not self.is_believed_dead or used is None or used.belief is None:
            return False
        is_free = used.lease is None or not used.lease.is_live(now)
        return is_free and used.belief.may_be_looked_at(now, by_caller=by_caller)

    def failure_after(
        self, error: GatehouseError, now: float, jitter: float | None = None, *, needed: bool = False
    ) -> Failure:
        """Return what is remembered when `error` ends the attempt under way (`Failure.of`)."""
        holder = self.lease.holder if self.lease else ""
        return Failure.of(error, self.failure, now, jitter, holder, needed=needed)
