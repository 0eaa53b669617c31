"""What Gatehouse does without being called: refreshes in time, revocations that go on, rescued token responses.

The stack's pollers are still here: a test says when queues are worked off, and when the schedule has come.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

import boto3
import pytest
import requests
from werkzeug.wrappers import Response

from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.grant.upkeep import ASSUMED_IDLE_SECONDS
from functions.vault.storage.registrations import KEPT
from functions.vault.usecases import revoking
from functions.vault.usecases.background_work import LONGEST_PAUSE
from functions.vault.usecases.sweeping import AGAIN_AFTER
from local.aws.cloudformation import STACK_NAME
from local.demo import Faults
from local.stack import Stack
from tests.browser import Browser, invoke
from tests.flows.application import fresh, operations, token_requests
from tests.flows.scripted import TOKENS, connect, scripted
from tests.gate import Gate
from tests.unlimited import lift_the_limit, limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.demo import DemoServer
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

LONGER_THAN_A_TOKEN_LIVES = 3700
LONGER_THAN_A_MESSAGE_IS_HIDDEN = 400
LONGER_THAN_A_SERVER_IS_LEFT_ALONE = 3700
# Only a failing test ever waits so long.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Stand before the demo server's token endpoints; open, unless a test holds it."""
    with Gate() as running:
        yield running


@pytest.fixture(scope="module")
def stack(gate: Gate) -> Iterator[Stack]:
    """Give a stack of this module's own: its clock leaps by weeks, and its sweeps find all that is due."""
    with Stack() as running:
        registration = running.registrations["ultracart"]
        gated = {"token_endpoint": gate.before("ultracart", registration["token_endpoint"])}
        running.registrations["ultracart"] = registration | gated
        lift_the_limit(running)
        yield running


@pytest.fixture(autouse=True)
def nothing_left_over(stack: Stack, gate: Gate) -> Iterator[None]:
    """Begin with no connections and empty queues, and with an AWS that works, whatever the test before left."""
    _empty(stack)
    yield
    gate.open()
    stack.aws_faults.clear()


@pytest.fixture
def standard(application: Application, stack: Stack, gate: Gate) -> Callable[..., str]:
    """Register the demo server's standard dialect under a new name, with keys of the test's own; give the name."""

    def register(**keys: Any) -> str:
        issuer = f"{stack.demo.url}/standard"
        endpoints = {
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": gate.before("standard", f"{issuer}/token"),
            "revocation_endpoint": f"{issuer}/revoke",
        }
        return application.register(stack.demo.standard_registration("standard") | endpoints | keys)

    return register


def sweep(stack: Stack) -> int:
    """Let the schedule come once; return how many connections were queued."""
    (answer,) = stack.background.run_schedules()
    assert answer["complete"] is True
    queued: int = answer["queued"]
    return queued


def work_off(stack: Stack) -> int:
    """Sweep, and work off what that queued; return how many messages that were."""
    sweep(stack)
    return stack.background.poll()


def attribute(application: Application, connection_id: str, name: str) -> Any:
    """Return an attribute of the stored connection, a number as such; None if it has none."""
    item = application.connection_item(connection_id)
    assert item is not None
    ((kind, value),) = item.get(name, {"NULL": None}).items()
    return int(value) if kind == "N" else value


def places(application: Application, connection_id: str) -> list[str]:
    """Return where the token sets of a stored connection are."""
    return [each["M"]["place"]["S"] for each in attribute(application, connection_id, "sets") or []]


def status(application: Application, connection_id: str) -> str:
    """Return the connection's status, as the application learns it."""
    answered: str = application.call("connections", connection_id=connection_id)["connection"]["status"]
    return answered


def queue_url(logical_id: str) -> str:
    """Return the URL of a queue of the template."""
    found = boto3.client("cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]


def length(logical_id: str) -> int:
    """Return how many messages are in a queue, those that are being worked on or hidden included."""
    return _count(logical_id, "ApproximateNumberOfMessages") + in_flight(logical_id)


def in_flight(logical_id: str) -> int:
    """Return how many messages of a queue have been received and not deleted."""
    return _count(logical_id, "ApproximateNumberOfMessagesNotVisible")


def _count(logical_id: str, name: Any) -> int:
    url = queue_url(logical_id)
    answer = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def speaks_for_somebody(stack: Stack, access_token: str, me: str = "/rest/v2/oauth/me") -> bool:
    """Return whether the authorization server takes an access token for a live one."""
    headers = {"Authorization": f"Bearer {access_token}", "X-UltraCart-Api-Version": "2017-03-01"}
    return requests.get(stack.demo.url + me, headers=headers, timeout=10).ok


@contextmanager
def polling(stack: Stack) -> Iterator[None]:
    """Work the queues off in another thread meanwhile, and wait for its end."""
    worker = threading.Thread(target=stack.background.poll)
    worker.start()
    yield
    worker.join(PATIENCE)
    assert not worker.is_alive()


def _empty(stack: Stack) -> None:
    dynamodb, table = boto3.client("dynamodb"), stack.deployment.tables["ConnectionsTable"]
    for item in dynamodb.scan(TableName=table, ProjectionExpression="connection_id")["Items"]:
        dynamodb.delete_item(TableName=table, Key=item)
    sqs = boto3.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


# Refreshes


def test_idle_connection_is_refreshed_before_its_refresh_token_dies(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """Nobody asks for two weeks, for which a refresh token is taken to live unused: a refresh comes in between."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    demo.reset()
    first_due_in = attribute(application, connection_id, "due_at") - stack.clock.now()

    # when it has been idle for all of the time that is left to chance after a consent
    stack.clock.advance(0.7 * ASSUMED_IDLE_SECONDS + 10)
    first = work_off(stack)

    # then
    assert first == 1
    assert first_due_in <= 0.7 * ASSUMED_IDLE_SECONDS

    for version in (2, 3):
        due_in = attribute(application, connection_id, "due_at") - stack.clock.now()
        assert attribute(application, connection_id, "version") == version
        assert 0.4 * ASSUMED_IDLE_SECONDS - 10 <= due_in <= 0.7 * ASSUMED_IDLE_SECONDS

        # and when it has been idle for less, and then for more than what is left to chance after a refresh
        stack.clock.advance(0.4 * ASSUMED_IDLE_SECONDS - 10)
        early = work_off(stack)
        stack.clock.advance(0.3 * ASSUMED_IDLE_SECONDS + 20)
        late = work_off(stack)

        # then
        assert (early, late) == (0, 1)
    assert [seen["grant_type"] for seen in demo.requests("token")] == ["refresh_token"] * 3


def test_idle_time_of_a_refresh_token_can_be_registered(
    stack: Stack, application: Application, browser: Browser, standard: Callable[..., str]
) -> None:
    """A server that forgets refresh tokens after an hour is asked within the hour."""
    # given
    provider = standard(refresh_token_idle_seconds=3600)
    connection_id = browser.connect(provider, connection_id=fresh())

    # when
    stack.clock.advance(0.7 * 3600 + 10)
    worked = work_off(stack)

    # then
    assert worked == 1
    assert attribute(application, connection_id, "version") == 2


def test_token_can_be_kept_fresh(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, standard: Callable[..., str]
) -> None:
    """With `keep_fresh` a caller never waits for a refresh: it comes before the token's soft margin."""
    # given
    provider = standard(background_refresh="keep_fresh")
    connection_id = browser.connect(provider, connection_id=fresh())

    # when
    stack.clock.advance(3600 - 300)
    worked = work_off(stack)
    demo.reset()
    vended = application.call("token", connection_id=connection_id)

    # then
    assert worked == 1
    assert vended["version"] == 2
    assert vended["expires_at"] - stack.clock.now() > 3600 - 60
    assert token_requests(demo) == 0


def test_background_refreshes_can_be_switched_off(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, standard: Callable[..., str]
) -> None:
    """With `never` nothing happens until somebody asks, and the record is not in the index of what is due."""
    # given
    connection_id = browser.connect(standard(background_refresh="never"), connection_id=fresh())
    demo.reset()

    # when
    stack.clock.advance(10 * ASSUMED_IDLE_SECONDS)

    # then
    assert sweep(stack) == 0
    assert attribute(application, connection_id, "due_shard") is None
    assert demo.requests() == []


def test_what_was_queued_is_put_off(stack: Stack, application: Application, browser: Browser, demo: DemoServer) -> None:
    """The next sweep does not queue it again, but one after an hour does, should nothing have come of it."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    demo.reset()

    # when
    queued = [sweep(stack), sweep(stack)]
    due_in = attribute(application, connection_id, "due_at") - stack.clock.now()
    stack.clock.advance(AGAIN_AFTER + 1)
    queued.append(sweep(stack))

    # then
    assert queued == [1, 0, 1]
    assert AGAIN_AFTER - 60 < due_in <= AGAIN_AFTER
    assert length("RefreshQueue") == 2
    # and both messages together come to one refresh
    assert stack.background.poll() == 2
    assert (attribute(application, connection_id, "version"), token_requests(demo)) == (2, 1)


def test_sweep_reads_the_index_of_what_is_due_and_nothing_else(stack: Stack, browser: Browser) -> None:
    """A sweep that finds nothing makes one small query for each shard."""
    # given
    browser.connect(connection_id=fresh())
    stack.aws_calls.clear()

    # when
    queued = sweep(stack)

    # then
    assert queued == 0
    assert operations(stack.aws_calls) == ["Query"] * 16


def test_one_refresh_at_a_time_if_the_provider_takes_one(
    stack: Stack, new_browser: Callable[..., Browser], demo: DemoServer, gate: Gate
) -> None:
    """UltraCart allows no concurrent requests: while one is under way, the queue hands out no other."""
    # given
    limit(stack, 1)
    stack.clock.advance(KEPT)
    for _ in range(3):
        new_browser(fresh("merchant")).connect(connection_id=fresh())
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    demo.reset()
    assert sweep(stack) == 3

    # when
    gate.hold("refresh_token")
    seen = []
    with polling(stack):
        for number in range(3):
            gate.wait_for(number + 1)
            seen.append((in_flight("RefreshQueue"), stack.background.poll()))
            gate.release(number)
    lift_the_limit(stack)
    stack.clock.advance(KEPT)

    # then
    assert seen == [(1, 0)] * 3
    assert [request["outcome"] for request in demo.requests("token")] == ["refreshed"] * 3


def test_several_refreshes_at_a_time_if_the_provider_takes_several(
    stack: Stack, browser: Browser, demo: DemoServer, gate: Gate, standard: Callable[..., str]
) -> None:
    """Slots of one provider do not wait for each other: three refreshes are under way at once."""
    # given
    provider = standard(max_concurrency=5)
    for slot in range(3):
        connection_id = next(name for name in iter(fresh, "") if crc32(name.encode()) % 5 == slot)
        browser.connect(provider, connection_id=connection_id)
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    demo.reset()
    assert sweep(stack) == 3

    # when
    gate.hold("refresh_token")
    with polling(stack):
        gate.wait_for(3)
        gate.open()

    # then
    assert token_requests(demo) == 3


def test_failure_in_the_background_harms_nobody_and_is_tried_again(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """The server is out: the message is done with, the failure is in the record, and a later sweep succeeds."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    demo.put_faults(Faults(endpoint="token", status=503))

    # when
    worked = work_off(stack)
    failure = application.call("connections", connection_id=connection_id)["connection"]["failure"]
    demo.reset()
    stack.clock.advance(AGAIN_AFTER + LONGER_THAN_A_SERVER_IS_LEFT_ALONE)
    worked_later = work_off(stack)

    # then
    assert (worked, worked_later, length("RefreshQueue")) == (1, 1, 0)
    assert failure["code"] == "provider_unavailable"
    answered = application.call("connections", connection_id=connection_id)["connection"]
    assert (answered["version"], answered["status"], answered["failure"]) == (2, "active", None)


def test_a_secret_that_may_not_be_read_holds_up_nobody_else(
    stack: Stack,
    application: Application,
    browser: Browser,
    standard: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The sweep reads none and queues all that is due; the other's are refreshed, and the log names the secret."""
    # given
    providers = [standard(), standard()]
    connections = {name: [browser.connect(name, connection_id=fresh()) for _ in range(3)] for name in providers}
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    capsys.readouterr()

    # when
    (swept,) = stack.background.run_schedules()
    stack.aws_faults.fail("secretsmanager", "GetSecretValue", error="AccessDeniedException", times=1)
    worked = stack.background.poll()

    # then
    assert (swept["queued"], swept["complete"], worked) == (6, True, 6)
    versions = {name: [attribute(application, each, "version") for each in ids] for name, ids in connections.items()}
    # The refusal is remembered by a function's environment, which does one thing at a time; here three are worked off
    # side by side, and the second may read what the first may not.
    waiting, refreshed = sorted(versions.values())
    assert (1 in waiting, refreshed) == (True, [2, 2, 2])
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    refused = [line for line in logged if line["message"] == "refresh" and line["outcome"] == "provider_misconfigured"]
    (locked,) = (name for name, each in versions.items() if 1 in each)
    assert len(refused) == waiting.count(1)
    assert all(f"The secret gatehouse/providers/{locked} cannot be read" in line["description"] for line in refused)


def test_a_silent_issuer_costs_the_others_nothing_and_is_asked_once(
    stack: Stack, application: Application, browser: Browser, standard: Callable[..., str]
) -> None:
    """Half of what is due is its: the sweep does not ask it, and of the refreshes one alone waits for it."""
    # given
    other = standard()
    with scripted() as issuer:
        published = {**issuer.endpoints, "issuer": issuer.url}
        issuer.answers |= {"/.well-known/oauth-authorization-server": published, "/token": TOKENS}
        # One at a time, as a function's environment works: side by side they would ask side by side.
        registration = {"client_id": "scripted-client", "issuer": issuer.url, "max_concurrency": 1}
        silent = application.register(registration)
        for _ in range(5):
            assert connect(application, browser, silent, connection_id=fresh())[1].status_code == 200
        others = [browser.connect(other, connection_id=fresh()) for _ in range(5)]
        stack.clock.advance(ASSUMED_IDLE_SECONDS)
        issuer.received.clear()
        issuer.open.clear()

        # when
        queued, asked_by_the_sweep = sweep(stack), len(issuer.received)
        worked = stack.background.poll()
        issuer.open.set()

    # then
    assert (queued, asked_by_the_sweep, worked) == (10, 0, 10)
    assert issuer.paths() == ["/.well-known/oauth-authorization-server"]
    assert [attribute(application, each, "version") for each in others] == [2] * 5


def test_outage_of_aws_leaves_the_message_in_its_queue(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """Nothing was begun, so nothing is lost: the message comes again when it is visible again, not before."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(ASSUMED_IDLE_SECONDS)
    demo.reset()
    sweep(stack)
    stack.aws_faults.fail("dynamodb", "GetItem")

    # when
    worked = [stack.background.poll()]
    stack.aws_faults.clear()
    worked.append(stack.background.poll())
    stack.clock.advance(LONGER_THAN_A_MESSAGE_IS_HIDDEN)
    worked.append(stack.background.poll())

    # then
    assert worked == [1, 0, 1]
    assert (attribute(application, connection_id, "version"), token_requests(demo)) == (2, 1)


# Revocations


def test_revocation_goes_on_until_the_server_confirms_it(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, standard: Callable[..., str]
) -> None:
    """Revoked here at once; a server that fails for a while confirms each token's end later; the ciphertext goes."""
    # given
    connection_id = browser.connect(standard(), connection_id=fresh())
    demo.put_faults(Faults(endpoint="revoke", status=503))
    answer = application.call("revoke", connection_id=connection_id)
    refused = application.call("token", connection_id=connection_id)

    # when it is tried too early, without success, and with success
    worked = [work_off(stack)]
    stack.clock.advance(30)
    worked.append(work_off(stack))
    demo.reset()
    stack.clock.advance(60)
    worked.append(work_off(stack))

    # then
    assert (answer["status"], refused["error"]) == ("revoking", "connection_revoked")
    assert worked == [0, 1, 1]
    assert status(application, connection_id) == "revoked"
    assert attribute(application, connection_id, "sets") is None
    (answered,) = attribute(application, connection_id, "revocation")
    assert {kind: entry["M"]["answer"]["S"] for kind, entry in answered["M"]["answers"]["M"].items()} == {
        "refresh_token": "revoked",
        "access_token": "revoked",
    }
    assert sweep(stack) == 0


@pytest.mark.parametrize("dialect", ["standard", "ultracart"])
def test_who_consents_again_before_the_server_confirms_keeps_the_new_grant(
    stack: Stack, application: Application, browser: Browser, standard: Callable[..., str], dialect: str
) -> None:
    """Revoked in an outage, connected again, and the outage is over: the new grant goes on.

    The old one ends if grants are known to be separate. UltraCart knows one authorization of the merchant: what is
    left of the old one there is the new one, and ends with the connection.
    """
    # given
    is_separate, demo = dialect == "standard", stack.demo
    provider = standard(revocation_ends_authorization=False) if is_separate else "ultracart"
    others = len(demo.grants())
    connection_id = browser.connect(provider, connection_id=fresh())
    demo.put_faults(Faults(endpoint="revoke", status=503))
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoking"
    browser.connect(provider, connection_id=connection_id)
    vended = application.call("token", connection_id=connection_id)

    # when
    demo.reset()
    stack.clock.advance(400)
    worked = work_off(stack)
    stack.clock.advance(3300)

    # then
    assert worked == 1
    assert status(application, connection_id) == "active"
    assert places(application, connection_id) == (["current"] if is_separate else ["current", "superseded"])
    revocations = len(demo.requests("revoke"))
    assert revocations == (2 if is_separate else 0)
    refreshed = application.call("token", connection_id=connection_id)
    assert refreshed["version"] == vended["version"] + 1
    ended = [grant["revoked"] for grant in demo.grants()[others:]]
    assert ended == ([True, False] if is_separate else [False, False])


def test_whose_account_it_is_is_asked_for_in_the_background(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """If the endpoint was out of reach when the customer came back; it is shown the token that there is by then."""
    # given
    demo.put_faults(Faults(endpoint="token", names_merchant=False))
    demo.put_faults(Faults(endpoint="me", status=503))
    connection_id = browser.connect("ultracart", connection_id=fresh())
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    work_off(stack)
    vended = application.call("token", connection_id=connection_id)

    # when
    demo.put_faults(Faults(endpoint="me"))
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    application.call("refresh", connection_id=connection_id)
    work_off(stack)

    # then
    assert (vended["version"], vended["subject"]) == (2, None)
    answered = application.call("token", connection_id=connection_id)
    assert (answered["subject"], answered["metadata"]["merchant_name"]) == ("DEMO", "Demo Outfitters")
    assert [seen["answer"] for seen in demo.requests("me")] == [503, 503, 200]


def test_one_token_is_not_revoked_twice(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, standard: Callable[..., str]
) -> None:
    """It failed between the two: only the token that it has not confirmed is sent again."""
    # given
    connection_id = browser.connect(standard(), connection_id=fresh())
    demo.reset()
    demo.put_faults(Faults(endpoint="revoke", times=1), Faults(endpoint="revoke", status=503, times=1))

    # when
    answer = application.call("revoke", connection_id=connection_id)
    stack.clock.advance(30)
    work_off(stack)

    # then
    assert answer["status"] == "revoking"
    assert status(application, connection_id) == "revoked"
    assert [seen["answer"] for seen in demo.requests("revoke")] == [200, 503, 200]


def test_server_that_stays_out_of_reach_is_a_dead_letter_and_confirms_in_the_end(  # noqa: PLR0913, PLR0917
    stack: Stack,
    application: Application,
    browser: Browser,
    demo: DemoServer,
    standard: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After many failures (here fewer) a person is called; when the server is back, it goes on without them."""
    # given
    enough = 4
    monkeypatch.setattr(revoking, "GIVE_UP_AFTER", enough)
    connection_id = browser.connect(standard(), connection_id=fresh())
    demo.put_faults(Faults(endpoint="revoke", status=503))
    application.call("revoke", connection_id=connection_id)

    # when it has failed so often that the message is not taken as done any more, nor the times after
    for _ in range(enough - 1):
        assert length("RevokeQueue") == 0
        due_in = attribute(application, connection_id, "due_at") - stack.clock.now()
        stack.clock.advance(max(due_in, LONGEST_PAUSE) + 1)
        assert work_off(stack) == 1
    for _ in range(5):
        stack.clock.advance(LONGER_THAN_A_MESSAGE_IS_HIDDEN)
        stack.background.poll()

    # then
    assert (length("RevokeQueue"), length("RevokeDeadLetters")) == (0, 1)
    assert status(application, connection_id) == "revoking"
    # and when it is back
    demo.reset()
    stack.clock.advance(AGAIN_AFTER + LONGER_THAN_A_SERVER_IS_LEFT_ALONE)
    work_off(stack)
    assert status(application, connection_id) == "revoked"


# A grant that is believed dead


def refused_at_first(application: Application, browser: Browser, server: Scripted, stack: Stack, **body: str) -> str:
    """Connect, let the access token run out, and have the first refresh refused as dead."""
    server.answers["/token"] = TOKENS
    started, _ = connect(application, browser, application.register(server.registration))
    stack.clock.advance(3601)
    document = json.dumps({"error": "invalid_grant", **body})
    server.answers["/token"] = Response(document, 400, content_type="application/json")
    assert application.call("token", connection_id=started["connection_id"])["error"] == "reauthorization_required"
    return str(started["connection_id"])


@pytest.mark.parametrize("vain", [0, 1, 2])
def test_a_grant_that_was_refused_once_and_lives_comes_back_by_itself(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, vain: int
) -> None:
    """A caller meanwhile gets what is believed, and costs the server nothing; the looks come in their time."""
    # given
    connection_id = refused_at_first(application, browser, scripted, stack)
    began, minutes = len(scripted.received), [6, 11, 253]

    # when
    for minute in minutes[:vain]:
        stack.clock.advance(60 * minute)
        work_off(stack)
    scripted.answers["/token"] = TOKENS
    stack.clock.advance(60 * minutes[vain])
    answered = application.call("token", connection_id=connection_id)
    work_off(stack)

    # then
    assert answered["error"] == "reauthorization_required"
    assert status(application, connection_id) == "active"
    assert application.call("token", connection_id=connection_id)["version"] == 2
    assert len(scripted.received) - began == vain + 1


def test_a_caller_of_refresh_looks_at_what_is_believed_dead(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Once, and not within a minute of the refusal."""
    # given
    connection_id = refused_at_first(application, browser, scripted, stack)
    scripted.answers["/token"], began = TOKENS, len(scripted.received)

    # when
    at_once = application.call("refresh", connection_id=connection_id)
    sent_at_once = len(scripted.received) - began
    stack.clock.advance(61)
    later = application.call("refresh", connection_id=connection_id, if_version=1)

    # then
    assert (at_once["error"], sent_at_once) == ("reauthorization_required", 0)
    assert (later["version"], status(application, connection_id)) == (2, "active")


@pytest.mark.parametrize(
    "body",
    [{"error_description": "The refresh token was revoked by the user."}, {"error": "token_revoked"}],
    ids=["in words", "by its code"],
)
def test_a_grant_that_was_ended_on_purpose_is_not_looked_at(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, body: dict[str, str]
) -> None:
    """The server has said why, and cannot be wrong about that."""
    # given
    connection_id = refused_at_first(application, browser, scripted, stack, **body)
    scripted.answers["/token"], began = TOKENS, len(scripted.received)

    # when
    stack.clock.advance(86400)
    worked_off = work_off(stack)
    refreshed = application.call("refresh", connection_id=connection_id)

    # then
    assert (worked_off, len(scripted.received) - began) == (0, 0)
    assert refreshed["error"] == "reauthorization_required"


# The same message twice


def test_message_that_comes_twice_is_harmless(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """SQS may deliver a message again: a refresh is not repeated, a revocation that is through is not either."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    sqs = boto3.client("sqs")
    body = json.dumps({"connection_id": connection_id, "version": 1})
    stack.clock.advance(JUST_OBTAINED)
    demo.reset()

    # when
    for number in range(2):
        sqs.send_message(
            QueueUrl=queue_url("RefreshQueue"),
            MessageBody=body,
            MessageGroupId="twice",
            MessageDeduplicationId=str(number),
        )
    refreshed = stack.background.poll()
    application.call("revoke", connection_id=connection_id)
    for _ in range(2):
        sqs.send_message(QueueUrl=queue_url("RevokeQueue"), MessageBody=body)
    revoked = stack.background.poll()

    # then
    assert (refreshed, revoked) == (2, 2)
    assert (token_requests(demo), len(demo.requests("revoke"))) == (1, 1)
    assert status(application, connection_id) == "revoked"


def test_message_that_is_none_of_ours_ends_as_a_dead_letter(stack: Stack) -> None:
    """What no function understands is tried some times, then put by; it does not hold up others for ever."""
    # given
    boto3.client("sqs").send_message(QueueUrl=queue_url("RevokeQueue"), MessageBody="{]")

    # when
    for _ in range(6):
        stack.background.poll()
        stack.clock.advance(LONGER_THAN_A_MESSAGE_IS_HIDDEN)

    # then
    assert (length("RevokeQueue"), length("RevokeDeadLetters")) == (0, 1)


# Rescues


@pytest.fixture
def expired(stack: Stack, browser: Browser, demo: DemoServer) -> str:
    """Connect a merchant whose access token has expired since, at a server that rotates and detects reuse."""
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    demo.reset()
    demo.put_faults(Faults(endpoint="token", rotate=True))
    return connection_id


def commits_fail(
    stack: Stack, error: str = "AccessDeniedException", *, times: int | None = None, act: bool = False
) -> None:
    """Let the claim of the lease through, and what is written after the server has answered fail."""
    stack.aws_faults.fail("dynamodb", "UpdateItem", error=error, times=times, after=1, act=act)


def test_throttled_commit_is_tried_again(
    stack: Stack, application: Application, expired: str, demo: DemoServer
) -> None:
    """Two failures of the table cost a moment; the copy that the queue got meanwhile changes nothing."""
    # given
    commits_fail(stack, error="ProvisionedThroughputExceededException", times=2)
    stack.aws_calls.clear()

    # when
    vended = application.call("token", connection_id=expired)

    # then
    assert (vended["version"], token_requests(demo)) == (2, 1)
    assert operations(stack.aws_calls).count("SendMessage") == 1
    assert stack.background.poll() == 1
    assert application.call("token", connection_id=expired) == vended


def test_commit_whose_answer_was_lost_is_recognized(
    stack: Stack, application: Application, expired: str, demo: DemoServer
) -> None:
    """It took effect although the answer said otherwise: the tokens are in the record once, and vended."""
    # given
    commits_fail(stack, error="InternalServerError", times=1, act=True)

    # when
    vended = application.call("token", connection_id=expired)

    # then
    assert (vended["version"], token_requests(demo)) == (2, 1)
    assert application.call("token", connection_id=expired) == vended


def test_tokens_that_the_table_does_not_take_come_back_by_the_queue(
    stack: Stack, application: Application, expired: str, demo: DemoServer
) -> None:
    """The caller is asked to try again; by then the rescue has stored what the server was asked for once."""
    # given
    commits_fail(stack)
    answer = application.call("token", connection_id=expired)
    stack.aws_faults.clear()
    waiting = boto3.client("sqs").receive_message(QueueUrl=queue_url("RescueQueue"), VisibilityTimeout=0)["Messages"]

    # when
    rescued = stack.background.poll()
    vended = application.call("token", connection_id=expired)

    # then
    assert (answer["error"], answer["retryable"]) == ("temporarily_unavailable", True)
    assert rescued == 1
    assert (vended["version"], token_requests(demo)) == (2, 1)
    assert speaks_for_somebody(stack, vended["access_token"])
    secrets = [value for values in demo.secrets().values() for value in values if len(value) > 8]
    assert [value for value in secrets if value in json.dumps(waiting)] == []


def test_rescue_that_comes_twice_is_harmless(
    stack: Stack, application: Application, expired: str, demo: DemoServer
) -> None:
    """The second delivery finds its tokens in the record, also when a later refresh has replaced them."""
    # given
    commits_fail(stack)
    application.call("token", connection_id=expired)
    stack.aws_faults.clear()
    sqs, url = boto3.client("sqs"), queue_url("RescueQueue")
    body = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"][0]["Body"]

    # when
    sqs.send_message(QueueUrl=url, MessageBody=body)
    rescued = stack.background.poll()
    third = application.refresh_later(expired, if_version=2)
    sqs.send_message(QueueUrl=url, MessageBody=body)
    rescued += stack.background.poll()

    # then
    assert rescued == 3
    assert third["version"] == 3
    assert application.call("token", connection_id=expired) == third
    assert token_requests(demo) == 2


def test_tokens_that_nothing_takes_are_in_the_log_and_can_be_replayed(
    stack: Stack, application: Application, expired: str, demo: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither table nor queue work: one line at level CRITICAL holds them, sealed, and `rescue` takes it from there."""
    # given
    commits_fail(stack)
    stack.aws_faults.fail("sqs", "SendMessage", error="AccessDeniedException")
    answer = application.call("token", connection_id=expired)
    stack.aws_faults.clear()
    printed = capsys.readouterr().out

    # when
    lines = [json.loads(line) for line in printed.splitlines() if '"CRITICAL"' in line]
    replays = [application.invoke("rescue", line["obtained"]) for line in lines * 2]
    vended = application.call("token", connection_id=expired)

    # then
    assert answer["error"] == "temporarily_unavailable"
    assert [(line["level"], line["message"]) for line in lines] == [("CRITICAL", "rescue")]
    assert replays == [{"connection_id": expired, "status": "active", "version": 2}] * 2
    assert (vended["version"], token_requests(demo)) == (2, 1)
    assert speaks_for_somebody(stack, vended["access_token"])
    secrets = [value for values in demo.secrets().values() for value in values if len(value) > 8]
    assert [value for value in secrets if value in printed] == []


def test_consent_that_the_table_does_not_take_is_connected_on_reload(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """The person reads that it takes longer than usual and reloads; the code was exchanged once."""
    # given
    started = browser.start(connection_id=fresh())
    callback_url = browser.consent(browser.authorize(started["authorize_url"]))
    stack.aws_faults.fail("dynamodb", "PutItem", error="AccessDeniedException")
    demo.reset()

    # when
    unfinished = browser.open(callback_url)
    stack.aws_faults.clear()
    rescued = stack.background.poll()
    connected = browser.open(callback_url)

    # then
    assert (unfinished.status_code, rescued, connected.status_code) == (202, 1, 200)
    assert token_requests(demo) == 1
    vended = application.call("token", connection_id=started["connection_id"])
    assert speaks_for_somebody(stack, vended["access_token"])


def test_revocation_meanwhile_reaches_the_rescued_tokens_too(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, standard: Callable[..., str]
) -> None:
    """Revoked while its new tokens lay in the queue: they are vended to nobody, and revoked as well."""
    # given
    connection_id = browser.connect(standard(), connection_id=fresh())
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    demo.reset()
    commits_fail(stack)
    application.call("token", connection_id=connection_id)
    stack.aws_faults.clear()
    application.call("revoke", connection_id=connection_id)

    # when
    stack.background.poll()
    work_off(stack)

    # then
    assert status(application, connection_id) == "revoked"
    assert attribute(application, connection_id, "sets") is None
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"
    assert all(grant["revoked"] for grant in demo.grants() if grant["grant_id"] == demo.grants()[-1]["grant_id"])


# By itself


@pytest.mark.usefixtures("stack")
def test_the_stack_does_all_this_by_itself() -> None:
    """If it is asked to, it polls and keeps its schedule: the clock goes on, and a refresh has happened soon."""
    # given
    with Stack(background=True) as own:
        connection_id = Browser(own).connect()

        # when
        step = {"advance_seconds": ASSUMED_IDLE_SECONDS}
        requests.post(f"{own.base_url}/_local/clock", json=step, timeout=10)

        # then
        give_up = time.monotonic() + PATIENCE
        while (version := _version(own, connection_id)) == 1 and time.monotonic() < give_up:
            time.sleep(0.1)
        assert version == 2


def _version(stack: Stack, connection_id: str) -> int:
    version: int = invoke(stack, "connections", {"connection_id": connection_id})["connection"]["version"]
    return version
