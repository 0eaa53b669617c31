"""A failure that is remembered: until when the server is left alone, and what all who share it are told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .errors import BY_CODE, ProviderUnavailable
from .record import record

if TYPE_CHECKING:
    from .errors import GatehouseError, ProviderError

FIRST_DELAY = 5.0
"""Seconds to leave a failing server alone after a first failure; doubled with each further one."""

LONGEST_DELAY = 300.0

LONGEST_REVOCATION_DELAY = 3600.0

SHARED_FOR = 5
"""Seconds after a failure in which all who ask are told the same wait: they asked together and get one answer."""


@record
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

    @classmethod
    def of(
        cls, error: GatehouseError, before: Failure | None, now: float, delay: float = 0.0, holder: str = ""
    ) -> Failure:
        """Return what is remembered of `error`, the next one after `before`; the server is left alone for `delay`."""
        return cls(
            error.code,
            next_count(before),
            int(now),
            math.ceil(now + delay),
            holder,
            error.description,
            isinstance(error, ProviderUnavailable) and error.outcome_unknown,
            error.provider_error,
        )

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


def next_count(before: Failure | None) -> int:
    """Return the number of a failure that follows `before`."""
    return before.count + 1 if before else 1


def delay_of(error: GatehouseError, count: int, jitter: float, longest: float = LONGEST_DELAY) -> float:
    """Return the seconds to leave the server alone after `count` failures.

    Exponential, jittered by a fifth, and never below what the server asked for in Retry-After.
    """
    exponential: float = min(FIRST_DELAY * 2 ** min(count - 1, 10), longest)
    return max(exponential * (0.8 + 0.4 * jitter), error.retry_after or 0)
