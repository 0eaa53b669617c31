"""A failure that is remembered: until when nobody asks the server, and the error that everybody gets meanwhile."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import BY_CODE, LastingRefusal, ProviderUnavailable, UnknownRefusal
from functions.vault.base.record import record

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError

FIRST_DELAY = 5.0
"""Seconds without a request after a first failure; doubled with each further one."""

LONGEST_DELAY = 300.0
"""Seconds without a request after any failure of a refresh."""

LONGEST_REVOCATION_DELAY = 3600.0
"""Seconds without a request after any failed attempt to revoke a token set."""

SHARED_FOR = 5
"""Seconds after a failure in which everybody gets the same `retry_after`: they asked together and get one answer."""

LASTS_AFTER = 86400
"""Seconds after which a refusal for an unknown reason is not expected to pass any more."""

LASTS_FOR = 10
"""Times that it must have been met by then."""


@record
class Failure:
    """The last failure, kept until a success. Times are Unix seconds; `holder` is the attempt that it ended.

    Nobody asks the server before `retry_at`. Before `not_before` not even a caller that needs a token does: the server
    has named that time, or may still be at work.
    `pauses` numbers the pauses since they began to grow. `needed_since` is when a caller first went without a token
    because of this. `unknown` counts refusals for an unknown reason, since `unknown_since`.
    """

    code: str
    count: int
    at: int
    retry_at: int
    holder: str
    description: str
    outcome_unknown: bool = False
    provider_error: ProviderError | None = None
    not_before: int | None = None
    pauses: int = 0
    needed_since: int | None = None
    unknown: int = 0
    unknown_since: int | None = None

    @classmethod
    def of(  # noqa: PLR0913 - a failure, and what it was one of
        cls,
        error: GatehouseError,
        before: Failure | None,
        now: float,
        jitter: float | None = None,
        holder: str = "",
        *,
        longest: float = LONGEST_DELAY,
        needed: bool = False,
    ) -> Failure:
        """Return what is remembered of `error`, the next one after `before`.

        The pause until the next request is spread by `jitter` (0 to 1); without one there is no pause. `needed`: the
        caller has no token that will do. Pauses that grew before anybody needed a refresh do not count then.
        """
        is_first = before is None or (needed and before.needed_since is None)
        pauses = 1 if is_first or before is None else (before.pauses or before.count) + 1
        is_unknown = isinstance(error, UnknownRefusal | LastingRefusal)
        named = error.retry_after if error.provider_error is not None else None
        delay = 0.0 if jitter is None else max(_delay_of(pauses, jitter, longest), error.retry_after or 0)
        return cls(
            error.code,
            before.count + 1 if before else 1,
            int(now),
            math.ceil(now + delay),
            holder,
            error.description,
            isinstance(error, ProviderUnavailable) and error.outcome_unknown,
            error.provider_error,
            None if named is None else math.ceil(now + named),
            pauses,
            (before.needed_since if before else None) or (int(now) if needed else None),
            (before.unknown if before else 0) + is_unknown,
            (before.unknown_since if before else None) or (int(now) if is_unknown else None),
        )

    @property
    def lasts(self) -> bool:
        """Return whether a refusal for an unknown reason was met for so long, and so often, that it will not pass."""
        return self.unknown >= LASTS_FOR and self.at >= (self.unknown_since or self.at) + LASTS_AFTER

    def with_no_request_before(self, at: int) -> Failure:
        """Return it with a time before which nobody asks the server."""
        return replace(self, retry_at=max(self.retry_at, at), not_before=max(self.not_before or at, at))

    def in_force_until(self, *, needed: bool, was_needed: bool) -> int:
        """Return until when the server is not asked, for a caller that needs a refresh or one that could do without.

        An optional refresh never stands in the way of a needed one. If a refresh is `needed` now and was not when this
        failed (`was_needed`), the pause is over, unless the server has named it or may still be at work.
        """
        if needed and (self.needed_since is None or not was_needed):
            return self.not_before or self.at
        return self.retry_at

    def as_error(self, connection_id: str, now: float) -> GatehouseError:
        """Return the error for a caller that meets the failure, and may try again at `retry_at`."""
        error = BY_CODE[self.code](self.description, connection_id=connection_id, provider_error=self.provider_error)
        if error.retryable:
            remaining = self.retry_at - (self.at if now < self.at + SHARED_FOR else now)
            error.retry_after = max(1, math.ceil(remaining))
        error.asked_at = self.at
        return error


def _delay_of(pauses: int, jitter: float, longest: float) -> float:
    """Return the seconds of the pause with that number: exponential, and jittered by a fifth."""
    exponential: float = min(FIRST_DELAY * 2 ** min(pauses - 1, 10), longest)
    return exponential * (0.8 + 0.4 * jitter)
