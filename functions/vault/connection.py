"""A connection and its life: one frozen type, whose named methods return the next state. Nobody else sets a status."""

from __future__ import annotations

import math
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .errors import ConfirmationRequired, ConnectionRevoked, ReauthorizationRequired
from .failure import Failure, delay_of, next_count
from .record import record
from .withdrawal import Withdrawal

if TYPE_CHECKING:
    from .errors import GatehouseError
    from .tokens import SealedTokens
    from .withdrawal import Told

DUE_SHARDS = 16

MOST_TOLD = 20
"""Records of what servers said that a connection keeps, the latest."""

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


@record
class Lease:
    """The right to use the refresh token, and the journal entry of that use. It holds until `until` (Unix seconds).

    `attempt` numbers the uses of one token set. `interrupted_at` says that the one before never told how it ended, and
    since when that is known.
    """

    holder: str
    attempt: int
    until: int
    interrupted_at: int | None = None

    @property
    def is_after_an_interruption(self) -> bool:
        """Tell whether the outcome of an earlier attempt is unknown."""
        return self.interrupted_at is not None

    def is_live(self, now: float) -> bool:
        """Tell whether its holder may still be at work."""
        return now < self.until


@record
class Origin:
    """What a refreshed token set came from: the version whose refresh token was used, and the number of that use."""

    version: int
    attempt: int


@record
class Connection:
    """One connection as stored. Times are Unix seconds.

    `version` counts token sets; `sealed` holds the current one, `attempts` counts the uses of its refresh token.
    `refresh_at` is when the access token comes into its soft margin. `revocations` counts how often the connection was
    revoked; `withdrawals` are the token sets of which servers are yet to be told, and `revocation` is what servers said
    to those that they were told of since. `changes` counts writes: every write raises it, and is conditional on it.
    Background work is due at `due_at`: the grant's upkeep (`upkeep_at`) or telling a server (`tell_at`).
    """

    connection_id: str
    provider: str
    status: Status
    version: int
    created_at: int
    updated_at: int
    refreshed_at: int
    sealed: bytes | None = None
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
    requested_scope: str | None = None
    authorized_by: str | None = None
    authorized_at: int | None = None
    revocations: int = 0
    revocation: tuple[Told, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    changes: int = 0
    failure: Failure | None = None
    attempts: int = 0
    lease: Lease | None = None
    origin: Origin | None = None
    client_secret_used: str | None = None
    due_shard: str | None = None
    due_at: int | None = None
    upkeep_at: int | None = None
    tell_at: int | None = None

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
    def scope_changed(self) -> bool:
        """Tell whether the scope that is granted is another than was asked for (RFC 6749 section 3.3)."""
        if self.requested_scope is None or self.scope is None:
            return False
        return set(self.requested_scope.split()) != set(self.scope.split())

    @property
    def was_interrupted(self) -> bool:
        """Tell whether an attempt with the stored refresh token has an unknown outcome: it may have been used up."""
        before = self.lease is not None and self.lease.is_after_an_interruption
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
        before: Connection | None,
        authorized_by: str,
        owner: str | None,
        parameters: dict[str, str],
        tags: dict[str, str],
        requested_scope: str | None = None,
    ) -> Connection:
        """Return the connection that an authorization makes, or makes anew of the one `before`.

        Nothing of an earlier grant is left, but for the tokens of which a server is yet to be told.
        """
        at = int(now)
        bare = cls(
            connection_id,
            provider,
            Status.ACTIVE,
            version,
            before.created_at if before else at,
            at,
            at,
            owner=owner,
            parameters=parameters,
            tags=tags,
            requested_scope=requested_scope,
            authorized_by=authorized_by,
            authorized_at=tokens.obtained_at,
        )
        if before is not None:
            bare = replace(
                bare,
                revocations=before.revocations,
                revocation=before.revocation,
                withdrawals=before.withdrawals,
                changes=before.changes,
            )
        return bare._with_tokens(tokens, at)  # noqa: SLF001 - its own class; so below

    def leased(self, holder: str, until: float, now: float) -> Connection:
        """Return it with the lease in `holder`'s hand; a lease that was never released is an interrupted attempt."""
        attempt, interrupted_at = self.attempts + 1, None
        if self.lease is not None:
            known_since = self.lease.interrupted_at
            interrupted_at = int(now) if known_since is None else known_since
        lease = Lease(holder, attempt, math.ceil(until), interrupted_at)
        return replace(self, lease=lease, attempts=attempt, updated_at=int(now))._changed()  # noqa: SLF001

    def returned(self, now: float) -> Connection:
        """Return it after an attempt that sent nothing; what was unknown before it stays unknown."""
        assert self.lease is not None  # noqa: S101 - only a holder returns a lease
        before = replace(self.lease, until=0) if self.lease.is_after_an_interruption else None
        return replace(self, lease=before, updated_at=int(now))._changed()  # noqa: SLF001

    def released(self, now: float) -> Connection:
        """Return it without its lease: what its holder came to know is of a token set that is not the current one."""
        return replace(self, lease=None, updated_at=int(now))._changed()  # noqa: SLF001

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
        return replace(following._with_tokens(kept, int(now)), lease=others)  # noqa: SLF001

    def refresh_failed(self, error: GatehouseError, now: float, jitter: float) -> Connection:
        """Return it after an attempt that failed but did not kill the grant. `jitter` is from 0 to 1."""
        delay = delay_of(error, next_count(self.failure), jitter)
        failure = self._failure(error, now, delay)
        failure = replace(failure, outcome_unknown=failure.outcome_unknown or self.was_interrupted)
        upkeep_at = None if self.upkeep_at is None else max(self.upkeep_at, failure.retry_at)
        failed = replace(self, lease=None, updated_at=int(now), failure=failure, upkeep_at=upkeep_at)
        return failed._changed()  # noqa: SLF001

    def died(self, error: GatehouseError, now: float, *, after_loss: bool = False) -> Connection:
        """Return it with a dead grant, saying whether an interruption or the loss of an answer came before."""
        failure = self._failure(error, now)
        if self.was_interrupted or after_loss:
            failure = replace(failure, description=failure.description + _AFTER_AN_INTERRUPTION)
        dead = replace(self, status=Status.REAUTHORIZATION_REQUIRED, lease=None, updated_at=int(now), failure=failure)
        return replace(dead, refresh_at=None, upkeep_at=None)._changed()  # noqa: SLF001

    def revoking(self, now: float) -> Connection:
        """Return it ended here: nothing is vended any more, no refresh in flight can commit, the server is to be told.

        Whoever writes this tells the server next: its attempt has begun.
        """
        ended = replace(
            self,
            status=Status.REVOKING,
            revocations=self.revocations + 1,
            revocation=(),
            sealed=None,
            refreshable=False,
            attempts=0,
            lease=None,
            failure=None,
            expires_at=None,
            refresh_at=None,
            refresh_expires_at=None,
            upkeep_at=None,
        )
        if self.sealed is None:
            return ended._with_withdrawals(self.withdrawals, now)  # noqa: SLF001
        over = Withdrawal(self.sealed, self.provider, self.version, int(now), self.parameters, under_way=1)
        if self.status is Status.REAUTHORIZATION_REQUIRED:
            over = over.heard("grant", "dead", now)
        return ended._with_withdrawals((*self.withdrawals, over), now)  # noqa: SLF001

    def withdrawing(self, late: Withdrawal, now: float) -> Connection:
        """Return it with tokens that came back after it was revoked: vended to nobody, and revoked too."""
        for told in self.revocation:
            late = late.after(told, now)
        return self._with_withdrawals((*self.withdrawals, late), now)

    def withdrawal(self, sealed: bytes) -> Withdrawal | None:
        """Return the withdrawal of a sealed token set; None where the server has heard of it."""
        return next((withdrawal for withdrawal in self.withdrawals if withdrawal.sealed == sealed), None)

    def telling(self, withdrawal: Withdrawal, now: float) -> Connection:
        """Return it with what is known of a withdrawal now: an attempt has begun, or has failed."""
        following = (withdrawal if other.sealed == withdrawal.sealed else other for other in self.withdrawals)
        return self._with_withdrawals(tuple(following), now)

    def told(self, withdrawal: Withdrawal, now: float) -> Connection:
        """Return it after the server has heard of a withdrawal: the ciphertext goes, what it said stays."""
        told = withdrawal.told
        others = (other.after(told, now) for other in self.withdrawals if other.sealed != withdrawal.sealed)
        heard = replace(self, revocation=(*self.revocation, told)[-MOST_TOLD:])
        return heard._with_withdrawals(tuple(others), now)  # noqa: SLF001

    def _with_withdrawals(self, withdrawals: tuple[Withdrawal, ...], now: float) -> Connection:
        status, failure = self.status, self.failure
        if status in ENDED:
            status = Status.REVOKING if withdrawals else Status.REVOKED
            failure = next((each.failure for each in withdrawals if each.failure), None)
        changed = replace(self, status=status, failure=failure, withdrawals=withdrawals, updated_at=int(now))
        return changed._changed()  # noqa: SLF001

    def _failure(self, error: GatehouseError, now: float, delay: float = 0.0) -> Failure:
        return Failure.of(error, self.failure, now, delay, self.lease.holder if self.lease else "")

    def _with_tokens(self, tokens: SealedTokens, at: int) -> Connection:
        following = replace(
            self,
            sealed=tokens.sealed,
            token_type=tokens.token_type,
            refreshable=tokens.refreshable,
            expires_at=tokens.expires_at,
            refresh_at=tokens.refresh_at,
            refresh_expires_at=tokens.refresh_expires_at,
            upkeep_at=tokens.due_at,
            scope=tokens.scope,
            subject=tokens.subject,
            metadata=tokens.metadata,
            client_secret_used=tokens.client_secret_used,
            refreshed_at=tokens.obtained_at,
            updated_at=at,
            attempts=0,
            failure=None,
            lease=None,
        )
        return following._changed()  # noqa: SLF001

    def _changed(self) -> Connection:
        """Return it as it is written next: counted, and due at what comes first of its background work."""
        tell_at = min((withdrawal.due_at for withdrawal in self.withdrawals), default=None)
        due_at = min((at for at in (self.upkeep_at, tell_at) if at is not None), default=None)
        shard = None if due_at is None else _shard(self.connection_id)
        return replace(self, changes=self.changes + 1, tell_at=tell_at, due_at=due_at, due_shard=shard)


def _shard(connection_id: str) -> str:
    """Return the shard of the `due` index that a connection lies in: spread evenly, and always the same."""
    return str(crc32(connection_id.encode()) % DUE_SHARDS)
