"""The short version of `python -m tests.torture.crashes`: a kill after each call that took effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.crashes import STORIES, explore, rows, summary
from tests.torture.scene import REPLAY_WINDOW
from tests.torture.stories import KEPT, LOST, REPLAYED, Refreshing, Rescue, has_answer
from tests.torture.victims import AFTER, ANY, BEFORE, Boundary, Job

if TYPE_CHECKING:
    from tests.torture.scene import Scene

pytestmark = pytest.mark.needs_node

SHORT = [
    "callback, new connection",
    "import",
    "token, expired",
    "refresh, by the queue, long replay window",
    "revoke, two tokens",
]


@pytest.mark.parametrize("name", SHORT)
def test_a_process_may_die_after_any_call(scene: Scene, name: str) -> None:
    """Killed at each boundary: a token is lost only if the answer died with the process, and nothing is undone."""
    story = next(story for story in STORIES if story.name == name)

    figures = explore(scene, [story], sides=(AFTER,))

    assert figures.violations == []
    assert figures.covered == figures.existing > 3
    assert figures.counts["tokens lost"] == figures.counts["resurrections"] == 0


@pytest.mark.parametrize(
    ("window", "side", "word"), [(0, BEFORE, KEPT), (0, AFTER, LOST), (REPLAY_WINDOW, AFTER, REPLAYED)]
)
def test_a_replay_window_saves_what_died_with_the_process(scene: Scene, window: int, side: str, word: str) -> None:
    """Before the request nothing can be lost; after it the answer is lost, unless the server repeats it."""
    story = Refreshing("", "token", window=window)
    job = story.begin(scene)

    report = scene.victim(Job(job.function, job.event, at=Boundary(ANY, side, "POST token")))
    fate = story.end(scene, report)

    assert report.killed
    assert has_answer(report) == (side == AFTER)
    assert (fate.word, fate.violations) == (word, [])


def test_the_table_names_each_boundary_and_what_became_of_the_token(scene: Scene) -> None:
    """Every call is in it, with both its sides, and the figures are below it."""
    figures = explore(scene, [Rescue("rescue of a refresh")])

    table = rows(figures)
    assert table[0] == "rescue of a refresh"
    assert [line.split()[:3] for line in table[1:]] == [
        ["1", "kms", "Decrypt"],
        ["2", "dynamodb", "GetItem"],
        ["3", "dynamodb", "UpdateItem"],
    ]
    assert summary(figures, 1.0)[0].startswith("6 of 6 crash points covered, 0 violations")
