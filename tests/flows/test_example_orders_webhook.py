"""The example under examples/orders-webhook: what a webhook announces is read, and what fails comes again in time."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from samtranslator.yaml_helper import yaml_parse

from gatehouse import NoAnswer, ReauthorizationRequired, TemporarilyUnavailable
from local.demo import Faults
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser

FOLDER = ROOT / "examples" / "orders-webhook"
RESOURCES: dict[str, Any] = yaml_parse((FOLDER / "template.yaml").read_text(encoding="utf-8"))["Resources"]
ORDER = "202601010001"


class Context:
    """What Lambda hands a function beside the event."""

    def __init__(self, seconds: float = RESOURCES["OrdersFunction"]["Properties"]["Timeout"]) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left."""
        return int(self._seconds * 1000)


class Queue:
    """The queue of the template in the emulated account, which calls the function as Lambda does."""

    def __init__(self, app: ModuleType) -> None:
        self._app = app
        self._sqs = boto3.client("sqs")
        properties = RESOURCES["Announced"]["Properties"]
        attributes = {"VisibilityTimeout": str(properties["VisibilityTimeout"])}
        self.url = self._sqs.create_queue(QueueName="orders-announced", Attributes=attributes)["QueueUrl"]

    def announce(self, *merchants: str) -> None:
        """Put in a message for each merchant, as UltraCart documents it."""
        for merchant in merchants:
            order = {"merchant_id": merchant, "order_id": f"{merchant}-{ORDER}", "current_stage": "as it was"}
            self._sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps([{"order_create": order}]))

    def work_off(self, context: Context | None = None) -> tuple[int, int]:
        """Hand the function what is visible, and delete what it has done; return how many came, and how many failed."""
        received = self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"])
        messages = received.get("Messages", [])
        records = [
            {
                "messageId": each["MessageId"],
                "receiptHandle": each["ReceiptHandle"],
                "body": each["Body"],
                "attributes": each["Attributes"],
            }
            for each in messages
        ]
        answer = self._app.handler({"Records": records}, context or Context())
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for each in messages:
            if each["MessageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
        return len(messages), len(failed)

    def delete(self) -> None:
        """Delete the queue."""
        self._sqs.delete_queue(QueueUrl=self.url)


@pytest.fixture
def app(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the example as Lambda does: it is a folder to copy, and its name is none of a package."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", stack.local_url)
    monkeypatch.setenv("ULTRACART_HOST", f"{stack.demo.url}/rest/v2")
    specification = importlib.util.spec_from_file_location("orders_webhook", FOLDER / "webhook.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def queue(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """Give the queue."""
    made = Queue(app)
    monkeypatch.setenv("QUEUE_URL", made.url)
    yield made
    made.delete()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what the function has logged: the stack's functions log here, too, with a level."""
    read = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return [line for line in read if "level" not in line]


def test_what_was_announced_is_read_and_only_what_failed_comes_again(
    queue: Queue, demo: DemoServer, new_browser: Callable[..., Browser], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two merchants one is connected: that one's order is read as it is now, and its message is gone."""
    new_browser("WEBHOOK").connect(connection_id="WEBHOOK")
    capsys.readouterr()
    queue.announce("WEBHOOK", "NOBODY")

    worked = queue.work_off()

    read, failed = lines(capsys)
    assert worked == (2, 1)
    assert read == {"order_id": f"WEBHOOK-{ORDER}", "stage": "Completed Order"}
    assert (failed["failed_with"], failed["again_in"]) == ("ConnectionNotFound", 3600)
    assert queue.work_off() == (0, 0)
    assert [seen["answer"] for seen in demo.requests("api")] == [200]


def test_an_outage_is_waited_for_in_the_queue(
    queue: Queue,
    stack: Stack,
    demo: DemoServer,
    new_browser: Callable[..., Browser],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither the provider's wish to be left alone nor the API's is overheard, and the message is not lost."""
    new_browser("OUTAGE").connect(connection_id="OUTAGE")
    queue.announce("OUTAGE", "OUTAGE")
    capsys.readouterr()

    # The first order meets an API that wants to be left alone, the second one is read with another token after a 401.
    demo.put_faults(Faults("api", status=503, retry_after=77, times=1), Faults("api", status=401, times=1))
    stack.clock.advance(60)
    worked = queue.work_off()

    given_back, read = lines(capsys)
    assert worked == (2, 1)
    assert (given_back["failed_with"], given_back["again_in"]) == ("HTTPError", 77)
    assert read["order_id"] == f"OUTAGE-{ORDER}"
    assert [seen["outcome"] for seen in demo.requests("token")] == ["issued", "refreshed"]


def test_a_message_that_there_is_no_time_for_comes_again(
    queue: Queue, app: ModuleType, demo: DemoServer, new_browser: Callable[..., Browser]
) -> None:
    """Lambda would end it in the middle. It comes when its pause is over, which is before the queue's own time."""
    new_browser("LATER").connect(connection_id="LATER")
    queue.announce("LATER")
    vars(app)["SHORTEST_PAUSE"] = 0

    worked = queue.work_off(Context(app.NEEDED_SECONDS - 1))
    begun = demo.requests("api")
    later = queue.work_off()

    assert (worked, begun) == ((1, 1), [])
    assert (later, [seen["answer"] for seen in demo.requests("api")]) == ((1, 0), [200])


def answered(status: int, **headers: str) -> requests.HTTPError:
    """Return what requests raises for an answer of the API."""
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    ("error", "received", "seconds"),
    [
        (TemporarilyUnavailable("x", retry_after=2), 1, 30),
        (TemporarilyUnavailable("x", retry_after=2), 3, 120),
        (TemporarilyUnavailable("x", retry_after=95.2), 1, 96),
        (TemporarilyUnavailable("x", retry_after=100_000), 1, 43_000),
        (NoAnswer("x"), 30, 3600),
        (ReauthorizationRequired("x"), 1, 3600),
        (answered(429, Retry_After="45"), 1, 45),
        (answered(503, Retry_After="Sun, 29 Nov 2026 12:00:00 GMT"), 2, 60),
        (answered(404), 1, 3600),
        (requests.ConnectionError(), 1, 30),
        (KeyError("order_id"), 1, 3600),
    ],
)
def test_what_passes_comes_sooner_than_what_a_person_has_to_mend(
    app: ModuleType, error: Exception, received: int, seconds: int
) -> None:
    """No pause is shorter than what was asked for, and none is longer than SQS takes."""
    assert app.pause(error, received) == seconds


def test_both_forms_of_a_payload_are_read(app: ModuleType) -> None:
    """An order that is announced twice is read once, and what is not about an order is passed over."""
    order = {"merchant_id": "A", "order_id": "A-1"}
    events = [{"order_create": order}, {"order_update": order}, {"item_create": {"merchant_item_id": "x"}}]

    assert app.announced(json.dumps(events)) == app.announced(json.dumps({"events": events})) == {("A", "A-1")}
    assert app.announced("[]") == set()


def test_the_day_that_a_merchant_has_is_in_the_template(app: ModuleType) -> None:
    """The pauses of all deliveries of a message are a day or more, and SQS keeps it for longer."""
    properties = RESOURCES["Announced"]["Properties"]
    times = properties["RedrivePolicy"]["maxReceiveCount"]
    pauses = sum(app.pause(NoAnswer("x"), received) for received in range(1, times + 1))

    assert 86_400 <= pauses < properties["MessageRetentionPeriod"]
    assert sum([app.LONGEST_PAUSE] * times) < properties["MessageRetentionPeriod"]
    assert RESOURCES["OrdersFunction"]["Properties"]["Timeout"] * 6 <= properties["VisibilityTimeout"]
