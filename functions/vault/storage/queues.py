"""SQS: work for later, one message for each piece."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .aws import outages_are_temporary

if TYPE_CHECKING:
    from .aws import ClientOf

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Queue:
    """One queue, by its URL. A FIFO queue delivers the messages of a group one after the other."""

    def __init__(self, client_of: ClientOf, url: str) -> None:
        self._client_of = client_of
        self._url = url

    def send(self, body: str, *, group: str = "", deduplication: str = "") -> None:
        """Send one message. `group` and `deduplication` are for FIFO queues; others ignore them."""
        fifo: dict[str, Any] = {"MessageGroupId": group, "MessageDeduplicationId": deduplication}
        with outages_are_temporary("SQS"):
            self._client_of("sqs").send_message(
                QueueUrl=self._url, MessageBody=body, **(fifo if self._url.endswith(".fifo") else {})
            )

    def is_empty(self) -> bool:
        """Return whether it has no messages, not even in flight. What SQS knows about that may be a minute old."""
        with outages_are_temporary("SQS"):
            answer = self._client_of("sqs").get_queue_attributes(QueueUrl=self._url, AttributeNames=list(_COUNTS))
        return not any(int(number) for number in answer["Attributes"].values())


def last_resort(document: str) -> None:
    """Write a sealed token response to the log, because neither the table nor the queue took it. An alarm fires.

    To commit it, invoke `gatehouse-rescue` with the value of `obtained` as the payload.
    """
    sys.stdout.write(f'{{"level":"CRITICAL","service":"gatehouse","message":"rescue","obtained":{document}}}\n')
    sys.stdout.flush()
