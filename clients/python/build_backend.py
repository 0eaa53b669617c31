"""Builds the package as flit does, with what the command shares with Gatehouse copied into it.

The checks of a registration, those of a deployment and the provider files are written once, in the repository that this
folder is part of. The wheel gets copies, because the command has to work where the repository is not. Which modules are
copied is found out from what `SHARED` imports. No copy is kept in the repository.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flit_core import buildapi
from flit_core.buildapi import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PLACE = Path("gatehouse") / "cli" / "shared"
"""The package in which the copies are. `gatehouse/cli/repository.py` looks for them there."""

SHARED = ("tools.check_registration", "tools.check_deployment", "tools.catalogue", "functions.vault.base.fields")
"""What `gatehouse/cli` asks for by name."""
PROVIDERS = Path("functions") / "providers"
_TOP = ("functions", "tools")
_IMPORT = re.compile(rf"^(\s*)(from|import) ({'|'.join(_TOP)})\b", re.MULTILINE)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build a wheel (PEP 517)."""
    into = str(Path(wheel_directory).resolve())
    with _with_copies():
        return str(buildapi.build_wheel(into, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build a source distribution (PEP 517). A wheel can be built from it without the repository."""
    into = str(Path(sdist_directory).resolve())
    with _with_copies():
        return str(buildapi.build_sdist(into, config_settings))


@contextmanager
def _with_copies() -> Iterator[None]:
    """Work in a copy of this folder that has the copies. A source distribution has them already."""
    if (HERE / PLACE).is_dir():
        yield
        return
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "python"
        shutil.copytree(HERE, work, ignore=shutil.ignore_patterns("__pycache__", "dist", "build", "*.egg-info"))
        copy_shared(work / PLACE)
        os.chdir(work)
        try:
            yield
        finally:
            os.chdir(before)


def copy_shared(into: Path) -> None:
    """Copy the shared modules and the provider files into a package."""
    prefix = ".".join(PLACE.parts)
    for path in sorted(shared_files()):
        target = into / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        target.write_text(_IMPORT.sub(rf"\1\2 {prefix}.\3", text), encoding="utf-8")
    shutil.copytree(REPOSITORY / PROVIDERS, into / PROVIDERS)
    (into / "__init__.py").write_text(
        '"""Copies of modules of Gatehouse itself, made when this package was built."""\n', encoding="utf-8"
    )


def shared_files() -> set[Path]:
    """Return the files that have to be copied: what `SHARED` imports, directly or not, at whatever moment."""
    found: set[Path] = set()
    waiting = [_file(name) for name in SHARED]
    while waiting:
        path = waiting.pop()
        if path is None or path in found:
            continue
        found.add(path)
        parent = path.parent / "__init__.py"
        while parent.is_relative_to(REPOSITORY) and parent.parent != REPOSITORY:
            waiting.append(parent)
            parent = parent.parent.parent / "__init__.py"
        waiting += [_file(name) for name in _imports(path)]
    return found


def _imports(path: Path) -> Iterator[str]:
    """Give the names of the modules that a file imports; what only a type checker reads is left out."""
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{each.name}" for each in node.names)


def _file(name: str) -> Path | None:
    """Return the file of a module of the repository, or None if it is somebody else's, or no module."""
    if name.partition(".")[0] not in _TOP:
        return None
    path = REPOSITORY.joinpath(*name.split("."))
    for each in (path.with_suffix(".py"), path / "__init__.py"):
        if each.is_file():
            return each
    return None
