"""What some tests need beyond Python, how to see whether it is there, and how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Need:
    """A marker, what it stands for, whether that is here, and what to do where it is not."""

    marker: str
    what: str
    is_met: Callable[[], bool]
    remedy: str


@cache
def chromium() -> str | None:
    """Return the path of a Chromium: that of the variable CHROMIUM, or one found under its usual names."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@cache
def dynalite() -> bool:
    """Tell whether node can load dynalite from this folder (or from NODE_PATH)."""
    node = shutil.which("node")
    if node is None:
        return False
    probe = [node, "-e", "require.resolve('dynalite')"]
    return subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0


NEEDS = (
    Need("needs_chromium", "Chromium", lambda: chromium() is not None, "apt-get install chromium, or set CHROMIUM"),
    Need("needs_node", "Node.js with dynalite", dynalite, "apt-get install nodejs npm, then npm ci"),
)
