"""Where the crashes and outages take place: a stack on dynalite, victims in processes of their own, and a survivor.

The survivor goes by the stack's clock, and its sleep moves that clock: what it waits for is measured, not waited.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3

from functions.vault.base.timing import LEASE_MARGIN, Timing
from functions.vault.services import Services
from functions.vault.storage import aws
from local.demo import Faults
from local.gateway.invoker import Context, alias_for, load_handler
from local.stack import Stack
from tests.browser import Browser, invoke
from tests.engines import running_dynalite
from tests.torture.failing_end import FailingEnd
from tests.torture.victims import ANY, Boundary, Victims
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from functions.vault.storage.aws import ClientOf
    from local.aws.cloudformation import Function
    from local.base.clock import Clock
    from tests.torture.victims import Job, Report

PROVIDER = "demo"
"""The standards' dialect: it rotates refresh tokens, and ends a grant whose old one comes again."""

HTTP_TIMEOUT = 10
LEASE = 29 + LEASE_MARGIN
REPLAY_WINDOW, LONG_REPLAY_WINDOW = 120, 600
LONGER_THAN_A_TOKEN_LIVES = 3700
LONGER_THAN_A_REPLAY_WINDOW = 700


class _PatientServices(Services):
    def __init__(
        self, environ: Mapping[str, str], clock: Clock, client_of: ClientOf, sleep: Callable[[float], None]
    ) -> None:
        super().__init__(environ, clock=clock.now)
        self._clients = client_of
        self.timing = Timing(now=clock.now, sleep=sleep, jitter=lambda: 0.5)


class _Context(Context):
    """An invocation's context by the stack's clock."""

    def __init__(self, function: Function, clock: Clock, alias: str) -> None:
        super().__init__(function, "request-of-the-survivor", alias)
        self._clock = clock
        self._ends = clock.now() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the timeout."""
        return max(0, int((self._ends - self._clock.now()) * 1000))


@dataclass(frozen=True)
class Settled:
    """What a caller that does what ``retryable`` and ``retry_after`` say came to, and after how many seconds."""

    result: dict[str, Any]
    seconds: float
    calls: int

    @property
    def outcome(self) -> str:
        """Return the error code of a failure, ``ok`` otherwise."""
        return str(self.result.get("error", "ok"))


class Scene:
    """The stack, its failing AWS ends, the victims and the survivor."""

    def __init__(self, stack: Stack, victims: Victims, dynamodb: FailingEnd, other_aws: FailingEnd) -> None:
        self.stack = stack
        self.demo = stack.demo
        self.clock = stack.clock
        self.victims = victims
        self.dynamodb = dynamodb
        self.other_aws = other_aws
        self._sqs = boto3.client("sqs")
        self._table = boto3.client("dynamodb")
        self._secrets = boto3.client("secretsmanager")
        self._environ: dict[str, str] = {}
        for function in stack.deployment.functions.values():
            self._environ |= function.environment
        self._services = _PatientServices(self._environ, stack.clock, aws.clients(), self._sleep)
        self._meanwhile: list[Callable[[], object]] = []
        # The clock runs ahead by days, and a sweep would refresh what other cases have left behind.
        for name, document in stack.registrations.items():
            self._register(name, {**document, "background_refresh": "never"})

    # The world outside

    def reset(self, *, window: int = 0) -> None:
        """Let everything work, and the authorization server repeat its answers for ``window`` seconds."""
        self.dynamodb.recover()
        self.other_aws.recover()
        # Else whoever is interrupted would wait for what the rescue queue still holds of another case.
        self.stack.background.poll()
        self.demo.reset()
        self.set_window(window)

    def set_window(self, window: int) -> None:
        """Set the replay window, and end whatever else was wrong with the token endpoint."""
        self.demo.put_faults(Faults(endpoint="token", replay_window_seconds=window))

    def advance(self, seconds: float) -> None:
        """Move everybody's clock forward."""
        self.clock.advance(seconds)
        self.victims.set_clock(self.clock.offset)

    def connect(self, provider: str = PROVIDER) -> str:
        """Connect a merchant of its own, and return the connection_id."""
        merchant = f"M{uuid.uuid4().hex[:8]}"
        return Browser(self.stack, merchant).connect(provider, connection_id=f"of-{merchant}")

    @staticmethod
    def merchant_of(connection_id: str) -> str:
        """Return the merchant whom `connect` gave a connection of its own."""
        return connection_id.removeprefix("of-")

    def connect_expired(self, provider: str = PROVIDER) -> str:
        """Connect a merchant whose access token has expired since."""
        connection_id = self.connect(provider)
        self.advance(LONGER_THAN_A_TOKEN_LIVES)
        return connection_id

    def callback_event(self, **start_fields: Any) -> tuple[str, dict[str, Any]]:
        """Go with a browser up to its callback; return the connection_id, and the event of that (not sent)."""
        fields = {"provider": PROVIDER, "connection_id": f"c-{uuid.uuid4().hex[:12]}", **start_fields}
        started = invoke(self.stack, "start", fields)
        browser = Browser(self.stack, f"M{uuid.uuid4().hex[:8]}")
        callback = urlsplit(browser.consent(browser.authorize(started["authorize_url"])))
        event = {
            "version": "2.0",
            "routeKey": "GET /callback/{provider}",
            "rawPath": callback.path,
            "rawQueryString": callback.query,
            "pathParameters": {"provider": callback.path.rpartition("/")[2]},
            "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
            "requestContext": {"http": {"method": "GET", "path": callback.path}},
            "isBase64Encoded": False,
        }
        return str(fields["connection_id"]), event

    def page_of(self, event: dict[str, Any]) -> dict[str, Any]:
        """Send the event of a callback, and return the page to which it leads, or the redirect to the application."""
        return self.page_at(self.call("callback", event), event)

    def page_at(self, answer: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """Return the page to which the answer to a callback leads, as its browser is shown it."""
        location = urlsplit(answer["headers"].get("Location", ""))
        if not location.query.startswith("result="):
            return answer
        page: dict[str, Any] = self.call("callback", event | {"rawQueryString": location.query})
        return page

    def registered(self, **overrides: Any) -> None:
        """Change the registration of the provider, for processes that have not read it yet."""
        self._register(PROVIDER, {**self.stack.registrations[PROVIDER], "background_refresh": "never", **overrides})

    def _register(self, name: str, document: Mapping[str, Any]) -> None:
        self._secrets.put_secret_value(SecretId=f"gatehouse/providers/{name}", SecretString=json.dumps(document))

    def token_requests(self) -> list[str]:
        """Return what came of each token request since the last reset, as the server saw it."""
        return [str(seen["outcome"]) for seen in self.demo.requests("token")]

    def most_at_once(self) -> int:
        """Return how many token requests of one grant were under way at once since the last reset."""
        return max((int(grant["max_simultaneous"]) for grant in self.demo.grants()), default=0)

    def item(self, connection_id: str) -> dict[str, Any]:
        """Return the stored item, in DynamoDB's own JSON."""
        table = self.stack.deployment.tables["ConnectionsTable"]
        key = {"connection_id": {"S": connection_id}}
        return dict(self._table.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {}))

    # Those who act in it

    def victim(self, job: Job) -> Report:
        """Let a victim do a job."""
        self.victims.set_clock(self.clock.offset)
        return self.victims.run(job)

    def stopped_at(self, job: Job, call: str, side: str) -> Report:
        """Let a victim do a job until it comes to its first call of that name, and stop there (SIGSTOP)."""
        report = self.victim(replace(job, at=Boundary(ANY, side, call), signal=signal.SIGSTOP))
        assert report.stopped is not None, f"never came to {call}"
        return report

    def resume(self, report: Report) -> Report:
        """Let a stopped victim go on, by the clock as it is now."""
        self.victims.set_clock(self.clock.offset)
        return self.victims.resume(report)

    def meanwhile(self, happens: Callable[[], object]) -> None:
        """Let something happen when the survivor next waits for anything."""
        self._meanwhile.append(happens)

    def _sleep(self, seconds: float) -> None:
        self.advance(seconds)
        coming, self._meanwhile = self._meanwhile, []
        for happens in coming:
            happens()

    def call(self, function: str, event: dict[str, Any]) -> Any:
        """Let the survivor call a function once."""
        deployed = self.stack.deployment.functions[f"gatehouse-{function}"]
        return load_handler(deployed.handler).with_services(self._services)(
            event, _Context(deployed, self.clock, alias_for(event))
        )

    def settle(self, function: str, event: dict[str, Any], most: float = 600) -> Settled:
        """Let the survivor call a function until it succeeds, or gets an error that is final."""
        began, calls = self.clock.now(), 0
        while True:
            result, calls = self.call(function, event), calls + 1
            seconds = self.clock.now() - began
            if not result.get("retryable") or seconds > most:
                return Settled(result, seconds, calls)
            self.advance(result.get("retry_after", 1))

    def token(self, connection_id: str) -> Settled:
        """Let the survivor ask for a token until there is one."""
        return self.settle("token", {"connection_id": connection_id})

    def poll(self) -> None:
        """Run the schedule and work the queues off, as the stack's background does."""
        self.stack.background.run_schedules()
        self.stack.background.poll()

    def received(self, queue: str) -> list[dict[str, Any]]:
        """Take what is visible out of a queue (`rescue`, `refresh`, `revoke`), as records of an event."""
        url = self._environ[f"GATEHOUSE_{queue.upper()}_QUEUE_URL"]
        messages = self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [record(message["Body"], message["MessageId"]) for message in messages]


def record(body: str, message_id: str = "message-1") -> dict[str, Any]:
    """Return a message as SQS hands it to a function."""
    return {"eventSource": "aws:sqs", "messageId": message_id, "body": body}


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    """Return the event that brings these messages."""
    return {"Records": list(records)}


@contextmanager
def running_scene() -> Iterator[Scene]:
    """Set the scene."""
    with ExitStack() as closing:
        stack = closing.enter_context(Stack(dynamodb_endpoint=closing.enter_context(running_dynalite())))
        lift_the_limit(stack)
        dynamodb = closing.enter_context(FailingEnd(os.environ["AWS_ENDPOINT_URL_DYNAMODB"], stack.clock.now))
        other_aws = closing.enter_context(FailingEnd(stack.aws_endpoint))
        endpoints = {"AWS_ENDPOINT_URL": other_aws.url, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url}
        victims = closing.enter_context(Victims(stack.deployment.functions, endpoints))
        yield Scene(stack, victims, dynamodb, other_aws)
