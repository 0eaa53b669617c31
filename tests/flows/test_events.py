"""What is published of a connection's life: everything, in order, under one id each, and at nobody's expense."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import boto3
import pytest
from jsonschema import Draft202012Validator

from functions.vault.usecases.publishing import WAITS_FOR_BUS
from tests.browser import Browser
from tests.built import running_stack
from tests.cloudwatch import Metrics, alarms, lambda_metric
from tests.flows.application import Application, fresh
from tests.flows.lives import LIFE, OWNER, TAKEN, WAYS, Bus, Fault, Life
from tests.flows.scripted import TOKENS, connect
from tests.flows.scripted import scripted as running_scripted
from tools import event_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.flows.scripted import Scripted

WAITING_LONG = WAITS_FOR_BUS + 1


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of its own: a sweep does all that is due, and other tests leave hundreds behind."""
    with running_stack() as running:
        yield running


@pytest.fixture
def bus(stack: Stack) -> Iterator[Bus]:
    """Give the bus, on which nothing is yet to come of what other tests did."""
    for stream in stack.background.streams:
        stream.skip()
    yield Bus(stack)
    stack.bus.refuse = lambda _entry: None
    stack.aws_faults.clear()


@pytest.fixture
def new_life(application: Application, browser: Browser, scripted: Scripted, stack: Stack) -> Callable[[], Life]:
    """Make connections that are yet to live."""
    return lambda: Life(application, browser, scripted, stack)


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> tuple[Life, Bus]:
    """Let a connection live in which nothing fails, once for all tests; give it and what arrived of it."""
    bus = Bus(stack)
    with running_scripted() as scripted:
        life = Life(Application(stack), Browser(stack), scripted, stack)
        life.run(then=bus.catch_up)
    return life, bus


def test_a_life_is_published_in_order_and_by_the_schemas(undisturbed: tuple[Life, Bus]) -> None:
    """Each event has what `start` needs to connect again, and no secret: its fields are those of a list."""
    life, bus = undisturbed
    found = bus.of(life.connection_id)
    numbers = [event["detail"]["number"] for event in found]
    assert bus.kinds(life.connection_id) == LIFE
    assert numbers == sorted(set(numbers))
    for event in found:
        Draft202012Validator(event_schemas.schema(event["detail-type"])).validate(event["detail"])
        assert event["detail"]["start"] == {
            "provider": life.provider,
            "connection_id": life.connection_id,
            "owner": OWNER,
            "scopes": ["read", "write"],
        }
    text = json.dumps(found)
    assert not [secret for secret in ("scripted-access", "scripted-refresh", "ciphertext", "seal") if secret in text]
    assert "token_type" not in text


@pytest.mark.parametrize(
    ("number", "way"), [(0, "not done"), (3, "done, and nobody knows"), (4, "done, and tried again")]
)
def test_whatever_write_fails_each_event_comes_once_and_in_order(  # noqa: PLR0913, PLR0917 - all that lives
    undisturbed: tuple[Life, Bus],
    new_life: Callable[[], Life],
    bus: Bus,
    stack: Stack,
    number: int,
    way: str,
) -> None:
    """A write and its event are one: what was written is published, and what was not is not.

    In each life another write of every step fails, or its answer is lost, and so does every request to publish. The bus
    refuses half of what it is offered, and in the end Lambda delivers the whole stream again. `python -m
    tests.flows.lives` does this with every write in each way.
    """
    # given
    quiet, _ = undisturbed
    chance = Random(7)  # noqa: S311 - the same in each run
    stack.bus.refuse = lambda _entry: None if chance.random() < TAKEN else "ThrottlingException"
    life = new_life()

    # when
    life.run(Fault(quiet.writes, number, way), bus.catch_up)
    first = bus.of(life.connection_id)
    stack.bus.refuse = lambda _entry: None
    for stream in stack.background.streams:
        stream.again()
    bus.poll()

    # then
    assert bus.wrong_with(life.connection_id) is None
    assert bus.of(life.connection_id) == first
    assert len([each for each in bus.arrived if each["detail"]["connection_id"] == life.connection_id]) > len(first)


def test_a_life_has_all_its_writes(undisturbed: tuple[Life, Bus]) -> None:
    """Those that the tests let fail: requests, connections, leases, slots, and what is known of a client."""
    life, _ = undisturbed
    operations = {operation for step in life.writes for _, operation in step}

    assert operations == {"PutItem", "UpdateItem"}
    assert all(life.writes)
    assert sum(map(len, life.writes)) > 40


def test_a_bus_that_is_out_for_long_holds_up_the_stream_for_a_while_only(
    new_life: Callable[[], Life], bus: Bus, stack: Stack, application: Application
) -> None:
    """After a quarter of an hour its events go whole into their queue, and onto the bus when that is back."""
    # given
    life = new_life()
    stack.aws_faults.fail("events", "PutEvents")
    started = application.call("start", provider=life.provider, connection_id=life.connection_id)
    assert "authorize_url" in started
    life.connect("read write")
    stack.aws_faults.fail("events", "PutEvents")
    waiting = bus.poll()

    # when
    stack.clock.advance(WAITING_LONG)
    worked = bus.poll()
    queue = boto3.client("sqs")
    url = stack.deployment.physical["UnpublishedQueue"]
    (message,) = queue.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    stack.aws_faults.clear()
    stack.background.poll()
    bus.poll()

    # then
    assert (waiting, worked) == (0, 1)
    document = json.loads(message["Body"])
    (event,) = bus.of(life.connection_id)
    assert (event["detail-type"], event["detail"]) == (document["detail_type"], document["detail"])


@pytest.mark.parametrize("way", [None, *WAYS])
def test_an_event_that_the_bus_never_takes_holds_up_no_other(
    new_life: Callable[[], Life], bus: Bus, stack: Stack, way: str | None
) -> None:
    """It goes into the queue at once; if the queue does not take it, what comes after it waits until it does."""
    # given
    bad, good = new_life(), new_life()
    stack.bus.refuse = lambda entry: "MalformedDetail" if bad.connection_id in entry["Detail"] else None
    bad.connect("read write")
    good.connect("read write")
    if way is not None:
        stack.aws_faults.fail("sqs", "SendMessage", **WAYS[way])

    # when
    bus.catch_up()
    stack.bus.refuse = lambda _entry: None
    stack.background.poll()
    bus.poll()

    # then
    arrived = list(dict.fromkeys(event["detail"]["connection_id"] for event in bus.arrived))
    assert arrived == [good.connection_id, bad.connection_id]
    assert len({event["detail"]["id"] for event in bus.arrived}) == 2


def test_a_stream_that_stands_still_fires_an_alarm_and_one_that_goes_on_does_not(
    new_life: Callable[[], Life], bus: Bus, stack: Stack
) -> None:
    """If neither bus nor queue takes an event, Lambda hands it on again and again, and it is older each time."""
    # given
    new_life().connect("read write")
    stack.aws_faults.fail("events", "PutEvents")
    stack.aws_faults.fail("sqs", "SendMessage")
    alarm, ages, invoked = alarms()["EventsBehindAlarm"], Metrics(), 0

    # when
    for minute in range(0, 120, 5):
        # What has waited for two hours is published at last.
        if minute == 110:
            stack.aws_faults.clear()
        if bus.poll() or any(stream.is_behind for stream in stack.background.streams):
            invoked += 1
            ages.put(lambda_metric("EventsFunction", "IteratorAge"), minute, minute * 60_000)
        stack.clock.advance(300)

    # then
    fired = [minute for minute in range(150) if alarm.is_firing(ages, minute)]
    assert invoked == 23
    assert 60 < fired[0] <= 70
    assert 110 < fired[-1] <= 120
    assert [event["detail-type"] for event in bus.arrived] == ["connection.authorized"]


def test_nobody_waits_for_the_bus_or_pays_for_it(
    new_life: Callable[[], Life], stack: Stack, application: Application, aws_calls: list[AwsCall]
) -> None:
    """With a dead bus and a dead queue, `token` and the others answer as always. They call neither."""
    # given
    life = new_life()
    life.connect("read write")
    stack.aws_faults.fail("events", "PutEvents")
    stack.aws_faults.fail("sqs", "SendMessage")

    # when
    refreshed = application.refresh_later(life.connection_id)
    vended = application.call("token", connection_id=life.connection_id)
    called = {call.service for call in aws_calls}
    aws_calls.clear()
    again = application.call("token", connection_id=life.connection_id)

    # then
    assert [each["version"] for each in (refreshed, vended, again)] == [2, 2, 2]
    assert not called & {"events", "dynamodbstreams", "sqs"}
    assert [call.operation for call in aws_calls] == ["GetItem"]


def test_leases_and_refreshes_reach_no_function(
    new_life: Callable[[], Life], bus: Bus, application: Application
) -> None:
    """A refresh is two writes: neither is for anybody, unless a parameter asks for refreshes."""
    # given
    life = new_life()
    life.connect("read write")
    bus.poll()

    # when
    refreshed = application.refresh_later(life.connection_id)

    # then
    assert refreshed["version"] == 2
    assert bus.poll() == 0


def test_the_end_of_a_grant_is_announced_in_time_at_no_cost_before(
    bus: Bus, stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """A sweep finds it by its time, once: a connection that nobody uses is not looked at until then, nor afterwards."""
    # given
    scripted.answers["/token"] = TOKENS | {"refresh_token_expires_in": 40_000}
    provider = application.register(scripted.registration | {"background_refresh": "never"})
    started, _ = connect(application, browser, provider, connection_id=fresh())
    connection_id = started["connection_id"]

    # when
    kinds = []
    for seconds in (29_000, 2_000, 5_000):
        stack.clock.advance(seconds)
        stack.background.run_schedules()
        stack.background.poll()
        bus.catch_up()
        kinds.append(bus.kinds(connection_id))

    # then
    assert kinds == [["authorized"], ["authorized", "expiring"], ["authorized", "expiring"]]
    (_, event) = bus.of(connection_id)
    assert 8_000 < event["detail"]["ends_at"] - event["detail"]["at"] <= 10_000
    assert scripted.paths().count("/token") == 1
