"""Many callers, several processes, one connection: one refresh for all, and nothing that was decided is undone.

Every flow runs on an engine that is atomic by itself; where there is no Node.js for that, on the stack's own. Nothing
here depends on who is how fast: the gate holds the authorization server's answers until all who are to be there are.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.storage.registrations import KEPT
from local.demo import Faults
from tests.browser import Browser, invoke
from tests.callers import Call
from tests.engines import running_dynalite
from tests.requirements import npm_packages
from tests.unlimited import lift_the_limit, limit
from tests.world import LONGER_THAN_A_LEASE, LONGER_THAN_A_SERVER_IS_LEFT_ALONE, distinct, running_world, storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers import Answer
    from tests.world import World

MERCHANTS = ("M-FIRST", "M-SECOND")

RUNS = 2
"""Repetitions of the two storms; ``python -m benchmarks.storm`` makes twenty."""

FEW = 12
"""Callers, where it matters only that there are several in each process."""


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    """Give a world for this module's tests."""
    with ExitStack() as closing:
        endpoint = closing.enter_context(running_dynalite()) if npm_packages() else None
        yield closing.enter_context(running_world(endpoint))


@pytest.fixture
def world(running: World) -> World:
    """Give the world with a demo server that works and nothing held."""
    running.reset()
    return running


def tokens(connection_id: str, count: int) -> list[Call]:
    """Return so many calls of `token`."""
    return [Call("token", {"connection_id": connection_id})] * count


# The storms


@pytest.mark.parametrize("rotates", [False, True], ids=["kept", "rotated"])
def test_one_refresh_serves_all_who_ask_at_once(world: World, rotates: bool) -> None:  # noqa: FBT001
    """64 calls of `token` for an expired connection: one request at the token endpoint, 64 equal answers.

    (Fewer calls on the engine that takes one request after the other.) A server that rotates refresh tokens and ends
    the grant on reuse would punish a second request at once.
    """
    # given
    connection_id = world.connect()
    world.demo.put_faults(Faults(endpoint="token", rotate=rotates, reuse_detection=True))
    for run in range(1, RUNS + 1):
        world.advance(3700)

        # when
        figures, answers = storm(world, tokens(connection_id, world.crowd))

        # then
        assert figures.calls_under_way == world.crowd
        assert figures.token_requests == 1
        assert figures.outcomes == {"ok": world.crowd}
        assert figures.distinct_answers == 1
        assert answers[0].result["version"] == run + 1


def test_one_failure_is_the_answer_of_all_who_ask_at_once(world: World) -> None:
    """64 calls of `token` while the server fails: one request at the token endpoint, 64 equal failures."""
    # given
    connection_id = world.connect_expired()
    world.demo.put_faults(Faults(endpoint="token", status=503))
    for _ in range(RUNS):
        # when
        figures, _ = storm(world, tokens(connection_id, world.crowd))

        # then
        assert figures.calls_under_way == world.crowd
        assert figures.token_requests == 1
        assert figures.outcomes == {"provider_unavailable": world.crowd}
        assert figures.distinct_answers == 1
        world.advance(LONGER_THAN_A_SERVER_IS_LEFT_ALONE)

    # and when
    world.demo.reset()
    figures, _ = storm(world, tokens(connection_id, world.crowd))

    # then
    assert figures.token_requests == 1
    assert figures.outcomes == {"ok": world.crowd}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Faults(endpoint="token", drop_answer=True), "provider_unavailable"),
        (Faults(endpoint="token", html=True), "provider_unavailable"),
        (Faults(endpoint="token", status=429, retry_after=30), "provider_throttled"),
        (Faults(endpoint="token", error="invalid_client"), "provider_misconfigured"),
        (Faults(endpoint="token", error="invalid_grant"), "reauthorization_required"),
    ],
    ids=["dropped", "html", "throttled", "invalid_client", "invalid_grant"],
)
def test_every_kind_of_failure_is_shared(world: World, fault: Faults, error: str) -> None:
    """Whatever the one request comes to, all who asked with it get the same, and nobody tries again."""
    # given
    connection_id = world.connect_expired()
    world.demo.put_faults(fault)

    # when
    figures, answers = storm(world, tokens(connection_id, FEW))

    # then
    assert figures.token_requests == 1
    assert figures.outcomes == {error: FEW}
    assert len(distinct(answers)) == 1


def test_a_waiting_caller_shares_the_failure_however_late_it_learns_of_it(world: World) -> None:
    """Callers that were suspended while they waited get what the others got, and do not begin an attempt."""
    # given
    connection_id = world.connect_expired()
    world.demo.put_faults(Faults(endpoint="token", status=503))
    world.gate.hold("refresh_token")
    prompt = world.callers.begin(tokens(connection_id, 16), among=[0, 1])
    world.gate.wait_for(1)
    late = world.callers.begin(tokens(connection_id, 16), among=[2, 3])
    world.callers.wait_until_deciding(16)
    world.callers.suspend(2)
    world.callers.suspend(3)

    # when
    world.gate.open()
    prompt_answers = prompt.answers()
    world.advance(LONGER_THAN_A_SERVER_IS_LEFT_ALONE)
    world.callers.resume(2)
    world.callers.resume(3)
    late_answers = late.answers()

    # then
    assert len(distinct([*prompt_answers, *late_answers])) == 1
    assert world.token_requests() == 1


def test_nobody_waits_while_the_token_is_still_good(world: World) -> None:
    """In the soft margin one caller refreshes; all others get the current token before the slow server has answered."""
    # given
    connection_id = world.connect()
    world.advance(3400)
    world.gate.hold("refresh_token")
    refreshing = world.callers.begin(tokens(connection_id, 1), among=[0])
    world.gate.wait_for(1)

    # when
    served = world.callers.begin(tokens(connection_id, FEW), among=[1, 2, 3]).answers()
    world.gate.open()
    refreshed = refreshing.answers()

    # then
    assert [answer.result["version"] for answer in served] == [1] * FEW
    assert [answer.result["version"] for answer in refreshed] == [2]
    assert world.token_requests() == 1


# refresh


def test_refresh_with_a_version_happens_once(world: World) -> None:
    """32 callers of one refused token: one request at the token endpoint, one version more, equal answers."""
    # given
    connection_id = world.connect()
    world.advance(JUST_OBTAINED)
    calls = [Call("refresh", {"connection_id": connection_id, "if_version": 1})] * (world.crowd // 2)

    # when
    figures, answers = storm(world, calls)
    late = world.callers.at_once(calls)

    # then
    assert figures.token_requests == 1
    assert {answer.result["version"] for answer in answers} == {2}
    assert distinct(answers) == distinct(late)
    assert world.token_requests() == 1


def test_refresh_without_a_version_happens_once_for_all_who_ask_at_once(world: World) -> None:
    """32 callers want a fresh token at once and share one; who asks in the next ten seconds gets the same."""
    # given
    connection_id = world.connect()
    world.advance(JUST_OBTAINED)
    call = Call("refresh", {"connection_id": connection_id})

    # when
    figures, answers = storm(world, [call] * (world.crowd // 2))
    (soon,) = world.callers.at_once([call])
    world.advance(JUST_OBTAINED)
    (later,) = world.callers.at_once([call])

    # then
    assert figures.token_requests == 1
    assert len(distinct(answers)) == 1
    assert [answer.result["version"] for answer in (answers[0], soon, later)] == [2, 2, 3]


def test_refreshes_of_a_grant_never_overlap(world: World) -> None:
    """Callers that refresh again and again, at a server that ends the grant on a reused token: one after the other."""
    # given
    connection_id = world.connect()
    world.demo.put_faults(Faults(endpoint="token", rotate=True, reuse_detection=True))

    # when
    answers: list[Answer] = []
    for _ in range(5):
        world.advance(JUST_OBTAINED)
        answers += world.callers.at_once([Call("refresh", {"connection_id": connection_id})] * 8)

    # then
    assert Counter(answer.outcome for answer in answers) == {"ok": 40}
    assert world.most_at_once() == 1
    assert (world.connection(connection_id)["version"], world.token_requests()) == (6, 5)


# An import


def test_one_import_that_is_made_often_at_once_is_proved_once(world: World) -> None:
    """Equal imports in several processes, and callers of `token` among them: one is stored, and one refresh sent.

    The server rotates refresh tokens and ends the grant on reuse: a second request would end it.
    """
    # given
    world.demo.put_faults(Faults(endpoint="token", rotate=True, reuse_detection=True))
    known = set(world.demo.secrets().get("refresh_token", []))
    Browser(world.stack).connect(connection_id=world.new_id())
    (refresh_token,) = set(world.demo.secrets()["refresh_token"]) - known
    connection_id, before = world.new_id(), world.token_requests()
    brought = {"provider": "ultracart", "connection_id": connection_id, "refresh_token": refresh_token}
    world.gate.hold("refresh_token")

    # when
    volley = world.callers.begin([Call("import_connection", brought)] * (world.crowd // 4), among=(0, 1))
    world.gate.wait_for(1)
    asking = world.callers.begin(tokens(connection_id, 4), among=(2, 3))
    world.gate.open()
    answers, vended = volley.answers(), asking.answers()

    # then
    assert world.token_requests() - before == 1
    assert Counter(answer.outcome for answer in (*answers, *vended)) == {"ok": world.crowd // 4 + 4}
    statuses = {(answer.result["status"], answer.result["version"]) for answer in answers}
    assert statuses <= {("active", 2), ("unconfirmed", 1)}
    assert ("active", 2) in statuses
    assert {answer.result["version"] for answer in vended} == {2}
    assert world.connection(connection_id)["status"] == "active"


# The callback


def test_one_code_is_exchanged_once(world: World) -> None:
    """One callback arrives 16 times at once in several processes: one exchange, and everybody sees the connection."""
    # given
    started = world.start()
    event = world.callback_event(started)
    world.gate.hold("authorization_code")

    # when
    volley = world.callers.begin([Call("callback", event)] * 16)
    world.callers.wait_until_deciding(16)
    world.gate.wait_for(1)
    world.gate.open()
    answers = volley.answers()

    # then
    assert world.token_requests() == 1
    assert len(distinct(answers)) == 1
    assert world.page_of(answers[0].result, event) == 200
    assert world.connection(started["connection_id"])["version"] == 1
    assert world.token(started["connection_id"])["version"] == 1


def test_two_first_authorizations_at_once_are_both_stored(world: World) -> None:
    """Two merchants complete requests for one new connection at once: version 1 and version 2, in some order."""
    # given
    connection_id = world.new_id()
    started = [world.start(connection_id=connection_id, allow_new_subject=True) for _ in range(2)]
    events = [world.callback_event(each, merchant) for each, merchant in zip(started, MERCHANTS, strict=True)]
    world.gate.hold("authorization_code")

    # when
    volley = world.callers.begin([Call("callback", event) for event in events])
    world.gate.wait_for(2)
    world.gate.open()
    answers = volley.answers()

    # then
    assert [world.page_of(each.result, event) for each, event in zip(answers, events, strict=True)] == [200, 200]
    assert world.token_requests() == 2
    connection = world.connection(connection_id)
    assert connection["version"] == 2
    assert connection["subject"] in MERCHANTS
    assert world.merchant_of(world.token(connection_id)) == connection["subject"]


def test_of_two_accounts_at_once_one_is_connected(world: World) -> None:
    """Neither knew of the other, and nobody allowed it: one of them stays, and the other's tokens are kept nowhere."""
    # given
    connection_id = world.new_id()
    started = [world.start(connection_id=connection_id) for _ in range(2)]
    events = [world.callback_event(each, merchant) for each, merchant in zip(started, MERCHANTS, strict=True)]
    world.gate.hold("authorization_code")

    # when
    volley = world.callers.begin([Call("callback", event) for event in events])
    world.gate.wait_for(2)
    world.gate.open()
    answers = volley.answers()

    # then
    pages = [world.page_of(each.result, event) for each, event in zip(answers, events, strict=True)]
    assert sorted(pages) == [200, 409]
    connection = world.connection(connection_id)
    assert (connection["version"], connection["subject"] in MERCHANTS) == (1, True)
    assert world.merchant_of(world.token(connection_id)) == connection["subject"]


# Consent given again


def test_a_refresh_in_flight_does_not_overwrite_a_new_consent(world: World) -> None:
    """A refresh of the old grant is answered after the new grant was stored: all callers get the new grant's token."""
    # given
    connection_id = world.connect("M-OLD")
    world.advance(3700)
    world.gate.hold("refresh_token")
    waiting = world.callers.begin(tokens(connection_id, FEW))
    world.callers.wait_until_deciding(FEW)
    world.gate.wait_for(1)

    # when
    world.connect("M-NEW", connection_id=connection_id, allow_new_subject=True)
    world.gate.open()
    answers = waiting.answers()

    # then
    assert Counter(answer.outcome for answer in answers) == {"ok": FEW}
    assert len(distinct(answers)) == 1
    assert answers[0].result["version"] == 2
    assert world.merchant_of(answers[0].result) == "M-NEW"
    assert world.connection(connection_id)["subject"] == "M-NEW"


def test_a_new_consent_stands_over_refreshes_during_its_exchange(world: World) -> None:
    """The old grant is refreshed while the new grant's code is exchanged: the new consent is stored over it."""
    # given
    connection_id = world.connect("M-OLD")
    world.advance(JUST_OBTAINED)
    event = world.callback_event(world.start(connection_id=connection_id, allow_new_subject=True), "M-NEW")
    world.gate.hold("authorization_code")
    completing = world.callers.begin([Call("callback", event)], among=[0])
    world.gate.wait_for(1)

    # when
    (meanwhile,) = world.callers.begin([Call("refresh", {"connection_id": connection_id})], among=[1]).answers()
    world.gate.open()
    (completed,) = completing.answers()

    # then
    assert world.merchant_of(meanwhile.result) == "M-OLD"
    assert world.page_of(completed.result, event) == 200
    stored = world.connection(connection_id)
    assert (stored["version"], stored["subject"]) == (3, "M-NEW")
    assert world.merchant_of(world.token(connection_id)) == "M-NEW"


# Revocation


def test_a_refresh_in_flight_does_not_resurrect_a_revoked_connection(world: World) -> None:
    """Revoked while the token endpoint's answer is on its way: that is waited for, goes to nobody, and is revoked."""
    # given
    connection_id = world.connect_expired()
    world.gate.hold("refresh_token")
    waiting = world.callers.begin(tokens(connection_id, FEW), among=[1, 2, 3])
    world.callers.wait_until_deciding(FEW)
    world.gate.wait_for(1)

    # when
    (revoked,) = world.callers.begin([Call("revoke", {"connection_id": connection_id})], among=[0]).answers()
    world.gate.open()
    answers = waiting.answers()

    # then
    assert revoked.result == {"connection_id": connection_id, "status": "revoking"}
    assert Counter(answer.outcome for answer in answers) == {"connection_revoked": FEW}
    assert world.connection(connection_id)["status"] in {"revoking", "revoked"}
    assert world.token(connection_id)["error"] == "connection_revoked"
    assert_ends_for_good(world, connection_id)


def assert_ends_for_good(world: World, connection_id: str) -> None:
    """Tokens that came back after the end are kept until the server confirms their end; then nothing is left."""
    assert invoke(world.stack, "revoke", {"connection_id": connection_id})["status"] == "revoked"
    assert world.item(connection_id).keys().isdisjoint({"sets", "due_shard", "due_at"})
    assert world.token(connection_id)["error"] == "connection_revoked"


def test_nothing_is_vended_after_revoke_has_returned(world: World) -> None:
    """Callers that ask without end: no call that begins after `revoke` has returned gets a token."""
    for _ in range(RUNS):
        # given
        connection_id = world.connect_expired()
        asking = [Call("token", {"connection_id": connection_id}, times=10)] * 12
        refreshing = [Call("refresh", {"connection_id": connection_id}, times=3)] * 3
        revoking = [Call("revoke", {"connection_id": connection_id})]

        # when
        answers = world.callers.at_once([*asking, *refreshing, *revoking])

        # then
        (revoked,) = (answer for answer in answers if answer.function == "revoke")
        vended = [answer for answer in answers if answer.function != "revoke" and answer.outcome == "ok"]
        refused = [answer for answer in answers if answer.outcome != "ok"]
        assert revoked.result["status"] in {"revoking", "revoked"}
        assert all(answer.began < revoked.ended for answer in vended)
        assert {answer.outcome for answer in refused} <= {"connection_revoked"}
        assert world.token(connection_id)["error"] == "connection_revoked"
        assert_ends_for_good(world, connection_id)


def test_revoking_at_once_ends_the_connection_for_all(world: World) -> None:
    """16 calls of `revoke` at once: the server refuses all but the first, and still the connection ends as revoked."""
    # given
    connection_id = world.connect()

    # when
    answers = world.callers.at_once([Call("revoke", {"connection_id": connection_id})] * 16)

    # then
    assert Counter(answer.outcome for answer in answers) == {"ok": 16}
    assert {answer.result["status"] for answer in answers} <= {"revoked", "revoking"}
    assert world.connection(connection_id)["status"] == "revoked"


def test_a_second_revocation_waits_for_the_first(world: World) -> None:
    """A server that confirms one `revoke` would refuse another: only one of them asks it."""
    # given
    connection_id = world.connect()
    call = Call("revoke", {"connection_id": connection_id})
    world.gate.hold("revoke")
    confirmed = world.callers.begin([call], among=[0])
    world.gate.wait_for(1)

    # when
    (second,) = world.callers.begin([call], among=[1]).answers()
    world.gate.open()
    (first,) = confirmed.answers()

    # then
    assert (second.result["status"], first.result["status"]) == ("revoking", "revoked")
    assert world.connection(connection_id)["status"] == "revoked"
    assert "sets" not in world.item(connection_id)


# Interruptions


@pytest.mark.parametrize(
    ("server", "outcome"),
    [
        (Faults(endpoint="token", rotate=False), "ok"),
        (Faults(endpoint="token", rotate=True, replay_window_seconds=600), "ok"),
        (Faults(endpoint="token", rotate=True, reuse_detection=True), "reauthorization_required"),
    ],
    ids=["kept", "replay_window", "reuse_detected"],
)
def test_after_a_killed_refresh_one_caller_tries_again(world: World, server: Faults, outcome: str) -> None:
    """The process that refreshes is killed: the others wait for its lease to lapse, then one asks once more for all.

    A server that takes the second request for a theft ends the grant; the failure says that an interruption came first.
    """
    # given
    connection_id = world.connect_expired()
    world.demo.put_faults(server)
    world.gate.hold("refresh_token")
    world.callers.begin(tokens(connection_id, 1), among=[0])
    world.gate.wait_for(1)

    # when
    waiting = world.callers.begin(tokens(connection_id, FEW), among=[1, 2, 3])
    world.callers.wait_until_deciding(FEW)
    world.callers.kill(0)
    world.gate.open()

    # then
    assert not waiting.is_over()
    assert world.token_requests() == 1

    # and when
    world.advance(LONGER_THAN_A_LEASE)
    answers = waiting.answers()

    # then
    assert Counter(answer.outcome for answer in answers) == {outcome: FEW}
    assert len(distinct(answers)) == 1
    assert world.token_requests() == 2
    assert ("interrupted" in answers[0].result.get("error_description", "")) is (outcome != "ok")


def test_a_holder_that_comes_too_late_changes_nothing(world: World) -> None:
    """A holder stops for longer than its lease: the next holder's tokens stand, and the late one gets them too."""
    # given
    connection_id = world.connect_expired()
    world.gate.hold("refresh_token")
    late = world.callers.begin(tokens(connection_id, 1), among=[0])
    world.gate.wait_for(1)
    world.advance(LONGER_THAN_A_LEASE)
    others = world.callers.begin(tokens(connection_id, FEW), among=[1, 2, 3])
    world.callers.wait_until_deciding(FEW)
    world.gate.wait_for(2)

    # when
    world.gate.release(1)
    answers = others.answers()
    world.gate.release(0)
    late_answers = late.answers()

    # then
    assert len(distinct(answers)) == 1
    assert distinct(late_answers) == distinct(answers)
    assert answers[0].result["version"] == 2
    assert world.connection(connection_id)["version"] == 2


def test_a_provider_that_takes_one_request_gets_one_whoever_asks(world: World) -> None:
    """Twelve callers in several processes, for four connections: one request after the other, and a token for each."""
    # given
    limit(world.stack, 1)
    ids = [world.connect_expired() for _ in range(4)]
    takes = 0.3
    world.demo.reset()
    world.demo.put_faults(Faults(endpoint="token", delay_seconds=takes))

    # when
    answers = world.callers.at_once([Call("token", {"connection_id": whom}) for whom in ids * 3])
    lift_the_limit(world.stack)
    world.advance(KEPT)

    # then
    requests = world.demo.requests("token")
    came = [request["at"] for request in requests]
    assert all(after - before >= takes for before, after in pairwise(came)), "each came when the last was answered"
    assert {answer.outcome for answer in answers} == {"ok"}
    assert [request["outcome"] for request in requests] == ["refreshed"] * len(ids)
