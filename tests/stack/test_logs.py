"""The log groups of the local stack hold what its functions log, and the documented commands find it there."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack that runs the functions itself, as `make run` does: those of other tests run in other processes."""
    with Stack() as started:
        yield started


@pytest.fixture
def group(stack: Stack) -> str:
    """Give the log group of `token`, as the documented command finds it."""
    configuration = boto3.client("lambda").get_function_configuration(FunctionName="gatehouse-token")
    assert configuration["LoggingConfig"]["LogGroup"] == stack.deployment.log_groups["gatehouse-token"]
    return configuration["LoggingConfig"]["LogGroup"]


def messages(group: str, **parameters: Any) -> list[dict[str, Any]]:
    """Return the lines that `filter-log-events` finds."""
    return [
        json.loads(event["message"])
        for event in boto3.client("logs").filter_log_events(logGroupName=group, **parameters)["events"]
    ]


def test_a_line_is_found_by_a_pattern_and_by_its_time(stack: Stack, group: str) -> None:
    """`aws logs tail` and `filter-log-events` ask so; lines of other functions and older ones are left out."""
    before = int(time.time() * 1000)
    stack.invoke("token", {"connection_id": "logged-1"})
    stack.invoke("connections", {"connection_id": "logged-1"})

    found = messages(group, filterPattern='{ $.connection_id = "logged-1" }', startTime=before)

    assert [(line["message"], line["outcome"]) for line in found] == [("token", "connection_not_found")]
    assert messages(group, filterPattern="logged-1 token", startTime=before) == found
    assert messages(group, filterPattern='{ $.connection_id = "logged-1" }', endTime=before - 1) == []


def test_a_line_is_on_the_clock_of_the_stack(stack: Stack, group: str) -> None:
    """Whoever has moved it sees in which order things happened for the functions."""
    stack.invoke("token", {"connection_id": "logged-2"})
    stack.clock.advance(86400)
    stack.invoke("token", {"connection_id": "logged-2"})

    first, second = messages(group, filterPattern='{ $.connection_id = "logged-2" }')

    assert second["timestamp"][:10] > first["timestamp"][:10]


def test_each_saved_query_can_be_asked(stack: Stack) -> None:
    """By its own text, with what the customer said put in; one that is not understood is refused, not guessed at."""
    stack.invoke("start", {"provider": "nobody", "connection_id": "logged-3"})
    logs, now = boto3.client("logs"), int(time.time())
    times: Any = {"startTime": now - 3600, "endTime": now + 1}
    found: dict[str, list[Any]] = {}

    for query in logs.describe_query_definitions()["queryDefinitions"]:
        text = query["queryString"].replace("WHAT_YOU_KNOW", "logged-3")
        started = logs.start_query(logGroupNames=query["logGroupNames"], queryString=text, **times)
        answer = logs.get_query_results(queryId=started["queryId"])
        assert answer["status"] == "Complete"
        found[query["name"].rpartition("/")[2].partition(" ")[0]] = answer["results"]

    assert any({"field": "outcome", "value": "unknown_provider"} in row for row in found["1"])
    with pytest.raises(ClientError, match="MalformedQuery"):
        logs.start_query(logGroupNames=["any"], queryString="parse @message '*'", **times)
