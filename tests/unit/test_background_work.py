"""Background work: a server that fails is left alone by all of it, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.turns import WORKING, World
from functions.vault.base.errors import ProviderTimedOut
from functions.vault.base.timing import NEVER
from functions.vault.grant.failure import LONGEST_REVOCATION_DELAY
from functions.vault.storage.shared import Standing
from functions.vault.usecases.revoking import GIVE_UP_AFTER, NotRevokedYet
from tests.unit.samples import NOW, answer
from tests.unit.services import MemoryServices, down

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

HANGS = ProviderTimedOut("It did not answer in time.")


@pytest.fixture
def services() -> MemoryServices:
    """Give services with six connections whose tokens have expired."""
    made = MemoryServices()
    for number in range(6):
        made.connect(connection_id=f"merchant-{number}")
    made.pass_time(7200)()
    return made


def keep(services: MemoryServices, number: int, provider: str | None = "acme") -> GatehouseError | None:
    """Do what a message of the refresh queue asks for."""
    return services.background_work.refresh_due(f"merchant-{number}", 1, provider, services.deadline())


def standing(services: MemoryServices) -> Standing:
    """Return how the provider stands."""
    return services.table_of_slots.standing("acme")


@pytest.mark.parametrize("failure", [HANGS, answer("", 503)])
def test_after_two_failures_in_a_row_the_server_is_left_alone(services: MemoryServices, failure: Any) -> None:
    """For a minute, then for longer: nothing is sent, and nothing of the connections is written."""
    services.server.answers = [failure] * 3
    keep(services, 0), keep(services, 1)
    before, sent = services.stored("merchant-2"), len(services.server.requests)

    left_alone = keep(services, 2)

    assert left_alone is not None
    assert (left_alone.code, left_alone.retry_after) == ("provider_unavailable", 60)
    assert (services.stored("merchant-2"), len(services.server.requests)) == (before, sent)
    services.pass_time(60)()
    keep(services, 2)
    assert standing(services) == Standing(None, 3, int(services.now) + 120, int(services.now))


def test_a_single_failure_is_that_connections_own(services: MemoryServices) -> None:
    """The others are refreshed, and what was noted of it is gone with the first answer."""
    services.server.answers = [HANGS]
    keep(services, 0)
    assert standing(services) == Standing(None, 1, NOW + 7200, NOW + 7200)

    assert keep(services, 1) is None

    assert (standing(services), services.stored("merchant-1").version) == (Standing(), 2)


def test_a_failure_that_is_remembered_is_not_counted_again(services: MemoryServices) -> None:
    """The server was not asked: it is in the connection's record since before."""
    services.server.answers = [HANGS]
    keep(services, 0)
    services.pass_time(2)()

    keep(services, 0)

    assert (standing(services).failures, len(services.server.requests)) == (1, 1)


@pytest.mark.parametrize("said", [answer('{"error":"invalid_grant"}', 400), answer('{"error":"invalid_client"}', 401)])
def test_a_refusal_is_an_answer(services: MemoryServices, said: Any) -> None:
    """The server works, whatever it says of this grant or of our client."""
    services.server.answers = [said] * 3

    for number in range(3):
        keep(services, number)

    assert standing(services) == Standing()


def test_an_operator_can_have_a_server_asked_that_is_left_alone(services: MemoryServices) -> None:
    """If it answers, all of its background work goes on."""
    services.table_of_slots.note_trouble("acme", Standing(None, 4, int(services.now) + 240), NEVER)

    failure = services.background_work.refresh_due("merchant-0", 1, "acme", services.deadline(), ask_now=True)

    assert (failure, services.stored("merchant-0").version) == (None, 2)
    assert standing(services) == Standing()


def test_an_operator_can_have_it_asked_about_a_revocation(services: MemoryServices) -> None:
    """It is tried at once, whatever pause there is."""
    services.server.answers = [answer("", 503)]
    services.revoking.revoke("merchant-0", services.deadline())
    services.table_of_slots.note_trouble("acme", Standing(None, 2, int(services.now) + 60), NEVER)
    services.pass_time(40)()
    sent = len(services.server.requests)

    services.background_work.retry_revocation("merchant-0", "acme", services.deadline(), ask_now=True)

    assert len(services.server.requests) > sent


def test_who_asks_now_asks_once_and_before_the_time_that_the_server_has_named(services: MemoryServices) -> None:
    """If it fails again, that failure is the answer, with its own pause."""
    throttled = answer("{}", 429, retry_after="3600")
    services.server.answers = [throttled, throttled]
    keep(services, 0)
    services.pass_time(30)()
    sent = len(services.server.requests)

    failure = services.background_work.refresh_due("merchant-0", 1, "acme", services.deadline(), ask_now=True)

    assert failure is not None
    assert (failure.code, len(services.server.requests) - sent) == ("provider_throttled", 1)
    stored = services.stored("merchant-0").failure
    assert stored is not None
    assert (stored.count, stored.retry_at) == (2, int(services.now) + 3600)


def test_who_asks_now_waits_while_the_server_may_still_be_at_work(services: MemoryServices) -> None:
    """After a time-out a second request could be taken for reuse, and end the grant."""
    services.server.answers = [HANGS]
    keep(services, 0)
    sent = len(services.server.requests)

    failure = services.background_work.refresh_due("merchant-0", 1, "acme", services.deadline(), ask_now=True)

    assert failure is not None
    assert (failure.code, len(services.server.requests)) == ("provider_unavailable", sent)


def test_who_asks_now_about_a_refused_grant_takes_the_look_of_a_caller(services: MemoryServices) -> None:
    """A minute after the refusal, and once: the background keeps its own looks."""
    refused = answer('{"error": "invalid_grant"}', 400)
    services.server.answers = [refused, refused, refused]
    keep(services, 0)
    sent, failures = len(services.server.requests), []

    for _ in range(3):
        failures.append(
            services.background_work.refresh_due("merchant-0", 1, "acme", services.deadline(), ask_now=True)
        )
        services.pass_time(61)()

    assert [failure.code for failure in failures if failure] == ["reauthorization_required"] * 3
    assert len(services.server.requests) - sent == 1


def test_callers_are_served_while_the_background_is_not(services: MemoryServices) -> None:
    """Somebody waits for that token."""
    services.table_of_slots.note_trouble("acme", Standing(None, 4, int(services.now) + 240), NEVER)

    result = services.vending.token("merchant-0", 60, services.deadline())

    assert result["access_token"] == "AT-2"


def test_revocations_in_the_background_leave_it_alone_too(services: MemoryServices) -> None:
    """They are due again within the hour, as the sweep has written."""
    services.server.answers = [HANGS]
    services.revoking.revoke("merchant-0", services.deadline())
    services.table_of_slots.note_trouble("acme", Standing(None, 2, int(services.now) + 60), NEVER)
    sent = len(services.server.requests)

    failure = services.background_work.retry_revocation("merchant-0", "acme", services.deadline())

    assert failure is not None
    assert (failure.code, len(services.server.requests)) == ("provider_unavailable", sent)


@pytest.mark.parametrize("provider", [None, "acme"])
def test_without_a_word_of_the_provider_the_work_is_done(services: MemoryServices, provider: str | None) -> None:
    """A message of an earlier release names none, and an outage of the table is not the provider's."""
    services.dynamo.get_item = lambda **_arguments: _raise(down())  # type: ignore[method-assign]

    assert keep(services, 0, provider) is None
    assert services.stored("merchant-0").version == 2


def _raise(error: Exception) -> Any:
    raise error


def test_a_person_is_still_called_when_a_revocation_has_failed_too_often(services: MemoryServices) -> None:
    """Its message goes to the dead letters, although the server is left alone by then."""
    assert GIVE_UP_AFTER * LONGEST_REVOCATION_DELAY > 86400
    services.server.answers = [HANGS] * GIVE_UP_AFTER
    services.revoking.revoke("merchant-0", services.deadline())
    for _ in range(GIVE_UP_AFTER - 2):
        services.pass_time(7200)()
        services.revoking.retry("merchant-0", services.deadline())
    services.pass_time(7200)()
    services.table_of_slots.note_trouble("acme", Standing(None, 9, int(services.now) + 900), NEVER)
    assert services.background_work.retry_revocation("merchant-0", "acme", services.deadline()) is not None
    services.pass_time(900)()
    with pytest.raises(NotRevokedYet):
        services.background_work.retry_revocation("merchant-0", "acme", services.deadline())

    services.table_of_slots.note_trouble("acme", Standing(None, 9, int(services.now) + 900), NEVER)

    with pytest.raises(NotRevokedYet):
        services.background_work.retry_revocation("merchant-0", "acme", services.deadline())


def test_ten_are_refreshed_in_their_minutes_beside_three_hundred_that_hang() -> None:
    """Behind them in the index, with three workers for both: before, they waited for 17 minutes."""
    world = World(knows=True).run()

    assert len(world.done) == WORKING
    assert max(world.done.values()) < 120
