"""A clock that can be moved forward."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """The real time plus an offset that only grows; the functions and the demo authorization server share one.

    Time goes forward alone: a clock turned back would bring used codes and expired tokens to life, which no
    deployed stack can do.
    """

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._offset = 0.0
        self._lock = threading.Lock()

    @property
    def offset(self) -> float:
        """Seconds by which this clock is ahead of the real one."""
        return self._offset

    def now(self) -> float:
        """Unix time in seconds."""
        return self._real() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward; a negative number is a ``ValueError``."""
        if not seconds >= 0:
            raise ValueError("a clock is only moved forward")
        with self._lock:
            self._offset += seconds
