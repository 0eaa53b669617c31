"""The sweep: finds the background work that is due by its index, and queues it. Its cost depends on nothing else."""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from zlib import crc32

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.grant.connection import DUE_SHARDS
from functions.vault.storage.due import Due
from functions.vault.storage.shared import Standing
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.queues import Queue
    from functions.vault.storage.shared import Shared

PAGE = 100

AT_ONCE = 5
"""Pieces of background work that a provider without slots gets at a time."""

AGAIN_AFTER = 3600
"""Seconds until queued work is due again, unless it was done by then."""

_ENOUGH_FOR_A_PAGE = 10.0


@record
class Sweeping:
    """The use case `sweep`."""

    connections: Connections
    shared: Shared
    refreshes: Queue
    revocations: Queue
    timing: Timing

    def sweep(self, deadline: Deadline, ask_now: str | None = None) -> dict[str, Any]:
        """Queue what is due, page by page while there is time; the rest stays due for the next sweep.

        Providers take turns, and one whose background work is paused is skipped. With the id of a connection in
        `ask_now`, that one's provider is asked about it before all else, due or not, paused or not.
        """
        queued, providers = 0, _Providers(self.shared)
        if ask_now is not None:
            self._queue_now(ask_now, providers)
            queued += 1
        # Begin with any shard: if more is due than there is time for, the last shards would never have their turn.
        first = int(self.timing.jitter() * DUE_SHARDS)
        for number in range(DUE_SHARDS):
            shard = (first + number) % DUE_SHARDS
            for page in self.connections.due(str(shard), int(self.timing.now()), PAGE):
                queued += sum(self._queue(due, providers.of(due)) for due in self._in_turns(page))
                if deadline.remaining() < _ENOUGH_FOR_A_PAGE:
                    return {"queued": queued, "complete": False}
        return {"queued": queued, "complete": True}

    def _in_turns(self, page: list[Due]) -> list[Due]:
        """Return a page's work in the order in which providers take turns."""
        of_each: dict[str, list[Due]] = {}
        for due in page:
            of_each.setdefault(due.provider, []).append(due)
        rounds = zip_longest(*of_each.values())
        return [due for each in rounds for due in each if due is not None]

    def _queue(self, due: Due, standing: Standing) -> int:
        """Queue one piece of work, then postpone it. If this fails in between, the work is done twice: no harm."""
        if self.timing.now() < standing.alone_until:
            return 0
        self._send(due, standing)
        try:
            self.connections.postpone(due, int(self.timing.now()) + AGAIN_AFTER)
        except Conflict:
            return 0
        return 1

    def _queue_now(self, connection_id: str, providers: _Providers) -> None:
        """Queue the work of a connection that somebody wants done now. What is due of it stays due."""
        connection, now = self.connections.require(connection_id), int(self.timing.now())
        is_revocation = connection.to_refresh is None
        if is_revocation and not connection.to_revoke:
            raise InvalidRequest(
                "connection_id: there is nothing to refresh in this connection, and nothing to revoke."
            )
        due = Due(connection_id, connection.provider, connection.version, now, now if is_revocation else None)
        self._send(due, providers.of(due), ask_now=True)

    def _send(self, due: Due, standing: Standing, **more: bool) -> None:
        about = {"connection_id": due.connection_id, "version": due.version, "provider": due.provider}
        queue = self.revocations if due.is_revocation else self.refreshes
        # The queue drops what repeats: what is wanted now is none of what was due at this second.
        said = " ".join([due.connection_id, str(due.version), str(due.due_at), *more])
        deduplication = sha256(said.encode()).hexdigest()
        queue.send(json.dumps(about | more), group=_group(due, standing), deduplication=deduplication)


def _group(due: Due, standing: Standing) -> str:
    """Return the message group of one piece of work: one for each request that its provider takes at a time."""
    number = crc32(due.connection_id.encode()) % (standing.at_once or AT_ONCE)
    return f"{due.provider}:{number}"


class _Providers:
    """How the providers of one sweep stand, each read once. If that cannot be read, none is skipped."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._known: dict[str, Standing] = {}
        self._is_unreadable = False

    def of(self, due: Due) -> Standing:
        """Return how the provider of one piece of work stands."""
        if due.provider not in self._known:
            self._known[due.provider] = self._read(due.provider)
        return self._known[due.provider]

    def _read(self, provider: str) -> Standing:
        if not self._is_unreadable:
            try:
                return self._shared.standing(provider)
            except TemporarilyUnavailable:
                self._is_unreadable = True
        return Standing()
