"""Time, as the use cases see it: a clock to compare with what is stored, and what is left of the caller's time."""

from __future__ import annotations

import math
import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from .errors import TemporarilyUnavailable
from .record import record

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MIN_TTL = 60
"""Seconds for which a vended access token is valid, where the caller does not say."""

CALL = 6.5
"""Seconds that one call to AWS takes at the worst: two tries of `aws`, and the pause between them."""

RESERVE = 2 * CALL + 1
"""Seconds of a call's time that are kept for storing what came of HTTP: a write, and where that fails, the queue."""

AFTER_HTTP = 8.0
"""Seconds of a lease for what comes after the request, the commit: a request ends so long before its lease."""

LONGEST_CALL = 30.0
"""Seconds that a call which refreshes may take: the API waits for no longer."""

LEASE_MARGIN = 3.0
"""Seconds that a lease outlives its holder's time: clocks are together within two."""

SETTLE = 4.0
"""Seconds that a rescue gets to come in first, before the refresh token of an interrupted attempt is sent again."""

RESCUED_WITHIN = 220.0
"""Seconds after an interruption was noticed in which its refresh token is not sent again while the rescue queue holds a
response, be it another's: longer than a message stays hidden whose rescuer has died."""

SHORTEST_REQUEST = 1.0

SLOT_WAIT = 5.0
"""Seconds that a caller waits for a slot of the provider, at the most. Background work does not."""

SLOT_MARGIN = 3.0
"""Seconds that a slot is held past its request's own deadline: a server may be at work on it that long, and clocks are
together within two."""


@record
class Deadline:
    """When the caller's time is up. `remaining` gives the seconds left; real time, whatever clock the records go by."""

    remaining: Callable[[], float]

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that is `seconds` away."""
        ends_at = time.monotonic() + seconds
        return cls(lambda: ends_at - time.monotonic())

    def for_http(self, request_timeout: float) -> float:
        """Return the seconds that a request may take; raise `TemporarilyUnavailable` where too few are left for one."""
        seconds = min(request_timeout, self.remaining() - RESERVE)
        if seconds < SHORTEST_REQUEST:
            raise TemporarilyUnavailable(
                "Too little of this call's time is left to ask the authorization server: try again.", retry_after=1
            )
        return seconds

    def for_lease(self) -> float:
        """Return the seconds that a lease is taken for: Lambda ends its holder before, whatever keeps that so long.

        A lease that only outlived the request would lapse under a holder that is slow to store its answer, and the
        next one would send the same refresh token.
        """
        return min(self.remaining(), LONGEST_CALL) + LEASE_MARGIN


_PUT_OFF_FOR = 60.0, 300.0
"""Seconds until background work that got no slot is due again: soon, and not all of it at once."""

NEVER = Deadline(lambda: math.inf)
"""The deadline of who has all the time there is."""

TOLERATED = 2.0
"""Seconds that a clock may be off: the table tells the time in whole seconds, and its answer takes a while."""

FURTHEST_OFF = 900.0
"""Seconds that a clock can be off at the most: AWS takes no request that is signed by one further off (SigV4)."""


class SharedClock:
    """The time as the table tells it: what one function writes there (a lease, above all) another compares with.

    The clock is the process's `own`, put right by the `Date` of the table's latest answer where it is off.
    """

    def __init__(self, own: Callable[[], float]) -> None:
        self._own = own
        self._off = 0.0

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._own() + self._off

    def correct_by(self, date: str | None) -> None:
        """Take the `Date` header of an answer that has just come in; what is none changes nothing."""
        try:
            told = parsedate_to_datetime(date or "").timestamp() + 0.5
        except ValueError:
            return
        off = told - self._own()
        # With a clock that is off by hours the request would have been refused: it is the answer's that is odd.
        self._off = off if TOLERATED < abs(off) <= FURTHEST_OFF else 0.0


@record
class Timing:
    """A clock (Unix seconds), a sleep (seconds) and a source of jitter (0 to 1); tests pass their own."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def after_no_slot(self) -> int:
        """Return when background work that got no slot now is due again (Unix seconds)."""
        earliest, latest = _PUT_OFF_FOR
        return int(self.now() + earliest + (latest - earliest) * self.jitter())
