"""Background work: what is due is found by its index and handed to the queues; nothing else adds to the cost."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .connection import DUE_SHARDS
from .errors import GatehouseError, TemporarilyUnavailable
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
        queued, groups = 0, _Groups(self.registrations)
        # Anywhere: with more due than there is time for, the last shards would else never have their turn.
        first = int(self.timing.jitter() * DUE_SHARDS)
        for number in range(DUE_SHARDS):
            shard = (first + number) % DUE_SHARDS
            for page in self.connections.due(str(shard), int(self.timing.now()), PAGE):
                queued += sum(self._queue(due, groups.of(due)) for due in page)
                if deadline.remaining() < _ENOUGH_FOR_A_PAGE:
                    return {"queued": queued, "complete": False, **groups.unread()}
        return {"queued": queued, "complete": True, **groups.unread()}

    def _queue(self, due: Due, group: str) -> int:
        """Hand on one piece of work, then postpone it. Between the two we may fall: done twice, it does no harm."""
        body = json.dumps({"connection_id": due.connection_id, "version": due.version})
        queue = self.revocations if due.tells else self.refreshes
        deduplication = sha256(f"{due.connection_id} {due.version} {due.due_at}".encode()).hexdigest()
        queue.send(body, group=group, deduplication=deduplication)
        try:
            self.connections.postpone(due, int(self.timing.now()) + AGAIN_AFTER)
        except Conflict:
            return 0
        return 1


class _Groups:
    """The message groups of one sweep: each provider's registration is looked up once, and its issuer never.

    A group is for one request that the provider takes at a time; FIFO keeps the limit. What cannot be read costs the
    others nothing: its work has one group, and whoever works that off finds out what is wrong.
    """

    def __init__(self, registrations: Registrations) -> None:
        self._registrations = registrations
        self._at_a_time: dict[str, int] = {}
        self._unread: dict[str, str] = {}
        self._is_out = False

    def of(self, due: Due) -> str:
        """Return the message group of one piece of work."""
        if due.provider not in self._at_a_time:
            self._at_a_time[due.provider] = self._looked_up(due.provider)
        return f"{due.provider}:{crc32(due.connection_id.encode()) % self._at_a_time[due.provider]}"

    def unread(self) -> dict[str, dict[str, str]]:
        """Return what is wrong with each provider that could not be read, as part of a result; nothing where none is.

        After an outage of Secrets Manager no other provider is looked up: each would wait for seconds.
        """
        return {"unread": self._unread} if self._unread else {}

    def _looked_up(self, provider: str) -> int:
        if self._is_out:
            return 1
        try:
            return self._registrations.max_concurrency_of(provider)
        except GatehouseError as error:
            self._is_out = isinstance(error, TemporarilyUnavailable)
            self._unread[provider] = error.description
            return 1
