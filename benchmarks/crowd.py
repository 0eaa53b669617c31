"""The storm: many callers of one expired token, beside one caller of another."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.measure import PAIRS, tell
from local.demo import Faults
from tests.callers import Call
from tests.engines import running_dynalite
from tests.world import running_world

if TYPE_CHECKING:
    from tests.world import World

SECONDS_OF_THE_SERVER = 1.0
"""What the authorization server takes for a refresh here."""

CROWDS = {64: PAIRS, 1000: PAIRS}


@dataclass(frozen=True)
class Crowd:
    """Storms of so many callers: requests at the server in each, and the callers' times in units of one refresh."""

    callers: int
    storms: int
    requests: tuple[int, ...]
    p50: float
    p99: float
    one_refresh_ms: float


def crowds() -> list[Crowd]:
    """Measure each crowd."""
    with running_dynalite() as engine, running_world(engine) as world:
        rows = []
        for callers, pairs in CROWDS.items():
            row = _measure(world, callers, pairs)
            tell(
                f"storm {row.callers:>5} callers: {max(row.requests)} request, p50 {row.p50:.2f} and p99 {row.p99:.2f} "
                f"refreshes (of {row.one_refresh_ms:.0f} ms)"
            )
            rows.append(row)
        return rows


def _measure(world: World, callers: int, pairs: int) -> Crowd:
    requests, p50, p99, alone = [], [], [], []
    connection_id = world.connect()
    for _ in range(pairs):
        one, _ = _refreshed(world, connection_id, 1)
        many, seen = _refreshed(world, connection_id, callers)
        cuts = quantiles(many, n=100)
        alone.append(one[0])
        p50.append(median(many) / one[0])
        p99.append(cuts[98] / one[0])
        requests.append(seen)
    return Crowd(callers, pairs, tuple(requests), median(p50), median(p99), median(alone) * 1000)


def _refreshed(world: World, connection_id: str, callers: int) -> tuple[list[float], int]:
    """Let so many callers find the token expired; return the seconds that each waited, and the requests that came."""
    world.advance(3700)
    world.reset()
    world.demo.put_faults(Faults(endpoint="token", delay_seconds=SECONDS_OF_THE_SERVER))
    answers = world.callers.at_once([Call("token", {"connection_id": connection_id})] * callers)
    assert {answer.outcome for answer in answers} == {"ok"}, {answer.outcome for answer in answers}
    # From when all were let go: a caller that gets no processor waits, too.
    began = min(answer.began for answer in answers)
    return [answer.ended - began for answer in answers], world.token_requests()
