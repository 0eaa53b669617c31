"""Cold starts: from the start of the process to the first answer, beside the ordinary stack and an empty handler."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.measure import PAIRS, Compared, say
from benchmarks.scenes import IN_A_SLOT, Playing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.environments import Subject, Workshop
    from benchmarks.scenes import Scene

FUNCTIONS = (
    "token",
    "callback",
    "confirm",
    "start",
    "authorize",
    "refresh",
    IN_A_SLOT,
    "revoke",
    "connections",
    "sweep",
    "rescue",
)


@dataclass(frozen=True)
class Cold:
    """The cold starts of one function, to its first answer and to the question for its first event."""

    name: str
    answered: Compared
    initialized: Compared
    empty_ms: float


def cold(workshop: Workshop, scenes: Mapping[str, Scene]) -> list[Cold]:
    """Measure every function."""
    rows = []
    for name in FUNCTIONS:
        row = _measure(name, workshop, scenes[name])
        say(
            f"cold {name:<12} {row.answered.ratio:.2f} of the ordinary stack "
            f"({row.answered.ours_ms:.0f} ms, {row.answered.other_ms:.0f} ms, empty {row.empty_ms:.0f} ms)"
        )
        rows.append(row)
    return rows


def _measure(name: str, workshop: Workshop, scene: Scene) -> Cold:
    subjects = [workshop.function(scene), workshop.ordinary(scene), workshop.empty()]
    with Playing(scene.answers()) as playing:
        for subject in subjects:
            subject.cold(playing, scene.event)
        ours, other, empty = zip(
            *([subject.cold(playing, scene.event) for subject in subjects] for _ in range(PAIRS)), strict=True
        )
    return Cold(
        name,
        Compared([total for _, total in ours], [total for _, total in other]),
        Compared([init for init, _ in ours], [init for init, _ in other]),
        median(total for _, total in empty) * 1000,
    )


def measures(workshop: Workshop, scene: Scene) -> dict[str, Compared]:
    """Return what each measure brings: the cold start of `token` without it, beside the one with all of them."""
    variants: dict[str, Subject] = {
        "without bytecode": workshop.function(scene, workshop.without_bytecode()),
        "with the sources of what is compiled": workshop.function(scene, workshop.with_sources()),
        "with nothing left hollow": workshop.function(scene, workshop.with_nothing_hollow()),
        "with frozen records": workshop.function(scene, workshop.with_frozen_records()),
        "with all of botocore's data": workshop.function(scene, workshop.with_all_of_botocore()),
        "with garbage collected while it is loaded": workshop.function(scene, workshop.with_collection()),
        "the ordinary stack, with bytecode": workshop.ordinary_compiled(scene),
        "*the minimum: its two calls on the same packages, and nothing else*": workshop.minimum(scene),
    }
    found = {}
    with Playing(scene.answers()) as playing:
        for name, variant in variants.items():
            ours = workshop.function(scene)
            ours.cold(playing, scene.event), variant.cold(playing, scene.event)
            pairs = [(variant.cold(playing, scene.event)[1], ours.cold(playing, scene.event)[1]) for _ in range(PAIRS)]
            found[name] = Compared([a for a, _ in pairs], [b for _, b in pairs])
            say(f"cold token, {name:<66} {found[name].ratio:.2f} times as long")
    return found
