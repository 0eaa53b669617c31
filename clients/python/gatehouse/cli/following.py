"""Events as they are published, one after the other.

EventBridge keeps none. To see them, a rule and a queue of their own are made, and taken away at the end. One that was
killed leaves both: the next call takes away what is older than a day.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .account import Account

_MADE_FOR = "gatehouse events --follow"
_DAY = 86400
_WAIT_SECONDS = 10
_PAUSE = 1.0


def published(account: Account) -> list[dict[str, Any]]:
    """Return what the stack on this machine has published, oldest first."""
    events: list[dict[str, Any]] = account.asked_locally("/_local/events", "events")["events"]
    return events


def followed_locally(account: Account) -> Iterator[dict[str, Any]]:
    """Give what it publishes from now on."""
    seen = {event["id"] for event in published(account)}
    while True:
        new = [event for event in published(account) if event["id"] not in seen]
        seen.update(event["id"] for event in new)
        yield from new
        time.sleep(_PAUSE)


def followed(account: Account, wait: int = _WAIT_SECONDS) -> Iterator[dict[str, Any]]:
    """Give what the stack publishes from now on, asked for every `wait` seconds; take all away at the end."""
    _take_away_old(account)
    with _queue(account) as url:
        while True:
            received = account.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
            messages = received.get("Messages", [])
            for message in messages:
                yield json.loads(message["Body"])
            for message in messages:
                account.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _prefix(account: Account) -> str:
    return f"{account.stack[:40]}-follow-"


def _bus(account: Account) -> str:
    return account.parameters.get("EventBusName") or "default"


@contextmanager
def _queue(account: Account) -> Iterator[str]:
    """Make a queue that gets the events, and give its URL."""
    sqs, events = account.client("sqs"), account.client("events")
    name, bus = f"{_prefix(account)}{int(time.time())}-{uuid.uuid4().hex[:6]}", _bus(account)
    with ExitStack() as at_the_end:
        attributes = {"MessageRetentionPeriod": "300", "SqsManagedSseEnabled": "true"}
        url = sqs.create_queue(QueueName=name, Attributes=attributes, tags={"made-for": _MADE_FOR})["QueueUrl"]
        at_the_end.callback(sqs.delete_queue, QueueUrl=url)
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["gatehouse"], "detail": {"deployment": [account.stack]}}
        rule = events.put_rule(
            Name=name, EventBusName=bus, EventPattern=json.dumps(pattern), Description=f"Made for {_MADE_FOR}"
        )["RuleArn"]
        at_the_end.callback(events.delete_rule, Name=name, EventBusName=bus)
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": queue}])
        at_the_end.callback(events.remove_targets, Rule=name, EventBusName=bus, Ids=["queue"])
        yield url


def _take_away_old(account: Account) -> None:
    """Take away what calls have left that were killed."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - it takes long to load

    sqs, events, bus = account.client("sqs"), account.client("events"), _bus(account)
    for url in sqs.list_queues(QueueNamePrefix=_prefix(account)).get("QueueUrls", []):
        name = url.rpartition("/")[2]
        made = name.removeprefix(_prefix(account)).partition("-")[0]
        if not made.isdigit() or time.time() - int(made) < _DAY:
            continue
        with suppress(ClientError):
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
            events.delete_rule(Name=name, EventBusName=bus)
        sqs.delete_queue(QueueUrl=url)
