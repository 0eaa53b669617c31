"""`python -m benchmarks.slots`: a thousand callers, at once, for 200 expired tokens of a server that takes one request.

As in `benchmarks.crowd` the use case runs as it is, each caller in an environment of its own, in a world in memory
where time passes only by waiting. The server answers who comes while it is at work, as a real one might not: what is
counted is how many it ever had at a time. It replaces each refresh token, and takes none twice. First all ask once;
then those who were given a time come again at it, until each has its token.

The same in real processes, on real sockets and a real table, as far as this machine has room: 40 callers of 8.
"""

from __future__ import annotations

import json
import logging
import math
import random
import shutil
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from benchmarks.crowd import AWS, Hub
from benchmarks.environments import ROOT
from functions.vault.base.errors import GatehouseError
from functions.vault.base.timing import Deadline, Timing
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage.shared import Shared
from functions.vault.storage.slots import Slots
from functions.vault.usecases.vending import Vending
from local.demo import Faults
from tests.callers import Call
from tests.engines import running_dynalite
from tests.unit.samples import answer, registration
from tests.unit.services import Events, MemoryServices
from tests.unlimited import limit
from tests.world import LONGER_THAN_A_TOKEN_LIVES, running_world

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.vault.oauth.transport import Answer
    from tests.world import World

CALLERS, CONNECTIONS = 1000, 200
SERVERS = (0.1, 0.3, 1.0)
"""Seconds that the authorization server takes for a refresh."""

_TIMEOUT = 29.0
_SPREAD = 0.05
_READ, _WRITE = 0.004, 0.006
"""Seconds that DynamoDB takes."""


class _Slow(Events):
    """Calls that take their time, half of it on the way there."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        """Take the time of such a call around its effect."""
        half = AWS.get(kind, 0.0) / 2
        if half:
            self._hub.sleep(half)
        with super().call(kind):
            yield
        if half:
            self._hub.sleep(half)


class _Server:
    """An authorization server that counts what it has at a time, and what it has issued to whom."""

    def __init__(self, hub: Hub, seconds: float) -> None:
        self.at_once = self.most = self.requests = self.reused = 0
        self.newest: dict[str, int] = {}
        self._hub = hub
        self._seconds = seconds

    def send(self, _method: str, _url: str, _headers: Mapping[str, str], body: str | None, _timeout: float) -> Answer:
        """Answer a refresh, after its time."""
        self.requests += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self._hub.sleep(self._seconds)
        self.at_once -= 1
        whose, _, version = dict(parse_qsl(body or ""))["refresh_token"].removeprefix("RT-").partition(".")
        if int(version) != self.newest.get(whose, 1):
            self.reused += 1
            return answer('{"error":"invalid_grant"}', 400)
        self.newest[whose] = int(version) + 1
        tokens = {name: f"{short}-{whose}.{int(version) + 1}" for name, short in _TOKENS.items()}
        return answer(json.dumps({**tokens, "expires_in": 3600}))


_TOKENS = {"access_token": "AT", "refresh_token": "RT"}


class _Table:
    """The table of slots, which takes its time, and counts what is asked of it in each second."""

    def __init__(self, hub: Hub, dynamo: Any) -> None:
        self.reads: Counter[int] = Counter()
        self.writes: Counter[int] = Counter()
        self._hub = hub
        self._dynamo = dynamo

    def get_item(self, **arguments: Any) -> Any:
        self.reads[int(self._hub.now)] += 1
        return self._after(_READ, self._dynamo.get_item, arguments)

    def update_item(self, **arguments: Any) -> Any:
        self.writes[int(self._hub.now)] += 1
        return self._after(_WRITE, self._dynamo.update_item, arguments)

    def _after(self, seconds: float, operation: Any, arguments: dict[str, Any]) -> Any:
        self._hub.sleep(seconds / 2)
        try:
            return operation(**arguments)
        finally:
            self._hub.sleep(seconds / 2)


class _Rush(MemoryServices):
    """A services whose connections have all expired, and its callers, each in an environment that has just begun."""

    def __init__(self, server: float, at_once: int, *, come_again: bool) -> None:
        self.hub = Hub()
        self._random = random.Random(7)  # noqa: S311 - jitter, the same in every run
        super().__init__()
        self.registrations.known["acme"] = registration(max_concurrency=at_once)
        for number in range(CONNECTIONS):
            self.connect(TokenSet(f"AT-{number}.1", f"RT-{number}.1"), connection_id=f"merchant-{number}")
        slow = _Slow(self.hub)
        for part in (self.connections, self.registrations, self.kms, self.shared):
            part._events = slow  # noqa: SLF001 - the same parts, in a slower world
        self.asked = _Server(self.hub, server)
        self.table = _Table(self.hub, self.dynamo)
        self._began = self.now + 3601
        self._come_again = come_again
        self.first: list[float] = []
        self.served: list[float] = []
        self.answered: Counter[str] = Counter()
        self.retry_after: list[int] = []

    def at(self) -> float:
        """Return the time in Unix seconds."""
        return self._began + self.hub.now

    def rush(self) -> _Rush:
        """Let them all ask."""
        for number in range(CALLERS):
            whom = f"merchant-{number % CONNECTIONS}"
            self.hub.begin(lambda whom=whom: self._call(whom), self._random.random() * _SPREAD)
        self.hub.run()
        return self

    @property
    def lost(self) -> int:
        """Return how many connections do not hold the newest tokens that were issued for them."""
        newest = {f"merchant-{whose}": f"RT-{whose}.{version}" for whose, version in self.asked.newest.items()}
        return sum(self.tokens(whom).refresh_token != token for whom, token in newest.items())

    def _call(self, whom: str) -> None:
        came, is_first = self.hub.now, True
        while True:
            began = self.hub.now
            outcome, retry_after = self._ask(whom)
            if is_first:
                self.first.append(self.hub.now - began)
                self.answered[outcome] += 1
                self.retry_after += [retry_after] if retry_after else []
            if outcome == "a token" or not self._come_again:
                break
            is_first = False
            self.hub.sleep(retry_after or 1)
        self.served.append(self.hub.now - came)

    def _ask(self, whom: str) -> tuple[str, int | None]:
        began = self.hub.now
        timing = Timing(now=self.at, sleep=self.hub.sleep, jitter=self._random.random)
        slots = Slots(Shared(lambda _service: self.table, "shared"), timing)
        client = type(self.client)(self.asked, self.at, reread=self.registrations.reread, slots=slots)
        cipher = self.new_cipher()
        refreshing = self.refreshing_with(cipher=cipher, client=client, timing=timing)
        vending = Vending(self.connections, cipher, refreshing, self.second_look, self.account_lookup, timing)
        try:
            vending.token(whom, 60, Deadline(lambda: _TIMEOUT - (self.hub.now - began)))
        except GatehouseError as error:
            return error.code, error.retry_after
        return "a token", None


@dataclass(frozen=True)
class Row:
    """What came of a rush. The times are in units of one request."""

    server: float
    most: int
    requests: int
    lost: int
    reused: int
    first: tuple[float, float]
    answered: Mapping[str, int]
    retry_after: tuple[int, int]
    served: tuple[float, float] | None = None
    busiest: tuple[int, int] = (0, 0)


def measured(server: float, at_once: int = 1, *, come_again: bool) -> Row:
    """Measure one rush, in virtual time."""
    rush = _Rush(server, at_once, come_again=come_again).rush()
    return Row(
        server,
        rush.asked.most,
        rush.asked.requests,
        rush.lost,
        rush.asked.reused,
        _in_units(rush.first, server),
        rush.answered,
        (min(rush.retry_after, default=0), max(rush.retry_after, default=0)),
        _in_units(rush.served, server) if come_again else None,
        (max(rush.table.reads.values(), default=0), max(rush.table.writes.values(), default=0)),
    )


def _in_units(seconds: list[float], unit: float) -> tuple[float, float]:
    return median(seconds) / unit, quantiles(seconds, n=100)[98] / unit


_PROCESSES_SERVER = 0.3
_CALLERS_OF_EACH, _IN_PROCESSES = 5, 8


def in_processes(world: World) -> tuple[Counter[str], int, int, float, float]:
    """Do the same in processes: what they were answered, the most requests at once, all requests, and p50 and p99."""
    limit(world.stack, 1)
    ids = [world.connect() for _ in range(_IN_PROCESSES)]
    world.demo.put_faults(Faults(endpoint="token", rotate=True, delay_seconds=_PROCESSES_SERVER))
    world.advance(LONGER_THAN_A_TOKEN_LIVES)
    answers = world.callers.at_once([Call("token", {"connection_id": whom}) for whom in ids * _CALLERS_OF_EACH])
    times = [answer.ended - answer.began for answer in answers]
    p50, p99 = _in_units(times, _PROCESSES_SERVER)
    requests = world.demo.requests("token")
    return Counter(answer.outcome for answer in answers), _overlap(requests), len(requests), p50, p99


def _overlap(requests: list[dict[str, Any]]) -> int:
    """Return how many of these requests the server had at a time, by its own note of when each came."""
    came = sorted(float(request["at"]) for request in requests)
    ends = [at + _PROCESSES_SERVER for at in came]
    return max((sum(begin <= at < end for begin, end in zip(came, ends, strict=True)) for at in came), default=0)


def main() -> int:
    """Print what was measured; return 1 where there were two requests at a time, or anything was lost."""
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)
    rows = [measured(server, come_again=again) for server in SERVERS for again in (False, True)]
    most = 0
    for row in rows:
        answered = ", ".join(f"{count} {what}" for what, count in sorted(row.answered.items()))
        sys.stdout.write(
            f"{CALLERS} callers, {CONNECTIONS} connections, a request takes {row.server} s: most at once {row.most}, "
            f"requests {row.requests}, lost {row.lost}, reused {row.reused}\n"
            f"  first answer: p50 {row.first[0]:.1f}, p99 {row.first[1]:.1f} requests; {answered}"
            f" (to come in {row.retry_after[0]} to {row.retry_after[1]} s)\n"
            f"  busiest second of the item of slots: {row.busiest[0]} reads, {row.busiest[1]} writes\n"
        )
        if row.served is not None:
            sys.stdout.write(
                f"  until served, coming at the time given: p50 {row.served[0]:.0f}, p99 {row.served[1]:.0f} requests"
                f" (all in turn, without a gap: {math.ceil(CONNECTIONS / 2)}, {CONNECTIONS})\n"
            )
    if shutil.which("node") and (ROOT / "node_modules" / "dynalite").exists():
        with running_dynalite() as endpoint, running_world(endpoint) as world:
            said, most, requests, p50, p99 = in_processes(world)
        outcomes = ", ".join(f"{count} {what}" for what, count in sorted(said.items()))
        sys.stdout.write(
            f"{_CALLERS_OF_EACH * _IN_PROCESSES} callers in processes, {_IN_PROCESSES} connections, a request takes "
            f"{_PROCESSES_SERVER} s: most at once {most}, requests {requests}\n"
            f"  first answer: p50 {p50:.1f}, p99 {p99:.1f} requests; {outcomes}\n"
        )
    return int(most > 1 or any(row.most > 1 or row.lost or row.reused for row in rows))


if __name__ == "__main__":
    sys.exit(main())
