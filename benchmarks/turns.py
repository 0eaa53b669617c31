"""`python -m benchmarks.turns`: 300 due connections of a provider that hangs, and 10 of one that works.

When are the ten refreshed? That is, in how many minutes from the first sweep.

The sweep and the consumer of its queue run as they are, in a world in memory where time passes only by waiting: a
server that hangs takes all of a request's time. Three messages are worked on at a time, as the template has it, and one
of each message group; of those that may go next it is the oldest, as SQS hands them out. The sweep comes every five
minutes. `before` is the same without what background work knows of a provider: no turns, and nothing left alone.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.crowd import AWS, Hub
from functions.vault.base.errors import ProviderTimedOut
from functions.vault.base.timing import Deadline, Timing
from functions.vault.storage.shared import Shared, Standing
from functions.vault.usecases.background_work import BackgroundWork
from functions.vault.usecases.sweeping import Sweeping
from tests.unit.samples import answer, registration
from tests.unit.services import MemoryServices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.oauth.transport import Answer
    from functions.vault.storage.due import Due

HANGING, WORKING = 300, 10
WORKERS = 3
"""Refreshes at a time: what `BackgroundConcurrency` leaves to them by default."""

EVERY = 300.0
_WORKS_IN = 0.3
_LONGEST = 4 * 3600.0
_DUE = 60


class _Ignorant(Shared):
    """What connections share: background work learns nothing of it."""

    def standing(self, provider: str) -> Standing:
        """Know nothing."""
        del provider
        return Standing()


class _WithoutTurns(Sweeping):
    """Queues what is due in the order of the index."""

    def _in_turns(self, page: list[Due]) -> list[Due]:
        return page


class _Server:
    """Works for one provider, and hangs for the other."""

    def __init__(self, hub: Hub) -> None:
        self.hung = 0
        self._hub = hub

    def send(self, _method: str, url: str, _headers: Mapping[str, str], _body: str | None, timeout: float) -> Answer:
        """Answer, or let the caller wait for all of its time."""
        if "hangs" in url:
            self.hung += 1
            self._hub.sleep(timeout)
            raise ProviderTimedOut("The authorization server did not answer in time.")
        self._hub.sleep(_WORKS_IN)
        return answer(json.dumps({"access_token": "AT-2", "refresh_token": "RT-2", "expires_in": 3600}))


class World(MemoryServices):
    """A services with what is due, its sweeps, and the workers of its queue."""

    def __init__(self, *, knows: bool) -> None:
        self.hub = Hub()
        super().__init__()
        for name in ("hangs", "works"):
            self.registrations.known[name] = registration(name=name, token_endpoint=f"https://acme.example/{name}")
        self._began = self.now + 7200
        self.asked = _Server(self.hub)
        self.waiting: deque[dict[str, str]] = deque()
        self.busy: set[str] = set()
        self.done: dict[str, float] = {}
        self.sweeps: list[float] = []
        timing = Timing(now=self.at, sleep=self.hub.sleep, jitter=lambda: 0.5)
        table = Shared(lambda _service: self.dynamo, "shared") if knows else _Ignorant(lambda _: self.dynamo, "shared")
        client = type(self.client)(self.asked, self.at, reread=self.registrations.reread)
        refreshing = self.refreshing_with(client=client, timing=timing)
        vending = replace(self.vending, refreshing=refreshing, timing=timing)
        revoking = self.revoking_with(timing=timing)
        self.background_work = BackgroundWork(self.connections, table, vending, revoking, timing)
        kind = Sweeping if knows else _WithoutTurns
        self.sweeping = kind(self.connections, table, self.refresh_queue, self.revoke_queue, timing)
        for number in range(HANGING + WORKING):
            # The working ones are among the last that are due, behind the others of their shard.
            provider, since = ("hangs", 2 * _DUE) if number < HANGING else ("works", _DUE)
            name = f"{provider}-{number}"
            made = self.connect(connection_id=name, provider=provider)
            due = int(self._began) - since
            self.connections.records[name] = replace(made, upkeep_at=due, due_at=due)

    def at(self) -> float:
        """Return the time in Unix seconds."""
        return self._began + self.hub.now

    def run(self) -> World:
        """Let sweeps come and workers work until the ten are refreshed, or for hours."""
        self.hub.begin(self._sweep_again_and_again, 0.0)
        for _ in range(WORKERS):
            self.hub.begin(self._work, 0.001)
        self.hub.run()
        return self

    @property
    def is_over(self) -> bool:
        """Return whether there is nothing more to wait for."""
        return len(self.done) == WORKING or self.hub.now > _LONGEST

    def _sweep_again_and_again(self) -> None:
        while not self.is_over:
            began = self.hub.now
            self.sweeping.sweep(self._deadline(240.0))
            self.sweeps.append(self.hub.now - began)
            self.waiting.extend(self.refresh_queue.messages)
            self.refresh_queue.messages.clear()
            self.hub.sleep(EVERY)

    def _deadline(self, seconds: float) -> Deadline:
        ends_at = self.hub.now + seconds
        return Deadline(lambda: ends_at - self.hub.now)

    def _work(self) -> None:
        while not self.is_over:
            message = next((each for each in self.waiting if each["group"] not in self.busy), None)
            if message is None:
                self.hub.sleep(0.1)
                continue
            self.waiting.remove(message)
            self.busy.add(message["group"])
            due, deadline = json.loads(message["body"]), self._deadline(29.0)
            self.hub.sleep(sum(AWS.values()))
            self.background_work.refresh_due(due["connection_id"], due["version"], due["provider"], deadline)
            self.busy.remove(message["group"])
            if due["provider"] == "works" and self.stored(due["connection_id"]).version > 1:
                self.done[due["connection_id"]] = self.hub.now


def main() -> int:
    """Print the minutes; return 1 where the ten waited for more than a sweep's five."""
    before, now = World(knows=False).run(), World(knows=True).run()
    for name, world in (("before", before), ("now", now)):
        last = max(world.done.values(), default=float("nan"))
        sys.stdout.write(
            f"{name:<7} {len(world.done)} of {WORKING} refreshed, the last after {last / 60:.1f} minutes; "
            f"{world.asked.hung} requests to the server that hangs by then\n"
        )
    return int(len(now.done) < WORKING or max(now.done.values()) > EVERY)


if __name__ == "__main__":
    sys.exit(main())
