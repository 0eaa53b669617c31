"""What is published of a connection's life: everything, in order, under one id each, and at nobody's expense."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from jsonschema import Draft202012Validator
from werkzeug.wrappers import Response

from functions.vault.usecases.publishing import WAITS_FOR_BUS
from tests.built import running_stack
from tests.cloudwatch import Metrics, alarms, lambda_metric
from tests.flows.application import fresh
from tests.flows.scripted import TOKENS, connect
from tools import event_schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

UNAVAILABLE = Response("", 503)
REFUSED = Response('{"error": "invalid_grant"}', 400, content_type="application/json")
WAITING_LONG = WAITS_FOR_BUS + 1

LIFE = [
    "authorized",
    "scope_missing",
    "degraded",
    "recovered",
    "reauthorization_required",
    "authorized",
    "revoking",
    "revoked",
]
"""What the life below is to bring."""


class Bus:
    """The event bus of the stack, as a reader of it sees it: each event at its first coming."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen = len(stack.bus.events)
        self.arrived: list[dict[str, Any]] = []

    def poll(self) -> int:
        """Let Lambda read the stream once, and take what is published."""
        done = self._stack.background.poll_streams()
        self.arrived += self._stack.bus.events[self._seen :]
        self._seen = len(self._stack.bus.events)
        return done

    def catch_up(self) -> None:
        """Let Lambda read until nothing has to come again."""
        self.poll()
        while any(stream.is_behind for stream in self._stack.background.streams):
            self.poll()

    def of(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the events of a connection in the order in which they came first, each once."""
        first = {event["detail"]["id"]: event for event in reversed(self.arrived)}
        found = {
            each["detail"]["id"]: None for each in self.arrived if each["detail"]["connection_id"] == connection_id
        }
        return [first[each] for each in found]

    def kinds(self, connection_id: str) -> list[str]:
        """Return what happened to a connection."""
        return [event["detail-type"].removeprefix("connection.") for event in self.of(connection_id)]


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


class Life:
    """A connection that goes through everything, whatever fails on the way: each step is repeated until it is done."""

    def __init__(self, application: Application, browser: Browser, scripted: Scripted, stack: Stack) -> None:
        self._application, self._browser, self._scripted, self._stack = application, browser, scripted, stack
        registration = scripted.registration | {"scopes": ["read", "write"]}
        self.provider = application.register(registration)
        self.connection_id = fresh()
        self._fault: dict[str, Any] | None = None
        self._then: Callable[[], Any] = lambda: None

    def run(self, fault: dict[str, Any] | None = None, then: Callable[[], Any] = lambda: None) -> None:
        """Connect with too little, fail, recover, die, connect again, and be revoked.

        `fault` is how writes fail at the first try of each step, and `then` is called after each try.
        """
        self._fault, self._then = fault, then
        self.connect("read")
        self._refresh(UNAVAILABLE, lambda seen: seen["failure"] is not None)
        self._refresh(TOKENS | {"scope": "read"}, lambda seen: seen["failure"] is None)
        self._refresh(REFUSED, lambda seen: seen["status"] == "reauthorization_required")
        self.connect("read write")
        self._scripted.answers["/revoke"] = {}
        self._until(lambda seen: seen["status"] == "revoked", lambda: self._call("revoke"))

    def connect(self, scope: str) -> None:
        """Connect the account, which is granted this."""
        self._scripted.answers["/token"] = TOKENS | {"scope": scope}
        version = self._seen().get("version", 0)
        self._until(
            lambda seen: seen.get("version", 0) > version and seen["status"] == "active",
            lambda: connect(self._application, self._browser, self.provider, connection_id=self.connection_id),
        )

    def _refresh(self, answer: Any, is_done: Callable[[dict[str, Any]], bool]) -> None:
        self._scripted.answers["/token"] = answer
        self._until(is_done, lambda: self._call("refresh"))

    def _until(self, is_done: Callable[[dict[str, Any]], bool], step: Callable[[], Any]) -> None:
        for number in range(10):
            # Past every pause and lease, and past the look at a dead grant that a caller has.
            self._stack.clock.advance(400)
            if self._fault is not None and number == 0:
                self._stack.aws_faults.fail("dynamodb", "UpdateItem", **self._fault)
            step()
            self._stack.aws_faults.clear()
            self._stack.background.poll()
            self._then()
            if is_done(self._seen()):
                return
        raise AssertionError("a step never came to its end")

    def _seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = self._call("connections").get("connection", {})
        return seen

    def _call(self, function: str) -> dict[str, Any]:
        return self._application.call(function, connection_id=self.connection_id)


@pytest.fixture
def new_life(application: Application, browser: Browser, scripted: Scripted, stack: Stack) -> Callable[[], Life]:
    """Make connections that are yet to live."""
    return lambda: Life(application, browser, scripted, stack)


def test_a_life_is_published_in_order_and_by_the_schemas(new_life: Callable[[], Life], bus: Bus) -> None:
    """Each event has what `start` needs to connect again, and no secret: its fields are those of a list."""
    # given
    life = new_life()

    # when
    life.run()
    bus.poll()

    # then
    found = bus.of(life.connection_id)
    numbers = [event["detail"]["number"] for event in found]
    assert bus.kinds(life.connection_id) == LIFE
    assert numbers == sorted(set(numbers))
    for event in found:
        Draft202012Validator(event_schemas.schema(event["detail-type"])).validate(event["detail"])
        assert event["detail"]["start"] == {
            "provider": life.provider,
            "connection_id": life.connection_id,
            "scopes": ["read", "write"],
        }
    text = json.dumps(found)
    assert not [secret for secret in ("scripted-access", "scripted-refresh", "ciphertext", "seal") if secret in text]
    assert "token_type" not in text


def test_whatever_write_fails_each_event_comes_once_and_in_order(
    new_life: Callable[[], Life], bus: Bus, stack: Stack
) -> None:
    """A write and its event are one: what was written is published, and what was not is not.

    In each life another write of every step fails, or its answer is lost. The bus refuses half of what it is offered,
    and in the end Lambda delivers the whole stream again.
    """
    chance = Random(7)  # noqa: S311 - the same in each run
    stack.bus.refuse = lambda _entry: None if chance.random() < 0.5 else "ThrottlingException"
    lives = [new_life() for _ in range(3)]
    for number, life in enumerate(lives):
        act = number == 1
        life.run({"times": 2 - act, "after": number, "act": act}, bus.catch_up)
    first = {life.connection_id: bus.of(life.connection_id) for life in lives}
    for stream in stack.background.streams:
        stream.again()
    stack.bus.refuse = lambda _entry: None
    bus.poll()

    for life in lives:
        found = bus.of(life.connection_id)
        numbers = [event["detail"]["number"] for event in found]
        assert found == first[life.connection_id]
        assert numbers == sorted(set(numbers))
        # A step that is taken again may fail and recover more often.
        assert [kind for kind in bus.kinds(life.connection_id) if kind not in {"degraded", "recovered"}] == [
            kind for kind in LIFE if kind not in {"degraded", "recovered"}
        ]


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


def test_an_event_that_the_bus_never_takes_holds_up_no_other(
    new_life: Callable[[], Life], bus: Bus, stack: Stack
) -> None:
    """It goes into the queue at once."""
    # given
    bad, good = new_life(), new_life()
    stack.bus.refuse = lambda entry: "MalformedDetail" if bad.connection_id in entry["Detail"] else None

    # when
    bad.connect("read write")
    good.connect("read write")
    worked = bus.poll()
    stack.bus.refuse = lambda _entry: None
    stack.background.poll()
    bus.poll()

    # then
    assert worked == 2
    assert [event["detail"]["connection_id"] for event in bus.arrived] == [good.connection_id, bad.connection_id]


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
