"""Slots: a provider that takes a limited number of requests at a time gets no more, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    ProviderMisconfigured,
    ProviderUnavailable,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.timing import NEVER, RESERVE, SLOT_MARGIN, SLOT_WAIT, Timing
from functions.vault.grant.tokens import TokenSet
from functions.vault.oauth.authorization import Phase
from functions.vault.storage.shared import Shared, Taken
from functions.vault.storage.slots import Slots
from functions.vault.storage.table import Conflict
from tests.unit.conftest import client_of, new_tables
from tests.unit.samples import BROWSER, NOW, answer, authorization_request, registration, validated_response
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Lease
    from functions.vault.oauth.transport import Answer

ONE = registration(max_concurrency=1)
TIMEOUT = ONE.provider.request_timeout


@pytest.fixture
def services() -> MemoryServices:
    """Give a services with a provider that takes one request at a time, and a connection whose token has expired."""
    made = MemoryServices()
    made.registrations.known["acme"] = ONE
    made.connect()
    made.pass_time(7200)()
    return made


def taken(services: MemoryServices) -> dict[int, Taken]:
    """Return who has the slots."""
    return services.table_of_slots.slots("acme")


def take(services: MemoryServices, seconds: float = 60.0, number: int = 0) -> Taken:
    """Let another take a slot for so many seconds."""
    mine = Taken("another", int(services.now + seconds))
    services.table_of_slots.take_slot("acme", number, taken(services).get(number), mine, 1)
    return mine


def lease_of(services: MemoryServices) -> Lease | None:
    """Return the lease of the connection as it is stored."""
    return services.stored().lease


# The table


def test_a_slot_is_taken_by_one_alone(shared: Shared) -> None:
    """Of those who read that nobody had it, or that it had lapsed, one gets it; nobody takes what he has not read."""
    first, second, third = (Taken(holder, NOW + 60) for holder in ("a", "b", "c"))
    assert shared.slots("acme") == {}

    shared.take_slot("acme", 0, None, first, 1)
    with pytest.raises(Conflict):
        shared.take_slot("acme", 0, None, second, 1)
    shared.take_slot("acme", 1, None, second, 1)
    shared.take_slot("acme", 0, first, third, 1)
    with pytest.raises(Conflict):
        shared.take_slot("acme", 0, first, second, 1)

    assert shared.slots("acme") == {0: third, 1: second}
    assert shared.slots("other") == {}


def test_a_slot_is_given_back_by_its_holder_alone(shared: Shared) -> None:
    """Who comes back late gives back nothing that is another's by now."""
    first, second = Taken("a", NOW), Taken("b", NOW + 60)
    shared.take_slot("acme", 0, None, first, 1)
    shared.take_slot("acme", 0, first, second, 1)

    with pytest.raises(Conflict):
        shared.give_back_slot("acme", 0, first)
    shared.give_back_slot("acme", 0, second)

    assert shared.slots("acme") == {}
    shared.take_slot("acme", 0, None, first, 1)


class _Gauge:
    """A server that counts how many requests it has at a time."""

    def __init__(self) -> None:
        self.at_once = self.most = self.answered = 0
        self._lock = threading.Lock()

    def send(self, *_arguments: Any) -> Answer:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        threading.Event().wait(0.002)
        with self._lock:
            self.at_once -= 1
            self.answered += 1
        return answer("{}")


@pytest.mark.needs_node
@pytest.mark.parametrize("at_once", [1, 3])
def test_processes_that_race_for_slots_keep_to_the_limit(
    dynalite: str, table_definitions: dict[str, Any], at_once: int
) -> None:
    """Each with a table of its own, on an engine that is atomic by itself, until each has had its requests answered."""
    provider, gauge, engine = registration(max_concurrency=at_once).provider, _Gauge(), client_of(dynalite)
    (name,) = new_tables(engine, table_definitions, "SharedTable")

    def process(_number: int) -> None:
        slots = Slots(Shared(engine, name), Timing())
        for _ in range(4):
            slot = slots.take(provider, gauge, NEVER, slots.timing.now() + 60)
            slot.send("POST", "https://acme.example", {}, None, 10)
            slots.give_back(slot, NEVER)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(process, range(8)))

    assert (gauge.most <= at_once, gauge.answered) == (True, 32)
    assert Shared(engine, name).slots("acme") == {}


# A refresh


def test_a_refresh_has_its_lease_before_its_slot_and_stores_the_answer_before_it_gives_that_back(
    services: MemoryServices,
) -> None:
    """In this order: lease, slot, the attempt in the record, the request, the commit, and the slot is free again."""
    seen: list[tuple[str, bool, bool, int]] = []

    def look(what: str) -> None:
        lease = lease_of(services)
        assert lease is not None
        seen.append((what, 0 in taken(services), lease.waiting, lease.attempt))

    def asked(form: dict[str, str]) -> Answer:
        look("asked")
        return services.server.issue(form)

    services.server.answers = [asked]
    services.events.before["change"] = [None, lambda: look("before the attempt"), lambda: look("before the commit")]

    result = services.token()

    assert seen == [
        ("before the attempt", True, True, 0),
        ("asked", True, False, 1),
        ("before the commit", True, False, 1),
    ]
    assert (result["access_token"], taken(services), lease_of(services)) == ("AT-2", {}, None)
    assert services.events.calls == [
        *("get", "registration", "change", "decrypt", "data_key", "change", "http", "change", "note"),
    ]


def test_a_provider_that_names_no_limit_has_no_slots(services: MemoryServices) -> None:
    """It costs no read and no write, and the lease is an attempt from the start."""
    services.registrations.known["acme"] = registration()
    services.events.before["http"] = [lambda: None]

    services.token()

    assert services.dynamo.items["shared"] == {}
    assert services.events.calls == ["get", "registration", "change", "decrypt", "data_key", "http", "change", "note"]


def test_a_caller_waits_for_five_seconds_and_is_told_when_to_come(services: MemoryServices) -> None:
    """Waiting only reads. Nothing was sent, and nothing is left of the attempt but the time of the next one."""
    take(services)
    before, writes = services.stored(), services.dynamo.before["shared"].copy()

    result = services.token()

    assert (result["error"], result["retryable"], result["retry_after"]) == ("provider_throttled", True, 6)
    assert SLOT_WAIT - 0.5 < services.now - (NOW + 7200) <= SLOT_WAIT
    assert (services.server.requests, services.dynamo.before["shared"]) == ([], writes)
    stored = services.stored()
    assert stored == replace(before, changes=before.changes + 2, updated_at=stored.updated_at)


def test_a_slot_that_comes_free_is_taken_by_who_waits(services: MemoryServices) -> None:
    """Given back by its holder, or left to lapse."""
    another = take(services)
    services.events.before["sleep"] = [None, None, lambda: services.table_of_slots.give_back_slot("acme", 0, another)]
    assert services.token()["access_token"] == "AT-2"

    services.pass_time(7200)()
    take(services, seconds=3)
    assert services.token()["access_token"] == "AT-3"


def test_who_waits_for_another_that_waits_for_a_slot_waits_no_longer_than_that(services: MemoryServices) -> None:
    """The five seconds are a call's own, whoever holds the lease meanwhile."""
    held = services.stored().leased("holder-9", services.now + 30, services.now, waiting=True)
    services.connections.records["merchant-1"] = held

    result = services.token()

    assert (result["error"], services.server.requests) == ("provider_throttled", [])
    assert SLOT_WAIT <= services.now - (NOW + 7200) < SLOT_WAIT + 1
    assert services.stored() == held


def test_an_attempt_that_waited_and_vanished_was_none(services: MemoryServices) -> None:
    """It sent nothing: the next one asks at once, and a refusal is said without talk of an interruption."""
    services.connections.records["merchant-1"] = services.stored().leased(
        "holder-9", services.now, services.now, waiting=True
    )
    services.server.answers = [answer('{"error":"invalid_grant"}', 400)]

    result = services.token()

    assert result["error"] == "reauthorization_required"
    assert "interrupted" not in result["error_description"]
    assert "sleep" not in services.events.calls


def test_what_was_interrupted_before_stays_known_while_another_waits(services: MemoryServices) -> None:
    """An attempt that may have been sent is not forgotten for one that was not."""
    sent = services.stored().leased("holder-8", services.now - 40, services.now - 70)
    waited = sent.leased("holder-9", services.now - 5, services.now - 20, waiting=True)
    again = waited.leased("holder-10", services.now + 20, services.now)

    assert again.lease is not None
    assert (again.lease.interrupted_at, again.lease.attempt) == (int(services.now - 20), 2)


def test_a_token_that_is_good_is_vended_without_waiting_for_a_slot(services: MemoryServices) -> None:
    """A refresh that is not needed yet looks once."""
    services.now = NOW + 3600 - 120
    take(services)

    result = services.token()

    assert (result["access_token"], services.now) == ("AT-1", NOW + 3600 - 120)


@pytest.mark.parametrize("caught", [True, False])
def test_background_work_does_not_wait_but_is_put_off_for_minutes(services: MemoryServices, caught: bool) -> None:  # noqa: FBT001 - a parameter
    """It is no failure that would lengthen the next pause, and no message that comes again at once."""
    services.connections.records["merchant-1"] = replace(services.stored(), upkeep_at=int(services.now) + 3600)
    if caught:
        take(services)

    failure = services.vending.keep("merchant-1", 1, services.deadline())

    assert isinstance(failure, SlotsTaken) is caught
    assert services.now == NOW + 7200
    stored = services.stored()
    if caught:
        assert (stored.failure, stored.lease, stored.upkeep_at) == (None, None, int(services.now) + 180)
        assert stored.due_at == stored.upkeep_at


def test_a_slot_is_held_to_three_seconds_past_the_requests_deadline(services: MemoryServices) -> None:
    """And the request is cut, so that it ends so long before, whatever came between."""
    services.events.before["change"] = [None, services.pass_time(4)]
    held: list[Taken] = []
    services.events.before["http"] = [lambda: held.extend(taken(services).values())]

    services.token()

    assert [each.until for each in held] == [NOW + 7200 + TIMEOUT + SLOT_MARGIN]
    assert services.server.timeouts == [TIMEOUT - 4]


def test_with_too_little_left_of_a_slot_nothing_is_sent(services: MemoryServices) -> None:
    """The attempt is given back, and so is the slot."""
    services.events.before["change"] = [None, services.pass_time(TIMEOUT - 0.5)]

    result = services.token(60)

    assert (result["error"], services.server.requests) == ("temporarily_unavailable", [])
    assert (lease_of(services), taken(services)) == (None, {})


@pytest.mark.parametrize(
    ("failure", "is_left"),
    [
        (ProviderUnavailable("It did not answer in time.", outcome_unknown=True), True),
        (RuntimeError("A defect."), True),
        (ProviderUnavailable("It cannot be reached."), False),
        (ProviderMisconfigured("It is not on the public internet."), False),
        (answer("", 503), False),
        (answer('{"error":"invalid_grant"}', 400), False),
        (answer("<html>"), False),
    ],
)
def test_a_request_that_ended_without_an_answer_leaves_its_slot_to_lapse(
    services: MemoryServices, failure: Any, *, is_left: bool
) -> None:
    """The server may be at work on it. An answer, whatever it says, and what was never sent are over."""
    services.server.answers = [failure]

    if isinstance(failure, RuntimeError):
        with pytest.raises(RuntimeError):
            services.token()
    else:
        services.token()

    assert (0 in taken(services)) is is_left


def test_an_answer_that_was_lost_is_not_asked_for_again_in_the_same_slot(services: MemoryServices) -> None:
    """Where the server would repeat it: the first request may still be at work."""
    services.registrations.known["acme"] = registration(max_concurrency=1, refresh_token_replay_seconds=30)
    services.server.answers = [ProviderUnavailable("Cut off.", outcome_unknown=True)]

    result = services.token()

    assert (result["error"], len(services.server.requests)) == ("provider_unavailable", 1)


def test_a_write_whose_answer_was_lost_is_recognised(services: MemoryServices) -> None:
    """The SDK sends it again, which fails; the slot is ours all the same, and nobody waits for it to lapse."""
    update = services.dynamo.update_item

    def twice(**arguments: Any) -> Any:
        update(**arguments)
        return update(**arguments)

    services.dynamo.update_item = twice  # type: ignore[method-assign]

    assert services.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("failure", [down(), aws_error("AccessDeniedException")])
def test_a_slot_that_cannot_be_given_back_costs_nobody_a_token(services: MemoryServices, failure: Exception) -> None:
    """The answer is stored by then; the slot lapses."""
    update, calls = services.dynamo.update_item, iter([None, failure])

    def second_fails(**arguments: Any) -> Any:
        if (error := next(calls)) is not None:
            raise error
        return update(**arguments)

    services.dynamo.update_item = second_fails  # type: ignore[method-assign]

    assert services.token()["access_token"] == "AT-2"
    assert 0 in taken(services)


def test_while_the_table_of_slots_is_out_nothing_is_sent(services: MemoryServices) -> None:
    """Nobody can know what is under way. Who waits hears of it within his five seconds."""
    services.dynamo.get_item = lambda **_arguments: _raise(down())  # type: ignore[method-assign]

    result = services.token()

    assert (result["error"], services.server.requests, lease_of(services)) == ("temporarily_unavailable", [], None)
    assert services.now - (NOW + 7200) <= SLOT_WAIT


def _raise(error: Exception) -> Any:
    raise error


def test_who_lost_the_lease_while_it_waited_gives_the_slot_back_unused(services: MemoryServices) -> None:
    """Another has it: that one asks."""
    held = take(services)

    def is_anothers() -> None:
        stored = services.stored()
        services.connections.records["merchant-1"] = stored.leased("holder-9", services.now + 2, services.now)
        services.table_of_slots.give_back_slot("acme", 0, held)

    services.events.before["sleep"] = [is_anothers]

    services.token()

    assert services.server.refresh_tokens == ["RT-1"]
    assert taken(services) == {}


def test_a_client_without_a_slot_sends_nothing_to_a_provider_that_has_them(services: MemoryServices) -> None:
    """A use case that forgot to ask for one is a defect, not a request too many."""
    with pytest.raises(AssertionError, match="slots"):
        services.client.refresh(ONE, "RT-1", 10)

    assert services.server.requests == []


# A consent


def open_request(services: MemoryServices, **fields: Any) -> None:
    """Open an authorization request as `start` does for a provider that has slots."""
    services.connections.records.clear()
    services.now = NOW
    services.authorizations.create(authorization_request(owner="owner-1", has_slots=True, **fields))
    services.events.calls.clear()


def test_a_consent_takes_its_slot_before_its_request(services: MemoryServices) -> None:
    """What is in the request is read first: whether it can be taken at all."""
    open_request(services)

    outcome = services.completing.complete(validated_response(), services.deadline())

    assert (outcome.page, services.server.codes, taken(services)) == ("connected", ["CODE-1"], {})
    assert services.events.calls == [
        *("consume", "get_request", "registration", "consume", "registration", "data_key", "http", "create", "note"),
    ]


def test_a_consent_without_a_slot_has_taken_nothing(services: MemoryServices) -> None:
    """The page looks again, as often as it likes, with the same code; none of the five exchanges is used."""
    open_request(services, return_to="https://app.example/back")
    another = take(services)

    waiting = [services.completing.complete(validated_response(), services.deadline()) for _ in range(7)]
    services.table_of_slots.give_back_slot("acme", 0, another)
    outcome = services.completing.complete(validated_response(), services.deadline())

    assert [(each.page, each.return_to) for each in waiting] == [("waiting", None)] * 7
    assert services.now - NOW <= 7
    assert (outcome.page, services.server.codes) == ("connected", ["CODE-1"])


@pytest.mark.parametrize(
    "fields",
    [
        {"phase": Phase.CONSUMED},
        {"phase": Phase.FAILED, "exchanges": 5},
        {"created_at": NOW - 2400},
        {"iss_required": True},
        {"provider": "other"},
    ],
)
def test_an_answer_that_could_not_take_its_request_takes_no_slot(
    services: MemoryServices, fields: dict[str, Any]
) -> None:
    """Nobody's turn is spent on what would be refused."""
    open_request(services, **fields)

    outcome = services.completing.complete(validated_response(), services.deadline())

    assert outcome.page in {"already", "failed", "expired", "refused"}
    assert (services.dynamo.items["shared"], services.server.requests) == ({}, [])


def test_a_no_needs_no_slot(services: MemoryServices) -> None:
    """There is nothing to be sent."""
    open_request(services)
    take(services)

    outcome = services.completing.complete(validated_response(code=None, error="access_denied"), services.deadline())

    assert outcome.page == "denied"


def test_a_provider_that_came_by_slots_after_the_link_was_made_keeps_to_them(services: MemoryServices) -> None:
    """The request does not know of them: it is taken, and its exchange has its turn, or is to be tried again."""
    open_request(services)
    services.authorizations.create(authorization_request(owner="owner-1"))
    another = take(services)

    failed = services.completing.complete(validated_response(), services.deadline())
    services.table_of_slots.give_back_slot("acme", 0, another)
    again = replace(BROWSER, nonce="N" * 43)
    outcome = services.completing.complete(validated_response(again), services.deadline())

    assert (failed.page, failed.error, failed.may_try_again) == ("failed", "provider_throttled", True)
    assert (outcome.page, len(services.server.codes)) == ("connected", 1)


def test_a_provider_whose_registration_is_gone_takes_no_request(services: MemoryServices) -> None:
    """What is wrong is said, and the same link works once it is mended."""
    open_request(services)
    services.events.before["registration"] = [ProviderMisconfigured("The secret cannot be read.")]

    failed = services.completing.complete(validated_response(), services.deadline())
    outcome = services.completing.complete(validated_response(), services.deadline())

    assert (failed.error, failed.may_try_again, outcome.page) == ("provider_misconfigured", True, "connected")


# A revocation


def test_a_revocation_has_its_slot_too(services: MemoryServices) -> None:
    """It is ended here at once, and at the server when there is a turn."""
    another = take(services)

    first = services.revoke()
    services.table_of_slots.give_back_slot("acme", 0, another)
    services.revoking.retry("merchant-1", services.deadline())

    assert (first, str(services.stored().status)) == ("revoking", "revoked")
    assert taken(services) == {}


def test_an_answer_within_the_callers_time_or_none(services: MemoryServices) -> None:
    """Who has too little time for a request and for storing what comes of it takes no slot."""
    with (
        pytest.raises(TemporarilyUnavailable),
        services.client.in_slot(ONE, services.deadline(RESERVE), services.now + 5),
    ):
        raise AssertionError

    assert services.dynamo.items["shared"] == {}
    assert services.tokens() == TokenSet("AT-1", "RT-1")
