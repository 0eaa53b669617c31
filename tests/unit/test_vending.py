"""A token for every caller: what is sent, what is stored and what is vended when things go wrong halfway."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    AnswerMayCome,
    ConnectionNotFound,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnavailable,
    TemporarilyUnavailable,
)
from functions.vault.base.narrowing import Narrowing
from functions.vault.base.timing import (
    AFTER_HTTP,
    LEASE_MARGIN,
    LONGEST_CALL,
    QUEUE_SPEAKS_FOR,
    RESCUED_WITHIN,
    RESERVE,
    SETTLE,
    SHORTEST_REQUEST,
)
from functions.vault.grant import refreshes, revocations
from functions.vault.grant.life import Status
from functions.vault.grant.seal import Whose
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import NOW, answer, registration, with_current
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.lease import Lease

INVALID_GRANT = answer('{"error":"invalid_grant"}', 400)
THROTTLED = answer("", 429)
SOURCE = RefreshedFrom("set-1", 1)
"""The first attempt with the token set that the services connect with."""

NO_PLACE = ProviderUnavailable("It cannot be reached.")


def lost() -> ProviderUnavailable:
    """Return the failure of a request that may have arrived."""
    return ProviderUnavailable("The connection broke.", outcome_unknown=True)


def silent() -> ProviderTimedOut:
    """Return the failure of a request that the server may be at work on still."""
    return ProviderTimedOut("It did not answer in time.")


@pytest.fixture
def services() -> MemoryServices:
    """Give services with a connection whose access token has expired an hour ago."""
    made = MemoryServices()
    made.connect()
    made.pass_time(7200)()
    return made


@pytest.fixture
def due(services: MemoryServices) -> MemoryServices:
    """Give services with a connection whose access token lives two minutes more, and so is in its margin."""
    services.now = NOW + 3600 - 120
    return services


def refreshed_from(services: MemoryServices) -> RefreshedFrom | None:
    """Return what the stored token set was refreshed from."""
    current = services.stored().current
    return current.refreshed_from if current else None


def replaying(services: MemoryServices, seconds: int = 30) -> None:
    """Let the provider be one that repeats a lost answer."""
    services.registrations.known["acme"] = registration(refresh_token_replay_seconds=seconds)


def lapsed(services: MemoryServices) -> Connection:
    """Let an attempt with the refresh token have vanished without a word."""
    held = refreshes.leased(services.stored(), "holder-0", services.now - 1, services.now - 30)
    services.connections.records["merchant-1"] = held
    return held


# As it should be


def test_a_refresh_claims_then_seals_then_asks_then_commits(services: MemoryServices) -> None:
    """In this order: who does not get the lease has cost neither KMS nor the server anything."""
    result = services.token()

    assert services.events.calls == ["get", "registration", "change", "decrypt", "data_key", "http", "change", "note"]
    assert (result["access_token"], result["version"]) == ("AT-2", 2)
    assert services.tokens() == TokenSet("AT-2", "RT-2")
    assert (services.stored().lease, refreshed_from(services)) == (None, RefreshedFrom("set-1", 1))


def test_a_refresh_is_noted_for_the_other_connections_of_the_client(services: MemoryServices) -> None:
    """Theirs are refused, perhaps; that this one was answered says whose fault it is."""
    services.token()

    assert services.shared.refreshed == {("acme", "client-1"): int(services.now)}


def test_who_comes_second_waits_for_the_first_and_asks_nobody(services: MemoryServices) -> None:
    """He read the record before the lease was taken, and finds it taken when he tries."""
    before = services.stored()
    other = refreshes.leased(before, "holder-9", services.now + 20, services.now)

    def is_taken() -> None:
        services.connections.records["merchant-1"] = other

    def is_done() -> None:
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2)
        services.connections.records["merchant-1"] = refreshes.refreshed(
            other, tokens, SOURCE, "holder-9", services.now
        )

    services.events.before["change"] = [is_taken]
    services.events.before["sleep"] = [None, None, is_done]

    result = services.token()

    assert (result["access_token"], result["version"]) == ("AT-9", 2)
    assert services.server.requests == []


def test_a_caller_gets_all_that_it_needs_to_use_the_token_and_nothing_else() -> None:
    """The contract of `token`, field by field; never a refresh token."""
    services = MemoryServices()
    services.connect()
    known = replace(services.stored(), subject="account-1", metadata={"api": "eu"})
    services.connections.records["merchant-1"] = known

    assert services.token() == {
        "connection_id": "merchant-1",
        "provider": "acme",
        "access_token": "AT-1",
        "token_type": "Bearer",
        "expires_at": NOW + 3600,
        "scope": "read",
        "version": 1,
        "subject": "account-1",
        "metadata": {"api": "eu"},
    }


def test_a_token_that_lives_for_a_moment_is_vended_to_who_asked_for_it(services: MemoryServices) -> None:
    """It has run out by the time it is stored: to ask again would bring another one of the kind."""
    services.server.answers = [answer('{"access_token":"AT-2","refresh_token":"RT-2","expires_in":1}')]
    services.events.after["http"] = [services.pass_time(2)]

    result = services.token()

    assert (result["access_token"], len(services.server.requests)) == ("AT-2", 1)


def test_who_has_enough_waits_for_nobody(due: MemoryServices) -> None:
    """Another call is refreshing, early; the stored token is still good for as long as this call needs it."""
    due.connections.records["merchant-1"] = refreshes.leased(due.stored(), "holder-9", due.now + 20, due.now)

    result = due.token()

    assert (result["access_token"], result["version"], due.slept) == ("AT-1", 1, [])


def test_who_waits_for_a_token_that_has_run_out_when_it_comes_refreshes_it(services: MemoryServices) -> None:
    """The other's answer was stored so late that nobody can use it."""
    other = refreshes.leased(services.stored(), "holder-9", services.now + 20, services.now)
    services.connections.records["merchant-1"] = other

    def is_done() -> None:
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2, expires_at=int(services.now) - 1)
        services.connections.records["merchant-1"] = refreshes.refreshed(
            other, tokens, SOURCE, "holder-9", services.now
        )

    services.events.before["sleep"] = [is_done]

    result = services.token()

    assert (result["version"], services.server.refresh_tokens) == (3, ["RT-9"])


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0, 2.0, 9.0])
def test_who_waits_sees_the_result_within_a_third_of_the_time_it_has_waited(
    services: MemoryServices, seconds: float
) -> None:
    """And reads three times a second at most when it has waited for long, as a thousand others may do beside it."""
    other = refreshes.leased(services.stored(), "holder-9", services.now + 20, services.now)
    services.connections.records["merchant-1"] = other
    began = services.now

    def is_done() -> None:
        if services.now < began + seconds:
            return
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2, expires_at=int(services.now) + 3600)
        services.connections.records["merchant-1"] = refreshes.refreshed(
            other, tokens, SOURCE, "holder-9", services.now
        )

    services.events.before["get"] = [None, *[is_done] * 1000]

    assert services.token()["access_token"] == "AT-9"

    assert services.now - began - seconds <= seconds / 3 + 0.02
    assert services.events.calls.count("get") <= 12 + 3 * seconds


def test_those_who_wait_do_not_all_read_at_once(services: MemoryServices) -> None:
    """By chance each pauses for half of the time or all of it, or for anything between."""
    services.connections.records["merchant-1"] = refreshes.leased(
        services.stored(), "holder-9", services.now + 40, services.now
    )
    pauses = []
    for chance in (0.0, 0.5, 1.0):
        services.slept.clear()
        timing = replace(services.timing, jitter=partial(float, chance))
        with pytest.raises(TemporarilyUnavailable):
            replace(services.vending, timing=timing).token("merchant-1", 60, services.deadline(3.0))
        pauses.append(services.slept[0])
        services.now -= sum(services.slept)

    assert pauses[0] == pauses[2] / 2
    assert pauses[1] == (pauses[0] + pauses[2]) / 2


def test_who_has_waited_in_vain_is_answered_while_there_is_time_for_it(services: MemoryServices) -> None:
    """Half a second before its time is up, or a little earlier; and may come again at once."""
    services.connections.records["merchant-1"] = refreshes.leased(
        services.stored(), "holder-9", services.now + 40, services.now
    )
    ends_at = services.now + 10

    result = services.token(seconds=10)

    assert (result["error"], result["retry_after"]) == ("temporarily_unavailable", 1)
    assert result["connection_id"] == "merchant-1"
    assert 0.5 <= ends_at - services.now < 1


@pytest.mark.parametrize("throttled", [1, 5])
def test_who_waits_goes_on_waiting_if_the_table_throttles(services: MemoryServices, throttled: int) -> None:
    """So many may wait for one record that DynamoDB does not answer all of them: the next look will do."""
    other = refreshes.leased(services.stored(), "holder-9", services.now + 20, services.now)
    services.connections.records["merchant-1"] = other

    def is_done() -> None:
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2, expires_at=int(services.now) + 3600)
        services.connections.records["merchant-1"] = refreshes.refreshed(
            other, tokens, SOURCE, "holder-9", services.now
        )

    services.events.before["get"] = [None, *[down()] * throttled, is_done]

    result = services.token()

    assert (result["access_token"], result["version"]) == ("AT-9", 2)
    assert services.events.calls.count("get") == throttled + 2
    assert services.server.requests == []


def test_who_waits_gets_an_outage_before_its_time_is_up(services: MemoryServices) -> None:
    """A table that does not come back is a retryable failure, answered while there is time for it."""
    services.connections.records["merchant-1"] = refreshes.leased(
        services.stored(), "holder-9", services.now + 40, services.now
    )
    services.events.before["get"] = [None, *[down()] * 1000]

    began, result = services.now, services.token()

    assert (result["error"], result["retryable"]) == ("temporarily_unavailable", True)
    assert 15 < services.now - began < 29
    assert services.server.requests == []


# Time


@pytest.mark.parametrize("where", ["change", "decrypt", "data_key"])
@pytest.mark.parametrize("seconds", [1.0, 4.0, 6.0])
def test_what_was_slow_before_the_request_shortens_it(services: MemoryServices, where: str, seconds: float) -> None:
    """It ends within this call's time and within the lease, whatever the claim and KMS have used up of both."""
    ends_at = services.now + 29
    seen: list[tuple[float, int]] = []

    def look() -> None:
        lease = services.stored().lease
        assert lease is not None
        seen.append((services.now, lease.until))

    services.events.before[where] = [services.pass_time(seconds)]
    services.events.before["http"] = [look]

    assert services.token()["version"] == 2

    ((sent_at, until),) = seen
    (timeout,) = services.server.timeouts
    assert timeout >= SHORTEST_REQUEST
    assert sent_at + timeout <= min(ends_at - RESERVE, until - AFTER_HTTP)


@pytest.mark.parametrize("where", ["change", "decrypt", "data_key"])
def test_a_claim_that_was_too_slow_is_given_back(services: MemoryServices, where: str) -> None:
    """Nothing is sent, nothing is recorded as a failure, and the next caller need not wait for the lease to lapse."""
    services.events.before[where] = [services.pass_time(29 - RESERVE)]

    result = services.token()

    assert (result["error"], result["retryable"]) == ("temporarily_unavailable", True)
    assert services.server.requests == []
    assert (services.stored().lease, services.stored().failure) == (None, None)
    services.slept.clear()
    assert services.token()["version"] == 2
    assert services.slept == []


@pytest.mark.parametrize("seconds", [RESERVE, RESERVE + SHORTEST_REQUEST - 0.1])
def test_with_too_little_time_nothing_is_begun(services: MemoryServices, seconds: float) -> None:
    """Not even the lease is taken."""
    result = services.token(seconds=seconds)

    assert result["error"] == "temporarily_unavailable"
    assert services.events.calls == ["get", "registration", "get"]


# Before the request


def test_an_outage_of_kms_is_shared_and_sends_nothing(services: MemoryServices) -> None:
    """It is a failure like any other, with its delay: a thousand callers do not ask KMS a thousand times."""
    services.events.before["data_key"] = [down()]

    first = services.token()
    again = [services.token() for _ in range(3)]

    assert [result["error"] for result in (first, *again)] == ["temporarily_unavailable"] * 4
    assert (services.server.requests, services.stored().lease) == ([], None)
    assert services.events.calls.count("data_key") == 1
    assert not services.stored().was_interrupted
    services.pass_time(10)()
    assert services.token()["version"] == 2


def test_a_right_that_is_missing_does_not_hold_the_lease(services: MemoryServices) -> None:
    """The defect is raised, nothing was sent, and whoever comes next need not wait to meet it in turn."""
    services.events.before["data_key"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        services.token()

    assert (services.server.requests, services.stored().lease, services.stored().was_interrupted) == ([], None, False)


def test_an_outage_of_the_registration_takes_no_lease(services: MemoryServices) -> None:
    """The caller may come again; nothing was written."""
    services.events.before["registration"] = [ProviderUnavailable("No metadata.", retry_after=5)]
    before = services.stored()

    result = services.token()

    assert (result["error"], result["retry_after"]) == ("provider_unavailable", 5)
    assert result["connection_id"] == "merchant-1"
    assert services.stored() == before


def test_nothing_is_vended_that_was_revoked_while_a_failure_came(due: MemoryServices) -> None:
    """The token that was read is still good for two minutes; but before the failure was known, `revoke` returned."""

    def revoked_meanwhile() -> None:
        assert due.revoke() == "revoked"
        raise ProviderUnavailable("No metadata.")

    due.events.before["registration"] = [revoked_meanwhile]

    assert due.token()["error"] == "connection_revoked"


@pytest.mark.parametrize(
    "failure", [lost(), NO_PLACE, THROTTLED, answer("", 503), answer('{"error":"invalid_client"}', 401)]
)
def test_what_is_still_good_is_vended_through_any_failure(due: MemoryServices, failure: Any) -> None:
    """Refreshing early is an offer. While the failure is in force nobody asks the server again."""
    due.server.answers = [failure]

    vended = [due.token() for _ in range(3)]

    assert {(result["access_token"], result["version"]) for result in vended} == {("AT-1", 1)}
    assert len(due.server.requests) == 1


def test_what_is_too_short_is_refused_while_a_failure_is_in_force(due: MemoryServices) -> None:
    """A caller who needs more than is left gets the failure, with the wait; and when that is over, a new token."""
    due.server.answers = [answer("", 429, retry_after="60")]
    first = due.token(min_ttl=300)

    due.pass_time(30)()
    second = due.token(min_ttl=300)
    due.pass_time(30)()

    assert [(result["error"], result["retry_after"]) for result in (first, second)] == [
        ("provider_throttled", 60),
        ("provider_throttled", 30),
    ]
    assert due.token(min_ttl=300)["version"] == 2
    assert due.stored().failure is None


def test_who_needs_a_token_asks_though_it_was_offered_in_vain(due: MemoryServices) -> None:
    """Its pause is over for a caller that needs more than is left, and whose answer has the next pause, a first one."""
    due.server.answers = [NO_PLACE, NO_PLACE, NO_PLACE]
    for _ in range(2):
        assert due.token()["version"] == 1
        due.pass_time(6)()

    needing = due.token(min_ttl=300)
    again = due.token(min_ttl=300)

    assert [(each["error"], each["retry_after"]) for each in (needing, again)] == [("provider_unavailable", 5)] * 2
    assert {each["connection_id"] for each in (needing, again)} == {"merchant-1"}
    assert len(due.server.requests) == 3
    due.pass_time(5)()
    assert due.token(min_ttl=300)["version"] == 2


def test_a_pause_after_work_in_the_background_keeps_no_caller_waiting(services: MemoryServices) -> None:
    """Nobody waited for its outcome, so it has grown for nobody; but it holds for work in the background."""
    services.server.answers = [NO_PLACE]

    kept = [services.vending.refresh_due("merchant-1", 1, services.deadline()) for _ in range(2)]
    asked = len(services.server.requests)

    assert [each and each.code for each in kept] == ["provider_unavailable"] * 2
    assert (asked, services.token()["version"]) == (1, 2)


def test_a_time_that_the_server_named_holds_for_who_needs_a_token(due: MemoryServices) -> None:
    """It failed while the old token was good; nobody asks it before the time that it has named."""
    due.server.answers = [answer("", 503, retry_after="100")]
    assert due.token()["version"] == 1

    due.pass_time(70)()
    refused = due.token()

    assert (refused["error"], refused["retry_after"], len(due.server.requests)) == ("provider_unavailable", 30, 1)
    due.pass_time(30)()
    assert due.token()["version"] == 2


# A lost answer


def test_a_lost_answer_is_asked_for_again_if_the_server_repeats_it(services: MemoryServices) -> None:
    """On the same lease, with the same refresh token, at once: the loss costs nobody anything."""
    replaying(services)
    services.server.answers = [lost()]

    result = services.token()

    assert (result["version"], services.tokens()) == (2, TokenSet("AT-2", "RT-2"))
    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert refreshed_from(services) == RefreshedFrom("set-1", 1)
    assert not services.stored().was_interrupted


def test_a_lost_answer_is_asked_for_again_if_refresh_tokens_are_not_replaced(services: MemoryServices) -> None:
    """A server that does not rotate them has nothing to detect: the same token gets another answer."""
    services.registrations.known["acme"] = registration(refresh_token_rotation=False)
    services.server.answers = [lost()]

    result = services.token()

    assert (result["version"], services.server.refresh_tokens) == (2, ["RT-1", "RT-1"])


def test_without_a_replay_window_it_is_asked_once(services: MemoryServices) -> None:
    """A server that detects reuse would end the grant: the unknown outcome is recorded, and the server left alone."""
    services.server.answers = [lost()]

    result = services.token()

    assert result["error"] == "provider_unavailable"
    assert services.server.refresh_tokens == ["RT-1"]
    assert services.stored().was_interrupted


@pytest.mark.parametrize("failure", [NO_PLACE, THROTTLED, answer('{"error":"invalid_client"}', 401)])
def test_what_surely_had_no_effect_is_not_asked_again_at_once(services: MemoryServices, failure: Any) -> None:
    """There is no answer to repeat; the failure counts, with its delay."""
    replaying(services)
    services.server.answers = [failure]

    services.token()

    assert len(services.server.requests) == 1
    assert services.stored().failure is not None
    assert not services.stored().was_interrupted


def test_a_second_loss_is_for_the_next_one(services: MemoryServices) -> None:
    """It is not asked a third time; what is unknown is recorded."""
    replaying(services)
    services.server.answers = [lost(), lost()]

    result = services.token()

    assert (result["error"], len(services.server.requests)) == ("provider_unavailable", 2)
    assert services.stored().was_interrupted


@pytest.mark.parametrize(
    ("provider", "seconds"),
    [
        pytest.param({}, 32, id="a server that rotates"),
        pytest.param({"refresh_token_rotation": False}, 32, id="a server that does not"),
        pytest.param({"refresh_token_replay_seconds": 60}, 30, id="one that repeats its answers for a minute"),
        pytest.param({"refresh_token_replay_seconds": 20}, 10, id="one that repeats them for twenty seconds"),
    ],
)
def test_no_request_of_ours_meets_an_earlier_one_at_work(
    services: MemoryServices, provider: dict[str, Any], seconds: int
) -> None:
    """After a time-out the server may be at work still: until the lease lapses nobody asks it with this token set.

    If it repeats answers, the next request comes while it would. The answers say when that is, and nobody waits.
    """
    services.registrations.known["acme"] = registration(**provider)
    services.server.answers = [silent()]

    first = services.token()
    services.pass_time(seconds - 1)()
    again = [services.token(), services.refresh(), services.token(min_ttl=0)]

    assert [each["error"] for each in (first, *again)] == ["provider_unavailable"] * 4
    assert [each["retry_after"] for each in (first, *again)] == [seconds, 1, 1, 1]
    assert (services.server.refresh_tokens, services.slept) == (["RT-1"], [])
    services.pass_time(1)()
    assert (services.token()["version"], services.server.refresh_tokens) == (2, ["RT-1", "RT-1"])
    assert services.slept == []


def test_a_good_token_is_vended_after_a_time_out(due: MemoryServices) -> None:
    """The request was an offer, and nobody waits for the lease that it leaves."""
    due.server.answers = [silent()]

    vended = [due.token() for _ in range(3)]

    assert {each["version"] for each in vended} == {1}
    assert (len(due.server.requests), due.slept) == (1, [])


def test_a_time_out_after_a_loss_is_one(services: MemoryServices) -> None:
    """The second request of an attempt may be at work as well as a first one."""
    replaying(services, 60)
    services.server.answers = [lost(), silent()]

    first = services.token()
    services.pass_time(20)()

    assert (first["retry_after"], services.token()["error"]) == (31, "provider_unavailable")
    assert len(services.server.requests) == 2
    assert services.stored().was_interrupted


def test_a_dead_grant_after_a_loss_says_what_came_before(services: MemoryServices) -> None:
    """The operator learns that a lost answer may have ended it, and that the window was too short."""
    replaying(services)
    services.server.answers = [lost(), INVALID_GRANT]

    result = services.token()

    assert result["error"] == "reauthorization_required"
    assert "An earlier refresh was interrupted" in result["error_description"]
    assert services.stored().status is Status.REAUTHORIZATION_REQUIRED


def test_a_server_that_is_at_work_on_the_lost_request_has_ended_nothing(services: MemoryServices) -> None:
    """Asked again while it is, it says so in the words of a dead grant; what the first request did stays unknown."""
    rules = ({"words": ["already being processed"], "means": "busy"},)
    services.registrations.known["acme"] = registration(refresh_token_rotation=False, refusals=rules)
    at_work = '{"error":"invalid_grant","error_description":"token request is already being processed"}'
    services.server.answers = [lost(), answer(at_work, 400)]

    result = services.token()

    assert (result["error"], result["retryable"]) == ("provider_unavailable", True)
    assert services.stored().status is Status.ACTIVE
    assert services.stored().was_interrupted
    services.pass_time(result["retry_after"])()
    assert services.token()["version"] == 2


@pytest.mark.parametrize("body", ["", '{"error":"something_new"}', '{"error":"invalid_request"}'])
def test_a_refusal_that_nobody_knows_ends_nothing(services: MemoryServices, body: str) -> None:
    """It may pass: the server is asked again, later and later, and the record has its words."""
    services.server.answers = [answer(body, 400)] * 2

    first = services.token()
    services.pass_time(first["retry_after"])()
    second = services.token()
    services.pass_time(second["retry_after"])()

    assert [(each["error"], each["retryable"]) for each in (first, second)] == [("provider_unavailable", True)] * 2
    assert second["retry_after"] > first["retry_after"]
    assert services.token()["version"] == 2


def refused_for_long(services: MemoryServices, hours: float, times: int) -> list[str]:
    """Have a refresh refused so often, over so many hours, for a reason that nobody knows; return the errors."""
    unknown = answer('{"error":"invalid_request","error_description":"Something."}', 400)
    said = []
    for _ in range(times):
        services.server.answers = [unknown]
        said.append(services.token()["error"])
        services.pass_time(hours * 3600 / (times - 1))()
    services.pass_time(-hours * 3600 / (times - 1))()
    return said


@pytest.mark.parametrize(("hours", "times"), [(23.9, 20), (200, 9)])
def test_a_refusal_that_nobody_knows_may_pass_for_a_day_and_ten_attempts(
    services: MemoryServices, hours: float, times: int
) -> None:
    """Until both are over, it is retryable, whatever is known of others."""
    services.shared.refreshed["acme", "client-1"] = 10**10

    assert set(refused_for_long(services, hours, times)) == {"provider_unavailable"}
    assert services.stored().needs is None


def test_a_lasting_refusal_is_the_end_of_the_grant_if_others_of_the_client_are_answered(
    services: MemoryServices,
) -> None:
    """The client is right, then; the customer is asked to connect again, and nobody looks at the grant any more."""
    services.shared.refreshed["acme", "client-1"] = int(services.now) + 3600

    assert refused_for_long(services, 24.1, 10)[-1] == "reauthorization_required"

    assert (services.stored().needs, services.stored().upkeep_at) == ("reauthorization", None)


@pytest.mark.parametrize("noted", [None, -10])
def test_a_lasting_refusal_is_else_the_operators_and_a_person_may_find_out(
    services: MemoryServices, noted: int | None
) -> None:
    """Nothing has been answered since the first of them; the grant stays, and a later answer heals it."""
    if noted is not None:
        services.shared.refreshed["acme", "client-1"] = int(services.now) + noted

    said = refused_for_long(services, 24.1, 10)

    assert said == ["provider_unavailable"] * 9 + ["provider_misconfigured"]
    assert (services.stored().status, services.stored().needs) == (Status.ACTIVE, "reauthorization")
    services.pass_time(400)()
    assert services.token()["version"] == 2
    assert (services.stored().failure, services.stored().needs) == (None, None)


def test_a_lasting_refusal_is_judged_when_that_can_be_known(services: MemoryServices) -> None:
    """While the table of what connections share is out, nothing changes."""
    services.events.before["last_refreshed"] = [down()]

    assert set(refused_for_long(services, 24.1, 10)) == {"provider_unavailable"}


def test_without_time_for_a_second_request_the_loss_is_the_answer(services: MemoryServices) -> None:
    """Not that the time was up: the outcome is unknown, and the record has to say so."""
    replaying(services)
    services.server.answers = [lost()]
    services.events.before["http"] = [services.pass_time(14.5)]

    result = services.token()

    assert (result["error"], len(services.server.requests)) == ("provider_unavailable", 1)
    assert services.stored().was_interrupted


@pytest.mark.parametrize(
    ("said", "status"), [(THROTTLED, Status.ACTIVE), (INVALID_GRANT, Status.REAUTHORIZATION_REQUIRED)]
)
def test_what_an_attempt_came_to_is_written_over_what_does_not_concern_it(
    services: MemoryServices, said: Any, status: Status
) -> None:
    """A sweep, say, writes the record meanwhile: the lease and the token set are what decides, and both are ours."""
    services.server.answers = [said]
    postponed = services.stored().due_shard

    def sweep() -> None:
        (due,) = next(services.connections.due(str(postponed), NOW + 10**9, 10))
        services.connections.postpone(due, NOW + 10**6)

    services.events.after["http"] = [sweep]

    services.token()

    stored = services.stored()
    assert (stored.status, stored.lease, stored.failure and stored.failure.count) == (status, None, 1)
    assert stored.upkeep_at == NOW + (10**6 if status is Status.ACTIVE else 7200 + 300)


# Sealed before


def sealed_before(services: MemoryServices) -> None:
    """Let the stored tokens be sealed in format 1, when nobody noted whose they are."""
    made = with_current(services.stored(), seal=services.sealed_before(TokenSet("AT-1", "RT-1")))
    services.connections.records["merchant-1"] = with_current(made, whose=Whose("acme", None, {"shop": "1"}))


def test_what_was_sealed_in_format_1_is_vended_and_takes_format_2_on_when_it_is_refreshed(
    services: MemoryServices,
) -> None:
    """Nothing has to be done about it; from then on it says to whom it was issued, and where."""
    sealed_before(services)
    services.now = float(NOW)
    assert services.token()["access_token"] == "AT-1"
    assert services.stored().current
    assert services.stored().current.seal.format == 1  # type: ignore[union-attr]  # as above

    services.pass_time(7200)()
    assert services.token()["access_token"] == "AT-2"

    current = services.stored().current
    assert current
    assert (current.seal.format, current.seal.key, current.seal.version) == (2, "key-1", 2)
    assert current.whose == registration().whose({"shop": "1"})
    assert (current.whose.client_id, current.whose.origins["token"]) == ("client-1", "https://acme.example")


# An attempt that vanished


def test_an_interrupted_attempts_refresh_token_is_tried_once_more(services: MemoryServices) -> None:
    """After a moment in which its answer could still come in. Many servers still take it."""
    lapsed(services)

    result = services.token()

    assert (result["version"], services.server.refresh_tokens, services.slept) == (2, ["RT-1"], [SETTLE])
    assert refreshed_from(services) == RefreshedFrom("set-1", 2)


def test_an_interrupted_attempts_answer_may_still_come_in(services: MemoryServices) -> None:
    """From the rescue queue: then nothing is sent, which might have ended the grant, and its token is vended."""
    lapsed(services)

    def rescued() -> None:
        leased = services.stored()
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2)
        tokens = replace(tokens, expires_at=int(services.now) + 3600, refresh_at=int(services.now) + 3300)
        services.connections.change(leased, refreshes.refreshed(leased, tokens, SOURCE, "holder-0", services.now))

    services.events.before["sleep"] = [rescued]

    result = services.token()

    assert (result["access_token"], services.server.requests) == ("AT-9", [])
    assert (services.stored().lease, services.stored().version) == (None, 2)


def test_while_a_response_waits_to_be_rescued_an_interrupted_one_is_not_asked_for_again(
    services: MemoryServices,
) -> None:
    """It may be that very one, and the server would take its old refresh token for stolen: the caller tries again.

    Nothing of the interruption is forgotten by that, and no answer speaks of a failing server.
    """
    lapsed(services)
    services.rescue_queue.messages.append({"body": "somebody's"})

    results = [services.token() for _ in range(3)]

    assert [(said["error"], said["retry_after"]) for said in results] == [("temporarily_unavailable", 5)] * 3
    assert services.server.requests == []
    assert (services.stored().was_interrupted, services.stored().failure) == (True, None)
    services.rescue_queue.messages.clear()
    assert (services.token()["version"], services.server.refresh_tokens) == (2, ["RT-1"])


def test_it_is_not_waited_for_for_ever(services: MemoryServices) -> None:
    """A response that nobody can rescue must not keep others from going on."""
    lapsed(services)
    services.rescue_queue.messages.append({"body": "somebody's"})
    services.token()

    services.pass_time(RESCUED_WITHIN - 10)()
    assert services.token()["error"] == "temporarily_unavailable"
    services.pass_time(10)()

    assert (services.token()["version"], services.server.refresh_tokens) == (2, ["RT-1"])


def test_background_work_waits_an_hour_for_it(services: MemoryServices) -> None:
    """Nobody needs its tokens yet: it is put off for minutes each time, with nothing sent and nothing forgotten."""
    lapsed(services)
    services.connections.records["merchant-1"] = replace(services.stored(), upkeep_at=int(services.now))
    services.rescue_queue.messages.append({"body": "somebody's"})
    began, failures = services.now, []

    while not services.server.requests:
        failures.append(services.vending.refresh_due("merchant-1", 1, services.deadline()))
        if failures[-1] is not None:
            assert services.stored().was_interrupted
            assert services.stored().failure is None
            assert services.stored().due_at == int(services.now) + 180
            services.now = float(services.stored().due_at or 0)

    assert {type(failure) for failure in failures[:-1]} == {AnswerMayCome}
    assert services.now - began >= QUEUE_SPEAKS_FOR
    assert (services.stored().version, services.server.refresh_tokens) == (2, ["RT-1"])


def test_background_work_goes_on_with_what_was_rescued(services: MemoryServices) -> None:
    """Once the answer is in the record its tokens are there, and the old refresh token is not sent again."""
    lapsed(services)
    services.rescue_queue.messages.append({"body": "ours"})
    first = services.vending.refresh_due("merchant-1", 1, services.deadline())
    stored, tokens = services.stored(), services.sealed(TokenSet("AT-9", "RT-9"), 2)
    services.connections.change(stored, refreshes.refreshed(stored, tokens, SOURCE, "holder-0", services.now))
    services.rescue_queue.messages.clear()

    second = services.vending.refresh_due("merchant-1", 1, services.deadline())

    assert (type(first), second) == (AnswerMayCome, None)
    assert (services.tokens().refresh_token, services.server.requests) == ("RT-9", [])


def test_what_is_rescued_while_the_queue_is_asked_is_found(services: MemoryServices) -> None:
    """The queue is asked first: what left it since is in the record."""
    lapsed(services)
    services.rescue_queue.messages.append({"body": "ours"})

    def rescued() -> None:
        leased = services.stored()
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2)
        tokens = replace(tokens, expires_at=int(services.now) + 3600, refresh_at=int(services.now) + 3300)
        services.connections.change(leased, refreshes.refreshed(leased, tokens, SOURCE, "holder-0", services.now))
        services.rescue_queue.messages.clear()

    services.events.after["rescue_queue_is_empty"] = [rescued]

    result = services.token()

    assert (result["access_token"], services.server.requests) == ("AT-9", [])


def test_a_queue_that_cannot_be_asked_may_hold_it(services: MemoryServices) -> None:
    """SQS is out: it is asked again by the next caller."""
    lapsed(services)
    services.events.before["rescue_queue_is_empty"] = [down()]

    assert services.token()["error"] == "temporarily_unavailable"

    assert services.server.requests == []
    assert (services.token()["version"], services.server.refresh_tokens) == (2, ["RT-1"])


def test_a_grant_that_is_dead_after_an_interruption_says_so(services: MemoryServices) -> None:
    """Only then is it concluded that the customer has to connect again."""
    lapsed(services)
    services.server.answers = [INVALID_GRANT]

    result = services.token()

    assert result["error"] == "reauthorization_required"
    assert "An earlier refresh was interrupted" in result["error_description"]


def test_an_outage_while_waiting_for_a_late_answer_does_not_hold_the_lease(services: MemoryServices) -> None:
    """Nothing was sent; what was unknown stays so, and whoever comes next need not wait for the lease to lapse."""
    lapsed(services)
    services.events.after["sleep"] = [lambda: services.events.before["get"].append(down())]

    result = services.token()

    assert (result["error"], services.server.requests) == ("temporarily_unavailable", [])
    lease = services.stored().lease
    assert lease is None or not lease.is_live(services.now)
    assert services.stored().was_interrupted


# Defects


def test_a_defect_does_not_hold_the_lease(services: MemoryServices) -> None:
    """It is raised; the others get a failure with an unknown outcome, at once, and the server is left alone."""
    services.server.answers = [RuntimeError("a defect")]

    with pytest.raises(RuntimeError):
        services.token()

    assert services.stored().lease is None
    assert services.stored().was_interrupted
    shared = services.token()
    assert (shared["error"], shared["retryable"]) == ("provider_unavailable", True)
    assert (len(services.server.requests), services.slept) == (1, [])
    services.pass_time(10)()
    assert services.token()["version"] == 2


# The commit


def test_tokens_that_are_safe_but_not_stored_are_a_retryable_failure(services: MemoryServices) -> None:
    """The caller comes again and finds them; nothing was lost, and the old token is no good any more."""
    services.events.before["change"] = [None, *(down() for _ in range(1000))]

    result = services.token()

    assert (result["error"], result["retryable"], result["retry_after"]) == ("temporarily_unavailable", True, 2)
    assert len(services.rescue_queue.messages) == 1


def test_while_they_are_on_their_way_what_is_still_good_is_vended(due: MemoryServices) -> None:
    """An outage of the table costs the caller nothing."""
    due.events.before["change"] = [None, *(down() for _ in range(1000))]

    result = due.token()

    assert (result["access_token"], result["version"]) == ("AT-1", 1)
    assert len(due.rescue_queue.messages) == 1


def test_a_failure_is_written_through_an_outage_of_the_table(services: MemoryServices) -> None:
    """The lease would keep all others waiting otherwise."""
    services.server.answers = [THROTTLED]
    services.events.before["change"] = [None, down(), down()]

    assert services.token()["error"] == "provider_throttled"

    assert services.stored().lease is None


def test_a_refusal_does_not_kill_what_a_stale_holder_has_just_stored(services: MemoryServices) -> None:
    """Its late answer came in while ours failed: `invalid_grant` is about a token set of the past."""
    lapsed(services)

    def late_answer() -> None:
        held = services.stored()
        tokens = services.sealed(TokenSet("AT-9", "RT-9"), 2)
        tokens = replace(tokens, expires_at=int(services.now) + 3600, refresh_at=int(services.now) + 3300)
        services.connections.change(
            held, refreshes.refreshed(held, tokens, RefreshedFrom("set-1", 1), "holder-0", services.now)
        )

    services.server.answers = [INVALID_GRANT]
    services.events.after["http"] = [late_answer]

    result = services.token()

    assert (result["access_token"], result["version"]) == ("AT-9", 2)
    assert (services.stored().status, services.stored().lease) == (Status.ACTIVE, None)


# Revoked meanwhile


def test_tokens_that_arrive_after_the_end_go_to_nobody_and_are_revoked(services: MemoryServices) -> None:
    """The server rotated while `revoke` ran, which waits for that: the old ones would end nothing any more."""
    services.events.before["http"] = [services.revoke]

    result = services.token()

    assert result["error"] == "connection_revoked"
    assert (services.stored().status, services.stored().revocation_due_at) == (Status.REVOKING, int(services.now))
    assert services.server.revoked == []
    assert services.revoke() == "revoked"
    assert services.server.revoked == ["RT-2", "AT-2"]
    assert services.stored().current is None


def test_a_failure_after_the_end_changes_nothing(services: MemoryServices) -> None:
    """Revoked stays revoked, whatever the refresh in flight came to; and nothing waits for that any more."""
    services.events.before["http"] = [services.revoke]
    services.server.answers = [INVALID_GRANT]

    assert services.token()["error"] == "connection_revoked"

    assert (services.stored().status, services.stored().revocation_due_at) == (Status.REVOKING, int(services.now))
    assert services.revoke() == "revoked"


# Without a refresh token


def test_a_token_that_cannot_be_refreshed_ends_with_its_time() -> None:
    """Until then it is vended; after that the connection says that it has to be started again, and nothing is sent."""
    services = MemoryServices()
    services.connect(TokenSet("AT-1"))
    bare = with_current(services.stored(), refreshable=False, refresh_at=None)
    services.connections.records["merchant-1"] = bare
    assert services.token()["access_token"] == "AT-1"

    services.pass_time(3600)()

    assert services.token()["error"] == "reauthorization_required"
    assert services.stored().status is Status.REAUTHORIZATION_REQUIRED
    assert services.server.requests == []


# In the background


def test_a_person_is_asked_before_a_token_ends_that_cannot_be_refreshed(services: MemoryServices) -> None:
    """Nothing is sent, and the token is vended to its end: at which the background says that it is over."""
    services.now = NOW
    services.connect(TokenSet("AT-1"))

    def looked_at(seconds: float) -> tuple[Any, ...]:
        services.now = NOW + seconds
        services.vending.refresh_due("merchant-1", 1, services.deadline())
        stored = services.stored()
        return stored.status, stored.needs, stored.due_at

    services.connections.records["merchant-1"] = refreshes.lease_ended(services.stored())
    assert looked_at(2699) == (Status.ACTIVE, None, NOW + 2700)
    assert looked_at(2700) == (Status.ACTIVE, "reauthorization", NOW + 3600)
    assert services.token()["access_token"] == "AT-1"
    assert looked_at(3600) == (Status.REAUTHORIZATION_REQUIRED, "reauthorization", None)
    assert services.server.requests == []


def test_the_end_of_a_refresh_token_is_announced_before_anything_is_sent(services: MemoryServices) -> None:
    """One short piece of work: what else is due comes again. For an operator who wants the server asked, it is."""
    ends_at = int(services.now) + 1000
    near = replace(with_current(services.stored(), refresh_expires_at=ends_at), ends_at=ends_at, notice_at=NOW)

    def asked(*, ask_now: bool) -> int:
        services.connections.records["merchant-1"] = near
        assert services.vending.refresh_due("merchant-1", 1, services.deadline(), ask_now=ask_now) is None
        return len(services.server.requests)

    assert (asked(ask_now=False), services.stored().notice_at) == (0, None)
    assert asked(ask_now=True) == 1


def test_each_refresh_has_a_lease_of_its_own(services: MemoryServices) -> None:
    """Two that are at work at the same time do not take each other's lease for theirs."""
    holders: list[str] = []

    def look() -> None:
        lease = services.stored().lease
        assert lease is not None
        holders.append(lease.holder)

    for _ in range(2):
        services.events.before["http"] = [look]
        services.refresh()
        services.pass_time(60)()

    assert len({each for each in holders if each}) == 2


def test_background_work_refreshes_what_is_still_at_its_version(services: MemoryServices) -> None:
    """A message that comes twice, or late, finds another version and sends nothing."""
    for _ in range(3):
        services.vending.refresh_due("merchant-1", 1, services.deadline())
        services.pass_time(60)()

    assert (services.stored().version, len(services.server.requests)) == (2, 1)


@pytest.mark.parametrize("failure", [lost(), THROTTLED, INVALID_GRANT, answer('{"error":"invalid_client"}', 401)])
def test_background_work_that_failed_is_in_the_record_and_not_in_the_queue(
    services: MemoryServices, failure: Any
) -> None:
    """The record says when it is due again; a message that came again would be a second schedule."""
    services.server.answers = [failure]

    returned = services.vending.refresh_due("merchant-1", 1, services.deadline())

    stored = services.stored().failure
    assert stored is not None
    assert returned is not None, "it is for the log, and its alarms"
    assert (returned.code, returned.connection_id) == (stored.code, "merchant-1")


def test_background_work_that_was_not_begun_comes_again(services: MemoryServices) -> None:
    """There was no time, or no AWS: the message has to stay in the queue."""
    with pytest.raises(TemporarilyUnavailable):
        services.vending.refresh_due("merchant-1", 1, services.deadline(5))
    services.events.before["get"] = [down()]
    with pytest.raises(TemporarilyUnavailable):
        services.vending.refresh_due("merchant-1", 1, services.deadline())

    assert services.server.requests == []


@pytest.mark.parametrize("gone", ["unknown", "merchant-1"])
def test_background_work_on_what_is_no_more_is_done(services: MemoryServices, gone: str) -> None:
    """Revoked meanwhile, or never there."""
    services.revoke()
    services.server.requests.clear()

    services.vending.refresh_due(gone, 1, services.deadline())

    assert services.server.requests == []


def test_a_mistake_of_the_operators_never_ends_a_connection(services: MemoryServices) -> None:
    """However often: the connection works again as soon as it is corrected."""
    for _ in range(20):
        services.server.answers = [answer('{"error":"invalid_client"}', 401)]
        assert services.token()["error"] == ProviderMisconfigured.code
        services.pass_time(400)()

    assert services.stored().status is Status.ACTIVE
    assert services.token()["version"] == 2


@pytest.mark.parametrize(("seconds", "held_for"), [(20.0, 20.0), (29.0, 29.0), (900.0, LONGEST_CALL)])
def test_the_lease_outlives_its_holder(services: MemoryServices, seconds: float, held_for: float) -> None:
    """Lambda ends the call before, however long its answer takes to store: nobody sends the same token beside it."""
    seen: list[Lease | None] = []
    services.events.before["http"] = [lambda: seen.append(services.stored().lease)]
    began = services.now

    services.token(seconds)

    (lease,) = seen
    assert lease is not None
    assert lease.until == began + held_for + LEASE_MARGIN
    assert lease.until - AFTER_HTTP >= began + services.server.timeouts[0]


# What was replaced or revoked while it was refreshed


@pytest.mark.parametrize("moved", ["revoked", "replaced"])
@pytest.mark.parametrize(
    ("said", "was_refused", "is_unknown"),
    [
        (answer('{"error":"invalid_grant"}', 400), True, False),
        (answer("", 503), False, True),
        (answer("", 429), False, False),
        (silent(), False, True),
        (TemporarilyUnavailable("No time."), False, False),
    ],
)
def test_a_refresh_in_vain_gives_its_lease_back_wherever_the_token_set_is(
    services: MemoryServices, moved: str, said: Any, *, was_refused: bool, is_unknown: bool
) -> None:
    """Else it would count as interrupted for ever: what became of it is known, and kept with the token set."""
    services.pass_time(7200)()

    def happen() -> None:
        was = services.stored()
        if moved == "revoked":
            services.connections.records["merchant-1"] = revocations.revoked(was, services.now)
        else:
            tokens = TokenSet("AT-8", "RT-8")
            services.connect(tokens, version=was.version + 1, authorized_by="request-8", before=was)

    services.events.before["http"] = [happen]
    services.server.answers = [said]

    services.token()

    (left,) = [each for each in services.stored().sets if each.seal.version == 1]
    assert left.was_refused is was_refused
    assert (left.lease is not None and left.lease.is_after_an_interruption) is is_unknown
    assert left.lease is None or not left.lease.holder


# By a narrowed path


MINE = Narrowing(owner="owner-1")


def taken_over(services: MemoryServices) -> None:
    """Let the connection have been revoked and connected again for another owner."""
    theirs = services.connect(TokenSet("AT-THEIRS", "RT-THEIRS"), owner="owner-2", version=9)
    services.connections.records["merchant-1"] = replace(theirs, changes=9)


@pytest.mark.parametrize("narrowing", [Narrowing(owner="owner-2"), Narrowing(connection_id="merchant-2")])
def test_a_call_that_is_limited_to_something_else_reads_and_does_nothing_more(
    services: MemoryServices, narrowing: Narrowing
) -> None:
    """It gets the error of a connection that does not exist, for one read of the table."""
    for vend in (services.vending.token, services.vending.refresh):
        services.events.calls.clear()

        with pytest.raises(ConnectionNotFound, match="No connection has this id"):
            vend("merchant-1", 60, services.deadline(), narrowing)

        assert services.events.calls == ["get"]


@pytest.mark.parametrize("narrowing", [MINE, Narrowing(connection_id="merchant-1")])
def test_a_call_that_is_limited_to_this_connection_gets_its_token(
    services: MemoryServices, narrowing: Narrowing
) -> None:
    """By its owner or by its id, stored or refreshed."""
    vended = services.vending.token("merchant-1", 60, services.deadline(), narrowing)
    again = services.vending.token("merchant-1", 60, services.deadline(), narrowing)
    services.pass_time(60)()
    refreshed = services.vending.refresh("merchant-1", 2, services.deadline(), narrowing)

    assert [each["access_token"] for each in (vended, again, refreshed)] == ["AT-2", "AT-2", "AT-3"]


@pytest.mark.parametrize("refreshes_now", [True, False])
def test_a_call_that_waits_gets_no_token_of_who_has_the_connection_then(
    services: MemoryServices, *, refreshes_now: bool
) -> None:
    """Its owner is looked at in each record that is read, not only in the first."""
    before, vending = services.stored(), services.vending
    services.connections.records["merchant-1"] = refreshes.leased(before, "holder-9", services.now + 20, services.now)
    services.events.before["sleep"] = [lambda: taken_over(services)]

    def vend() -> None:
        if refreshes_now:
            vending.refresh("merchant-1", None, services.deadline(), MINE)
        else:
            vending.token("merchant-1", 60, services.deadline(), MINE)

    with pytest.raises(ConnectionNotFound):
        vend()

    assert services.vending.token("merchant-1", 60, services.deadline())["access_token"] == "AT-THEIRS"


def test_a_call_whose_refresh_comes_to_nothing_looks_at_the_owner_again(services: MemoryServices) -> None:
    """What it would return instead of its own failure may be another's token by then."""
    services.server.answers.append(lost())
    services.events.before["http"] = [lambda: taken_over(services)]

    with pytest.raises(ConnectionNotFound):
        services.vending.token("merchant-1", 60, services.deadline(), MINE)
