"""What works without being called: the queues' event source mappings, and the schedule, as the template names them."""

from __future__ import annotations

import json
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.cloudformation import QueueMapping, Schedule
    from local.invoker import Invoker

_IDLE_SECONDS = 0.5
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


class Background:
    """Polls the queues and keeps the schedule by the stack's clock.

    ``start`` does so in threads; a test that wants to know when what happens calls ``poll`` and ``run_schedules``.
    """

    def __init__(
        self,
        mappings: Sequence[QueueMapping],
        schedules: Sequence[Schedule],
        invoker: Invoker,
        now: Callable[[], float],
    ) -> None:
        self._mappings = mappings
        self._schedules = schedules
        self._invoker = invoker
        self._now = now
        self._sqs = boto3.client("sqs")
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to poll each queue, and to watch the clock."""
        jobs = [partial(self._keep_polling, mapping) for mapping in self._mappings]
        jobs += [partial(self._keep_time, schedule) for schedule in self._schedules]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads, each after what it is doing."""
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def poll(self) -> int:
        """Work off what is visible in the queues, and what that puts there; return how many messages that were."""
        worked = 0
        while batch := sum(self._poll(mapping) for mapping in self._mappings):
            worked += batch
        return worked

    def run_schedules(self) -> list[Any]:
        """Invoke what the schedules invoke, once, and return the answers."""
        invocations = [self._invoker.invoke(schedule.function, schedule.payload) for schedule in self._schedules]
        return [json.loads(invocation.payload) for invocation in invocations]

    def _keep_polling(self, mapping: QueueMapping) -> None:
        while not self._ended.is_set():
            if not self._poll(mapping):
                self._ended.wait(_IDLE_SECONDS)

    def _keep_time(self, schedule: Schedule) -> None:
        period = seconds_of(schedule.expression)
        last = self._now()
        while period and not self._ended.wait(_IDLE_SECONDS):
            if self._now() >= last + period:
                last = self._now()
                self._invoker.invoke(schedule.function, schedule.payload)

    def _poll(self, mapping: QueueMapping) -> int:
        """Hand one batch to the function and delete what it worked off; the rest becomes visible again by itself."""
        received = self._sqs.receive_message(
            QueueUrl=mapping.queue_url,
            MaxNumberOfMessages=mapping.batch_size,
            WaitTimeSeconds=0,
            AttributeNames=["All"],
        ).get("Messages", [])
        if not received:
            return 0
        records = [_record(message, mapping) for message in received]
        invocation = self._invoker.invoke(mapping.function, {"Records": records})
        answer = {} if invocation.unhandled else json.loads(invocation.payload)
        again = {failure["itemIdentifier"] for failure in answer.get("batchItemFailures", [])}
        for message in received:
            if not invocation.unhandled and message["MessageId"] not in again:
                self._sqs.delete_message(QueueUrl=mapping.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return len(received)


def seconds_of(expression: str) -> float:
    """Return the period of a ``rate(...)``; 0 for a ``cron(...)``, which the stack does not keep."""
    match = _RATE.fullmatch(expression)
    return int(match[1]) * _UNITS[match[2]] if match else 0


def _record(message: Any, mapping: QueueMapping) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.queue_arn,
        "awsRegion": mapping.queue_arn.split(":")[3],
    }
