"""Time: the clock that stored times are compared with, what is left of the caller's time, and how long things take."""

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
"""Seconds for which a vended access token is valid at least, if the caller does not say."""

CALL = 6.5
"""Seconds that one call to AWS takes at most: two attempts by `aws`, and the pause between them."""

RESERVE = 2 * CALL + 1
"""Seconds of a call's time that are kept for storing an answer: a write and, if that fails, the queue."""

AFTER_HTTP = 8.0
"""Seconds of a lease that are kept for the commit: a request ends that long before its lease."""

LONGEST_CALL = 30.0
"""Seconds that a call with a refresh may take: the API waits no longer."""

LEASE_MARGIN = 3.0
"""Seconds that a lease outlives its holder's time: clocks differ by two at most."""

SETTLE = 4.0
"""Seconds that a rescue has before the refresh token of an interrupted attempt is sent again."""

RESCUED_WITHIN = 220.0
"""Seconds after an interruption was noticed in which its refresh token is not sent again while the rescue queue holds
any response: longer than a message stays hidden if its rescuer dies. This is for who needs the token now."""

QUEUE_SPEAKS_FOR = 3600
"""Seconds in which what can wait is put off while the rescue queue holds any response: a refresh in the background,
after an interruption was noticed, and a second look, after the refusal."""

SHORTEST_REQUEST = 1.0
"""Seconds without which no request to an authorization server is begun."""

SLOT_WAIT = 5.0
"""Seconds that a caller waits for a slot of the provider, at most. Background work does not wait."""

SLOT_MARGIN = 3.0
"""Seconds that a slot is held past its request's own deadline: a server may be at work on it that long, and clocks
differ by two at most."""


@record
class Deadline:
    """When the caller's time is up. `remaining` returns the seconds left of real time, whatever the records go by."""

    remaining: Callable[[], float]

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that is `seconds` away."""
        ends_at = time.monotonic() + seconds
        return cls(lambda: ends_at - time.monotonic())

    def for_http(self, request_timeout: float) -> float:
        """Return the seconds that a request may take; raise `TemporarilyUnavailable` if too few are left for one."""
        seconds = min(request_timeout, self.remaining() - RESERVE)
        if seconds < SHORTEST_REQUEST:
            raise TemporarilyUnavailable(
                "Too little of this call's time is left to ask the authorization server: try again.", retry_after=1
            )
        return seconds

    def for_lease(self) -> float:
        """Return the seconds that a lease is taken for. It outlives its holder: Lambda ends that first in any case.

        A lease that only outlived the request would lapse while its holder is still storing the answer, and the next
        holder would send the same refresh token.
        """
        return min(self.remaining(), LONGEST_CALL) + LEASE_MARGIN


_PUT_OFF_FOR = 60.0, 300.0
"""Seconds until background work that was put off is due again, from and to: soon, and not all of it at once."""

NEVER = Deadline(lambda: math.inf)
"""The deadline of a call that has no end."""

TOLERATED = 2.0
"""Seconds that a clock may be off: the table gives the time in whole seconds, and its answer takes a while."""

FURTHEST_OFF = 900.0
"""Seconds that a clock can be off at most: AWS refuses requests that are signed by one further off (SigV4)."""


class SharedClock:
    """The time by the table's clock, which all functions share: one compares with what another wrote (a lease, mostly).

    It is the process's `own` clock, corrected by the `Date` of the table's latest answer if it is off.
    """

    def __init__(self, own: Callable[[], float]) -> None:
        self._own = own
        self._off = 0.0

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._own() + self._off

    def correct_by(self, date: str | None) -> None:
        """Correct the clock by the `Date` header of an answer that has just come in; anything else changes nothing."""
        try:
            date_time = parsedate_to_datetime(date or "").timestamp() + 0.5
        except ValueError:
            return
        off = date_time - self._own()
        # With a clock that is off by hours the request would have been refused: then it is the header that is wrong.
        self._off = off if TOLERATED < abs(off) <= FURTHEST_OFF else 0.0


@record
class Timing:
    """A clock (Unix seconds), a sleep (seconds) and a source of jitter (0 to 1); tests pass their own."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def put_off_until(self) -> int:
        """Return when background work is due again that cannot be done now (Unix seconds)."""
        earliest, latest = _PUT_OFF_FOR
        return int(self.now() + earliest + (latest - earliest) * self.jitter())
