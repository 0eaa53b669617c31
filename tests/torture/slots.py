"""A small model of the slots, in which everything that can happen is tried: processes, lapses, lost answers, clocks.

The decisions are the code's own (`functions.vault.storage.slots`, and the conditional writes of
`functions.vault.storage.shared`); what is modelled is the world around them. Time goes in seconds. A process takes a
slot, sends its request, and gives the slot back. Between any two of these steps time may pass, others may act, and it
may die. A write may be lost, take effect without its answer, or arrive after its sender has given up. A server works on
a request that it has not answered for a second past the request's deadline at the most, and clocks are together within
two.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from functions.vault.base.timing import NEVER, Timing
from functions.vault.storage.shared import Shared, Taken
from functions.vault.storage.slots import Slot, Slots, ours
from functions.vault.storage.table import Conflict
from tests.torture.dynamo import Dynamo
from tests.unit.samples import answer, registration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from functions.vault.oauth.transport import Answer

START = 1_700_000_000
TIMEOUT = 2
"""Seconds that a request may take."""

AT_WORK = 1
"""Seconds past the deadline of a request for which a server may be at work on it."""

_ABOUT = "provider as"

Held = tuple[str, int]
"""Who has a slot, and until when."""

Table = tuple[tuple[int, Held], ...]
"""Who has each slot, by its number."""


class Code:
    """The decisions of the code under test, each a function of what it is decided from."""

    shared: type[Shared] = Shared
    slots: type[Slots] = Slots
    slot: type[Slot] = Slot

    def __init__(self, at_once: int) -> None:
        self.provider = registration(name="as", max_concurrency=at_once, request_timeout=TIMEOUT).provider
        self.until = cache(self._until)
        self.free = cache(self._free)
        self.take = cache(self._take)
        self.give_back = cache(self._give_back)
        self.timeout = cache(self._timeout)
        self.ours = cache(self._ours)

    def _at(self, now: int, table: Table = (), jitter: float = 0.0) -> Slots:
        dynamo = Dynamo({"shared": "about"})
        slots = {
            f"slot_{number}": {"M": {"holder": {"S": h}, "until": {"N": str(until)}}} for number, (h, until) in table
        }
        dynamo.items["shared"][_ABOUT] = {"about": {"S": _ABOUT}, **slots}
        timing = Timing(now=lambda: float(START + now), jitter=lambda: jitter)
        return self.slots(self.shared(lambda _service: dynamo, "shared"), timing)

    def _until(self, now: int) -> int:
        return self._at(now).until(TIMEOUT) - START

    def _free(self, table: Table, now: int) -> tuple[int, ...]:
        """Return every slot that may be chosen as the free one."""
        jitters = [(number + 0.5) / 3 for number in range(3)]
        found = {self._at(now, jitter=each).free(self.provider, _seen(table)) for each in jitters}
        return tuple(sorted(number for number in found if number is not None))

    def _take(self, table: Table, number: int, was: Held | None, mine: Held) -> Table | None:
        """Return the table after the write that takes a slot; None if its condition fails."""
        slots = self._at(0, table)
        try:
            slots.shared.take_slot("as", number, Taken(*was) if was else None, Taken(*mine), 1)
        except Conflict:
            return None
        return _table(slots.shared)

    def _give_back(self, table: Table, number: int, mine: Held, *, unanswered: bool) -> Table:
        slots = self._at(0, table)
        slot = self.slot("as", number, Taken(*mine), _Answering(), slots.timing)
        slot.may_be_at_work = unanswered
        slots.give_back(slot, NEVER)
        return _table(slots.shared)

    def _timeout(self, until: int, now: int) -> float | None:
        """Return the seconds that a request gets which is sent now; None if nothing is sent."""
        transport = _Answering()
        slot = self.slot("as", 0, Taken("mine", START + until), transport, self._at(now).timing)
        try:
            slot.send("POST", "https://as.test", {}, None, TIMEOUT)
        except Exception:  # noqa: BLE001 - whatever it says
            return None
        return transport.timeout

    def _ours(self, table: Table, holder: str) -> tuple[int, Held] | None:
        found = ours(_seen(table), Taken(holder, 0))
        return None if found is None else (found[0], (found[1].holder, found[1].until - START))


class _Answering:
    """What carries a request, and notes how long that may take."""

    timeout: float | None = None

    def send(self, *arguments: Any) -> Answer:
        self.timeout = arguments[-1]
        return answer("{}")


def _seen(table: Table) -> Mapping[int, Taken]:
    return {number: Taken(holder, START + until) for number, (holder, until) in table}


def _table(shared: Shared) -> Table:
    return tuple(sorted((number, (each.holder, each.until)) for number, each in shared.slots("as").items()))


class Process(NamedTuple):
    """One process: what it does next, with what in hand. `calls` are those that it has still to make, this one too."""

    does: str
    calls: int
    number: int = 0
    was: Held | None = None
    mine: Held | None = None
    deadline: int = 0
    unanswered: bool = False


class Late(NamedTuple):
    """A write on its way whose sender has given up: of a slot that was read as `was`, or that is given back."""

    gives_back: bool
    number: int
    was: Held | None
    mine: Held


class World(NamedTuple):
    """Everything at one moment; times are seconds from then.

    `at_work` are requests that the server has not answered: whose, and for how long it may be at work on each.
    """

    table: Table
    processes: tuple[Process, ...]
    at_work: tuple[tuple[int, int], ...] = ()
    late: Late | None = None


@dataclass(frozen=True)
class Search:
    """One search to the end: so many slots, and processes with these clocks that make so many calls each."""

    code: Code
    at_once: int
    skews: tuple[int, ...]
    calls: int
    writes_arrive_late: bool = True
    seen: set[World] = field(default_factory=set)

    def violation(self) -> str | None:
        """Return the first thing that can go wrong; None if nothing can, after trying everything.

        Nobody has to go on: so who dies is tried, too, wherever it stands.
        """
        start = World((), tuple(Process("looks", self.calls) for _ in self.skews))
        waiting = [start]
        self.seen.add(start)
        while waiting:
            for after in self._following(waiting.pop()):
                if after not in self.seen:
                    if (wrong := self._wrong(after)) is not None:
                        return wrong
                    self.seen.add(after)
                    waiting.append(after)
        return None

    def _wrong(self, world: World) -> str | None:
        if len(world.at_work) > self.at_once:
            return "too many requests at a time"
        if self.writes_arrive_late:
            return None  # one that arrives after its sender has taken another slot keeps its own until that lapses
        holders = [holder for _, (holder, until) in world.table if until]
        return "two slots in one hand" if len(set(holders)) < len(holders) else None

    def _following(self, world: World) -> Iterator[World]:
        yield _a_second_later(world)
        if world.late is not None:
            yield world._replace(table=self._arrived(world.table, world.late), late=None)
        for number, process in enumerate(world.processes):
            if process.calls:
                yield from getattr(self, f"_{process.does}")(world, process, number)

    def _arrived(self, table: Table, late: Late) -> Table:
        if late.gives_back:
            return self.code.give_back(table, late.number, late.mine, unanswered=False)
        return self.code.take(table, late.number, late.was, late.mine) or table

    # What a process does

    def _looks(self, world: World, process: Process, number: int) -> Iterator[World]:
        holder = f"{number}.{process.calls}"
        if (found := self.code.ours(world.table, holder)) is not None:
            yield _with(world, number, process._replace(does="sends", number=found[0], mine=found[1]))
            return
        now, read = self.skews[number], dict(world.table)
        for free in self.code.free(world.table, now):
            mine = holder, self.code.until(now)
            yield _with(world, number, process._replace(does="writes", number=free, was=read.get(free), mine=mine))

    def _writes(self, world: World, process: Process, number: int) -> Iterator[World]:
        assert process.mine is not None
        failed = _with(world, number, Process("looks", process.calls))
        yield failed  # throttled
        if world.late is None and self.writes_arrive_late:
            yield failed._replace(
                late=Late(gives_back=False, number=process.number, was=process.was, mine=process.mine)
            )
        table = self.code.take(world.table, process.number, process.was, process.mine)
        if table is not None:
            yield _with(world._replace(table=table), number, process._replace(does="sends", was=None))
        # Another was faster; or the SDK has sent it again, because the answer was lost.
        rereads = Process("looks", process.calls)
        yield _with(world if table is None else world._replace(table=table), number, rereads)

    def _sends(self, world: World, process: Process, number: int) -> Iterator[World]:
        """Send the request, whatever time the record has taken; or find there that the lease is another's."""
        assert process.mine is not None
        yield _with(world, number, process._replace(does="ends"))
        seconds = self.code.timeout(process.mine[1], self.skews[number])
        if seconds is not None:
            deadline = int(seconds)
            at_work = (*world.at_work, (number, deadline + AT_WORK))
            yield _with(world._replace(at_work=at_work), number, process._replace(does="waits", deadline=deadline))

    def _waits(self, world: World, process: Process, number: int) -> Iterator[World]:
        yield _with(world, number, process._replace(does="ends", deadline=0, unanswered=True))  # cut off, or too late
        if process.deadline >= 0:
            rest = tuple(each for each in world.at_work if each[0] != number)
            yield _with(world._replace(at_work=rest), number, process._replace(does="ends", deadline=0))

    def _ends(self, world: World, process: Process, number: int) -> Iterator[World]:
        """Give the slot back, whatever time storing the answer has taken, or leave it to lapse."""
        assert process.mine is not None
        left = process.calls - 1
        over = _with(world, number, Process("looks", left) if left else _OVER)
        table = self.code.give_back(world.table, process.number, process.mine, unanswered=process.unanswered)
        yield over._replace(table=table)
        if table != world.table:
            yield over
            if world.late is None and self.writes_arrive_late:
                yield over._replace(late=Late(gives_back=True, number=process.number, was=None, mine=process.mine))


_OVER = Process("is over", 0)


def _with(world: World, number: int, process: Process) -> World:
    processes = (*world.processes[:number], process, *world.processes[number + 1 :])
    return world._replace(processes=processes)


def _a_second_later(world: World) -> World:
    """Return the world after a second. What has lapsed has lapsed, however long ago: so the search has an end."""

    def later(held: Held | None) -> Held | None:
        return held and (held[0], max(held[1] - 1, 0))

    def of(process: Process) -> Process:
        deadline = max(process.deadline - 1, -1) if process.does == "waits" else 0
        return process._replace(was=later(process.was), mine=later(process.mine), deadline=deadline)

    return World(
        tuple((number, (holder, max(until - 1, 0))) for number, (holder, until) in world.table),
        tuple(map(of, world.processes)),
        tuple((whose, left - 1) for whose, left in world.at_work if left > 1),
        world.late and world.late._replace(was=later(world.late.was), mine=later(world.late.mine)),  # type: ignore[arg-type]
    )


def clocks(processes: int) -> list[tuple[int, ...]]:
    """Return how far the clocks of so many processes may be ahead of the slowest, within two seconds."""
    together = product((0, 1, 2), repeat=processes)
    return sorted({tuple(sorted(skews)) for skews in together if min(skews) == 0})


def searched(
    code: type[Code], at_once: int, processes: int, calls: int = 1, *, writes_arrive_late: bool = True
) -> tuple[str | None, int]:
    """Return what can go wrong with any of these clocks, and in how many states of the world that was looked for."""
    states = 0
    for skews in clocks(processes):
        search = Search(code(at_once), at_once, skews, calls, writes_arrive_late)
        wrong = search.violation()
        states += len(search.seen)
        if wrong is not None:
            return wrong, states
    return None, states


def main() -> int:
    """Search further than the tests do: more calls, more processes."""
    worst = 0
    for at_once, processes, calls in ((1, 2, 1), (2, 2, 1), (1, 2, 2)):
        wrong, states = searched(Code, at_once, processes, calls)
        sys.stdout.write(f"{at_once} slots, {processes} processes, {calls} calls each: {states:,} states, {wrong}\n")
        worst |= wrong is not None
    return worst


if __name__ == "__main__":
    sys.exit(main())
