"""Slots: a provider with a limit gets no more requests at a time than that, and nobody waits forever."""

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
from functions.vault.grant import refreshes
from functions.vault.grant.token_set import TokenSet
from functions.vault.oauth.authorization import Phase
from functions.vault.storage.shared import Shared, Taken
from functions.vault.storage.slots import Slots
from functions.vault.storage.table import Conflict
from tests.unit.conftest import client_of, new_tables
from tests.unit.samples import BROWSER, NOW, answer, authorization_request, registration, validated_response
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.grant.lease import Lease
    from functions.vault.oauth.transport import Answer

ONE = registration(max_concurrency=1)
TIMEOUT = ONE.provider.request_timeout


@pytest.fixture
def services() -> MemoryServices:
    """Return services with a provider that takes one request at a time, and a connection whose token has expired."""
    made = MemoryServices()
    made.registrations.known["acme"] = ONE
    made.connect()
    made.pass_time(7200)()
    return made


def taken(services: MemoryServices) -> dict[int, Taken]:
    """Return who has the slots."""
    return services.table_of_slots.slots("acme")


def take(services: MemoryServices, seconds: float = 60.0, number: int = 0) -> Taken:
    """Let another call take a slot for this many seconds."""
    mine = Taken("another", int(services.now + seconds))
    services.table_of_slots.take_slot("acme", number, taken(services).get(number), mine, 1)
    return mine


def lease_of(services: MemoryServices) -> Lease | None:
    """Return the lease of the connection as it is stored."""
    return services.stored().lease


# The table


def test_only_one_call_can_take_a_slot(shared: Shared) -> None:
    """Of all that read it as free or lapsed, one gets it. Nobody takes a slot that is not as they read it."""
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


def test_only_its_holder_can_give_a_slot_back(shared: Shared) -> None:
    """A late holder does not give back a slot that another call has by then."""
    first, second = Taken("a", NOW), Taken("b", NOW + 60)
    shared.take_slot("acme", 0, None, first, 1)
    shared.take_slot("acme", 0, first, second, 1)

    with pytest.raises(Conflict):
        shared.give_back_slot("acme", 0, first)
    shared.give_back_slot("acme", 0, second)

    assert shared.slots("acme") == {}
    shared.take_slot("acme", 0, None, first, 1)


class _Gauge:
    """A server that counts how many requests it gets at a time."""

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
    """Each has a client of its own, on an engine that is atomic, and goes on until its requests are answered."""
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


def test_a_refresh_takes_its_lease_before_its_slot_and_stores_the_answer_before_it_gives_the_slot_back(
    services: MemoryServices,
) -> None:
    """The order is: lease, slot, attempt in the record, request, commit, slot given back."""
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


def test_a_provider_without_a_limit_has_no_slots(services: MemoryServices) -> None:
    """That costs no read and no write, and the lease counts as an attempt from the start."""
    services.registrations.known["acme"] = registration()
    services.events.before["http"] = [lambda: None]

    services.token()

    assert services.dynamo.items["shared"] == {}
    assert services.events.calls == ["get", "registration", "change", "decrypt", "data_key", "http", "change", "note"]


def test_a_caller_waits_for_five_seconds_and_gets_a_time_to_retry(services: MemoryServices) -> None:
    """Waiting only reads. Nothing was sent, and nothing is left of the attempt but the time for the next one."""
    take(services)
    before, writes = services.stored(), services.dynamo.before["shared"].copy()

    result = services.token()

    assert (result["error"], result["retryable"], result["retry_after"]) == ("provider_throttled", True, 6)
    assert SLOT_WAIT - 0.5 < services.now - (NOW + 7200) <= SLOT_WAIT
    assert (services.server.requests, services.dynamo.before["shared"]) == ([], writes)
    stored = services.stored()
    assert stored == replace(before, changes=before.changes + 2, updated_at=stored.updated_at)


def test_a_waiting_call_takes_a_slot_that_becomes_free(services: MemoryServices) -> None:
    """Whether its holder gave it back or let it lapse."""
    another = take(services)
    services.events.before["sleep"] = [None, None, lambda: services.table_of_slots.give_back_slot("acme", 0, another)]
    assert services.token()["access_token"] == "AT-2"

    services.pass_time(7200)()
    take(services, seconds=3)
    assert services.token()["access_token"] == "AT-3"


def test_waiting_for_a_call_that_waits_for_a_slot_takes_no_longer(services: MemoryServices) -> None:
    """Each call has its own five seconds, whoever holds the lease."""
    held = refreshes.leased(services.stored(), "holder-9", services.now + 30, services.now, waiting=True)
    services.connections.records["merchant-1"] = held

    result = services.token()

    assert (result["error"], services.server.requests) == ("provider_throttled", [])
    assert SLOT_WAIT <= services.now - (NOW + 7200) < SLOT_WAIT + 1
    assert services.stored() == held


def test_background_work_waits_for_no_call_that_waits_for_a_slot(services: MemoryServices) -> None:
    """It comes again; at most it looks once more."""
    held = refreshes.leased(services.stored(), "holder-9", services.now + 30, services.now, waiting=True)
    services.connections.records["merchant-1"] = held
    began = services.now

    failure = services.vending.refresh_due("merchant-1", 1, services.deadline())

    assert failure is not None
    assert (failure.code, failure.connection_id) == ("provider_throttled", "merchant-1")
    assert services.now - began < 0.1


def test_a_call_that_died_while_waiting_made_no_attempt(services: MemoryServices) -> None:
    """It sent nothing: the next call asks at once, and a refusal does not mention an interruption."""
    services.connections.records["merchant-1"] = refreshes.leased(
        services.stored(), "holder-9", services.now, services.now, waiting=True
    )
    services.server.answers = [answer('{"error":"invalid_grant"}', 400)]

    result = services.token()

    assert result["error"] == "reauthorization_required"
    assert "interrupted" not in result["error_description"]
    assert "sleep" not in services.events.calls


def test_an_earlier_interruption_stays_known_while_a_call_waits(services: MemoryServices) -> None:
    """An attempt that may have been sent is not forgotten because of one that was not."""
    sent = refreshes.leased(services.stored(), "holder-8", services.now - 40, services.now - 70)
    waited = refreshes.leased(sent, "holder-9", services.now - 5, services.now - 20, waiting=True)
    again = refreshes.leased(waited, "holder-10", services.now + 20, services.now)

    assert again.lease is not None
    assert (again.lease.interrupted_at, again.lease.attempt) == (int(services.now - 20), 2)


def test_a_valid_token_is_vended_without_waiting_for_a_slot(services: MemoryServices) -> None:
    """A refresh that is not needed yet looks for a slot once."""
    services.now = NOW + 3600 - 120
    take(services)

    result = services.token()

    assert (result["access_token"], services.now) == ("AT-1", NOW + 3600 - 120)


@pytest.mark.parametrize("caught", [True, False])
def test_background_work_does_not_wait_but_is_postponed_for_minutes(services: MemoryServices, caught: bool) -> None:  # noqa: FBT001 - a parameter
    """That is not a failure that lengthens the next pause, and the message does not come again at once."""
    services.connections.records["merchant-1"] = replace(services.stored(), upkeep_at=int(services.now) + 3600)
    if caught:
        take(services)

    failure = services.vending.refresh_due("merchant-1", 1, services.deadline())

    assert isinstance(failure, SlotsTaken) is caught
    assert services.now == NOW + 7200
    stored = services.stored()
    if caught:
        assert (stored.failure, stored.lease, stored.upkeep_at) == (None, None, int(services.now) + 180)
        assert stored.due_at == stored.upkeep_at


def test_a_slot_lapses_three_seconds_after_the_requests_deadline(services: MemoryServices) -> None:
    """The request is shortened, so that it ends that long before, whatever took time in between."""
    services.events.before["change"] = [None, services.pass_time(4)]
    held: list[Taken] = []
    services.events.before["http"] = [lambda: held.extend(taken(services).values())]

    services.token()

    assert [each.until for each in held] == [NOW + 7200 + TIMEOUT + SLOT_MARGIN]
    assert services.server.timeouts == [TIMEOUT - 4]


def test_nothing_is_sent_if_the_slot_is_about_to_lapse(services: MemoryServices) -> None:
    """The lease is given back, and so is the slot."""
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
def test_a_request_without_an_answer_leaves_its_slot_to_lapse(
    services: MemoryServices, failure: Any, *, is_left: bool
) -> None:
    """The server may still be working on it. After any answer, or if nothing was sent, the slot is given back."""
    services.server.answers = [failure]

    if isinstance(failure, RuntimeError):
        with pytest.raises(RuntimeError):
            services.token()
    else:
        services.token()

    assert (0 in taken(services)) is is_left


def test_a_lost_answer_is_not_requested_again_in_the_same_slot(services: MemoryServices) -> None:
    """Even if the server would repeat it: the first request may still be running."""
    services.registrations.known["acme"] = registration(max_concurrency=1, refresh_token_replay_seconds=30)
    services.server.answers = [ProviderUnavailable("Cut off.", outcome_unknown=True)]

    result = services.token()

    assert (result["error"], len(services.server.requests)) == ("provider_unavailable", 1)


def test_a_write_whose_answer_was_lost_is_recognized(services: MemoryServices) -> None:
    """The SDK sends it again, which fails. The slot is ours, and nobody waits for it to lapse."""
    update = services.dynamo.update_item

    def twice(**arguments: Any) -> Any:
        update(**arguments)
        return update(**arguments)

    services.dynamo.update_item = twice  # type: ignore[method-assign]

    assert services.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("failure", [down(), aws_error("AccessDeniedException")])
def test_a_slot_that_cannot_be_given_back_costs_nobody_a_token(services: MemoryServices, failure: Exception) -> None:
    """The answer is already stored, and the slot lapses."""
    update, calls = services.dynamo.update_item, iter([None, failure])

    def second_fails(**arguments: Any) -> Any:
        if (error := next(calls)) is not None:
            raise error
        return update(**arguments)

    services.dynamo.update_item = second_fails  # type: ignore[method-assign]

    assert services.token()["access_token"] == "AT-2"
    assert 0 in taken(services)


def test_nothing_is_sent_while_the_table_of_slots_is_down(services: MemoryServices) -> None:
    """Nobody can know which requests are running. A waiting call gets an error within its five seconds."""
    services.dynamo.get_item = lambda **_arguments: _raise(down())  # type: ignore[method-assign]

    result = services.token()

    assert (result["error"], services.server.requests, lease_of(services)) == ("temporarily_unavailable", [], None)
    assert services.now - (NOW + 7200) <= SLOT_WAIT


def _raise(error: Exception) -> Any:
    raise error


def test_a_call_that_lost_its_lease_while_waiting_gives_the_slot_back_unused(services: MemoryServices) -> None:
    """The call that has the lease makes the request."""
    held = take(services)

    def is_anothers() -> None:
        stored = services.stored()
        services.connections.records["merchant-1"] = refreshes.leased(
            stored, "holder-9", services.now + 2, services.now
        )
        services.table_of_slots.give_back_slot("acme", 0, held)

    services.events.before["sleep"] = [is_anothers]

    services.token()

    assert services.server.refresh_tokens == ["RT-1"]
    assert taken(services) == {}


def test_a_client_without_a_slot_sends_nothing_to_a_provider_with_slots(services: MemoryServices) -> None:
    """A use case that forgot to take one is a defect, and must not exceed the limit."""
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


def test_a_callback_takes_its_slot_before_it_consumes_its_request(services: MemoryServices) -> None:
    """It reads the request first, to see whether it could consume it."""
    open_request(services)

    outcome = services.completing.complete(validated_response(), services.deadline())

    assert (outcome.page, services.server.codes, taken(services)) == ("connected", ["CODE-1"], {})
    assert services.events.calls == [
        *("consume", "get_request", "registration", "consume", "registration", "data_key", "http", "create", "note"),
    ]


def test_a_callback_without_a_slot_consumes_nothing(services: MemoryServices) -> None:
    """The page can reload as often as it likes with the same code: none of the five exchanges is used up."""
    open_request(services, return_to="https://app.example/back")
    another = take(services)

    waiting = [services.completing.complete(validated_response(), services.deadline()) for _ in range(7)]
    services.table_of_slots.give_back_slot("acme", 0, another)
    outcome = services.completing.complete(validated_response(), services.deadline())

    assert [(each.page, each.return_to) for each in waiting] == [("waiting", None)] * 7
    assert {(each.provider, each.reason) for each in waiting} == {("acme", "provider_throttled")}
    assert [each.request and each.request.request_id for each in waiting] == [BROWSER.request_id] * 7
    assert all(each.failure is not None and each.failure.retry_after for each in waiting)
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
def test_a_response_that_cannot_consume_its_request_takes_no_slot(
    services: MemoryServices, fields: dict[str, Any]
) -> None:
    """No slot is spent on a response that would be refused."""
    open_request(services, **fields)

    outcome = services.completing.complete(validated_response(), services.deadline())

    assert outcome.page in {"already", "failed", "expired", "refused"}
    assert (services.dynamo.items["shared"], services.server.requests) == ({}, [])


def test_a_consumption_in_a_slot_whose_answer_was_lost_is_ones_own(services: MemoryServices) -> None:
    """The SDK repeated it and its condition failed: the request is in our name, and the code is exchanged, once."""
    open_request(services)
    services.events.after["consume"] = [Conflict()]

    outcome = services.completing.complete(validated_response(), services.deadline())

    assert (outcome.page, services.server.codes) == ("connected", ["CODE-1"])
    assert services.authorizations.records[BROWSER.request_id].consumed_by, "nobody else takes it for theirs"


def test_the_issuers_name_admits_a_response_to_a_slot(services: MemoryServices) -> None:
    """RFC 9207: it is compared before the slot is taken."""
    open_request(services, issuer="https://acme.example", iss_required=True)

    refused = services.completing.complete(validated_response(iss="https://evil.example"), services.deadline())
    outcome = services.completing.complete(validated_response(iss="https://acme.example"), services.deadline())

    assert (refused.page, outcome.page) == ("refused", "connected")


def test_an_error_response_needs_no_slot(services: MemoryServices) -> None:
    """There is nothing to send."""
    open_request(services)
    take(services)

    outcome = services.completing.complete(validated_response(code=None, error="access_denied"), services.deadline())

    assert outcome.page == "denied"


def test_a_limit_that_is_set_after_the_link_was_made_holds(services: MemoryServices) -> None:
    """The stored request does not know about slots: it is consumed, and its exchange needs a slot or another try."""
    open_request(services)
    services.authorizations.create(authorization_request(owner="owner-1"))
    another = take(services)

    failed = services.completing.complete(validated_response(), services.deadline())
    services.table_of_slots.give_back_slot("acme", 0, another)
    again = replace(BROWSER, nonce="N" * 43)
    outcome = services.completing.complete(validated_response(again), services.deadline())

    assert (failed.page, failed.error, failed.may_try_again) == ("failed", "provider_throttled", True)
    assert (outcome.page, len(services.server.codes)) == ("connected", 1)


def test_a_request_is_not_consumed_if_the_registration_is_gone(services: MemoryServices) -> None:
    """The page says what is wrong, and the same link works once it is corrected."""
    open_request(services)
    services.events.before["registration"] = [ProviderMisconfigured("The secret cannot be read.")]

    failed = services.completing.complete(validated_response(), services.deadline())
    outcome = services.completing.complete(validated_response(), services.deadline())

    assert (failed.error, failed.may_try_again, outcome.page) == ("provider_misconfigured", True, "connected")


# A revocation


def test_a_revocation_takes_a_slot_too(services: MemoryServices) -> None:
    """The connection ends at once, and the grant is revoked at the server when there is a slot."""
    another = take(services)

    first = services.revoke()
    services.table_of_slots.give_back_slot("acme", 0, another)
    services.revoking.retry("merchant-1", services.deadline())

    assert (first, str(services.stored().status)) == ("revoking", "revoked")
    assert taken(services) == {}


def test_who_revokes_waits_for_a_slot_and_the_queue_does_not(services: MemoryServices) -> None:
    """The caller's answer is then that it is confirmed; the queue comes again anyway."""
    another = take(services)
    assert services.revoke() == "revoking"
    waited, services.now = services.now - (NOW + 7200), services.now + 60
    take(services)

    services.revoking.retry("merchant-1", services.deadline())

    assert SLOT_WAIT - 0.5 < waited <= SLOT_WAIT
    assert services.now == NOW + 7200 + waited + 60
    assert another != taken(services)[0]
    assert services.server.requests == []


def test_a_call_with_too_little_time_takes_no_slot(services: MemoryServices) -> None:
    """It has to have enough time for the request and for storing the answer."""
    with (
        pytest.raises(TemporarilyUnavailable),
        services.client.in_slot(ONE, services.deadline(RESERVE), services.now + 5),
    ):
        raise AssertionError

    assert services.dynamo.items["shared"] == {}
    assert services.tokens() == TokenSet("AT-1", "RT-1")
