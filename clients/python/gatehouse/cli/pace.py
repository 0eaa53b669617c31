"""How fast the rows of one provider are imported, and what ends them before the last.

A provider is left alone as long as it wants to be, if that is no longer than somebody waits for. What shows that the
rest would fail like the rows before it ends the provider's rows: a refresh that goes wrong can cost a grant.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PAUSE = 300
"""Seconds for which an import waits for a provider. If that wants to be left alone for longer, its rows have ended."""
MOST_REFUSALS = 3
"""Grants that are refused, one after another, before any is proved: then it is the registration, or the whole file.

Once one is proved, as many in a row show that the registration is not right any more.
"""
_GLANCE = 0.5
"""Seconds between two looks of who waits, at whether there is still something to wait for."""


@dataclass(frozen=True)
class Stop:
    """Why the rest of a provider's rows is not tried: an error code of Gatehouse's, and what it is in words."""

    error: str
    description: str


class Pace:
    """How often one provider is asked: so many calls a second, none while it is left alone, and none once it `stop`s.

    It `is_on_trial` until a grant is proved: so long only one at a time is at stake.
    """

    def __init__(self, per_second: float | None, ended: threading.Event) -> None:
        self.stop: Stop | None = None
        self.is_on_trial = True
        self._gap = 1 / per_second if per_second else 0.0
        self._ended = ended
        self._lock = threading.Lock()
        self._trial = threading.Lock()
        self._next = 0.0
        self._alone_until = 0.0
        self._refusals = 0
        self._in_vain = 0

    @contextmanager
    def turn(self, *, proves: bool) -> Iterator[bool]:
        """Wait for the turn of a row, and give whether it has one. What `proves` a grant is alone in a trial."""
        is_alone = proves and self._is_alone()
        try:
            yield self._wait()
        finally:
            if is_alone:
                self._trial.release()

    def _is_alone(self) -> bool:
        while self.is_on_trial and not self._has_ended:
            if self._trial.acquire(timeout=_GLANCE):
                return True
        return False

    def _wait(self) -> bool:
        """Wait until it is time for another call; return False if there is to be none."""
        while not self._has_ended:
            with self._lock:
                begins = max(self._next, self._alone_until, time.monotonic())
                self._next = begins + self._gap
            while (left := begins - time.monotonic()) > 0 and not self._has_ended:
                self._ended.wait(min(left, _GLANCE))
            if begins >= self._alone_until:
                break
            # Meanwhile another row has shown that the provider is to be left alone.
        return not self._has_ended

    @property
    def _has_ended(self) -> bool:
        return self.stop is not None or self._ended.is_set()

    def pause(self, seconds: float) -> None:
        """Leave the provider alone for so long."""
        with self._lock:
            self._alone_until = max(self._alone_until, time.monotonic() + seconds)

    def end(self, stop: Stop) -> None:
        """Let there be no more calls. What was said first stays."""
        with self._lock:
            self.stop = self.stop or stop

    def proved(self) -> None:
        """Note that the provider has taken a grant: who is refused from now on is alone with that."""
        with self._lock:
            self.is_on_trial = False
            self._in_vain = 0

    def refused(self) -> bool:
        """Note that a grant was sent and refused; return whether these are too many without one that is proved."""
        with self._lock:
            self._refusals += 1
            return self.is_on_trial and self._refusals >= MOST_REFUSALS

    def is_misconfigured(self) -> bool:
        """Note that a grant has met a wrong registration; return whether it is wrong for all.

        Once one is proved it may be the tenant of that one, like a shop that is closed.
        """
        with self._lock:
            self._in_vain += 1
            return self.is_on_trial or self._in_vain >= MOST_REFUSALS
