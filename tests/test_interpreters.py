"""Where a suitable Python is searched for. The interpreter that runs the tests plays the suitable one."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from typing import TYPE_CHECKING

import pytest

from tools import interpreters

if TYPE_CHECKING:
    from pathlib import Path

OWN = int.from_bytes(importlib.util.MAGIC_NUMBER[:2], "little")


def install(path: Path, python: str = sys.executable) -> str:
    """Install a command that runs a Python."""
    return script(path, f'exec "{python}" "$@"')


def shim(path: Path) -> str:
    """Install a version manager's command for a version that is not selected: it only says so."""
    return script(path, "echo 'python3.13: command not found' >&2; exit 127")


def script(path: Path, line: str) -> str:
    """Install a command."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("PATH", "{home}/a:{home}/b", "b/python3.13"),
        ("PYENV_ROOT", "{home}/opt", "opt/versions/3.13.2/bin/python3.13"),
        ("PYENV_ROOT", "", ".pyenv/versions/3.13.2/bin/python3.13"),
        ("UV_PYTHON_INSTALL_DIR", "{home}/opt", "opt/cpython-3.13.2-linux-x86_64-gnu/bin/python3.13"),
        ("XDG_DATA_HOME", "{home}/opt", "opt/uv/python/cpython-3.13.2-linux-x86_64-gnu/bin/python3.13"),
        ("XDG_DATA_HOME", "", ".local/share/uv/python/cpython-3.13.2-macos-aarch64-none/bin/python3.13"),
    ],
)
def test_a_python_is_found_where_it_was_installed(variable: str, value: str, place: str, tmp_path: Path) -> None:
    """On the PATH, or in the folders of pyenv and uv, by their own variables or by default."""
    # given
    there = install(tmp_path / place)
    environ = {"HOME": str(tmp_path), variable: value.format(home=tmp_path)}

    # when
    found = interpreters.find(interpreters.installed("3.13", environ), OWN)

    # then
    assert found.path == there
    assert found.name == f"{platform.python_implementation()} {platform.python_version()}"


def test_a_shim_in_front_hides_no_python(tmp_path: Path) -> None:
    """A version manager's command that only says that it is not selected is skipped for one behind it."""
    shim(tmp_path / "shims" / "python3.13")
    there = install(tmp_path / "bin" / "python3.13")
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/shims{os.pathsep}{tmp_path}/bin"}

    found = interpreters.find(interpreters.installed("3.13", environ), OWN)

    assert found.path == there


def test_the_newest_installed_version_is_taken(tmp_path: Path) -> None:
    """Of several suitable patch releases, 3.13.10 comes before 3.13.9."""
    for version in ("3.13.9", "3.13.10", "3.13.0", "3.12.12"):
        install(tmp_path / ".pyenv" / "versions" / version / "bin" / "python3.13")

    found = interpreters.find(interpreters.installed("3.13", {"HOME": str(tmp_path)}), OWN)

    assert "3.13.10" in found.path


def test_a_python_of_the_right_name_with_another_magic_number_is_passed_over(tmp_path: Path) -> None:
    """The magic number of its bytecode shows an early build or another implementation, and the message has it."""
    # given
    other = install(tmp_path / "python3.13")
    absent = shim(tmp_path / ".pyenv" / "versions" / "3.13.2" / "bin" / "python3.13")
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path)}

    # when
    with pytest.raises(interpreters.NoneFits) as tried:
        interpreters.find(interpreters.installed("3.13", environ), OWN + 1)

    # then
    name = f"{platform.python_implementation()} {platform.python_version()}"
    assert str(tried.value) == f"{other} ({name}, magic number {OWN}), {absent} (does not run as Python)"


@pytest.mark.parametrize("content", ["", "not a program", "#!/nowhere/python\n"])
def test_a_file_that_is_not_a_python_is_skipped(content: str, tmp_path: Path) -> None:
    """It cannot be run, or does not answer as Python does."""
    file = tmp_path / "python3.13"
    file.write_text(content, "utf-8")
    file.chmod(0o755)

    assert interpreters.ask(str(file)) is None
    assert interpreters.ask(str(tmp_path)) is None
    assert interpreters.ask(str(tmp_path / "absent")) is None
