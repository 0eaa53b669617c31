"""The storm: many callers of one expired token, beside one caller of another.

A thousand callers have a Lambda each, and a machine has a few processors, on which they would wait for each other and
not for the refresh. So the use case runs as it is, with its real decisions, seals and conditions, in a world in memory
where time passes only by waiting: for the table, for KMS, for the server, for the next look. What is counted is that
time. The same storm in real processes, on real sockets, is `benchmarks.storm`.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from benchmarks.measure import PAIRS, say
from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.timing import Deadline, Timing
from functions.vault.usecases.vending import Vending
from tests.unit.services import Events, MemoryServices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CROWDS = (64, 1000)
SERVERS = (0.3, 1.0, 3.0)
"""Seconds that the authorization server takes for a refresh."""

AWS = {"get": 0.004, "change": 0.006, "decrypt": 0.005, "data_key": 0.006}
"""Seconds that AWS takes for a call."""

READS_A_SECOND = 3000
"""Reads that DynamoDB gives of one item (of its partition). More it throttles, and botocore asks once more, later."""

_TIMEOUT = 29.0
SPREAD = 0.05
"""Seconds within which all the callers come."""


class Hub:
    """Time that passes by waiting alone: whoever waits the shortest goes on first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, greenlet]] = []
        self._numbers = itertools.count()
        self._main = getcurrent()

    def begin(self, work: Any, at: float) -> None:
        """Have some work begin at a time."""
        heapq.heappush(self._waiting, (at, next(self._numbers), greenlet(work, parent=self._main)))

    def sleep(self, seconds: float) -> None:
        """Wait, while others go on."""
        heapq.heappush(self._waiting, (self.now + seconds, next(self._numbers), getcurrent()))
        self._main.switch()

    def run(self) -> None:
        """Let everything go on until nothing waits any more."""
        while self._waiting:
            self.now, _, waiting = heapq.heappop(self._waiting)
            waiting.switch()


class _Slow(Events):
    """Calls that take their time, half of it on the way there, and a table that throttles."""

    def __init__(self, hub: Hub, seconds: dict[str, float], chance: Callable[[], float]) -> None:
        super().__init__()
        self._hub = hub
        self._seconds = seconds
        self._chance = chance
        self._read: deque[float] = deque()
        self.is_on = False
        self.throttled = 0

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Take the time of such a call around its effect."""
        half = self._seconds.get(kind, 0.0) / 2 if self.is_on else 0.0
        if half:
            self._hub.sleep(half)
        if kind == "get" and self.is_on and not self._has_room():
            self._hub.sleep(self._chance())  # as botocore does before its second try
            if not self._has_room():
                self.throttled += 1
                raise TemporarilyUnavailable("DynamoDB is throttling or unavailable: try again.", retry_after=1)
        with super().call(kind):
            yield
        if half:
            self._hub.sleep(half)

    def _has_room(self) -> bool:
        while self._read and self._read[0] < self._hub.now - 1:
            self._read.popleft()
        if len(self._read) >= READS_A_SECOND:
            return False
        self._read.append(self._hub.now)
        return True


class _Storm(MemoryServices):
    """A services whose connection has expired, and its callers, each in an environment that has just begun."""

    def __init__(self, server: float, seed: int) -> None:
        self._hub = Hub()
        self._random = random.Random(seed)  # noqa: S311 - jitter, the same in every run
        super().__init__()
        slow = _Slow(self._hub, AWS | {"http": server}, self._random.random)
        for part in (self.connections, self.registrations, self.kms, self.server):
            part._events = slow  # noqa: SLF001 - the same parts, in a slower world
        self.connect()
        # The access token lives for an hour; a moment ago it did.
        self._began = self.now + 3601
        slow.is_on = True
        self.waited: list[float] = []

    def at(self) -> float:
        """Return the time in Unix seconds."""
        return self._began + self._hub.now

    def strike(self, callers: int) -> list[float]:
        """Let so many callers ask, and return how long each of them waited, in seconds."""
        for _ in range(callers):
            self._hub.begin(self._ask, self._random.random() * SPREAD)
        self._hub.run()
        return self.waited

    def _ask(self) -> None:
        came = self._hub.now
        timing = Timing(now=self.at, sleep=self._hub.sleep, jitter=self._random.random)
        client = type(self.client)(self.server, self.at, reread=self.registrations.reread)
        cipher = self.new_cipher()
        refreshing = self.refreshing_with(cipher=cipher, client=client, timing=timing)
        vending = Vending(self.connections, cipher, refreshing, self.second_look, self.account_lookup, timing)
        deadline = Deadline(lambda: _TIMEOUT - (self._hub.now - came))
        answer = vending.token("merchant-1", 60, deadline)
        assert answer["access_token"] == "AT-2", answer  # noqa: S105 - made up
        self.waited.append(self._hub.now - came)


@dataclass(frozen=True)
class Crowd:
    """Storms of so many callers: requests at the server in each, and the callers' times in units of one refresh."""

    callers: int
    server: float
    storms: int
    requests: tuple[int, ...]
    p50: float
    p99: float
    one_refresh_ms: float


def crowds() -> list[Crowd]:
    """Measure each crowd at each server."""
    rows = [_measure(callers, server) for callers in CROWDS for server in SERVERS]
    for row in rows:
        say(
            f"storm {row.callers:>5} callers, server takes {row.server} s: {max(row.requests)} request, "
            f"p50 {row.p50:.2f} and p99 {row.p99:.2f} refreshes (of {row.one_refresh_ms:.0f} ms)"
        )
    return rows


def _measure(callers: int, server: float) -> Crowd:
    def storms() -> Iterator[tuple[float, list[float], int]]:
        for seed in range(PAIRS):
            (alone,) = _Storm(server, seed).strike(1)
            storm = _Storm(server, seed)
            yield alone, storm.strike(callers), len(storm.server.requests)

    return summed_up(callers, server, storms())


def summed_up(callers: int, server: float, storms: Iterable[tuple[float, list[float], int]]) -> Crowd:
    """Return what storms came to: of each the seconds of one who came alone and of all, and the requests."""
    measured = list(storms)
    return Crowd(
        callers,
        server,
        len(measured),
        tuple(requests for _, _, requests in measured),
        median(median(many) / alone for alone, many, _ in measured),
        median(quantiles(many, n=100)[98] / alone for alone, many, _ in measured),
        median(alone for alone, _, _ in measured) * 1000,
    )
