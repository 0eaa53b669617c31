"""`gatehouse events`: what a stack publishes."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3

from tests.clients.cli.conftest import run
from tests.deployed import deploy

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse

_SECONDS = 60


def test_what_was_published_is_listed(gatehouse: Gatehouse, browser: Browser, stack: Stack) -> None:
    """On one machine, in words and as JSON Lines; in AWS nothing is kept."""
    for stream in stack.background.streams:
        stream.skip()  # what other tests have written
    connection_id = browser.connect(connection_id="cli-events")
    stack.background.poll_streams()

    words = gatehouse("events", "--connection", connection_id)
    lines = gatehouse("events", "--connection", connection_id, "--json").out.splitlines()
    in_aws = run("events", "--region", "us-east-1")

    assert [json.loads(line)["detail-type"] for line in lines] == ["connection.authorized"]
    assert "authorized" in words.out
    assert (in_aws.code, "--follow" in in_aws.err) == (2, True)


def test_following_leaves_nothing_behind(stack: Stack) -> None:
    """A rule sends events into a queue of its own; both go at the end, and so does what a killed call has left."""
    from gatehouse.cli.account import Account  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.following import followed  # noqa: PLC0415 - as above

    # given
    name, sqs, events = deploy(stack), boto3.client("sqs"), boto3.client("events")
    left = f"{name}-follow-{int(time.time()) - 100_000}-abcdef"
    sqs.create_queue(QueueName=left)
    events.put_rule(Name=left, EventPattern="{}")
    event = {"detail-type": "connection.revoked", "detail": {"connection_id": "shop-1"}, "time": "2026-11-29T17:13:54Z"}
    following = followed(Account(name, "us-east-1", None, None), wait=0)

    # when
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, following)
        try:
            url = _target(name, left)
            sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
            found: dict[str, Any] = first.result(timeout=_SECONDS)
        except BaseException:
            # It would wait for events for ever, and this test for it.
            for each in sqs.list_queues(QueueNamePrefix=f"{name}-follow").get("QueueUrls", []):
                sqs.delete_queue(QueueUrl=each)
            raise
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    following.close()  # type: ignore[attr-defined]  # it is a generator

    # then
    assert found == event
    assert policy["Statement"][0]["Principal"] == {"Service": "events.amazonaws.com"}
    assert sqs.list_queues(QueueNamePrefix=f"{name}-follow").get("QueueUrls", []) == []
    assert events.list_rules(NamePrefix=f"{name}-follow")["Rules"] == []


def _target(name: str, left: str) -> str:
    """Return the URL of the queue that the rule sends to, once there is one."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        for rule in events.list_rules(NamePrefix=f"{name}-follow")["Rules"]:
            targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if rule["Name"] != left and targets:
                assert json.loads(rule["EventPattern"])["detail"] == {"deployment": [name]}
                return str(sqs.get_queue_url(QueueName=targets[0]["Arn"].rpartition(":")[2])["QueueUrl"])
        time.sleep(0.05)
    raise AssertionError("no rule was made")
