"""`python -m tests.torture.crashes`: a process is killed at every boundary of callback, refresh, revoke and rescue."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.torture.scene import LONG_REPLAY_WINDOW, REPLAY_WINDOW, running_scene
from tests.torture.stories import (
    LOST,
    REPLAYED,
    CallingBack,
    Confirming,
    Importing,
    Refreshing,
    Rescue,
    Revoking,
    died_before_the_queue,
    has_answer,
    has_stored,
)
from tests.torture.victims import AFTER, BEFORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.torture.scene import Scene
    from tests.torture.stories import Fate, Story
    from tests.torture.victims import Boundary

SHORT_WINDOW, ONE_MINUTE = 20, 60

STORIES: tuple[Story, ...] = (
    CallingBack("callback, new connection"),
    CallingBack("callback, connection that has tokens", again=True),
    CallingBack("callback, DynamoDB takes no write after the answer", writes_fail=True),
    CallingBack("callback, new connection, to be confirmed", confirm=True),
    CallingBack("callback, connection that has tokens, to be confirmed", confirm=True, again=True),
    CallingBack("callback, to be confirmed, DynamoDB takes no write after the answer", confirm=True, writes_fail=True),
    Confirming("confirm, first consent"),
    Confirming("confirm, connection that has tokens", again=True),
    Importing("import"),
    Importing("import, server with a replay window", window=REPLAY_WINDOW),
    Importing("import, DynamoDB takes no write after the answer", writes_fail=True),
    Refreshing("token, expired", "token"),
    Refreshing("token, expired, server with a replay window", "token", window=REPLAY_WINDOW),
    Refreshing("token, DynamoDB takes no write after the answer", "token", writes_fail=True),
    Refreshing("refresh, by a caller", "refresh"),
    Refreshing("refresh, by the queue", "refresh", by_queue=True),
    Refreshing("refresh, by the queue, very short replay window", "refresh", window=SHORT_WINDOW, by_queue=True),
    Refreshing("refresh, by the queue, replay window of a minute", "refresh", window=ONE_MINUTE, by_queue=True),
    Refreshing("refresh, by the queue, long replay window", "refresh", window=LONG_REPLAY_WINDOW, by_queue=True),
    Revoking("revoke, two tokens"),
    Revoking("revoke, UltraCart's way", provider="ultracart"),
    Revoking("revoke, by the queue", by_queue=True),
    Revoking("revoke, when the access token has run out, one request at a time", "ultracart", run_out=True),
    Rescue("rescue of a refresh"),
    Rescue("rescue of a refresh whose version is taken", what="version taken"),
    Rescue("rescue of an authorization", what="authorization"),
)


@dataclass(frozen=True)
class Crash:
    """One kill, and what came of it."""

    story: str
    boundary: Boundary
    is_covered: bool
    fate: Fate


@dataclass
class Figures:
    """All of them. ``existing`` counts the boundaries that the undisturbed runs passed."""

    existing: int = 0
    crashes: list[Crash] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def covered(self) -> int:
        """Return how many boundaries a process was really killed at."""
        return sum(crash.is_covered for crash in self.crashes)

    @property
    def violations(self) -> list[str]:
        """Return what must not be, each with where it was."""
        return [
            f"{crash.story}, {crash.boundary.side} {crash.boundary.number} {crash.boundary.call}: {violation}"
            for crash in self.crashes
            for violation in crash.fate.violations
        ]


def explore(scene: Scene, stories: Sequence[Story] = STORIES, sides: Sequence[str] = (BEFORE, AFTER)) -> Figures:
    """Play each story to its end once, then kill its victim at each boundary that it passed, on these sides."""
    figures = Figures()
    for story in stories:
        undisturbed = scene.victim(story.begin(scene))
        assert undisturbed.result is not None, "an undisturbed victim gave no result"
        boundaries = [boundary for boundary in undisturbed.passed if boundary.side in sides]
        figures.existing += len(boundaries)
        for boundary in boundaries:
            figures.crashes.append(_crash(scene, story, boundary, figures.counts))
    return figures


def _crash(scene: Scene, story: Story, boundary: Boundary, counts: Counter[str]) -> Crash:
    report = scene.victim(replace(story.begin(scene), at=boundary))
    fate = story.end(scene, report)
    counts.update(fate.counts)
    counts[fate.word] += 1
    if fate.word == LOST:
        in_hand = has_answer(report) and not has_stored(report)
        counts["died with the answer in hand" if in_hand else "tokens lost"] += 1
        counts["died before the queue"] += died_before_the_queue(report)
    return Crash(story.name, boundary, report.killed, fate)


def rows(figures: Figures) -> list[str]:
    """Return the table: each call of each story, and what a death before and after it comes to."""
    lines = []
    story = ""
    for before, after in zip(figures.crashes[::2], figures.crashes[1::2], strict=True):
        if before.story != story:
            story = before.story
            lines.append(story)
        at = f"  {before.boundary.number:2d} {before.boundary.call:<30}"
        if (before.fate.word, before.fate.why) == (after.fate.word, after.fate.why):
            lines.append(f"{at} before, after  {before.fate.word:<11} {before.fate.why}")
        else:
            lines.append(f"{at} before         {before.fate.word:<11} {before.fate.why}")
            lines.append(f"{'':<35} after          {after.fate.word:<11} {after.fate.why}")
    return lines


def summary(figures: Figures, seconds: float) -> list[str]:
    """Return the figures that have to be shown."""
    counts, violations = figures.counts, len(figures.violations)
    slowest = max((crash.fate.seconds for crash in figures.crashes), default=0)
    points = f"{figures.covered} of {figures.existing} crash points covered, {violations} violations, {seconds:.0f} s"
    in_hand = f"{counts['died with the answer in hand']}, {counts['died before the queue']} of them before the queue"
    return [
        points,
        f"tokens lost {counts['tokens lost']}, resurrections {counts['resurrections']}",
        f"died with the answer in hand, and nothing repeated it: {in_hand}",
        f"died with the answer in hand, and a replay window saved it: {counts[REPLAYED]}",
        f"vended again after at most {slowest:.0f} s of the stack's clock",
    ]


def run() -> list[str]:
    """Run them all, and return the table. Raises `AssertionError` with the violations."""
    began = time.monotonic()
    with running_scene() as scene:
        figures = explore(scene)
    lines = [*rows(figures), *summary(figures, time.monotonic() - began)]
    assert not figures.violations, "\n".join([*lines, *figures.violations])
    assert figures.covered == figures.existing, "\n".join(lines)
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
