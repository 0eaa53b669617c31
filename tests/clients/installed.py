"""The client as somebody has it who installed it: built into a wheel, and installed in a virtual environment.

What it depends on comes from the environment of the tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from functools import cache
from typing import TYPE_CHECKING

from tests.requirements import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = ROOT / "clients" / "python"
_CACHE = ROOT / ".build" / "client"
_BUILD = "import sys; sys.path.insert(0, '.'); import build_backend; print(build_backend.build_wheel(sys.argv[1]))"
_COPIED = ("functions", "tools")
"""The folders of the repository from which the build copies."""


@cache
def environment() -> Path:
    """Return the virtual environment that has the wheel, made at first need and after any change."""
    made = _CACHE / _digest()
    _CACHE.mkdir(parents=True, exist_ok=True)
    # Two processes run the tests, and one of them makes it. Scripts name the folder that they were installed in.
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "ready").exists():
            shutil.rmtree(made, ignore_errors=True)
            _install(wheel(made), made)
            (made / "ready").touch()
    return made


def python() -> Path:
    """Return the interpreter of that environment."""
    return environment() / "bin" / "python"


def packages() -> Path:
    """Return the folder in which that environment has the client."""
    return next((environment() / "lib").glob("python*/site-packages"))


def wheel(into: Path) -> Path:
    """Build the wheel, as `pip install ./clients/python` does, and return it."""
    into.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(into)], cwd=SOURCE, check=True, capture_output=True, text=True
    )
    return into / built.stdout.strip().splitlines()[-1]


def _install(built: Path, into: Path) -> None:
    venv.create(into, with_pip=False, symlinks=True)
    here = next((into / "lib").glob("python*/site-packages"))
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (here / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    pip = [sys.executable, "-m", "pip", "--python", str(into / "bin" / "python"), "install"]
    subprocess.run([*pip, *options, str(built)], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for folder in (SOURCE, *(ROOT / name for name in _COPIED)):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
