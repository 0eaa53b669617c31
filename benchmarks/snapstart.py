"""SnapStart: what is left of a cold start of ours when Lambda restores a snapshot in place of starting a process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.measure import PAIRS, Compared, say
from benchmarks.scenes import Playing

if TYPE_CHECKING:
    from benchmarks.environments import Workshop
    from benchmarks.scenes import Scene


def snap_start(workshop: Workshop, scene: Scene) -> Compared:
    """Measure from the restoration to the first answer, beside an ordinary start of the same function."""
    subject = workshop.function(scene)
    with Playing(scene.answers()) as playing:

        def restored() -> float:
            with subject.running(playing, snap_start=True) as function:
                function.api.received("restore/next")
                began = time.perf_counter()
                function.api.restore()
                function.api.received("invocation/next")
                answer = function.invoke(scene.event)
                assert not answer.failed, function.log
                return time.perf_counter() - began

        restored(), subject.cold(playing, scene.event)
        pairs = [(restored(), subject.cold(playing, scene.event)[1]) for _ in range(PAIRS)]
    found = Compared([a for a, _ in pairs], [b for _, b in pairs])
    say(f"SnapStart: {found.ratio:.2f} of a cold start from the restoration on ({found.ours_ms:.0f} ms)")
    return found
