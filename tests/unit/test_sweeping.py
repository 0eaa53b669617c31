"""The sweep: what is due is handed to the queues, once, by provider and slot; and nothing else is touched."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ConnectionNotFound, InvalidRequest, TemporarilyUnavailable
from functions.vault.base.timing import NEVER
from functions.vault.grant import revocations
from functions.vault.grant.connection import DUE_SHARDS
from functions.vault.grant.life import Status
from functions.vault.storage.shared import Standing, Taken
from functions.vault.usecases.sweeping import AGAIN_AFTER, AT_ONCE, PAGE
from tests.unit.samples import NOW, connection
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from tests.unit.services import MemoryQueue


@pytest.fixture
def services() -> MemoryServices:
    """Give services."""
    return MemoryServices()


def add(services: MemoryServices, connection_id: str, **fields: Any) -> Connection:
    """Store a connection that is due since a minute, unless it says otherwise."""
    made = connection(connection_id=connection_id)
    due_at = fields.get("due_at", NOW - 60)
    services.connections.records[connection_id] = replace(made, **{"due_at": due_at, "upkeep_at": due_at, **fields})
    return services.connections.records[connection_id]


def ids(queue: MemoryQueue) -> list[str]:
    """Return the connections whose work a queue holds."""
    return sorted(json.loads(message["body"])["connection_id"] for message in queue.messages)


def test_what_is_due_goes_to_its_queue(services: MemoryServices) -> None:
    """To refresh or to revoke; with the version that it is about."""
    add(services, "idle", version=3)
    add(services, "ending", status=Status.REVOKING, revocation_due_at=NOW - 60)
    add(services, "made again", revocation_due_at=NOW - 60)
    add(services, "made again, idle first", revocation_due_at=NOW - 59)
    add(services, "later", due_at=NOW + 1)
    add(services, "never", due_at=None, due_shard=None)

    result = services.sweeping.sweep(services.deadline(60))

    assert result == {"queued": 4, "complete": True}
    assert {"connection_id": "idle", "version": 3, "provider": "acme"} in [
        json.loads(message["body"]) for message in services.refresh_queue.messages
    ]
    assert ids(services.refresh_queue) == ["idle", "made again, idle first"]
    assert ids(services.revoke_queue) == ["ending", "made again"]


def test_what_an_operator_names_is_asked_now(services: MemoryServices) -> None:
    """Due or not, and although its provider is left alone; each time that somebody asks for it."""
    was = add(services, "shop", version=3, due_at=NOW + 9000)
    add(services, "idle")
    services.table_of_slots.note_trouble("acme", Standing(None, 3, NOW + 600), NEVER)

    first = services.sweeping.sweep(services.deadline(60), "shop")
    services.pass_time(1)()
    services.sweeping.sweep(services.deadline(60), "shop")

    asked = {"connection_id": "shop", "version": 3, "provider": "acme", "ask_now": True}
    assert first == {"queued": 1, "complete": True}
    assert [json.loads(message["body"]) for message in services.refresh_queue.messages] == [asked, asked]
    assert len({message["deduplication"] for message in services.refresh_queue.messages}) == 2
    assert services.stored("shop") == was


def test_a_revocation_that_an_operator_names_is_tried_now(services: MemoryServices) -> None:
    """It goes where revocations go."""
    made = revocations.revoked(connection(connection_id="ending"), NOW)
    services.connections.records["ending"] = replace(made, due_at=NOW + 900, revocation_due_at=NOW + 900)

    services.sweeping.sweep(services.deadline(60), "ending")

    assert (ids(services.revoke_queue), ids(services.refresh_queue)) == (["ending"], [])


def test_nothing_is_asked_about_what_is_not_there(services: MemoryServices) -> None:
    """Neither about a connection that does not exist, nor about one that has ended."""
    ended = revocations.revoked(connection(connection_id="ended"), NOW)
    services.connections.records["ended"] = replace(ended, sets=(), status=Status.REVOKED)

    with pytest.raises(InvalidRequest, match=r"^connection_id: "):
        services.sweeping.sweep(services.deadline(60), "ended")
    with pytest.raises(ConnectionNotFound):
        services.sweeping.sweep(services.deadline(60), "unknown")

    assert services.refresh_queue.messages == services.revoke_queue.messages == []


def test_what_else_is_due_of_a_connection_keeps_its_time(services: MemoryServices) -> None:
    """Earlier tokens are revoked at a server while the connection is kept alive: neither waits for the other's hour."""
    add(services, "idle", upkeep_at=NOW - 60, revocation_due_at=NOW + 300)
    add(services, "old", due_at=NOW - 60, upkeep_at=NOW + 900, revocation_due_at=NOW - 60)

    services.sweeping.sweep(services.deadline(60))

    idle, old = services.stored("idle"), services.stored("old")
    assert (idle.upkeep_at, idle.revocation_due_at, idle.due_at) == (NOW + AGAIN_AFTER, NOW + 300, NOW + 300)
    assert (old.upkeep_at, old.revocation_due_at, old.due_at) == (NOW + 900, NOW - 60, NOW + AGAIN_AFTER)


def test_what_was_handed_on_is_not_handed_on_again(services: MemoryServices) -> None:
    """Not by the next sweep; an hour later, should nothing have come of it."""
    was = add(services, "idle")
    services.sweeping.sweep(services.deadline(60))
    later = NOW + AGAIN_AFTER
    assert services.stored("idle") == replace(was, due_at=later, upkeep_at=later, changes=was.changes + 1)

    services.pass_time(AGAIN_AFTER - 1)()
    assert services.sweeping.sweep(services.deadline(60))["queued"] == 0
    services.pass_time(1)()
    assert services.sweeping.sweep(services.deadline(60))["queued"] == 1


def test_nothing_due_costs_one_read_of_each_shard(services: MemoryServices) -> None:
    """However many connections there are."""
    for number in range(500):
        add(services, f"merchant-{number}", due_at=NOW + 1)

    services.sweeping.sweep(services.deadline(60))

    assert services.events.calls == ["due"] * DUE_SHARDS


def test_everything_due_is_found_page_by_page(services: MemoryServices) -> None:
    """Over all shards, however full one is; each once."""
    for number in range(3 * PAGE + 1):
        add(services, f"crowded-{number}", due_shard="7")
    for number in range(DUE_SHARDS):
        add(services, f"alone-{number}", due_shard=str(number))

    result = services.sweeping.sweep(services.deadline(600))

    assert result == {"queued": 3 * PAGE + 1 + DUE_SHARDS, "complete": True}
    assert max(Counter(ids(services.refresh_queue)).values()) == 1


def test_without_time_for_another_page_the_rest_stays_due(services: MemoryServices) -> None:
    """For the next sweep, which begins where this one left off."""
    for number in range(2 * PAGE):
        add(services, f"merchant-{number}", due_shard="0")
    services.events.before["postpone"] = [*[None] * (PAGE - 1), services.pass_time(51)]

    first = services.sweeping.sweep(services.deadline(60))
    services.now = NOW
    second = services.sweeping.sweep(services.deadline(60))

    assert first == {"queued": PAGE, "complete": False}
    assert second == {"queued": PAGE, "complete": True}
    assert max(Counter(ids(services.refresh_queue)).values()) == 1


def test_no_shard_is_always_the_last(services: MemoryServices) -> None:
    """Sweeps that have time for one shard each begin anywhere: every shard has its turn."""
    for shard in range(DUE_SHARDS):
        add(services, f"merchant-{shard}", due_shard=str(shard))

    results = []
    for number in range(DUE_SHARDS):
        timing = replace(services.timing, jitter=partial(float, (number + 0.5) / DUE_SHARDS))
        results.append(replace(services.sweeping, timing=timing).sweep(services.deadline(5)))

    assert results == [{"queued": 1, "complete": False}] * DUE_SHARDS
    assert ids(services.refresh_queue) == sorted(f"merchant-{shard}" for shard in range(DUE_SHARDS))


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_groups_than_the_provider_takes_requests_at_a_time(services: MemoryServices, slots: int) -> None:
    """A FIFO queue works a group off one by one: that is the limit. A connection always has the same group."""
    services.table_of_slots.take_slot("acme", 0, None, Taken("anybody", NOW - 60), slots)
    for number in range(100):
        add(services, f"merchant-{number}")
        add(services, f"elsewhere-{number}", provider="other")

    services.sweeping.sweep(services.deadline(60))

    groups = {json.loads(each["body"])["connection_id"]: each["group"] for each in services.refresh_queue.messages}
    assert {group for whom, group in groups.items() if whom.startswith("merchant")} == {
        f"acme:{slot}" for slot in range(slots)
    }
    assert len({group for whom, group in groups.items() if whom.startswith("elsewhere")}) == AT_ONCE
    services.pass_time(AGAIN_AFTER)()
    services.refresh_queue.messages.clear()
    services.sweeping.sweep(services.deadline(60))
    again = {json.loads(each["body"])["connection_id"]: each["group"] for each in services.refresh_queue.messages}
    assert again == groups


def test_providers_take_turns(services: MemoryServices) -> None:
    """Of a page that is almost all one provider's: the other's work is among the first that is queued."""
    for number in range(50):
        add(services, f"merchant-{number:02}", due_shard="0", due_at=NOW - 90)
    for number in range(3):
        add(services, f"elsewhere-{number}", provider="other", due_shard="0")

    services.sweeping.sweep(services.deadline(60))

    queued = [json.loads(message["body"])["provider"] for message in services.refresh_queue.messages]
    assert queued[:6].count("other") == 3


def test_a_provider_that_is_left_alone_is_passed_over(services: MemoryServices) -> None:
    """Nothing is sent or written for it, and it is due as before; the others' work is queued."""
    services.table_of_slots.note_trouble("acme", Standing(None, 2, NOW + 60), NEVER)
    was = add(services, "merchant-1")
    add(services, "elsewhere", provider="other")

    result = services.sweeping.sweep(services.deadline(60))

    assert (result, ids(services.refresh_queue)) == ({"queued": 1, "complete": True}, ["elsewhere"])
    assert services.stored("merchant-1") == was
    services.pass_time(60)()
    assert services.sweeping.sweep(services.deadline(60))["queued"] == 1


def test_a_provider_is_looked_up_once_in_a_sweep_and_no_registration_is(services: MemoryServices) -> None:
    """However much of its is due."""
    reads: list[str] = []

    def noted(**asked: Any) -> dict[str, Any]:
        reads.append(asked["Key"]["about"]["S"])
        return {}

    services.dynamo.get_item = noted  # type: ignore[method-assign]
    for number in range(10):
        add(services, f"merchant-{number}")
        add(services, f"elsewhere-{number}", provider="other")

    services.sweeping.sweep(services.deadline(60))

    assert sorted(reads) == ["provider acme", "provider other"]
    assert "registration" not in services.events.calls


def test_an_outage_of_that_table_is_waited_for_once_and_holds_nothing_up(services: MemoryServices) -> None:
    """Each provider would wait for seconds, and a hundred of them for longer than a sweep has."""
    asked: list[None] = []

    def out(**_arguments: Any) -> Any:
        asked.append(None)
        raise down()

    services.dynamo.get_item = out  # type: ignore[method-assign]
    for number in range(20):
        add(services, f"merchant-{number}", provider=f"provider-{number}")

    assert (services.sweeping.sweep(services.deadline(60))["queued"], len(asked)) == (20, 1)


def test_the_same_work_has_the_same_name_and_other_work_another(services: MemoryServices) -> None:
    """The queue drops a repetition within minutes; the next version, and the next time, are not repetitions."""
    was = add(services, "idle")

    def name_of(state: Connection) -> str:
        services.connections.records["idle"] = state
        services.sweeping.sweep(services.deadline(60))
        return services.refresh_queue.messages[-1]["deduplication"]

    names = [name_of(state) for state in (was, was, replace(was, version=2), replace(was, due_at=NOW - 59))]

    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(len(name) <= 128 for name in names)


def test_what_another_has_dealt_with_meanwhile_is_left_as_it_is(services: MemoryServices) -> None:
    """It was refreshed between the reading of the index and the postponing: its own time stands."""
    was = add(services, "idle")
    refreshed = replace(was, version=2, due_at=NOW + 9000)
    services.events.before["postpone"] = [lambda: services.connections.records.update(idle=refreshed)]

    result = services.sweeping.sweep(services.deadline(60))

    assert (result["queued"], services.stored("idle")) == (0, refreshed)


@pytest.mark.parametrize("failure", [down(), aws_error("AccessDeniedException")])
def test_what_no_queue_takes_stays_due(services: MemoryServices, failure: Exception) -> None:
    """The sweep fails, and the next one finds it where it was: handed on first, postponed after."""
    was = add(services, "idle")
    services.events.before["refresh_queue"] = [failure]

    with pytest.raises(type(failure)):
        services.sweeping.sweep(services.deadline(60))

    assert services.stored("idle") == was
    assert services.sweeping.sweep(services.deadline(60))["queued"] == 1


def test_a_sweep_that_ends_between_the_two_hands_on_twice(services: MemoryServices) -> None:
    """Under the same name; and the consumer looks at the version."""
    add(services, "idle")
    services.events.before["postpone"] = [down()]
    with pytest.raises(TemporarilyUnavailable):
        services.sweeping.sweep(services.deadline(60))

    services.sweeping.sweep(services.deadline(60))

    assert len({message["deduplication"] for message in services.refresh_queue.messages}) == 1
