"""One history from its first step to its judgement, and many of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ConfirmationRequired, GatehouseError
from functions.vault.base.timing import LEASE_MARGIN
from tests.torture import records
from tests.torture.families import Casts, Family, any_drawn
from tests.torture.invariants import Watch
from tests.torture.judging import judge
from tests.torture.scheduler import CALL_TIME, TICK, Scheduler
from tests.torture.server import UNKNOWN
from tests.torture.strategies import Calm, Chance, Script
from tests.torture.wire import HTTP_TIMEOUT, registrations_of
from tests.torture.world import KEY, NEW_KEY, Process, World

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from tests.torture.rows import Row
    from tests.torture.scenarios import Scenario
    from tests.torture.scheduler import Actor, Event, Strategy
    from tests.torture.world import Parts

MOST_STEPS = 600
QUIET_STEPS = 3000
_MOST_SWEEPS = 60
_ROUNDS, _BETWEEN_ROUNDS = 12, 9000.0
"""How often, and after how many seconds, a grant is asked for again that is refused for a reason that nobody knows."""

LEASE = CALL_TIME + LEASE_MARGIN
SLACK = 5.0
"""Seconds of polling and retrying that a caller adds to a lease and a time-out."""


@dataclass
class Result:
    """What one history came to."""

    scenario: Scenario
    violations: list[str]
    counts: Counter[str]
    steps: int
    rows: set[Row] = field(repr=False, default_factory=set)
    history: list[Event] = field(repr=False, default_factory=list)


def run(scenario: Scenario, strategy: Strategy, parts: Parts | None = None, **how: Any) -> Result:
    """Play one history: the schedule, then peace, then the judgement. `how` goes to the scheduler."""
    recording, dynamo = how.pop("recording", False), how.pop("dynamo", None)
    scheduler = Scheduler(strategy, bounded=scenario.bounded, **how)
    scheduler.recording = recording
    world = World(scheduler, scenario.profile, parts, dynamo)
    watch = Watch(world)
    scenario.set_the_stage(world)
    scheduler.run(MOST_STEPS)
    steps, watch.counts["faults"] = scheduler.step, scheduler.faults
    _peace(world, watch)
    judge(watch)
    return Result(scenario, watch.violations, watch.counts, steps, watch.rows, scheduler.history)


def _peace(world: World, watch: Watch) -> None:
    """Let everything come to its end without faults, and see whether each connection vends again in time."""
    scheduler = world.scheduler
    scheduler.note("peace", "from here on nothing fails", "")
    scheduler.strategy, scheduler.faults_allowed, scheduler.current = Calm(), False, None
    scheduler.outages.clear()
    world.registrations = registrations_of(world.profile)
    scheduler.tick_at, scheduler.on_tick = scheduler.now + TICK, lambda: _tick(world)
    scheduler.needs_tick = lambda: any(records.to_revoke(world.item(each)) for each in world.accounts)
    probers = [_prober(world, watch, connection_id) for connection_id in world.accounts]
    scheduler.run(QUIET_STEPS)
    for has_vended in probers:
        has_vended()
    _replay_the_log(world)
    _work_in_the_background(world, watch)
    _seal_the_rest_again(world, watch)
    ended = None
    while ended != (ended := sum(grant.ended is not None for grant in world.server.grants)):
        is_known = [_refresh_a_last_time(world, watch, connection_id) for connection_id in world.accounts]
        _work_in_the_background(world, watch)
        for _ in range(_ROUNDS if not all(is_known) else 0):
            scheduler.now += _BETWEEN_ROUNDS
            for connection_id in world.accounts:
                _refresh_a_last_time(world, watch, connection_id)


def _prober(world: World, watch: Watch, connection_id: str) -> Callable[[], None]:
    """Let somebody ask for a token until there is one; return what judges how long that has taken."""
    scheduler, failure = world.scheduler, world.item(connection_id).get("failure")
    began = max(scheduler.now, float(failure["retry_at"]) if failure else 0.0)
    prober = scheduler.spawn(f"prober:{connection_id}", "prober", lambda actor: _probe(world, actor, connection_id))

    def judge_it() -> None:
        if prober.outcome != "returned":
            watch.violated(f"the prober of {connection_id} {prober.outcome}: {prober.error!r}")
        elif prober.result is not None and prober.result > max(began, watch.rescued_at) + LEASE + HTTP_TIMEOUT + SLACK:
            # While the rescue queue holds a response, an interrupted connection waits for it rather than lose it.
            watch.violated(f"no token of {connection_id} for {prober.result - began:.0f} s")

    return judge_it


def _probe(world: World, actor: Actor, connection_id: str) -> float | None:
    """Ask for a token until there is one; return when that was, or None if the connection is over, or may be."""
    while True:
        actor.deadline = world.scheduler.now + 29.0
        process = Process(world, actor)
        try:
            process.vending.token(connection_id, 60, process.deadline)
        except GatehouseError as error:
            is_refused = error.provider_error is not None and error.provider_error.error == UNKNOWN
            if isinstance(error, ConfirmationRequired):
                return None  # the application has its time for that
            if not error.retryable or (is_refused and world.profile.refuses_with == UNKNOWN):
                return None
            actor.deadline, actor.polls = actor.deadline + 600.0, False  # it is a caller of functions: it may wait
            process.timing.sleep(error.retry_after or 1)
        else:
            return world.scheduler.now


def _work_in_the_background(world: World, watch: Watch) -> None:
    """Let the schedule do what is due within a day, until nothing is."""
    scheduler = world.scheduler
    horizon = scheduler.now + 86400.0
    for _ in range(_MOST_SWEEPS):
        due = [at for each in world.accounts if (at := world.item(each).get("due_at")) is not None and at < horizon]
        if not due:
            return
        scheduler.now = max(scheduler.now, min(due) + 1.0)
        _tick(world)
        scheduler.run(QUIET_STEPS)
    watch.violated("the background has never done with its work")


def _refresh_a_last_time(world: World, watch: Watch, connection_id: str) -> bool:
    """Refresh a connection; return whether the result is known, and not only that the server refuses somehow."""
    scheduler = world.scheduler
    if world.item(connection_id).get("status") != "active":
        return True
    scheduler.now += 400.0  # past every delay
    last = scheduler.spawn(f"last:{connection_id}", "refresh", lambda actor: _refresh(world, actor, connection_id))
    scheduler.run(QUIET_STEPS)
    code = getattr(last.error, "code", "")
    is_unknown = world.profile.refuses_with == UNKNOWN and code in {"provider_unavailable", "provider_misconfigured"}
    if last.error is not None and code != "reauthorization_required" and not is_unknown:
        watch.violated(f"{connection_id} does not refresh: {last.error!r}")
    return not is_unknown


def _refresh(world: World, actor: Actor, connection_id: str) -> Any:
    process = Process(world, actor)
    return process.vending.refresh(connection_id, None, process.deadline)


def _replay_the_log(world: World) -> None:
    """Be the operator, who replays what the log holds."""
    for line in world.log:
        world.send_message("rescue", line, "", "")
    world.log.clear()
    world.scheduler.run(QUIET_STEPS)


def _seal_the_rest_again(world: World, watch: Watch) -> None:
    """Be the operator who makes a last pass if the key was changed, and see that nothing is left under the old one."""
    if len(world.key_ids) == 1:
        return
    scheduler, world.key_ids = world.scheduler, (NEW_KEY, KEY)
    last = scheduler.spawn("last reseal", "reseal", lambda actor: _reseal(world, actor))
    scheduler.run(QUIET_STEPS)
    if last.outcome != "returned" or "cursor" in last.result:
        watch.violated(f"the last pass came to no end: {last.outcome} {last.error!r}")
    elif last.result["left"] or set(last.result["keys"]) - {NEW_KEY}:
        watch.violated(f"the old key is still needed: {last.result}")


def _reseal(world: World, actor: Actor) -> Any:
    process = Process(world, actor)
    return process.resealing.reseal(process.deadline, per_second=100)


def _tick(world: World) -> None:
    world.scheduler.spawn("schedule", "sweep", lambda actor: _sweep(world, actor))


def _sweep(world: World, actor: Actor) -> Any:
    process = Process(world, actor)
    return process.sweeping.sweep(process.deadline)


# Many


def by_seed(
    seed: int, scenario: Scenario | Family | Casts | None = None, parts: Parts | None = None, *, recording: bool = False
) -> Result:
    """Play the history of a seed; without a scenario the seed draws that too, and with a family one of that."""
    random = Random(seed)  # noqa: S311 - chance, not secrecy
    if scenario is None:
        scenario = any_drawn(random)
    elif isinstance(scenario, Family | Casts):
        scenario = scenario.drawn(random)
    return run(scenario, Chance(random, scenario.likely), parts, recording=recording)


def by_script(scenario: Scenario, choices: list[int], *, preempts: int, faults: int) -> Result:
    """Play one history of a search again, for people to read."""
    script = Script(choices, preempts=preempts, faults=faults)
    return run(scenario, script, two_sided=False, recording=True)


def exhaustively(
    scenario: Scenario, *, preempts: int, faults: int, most: int, parts: Parts | None = None
) -> Iterator[tuple[list[int], Result]]:
    """Play every history of a scenario with at most so many preemptions and faults, depth first."""
    choices: list[int] | None = []
    while choices is not None and most:
        most -= 1
        script = Script(choices, preempts=preempts, faults=faults)
        result = run(scenario, script, parts, two_sided=False)
        yield script.taken, result
        choices = script.following()


def timeline(result: Result) -> str:
    """Return a history for people to read: time, actor, call, outcome."""
    start = result.history[0].at if result.history else 0.0
    lines = [
        f"{event.step:4d} {event.at - start:8.2f}s  {event.actor:<18} {event.call:<60} {event.outcome}"
        for event in result.history
    ]
    return "\n".join([f"scenario {replace(result.scenario)}", *lines, *(f"VIOLATED: {v}" for v in result.violations)])
