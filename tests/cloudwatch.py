"""CloudWatch as far as the template uses it: metric filters on lines of JSON, and alarms on metrics, minute by minute.

What it knows is from AWS's documentation: how a missing value is treated, M of N datapoints, periods, and what a
filter's pattern means. A pattern or expression that is new here is an error, not a guess.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.expressions import Deployed, translated
from tests.filter_patterns import matches, value_at
from tests.fired_alarms import note_fired
from tests.functions import logical_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max}


@dataclass(frozen=True)
class Metric:
    """The identity of a metric. ``dimensions`` are pairs of name and value."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()

    @staticmethod
    def of(properties: Mapping[str, Any]) -> Metric:
        """Return the metric that an alarm names."""
        dimensions = {(each["Name"], each["Value"]) for each in properties.get("Dimensions", [])}
        return Metric(properties["Namespace"], properties["MetricName"], frozenset(dimensions))


def lambda_metric(function: str, name: str) -> Metric:
    """Return a metric that Lambda has of a function of the template."""
    return Metric("AWS/Lambda", name, frozenset({("FunctionName", Deployed().physical_id(function))}))


@dataclass
class Metrics:
    """Values by metric and minute. A minute without any has no value, which is not zero."""

    values: dict[Metric, dict[int, list[float]]] = field(default_factory=dict)

    def put(self, metric: Metric, minute: int, value: float = 1.0) -> None:
        """Add a value."""
        self.values.setdefault(metric, {}).setdefault(minute, []).append(value)

    def statistic(self, metric: Metric, name: str, first: int, minutes: int) -> float | None:
        """Return a statistic over some minutes from ``first`` on; None if there is no value."""
        series = self.values.get(metric, {})
        found = [value for minute in range(first, first + minutes) for value in series.get(minute, [])]
        return _STATISTICS[name](found) if found else None


def count(metrics: Metrics, function: str, lines: Iterable[str], minute: int, deployed: Deployed | None = None) -> None:
    """Add what the template's metric filters count in some lines of a function's log."""
    deployed = deployed or Deployed()
    for name, resource in translated()["Resources"].items():
        if resource["Type"] != "AWS::Logs::MetricFilter":
            continue
        properties = deployed.properties(name)
        if properties["LogGroupName"] != f"{logical_name(function)}LogGroup":
            continue
        (transformation,) = properties["MetricTransformations"]
        for line in lines:
            if matches(properties["FilterPattern"], line):
                metric = _counted(transformation, line)
                metrics.put(metric, minute, float(transformation["MetricValue"]))


def _counted(transformation: Mapping[str, Any], line: str) -> Metric:
    """Return the metric that a line is counted in. A filter with dimensions counts no line that lacks one of them."""
    document = json.loads(line)
    dimensions = {(each["Key"], value_at(document, each["Value"])) for each in transformation.get("Dimensions", [])}
    assert all(isinstance(value, str) for _, value in dimensions), line
    return Metric(transformation["MetricNamespace"], transformation["MetricName"], frozenset(dimensions))


class Alarm:
    """An alarm of the template, or one with given properties."""

    def __init__(self, name: str, properties: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._is_of_template = properties is None
        self._properties = _as_deployed(name) if properties is None else properties
        self._missing = self._properties["TreatMissingData"]
        self._state = "OK"

    @property
    def metrics(self) -> list[Metric]:
        """Return the metrics that it reads."""
        return [Metric.of(each["MetricStat"]["Metric"]) for each in self._parts()]

    def fires_within(self, metrics: Metrics, minutes: int, begins: int = 0) -> int | None:
        """Return the minute at which the alarm fires, evaluated each minute from ``begins`` on; None if it does not."""
        return next((minute for minute in range(begins, begins + minutes) if self.is_firing(metrics, minute)), None)

    def is_firing(self, metrics: Metrics, now: int) -> bool:
        """Return the state after the minute before ``now``, and keep it: with ``ignore`` it is the next one, too."""
        period = self._period()
        wanted = self._properties["EvaluationPeriods"]
        ends = [now - period * number for number in range(wanted)]
        values = [self._value(metrics, end - period, period) for end in ends]
        present = [value for value in values if value is not None]
        absent = len(values) - len(present)
        if self._missing == "ignore" and not present:
            return self._state == "ALARM"
        breaching = sum(self._is_breaching(value) for value in present)
        breaching += absent if self._missing == "breaching" else 0
        self._state = "ALARM" if breaching >= self._properties.get("DatapointsToAlarm", wanted) else "OK"
        if self._state == "ALARM" and self._is_of_template:
            note_fired(self.name)
        return self._state == "ALARM"

    def _parts(self) -> list[Any]:
        if "Metrics" in self._properties:
            return [each for each in self._properties["Metrics"] if "MetricStat" in each]
        metric = {name: self._properties.get(name, []) for name in ("Namespace", "MetricName", "Dimensions")}
        stat = {"Metric": metric, "Period": self._properties["Period"], "Stat": self._properties["Statistic"]}
        return [{"Id": "only", "MetricStat": stat}]

    def _period(self) -> int:
        (seconds,) = {each["MetricStat"]["Period"] for each in self._parts()}
        assert seconds % 60 == 0
        return int(seconds // 60)

    def _value(self, metrics: Metrics, first: int, minutes: int) -> float | None:
        parts = {
            each["Id"]: metrics.statistic(
                Metric.of(each["MetricStat"]["Metric"]), each["MetricStat"]["Stat"], first, minutes
            )
            for each in self._parts()
        }
        expressions = [each["Expression"] for each in self._properties.get("Metrics", []) if "Expression" in each]
        if not expressions:
            return parts["only"]
        (expression,) = expressions
        names = list(parts) if expression == "SUM(METRICS())" else expression.split(" + ")
        assert set(names) == set(parts), expression
        values = [parts[name] for name in names]
        if expression == "SUM(METRICS())":
            # A sum over several series passes over those without a value; `a + b` has none where one of them has none.
            return sum(present) if (present := [value for value in values if value is not None]) else None
        return None if None in values else sum(value for value in values if value is not None)

    def _is_breaching(self, value: float) -> bool:
        return _COMPARISONS[self._properties["ComparisonOperator"]](value, float(self._properties["Threshold"]))


@cache
def _as_deployed(name: str) -> Any:
    return Deployed().properties(name)


def alarms() -> dict[str, Alarm]:
    """Return the template's alarms by their logical ids."""
    kinds = {name: each["Type"] for name, each in translated()["Resources"].items()}
    return {name: Alarm(name) for name, kind in kinds.items() if kind == "AWS::CloudWatch::Alarm"}
