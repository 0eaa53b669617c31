"""`python -m tests.torture.outages`: every outage of `outage_cases`, and what became of the token."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.torture.outage_cases import ASLEEP, CASES, ON_THE_WIRE
from tests.torture.scene import running_scene
from tests.torture.stories import LOST, REPLAYED

if TYPE_CHECKING:
    from tests.torture.outage_cases import Case
    from tests.torture.scene import Scene
    from tests.torture.stories import Fate


@dataclass
class Figures:
    """What the cases came to."""

    fates: dict[str, Fate] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Return how often each word is the outcome, and what was counted beside."""
        return Counter(fate.word for fate in self.fates.values()) + sum(
            (fate.counts for fate in self.fates.values()), Counter()
        )

    @property
    def violations(self) -> list[str]:
        """Return what must not be, each with its case."""
        return [f"{name}: {violation}" for name, fate in self.fates.items() for violation in fate.violations]


def explore(scene: Scene, cases: tuple[Case, ...] = CASES) -> Figures:
    """Play each case."""
    return Figures({case.name: case.play(scene) for case in cases})


def rows(figures: Figures) -> list[str]:
    """Return the table."""
    return [f"  {name:<68} {fate.word:<17} {fate.why}" for name, fate in figures.fates.items()]


def run() -> list[str]:
    """Play them all, and return the table. Raises `AssertionError` with the violations."""
    began = time.monotonic()
    with running_scene() as scene:
        figures = explore(scene)
    counts = figures.counts
    lines = [
        *rows(figures),
        f"{len(figures.fates)} outages, {len(figures.violations)} violations, {time.monotonic() - began:.0f} s",
        f"tokens lost {counts[LOST]}, resurrections {counts['resurrections']}",
        f"lost on the wire {counts[ON_THE_WIRE]}, saved by a replay window {counts[REPLAYED]}",
        f"sent twice by who was stopped for longer than its lease: {counts[ASLEEP]}",
    ]
    assert not figures.violations, "\n".join([*lines, *figures.violations])
    return lines


def main() -> int:
    """Print the table; return 0 if everything held."""
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)  # a line for each call of thousands helps nobody
    try:
        lines = run()
    except AssertionError as violated:
        sys.stdout.write(f"{violated}\n")
        return 1
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
