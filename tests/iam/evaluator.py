"""Decisions of an implementation of IAM that is not ours: @cloud-copilot/iam-simulate."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.iam.account import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.iam.account import Policy

ALLOWED = "Allowed"
EXPLICITLY_DENIED = "ExplicitlyDenied"
IMPLICITLY_DENIED = "ImplicitlyDenied"

_SCRIPT = Path(__file__).with_name("evaluator.mjs")


@dataclass(frozen=True)
class Case:
    """A request to AWS, and the policies that apply: those of who asks, and that of what is asked for if it has one."""

    principal: str
    action: str
    resource: str
    policies: Sequence[Policy]
    resource_policy: Policy | None = None
    context: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


class _Numbered:
    """The documents that cases share, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number_of(self, policy: Policy) -> int:
        return self._numbers.setdefault(json.dumps(policy, sort_keys=True), len(self._numbers))

    @property
    def documents(self) -> list[Any]:
        return [json.loads(text) for text in self._numbers]


def decide(cases: Iterable[Case]) -> list[str]:
    """Return a decision for each case. A case that makes no sense, like one of an unknown action, fails the test."""
    asked, known = list(cases), _Numbered()
    cases_as_json = [_as_json(case, known) for case in asked]
    decisions = _answer({"cases": cases_as_json, "policies": known.documents})
    for case, decision in zip(asked, decisions, strict=True):
        assert isinstance(decision, str), (case, decision)
    return list(decisions)


@cache
def _process() -> subprocess.Popen[str]:
    """Start the evaluator, once: it loads what AWS's services can do."""
    command = [shutil.which("node") or "node", str(_SCRIPT)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)
    return process


def _answer(document: Any) -> Any:
    process = _process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(document) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def _as_json(case: Case, known: _Numbered) -> dict[str, Any]:
    return {
        "principal": case.principal,
        "action": case.action,
        "resource": case.resource,
        "account": ACCOUNT,
        "context": dict(case.context),
        "identity": [known.number_of(policy) for policy in case.policies],
        "policy": None if case.resource_policy is None else known.number_of(case.resource_policy),
    }
