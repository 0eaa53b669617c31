"""Imports whose proof is cut short, has to wait, or is overtaken: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

from typing import Any

import pytest

from functions.vault.base.errors import GatehouseError, ProviderTimedOut
from functions.vault.grant.life import Place, Status
from functions.vault.storage.table import Conflict
from tests.unit.samples import NOW, answer, registration
from tests.unit.services import MemoryServices, down

REFUSED = answer('{"error": "invalid_grant"}', 400)


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture
def services() -> MemoryServices:
    """Give services without connections."""
    return MemoryServices()


def brought(**fields: Any) -> dict[str, Any]:
    """Return an import."""
    return {"provider": "acme", "connection_id": "merchant-1", "refresh_token": "RT-1", **fields}


def take(services: MemoryServices, seconds: float = 29.0, **fields: Any) -> dict[str, Any]:
    """Import, and return the result or the error."""
    try:
        return services.importing.take(brought(**fields), services.deadline(seconds))
    except GatehouseError as error:
        return error.as_result()


def state(services: MemoryServices) -> tuple[str, int]:
    """Return the status and the version of what is stored."""
    stored = services.stored()
    return str(stored.status), stored.version


def background(services: MemoryServices) -> None:
    """Do what is due."""
    stored = services.stored()
    assert stored.due_at is not None
    services.now = max(services.now, float(stored.due_at))
    services.background_work.refresh_due("merchant-1", stored.version, "acme", services.deadline())


def kill(_form: dict[str, str]) -> Any:
    """End the process while the server is at work."""
    raise Killed


def test_a_killed_proof_is_an_interrupted_attempt_that_the_background_goes_on_with(services: MemoryServices) -> None:
    """Sealed and leased before anything was sent: when the lease has lapsed the token is tried once more."""
    # given
    services.server.answers = [kill]
    with pytest.raises(Killed):
        take(services)
    killed, sent = services.stored(), len(services.server.requests)

    # when
    repeated = take(services)
    background(services)

    # then
    assert (killed.status, killed.needs) == (Status.UNCONFIRMED, None)
    assert killed.due_at is not None
    assert killed.due_at <= NOW + 33
    assert repeated == {"connection_id": "merchant-1", "status": "unconfirmed", "version": 1}
    assert sent == 1
    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert state(services) == ("active", 2)


def test_a_killed_proof_that_is_refused_then_says_that_it_was_interrupted(services: MemoryServices) -> None:
    """The server may have replaced the refresh token: nobody looks at it again, and other tokens may be imported."""
    services.server.answers = [kill, REFUSED]
    with pytest.raises(Killed):
        take(services)

    background(services)
    refused = take(services)
    other = take(services, refresh_token="RT-1b")

    assert refused["error"] == "reauthorization_required"
    assert "interrupted" in refused["error_description"]
    assert other["status"] == "active"
    assert [each.place for each in services.stored().sets] == [Place.CURRENT]


def test_a_caller_waits_for_the_proof_that_is_under_way(services: MemoryServices) -> None:
    """`token` gets what the proof brings; nobody sends a second request, and nothing imported is vended."""
    vended: list[dict[str, Any]] = []

    def asked_meanwhile(form: dict[str, str]) -> Any:
        vended.append(services.token(seconds=3.0, min_ttl=0))
        return services.server.issue(form)

    services.server.answers = [asked_meanwhile]

    answered = take(services, access_token="AT-1")

    assert answered["status"] == "active"
    assert vended[0]["error"] == "temporarily_unavailable"
    assert services.token()["access_token"] == "AT-2"
    assert services.server.refresh_tokens == ["RT-1"]


def test_without_a_slot_it_is_stored_and_left_to_the_background(services: MemoryServices) -> None:
    """A provider that takes one request at a time is at work: that was no attempt, and is tried in its turn."""
    # given
    one_at_a_time = registration(max_concurrency=1)
    services.registrations.known["acme"] = one_at_a_time
    with services.client.in_slot(one_at_a_time, services.deadline(), services.now + 1):
        # when
        answered = take(services)

    # then
    held = services.stored().require_current()
    assert answered["status"] == "unconfirmed"
    assert (held.attempts, held.lease) == (0, None)
    assert services.server.requests == []
    background(services)
    assert state(services) == ("active", 2)


def test_a_proof_that_times_out_is_not_tried_while_the_server_may_be_at_work(services: MemoryServices) -> None:
    """The lease goes on; then the background tries again."""
    services.server.answers = [ProviderTimedOut("No answer.")]

    answered = take(services)
    waiting = services.token(seconds=2.0)
    background(services)

    assert answered["status"] == "unconfirmed"
    assert waiting["retryable"] is True
    assert len(services.server.refresh_tokens) == 2
    assert state(services) == ("active", 2)


@pytest.mark.parametrize("write", ["create", "change"])
def test_an_outage_of_the_table_is_said_or_made_good(services: MemoryServices, write: str) -> None:
    """Before the import is stored nothing is sent; after the answer it goes to the queue, and is rescued."""
    services.events.before[write] = [down()] * 40

    answered = take(services)

    if write == "create":
        assert (answered["error"], services.server.requests) == ("temporarily_unavailable", [])
        assert services.connections.records == {}
    else:
        assert answered["status"] == "unconfirmed"
        assert len(services.rescue_queue.messages) == 1
    services.events.before.clear()
    assert take(services)["status"] == ("active" if write == "create" else "unconfirmed")


def test_with_too_little_time_nothing_is_begun(services: MemoryServices) -> None:
    """No request would end in time, so nothing is stored either."""
    answered = take(services, seconds=14.0)

    assert (answered["error"], answered["retryable"]) == ("temporarily_unavailable", True)
    assert (services.connections.records, services.server.requests) == ({}, [])


def test_whoever_is_first_is_imported(services: MemoryServices) -> None:
    """Another import, or a consent, was written meanwhile: the second is refused, and has sent nothing."""
    services.events.before["create"] = [services.connect]

    answered = take(services)

    assert answered["error"] == "invalid_request"
    assert services.server.requests == []
    assert services.stored().authorized_by == "request-1"


def test_an_id_that_changes_all_the_time_is_given_up_in_time(services: MemoryServices) -> None:
    """Others write to a connection without tokens again and again."""
    services.server.answers = [REFUSED]
    take(services)

    def slow_conflict() -> None:
        services.now += 9.0
        raise Conflict

    services.events.before["change"] = [slow_conflict] * 3
    services.events.before["get"] = []

    answered = take(services, refresh_token="RT-2")

    assert answered["error"] == "temporarily_unavailable"


def test_a_revoked_connection_takes_another_import(services: MemoryServices) -> None:
    """It is free, for another owner too; its counts go on."""
    services.connect()
    services.revoke()
    revoked = services.stored()

    answered = take(services, refresh_token="RT-9", owner="owner-9")

    stored = services.stored()
    assert revoked.status is Status.REVOKED
    assert answered == {"connection_id": "merchant-1", "status": "active", "version": 3}
    assert (stored.owner, stored.revocations) == ("owner-9", revoked.revocations)
    assert stored.changes > revoked.changes


def test_a_connection_that_is_being_revoked_takes_none(services: MemoryServices) -> None:
    """Its tokens may be of the same grant."""
    services.connect()
    services.server.answers = [answer("", 503)] * 9
    assert services.revoke() == "revoking"

    answered = take(services, refresh_token="RT-9")

    assert answered["error"] == "invalid_request"
    assert "wait until its status is revoked" in answered["error_description"]


def test_the_account_is_asked_for_once_it_is_proved(services: MemoryServices) -> None:
    """The import names none, and the provider has an endpoint for it; if it names one nobody is asked."""
    asks = registration(account_endpoint="https://acme.example/me", subject="sub")
    services.registrations.known["acme"] = asks

    take(services)
    before = services.stored()
    services.server.answers = [answer('{"sub": "account-1"}')]
    background(services)
    take(services, connection_id="merchant-2", subject="account-2")

    assert (before.subject, before.status) == (None, Status.ACTIVE)
    assert services.stored().subject == "account-1"
    named = services.stored("merchant-2")
    assert (named.subject, named.require_current().account_at) == ("account-2", None)
