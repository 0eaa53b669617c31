"""Who is at work in a history, in what state they find the connection, and how its server behaves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.torture import records
from tests.torture.server import Profile
from tests.torture.world import CONNECTION, Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from functions.vault.authorization import ValidatedResponse
    from tests.torture.scheduler import Actor, Message
    from tests.torture.world import World

AGES = {"none": None, "fresh": 10.0, "due": 3400.0, "expired": 3700.0, "idle": 10.5 * 86400}
"""How old the connection's tokens are, in seconds; they live an hour."""

STRICT = Profile()
REPLAYING = Profile(replay_seconds=60)
PROFILES = (
    STRICT,
    STRICT,
    replace(STRICT, detects_reuse=False),
    replace(STRICT, rotates=False),
    REPLAYING,
    replace(REPLAYING, fresh_replays=True),
    replace(REPLAYING, replay_is_known=False),
    replace(STRICT, revokes_by_old=True),
    replace(STRICT, revokes_by_access=True),
    replace(STRICT, rotates=False, revokes_by_access=True),
    replace(STRICT, rotates=False, revokes_by_access=True, revokes_all=True),
)


@dataclass(frozen=True)
class Scenario:
    """One cast. `age` is a key of `AGES`; `bounds` are the preemptions and faults, in all, of a search to the end."""

    name: str
    roles: tuple[str, ...]
    age: str = "expired"
    profile: Profile = STRICT
    bounded: bool = True
    skews: tuple[float, ...] = field(default=())
    bounds: tuple[tuple[int, int], ...] = ((2, 1), (0, 2))

    def set_the_stage(self, world: World) -> None:
        """Make the connection, let its tokens age, and put the actors on."""
        scheduler, setup = world.scheduler, Process(world, None)
        age = AGES[self.age]
        if age is not None:
            setup.complete(setup.consent())
            scheduler.now += age
        prepared = setup.consent() if {"callback", "duplicate"} & set(self.roles) else None
        world.is_set_up = True
        scheduler.consumers = {queue: _consumer(world, queue) for queue in ("rescue", "refresh", "revoke")}
        scheduler.timers = lambda: _timers(world)
        for number, role in enumerate(self.roles):
            skew = self.skews[number] if self.skews else 0.0
            scheduler.spawn(f"{role}-{number + 1}", _KIND.get(role, role), _work(world, role, prepared), skew=skew)


_KIND = {"refresh_any": "refresh", "callback": "authorize", "duplicate": "authorize", "reconnect": "authorize"}


def _work(world: World, role: str, prepared: ValidatedResponse | None) -> Callable[[Actor], Any]:
    return lambda actor: _ROLES[role](Process(world, actor), prepared)


def _reconnect(process: Process, _prepared: ValidatedResponse | None) -> Any:
    response = process.consent()
    process.timing.sleep(1.0)  # the user, who reads and clicks
    assert process.actor is not None
    process.actor.deadline = process.world.scheduler.now + 29.0  # the callback is a call of its own
    return process.complete(response).page


def _complete(process: Process, prepared: ValidatedResponse | None) -> Any:
    assert prepared is not None
    return process.complete(prepared).page


_ROLES: dict[str, Callable[[Process, ValidatedResponse | None], Any]] = {
    "token": lambda process, _: process.vending.token(CONNECTION, 60, process.deadline),
    "refresh": lambda process, _: process.vending.refresh(CONNECTION, 1, process.deadline),
    "refresh_any": lambda process, _: process.vending.refresh(CONNECTION, None, process.deadline),
    "revoke": lambda process, _: process.revoking.revoke(CONNECTION, process.deadline),
    "sweep": lambda process, _: process.sweeping.sweep(process.deadline),
    "reconnect": _reconnect,
    "callback": _complete,
    "duplicate": _complete,
}


def _consumer(world: World, queue: str) -> Callable[[Actor, Message], Any]:
    """Return what a queue's function does with one message."""

    def consume(actor: Actor, message: Message) -> Any:
        process, document = Process(world, actor), json.loads(message.body)
        if queue == "rescue":
            return process.rescuing.rescue(document, process.deadline)
        if queue == "refresh":
            return process.vending.keep(document["connection_id"], document["version"], process.deadline)
        return process.revoking.retry(document["connection_id"], process.deadline)

    return consume


def _timers(world: World) -> list[float]:
    """Return the times at which a stored state turns into another: a lease lapses, a delay is over."""
    stored = world.item()
    turns = (records.current_of(stored).get("lease", {}).get("until"), stored.get("failure", {}).get("retry_at"))
    return [float(time) for time in (*turns, stored.get("tell_at")) if time is not None]


SMALL = (
    Scenario("token token", ("token", "token")),
    Scenario("token refresh", ("token", "refresh")),
    Scenario("token token, replayed", ("token", "token"), profile=REPLAYING),
    Scenario("token revoke", ("token", "revoke")),
    Scenario("revoke revoke", ("revoke", "revoke"), age="fresh"),
    Scenario("token callback", ("token", "callback")),
    Scenario("revoke callback", ("revoke", "callback"), age="fresh"),
    Scenario("duplicate callbacks", ("callback", "duplicate"), age="none"),
    Scenario("reconnect reconnect", ("reconnect", "reconnect"), age="fresh"),
    Scenario("sweep token", ("sweep", "token"), age="idle", bounds=((1, 1), (2, 0), (0, 2))),
)
"""Searched to the end, within bounds."""

LARGE = (
    Scenario("three callers", ("token", "token", "refresh_any")),
    Scenario("callers and revoke", ("token", "refresh", "revoke")),
    Scenario("callers and consent", ("token", "refresh", "reconnect")),
    Scenario("revoke and consents", ("revoke", "callback", "reconnect"), age="fresh"),
    Scenario("first consents", ("reconnect", "reconnect", "token"), age="none"),
    Scenario("double click", ("callback", "duplicate", "token"), age="none"),
    Scenario("sweep and callers", ("sweep", "token", "sweep"), age="idle"),
    Scenario("sweep and revoke", ("sweep", "revoke", "token"), age="idle"),
    Scenario("everything", ("token", "refresh", "revoke", "reconnect")),
    Scenario("everything, idle", ("sweep", "token", "revoke", "reconnect"), age="idle"),
)
"""Explored by chance, like casts drawn by chance."""

BY_NAME = {scenario.name: scenario for scenario in (*SMALL, *LARGE)}


def drawn(random: Random) -> Scenario:
    """Return a scenario drawn by chance: one of the known casts, or one of any two to four."""
    if random.random() < 0.5:
        known = random.choice((*SMALL, *LARGE))
        return _varied(known, random)
    roles = tuple(random.choice(tuple(_ROLES)) for _ in range(random.randint(2, 4)))
    age = random.choice([age for age in AGES if age != "none"])
    return _varied(Scenario("any", roles, age), random)


def _varied(scenario: Scenario, random: Random) -> Scenario:
    furthest = random.choice((0, 0, 0, 5, 300))
    skews = tuple(random.uniform(-furthest, furthest) for _ in scenario.roles) if furthest else ()
    return replace(scenario, profile=random.choice(PROFILES), bounded=random.random() < 0.75, skews=skews)
