"""What the tests share: a running stack, browsers, an atomic engine, and the rules for skipping."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

from tests.browser import Browser
from tests.built import running_stack
from tests.engines import running_dynalite
from tests.fired_alarms import FiredAlarms
from tests.iam.plugin import RolesAndCalls
from tests.requirements import NEEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.requirements import Need


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and what looks at all tests together: roles and alarms."""
    for need in NEEDS:
        config.addinivalue_line("markers", f"{need.marker}: needs {need.what}, skipped without it")
    config.pluginmanager.register(RolesAndCalls(config))
    config.pluginmanager.register(FiredAlarms(config))


def pytest_collection_finish() -> None:
    """Leave what was collected out of the garbage collector's sight: it stays, and going through it took a tenth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that cannot run here; with REQUIRE_ALL=1, fail it."""
    for need in NEEDS:
        if item.get_closest_marker(need.marker) is None or need.is_met():
            continue
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(f"{need.what} is missing and REQUIRE_ALL=1: {need.remedy}", pytrace=False)
        pytest.skip(_reason(need))


def _reason(need: Need) -> str:
    return f"needs {need.what}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report what was skipped, and how to get what was missing. Any of the processes may have skipped it."""
    reasons = {str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())}
    skipped = [need for need in NEEDS if any(reason.count(_reason(need)) for reason in reasons)]
    if skipped:
        terminalreporter.section("not tested on this machine")
    for need in skipped:
        terminalreporter.line(
            f"{need.what} is missing, and the tests that need it were skipped. To get it: {need.remedy}"
        )


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Give the local stack, one for all tests: it holds other tests' connections, and its clock only goes forward."""
    with running_stack() as running:
        yield running


@pytest.fixture
def demo(stack: Stack) -> Iterator[DemoServer]:
    """Give the demo authorization server without faults and without recorded requests."""
    stack.demo.reset()
    yield stack.demo
    stack.demo.reset()


@pytest.fixture
def aws_calls(stack: Stack) -> list[AwsCall]:
    """Give the list of calls to AWS, empty at first."""
    stack.aws_calls.clear()
    return stack.aws_calls


@pytest.fixture
def new_browser(stack: Stack) -> Callable[..., Browser]:
    """Open browsers that share nothing. ``merchant_id`` is the merchant that uses one."""
    return lambda merchant_id=None: Browser(stack, merchant_id)


@pytest.fixture
def browser(new_browser: Callable[..., Browser]) -> Browser:
    """Open a new browser."""
    return new_browser()


@pytest.fixture(scope="session")
def dynalite() -> Iterator[str]:
    """Run dynalite, a DynamoDB engine with atomic writes, and give its URL. Mark the test `needs_node`."""
    with running_dynalite() as url:
        yield url
