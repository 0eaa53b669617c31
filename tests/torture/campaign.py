"""Many histories on all cores, and what came of them."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.torture.families import BY_NAME, Casts
from tests.torture.mutants import FAMILY_OF, MUTANTS
from tests.torture.runner import by_seed, exhaustively
from tests.torture.scenarios import SMALL, Scenario

if TYPE_CHECKING:
    from tests.torture.rows import Row

BATCH = 200
MOST = 50_000
"""Histories after which the search of one scenario would stop: none comes near it."""

ENOUGH_FOR_A_MUTANT = 1500


NOTICED_AT = {
    "the look: after an attempt before the refused one": 475,
    "the look: while the rescue queue holds an answer": 179,
}
"""Where mutants were noticed that take many histories: looking there first saves time. Any change of what is done may
move them; then they are looked for as all others are, and are to be written down here again."""


@dataclass
class Tally:
    """What came of some histories. `failed` names those with a violation: how to replay each, and what it was."""

    histories: int = 0
    steps: int = 0
    longest: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    rows: set[Row] = field(default_factory=set)
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what came of others."""
        self.histories += other.histories
        self.steps += other.steps
        self.longest = max(self.longest, other.longest)
        self.counts += other.counts
        self.rows |= other.rows
        self.failed += other.failed


def chance(first: int, last: int, name: str | None = None) -> Tally:
    """Play the histories of the seeds from `first` to before `last`, all of one scenario or family if it is named."""
    tally = Tally()
    of_it = f"--scenario '{name}' " if name else ""
    for seed in range(first, last):
        result = by_seed(seed, BY_NAME[name] if name else None)
        failed = [(f"{of_it}--seed {seed}", v) for v in result.violations]
        tally.add(Tally(1, result.steps, result.steps, result.counts, result.rows, failed))
    return tally


def search(name: str, preempts: int, faults: int) -> Tally:
    """Play every history of one small scenario within these bounds."""
    tally, scenario = Tally(), BY_NAME[name]
    assert isinstance(scenario, Scenario)
    for script, result in exhaustively(scenario, preempts=preempts, faults=faults, most=MOST):
        replay = f"--scenario '{name}' --bounds {preempts},{faults} --script {','.join(map(str, script))}"
        failed = [(replay, v) for v in result.violations]
        tally.add(Tally(1, result.steps, result.steps, result.counts, result.rows, failed))
    if tally.histories == MOST:
        tally.failed.append((f"--scenario '{name}'", "the search did not come to its end"))
    return tally


def hunt(name: str, most: int = ENOUGH_FOR_A_MUTANT) -> tuple[int, str] | None:
    """Return a seed in whose history a mutant is noticed, and by what; None if it never is.

    The seed in `NOTICED_AT` comes first, then all from 0 on. An exception does not count, it may be the mutant's own;
    nor does a history in which the sound code fails too.
    """
    first = [NOTICED_AT[name]] if name in NOTICED_AT else []
    for seed in [*first, *range(most)]:
        cast = BY_NAME[FAMILY_OF[name]] if name in FAMILY_OF else Casts()
        found = [v for v in by_seed(seed, cast, MUTANTS[name]).violations if "failed with a defect" not in v]
        if found and not by_seed(seed, cast).violations:
            return seed, found[0]
    return None


@dataclass
class Campaign:
    """All of it: searched to the end, explored by chance, mutants hunted."""

    searched: dict[str, Tally]
    explored: Tally
    mutants: dict[str, tuple[int, str] | None]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Return what must not be."""
        found = [failure for tally in (*self.searched.values(), self.explored) for failure in tally.failed]
        return found + [(name, "the mutant was not noticed") for name, hit in self.mutants.items() if hit is None]


def explore(schedules: int, name: str) -> Tally:
    """Explore one scenario or family by chance, on all cores."""
    tally = Tally()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for batch in [pool.submit(chance, first, last, name) for first, last in _batches(schedules)]:
            tally.add(batch.result())
    return tally


def _batches(schedules: int) -> list[tuple[int, int]]:
    return [(first, min(first + BATCH, schedules)) for first in range(0, schedules, BATCH)]


def run(schedules: int) -> Campaign:
    """Run all of it on all cores; `schedules` are those of chance."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        searches = {
            f"{scenario.name} ({preempts} preemptions, {faults} faults)": pool.submit(
                search, scenario.name, preempts, faults
            )
            for scenario in SMALL
            for preempts, faults in scenario.bounds
        }
        batches = [pool.submit(chance, first, last) for first, last in _batches(schedules)]
        hunts = {name: pool.submit(hunt, name) for name in MUTANTS}
        explored = Tally()
        for batch in batches:
            explored.add(batch.result())
        return Campaign(
            {name: future.result() for name, future in searches.items()},
            explored,
            {name: future.result() for name, future in hunts.items()},
        )
