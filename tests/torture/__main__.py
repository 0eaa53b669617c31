"""`python -m tests.torture`: all interleavings, with a table; those of one scenario; or one of them, as a timeline."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time

from functions.vault.grant.life import LIFE
from tests.torture import campaign
from tests.torture.families import BY_NAME
from tests.torture.judging import OPEN
from tests.torture.runner import by_script, by_seed, timeline
from tests.torture.scenarios import Scenario

SCHEDULES = 20_000


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay the history of one seed, and print it")
    parser.add_argument("--scenario", choices=sorted(BY_NAME), help="this cast or family alone")
    parser.add_argument("--script", help="replay the choices of a search, separated by commas")
    parser.add_argument("--bounds", default="2,1", help="the preemptions and faults that the search was allowed")
    parser.add_argument("--schedules", type=int, default=SCHEDULES, help="how many to explore by chance")
    options = parser.parse_args(arguments)
    if options.script is not None or options.seed is not None:
        return _replay(options)
    if options.scenario is not None:
        return _of_one(options.scenario, options.schedules)
    return _all(options.schedules)


def _of_one(name: str, schedules: int) -> int:
    began, done = time.monotonic(), campaign.explore(schedules, name)
    _print_counts(done)
    kinds: dict[str, list[str]] = {}
    for replay, violation in done.failed:
        kinds.setdefault(re.sub(r"[0-9]+(\.[0-9]+)?", "N", violation), []).append(replay)
    for kind, replays in sorted(kinds.items(), key=lambda entry: -len(entry[1])):
        print(f"VIOLATED {len(replays)} times: {kind}\n  replay: python -m tests.torture {replays[0]}")
    print(f"{done.histories:,d} histories, {len(done.failed)} violations, {time.monotonic() - began:.0f} s")
    return int(bool(done.failed))


def _print_counts(done: campaign.Tally) -> None:
    for name, number in sorted(done.counts.items()):
        if name not in OPEN:
            print(f"  {number:7,d} {name}")


def _replay(options: argparse.Namespace) -> int:
    scenario = BY_NAME[options.scenario] if options.scenario else None
    if options.script is not None and isinstance(scenario, Scenario):
        preempts, faults = map(int, options.bounds.split(","))
        choices = [int(choice) for choice in options.script.split(",") if choice]
        result = by_script(scenario, choices, preempts=preempts, faults=faults)
    else:
        result = by_seed(options.seed or 0, scenario, recording=True)
    print(timeline(result))
    return int(bool(result.violations))


def _all(schedules: int) -> int:
    began = time.monotonic()
    done = campaign.run(schedules)
    print("Searched to the end")
    for name, tally in done.searched.items():
        print(f"  {tally.histories:7,d} histories  {len(tally.failed):3d} violations  {name}")
    explored = done.explored
    print("Explored by chance")
    print(f"  {explored.histories:7,d} histories  {len(explored.failed):3d} violations  seeds 0 to {schedules - 1}")
    print(f"  {explored.steps:7,d} steps, {explored.longest} in the longest")
    whole = campaign.Tally()
    for tally in (*done.searched.values(), explored):
        whole.add(tally)
    print("In all of them")
    _print_counts(whole)
    print("The table of a connection's life, which every write was held against")
    print(f"  {len(whole.rows):7,d} of its {len(LIFE)} rows were gone by")
    for status, place, happened in LIFE.keys() - whole.rows:
        print(f"          not {happened}: {status or 'no connection'}, {place}")
    print("Open: not as it should be, and not counted as violations")
    for name in OPEN:
        print(f"  {whole.counts[name]:7,d} {name}")
    print("Broken on purpose")
    for name, hit in done.mutants.items():
        print(f"  {f'noticed at seed {hit[0]}: {hit[1]}' if hit else 'NOT NOTICED':<90} {name}")
    for replay, violation in done.failures[:20]:
        print(f"VIOLATED: {violation}\n  replay: python -m tests.torture {replay}")
    print(
        f"{whole.histories:,d} histories, {len(done.failures)} violations, "
        f"{sum(whole.counts[name] for name in OPEN)} open, {time.monotonic() - began:.0f} s"
    )
    return int(bool(done.failures))


if __name__ == "__main__":
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)  # what goes wrong here is meant to
    sys.exit(main())
