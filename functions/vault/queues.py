"""SQS: work that is handed on, one message for each piece of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .aws import outages_are_temporary

if TYPE_CHECKING:
    from .aws import ClientOf


class Queue:
    """One queue, by its URL. A FIFO queue delivers the messages of one group one after the other."""

    def __init__(self, client_of: ClientOf, url: str) -> None:
        self._client_of = client_of
        self._url = url

    def send(self, body: str, *, group: str = "", deduplication: str = "") -> None:
        """Send one message. `group` and `deduplication` are used where the queue is FIFO."""
        fifo: dict[str, Any] = {"MessageGroupId": group, "MessageDeduplicationId": deduplication}
        with outages_are_temporary("SQS"):
            self._client_of("sqs").send_message(
                QueueUrl=self._url, MessageBody=body, **(fifo if self._url.endswith(".fifo") else {})
            )
