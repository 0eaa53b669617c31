"""Publishing what has happened to connections, as the stream of their table shows it.

Events of one connection are published in the order in which they happened, and one after the other. While the bus does
not take an event, what comes after it in the stream waits, for a while. Then the event goes whole into a queue, from
which it is published when the bus takes it: late events of a connection may then come before earlier ones, and their
numbers say so.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.grant import announced
from functions.vault.storage.bus import AT_ONCE, LARGEST_REQUEST, size_of
from functions.vault.storage.stream import announced_image, announced_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.storage.bus import Bus, Entry, Refused
    from functions.vault.storage.queues import Queue

WAITS_FOR_BUS = 900
"""Seconds for which events wait in their order for a bus that does not take them. A stream keeps them for a day."""

_PAUSE = 0.1
"""Seconds before a second request for the same events, about: a bus that throttles may take them a moment later."""

_ENOUGH_FOR_A_REQUEST = 20.0
"""Seconds that these requests take at most, if AWS does not answer."""

Document = dict[str, Any]
"""An event as it is published and as it waits in the queue: `{detail_type, detail, at}`."""


@record
class Event:
    """An event with the number of the write that it came with, and what the bus takes of it."""

    number: int
    document: Document
    entry: Entry


@record
class Publishing:
    """The use case `events`. `deployment` is the name of the stack; without `refreshes` those are not published."""

    bus: Bus
    unpublished: Queue
    timing: Timing
    deployment: str
    refreshes: bool

    def publish(
        self, images: Sequence[Mapping[str, Any]], deadline: Deadline, on_defect: Callable[[Exception], None]
    ) -> int:
        """Publish the events of these writes, each the image of an item; return how many of the writes are done.

        The first that is not done comes again, with all that follow it. A defect of ours in one, which is reported,
        holds up no other: what its events are made from goes into the queue.
        """
        events: list[Event] = []
        for number, image in enumerate(images):
            try:
                events += self._events_of(number, image)
            except Exception as defect:  # noqa: BLE001 - whatever it is, it must not hold up a stream
                on_defect(defect)
                self.unpublished.send(json.dumps({"image": announced_image(image)}))
        for chunk in _chunks(events):
            number_to_repeat = self._put(chunk, deadline)
            if number_to_repeat is not None:
                return number_to_repeat
        return len(images)

    def publish_one(self, document: Document) -> dict[str, Any]:
        """Publish an event that has waited in the queue, or that an operator brings.

        If the bus refuses it, raises `TemporarilyUnavailable`; if it will never take it, `InvalidRequest`.
        """
        return self._publish_again([document])

    def publish_image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """Publish the events of a write that could not be made before."""
        return self._publish_again([event.document for event in self._events_of(0, image)])

    def _publish_again(self, documents: Sequence[Document]) -> dict[str, Any]:
        for document in documents:
            entry = self.bus.entry(announced.SOURCE, document)
            if size_of(entry) > LARGEST_REQUEST:
                raise InvalidRequest(f"detail: expected at most {LARGEST_REQUEST} bytes.")
            (refused,) = self.bus.put([entry])
            if refused is not None and refused.for_good:
                raise InvalidRequest(
                    f"detail: the bus does not take it: {refused.code}. See what PutEvents of EventBridge says of "
                    "that, and invoke events with a detail that it takes."
                )
            if refused is not None:
                raise TemporarilyUnavailable(
                    f"The bus has not taken the event: {refused.code}. Try again.", retry_after=60
                )
        return {"published": [document["detail"]["id"] for document in documents]}

    def _events_of(self, number: int, image: Mapping[str, Any]) -> list[Event]:
        found = announced.events_of(announced_item(image), self.deployment)
        documents = [
            {"detail_type": kind, "detail": detail, "at": detail["at"]}
            for kind, detail in found
            if self.refreshes or kind != announced.REFRESHED
        ]
        return [Event(number, each, self.bus.entry(announced.SOURCE, each)) for each in documents]

    def _put(self, chunk: Sequence[Event], deadline: Deadline) -> int | None:
        """Publish some events; return the number of the first write whose event has to wait, or None."""
        if deadline.remaining() < _ENOUGH_FOR_A_REQUEST:
            return chunk[0].number
        for event, refused in self._refused(chunk):
            if self._waits(event, refused):
                return event.number
            try:
                self.unpublished.send(json.dumps(event.document))
            except TemporarilyUnavailable:
                return event.number
        return None

    def _refused(self, chunk: Sequence[Event]) -> list[tuple[Event, Refused]]:
        """Publish some events, and once more what the bus throttles; return what it has not taken, and why."""
        left = self._offer(chunk)
        if any(refused.is_busy for _, refused in left):
            self.timing.sleep(_PAUSE * (0.5 + self.timing.jitter()))
            left = self._offer([event for event, _ in left])
        return left

    def _offer(self, events: Sequence[Event]) -> list[tuple[Event, Refused]]:
        answers = self.bus.put([event.entry for event in events])
        return [(event, refused) for event, refused in zip(events, answers, strict=True) if refused is not None]

    def _waits(self, event: Event, refused: Refused) -> bool:
        """Return whether an event that the bus has refused is tried again before those that come after it."""
        return not refused.for_good and self.timing.now() < event.document["at"] + WAITS_FOR_BUS


def _chunks(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Divide events into requests. None has two events of one connection: the bus may take the second alone."""
    chunk: list[Event] = []
    connections: set[str] = set()
    size = 0
    for event in events:
        connection_id, length = event.document["detail"]["connection_id"], size_of(event.entry)
        if chunk and (connection_id in connections or len(chunk) == AT_ONCE or size + length > LARGEST_REQUEST):
            yield chunk
            chunk, connections, size = [], set(), 0
        chunk.append(event)
        connections.add(connection_id)
        size += length
    if chunk:
        yield chunk
