"""The storm as far as one machine has room for it: 64 callers in four processes, on real sockets, with a real table.

Callers, table (dynalite), emulated KMS and authorization server share the processors here, where in Lambda each has its
own: with a fast server it is them that the callers wait for.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.crowd import summed_up
from benchmarks.environments import ROOT
from benchmarks.measure import PAIRS, say
from local.demo import Faults
from tests.callers import Call
from tests.engines import running_dynalite
from tests.world import LONGER_THAN_A_TOKEN_LIVES, distinct, running_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.crowd import Crowd
    from tests.world import World

CALLERS = 64
SERVERS = (1.0, 3.0)
"""Seconds that the authorization server takes for a refresh."""


def volleys() -> list[Crowd]:
    """Measure the crowd at each server."""
    if not shutil.which("node") or not (ROOT / "node_modules" / "dynalite").exists():
        say("storm: Node.js or dynalite is not here: not measured in processes")
        return []
    rows = []
    with running_dynalite() as endpoint, running_world(endpoint) as world:
        for server in SERVERS:
            row = _measure(world, server)
            say(
                f"storm {CALLERS:>5} callers in processes, server takes {server} s: {max(row.requests)} request, "
                f"p50 {row.p50:.2f} and p99 {row.p99:.2f} refreshes (of {row.one_refresh_ms:.0f} ms)"
            )
            rows.append(row)
    return rows


def _measure(world: World, server: float) -> Crowd:
    asked = Call("token", {"connection_id": world.connect()})
    world.demo.put_faults(Faults(endpoint="token", rotate=True, delay_seconds=server))

    def storms() -> Iterator[tuple[float, list[float], int]]:
        for _ in range(PAIRS):
            (alone,) = _times(world, asked, 1)
            before = world.token_requests()
            yield alone, list(_times(world, asked, CALLERS)), world.token_requests() - before

    return summed_up(CALLERS, server, storms())


def _times(world: World, asked: Call, callers: int) -> Iterator[float]:
    """Let the token expire and so many ask for it at once; give the seconds that each of them waited."""
    world.advance(LONGER_THAN_A_TOKEN_LIVES)
    answers = world.callers.at_once([asked] * callers)
    assert len(distinct(answers)) == 1, distinct(answers)
    assert {answer.outcome for answer in answers} == {"ok"}
    return (answer.ended - answer.began for answer in answers)
