"""A connection and its life: one frozen type, whose named methods return the next state. Nobody else sets a status."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .errors import (
    BY_CODE,
    ConfirmationRequired,
    ConnectionRevoked,
    ProviderUnavailable,
    ReauthorizationRequired,
)

if TYPE_CHECKING:
    from .errors import (
        GatehouseError,
        ProviderError,
    )
    from .tokens import SealedTokens

FIRST_DELAY = 5.0
"""Seconds to leave a failing server alone after a first failure; doubled with each further one."""

LONGEST_DELAY = 300.0

LONGEST_REVOCATION_DELAY = 3600.0

SHARED_FOR = 5
"""Seconds after a failure in which all who ask are told the same wait: they asked together and get one answer."""

DUE_SHARDS = 16

_AFTER_AN_INTERRUPTION = (
    " An earlier refresh was interrupted before its answer arrived;"
    " the server may have replaced the refresh token then."
)


class Status(StrEnum):
    """Where a connection stands."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    REVOKING = "revoking"
    REVOKED = "revoked"


ENDED = frozenset({Status.REVOKING, Status.REVOKED})
"""Ended on purpose: whatever else happens, nothing is vended."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use the refresh token, and the journal entry of that use. It holds until `until` (Unix seconds).

    `attempt` numbers the uses of one token set. `interrupted` says that the one before never told how it ended.
    """

    holder: str
    attempt: int
    until: int
    interrupted: bool = False

    def is_live(self, now: float) -> bool:
        """Tell whether its holder may still be at work."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class Origin:
    """What a refreshed token set came from: the version whose refresh token was used, and the number of that use."""

    version: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure, kept until a success. Times are Unix seconds; `holder` is the attempt that it ended."""

    code: str
    count: int
    at: int
    retry_at: int
    holder: str
    description: str
    outcome_unknown: bool = False
    provider_error: ProviderError | None = None

    def is_in_force(self, now: float) -> bool:
        """Tell whether the server is still to be left alone."""
        return now < self.retry_at

    def as_error(self, connection_id: str, now: float) -> GatehouseError:
        """Return the failure for one who shares it."""
        error = BY_CODE[self.code](self.description, connection_id=connection_id, provider_error=self.provider_error)
        if error.retryable:
            remaining = self.retry_at - (self.at if now < self.at + SHARED_FOR else now)
            error.retry_after = max(1, math.ceil(remaining))
        return error


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection as stored. Times are Unix seconds.

    `version` counts token sets; `sealed` holds the current one, `attempts` counts the uses of its refresh token, and
    where the connection is ending, that its server is being told.
    `refresh_at` is when the access token comes into its soft margin, `due_at` when background work on the record is
    due, `revocations` counts how often the connection was revoked.
    """

    connection_id: str
    provider: str
    status: Status
    version: int
    created_at: int
    updated_at: int
    refreshed_at: int
    sealed: bytes | None = field(default=None, repr=False)
    token_type: str = "Bearer"  # noqa: S105 - a type of token, not a token
    expires_at: int | None = None
    refresh_at: int | None = None
    refresh_expires_at: int | None = None
    refreshable: bool = False
    scope: str | None = None
    subject: str | None = None
    owner: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    authorized_by: str | None = None
    authorized_at: int | None = None
    revocations: int = 0
    revocation: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    attempts: int = 0
    lease: Lease | None = None
    origin: Origin | None = None
    due_shard: str | None = None
    due_at: int | None = None

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
        if self.expires_at is None:
            return True
        lifetime = self.expires_at - self.refreshed_at
        wanted = seconds if seconds < lifetime else lifetime / 2
        return now < self.expires_at - wanted

    def is_due(self, now: float) -> bool:
        """Tell whether the access token has come into its soft margin, so that a refresh is worth trying."""
        return self.refresh_at is not None and now >= self.refresh_at

    @property
    def was_interrupted(self) -> bool:
        """Tell whether an attempt with the stored refresh token has an unknown outcome: it may have been used up."""
        before = self.lease is not None and self.lease.interrupted
        return before or (self.failure is not None and self.failure.outcome_unknown)

    # What can happen to it

    @classmethod
    def authorized(  # noqa: PLR0913 - one argument for each thing that an authorization brings
        cls,
        connection_id: str,
        provider: str,
        version: int,
        tokens: SealedTokens,
        now: float,
        *,
        created_at: int,
        authorized_by: str,
        revocations: int,
        owner: str | None,
        parameters: dict[str, str],
        tags: dict[str, str],
    ) -> Connection:
        """Return the connection that an authorization makes, or makes anew: nothing of an earlier grant is left."""
        at = int(now)
        bare = cls(
            connection_id,
            provider,
            Status.ACTIVE,
            version,
            created_at,
            at,
            at,
            owner=owner,
            parameters=parameters,
            tags=tags,
            authorized_by=authorized_by,
            authorized_at=tokens.obtained_at,
            revocations=revocations,
        )
        return bare._with_tokens(tokens, at)

    def leased(self, holder: str, until: float, now: float) -> Connection:
        """Return it with the lease in `holder`'s hand; a lease that was never released is an interrupted attempt."""
        attempt = self.attempts + 1
        lease = Lease(holder, attempt, math.ceil(until), interrupted=self.lease is not None)
        return replace(self, lease=lease, attempts=attempt, updated_at=int(now))

    def returned(self, now: float) -> Connection:
        """Return it after an attempt that sent nothing; what was unknown before it stays unknown."""
        assert self.lease is not None  # noqa: S101 - only a holder returns a lease
        before = replace(self.lease, until=0) if self.lease.interrupted else None
        return replace(self, lease=before, updated_at=int(now))

    def released(self, now: float) -> Connection:
        """Return it without its lease: what its holder came to know is of a token set that is not the current one."""
        return replace(self, lease=None, updated_at=int(now))

    def refreshed(self, tokens: SealedTokens, origin: Origin, holder: str, now: float) -> Connection:
        """Return it with its next token set; what the response is silent about stays (RFC 6749 section 6).

        A dead grant lives again, since a server that issues tokens for it has not ended it. The lease of another that
        is at work stays with that one.
        """
        kept = replace(
            tokens,
            scope=tokens.scope or self.scope,
            subject=tokens.subject or self.subject,
            metadata={**self.metadata, **tokens.metadata},
            refresh_expires_at=tokens.refresh_expires_at or self.refresh_expires_at,
        )
        lease = self.lease
        others = lease if lease is not None and lease.holder != holder and lease.is_live(now) else None
        following = replace(self, status=Status.ACTIVE, version=self.version + 1, origin=origin)
        return replace(following._with_tokens(kept, int(now)), lease=others)  # noqa: SLF001 - its own class; so below

    def taken_back(self, provider: str, tokens: SealedTokens, now: float) -> Connection:
        """Return it with tokens that came back after it was revoked: vended to nobody, and revoked too."""
        had_ended = self.had_ended or any(entry["said"] == "revoked" for entry in self.revocation.values())
        following = replace(self, status=Status.REVOKING, provider=provider, version=self.version + 1, origin=None)
        held = following._with_tokens(tokens, int(now))  # noqa: SLF001
        back = replace(held, due_shard=_shard(self.connection_id), due_at=int(now), refresh_at=None)
        return back.told("grant", "revoked", now) if had_ended else back

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float) -> Connection:
        """Return it after an attempt that failed but did not kill the grant. `jitter` is from 0 to 1."""
        count = self.failure.count + 1 if self.failure else 1
        unknown = isinstance(error, ProviderUnavailable) and error.outcome_unknown
        delay = _delay(count, jitter, error)
        failure = self._failure(error, now, delay, count, outcome_unknown=unknown or self.was_interrupted)
        due_at = None if self.due_at is None else max(self.due_at, failure.retry_at)
        return replace(self, lease=None, updated_at=int(now), failure=failure, due_at=due_at)

    def died(self, error: GatehouseError, now: float, *, after_loss: bool = False) -> Connection:
        """Return it with a dead grant, saying whether an interruption or the loss of an answer came before."""
        failure = self._failure(error, now, 0, (self.failure.count if self.failure else 0) + 1)
        if self.was_interrupted or after_loss:
            failure = replace(failure, description=failure.description + _AFTER_AN_INTERRUPTION)
        dead = replace(self, status=Status.REAUTHORIZATION_REQUIRED, lease=None, updated_at=int(now), failure=failure)
        return dead._without_due()  # noqa: SLF001

    def revoking(self, now: float) -> Connection:
        """Return it ended here: nothing is vended any more, and no refresh in flight can commit."""
        was_dead = self.status is Status.REAUTHORIZATION_REQUIRED
        revocation = {"grant": {"said": "dead", "at": int(now)}} if was_dead else {}
        return replace(
            self,
            status=Status.REVOKING,
            revocations=self.revocations + 1,
            revocation=revocation,
            attempts=1,
            lease=None,
            failure=None,
            refresh_at=None,
            due_shard=_shard(self.connection_id),
            due_at=int(now),
            updated_at=int(now),
        )

    @property
    def was_dead(self) -> bool:
        """Tell whether the server had said that the grant is gone before it was revoked here."""
        return "dead" in self._said_of_the_grant

    @property
    def had_ended(self) -> bool:
        """Tell whether the server had confirmed the end of the grant before these tokens of it came back."""
        return "revoked" in self._said_of_the_grant

    @property
    def _said_of_the_grant(self) -> set[str]:
        return {self.revocation["grant"]["said"]} if "grant" in self.revocation else set()

    def told(self, kind: str, said: str, now: float) -> Connection:
        """Return it with what the server said to the revocation of one `kind` of token."""
        return replace(self, revocation={**self.revocation, kind: {"said": said, "at": int(now)}}, updated_at=int(now))

    def revocation_failed(self, error: GatehouseError, now: float, jitter: float) -> Connection:
        """Return it still revoking, after the server could not be told."""
        count = self.failure.count + 1 if self.failure else 1
        delay = _delay(count, jitter, error, LONGEST_REVOCATION_DELAY)
        unknown = isinstance(error, ProviderUnavailable) and error.outcome_unknown
        before = self.failure is not None and self.failure.outcome_unknown
        failure = self._failure(error, now, delay, count, outcome_unknown=unknown or before)
        failed = replace(self, updated_at=int(now), failure=failure)
        return replace(failed, due_shard=_shard(self.connection_id), due_at=math.ceil(now + delay))

    def revoked(self, now: float) -> Connection:
        """Return it with its grant ended at the server too, and no ciphertext."""
        bare = replace(
            self, status=Status.REVOKED, sealed=None, refreshable=False, failure=None, lease=None, updated_at=int(now)
        )
        return replace(bare, expires_at=None, refresh_expires_at=None, attempts=0)._without_due()  # noqa: SLF001

    def _failure(
        self, error: GatehouseError, now: float, delay: float, count: int, *, outcome_unknown: bool = False
    ) -> Failure:
        holder = self.lease.holder if self.lease else ""
        return Failure(
            error.code,
            count,
            int(now),
            math.ceil(now + delay),
            holder,
            error.description,
            outcome_unknown,
            error.provider_error,
        )

    def _with_tokens(self, tokens: SealedTokens, at: int) -> Connection:
        return replace(
            self,
            sealed=tokens.sealed,
            token_type=tokens.token_type,
            refreshable=tokens.refreshable,
            expires_at=tokens.expires_at,
            refresh_at=tokens.refresh_at,
            refresh_expires_at=tokens.refresh_expires_at,
            due_shard=None if tokens.due_at is None else _shard(self.connection_id),
            due_at=tokens.due_at,
            scope=tokens.scope,
            subject=tokens.subject,
            metadata=tokens.metadata,
            refreshed_at=tokens.obtained_at,
            updated_at=at,
            attempts=0,
            revocation={},
            failure=None,
            lease=None,
        )

    def _without_due(self) -> Connection:
        return replace(self, refresh_at=None, due_shard=None, due_at=None)


def _shard(connection_id: str) -> str:
    """Return the shard of the `due` index that a connection lies in: spread evenly, and always the same."""
    return str(crc32(connection_id.encode()) % DUE_SHARDS)


def _delay(count: int, jitter: float, error: GatehouseError, longest: float = LONGEST_DELAY) -> float:
    """Return the seconds to leave the server alone after `count` failures.

    Exponential, jittered by a fifth, and never below what the server asked for in Retry-After.
    """
    exponential: float = min(FIRST_DELAY * 2 ** min(count - 1, 10), longest)
    return max(exponential * (0.8 + 0.4 * jitter), error.retry_after or 0)
