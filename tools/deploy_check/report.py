"""What a person reads while the check runs: one line a step, with what was seen and the seconds that it took."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class Wrong(Exception):
    """Something does not hold; the text says what was expected and what was there instead."""


class Report:
    """Prints as the check goes on, and remembers what does not hold."""

    def __init__(self) -> None:
        """Start with nothing to complain of."""
        self.failures: list[str] = []

    def part(self, heading: str) -> _Part:
        """Print a heading. What goes wrong below it is noted, and the next part has its turn."""
        print(f"\n{heading}", flush=True)
        return _Part(self, heading)

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Print a step: its title when it begins; when it ends, what was put into the list, and how long it took."""
        print(f"  {title} ... ", end="", flush=True)
        began = time.monotonic()
        seen: list[str] = []
        try:
            yield seen
        except Wrong as wrong:
            print(f"DOES NOT HOLD ({time.monotonic() - began:.1f} s)\n    {wrong}", flush=True)
            raise
        print(f"{'; '.join(seen) or 'done'} ({time.monotonic() - began:.1f} s)", flush=True)


class _Part(AbstractContextManager["_Part", bool]):
    """Some steps that build upon each other."""

    def __init__(self, report: Report, heading: str) -> None:
        self._report = report
        self._heading = heading

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Note what is wrong; any other exception goes on."""
        if isinstance(error, Wrong):
            self._report.failures.append(f"{self._heading}: {error}")
        return isinstance(error, Wrong)


def expect(holds: object, wrong: str) -> None:
    """Raise ``Wrong`` with this text, unless it holds."""
    if not holds:
        raise Wrong(wrong)
