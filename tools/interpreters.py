"""Finds a Python that makes the bytecode which another Python reads.

Bytecode begins with a magic number, and an interpreter takes none with another number than its own. So the number says
what fits, and a version does not: early builds of a version have other numbers, and so have other implementations.

Standard library only, as the build that calls it.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_ASK = (
    "import importlib.util as u, platform as p, sys; "
    "print(int.from_bytes(u.MAGIC_NUMBER[:2], 'little'), p.python_implementation(), p.python_version(), sys.version, "
    "sep='\\t')"
)


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs: where it is, its magic number as CPython lists them, and what it calls itself."""

    path: str
    magic_number: int
    name: str
    """Such as `CPython 3.13.0`."""

    build: str
    """Its `sys.version`, which distinguishes patch releases and builds."""

    def __str__(self) -> str:
        """Return what to call it in a sentence."""
        return f"{self.path} ({self.name}, magic number {self.magic_number})"


class NoneFits(Exception):
    """No Python has the magic number that is wanted; says which were tried."""


def ask(path: str) -> Interpreter | None:
    """Return the Python at a path; None where there is none that runs.

    Version managers put commands on the PATH for each version, which only say that it is not chosen.
    """
    try:
        # -I: neither this folder nor the environment of whoever builds has a say in it.
        done = subprocess.run([path, "-I", "-c", _ASK], check=False, stdin=subprocess.DEVNULL, capture_output=True)  # noqa: S603 -- what is built with is found here
    except OSError:
        return None
    said = re.fullmatch(r"(\d+)\t(.+)\t(.+)\t(.+)\n", done.stdout.decode(errors="replace"), re.DOTALL)
    return Interpreter(path, int(said[1]), f"{said[2]} {said[3]}", said[4]) if said and not done.returncode else None


def find(paths: Iterable[str], magic_number: int) -> Interpreter:
    """Return the first of some Pythons whose bytecode begins with a magic number. Raises ``NoneFits``."""
    tried = []
    for path in paths:
        found = ask(path)
        if found is not None and found.magic_number == magic_number:
            return found
        tried.append(str(found or f"{path} (does not run as Python)"))
    raise NoneFits(", ".join(tried))


def installed(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield where a version of Python (such as `3.13`) may be: on the PATH, then what pyenv and uv have installed.

    Those who use pyenv or uv often have a version that is not on the PATH, or only as a command that does not run.
    """
    command = f"python{version}"
    on_path = [Path(folder, command) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    home = Path(environ.get("HOME") or Path.home())
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    managed = [path for folder in (pyenv, uv) for path in sorted(folder.glob(f"*/bin/{command}"), key=_age)]
    yield from dict.fromkeys(str(path) for path in (*on_path, *managed) if os.access(path, os.X_OK))


def _age(path: Path) -> list[int]:
    """Return what sorts the newest version first, by the name of its folder: 3.13.10 is newer than 3.13.9."""
    return [-int(number) for number in re.findall(r"\d+", path.parent.parent.name)]
