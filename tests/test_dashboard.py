"""The dashboard shows what there is: each metric is counted by something, and nothing that is made is left out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cloudwatch import alarms
from tests.expressions import Deployed, translated
from tests.torture.costs import MEMORY_GB, PRICES

DEPLOYED = Deployed({"MemorySize": int(MEMORY_GB * 1024)})
WIDGETS = json.loads(DEPLOYED.properties("Dashboard")["DashboardBody"])["widgets"]
GRAPHS = {each["properties"]["title"]: each["properties"] for each in WIDGETS if each["type"] == "metric"}
BILL = next(graph for title, graph in GRAPHS.items() if title.startswith("Bill of the day"))
NAMESPACE = "Gatehouse/gatehouse"

# As AWS documents what its services count, with the dimensions that go together.
COUNTED_BY_AWS = {
    ("AWS/Lambda", ("FunctionName",)): {"Invocations", "Duration", "Errors", "Throttles", "IteratorAge"},
    ("AWS/SQS", ("QueueName",)): {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateAgeOfOldestMessage",
    },
    ("AWS/ApiGateway", ("ApiId",)): {"Count", "4xx", "5xx"},
    ("AWS/DynamoDB", ("TableName",)): {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"},
    ("AWS/DynamoDB", ("TableName", "GlobalSecondaryIndexName")): {"ConsumedWriteCapacityUnits"},
    ("AWS/Logs", ("LogGroupName",)): {"IncomingBytes"},
}


def made(kind: str) -> list[str]:
    """Return the logical ids of the template's resources of a kind."""
    return sorted(name for name, each in translated()["Resources"].items() if each["Type"] == kind)


def filters() -> dict[str, set[tuple[str, ...]]]:
    """Return what the metric filters count: by each metric's name, the dimensions that it is counted with."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for name in made("AWS::Logs::MetricFilter"):
        (said,) = DEPLOYED.properties(name)["MetricTransformations"]
        assert said["MetricNamespace"] == NAMESPACE
        found.setdefault(said["MetricName"], set()).add(tuple(each["Key"] for each in said.get("Dimensions", [])))
    return found


def shown() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """Return the metrics of all graphs: namespace, name, names and values of dimensions (none in a search)."""
    found = []
    for graph in GRAPHS.values():
        for line in graph["metrics"]:
            namespace, *rest = (each for each in line if isinstance(each, str)) if isinstance(line[0], str) else ("",)
            if namespace:
                found.append((namespace, rest[0], tuple(rest[1::2]), tuple(rest[2::2])))
            elif line[0]["expression"].startswith("SEARCH"):
                search = re.fullmatch(
                    r"""SEARCH\('\{"([^"]+)",([\w,]+)\} MetricName="(\w+)"', 'Sum', \d+\)""", line[0]["expression"]
                )
                assert search, line
                found.append((search[1], search[3], tuple(search[2].split(",")), ()))
    return found


def test_every_metric_that_is_shown_is_counted_by_something() -> None:
    """By AWS, as it documents it, or by a metric filter with just these dimensions."""
    own = filters()

    for namespace, name, dimensions, _ in shown():
        if namespace == NAMESPACE:
            assert own[name] == {dimensions}, name
        else:
            assert name in COUNTED_BY_AWS[namespace, dimensions], name


def test_every_metric_of_an_alarm_is_counted_by_something() -> None:
    """An alarm on what nobody counts would never fire."""
    own = filters()

    for alarm in alarms().values():
        for metric in alarm.metrics:
            dimensions = tuple(name for name, _ in metric.dimensions)
            if metric.namespace == NAMESPACE:
                assert own[metric.name] == {dimensions}
            else:
                assert metric.name in COUNTED_BY_AWS[metric.namespace, dimensions]


def test_nothing_is_counted_that_nobody_looks_at() -> None:
    """Each metric of one's own costs money."""
    looked_at = {name for namespace, name, _, _ in shown() if namespace == NAMESPACE}

    assert looked_at == filters().keys()


@pytest.mark.parametrize("title", ["Errors by function", "Throttles by function"])
def test_every_function_is_shown(title: str) -> None:
    """Each with its short name."""
    lines = GRAPHS[title]["metrics"]

    assert sorted(line[3] for line in lines) == sorted(map(DEPLOYED.physical_id, made("AWS::Lambda::Function")))
    assert all(line[3] == f"gatehouse-{line[4]['label']}" for line in lines)


def test_every_queue_and_every_alarm_is_shown() -> None:
    """Dead letters included."""
    queues = [line[3] for line in GRAPHS["Queues: messages"]["metrics"]]
    (states,) = (each["properties"]["alarms"] for each in WIDGETS if each["type"] == "alarm")

    assert sorted(queues) == [f"{name}.QueueName" for name in made("AWS::SQS::Queue")]
    assert sorted(states) == [f"{name}.Arn" for name in made("AWS::CloudWatch::Alarm")]


def test_widgets_lie_side_by_side() -> None:
    """On a grid that is 24 wide, none over another."""
    cells = [
        (x, y)
        for each in WIDGETS
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_a_million_calls_of_token_cost_on_the_dashboard_what_they_cost_in_the_documents() -> None:
    """The prices are those of docs/scale.md, where a million calls cost 0.74 USD."""
    used = {"n0": 1e6, "d0": 10e6, "r0": 1e6, "l0": 700e6}

    assert bill(used) == pytest.approx(0.74, abs=0.005)
    assert bill({"w1": 1e6}) == pytest.approx(PRICES["dynamodb write"] * 1e6)
    assert bill({"k0": 1e6}) == pytest.approx(2 * PRICES["kms"] * 1e6)
    assert bill({"a0": 1e6}) == pytest.approx(1.0)


def bill(used: dict[str, float]) -> float:
    """Return the sum of the bill's expressions; what was not used has no value."""
    ids = {line[-1]["id"] for line in BILL["metrics"]}
    assert used.keys() <= ids
    total = 0.0
    for line in BILL["metrics"]:
        expression = line[0].get("expression", "") if isinstance(line[0], dict) else ""
        assert set(re.findall(r"FILL\((\w+),0\)", expression)) <= ids
        filled = re.sub(r"FILL\((\w+),0\)", lambda match: str(used.get(match[1], 0.0)), expression)
        assert re.fullmatch(r"[\d.e+*/() -]*", filled), filled
        total += eval(filled) if filled else 0.0  # noqa: S307 - digits and operators, see above
    return total


def test_the_dashboard_is_a_document_that_a_template_may_hold() -> None:
    """Everything in it that looks like an expression was one."""
    text: Any = DEPLOYED.properties("Dashboard")["DashboardBody"]

    assert "${" not in text
    assert DEPLOYED.properties("Dashboard")["DashboardName"] == "gatehouse"
