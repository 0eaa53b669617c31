"""The scheduler that owns every I/O and the time: actors run one at a time, and only as far as their next call.

An actor is a process: a function call in Lambda, or a delivery from a queue. Each call that it makes to the outside
hands control to the scheduler twice, before the effect and after it, and a sleep does so until its time has come. At
each of these points a strategy chooses what happens next: who goes on, whose call fails and how, who dies, what a
queue delivers, whether time passes. The same choices make the same history, to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from botocore.exceptions import ClientError
from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START = 1_700_000_000.0
"""When every history begins, in Unix seconds."""

STEP = 0.01
"""Seconds that one step takes."""

TICK = 300.0
"""Seconds between two sweeps, once the world is at peace."""

_POLLS = 3
_DELIVERIES = 2
_SLOWLY = 0.9
_LAST_TRY = 13.2
"""Seconds before its end at which a process gives up writing to the record."""

CALL_TIME = 29.0
"""Seconds that a function may run: the timeout of the template."""


class Fault(StrEnum):
    """What can happen to a call, or to its caller at that point."""

    NONE = "ok"
    CRASH = "crash"
    """The process dies here. Before the effect: the call was never made. After it: its answer met nobody."""

    CRASH_SENT = "crash, request still on its way"
    LOST_REQUEST = "request lost"
    LATE_REQUEST = "caller gives up, request still on its way"
    LOST_ANSWER = "answer lost"
    RETRIED = "answer lost, sent again by the SDK"
    THROTTLED = "throttled"
    REFUSED = "no connection"
    OUTAGE = "server's outage"
    STALE = "index is behind"
    SLOW = "answer takes almost all of its time"
    ASLEEP = "process stops, for longer than its lease"
    LONG_ASLEEP = "process stops, for a quarter of an hour"
    DEAD = "refused as dead, temporarily"
    UNKNOWN = "refused with an unknown code, temporarily"
    DOWN = "refused with a 5xx, temporarily"


PASSING = (Fault.DEAD, Fault.UNKNOWN, Fault.DOWN)
"""Answers of a server that has done nothing, and would do it another time."""


class Stage(Enum):
    """Where in a call its caller is."""

    BEFORE = "before"
    AFTER = "after"


class Option(NamedTuple):
    """One thing that can happen next. `preempts` and `faults` are what it costs of a bounded search's budget."""

    kind: str
    subject: Any
    fault: Fault = Fault.NONE
    preempts: int = 0
    faults: int = 0


class Strategy(Protocol):
    """Chooses what happens next."""

    def choose(self, options: Sequence[Option]) -> Option:
        """Return one of the options."""

    def jitter(self) -> float:
        """Return a number from 0 to 1 for the code under test."""


@dataclass(eq=False)
class Point:
    """Where an actor waits to go on: inside a call, or asleep until `wake_at`."""

    service: str
    operation: str
    stage: Stage = Stage.BEFORE
    faults: tuple[Fault, ...] = ()
    since: float = 0.0
    time_limit: float | None = None
    wake_at: float | None = None
    detail: Callable[[], str] = str
    answered: Callable[[Any], str] = lambda _result: "ok"
    about: Any = None

    def title(self) -> str:
        """Return the call in a few words."""
        answer = " answer" if self.stage is Stage.AFTER else ""
        return f"{self.service} {self.operation}{answer} {self.detail()}".rstrip()


@dataclass(eq=False)
class Actor:
    """One process. `skew` is how far its clock is off, in seconds."""

    name: str
    role: str
    greenlet: greenlet
    started_at: float
    started_step: int
    deadline: float
    skew: float = 0.0
    point: Point | None = None
    polls: bool = False
    outcome: str = "at work"
    error: BaseException | None = None
    result: Any = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Return whether it returned, failed or died."""
        return self.outcome != "at work"

    @property
    def has_died(self) -> bool:
        """Return whether it was killed."""
        return self.outcome in {"crashed", "killed at its deadline"}


class Event(NamedTuple):
    """One line of a history."""

    step: int
    at: float
    actor: str
    call: str
    outcome: str


@dataclass(eq=False)
class Orphan:
    """A request that its caller no longer waits for: it takes effect when the scheduler lets it."""

    actor: Actor
    what: str
    effect: Callable[[], Any]
    about: Any = None


@dataclass(eq=False)
class Message:
    """One message in a queue, with what its next delivery needs."""

    queue: str
    body: str
    group: str
    number: int
    visible_at: float
    sent_at: float
    deliveries: int = 0
    in_hand: int = 0


class Scheduler:
    """Runs actors by a strategy. `bounded`: a process is killed at its deadline and no call outlasts its time-out."""

    VISIBILITY: ClassVar[dict[str, float]] = {"rescue": 190.0, "refresh": 40.0}
    """Seconds for which a delivered message is hidden, if the template says other than 180."""

    def __init__(
        self, strategy: Strategy, *, bounded: bool = True, two_sided: bool = True, pauses: bool = True
    ) -> None:
        self.strategy = strategy
        self.bounded = bounded
        self.two_sided = two_sided
        self.pauses = pauses
        self.now = START
        self.step = 0
        self.actors: list[Actor] = []
        self.orphans: list[Orphan] = []
        self.messages: list[Message] = []
        self.outages: dict[str, float] = {}
        self.possible_outages = OUTAGES
        self.consumers: dict[str, Callable[[Actor, Message], Any]] = {}
        self.timers: Callable[[], list[float]] = list
        self.on_tick: Callable[[], None] | None = None
        self.needs_tick: Callable[[], bool] = bool
        self.tick_at = 0.0
        self.live: list[Actor] = []
        self.on_over: Callable[[Actor], None] = lambda _actor: None
        self.history: list[Event] = []
        self.recording = False
        self.faults = 0
        self.faults_allowed = True
        self.current: Actor | None = None
        self._hub = getcurrent()
        self._polls = 0
        self.is_stale = False

    # What actors do

    @property
    def running(self) -> Actor:
        """Return the actor whose code runs at this moment."""
        assert self.current is not None
        return self.current

    def spawn(self, name: str, role: str, work: Callable[[Actor], Any], *, skew: float = 0.0) -> Actor:
        """Make an actor that will do `work`; its first step is the scheduler's choice."""
        self._polls = 0
        actor = Actor(name, role, greenlet(), self.now, self.step, self.now + CALL_TIME, skew)
        actor.greenlet.run = lambda _fault: self._work(actor, work)
        actor.point = Point(role, "starts", faults=(Fault.CRASH,), since=self.now)
        self.actors.append(actor)
        self.live.append(actor)
        return actor

    def call(self, point: Point, effect: Callable[[], Any], failure: Callable[[Fault], Exception]) -> Any:
        """Make one call to the outside for the running actor: its effect happens, or does not, as is chosen."""
        actor = self.running
        point.since = self.now
        fault = self._pause_and_sleep(actor, point)
        if fault in {Fault.LATE_REQUEST, Fault.CRASH_SENT}:
            self.orphans.append(Orphan(actor, point.title(), effect, point.about))
        if fault is Fault.CRASH_SENT:
            raise GreenletExit
        actor.polls = point.operation in _READS and fault is Fault.NONE
        if fault in _WITHOUT_EFFECT:
            raise failure(fault)
        self.is_stale = fault is Fault.STALE
        result, error = self._effect(point, effect)
        if fault in _ANSWERED and (self.two_sided or point.service == "http"):
            arriving = replace(point, stage=Stage.AFTER, faults=_AFTER[point.service])
            if fault is Fault.SLOW and point.time_limit is not None:
                arriving.wake_at = self.now + _SLOWLY * point.time_limit
            fault = self._pause_and_sleep(actor, arriving)
        if fault in {Fault.LOST_ANSWER, Fault.OUTAGE}:
            raise failure(fault)
        if fault is Fault.RETRIED:
            result, error = self._effect(point, effect)
        if error is not None:
            raise error
        return result

    def sleep(self, seconds: float) -> None:
        """Let the running actor wait."""
        self._pause(self.running, Point("time", "sleep", faults=(Fault.CRASH,), wake_at=self.now + seconds))

    def note(self, actor: str, call: str, outcome: str) -> None:
        """Write one line of history, if a history is wanted."""
        if self.recording:
            self.history.append(Event(self.step, self.now, actor, call, outcome))

    def _effect(self, point: Point, effect: Callable[[], Any]) -> tuple[Any, Exception | None]:
        """Return what the other side answers, be it a refusal."""
        if point.operation not in _READS:
            self._polls = 0
        try:
            result, problem = effect(), None
        except Exception as error:  # noqa: BLE001 - the answer's way back is still to be chosen
            result, problem = None, error
        if self.recording:
            said = _code(problem) if problem else point.answered(result)
            self.note(self.running.name, point.title(), said)
        return result, problem

    def _pause(self, actor: Actor, point: Point) -> Fault:
        if actor.is_over:
            raise GreenletExit  # a dead process makes no calls
        actor.point = point
        fault: Fault = self._hub.switch()
        if fault in {Fault.CRASH, Fault.CRASH_SENT}:
            actor.outcome = "crashed"
            if fault is Fault.CRASH:
                raise GreenletExit
        return fault

    def _pause_and_sleep(self, actor: Actor, point: Point) -> Fault:
        """Wait for what the strategy chooses; a process may be stopped here for long, if it may outlive its time."""
        fault = self._pause(actor, point)
        if fault not in SLEEPS:
            return fault
        return self._pause(actor, replace(point, faults=(Fault.CRASH,), wake_at=self.now + SLEEPS[fault]))

    def _work(self, actor: Actor, work: Callable[[Actor], Any]) -> None:
        try:
            actor.result = work(actor)
        except GreenletExit:
            actor.outcome = actor.outcome if actor.is_over else "crashed"
        except Exception as error:  # noqa: BLE001 - how a process ends is what is looked at
            actor.error = error
        if actor.has_died:
            return
        actor.outcome = "failed" if actor.error else "returned"

    # What the scheduler does

    def run(self, most_steps: int) -> None:
        """Run until nothing is left that can happen, or for so many steps."""
        end = self.step + most_steps
        while self.step < end:
            options = self.options()
            if not options:
                return
            self.take(self.strategy.choose(options))

    def take(self, option: Option) -> None:
        """Let one thing happen."""
        self.step += 1
        self.now += STEP
        self.faults += option.faults
        if option.kind == "run":
            self._resume(option.subject, option.fault)
        elif option.kind == "orphan":
            self.orphans.remove(option.subject)
            self._let_in(option.subject)
        elif option.kind == "deliver":
            self._deliver(option.subject)
        elif option.kind == "wait":
            self._wait_until(option.subject)
        elif option.kind == "outage":
            service, seconds = option.subject
            self.outages[service] = self.now + seconds
            self.note(service, "outage", f"for {seconds:.0f} s")

    def options(self) -> list[Option]:
        """Return what can happen now; the first is what happens without interference."""
        ready = [actor for actor in self.live if self._is_ready(actor)]
        current = self.current if self.current in ready else None
        options: list[Option] = []
        if current is not None:
            ready = [current, *(actor for actor in ready if actor is not current)]
        options += [Option("run", actor, self._expected(actor), int(current not in {None, actor})) for actor in ready]
        switch = int(current is not None)
        options += [Option("deliver", message, preempts=switch) for message in self._deliverable()]
        options += [Option("orphan", orphan, preempts=switch) for orphan in self.orphans]
        waits = self._waits(forced=not options)
        if not options:
            # If everybody is asleep, time passes; that comes before whatever else may happen meanwhile.
            options, waits = waits, []
        if self.faults_allowed:
            for actor in ready:
                cost = int(current not in {None, actor})
                options += [Option("run", actor, fault, cost, 1) for fault in self._faults_of(actor)]
            options += [Option("deliver", message, preempts=switch, faults=1) for message in self._duplicable()]
            options += self.possible_outages if self.two_sided and not self.outages else ()
        return options + waits

    def _is_ready(self, actor: Actor) -> bool:
        point = actor.point
        return point is not None and (point.wake_at is None or point.wake_at <= self.now)

    def _is_late(self, point: Point) -> bool:
        return self.bounded and point.time_limit is not None and self.now - point.since > point.time_limit

    def _expected(self, actor: Actor) -> Fault:
        """Return what becomes of an actor's call without interference: in an outage, or too late, it has failed."""
        point = actor.point
        assert point is not None
        if self._is_late(point):
            return Fault.LOST_REQUEST if point.stage is Stage.BEFORE else Fault.LOST_ANSWER
        if self.outages and point.stage is Stage.BEFORE and self._is_out(point):
            return Fault.REFUSED if point.service == "http" else Fault.THROTTLED
        if self.outages and point.stage is Stage.BEFORE and Fault.DEAD in point.faults and REFUSES_ALL in self._out():
            return Fault.DEAD
        return Fault.NONE

    def _out(self) -> list[str]:
        return [service for service, until in self.outages.items() if until > self.now]

    def _is_out(self, point: Point) -> bool:
        out = self._out()
        writes = point.service == "dynamodb" and point.operation not in _READS
        return point.service in out or (writes and "dynamodb writes" in out)

    def _faults_of(self, actor: Actor) -> tuple[Fault, ...]:
        point = actor.point
        assert point is not None
        if self._is_late(point):
            late = (Fault.LATE_REQUEST,) if point.stage is Stage.BEFORE else ()
            return (Fault.CRASH, *late)
        may_sleep = not self.bounded and self.two_sided and point.service == "http" and point.wake_at is None
        return (*point.faults, *SLEEPS) if may_sleep else point.faults

    def _deliverable(self) -> list[Message]:
        first: dict[tuple[str, str], Message] = {}
        for message in self.messages:
            if message.queue in self.consumers:
                # A group of a FIFO queue is delivered one message after the other.
                key = (message.queue, message.group if message.queue == "refresh" else str(message.number))
                first.setdefault(key, message)
        return [message for message in first.values() if message.visible_at <= self.now]

    def _duplicable(self) -> list[Message]:
        """Return the messages in somebody's hand that may, by SQS's word, be delivered once more even so."""
        return [m for m in self.messages if m.in_hand and m.queue != "refresh" and m.deliveries <= _DELIVERIES]

    def _deliver(self, message: Message) -> None:
        message.deliveries += 1
        message.in_hand += 1
        message.visible_at = self.now + self.VISIBILITY.get(message.queue, 180.0)
        name = f"{message.queue}-queue {message.number}.{message.deliveries}"
        consume = self.consumers[message.queue]
        self.note("queue", f"delivers {message.queue} {message.number}", f"for the {message.deliveries}. time")

        def work(actor: Actor) -> Any:
            actor.notes["message"] = message
            return consume(actor, message)

        self.spawn(name, f"{message.queue}-queue", work)

    def _let_in(self, orphan: Orphan) -> None:
        self._polls = 0
        try:
            orphan.effect()
        except Exception as error:  # noqa: BLE001 - nobody is there to get it
            self.note(f"({orphan.actor.name})", f"{orphan.what}, late", _code(error))
        else:
            self.note(f"({orphan.actor.name})", f"{orphan.what}, late", "took effect")

    def _resume(self, actor: Actor, fault: Fault) -> None:
        point = actor.point
        assert point is not None
        self.current = actor
        if fault is not Fault.NONE:
            self.note(actor.name, point.title(), f"! {fault}")
        actor.point = None
        if fault is Fault.CRASH:
            self.kill(actor, "crashed")
        else:
            actor.greenlet.switch(fault)
            if fault is Fault.CRASH_SENT:
                self.kill(actor, "crashed")
        if actor.is_over:
            self._over(actor)

    def kill(self, actor: Actor, how: str) -> None:
        """End a process where it stands: nothing of it runs any more."""
        actor.outcome = how
        if not actor.greenlet.dead:
            if actor.greenlet:
                actor.greenlet.throw(GreenletExit)
            actor.point = None

    def _over(self, actor: Actor) -> None:
        self.live.remove(actor)
        message: Message | None = actor.notes.get("message")
        if message is not None:
            message.in_hand -= 1
            if actor.outcome == "returned" and message in self.messages:
                self.messages.remove(message)
        if self.recording:
            said = f"{type(actor.error).__name__}: {actor.error}" if actor.error else str(actor.result)
            self.note(actor.name, actor.role, f"{actor.outcome} {'' if actor.has_died else said}")
        self.on_over(actor)

    # Time

    def _waits(self, *, forced: bool) -> list[Option]:
        """Return the waits that may be chosen: forced if nobody can go on, else as a fault (everybody is slow)."""
        if not forced and not (self.pauses and self.faults_allowed):
            return []
        wakes = [actor.point.wake_at for actor in self.live if actor.point and actor.point.wake_at is not None]
        wakes += self._hidden_until()
        turns = self.timers()
        if not forced:
            soonest = [min((time for time in times if time > self.now), default=None) for times in (wakes, turns)]
            return [Option("wait", time, faults=1) for time in dict.fromkeys(soonest) if time is not None]
        if self.faults_allowed and not self.live and all(m.deliveries >= _DELIVERIES for m in self.messages):
            return []  # nobody is left but messages that come again and again: that is for the peace
        if not wakes and not (self.on_tick and self.needs_tick()):
            return []
        until = self._next_turn(wakes, turns) if wakes else self.tick_at
        return [Option("wait", min(until, self.tick_at) if self.on_tick else until)]

    def _next_turn(self, wakes: list[float], turns: list[float]) -> float:
        """Return when the next sleeper wakes; one who polls learns nothing until something is due, and sleeps on."""
        self._polls += 1
        if self._polls <= (_POLLS if self.two_sided else 1):
            return min(wakes)
        working = [a.point.wake_at for a in self.live if not a.polls and a.point and a.point.wake_at is not None]
        ends = [actor.deadline - (_LAST_TRY if actor.deadline - self.now > _LAST_TRY else 0.6) for actor in self.live]
        due = [time for time in (*turns, *self._hidden_until(), *working) if time > self.now]
        return max(min([*due, *ends], default=0.0), min(wakes))

    def _hidden_until(self) -> list[float]:
        return [message.visible_at for message in self.messages if message.queue in self.consumers]

    def _wait_until(self, time: float) -> None:
        self.now = max(self.now, time)
        self.note("time", "passes", "")
        self.current = None
        if self.bounded:
            for actor in [actor for actor in self.live if self.now >= actor.deadline]:
                self.kill(actor, "killed at its deadline")
                self._over(actor)
        if self.on_tick and self.now >= self.tick_at:
            self.tick_at = self.now + TICK
            self.on_tick()


SLEEPS = {Fault.ASLEEP: 40.0, Fault.LONG_ASLEEP: 900.0}
"""Seconds for which a process stops between two steps of a request."""

_AFTER: dict[str, tuple[Fault, ...]] = {
    "http": (Fault.CRASH, Fault.LOST_ANSWER, Fault.OUTAGE),
    "dynamodb": (Fault.CRASH, Fault.LOST_ANSWER, Fault.RETRIED),
    "kms": (Fault.CRASH, Fault.LOST_ANSWER),
    "sqs": (Fault.CRASH, Fault.LOST_ANSWER, Fault.RETRIED),
    "log": (Fault.CRASH,),
}

OUTAGES = tuple(
    Option("outage", (service, seconds), faults=1)
    for service in ("dynamodb", "dynamodb writes", "kms", "sqs", "http")
    for seconds in (5.0, 25.0, 60.0, 240.0)
)
REFUSES_ALL = "http refuses as dead"
REFUSALS = tuple(Option("outage", (REFUSES_ALL, seconds), faults=1) for seconds in (60.0, 400.0, 2000.0, 20000.0))
"""A server that takes every grant for dead for a while: the longest is longer than anybody looks again."""
_WITHOUT_EFFECT = frozenset({Fault.LOST_REQUEST, Fault.LATE_REQUEST, Fault.THROTTLED, Fault.REFUSED, *PASSING})
_ANSWERED = frozenset({Fault.NONE, Fault.STALE, Fault.SLOW})
_READS = frozenset({"get_item", "query", "decrypt", "get_queue_attributes"})


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code"))
    return f"{type(error).__name__} {error}".rstrip()
