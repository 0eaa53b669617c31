"""What is installed, and what an import costs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING
from zipfile import ZipFile

import gatehouse
from tests.clients import installed
from tools import client_size

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_LOADED = "import json, sys; import gatehouse; print(json.dumps(sorted(sys.modules)))"


def test_what_is_tested_is_the_installed_package() -> None:
    """The tests import it from the environment that the wheel was installed in."""
    assert str(installed.environment()) in str(gatehouse.__file__)


def test_an_import_loads_nothing_that_a_call_may_not_need() -> None:
    """Neither boto3 nor what only some callers have: those who catch an error or read a type pay for neither."""
    done = subprocess.run([installed.python(), "-c", _LOADED], capture_output=True, check=True, text=True)

    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded & {"boto3", "botocore", "requests", "urllib3", "httpx", "asyncio", "rich", "typer", "click"} == set()


def test_the_wheel_has_the_package_and_its_types(tmp_path: Path) -> None:
    """A type checker believes them (PEP 561), and the version is that of the package."""
    built = installed.wheel(tmp_path)

    names = ZipFile(built).namelist()
    assert {"gatehouse/__init__.py", "gatehouse/py.typed", "gatehouse/auth.py"} <= set(names)
    assert not [name for name in names if "test" in name]
    assert f"-{gatehouse.__version__}-py3-none-any.whl" in built.name


def test_a_command_prints_what_the_client_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes of the wheel, and milliseconds of an import and of a client."""
    client_size.main(times=1)

    printed = capsys.readouterr().out
    assert "wheel" in printed
    assert "import gatehouse" in printed
