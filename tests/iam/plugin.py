"""Judges the roles at the end of a run, by all that the functions have asked of AWS in any of its tests and processes.

What no role allows is an error after any run. That each right is used can be said after a whole run only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from local.stack import Stack
from tests.requirements import IAM_EVALUATOR
from tests.whole_runs import is_whole, report_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import FunctionCall
    from tests.iam.requests import Recording
    from tests.iam.rights import Findings

_NAME = "every_call_is_allowed_and_every_right_is_used"
_OUTPUT = "requests_to_aws"


class RolesAndCalls:
    """Records in every process; the one that the others report to compares, and reports like a test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._recording: Recording | None = None
        self._from_others: list[str] = []
        self._findings: Findings | None = None
        Stack.watchers.append(self._watch)

    def _watch(self, stack: Stack) -> Callable[[FunctionCall], None]:
        # Late, because most runs of a few tests have no stack, and need neither boto3 nor the template.
        from tests.iam.requests import Recording  # noqa: PLC0415

        self._recording = self._recording or Recording()
        return self._recording.watch(stack)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what another process has recorded."""
        recorded = getattr(node, "workeroutput", {}).get(_OUTPUT)
        self._from_others += [recorded] if recorded else []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand on what was recorded, or judge it."""
        for_the_controller: dict[str, str] | None = getattr(self._config, "workeroutput", None)
        if for_the_controller is not None:
            for_the_controller[_OUTPUT] = self._recording.written() if self._recording else ""
            return
        if self._recording is None and not self._from_others:
            return
        run_is_whole = is_whole(session)
        outcome, text = self._judge(run_is_whole=run_is_whole)
        if run_is_whole or outcome == "failed":
            report_outcome(session, __file__, _NAME, outcome, text)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how much was compared."""
        if self._findings is not None:
            found = self._findings
            terminalreporter.line(f"IAM: {found.requests} different requests to AWS, {found.rights} rights")

    def _judge(self, *, run_is_whole: bool) -> tuple[str, Any]:
        from tests.iam.requests import Recording, made_by_lambda  # noqa: PLC0415 - as above
        from tests.iam.rights import judged  # noqa: PLC0415

        if not IAM_EVALUATOR.is_met():
            if run_is_whole and os.environ.get("REQUIRE_ALL") == "1":
                return "failed", f"{IAM_EVALUATOR.what} is missing and REQUIRE_ALL=1: {IAM_EVALUATOR.remedy}"
            return "skipped", (__file__, 0, f"Skipped: needs {IAM_EVALUATOR.what}")
        recording = self._recording or Recording()
        for text in self._from_others:
            recording.read(text)
        try:
            found = judged(recording.account, {*recording.requests, *made_by_lambda(recording.account)})
        except AssertionError as error:
            return "failed", str(error)
        self._findings = found
        wrong = [f"Not allowed: {each}" for each in found.refused]
        if run_is_whole:
            wrong += [f"Not needed by any test: {each}" for each in found.unneeded]
        return ("failed", "\n".join(wrong)) if wrong else ("passed", None)
