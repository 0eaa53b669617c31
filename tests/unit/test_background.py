"""Background work: a server that fails is left alone by all of it, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.turns import WORKING, World
from functions.vault.errors import ProviderTimedOut
from functions.vault.revoking import GIVE_UP_AFTER, NotRevokedYet
from functions.vault.shared import Standing
from functions.vault.timing import NEVER
from tests.unit.house import MemoryHouse, down
from tests.unit.samples import NOW, answer

if TYPE_CHECKING:
    from functions.vault.errors import GatehouseError

HANGS = ProviderTimedOut("It did not answer in time.")


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house with six connections whose tokens have expired."""
    made = MemoryHouse()
    for number in range(6):
        made.connect(connection_id=f"merchant-{number}")
    made.pass_time(7200)()
    return made


def keep(house: MemoryHouse, number: int, provider: str | None = "acme") -> GatehouseError | None:
    """Do what a message of the refresh queue asks for."""
    return house.background.keep(f"merchant-{number}", 1, provider, house.deadline())


def standing(house: MemoryHouse) -> Standing:
    """Return how the provider stands."""
    return house.table_of_slots.standing("acme")


@pytest.mark.parametrize("failure", [HANGS, answer("", 503)])
def test_after_two_failures_in_a_row_the_server_is_left_alone(house: MemoryHouse, failure: Any) -> None:
    """For a minute, then for longer: nothing is sent, and nothing of the connections is written."""
    house.server.answers = [failure] * 3
    keep(house, 0), keep(house, 1)
    before, sent = house.stored("merchant-2"), len(house.server.requests)

    left_alone = keep(house, 2)

    assert left_alone is not None
    assert (left_alone.code, left_alone.retry_after) == ("provider_unavailable", 60)
    assert (house.stored("merchant-2"), len(house.server.requests)) == (before, sent)
    house.pass_time(60)()
    keep(house, 2)
    assert standing(house) == Standing(None, 3, int(house.now) + 120)


def test_a_single_failure_is_that_connections_own(house: MemoryHouse) -> None:
    """The others are refreshed, and what was noted of it is gone with the first answer."""
    house.server.answers = [HANGS]
    keep(house, 0)
    assert standing(house) == Standing(None, 1, NOW + 7200)

    assert keep(house, 1) is None

    assert (standing(house), house.stored("merchant-1").version) == (Standing(), 2)


def test_a_failure_that_is_remembered_is_not_counted_again(house: MemoryHouse) -> None:
    """The server was not asked: it is in the connection's record since before."""
    house.server.answers = [HANGS]
    keep(house, 0)
    house.pass_time(2)()

    keep(house, 0)

    assert (standing(house).failures, len(house.server.requests)) == (1, 1)


@pytest.mark.parametrize("said", [answer('{"error":"invalid_grant"}', 400), answer('{"error":"invalid_client"}', 401)])
def test_a_refusal_is_an_answer(house: MemoryHouse, said: Any) -> None:
    """The server works, whatever it says of this grant or of our client."""
    house.server.answers = [said] * 3

    for number in range(3):
        keep(house, number)

    assert standing(house) == Standing()


def test_callers_are_served_while_the_background_is_not(house: MemoryHouse) -> None:
    """Somebody waits for that token."""
    house.table_of_slots.note_trouble("acme", Standing(None, 4, int(house.now) + 240), NEVER)

    result = house.vending.token("merchant-0", 60, house.deadline())

    assert result["access_token"] == "AT-2"


def test_revocations_in_the_background_leave_it_alone_too(house: MemoryHouse) -> None:
    """They are due again within the hour, as the sweep has written."""
    house.server.answers = [HANGS]
    house.revoking.revoke("merchant-0", house.deadline())
    house.table_of_slots.note_trouble("acme", Standing(None, 2, int(house.now) + 60), NEVER)
    sent = len(house.server.requests)

    failure = house.background.retry("merchant-0", "acme", house.deadline())

    assert failure is not None
    assert (failure.code, len(house.server.requests)) == ("provider_unavailable", sent)


@pytest.mark.parametrize("provider", [None, "acme"])
def test_without_a_word_of_the_provider_the_work_is_done(house: MemoryHouse, provider: str | None) -> None:
    """A message of before names none, and an outage of the table is not the provider's."""
    house.dynamo.get_item = lambda **_arguments: _raise(down())  # type: ignore[method-assign]

    assert keep(house, 0, provider) is None
    assert house.stored("merchant-0").version == 2


def _raise(error: Exception) -> Any:
    raise error


def test_a_person_is_still_called_when_a_revocation_has_failed_too_often(house: MemoryHouse) -> None:
    """Its message goes to the dead letters, although the server is left alone by then."""
    house.server.answers = [HANGS] * GIVE_UP_AFTER
    house.revoking.revoke("merchant-0", house.deadline())
    for _ in range(GIVE_UP_AFTER - 2):
        house.pass_time(7200)()
        house.revoking.retry("merchant-0", house.deadline())
    house.pass_time(7200)()
    house.table_of_slots.note_trouble("acme", Standing(None, 9, int(house.now) + 900), NEVER)
    assert house.background.retry("merchant-0", "acme", house.deadline()) is not None
    house.pass_time(900)()
    with pytest.raises(NotRevokedYet):
        house.background.retry("merchant-0", "acme", house.deadline())

    house.table_of_slots.note_trouble("acme", Standing(None, 9, int(house.now) + 900), NEVER)

    with pytest.raises(NotRevokedYet):
        house.background.retry("merchant-0", "acme", house.deadline())


def test_ten_are_refreshed_in_their_minutes_beside_three_hundred_that_hang() -> None:
    """Behind them in the index, with three workers for both: before, they waited for 17 minutes."""
    world = World(knows=True).run()

    assert len(world.done) == WORKING
    assert max(world.done.values()) < 120
