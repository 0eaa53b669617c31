"""`make bench`: measures everything, prints it as it goes, and writes docs/performance.md with its plot."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from benchmarks import report
from benchmarks.cold import cold, measures
from benchmarks.crowd import crowds
from benchmarks.environments import ROOT, Workshop
from benchmarks.garbage import garbage
from benchmarks.handshake import handshake
from benchmarks.measure import say
from benchmarks.peers import peers
from benchmarks.scenes import Recorder
from benchmarks.size import sizes
from benchmarks.snapstart import snap_start
from benchmarks.volley import volleys
from benchmarks.warm import warm


def main() -> int:
    """Measure, write, and return 1 where something is not as it has to be."""
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)
    scenes = Recorder().record()
    build = ROOT / ".build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        workshop = Workshop(Path(folder))
        measured = report.Measured(
            cold=cold(workshop, scenes),
            measures=measures(workshop, scenes["token"]),
            warm=warm(workshop, scenes),
            snap_start=snap_start(workshop, scenes["token"]),
            garbage=garbage(workshop, scenes),
            handshake=handshake(scenes["refresh"], Path(folder)),
            peers=peers(workshop, scenes),
            sizes=sizes(workshop, scenes),
            crowds=crowds(),
            volleys=volleys(),
        )
    (ROOT / "docs" / "performance.svg").write_text(report.plot(measured), "utf-8")
    (ROOT / "docs" / "performance.md").write_text(report.page(measured), "utf-8")
    failures = measured.failures()
    for failure in failures:
        say(f"NOT AS IT HAS TO BE: {failure}")
    say("Written: docs/performance.md and docs/performance.svg")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
