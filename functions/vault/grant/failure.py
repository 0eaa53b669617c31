"""A failure that is remembered: until when the server is left alone, and what all who share it are told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import BY_CODE, LastingRefusal, ProviderUnavailable, UnknownRefusal
from functions.vault.base.record import record

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError, ProviderError

FIRST_DELAY = 5.0
"""Seconds to leave a failing server alone after a first failure; doubled with each further one."""

LONGEST_DELAY = 300.0

LONGEST_REVOCATION_DELAY = 3600.0

SHARED_FOR = 5
"""Seconds after a failure in which all who ask are told the same wait: they asked together and get one answer."""


LASTS_AFTER = 86400
"""Seconds after which a refusal that nobody knows is not taken for a passing one any more."""

LASTS_FOR = 10
"""Times that it has to have been met by then."""


@record
class Failure:
    """The last failure, kept until a success. Times are Unix seconds; `holder` is the attempt that it ended.

    The server is left alone until `retry_at`; until `not_before` also by who needs a token, since it said so itself, or
    may be at work still. `pauses` numbers the pause, since they began to grow. `needed_since` is when somebody first
    had no token for it. `unknown` counts refusals that nobody knows, since `unknown_since`.
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

        The server is left alone for a while, which is spread by `jitter` (0 to 1); not without one. `needed`: who asked
        has no token that will do. What grew before anybody needed a refresh does not count for that.
        """
        begins_anew = before is None or (needed and before.needed_since is None)
        pauses = 1 if begins_anew or before is None else (before.pauses or before.count) + 1
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
        """Tell whether a refusal that nobody knows has gone on for so long, and so often, that it will not pass."""
        return self.unknown >= LASTS_FOR and self.at >= (self.unknown_since or self.at) + LASTS_AFTER

    def with_no_request_before(self, at: int) -> Failure:
        """Return it with a time until which the server is left alone by everybody."""
        return replace(self, retry_at=max(self.retry_at, at), not_before=max(self.not_before or at, at))

    def in_force_until(self, *, needed: bool, was_needed: bool) -> int:
        """Return until when the server is left alone by one who needs a refresh, or to whom it is an offer.

        An offer never stands in the way of a need: for who needs a refresh, and did not yet as this failed
        (`was_needed`), the pause is over, unless there is more to it than that it has failed.
        """
        if needed and (self.needed_since is None or not was_needed):
            return self.not_before or self.at
        return self.retry_at

    def as_error(self, connection_id: str, now: float, until: int | None = None) -> GatehouseError:
        """Return the failure for one who shares it, and may come again at `until`; by default when all may."""
        error = BY_CODE[self.code](self.description, connection_id=connection_id, provider_error=self.provider_error)
        if error.retryable:
            remaining = (until or self.retry_at) - (self.at if now < self.at + SHARED_FOR else now)
            error.retry_after = max(1, math.ceil(remaining))
        return error


def _delay_of(pauses: int, jitter: float, longest: float) -> float:
    """Return the seconds of the pause with that number: exponential, and jittered by a fifth."""
    exponential: float = min(FIRST_DELAY * 2 ** min(pauses - 1, 10), longest)
    return exponential * (0.8 + 0.4 * jitter)
