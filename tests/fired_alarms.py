"""Says at the end of a run which tests have fired each alarm of the template; a whole run fails if one never fired.

A test fires an alarm by `Alarm` in `tests/cloudwatch.py`, which evaluates it as CloudWatch does. For the table alone:
`python -m pytest tests/test_alarms.py tests/flows/test_alarms_on_logs.py tests/flows/test_events.py`
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.whole_runs import is_whole, report_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROPERTY = "fired_alarm"

_fired: set[str] = set()


def note_fired(alarm: str) -> None:
    """Note that an alarm of the template has fired."""
    _fired.add(alarm)


def _alarms() -> set[str]:
    # Late, because most runs of a few tests need no template.
    from tests.cloudwatch import alarms  # noqa: PLC0415

    return set(alarms())


class FiredAlarms:
    """Notes in every process which alarms a test has fired; the one that the others report to counts them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: dict[str, Counter[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Note them with the test. Its report takes that to the process that the others report to."""
        _fired.clear()
        yield
        item.user_properties += [(_PROPERTY, name) for name in sorted(_fired)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what a test has fired, if it held."""
        if report.when == "call" and report.passed:
            for name, fired in report.user_properties:
                if name == _PROPERTY:
                    self._tests.setdefault(str(fired), Counter())[report.nodeid.partition("[")[0]] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Judge a whole run."""
        if hasattr(self._config, "workeroutput") or not is_whole(session):
            return
        never = sorted(_alarms() - self._tests.keys())
        text = f"No test fires: {', '.join(never)}" if never else None
        report_outcome(session, __file__, "every_alarm_is_fired_by_a_test", "failed" if never else "passed", text)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table: how many tests fire each alarm, and the function of the one that fires the fewest others."""
        if not self._tests:
            return
        known = _alarms()
        terminalreporter.section(f"alarms fired: {len(self._tests.keys() & known)} of {len(known)}")
        fires = Counter(test for tests in self._tests.values() for test in tests)
        for name in sorted(known):
            if name in self._tests:
                tests = self._tests[name]
                example = min(tests, key=lambda test: (fires[test], test))
                terminalreporter.line(f"{name:30} {tests.total():3}  {example}")
