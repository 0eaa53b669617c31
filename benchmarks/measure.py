"""Measuring fairly on a machine that is not: two things run in turn, and what counts is the median of their ratios."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAIRS = 20
"""Interleaved pairs behind each figure, unless it says so; never fewer."""


@dataclass(frozen=True)
class Compared:
    """Two series that were measured in turn, in seconds."""

    ours: Sequence[float]
    other: Sequence[float]

    @property
    def ratio(self) -> float:
        """Return the median of the pairs' ratios."""
        return median(a / b for a, b in zip(self.ours, self.other, strict=True))

    @property
    def spread(self) -> tuple[float, float]:
        """Return the quartiles of the pairs' ratios."""
        ratios = sorted(a / b for a, b in zip(self.ours, self.other, strict=True))
        return ratios[len(ratios) // 4], ratios[-(len(ratios) // 4) - 1]

    @property
    def ours_ms(self) -> float:
        """Return our median in milliseconds."""
        return median(self.ours) * 1000

    @property
    def other_ms(self) -> float:
        """Return the other's median in milliseconds."""
        return median(self.other) * 1000


def in_turn(ours: Callable[[], float], other: Callable[[], float], pairs: int = PAIRS) -> Compared:
    """Measure two things in turn, after one run of each that is not counted."""
    ours(), other()
    measured = [(ours(), other()) for _ in range(pairs)]
    return Compared([a for a, _ in measured], [b for _, b in measured])


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def linked(source: Path, folder: Path) -> Path:
    """Fill a folder with hard links to all of another, and return it."""
    shutil.copytree(source, folder, copy_function=lambda a, b: Path(b).hardlink_to(a), symlinks=True)
    return folder
