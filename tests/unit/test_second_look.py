"""A grant that is believed dead, looked at once more: when that sends something, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import ConnectionNotFound, TemporarilyUnavailable
from functions.vault.base.narrowing import Narrowing
from functions.vault.grant import refreshes
from functions.vault.grant.life import Status
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import answer, registration
from tests.unit.services import MemoryServices, down

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

INVALID_GRANT = answer('{"error":"invalid_grant"}', 400)
BY = ("acme", "client-1", "account-1")


@pytest.fixture
def services() -> MemoryServices:
    """Give services with a connection whose first refresh was refused just now."""
    made = MemoryServices()
    made.connect()
    made.connections.records["merchant-1"] = replace(made.stored(), subject="account-1")
    made.pass_time(7200)()
    made.server.answers = [INVALID_GRANT]
    assert made.token()["error"] == "reauthorization_required"
    made.server.requests.clear()
    made.events.calls.clear()
    return made


def background(services: MemoryServices, after: float = 0.0) -> GatehouseError | None:
    """Let so many seconds pass, and the background do its work."""
    services.pass_time(after)()
    return services.vending.refresh_due("merchant-1", services.stored().version, services.deadline())


def code(result: GatehouseError | dict[str, Any] | None) -> str | None:
    """Return the error that a call was answered with."""
    return result.get("error") if isinstance(result, dict) else getattr(result, "code", None)


def test_token_sends_nothing_whatever_is_due(services: MemoryServices) -> None:
    """The grant is dead, as far as anybody knows: a caller is answered so at once."""
    services.pass_time(10**6)()

    assert services.token()["error"] == "reauthorization_required"
    assert (services.server.requests, services.events.calls) == ([], ["get"])


def test_a_look_in_the_background_finds_the_grant_alive(services: MemoryServices) -> None:
    """Not before its time; then the connection is active, with new tokens, and its client has been answered."""
    assert code(background(services, 299)) == "reauthorization_required"
    assert services.server.requests == []
    services.shared.refreshed.clear()

    assert background(services, 1) is None

    stored = services.stored()
    assert (stored.status, stored.version, services.tokens()) == (Status.ACTIVE, 2, TokenSet("AT-2", "RT-2"))
    assert stored.failure is None
    assert services.shared.refreshed == {("acme", "client-1"): int(services.now)}
    assert services.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("by_caller", [True, False])
def test_a_look_at_a_provider_that_has_slots_is_sent_in_one(services: MemoryServices, *, by_caller: bool) -> None:
    """As any refresh is: UltraCart takes one request at a time, whoever makes it."""
    services.registrations.known["acme"] = registration(max_concurrency=1)
    held: list[int] = []
    services.events.before["http"] = [lambda: held.append(len(services.table_of_slots.slots("acme")))]

    if by_caller:
        services.pass_time(60)()
        assert services.refresh()["access_token"] == "AT-2"
    else:
        assert background(services, 300) is None

    assert (held, services.stored().status) == ([1], Status.ACTIVE)


def test_a_look_that_waits_for_a_slot_keeps_others_for_as_long_as_a_refresh_does(services: MemoryServices) -> None:
    """Then they get a time to come back; they send nothing of their own."""
    services.pass_time(60)()
    held = refreshes.leased(services.stored(), "holder-9", services.now + 30, services.now, waiting=True)
    services.connections.records["merchant-1"] = held

    assert code(services.refresh()) == "provider_throttled"

    assert services.server.requests == []


def test_all_looks_are_in_vain_if_the_grant_is_dead(services: MemoryServices) -> None:
    """Three in the background and one for a caller; after that nothing is sent, for any caller and however long."""
    services.server.answers = [INVALID_GRANT] * 10
    for seconds in (60, 240, 600, 13500, 86400, 86400):
        services.refresh()
        background(services, seconds)

    assert len(services.server.requests) == 4
    assert services.stored().upkeep_at is None
    assert services.stored().status is Status.REAUTHORIZATION_REQUIRED


def test_a_caller_of_refresh_looks_and_is_given_what_it_finds(services: MemoryServices) -> None:
    """Once, a minute after the refusal; before that the answer is what is believed."""
    assert code(services.refresh()) == "reauthorization_required"
    assert services.server.requests == []
    services.pass_time(60)()

    assert services.refresh(if_version=1)["access_token"] == "AT-2"

    assert len(services.server.requests) == 1


def test_a_caller_who_names_another_version_gets_what_is_believed(services: MemoryServices) -> None:
    """Its token was not the one that was refused."""
    services.pass_time(3600)()

    assert code(services.refresh(if_version=7)) == "reauthorization_required"
    assert services.server.requests == []


def test_a_call_that_is_limited_to_another_owner_looks_at_nothing(services: MemoryServices) -> None:
    """It gets the error of a connection that does not exist, though a look is due."""
    services.pass_time(3600)()

    with pytest.raises(ConnectionNotFound):
        services.vending.refresh("merchant-1", None, services.deadline(), Narrowing(owner="owner-2"))

    assert (services.server.requests, services.events.calls) == ([], ["get"])


def test_who_comes_during_a_look_waits_for_it(services: MemoryServices) -> None:
    """One request for all of them, and one outcome, also if the table throttles those who wait."""
    services.pass_time(60)()
    held = refreshes.leased(services.stored(), "holder-9", services.now + 30, services.now)
    services.connections.records["merchant-1"] = held

    def is_found_alive() -> None:
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2, expires_at=int(services.now) + 3600)
        found = refreshes.refreshed(held, tokens, RefreshedFrom("set-1", 2), "holder-9", services.now)
        services.connections.records["merchant-1"] = found

    services.events.before["sleep"] = [None, None, is_found_alive]
    services.events.before["get"] = [None, down()]

    assert services.refresh()["access_token"] == "AT-9"
    assert (len(services.slept), services.server.requests) == (3, [])


def test_a_look_is_put_off_while_the_rescue_queue_may_hold_an_answer(services: MemoryServices) -> None:
    """For an hour after the refusal; it does not count, and somebody else's response may lie there for days."""
    services.rescue_queue.send("{}")

    put_off = [code(background(services, seconds)) for seconds in (300, 600, 2600)]
    sent = len(services.server.requests)

    assert (put_off, sent) == (["reauthorization_required"] * 3, 0)
    assert background(services, 100) is None
    assert services.stored().status is Status.ACTIVE


def test_nobody_looks_once_the_account_has_authorized_the_client_elsewhere(services: MemoryServices) -> None:
    """That may have ended this grant, and its old refresh token could end the new one: for good."""
    services.shared.authorized[BY].append(("merchant-2", int(services.now) + 10))

    assert code(background(services, 300)) == "reauthorization_required"

    assert (services.server.requests, services.stored().upkeep_at) == ([], None)
    services.shared.authorized.clear()
    services.pass_time(600)()
    assert code(services.refresh()) == "reauthorization_required"
    assert services.server.requests == []


@pytest.mark.parametrize(
    ("by", "seconds_ago"),
    [
        pytest.param("merchant-1", 10, id="by this connection"),
        pytest.param("merchant-2", 7300, id="before this grant was known to live"),
    ],
)
def test_other_authorizations_are_no_reason(services: MemoryServices, by: str, seconds_ago: int) -> None:
    """The grant has outlived them."""
    services.shared.authorized[BY].append((by, int(services.now) - seconds_ago))

    assert background(services, 300) is None


def test_where_the_account_is_unknown_a_look_is_taken(services: MemoryServices) -> None:
    """Nothing could be known of others of it."""
    services.connections.records["merchant-1"] = replace(services.stored(), subject=None)

    assert background(services, 300) is None
    assert "authorized_elsewhere" not in services.events.calls


@pytest.mark.parametrize("where", ["authorized_elsewhere", "rescue_queue_is_empty"])
def test_what_cannot_be_known_puts_a_look_off(services: MemoryServices, where: str) -> None:
    """An outage of AWS is none of the grant: the work comes again, and nothing is sent meanwhile."""
    services.events.before[where] = [down()]

    with pytest.raises(TemporarilyUnavailable):
        background(services, 300)

    assert services.server.requests == []
    assert background(services) is None


def test_a_caller_gets_the_dead_grant_and_not_a_failure_of_ours(services: MemoryServices) -> None:
    """A caller can do nothing about our registration; the background's line in the log is the operator's."""
    services.registrations.known["acme"] = registration(token_endpoint=None)
    services.pass_time(240)()

    assert code(services.refresh()) == "reauthorization_required"
    assert code(background(services, 60)) == "provider_misconfigured"
    assert services.stored().status is Status.REAUTHORIZATION_REQUIRED
