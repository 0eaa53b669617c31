"""Warm calls: each beside a script that makes the same requests with the same libraries, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measure import Compared, say
from benchmarks.scenes import IN_A_SLOT, Playing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.environments import Subject, Workshop
    from benchmarks.scenes import Scene
    from tests.runtime_api import RunningFunction

FUNCTIONS = ("token", "callback", "refresh", IN_A_SLOT, "start", "authorize")
PAIRS = 300
WARMING = 30

SECONDS_OF_AWS = 0.003
"""What DynamoDB and KMS take for an answer, about, over a kept connection in one region."""

IN_A_COLD_CALL_ONLY = frozenset({"GetSecretValue"})
"""What a warm environment does not ask: registrations are kept for five minutes."""

OPENED_BEFORE = {name: frozenset({"Decrypt"}) for name in ("token", "refresh", IN_A_SLOT)}


@dataclass(frozen=True)
class Warm:
    """The warm calls of one function beside its minimum: where AWS answers at once, and where it takes its time."""

    name: str
    at_once: Compared
    in_time: Compared
    counts: Mapping[str, tuple[int, int, int]]


def warm(workshop: Workshop, scenes: Mapping[str, Scene]) -> list[Warm]:
    """Measure each function."""
    rows = []
    for name in FUNCTIONS:
        scene = scenes[name]
        skipped = IN_A_COLD_CALL_ONLY | OPENED_BEFORE.get(name, frozenset())
        minimum = workshop.minimum(scene.without(skipped))
        ours = workshop.function(scene)
        at_once, counts = side_by_side(ours, minimum, scene)
        in_time, _ = side_by_side(ours, minimum, scene.slowed(aws=SECONDS_OF_AWS, provider=SECONDS_OF_AWS))
        rows.append(Warm(name, at_once, in_time, counts))
        say(
            f"warm {name:<12} {in_time.ratio:.2f} of its minimum "
            f"({in_time.ours_ms:.2f} ms, {in_time.other_ms:.2f} ms); "
            f"{at_once.ratio:.2f} with answers at once ({at_once.ours_ms:.2f} ms, {at_once.other_ms:.2f} ms)"
        )
    return rows


def side_by_side(
    ours: Subject, other: Subject, scene: Scene, events: Sequence[object] | None = None, pairs: int = PAIRS
) -> tuple[Compared, dict[str, tuple[int, int, int]]]:
    """Invoke both in turn, and return their seconds, and what one of our calls asked of AWS and the provider.

    ``events`` are ours and the other's, where they are not the scene's.
    """
    our_event, other_event = events or (scene.event, scene.event)
    with Playing(scene.answers()) as playing, ExitStack() as closing:
        running: list[RunningFunction] = [closing.enter_context(subject.running(playing)) for subject in (ours, other)]
        for function in running:
            function.initialized()
        for _ in range(WARMING):
            for function, event in zip(running, (our_event, other_event), strict=True):
                assert not function.invoke(event).failed, function.log
        playing.counts()
        running[0].invoke(our_event)
        counts = playing.counts()
        measured = [
            (running[0].invoke(our_event).seconds, running[1].invoke(other_event).seconds) for _ in range(pairs)
        ]
    return Compared([a for a, _ in measured], [b for _, b in measured]), counts
