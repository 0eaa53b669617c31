"""Who is at work in a history, in what state they find the connections, and how their server behaves."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import GatehouseError, ReauthorizationRequired, TemporarilyUnavailable
from functions.vault.grant.life import CONFIRM_WITHIN
from functions.vault.usecases.committing import Committing
from tests.torture.scheduler import CALL_TIME, REFUSALS
from tests.torture.server import Profile
from tests.torture.wire import registrations_of
from tests.torture.world import ACCOUNT, CONNECTION, KEY, NEW_KEY, Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from functions.vault.grant.connection import Connection
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from tests.torture.scheduler import Actor, Fault, Message
    from tests.torture.world import World

AGES = {"none": None, "fresh": 10.0, "due": 3400.0, "expired": 3700.0, "idle": 10.5 * 86400}
"""How old a connection's tokens are, in seconds; they live an hour."""

MIN_TTL = 60
"""Seconds that a token must still be valid for a caller."""

_CALLS, _BETWEEN_CALLS = 12, 20.0
_CONFIRMS_AGAIN_AFTER = (3.0, 150.0)
_IMPORTS_AGAIN_AFTER = (0.0, 2.0, 60.0)
_ALMOST_TOO_LATE = CONFIRM_WITHIN - 2.0
_IN_TROUBLE = 1800.0

BEGINNINGS = {
    "as consented": 1,
    "consented twice": 2,
    "consented often": 9,
    "dead": 1,
    "often, then dead": 9,
    "taken for dead": 1,
}
"""What has happened to a connection before, with the number of its consents: a grant is dead if the user has removed
it, and taken for dead if it was refused temporarily."""

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
    replace(STRICT, rotates=False, revokes_by_access=True, revokes_all=True, confirms=True, says_all=True),
)

ANOTHER = "d"
ANOTHER_ACCOUNT = "two"


@dataclass(frozen=True)
class Scenario:
    """One cast. `age` is a key of `AGES`; `bounds` are the preemptions and faults, in all, of a search to the end.

    A role is played with the connection that is named behind a colon, else with the usual one. `accounts` are the
    connections that there are, and whose each is. What is `likely` to go wrong does so more often than other things.
    """

    name: str
    roles: tuple[str, ...]
    age: str = "expired"
    profile: Profile = STRICT
    bounded: bool = True
    skews: tuple[float, ...] = field(default=())
    bounds: tuple[tuple[int, int], ...] = ((2, 1), (0, 2))
    begins: str = "as consented"
    accounts: tuple[tuple[str, str], ...] = ((CONNECTION, ACCOUNT),)
    likely: tuple[Fault | str, ...] = ()

    def set_the_stage(self, world: World) -> None:
        """Make the connections, let their tokens age, and put the actors on."""
        scheduler, setup = world.scheduler, Process(world, None)
        world.accounts = dict(self.accounts)
        age = AGES[self.age]
        if age is not None:
            for connection_id in world.accounts:
                self._begin(setup, connection_id)
            scheduler.now += age
            for connection_id in world.accounts:
                self._refuse(setup, connection_id)
        clicked = {_connection_of(role) for role in self.roles if role.partition(":")[0] in {"callback", "duplicate"}}
        prepared = {connection_id: setup.consent(connection_id) for connection_id in sorted(clicked)}
        if any(role.partition(":")[0] == "reseal" for role in self.roles):
            world.key_ids = (KEY, NEW_KEY)
        world.is_set_up = True
        world.server.new_key_since = scheduler.now
        scheduler.consumers = {queue: _consumer(world, queue) for queue in ("rescue", "refresh", "revoke")}
        scheduler.timers = world.turns
        if self.profile.refuses_temporarily:
            scheduler.possible_outages += REFUSALS
        for number, role in enumerate(self.roles):
            skew = self.skews[number] if self.skews else 0.0
            kind = role.partition(":")[0]
            scheduler.spawn(f"{role}-{number + 1}", _KIND.get(kind, kind), _work(world, role, prepared), skew=skew)

    def _begin(self, setup: Process, connection_id: str) -> None:
        for _ in range(BEGINNINGS[self.begins]):
            setup.complete(setup.consent(connection_id))

    def _refuse(self, setup: Process, connection_id: str) -> None:
        server = setup.world.server
        if not self.begins.endswith("dead"):
            return
        setup.world.begins_refused = True
        if self.begins == "taken for dead":
            server.takes_all_for_dead = True
        else:
            server.remove(connection_id)
        with suppress(ReauthorizationRequired):
            setup.vending.refresh(connection_id, None, setup.deadline)
        server.takes_all_for_dead = False


_KIND = {
    "refresh_any": "refresh",
    "callback": "authorize",
    "duplicate": "authorize",
    "reconnect": "authorize",
    "stranger": "authorize",
    "mistaken": "authorize",
    "copied_stranger": "authorize",
    "vouched": "authorize",
    "latecomer": "authorize",
    "tardy": "authorize",
    "copied": "authorize",
    "phished": "authorize",
    "vouched_stranger": "authorize",
    "upkeep": "sweep",
    "removal": "user",
    "mistake": "operator",
    "queued": "refresh",
    "import_other": "import",
}


def _connection_of(role: str) -> str:
    return role.partition(":")[2] or CONNECTION


def _work(world: World, role: str, prepared: dict[str, ValidatedResponse]) -> Callable[[Actor], Any]:
    connection_id = _connection_of(role)
    play, response = _ROLES[role.partition(":")[0]], prepared.get(connection_id)
    return lambda actor: play(Process(world, actor), connection_id, response)


def _reconnect(process: Process, connection_id: str, _prepared: Any, account: str | None = None) -> Any:
    return _completed(process, process.consent(connection_id, account))


def _stranger(process: Process, connection_id: str, _prepared: Any) -> Any:
    """Be a user with another account than the connection is to."""
    return _reconnect(process, connection_id, None, ANOTHER_ACCOUNT)


def _mistaken(process: Process, connection_id: str, _prepared: Any) -> Any:
    """Be a user who consents with another account, and then by the same link with the right one."""
    first = process.consent(connection_id, ANOTHER_ACCOUNT)
    page = _completed(process, first)
    return page if page != "failed" else _completed(process, process.consent_again(first, connection_id))


def _completed(process: Process, response: ValidatedResponse) -> str:
    process.timing.sleep(1.0)  # the user, who reads and clicks
    assert process.actor is not None
    process.actor.deadline = process.world.scheduler.now + 29.0  # the callback is a call of its own
    return process.complete(response).page


def _phished(process: Process, connection_id: str, _prepared: Any, account: str | None = None) -> ValidatedResponse:
    """Be a user who consents to what the application has to confirm, which it does not."""
    response = process.consent(connection_id, account, confirm=True)
    process.timing.sleep(1.0)
    assert process.actor is not None
    process.actor.deadline = process.world.scheduler.now + 29.0
    process.complete(response)
    return response


def _vouched(
    process: Process, connection_id: str, _prepared: Any, after: float = 2.0, account: str | None = None
) -> Any:
    """Be a user who consents and comes back, and the application, which confirms after so many seconds, and again."""
    response = _phished(process, connection_id, None, account)
    actor, scheduler = process.actor, process.world.scheduler
    assert actor is not None
    result = None
    for seconds in (after, *_CONFIRMS_AGAIN_AFTER):
        actor.deadline = scheduler.now + seconds + 29.0
        process.timing.sleep(seconds)
        try:
            result = Process(process.world, actor).confirm(connection_id, response)
        except GatehouseError as error:
            if not error.retryable:
                return error.code
    return result


def _removal(process: Process, connection_id: str, _prepared: Any) -> Any:
    """Be the user, who takes back at the provider what the connection was allowed."""
    process.timing.sleep(1.0)
    process.world.server.remove(connection_id)


def _mistake(process: Process, _connection_id: str, _prepared: Any) -> Any:
    """Be an operator who puts another client into the registration, and the right one after a while."""
    world = process.world
    world.registrations = registrations_of(world.profile, "another client")
    process.timing.sleep(20.0)
    world.registrations = registrations_of(world.profile)


def _complete(process: Process, _connection_id: str, prepared: ValidatedResponse | None) -> Any:
    assert prepared is not None
    return process.complete(prepared).page


def _upkeep(process: Process, _connection_id: str, _prepared: Any) -> Any:
    """Be the schedule, now and when those who look at dead grants look again."""
    assert process.actor is not None
    for seconds in (0.0, 330.0, 960.0, 14700.0):
        process.actor.deadline = process.world.scheduler.now + seconds + 29.0
        process.timing.sleep(seconds)
        process.sweeping.sweep(process.deadline)


def _token(process: Process, connection_id: str, _prepared: Any = None) -> Any:
    try:
        return process.vending.token(connection_id, MIN_TTL, process.deadline)
    except GatehouseError as error:
        assert process.actor is not None
        process.world.observer.refused(process.actor, connection_id, error)
        raise


def _caller(process: Process, connection_id: str, _prepared: Any) -> Any:
    """Be an application that needs a token every few seconds, for some minutes."""
    assert process.actor is not None
    for _ in range(_CALLS):
        with suppress(GatehouseError):
            _token(process, connection_id)
        process.actor.deadline = process.world.scheduler.now + _BETWEEN_CALLS + CALL_TIME
        process.timing.sleep(_BETWEEN_CALLS)


def _import(process: Process, connection_id: str, _prepared: Any = None, number: int = 1) -> Any:
    """Be an operator who brings a grant along, does what `retryable` says, and makes the same call once more."""
    world, actor, answer = process.world, process.actor, None
    assert actor is not None
    for again, seconds in enumerate(_IMPORTS_AGAIN_AFTER):
        actor.deadline = world.scheduler.now + seconds + CALL_TIME
        process.timing.sleep(seconds)
        call = Process(world, actor) if again else process
        with suppress(TemporarilyUnavailable):
            answer = call.take_over(connection_id, number)
    return answer


def _reseal(process: Process, _connection_id: str, _prepared: Any) -> Any:
    """Be an operator who lets the new key seal, and has all that the old one sealed sealed again, call after call.

    Whoever is at work by then goes on to seal under the old key, and opens what either sealed.
    """
    world, actor, cursor = process.world, process.actor, None
    assert actor is not None
    world.key_ids = (NEW_KEY, KEY)
    process = Process(world, actor)
    for _ in range(_CALLS):
        with suppress(TemporarilyUnavailable):
            answer = process.resealing.reseal(process.deadline, cursor)
            cursor = answer.get("cursor")
            if cursor is None:
                return answer
        actor.deadline = world.scheduler.now + 2 * CALL_TIME
        process.timing.sleep(1.0)
    return None


class _Unstored(Committing):
    """Has a table that takes nothing: what it is given goes to the rescue queue."""

    def _write(self, *_: Any) -> Connection:
        raise TemporarilyUnavailable("The table takes nothing.")


class _QueuesToo(Committing):
    """Hands each answer to the rescue queue first, as if the table had failed once, and then stores it."""

    def _write(self, unstored: Any, *rest: Any) -> Connection:
        self._send(unstored)
        return super()._write(unstored, *rest)


def _copied(process: Process, connection_id: str, _prepared: Any, play: Any = _phished) -> Any:
    """Be a user whose tokens have to wait, with a copy in the rescue queue that comes half an hour later."""
    world = process.world
    copying = type("Copying", (_QueuesToo, world.parts.committing), {})
    try:
        play(Process(world, process.actor, replace(world.parts, committing=copying)), connection_id, None)
    finally:
        _delay_the_rescue(world)


def _queued(process: Process, connection_id: str, _prepared: Any) -> Any:
    """Be a refresh whose answer lies in the rescue queue, where whoever rescues it has trouble, for half an hour."""
    world = process.world
    unlucky = Process(world, process.actor, replace(world.parts, committing=_Unstored))
    try:
        return unlucky.vending.refresh(connection_id, None, unlucky.deadline)
    finally:
        _delay_the_rescue(world)


def _delay_the_rescue(world: World) -> None:
    for message in world.scheduler.messages:
        message.visible_at += _IN_TROUBLE if message.queue == "rescue" else 0.0


_ROLES: dict[str, Callable[[Process, str, ValidatedResponse | None], Any]] = {
    "token": _token,
    "caller": _caller,
    "queued": _queued,
    "refresh": lambda process, about, _: process.vending.refresh(about, 1, process.deadline),
    "refresh_any": lambda process, about, _: process.vending.refresh(about, None, process.deadline),
    "revoke": lambda process, about, _: process.revoking.revoke(about, process.deadline),
    "sweep": lambda process, _about, _: process.sweeping.sweep(process.deadline),
    "upkeep": _upkeep,
    "reconnect": _reconnect,
    "stranger": _stranger,
    "mistaken": _mistaken,
    "vouched": _vouched,
    "tardy": lambda process, about, _: _vouched(process, about, None, CONFIRM_WITHIN + 2 * CALL_TIME),
    "copied": _copied,
    "copied_stranger": lambda process, about, _: _copied(process, about, None, _stranger),
    "latecomer": lambda process, about, _: _vouched(process, about, None, _ALMOST_TOO_LATE),
    "phished": _phished,
    "vouched_stranger": lambda process, about, _: _vouched(process, about, None, account=ANOTHER_ACCOUNT),
    "removal": _removal,
    "mistake": _mistake,
    "reseal": _reseal,
    "import": _import,
    "import_other": lambda process, about, _: _import(process, about, None, 2),
    "callback": _complete,
    "duplicate": _complete,
}
_OFTEN = ("token", "refresh", "refresh_any", "revoke", "sweep", "reconnect", "callback", "duplicate")


def _consumer(world: World, queue: str) -> Callable[[Actor, Message], Any]:
    """Return what a queue's function does with one message."""

    def consume(actor: Actor, message: Message) -> Any:
        process, document = Process(world, actor), json.loads(message.body)
        if queue == "rescue":
            return process.rescuing.rescue(document, process.deadline)
        if queue == "refresh":
            return process.vending.refresh_due(document["connection_id"], document["version"], process.deadline)
        return process.revoking.retry(document["connection_id"], process.deadline)

    return consume


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
    Scenario("vouched revoke", ("vouched", "revoke"), age="fresh", bounds=((1, 1), (2, 0))),
    Scenario("import import", ("import", "import"), age="none", bounds=((1, 1), (2, 0))),
    Scenario("import revoke", ("import", "revoke"), age="none", bounds=((1, 1), (2, 0))),
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
    Scenario("vouched", ("vouched",), age="none"),
    Scenario("vouched, and callers", ("vouched", "token", "refresh_any"), age="expired"),
    Scenario("vouched, first, and again", ("vouched", "latecomer", "token"), age="none"),
    Scenario("phished", ("phished", "vouched", "sweep"), age="fresh"),
    Scenario("imports, and callers", ("import", "token", "import_other", "refresh_any"), age="none"),
    Scenario("import, revoke and consent", ("import", "revoke", "reconnect"), age="none"),
    Scenario("everything", ("token", "refresh", "revoke", "reconnect")),
    Scenario("everything, idle", ("sweep", "token", "revoke", "reconnect"), age="idle"),
)
"""Explored by chance, like casts drawn by chance."""


def drawn(random: Random) -> Scenario:
    """Return a scenario drawn by chance: one of the known casts, or one of any two to four."""
    if random.random() < 0.5:
        known = random.choice((*SMALL, *LARGE))
        return varied(known, PROFILES, random)
    roles = tuple(random.choice(_OFTEN) for _ in range(random.randint(2, 4)))
    age = random.choice([age for age in AGES if age != "none"])
    return varied(Scenario("any", roles, age), PROFILES, random)


def varied(scenario: Scenario, profiles: tuple[Profile, ...], random: Random) -> Scenario:
    """Return a scenario with a server, clocks and a kind of processes drawn by chance."""
    furthest = random.choice((0, 0, 0, 5, 300))
    skews = tuple(random.uniform(-furthest, furthest) for _ in scenario.roles) if furthest else ()
    return replace(scenario, profile=random.choice(profiles), bounded=random.random() < 0.75, skews=skews)
