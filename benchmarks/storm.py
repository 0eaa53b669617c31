"""Storms on one connection, with the figures: ``python -m benchmarks.storm [--runs N] [--engine NAME]``.

Every storm is 64 calls of `token` (fewer on moto) from 4 processes for an expired connection. It passes only where the
token endpoint got one request and all calls one and the same answer. Ends with status 1 where a storm did not pass.
"""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from local.demo import Faults
from tests.callers import Call
from tests.engines import running_dynalite
from tests.world import LONGER_THAN_A_SERVER_IS_LEFT_ALONE, LONGER_THAN_A_TOKEN_LIVES, running_world, storm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.world import Storm, World


@dataclass(frozen=True)
class Weather:
    """What the authorization server does in a storm, and what then all callers are to get."""

    name: str
    server: Faults
    outcome: str
    between: float
    """Seconds by which the clock moves on before each storm."""


WEATHERS = (
    Weather("refresh token kept", Faults(endpoint="token", rotate=False), "ok", LONGER_THAN_A_TOKEN_LIVES),
    Weather("rotated, reuse ends the grant", Faults(endpoint="token", rotate=True), "ok", LONGER_THAN_A_TOKEN_LIVES),
    Weather(
        "server fails (503)",
        Faults(endpoint="token", status=503),
        "provider_unavailable",
        LONGER_THAN_A_SERVER_IS_LEFT_ALONE,
    ),
)


@dataclass(frozen=True)
class Row:
    """The storms of one weather on one engine."""

    engine: str
    weather: Weather
    storms: Sequence[Storm]

    @property
    def passed(self) -> int:
        """Return how many storms came to what they had to."""
        return sum(_passes(each, self.weather) for each in self.storms)


def _passes(one: Storm, weather: Weather) -> bool:
    one_for_all = {"token_requests": 1, "most_at_once": 1, "distinct_answers": 1, "calls_under_way": one.calls}
    return one == replace(one, outcomes={weather.outcome: one.calls}, **one_for_all)


def storms(world: World, weather: Weather, runs: int) -> list[Storm]:
    """Make one connection and storm it so many times."""
    connection_id = world.connect()
    world.advance(LONGER_THAN_A_TOKEN_LIVES)
    figures = []
    for _ in range(runs):
        world.reset()
        world.demo.put_faults(weather.server)
        figures.append(storm(world, [Call("token", {"connection_id": connection_id})] * world.crowd)[0])
        world.advance(weather.between)
    return figures


def rows(engine: str, runs: int) -> Iterator[Row]:
    """Run every weather on one engine."""
    with ExitStack() as closing:
        endpoint = closing.enter_context(running_dynalite()) if engine == "dynalite" else None
        world = closing.enter_context(running_world(endpoint))
        for weather in WEATHERS:
            yield Row(engine, weather, storms(world, weather, runs))


_HEADINGS = ("engine", "server", "storms", "calls", "under way", "requests", "answers", "outcome", "passed", "seconds")
_LINE = "{:<9} {:<30} {:>6} {:>6} {:>9} {:>8} {:>7} {:<22} {:>6} {:>9}\n"


def _line(row: Row) -> str:
    def spread(*values: float) -> str:
        return str(min(values)) if min(values) == max(values) else f"{min(values)}-{max(values)}"

    outcomes = sorted({name for each in row.storms for name in each.outcomes})
    return _LINE.format(
        row.engine,
        row.weather.name,
        len(row.storms),
        spread(*(each.calls for each in row.storms)),
        spread(*(each.calls_under_way for each in row.storms)),
        spread(*(each.token_requests for each in row.storms)),
        spread(*(each.distinct_answers for each in row.storms)),
        ", ".join(outcomes),
        row.passed,
        spread(*(each.seconds for each in row.storms)),
    )


def main() -> int:
    """Run, print a line for each weather as it is through, and return the exit status."""
    parser = argparse.ArgumentParser(description="Storm one connection with calls of token, and count.")
    parser.add_argument("--runs", type=int, default=20, help="storms for each line (default 20)")
    parser.add_argument("--engine", choices=("dynalite", "moto"), action="append", help="default: both")
    options = parser.parse_args()
    # The functions' own log lines would bury the figures.
    logging.getLogger("gatehouse").setLevel(logging.ERROR)
    sys.stdout.write(_LINE.format(*_HEADINGS))
    failed = 0
    for engine in options.engine or ("dynalite", "moto"):
        for row in rows(engine, options.runs):
            sys.stdout.write(_line(row))
            sys.stdout.flush()
            failed += len(row.storms) - row.passed
    sys.stdout.write("'requests' and 'answers' are for each storm: at the token endpoint, and different ones.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
