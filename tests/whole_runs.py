"""What can be said only when all tests have run, and how it is reported: like a test of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.requirements import ROOT


def is_whole(session: pytest.Session) -> bool:
    """Tell whether all tests have run: one that was left out or that failed may be the one that it depends on."""
    options = session.config.option
    narrowed = options.keyword or options.markexpr or options.deselect or getattr(options, "lf", False)
    is_everything = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return is_everything and not narrowed and not session.testsfailed


def report_outcome(session: pytest.Session, file: str, name: str, outcome: Any, text: Any) -> None:
    """Report an outcome as that of a test `name` in this file."""
    path = Path(file).relative_to(ROOT).as_posix()
    made = pytest.TestReport(f"{path}::{name}", (path, None, name), {}, outcome, text, "call")
    session.config.hook.pytest_runtest_logreport(report=made)
    if outcome == "failed":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
