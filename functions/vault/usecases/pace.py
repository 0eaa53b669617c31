"""How fast a pass over all connections goes: KMS and the table serve callers at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing

DEFAULT_PER_SECOND = 20
"""Token sets in a second, at most, if the caller does not say."""


class Pace:
    """Holds the rate: so many token sets in a second, from the beginning of a call on."""

    def __init__(self, timing: Timing, deadline: Deadline, per_second: int) -> None:
        self._timing = timing
        self._deadline = deadline
        self._per_second = per_second
        self._began = deadline.remaining()
        self._done = 0

    def wait(self) -> None:
        """Pause until the next one may begin: a second at most."""
        passed = self._began - self._deadline.remaining()
        if (ahead := self._done / self._per_second - passed) > 0:
            self._timing.sleep(ahead)
        self._done += 1
