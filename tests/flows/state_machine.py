"""Walks a state machine of Step Functions: the part of the Amazon States Language that the example uses.

It refuses every field that it does not know, so that none is passed over. See https://states-language.net.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_STATES = 50
_INVOKE = "arn:aws:states:::lambda:invoke"
_COMMON = {"Type", "Next", "Comment"}
_KNOWN = {
    "Task": {"Resource", "Parameters", "TimeoutSeconds", "Retry", "ResultPath"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath"},
    "Pass": {"InputPath", "ResultPath", "End"},
    "Fail": {"Error", "Cause"},
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "BooleanEquals": lambda value, wanted: isinstance(value, bool) and value == wanted,
    "NumericEquals": lambda value, wanted: _is_number(value) and value == wanted,
    "NumericGreaterThan": lambda value, wanted: _is_number(value) and value > wanted,
    "StringEquals": lambda value, wanted: isinstance(value, str) and value == wanted,
}


class NoSuchPath(Exception):
    """What a path leads to is not there: Step Functions ends the execution with States.Runtime."""


class ExecutionFailed(Exception):
    """The execution ended in a Fail state, or with an error that nothing retries."""


@dataclass
class Machine:
    """A definition, and what stands for its functions: by the names that the definition has for them."""

    definition: Mapping[str, Any]
    functions: Mapping[str, Callable[[Any], Any]]
    sleep: Callable[[float], None]
    """Waits as long as the definition says, by whatever clock."""
    visited: list[str] = field(default_factory=list)

    def run(self, given: dict[str, Any]) -> Any:
        """Return the output of an execution. Raises ExecutionFailed."""
        data, name = copy.deepcopy(given), self.definition["StartAt"]
        while len(self.visited) < _MOST_STATES:
            self.visited.append(name)
            state = self.definition["States"][name]
            unknown = state.keys() - _COMMON - _KNOWN[state["Type"]]
            assert not unknown, f"{name}: {unknown}"
            if "End" in state:
                return at(data, state["InputPath"])
            if state["Type"] == "Fail":
                raise ExecutionFailed(state["Error"])
            name = self._chosen(state, data) if state["Type"] == "Choice" else self._done(state, data)
        raise AssertionError(f"No end after {_MOST_STATES} states: {self.visited}")

    def _done(self, state: Mapping[str, Any], data: dict[str, Any]) -> str:
        if state["Type"] == "Wait":
            self.sleep(state["Seconds"] if "Seconds" in state else at(data, state["SecondsPath"]))
        elif state["Type"] == "Pass":
            put(data, state["ResultPath"], at(data, state["InputPath"]))
        else:
            put(data, state["ResultPath"], {"Payload": self._invoked(state, filled(state["Parameters"], data))})
        return str(state["Next"])

    def _invoked(self, state: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        """Return what the function answers; after an error, what it answers in the end."""
        assert state["Resource"] == _INVOKE
        attempts = 0
        while True:
            try:
                return self.functions[parameters["FunctionName"]](parameters["Payload"])
            except Exception as error:
                retrier = _retrier(state, type(error).__name__)
                if retrier is None or attempts == retrier["MaxAttempts"]:
                    raise ExecutionFailed(type(error).__name__) from error
                self.sleep(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempts)
                attempts += 1

    @staticmethod
    def _chosen(state: Mapping[str, Any], data: dict[str, Any]) -> str:
        return str(next((rule["Next"] for rule in state["Choices"] if _holds(rule, data)), state["Default"]))


def _retrier(state: Mapping[str, Any], error: str) -> Mapping[str, Any] | None:
    return next((each for each in state.get("Retry", ()) if error in each["ErrorEquals"]), None)


def _holds(rule: Mapping[str, Any], data: dict[str, Any]) -> bool:
    """Return whether a rule of a Choice holds. A path that leads nowhere ends the execution, but for IsPresent."""
    ((comparison, wanted),) = ((name, value) for name, value in rule.items() if name not in {"Variable", "Next"})
    if comparison == "IsPresent":
        return is_there(data, rule["Variable"]) is wanted
    return _COMPARISONS[comparison](at(data, rule["Variable"]), wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def filled(template: Any, data: dict[str, Any]) -> Any:
    """Return a payload template with what its paths lead to."""
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): at(data, value) if name.endswith(".$") else filled(value, data)
        for name, value in template.items()
    }


def at(data: Any, path: str) -> Any:
    """Return what a reference path leads to, like `$.a.b`. Raises NoSuchPath."""
    root, *names = path.split(".")
    assert root == "$", path
    for name in names:
        if not isinstance(data, dict) or name not in data:
            raise NoSuchPath(path)
        data = data[name]
    return data


def is_there(data: Any, path: str) -> bool:
    """Return whether a reference path leads to anything."""
    try:
        at(data, path)
    except NoSuchPath:
        return False
    return True


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Put a result where its path says: one name below the root."""
    root, name = path.split(".")
    assert root == "$", path
    data[name] = value
