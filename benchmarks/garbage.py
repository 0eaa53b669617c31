"""What a browser costs that comes with a forged answer or a link that never was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measure import say
from benchmarks.warm import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.environments import Workshop
    from benchmarks.measure import Compared
    from benchmarks.scenes import Scene


@dataclass(frozen=True)
class Garbage:
    """A refused call: the requests that it made, and its time beside that of a call that does its work."""

    name: str
    requests: int
    beside_a_good_one: Compared


def garbage(workshop: Workshop, scenes: Mapping[str, Scene]) -> list[Garbage]:
    """Measure the refusals of the two functions that face the internet."""
    rows = []
    for function in ("callback", "authorize"):
        scene = scenes[function]
        events = (scenes[f"garbage {function}"].event, scene.event)
        subject = workshop.function(scene)
        compared, counts = side_by_side(subject, subject, scene, events)
        row = Garbage(function, sum(count for count, _, _ in counts.values()), compared)
        say(
            f"garbage {row.name}: {row.requests} requests, {compared.ratio:.2f} of a good one "
            f"({compared.ours_ms:.2f} ms, {compared.other_ms:.2f} ms)"
        )
        rows.append(row)
    return rows
