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
    from .tokens import TokenResponse

FIRST_DELAY = 5.0
"""Seconds to leave a failing server alone after a first failure; doubled with each further one."""

LONGEST_DELAY = 300.0

SHARED_FOR = 5
"""Seconds after a failure in which all who ask are told the same wait: they asked together and get one answer."""

DUE_SHARDS = 16


class Status(StrEnum):
    """Where a connection stands."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    REVOKING = "revoking"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use the refresh token, and the journal entry of that use. It holds until `until` (Unix seconds).

    `attempt` counts the holders since the last known outcome: above 1, an attempt was interrupted before.
    """

    holder: str
    attempt: int
    until: int

    def is_live(self, now: float) -> bool:
        """Tell whether its holder may still be at work."""
        return now < self.until


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

    `version` counts token sets; `sealed` holds the current one. `refresh_at` is when the access token comes into its
    soft margin, `due_at` when background work on the record is due.
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
    failure: Failure | None = None
    lease: Lease | None = None
    due_shard: str | None = None
    due_at: int | None = None

    # What may be done with it

    def require_vendable(self) -> None:
        """Raise the failure that says why this connection has no token to give, where it has none."""
        about = self.connection_id
        if self.status in {Status.REVOKING, Status.REVOKED}:
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
        after_another = self.lease is not None and self.lease.attempt > 1
        return after_another or (self.failure is not None and self.failure.outcome_unknown)

    # What can happen to it

    @classmethod
    def authorized(  # noqa: PLR0913 - one argument for each thing that an authorization brings
        cls,
        connection_id: str,
        provider: str,
        version: int,
        response: TokenResponse,
        sealed: bytes,
        *,
        now: float,
        margin: int,
        authorized_by: str,
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
            at,
            at,
            at,
            owner=owner,
            parameters=parameters,
            tags=tags,
            authorized_by=authorized_by,
        )
        return bare._with_tokens(response, sealed, at, margin)

    def leased(self, holder: str, until: float, now: float) -> Connection:
        """Return it with the lease in `holder`'s hand; over a lapsed, never released one this is a further attempt."""
        attempt = self.lease.attempt + 1 if self.lease is not None else 1
        return replace(self, lease=Lease(holder, attempt, math.ceil(until)), updated_at=int(now))

    def refreshed(self, response: TokenResponse, sealed: bytes, now: float, margin: int) -> Connection:
        """Return it with its next token set; what the response is silent about stays (RFC 6749 section 6)."""
        kept = replace(
            response,
            scope=response.scope or self.scope,
            subject=response.subject or self.subject,
            metadata={**self.metadata, **response.metadata},
            refresh_expires_at=response.refresh_expires_at or self.refresh_expires_at,
        )
        next_one = replace(self, version=self.version + 1)
        return next_one._with_tokens(kept, sealed, int(now), margin)  # noqa: SLF001 - its own class; so below

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float) -> Connection:
        """Return it after an attempt that failed but did not kill the grant. `jitter` is from 0 to 1."""
        count = self.failure.count + 1 if self.failure else 1
        delay = _delay(count, jitter, error)
        unknown = isinstance(error, ProviderUnavailable) and error.outcome_unknown
        return replace(
            self,
            lease=None,
            updated_at=int(now),
            failure=self._failure(error, now, delay, count, outcome_unknown=unknown or self.was_interrupted),
        )

    def died(self, error: GatehouseError, now: float) -> Connection:
        """Return it with a dead grant, saying whether an interruption preceded that."""
        if self.was_interrupted:
            error.description += (
                " An earlier refresh was interrupted before its answer arrived;"
                " the server may have replaced the refresh token then."
            )
        failure = self._failure(error, now, 0, (self.failure.count if self.failure else 0) + 1)
        dead = replace(self, status=Status.REAUTHORIZATION_REQUIRED, lease=None, updated_at=int(now), failure=failure)
        return dead._without_due()  # noqa: SLF001

    def revoking(self, now: float) -> Connection:
        """Return it ended here: nothing is vended any more, and no refresh in flight can commit."""
        ended = replace(self, status=Status.REVOKING, lease=None, updated_at=int(now))
        return replace(ended, due_shard=_shard(self.connection_id), due_at=int(now))

    def revocation_failed(self, error: GatehouseError, now: float, jitter: float) -> Connection:
        """Return it still revoking, after the server could not be told."""
        count = self.failure.count + 1 if self.failure else 1
        delay = _delay(count, jitter, error)
        failed = replace(self, updated_at=int(now), failure=self._failure(error, now, delay, count))
        return replace(failed, due_at=math.ceil(now + delay))

    def revoked(self, now: float) -> Connection:
        """Return it with its grant ended at the server too, and no ciphertext."""
        bare = replace(
            self, status=Status.REVOKED, sealed=None, refreshable=False, failure=None, lease=None, updated_at=int(now)
        )
        return replace(bare, expires_at=None, refresh_expires_at=None)._without_due()  # noqa: SLF001

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

    def _with_tokens(self, response: TokenResponse, sealed: bytes, at: int, margin: int) -> Connection:
        held = replace(
            self,
            sealed=sealed,
            token_type=response.token_type,
            expires_at=response.expires_at,
            refresh_expires_at=response.refresh_expires_at,
            refreshable=response.tokens.refresh_token is not None,
            scope=response.scope,
            subject=response.subject,
            metadata=response.metadata,
            refreshed_at=at,
            updated_at=at,
            failure=None,
            lease=None,
        )
        if not held.refreshable or held.expires_at is None:
            return held._without_due()  # noqa: SLF001
        # The margin is at most a quarter of the token's life: one that lives a minute is not due when it is born.
        due = held.expires_at - min(margin, (held.expires_at - at) // 4)
        return replace(held, refresh_at=due, due_shard=_shard(self.connection_id), due_at=due)

    def _without_due(self) -> Connection:
        return replace(self, refresh_at=None, due_shard=None, due_at=None)


def _shard(connection_id: str) -> str:
    """Return the shard of the `due` index that a connection lies in: spread evenly, and always the same."""
    return str(crc32(connection_id.encode()) % DUE_SHARDS)


def _delay(count: int, jitter: float, error: GatehouseError) -> float:
    """Return the seconds to leave the server alone after `count` failures.

    Exponential, jittered by a fifth, never below Retry-After.
    """
    exponential: float = min(FIRST_DELAY * 2 ** min(count - 1, 10), LONGEST_DELAY)
    return max(exponential * (0.8 + 0.4 * jitter), error.retry_after or 0)
