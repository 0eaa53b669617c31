"""A grant that is believed dead, looked at once more: when that sends something, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.connection import RefreshedFrom, Status
from functions.vault.errors import TemporarilyUnavailable
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse, down
from tests.unit.samples import answer, registration

if TYPE_CHECKING:
    from functions.vault.errors import GatehouseError

INVALID_GRANT = answer('{"error":"invalid_grant"}', 400)
BY = ("acme", "client-1", "account-1")


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house with a connection whose first refresh was refused just now."""
    made = MemoryHouse()
    made.connect()
    made.connections.records["merchant-1"] = replace(made.stored(), subject="account-1")
    made.pass_time(7200)()
    made.server.answers = [INVALID_GRANT]
    assert made.token()["error"] == "reauthorization_required"
    made.server.requests.clear()
    made.events.calls.clear()
    return made


def background(house: MemoryHouse, after: float = 0.0) -> GatehouseError | None:
    """Let so many seconds pass, and the background do its work."""
    house.pass_time(after)()
    return house.vending.keep("merchant-1", house.stored().version, house.deadline())


def code(result: GatehouseError | dict[str, Any] | None) -> str | None:
    """Return the error that a call was answered with."""
    return result.get("error") if isinstance(result, dict) else getattr(result, "code", None)


def test_token_sends_nothing_whatever_is_due(house: MemoryHouse) -> None:
    """The grant is dead, as far as anybody knows: a caller is told so at once."""
    house.pass_time(10**6)()

    assert house.token()["error"] == "reauthorization_required"
    assert (house.server.requests, house.events.calls) == ([], ["get"])


def test_a_look_in_the_background_finds_the_grant_alive(house: MemoryHouse) -> None:
    """Not before its time; then the connection is active, with new tokens, and its client has been answered."""
    assert code(background(house, 299)) == "reauthorization_required"
    assert house.server.requests == []
    house.shared.refreshed.clear()

    assert background(house, 1) is None

    stored = house.stored()
    assert (stored.status, stored.version, house.tokens()) == (Status.ACTIVE, 2, TokenSet("AT-2", "RT-2"))
    assert stored.failure is None
    assert house.shared.refreshed == {("acme", "client-1"): int(house.now)}
    assert house.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("by_caller", [True, False])
def test_a_look_at_a_provider_that_has_slots_is_sent_in_one(house: MemoryHouse, *, by_caller: bool) -> None:
    """As any refresh is: UltraCart takes one request at a time, whoever makes it."""
    house.registrations.known["acme"] = registration(max_concurrency=1)
    held: list[int] = []
    house.events.before["http"] = [lambda: held.append(len(house.table_of_slots.slots("acme")))]

    if by_caller:
        house.pass_time(60)()
        assert house.refresh()["access_token"] == "AT-2"
    else:
        assert background(house, 300) is None

    assert (held, house.stored().status) == ([1], Status.ACTIVE)


def test_all_looks_are_in_vain_where_the_grant_is_dead(house: MemoryHouse) -> None:
    """Three in the background and one for a caller; after that nothing is sent, whoever asks and however long."""
    house.server.answers = [INVALID_GRANT] * 10
    for seconds in (60, 240, 600, 13500, 86400, 86400):
        house.refresh()
        background(house, seconds)

    assert len(house.server.requests) == 4
    assert house.stored().upkeep_at is None
    assert house.stored().status is Status.REAUTHORIZATION_REQUIRED


def test_a_caller_of_refresh_looks_and_is_given_what_it_finds(house: MemoryHouse) -> None:
    """Once, a minute after the refusal; before that it is told what is believed."""
    assert code(house.refresh()) == "reauthorization_required"
    assert house.server.requests == []
    house.pass_time(60)()

    assert house.refresh(if_version=1)["access_token"] == "AT-2"

    assert len(house.server.requests) == 1


def test_a_caller_who_names_another_version_is_told_what_is_believed(house: MemoryHouse) -> None:
    """Its token was not the one that was refused."""
    house.pass_time(3600)()

    assert code(house.refresh(if_version=7)) == "reauthorization_required"
    assert house.server.requests == []


def test_who_comes_during_a_look_waits_for_it(house: MemoryHouse) -> None:
    """One request for all of them, and one outcome."""
    house.pass_time(60)()
    held = house.stored().leased("holder-9", house.now + 30, house.now)
    house.connections.records["merchant-1"] = held

    def is_found_alive() -> None:
        tokens = house.sealed(TokenSet("AT-9", "RT-9"), 2, expires_at=int(house.now) + 3600)
        found = held.refreshed(tokens, RefreshedFrom("set-1", 2), "holder-9", house.now)
        house.connections.records["merchant-1"] = found

    house.events.before["sleep"] = [None, None, is_found_alive]

    assert house.refresh()["access_token"] == "AT-9"
    assert (len(house.slept), house.server.requests) == (3, [])


def test_a_look_is_put_off_while_the_rescue_queue_may_hold_an_answer(house: MemoryHouse) -> None:
    """For an hour after the refusal; it does not count, and somebody else's response may lie there for days."""
    house.rescue_queue.send("{}")

    put_off = [code(background(house, seconds)) for seconds in (300, 600, 2600)]
    sent = len(house.server.requests)

    assert (put_off, sent) == (["reauthorization_required"] * 3, 0)
    assert background(house, 100) is None
    assert house.stored().status is Status.ACTIVE


def test_nobody_looks_once_the_account_has_authorized_the_client_elsewhere(house: MemoryHouse) -> None:
    """That may have ended this grant, and its old refresh token could end the new one: for good."""
    house.shared.authorized[BY].append(("merchant-2", int(house.now) + 10))

    assert code(background(house, 300)) == "reauthorization_required"

    assert (house.server.requests, house.stored().upkeep_at) == ([], None)
    house.shared.authorized.clear()
    house.pass_time(600)()
    assert code(house.refresh()) == "reauthorization_required"
    assert house.server.requests == []


@pytest.mark.parametrize(
    ("by", "seconds_ago"),
    [
        pytest.param("merchant-1", 10, id="by this connection"),
        pytest.param("merchant-2", 7300, id="before this grant was known to live"),
    ],
)
def test_other_authorizations_are_no_reason(house: MemoryHouse, by: str, seconds_ago: int) -> None:
    """The grant has outlived them."""
    house.shared.authorized[BY].append((by, int(house.now) - seconds_ago))

    assert background(house, 300) is None


def test_where_the_account_is_unknown_a_look_is_taken(house: MemoryHouse) -> None:
    """Nothing could be known of others of it."""
    house.connections.records["merchant-1"] = replace(house.stored(), subject=None)

    assert background(house, 300) is None
    assert "authorized_elsewhere" not in house.events.calls


@pytest.mark.parametrize("where", ["authorized_elsewhere", "rescue_queue_is_empty"])
def test_what_cannot_be_known_puts_a_look_off(house: MemoryHouse, where: str) -> None:
    """An outage of AWS is none of the grant: the work comes again, and nothing is sent meanwhile."""
    house.events.before[where] = [down()]

    with pytest.raises(TemporarilyUnavailable):
        background(house, 300)

    assert house.server.requests == []
    assert background(house) is None


def test_what_is_wrong_with_us_is_not_told_to_who_asks_of_a_dead_grant(house: MemoryHouse) -> None:
    """A caller can do nothing about our registration; the background's line in the log is the operator's."""
    house.registrations.known["acme"] = registration(token_endpoint=None)
    house.pass_time(240)()

    assert code(house.refresh()) == "reauthorization_required"
    assert code(background(house, 60)) == "provider_misconfigured"
    assert house.stored().status is Status.REAUTHORIZATION_REQUIRED
