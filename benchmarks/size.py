"""What is uploaded, and what a process needs."""

from __future__ import annotations

import importlib.metadata
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.environments import PACKAGES
from benchmarks.measure import say
from benchmarks.scenes import Playing
from tools.build import package

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.environments import Subject, Workshop
    from benchmarks.scenes import Scene

_ORDINARY = ("boto3", "aws-lambda-powertools", "requests", "cryptography")
_MB = 1e6


@dataclass(frozen=True)
class Size:
    """A package in MB, unpacked and compressed; and the peak memory of a process with it, in MB, by function."""

    name: str
    unpacked: float
    compressed: float
    peak: Mapping[str, float]


def sizes(workshop: Workshop, scenes: Mapping[str, Scene]) -> list[Size]:
    """Measure ours, and the ordinary stack."""
    ours = {name: _peak(workshop.function(scenes[name]), scenes[name]) for name in ("token", "callback")}
    theirs = {name: _peak(workshop.ordinary(scenes[name]), scenes[name]) for name in ("token", "callback")}
    rows = [
        _size("Gatehouse", _files(package(for_lambda=False)), ours),
        _size("ordinary stack", _files_of(_closure(_ORDINARY)), theirs),
    ]
    for row in rows:
        peak = ", ".join(f"{name} {value:.0f} MB" for name, value in row.peak.items())
        say(f"size {row.name}: {row.unpacked:.0f} MB, compressed {row.compressed:.1f} MB; peak memory {peak}")
    return rows


def _size(name: str, files: Iterable[Path], peak: Mapping[str, float]) -> Size:
    contents = [file.read_bytes() for file in files]
    unpacked = sum(map(len, contents)) / _MB
    return Size(name, unpacked, sum(len(zlib.compress(content)) for content in contents) / _MB, peak)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _closure(names: Iterable[str]) -> set[str]:
    """Return packages with all that they need."""
    installed = _installed()
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        needs = [need for need in installed[name].requires or () if "extra ==" not in need]
        waiting |= {_name_in(need) for need in needs} & installed.keys() - found
    return found


def _installed() -> dict[str, importlib.metadata.Distribution]:
    return {_name_in(each.metadata["Name"]): each for each in importlib.metadata.distributions(path=[str(PACKAGES)])}


def _name_in(requirement: str) -> str:
    """Return the normalized name of a package, alone or at the beginning of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _files_of(names: set[str]) -> list[Path]:
    installed = _installed()
    located = [Path(str(installed[name].locate_file(file))) for name in names for file in installed[name].files or ()]
    return [path for path in located if path.is_file()]


def _peak(subject: Subject, scene: Scene) -> float:
    """Return the most memory that processes had by the end of their first call, in the median."""
    peaks = []
    with Playing(scene.answers()) as playing:
        for _ in range(5):
            with subject.running(playing) as function:
                function.initialized()
                function.invoke(scene.event)
                status = Path(f"/proc/{function.pid}/status").read_text("utf-8")
            peaks.append(int(status.split("VmHWM:")[1].split()[0]) * 1024 / _MB)
    return median(peaks)
