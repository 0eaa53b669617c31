"""What Lambda calls by itself: for the queues and the stream, and on schedule, as the template names them."""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.account import LAMBDA_SERVICE
from local.gateway.stream import StreamPoller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.aws.cloudformation import QueueMapping, Schedule, StreamMapping
    from local.gateway.invoker import Invocation, Invoker

_IDLE_SECONDS = 0.5
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class _Hidden:
    """A message that failed: nobody gets it before the queue's visibility timeout is over, by the stack's clock."""

    receipt_handle: str
    until: float


class Background:
    """Polls the queues and streams, and keeps the schedule by the stack's clock.

    ``start`` does so in threads; a test that wants to know when what happens calls ``poll``, ``poll_streams`` and
    ``run_schedules``.
    """

    def __init__(
        self,
        mappings: Sequence[QueueMapping],
        schedules: Sequence[Schedule],
        invoker: Invoker,
        now: Callable[[], float],
        streams: Sequence[StreamMapping] = (),
    ) -> None:
        self._mappings = mappings
        self._schedules = schedules
        self.streams = [StreamPoller(mapping, invoker) for mapping in streams]
        self._invoker = invoker
        self._now = now
        self._sqs = boto3.client("sqs", config=Config(user_agent_extra=LAMBDA_SERVICE))
        self._hidden: dict[str, list[_Hidden]] = defaultdict(list)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to poll each queue and stream, and to watch the clock."""
        jobs = [
            partial(self._keep_polling, mapping.function, partial(self._poll, mapping)) for mapping in self._mappings
        ]
        jobs += [partial(self._keep_polling, stream.function, stream.poll) for stream in self.streams]
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

    def poll_streams(self) -> int:
        """Hand on what is new in the streams, once; return how many writes were worked off."""
        return sum(stream.poll() for stream in self.streams)

    def run_schedules(self) -> list[Any]:
        """Invoke what the schedules invoke, once, and return the answers."""
        invocations = [self._invoker.invoke(schedule.function, schedule.payload) for schedule in self._schedules]
        return [json.loads(invocation.payload) for invocation in invocations]

    def _keep_polling(self, function: str, poll: Callable[[], int]) -> None:
        while not self._ended.is_set():
            try:
                worked = poll()
            except (BotoCoreError, ClientError) as error:
                worked = 0
                if not self._ended.is_set():
                    print(f"gatehouse: polling for {function} failed with {type(error).__name__}", flush=True)
            if not worked:
                self._ended.wait(_IDLE_SECONDS)

    def _keep_time(self, schedule: Schedule) -> None:
        period = seconds_of(schedule.expression)
        last = self._now()
        while period and not self._ended.wait(_IDLE_SECONDS):
            if self._now() >= last + period:
                last = self._now()
                self._invoker.invoke(schedule.function, schedule.payload)

    def _poll(self, mapping: QueueMapping) -> int:
        """Hand on what is visible, as many batches at once as the mapping lets run; return how many messages.

        In a FIFO queue SQS itself keeps back what belongs to a group that is being worked on.
        """
        self._show_again(mapping)
        batches: list[list[Any]] = []
        while len(batches) < mapping.concurrency and (batch := self._receive(mapping)):
            batches.append(batch)
        workers = [threading.Thread(target=self._work, args=(mapping, batch), daemon=True) for batch in batches[1:]]
        for worker in workers:
            worker.start()
        if batches:
            self._work(mapping, batches[0])
        for worker in workers:
            worker.join()
        return sum(len(batch) for batch in batches)

    def _receive(self, mapping: QueueMapping) -> list[Any]:
        received = self._sqs.receive_message(
            QueueUrl=mapping.queue_url,
            MaxNumberOfMessages=mapping.batch_size,
            WaitTimeSeconds=0,
            AttributeNames=["All"],
        )
        return list(received.get("Messages", []))

    def _work(self, mapping: QueueMapping, batch: list[Any]) -> None:
        """Hand one batch to the function and delete what it worked off; the rest becomes visible again in time."""
        records = [_record(message, mapping) for message in batch]
        again = _failed(self._invoker.invoke(mapping.function, {"Records": records}), records)
        until = self._now() + mapping.visibility_timeout
        for message in batch:
            if message["MessageId"] in again:
                with self._lock:
                    self._hidden[mapping.queue_url].append(_Hidden(message["ReceiptHandle"], until))
            else:
                self._sqs.delete_message(QueueUrl=mapping.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def _show_again(self, mapping: QueueMapping) -> None:
        """Show failed messages whose time has come: moto goes by the real clock, which the stack's has left behind."""
        with self._lock:
            hidden, now = self._hidden[mapping.queue_url], self._now()
            self._hidden[mapping.queue_url] = [message for message in hidden if message.until > now]
        for message in hidden:
            if message.until <= now:
                # A message that is gone meanwhile (purged, put by) need not be shown.
                with suppress(ClientError):
                    self._sqs.change_message_visibility(
                        QueueUrl=mapping.queue_url, ReceiptHandle=message.receipt_handle, VisibilityTimeout=0
                    )


def seconds_of(expression: str) -> float:
    """Return the period of a ``rate(...)``; 0 for a ``cron(...)``, which the stack does not keep."""
    match = _RATE.fullmatch(expression)
    return int(match[1]) * _UNITS[match[2]] if match else 0


def _failed(invocation: Invocation, records: list[dict[str, Any]]) -> set[str]:
    """Return the ids of the messages that have to come again: all of them where the function raised, as in Lambda."""
    sent = {record["messageId"] for record in records}
    if invocation.unhandled:
        return sent
    failures = (json.loads(invocation.payload) or {}).get("batchItemFailures") or []
    failed = {failure["itemIdentifier"] for failure in failures}
    return failed if failed.issubset(sent) else sent


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
