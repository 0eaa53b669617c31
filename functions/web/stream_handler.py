"""The handler of a function that a DynamoDB stream calls: it is given a batch of writes, and does them in order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import GatehouseError
from functions.web.events import deadline_of, is_by_api
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services
    from functions.web.events import Context, Event
    from functions.web.log import About

    # With the images of the items that were written, the time there is, and what reports a defect. It returns how many
    # of the writes are done.
    Publish = Callable[[Services, list[Mapping[str, Any]], Deadline, Callable[[Exception], None]], int]


class StreamHandler(InvokeHandler):
    """A function that a stream calls. It also does what `InvokeHandler` does, for its queue and for an operator."""

    def __init__(self, name: str, publish: Publish, **invoked: Any) -> None:
        """`invoked` is for `InvokeHandler`."""
        super().__init__(name, **invoked)
        self._publish = publish

    def _answer(self, services: Services, event: Event, context: Context, about: About) -> Any:
        if _is_stream(event) and not is_by_api(context):
            return self._answer_stream(services, event["Records"], context)
        return super()._answer(services, event, context, about)

    def _answer_stream(self, services: Services, records: list[Any], context: Context) -> dict[str, Any]:
        """Work on the writes of one shard of the stream, in their order; name the one from which it has to go on.

        A write without a new image is a deletion, which says nothing.
        """
        started = time.monotonic()
        images = [each["dynamodb"].get("NewImage") or {} for each in records]
        written = [number for number, image in enumerate(images) if "events" in image]

        def on_defect(defect: Exception) -> None:
            self._log_defect(defect, context)

        try:
            done = self._publish(services, [images[number] for number in written], deadline_of(context), on_defect)
        except GatehouseError as error:
            self._log_failure(error, started, context)
            return _go_on_from(records[0])
        except Exception as defect:  # noqa: BLE001 - whatever it was, the writes come again
            self._log_defect(defect, context)
            return _go_on_from(records[0])
        is_done = done == len(written)
        self._log("ok" if is_done else "waiting", started, context, writes=len(written), done=done)
        if is_done:
            return {"batchItemFailures": []}
        return _go_on_from(records[written[done]])


def _go_on_from(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer that makes Lambda deliver a write again, with all that follow it."""
    return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}


def _is_stream(event: Event) -> bool:
    """Return whether an event is a batch of writes to a DynamoDB table, and nothing else."""
    records = event.get("Records") if isinstance(event, Mapping) and len(event) == 1 else None
    return isinstance(records, list) and bool(records) and all(map(_is_write, records))


def _is_write(record: Any) -> bool:
    if not isinstance(record, Mapping) or record.get("eventSource") != "aws:dynamodb":
        return False
    write = record.get("dynamodb")
    return (
        isinstance(write, Mapping)
        and isinstance(write.get("SequenceNumber"), str)
        and isinstance(write.get("NewImage", {}), Mapping)
    )
