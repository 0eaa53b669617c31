"""Background work: what is due is found by its index and handed to the queues; nothing else adds to the cost."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .connection import DUE_SHARDS
from .errors import GatehouseError
from .record import record
from .store import Conflict

if TYPE_CHECKING:
    from .queues import Queue
    from .registrations import Registrations
    from .store import Connections, Due
    from .timing import Deadline, Timing

PAGE = 100
AGAIN_AFTER = 3600
"""Seconds until what was handed to a queue is due again, should nothing have come of it."""

_ENOUGH_FOR_A_PAGE = 10.0


@record
class Sweeping:
    """The use case `sweep`."""

    connections: Connections
    registrations: Registrations
    refreshes: Queue
    revocations: Queue
    timing: Timing

    def sweep(self, deadline: Deadline) -> dict[str, Any]:
        """Queue what is due, a page at a time while there is time; what is left stays due for the next sweep."""
        queued = 0
        # Anywhere: with more due than there is time for, the last shards would else never have their turn.
        first = int(self.timing.jitter() * DUE_SHARDS)
        for number in range(DUE_SHARDS):
            shard = (first + number) % DUE_SHARDS
            for page in self.connections.due(str(shard), int(self.timing.now()), PAGE):
                queued += sum(self._queue(due) for due in page)
                if deadline.remaining() < _ENOUGH_FOR_A_PAGE:
                    return {"queued": queued, "complete": False}
        return {"queued": queued, "complete": True}

    def _queue(self, due: Due) -> int:
        """Hand on one piece of work, then postpone it. Between the two we may fall: done twice, it does no harm."""
        body = json.dumps({"connection_id": due.connection_id, "version": due.version})
        queue = self.revocations if due.tells else self.refreshes
        deduplication = sha256(f"{due.connection_id} {due.version} {due.due_at}".encode()).hexdigest()
        queue.send(body, group=self._group(due), deduplication=deduplication)
        try:
            self.connections.postpone(due, int(self.timing.now()) + AGAIN_AFTER)
        except Conflict:
            return 0
        return 1

    def _group(self, due: Due) -> str:
        """Return the message group: one for each request that the provider takes at a time; FIFO keeps the limit."""
        try:
            slots = self.registrations.get(due.provider).provider.max_concurrency
        except GatehouseError:
            slots = 1
        return f"{due.provider}:{crc32(due.connection_id.encode()) % slots}"
