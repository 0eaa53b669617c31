"""A stack whose functions are called from several processes, with a gate in front of its provider's endpoints."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import requests

from local.stack import Stack
from tests.browser import Browser, invoke
from tests.callers import Callers
from tests.gate import Gate
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.callers import Answer, Call

LONGER_THAN_A_TOKEN_LIVES = 3700
LONGER_THAN_A_SERVER_IS_LEFT_ALONE = 400
LONGER_THAN_A_LEASE = 40

_CROWD = 64
# The emulated account handles one request at a time, and the functions wait two seconds for an answer of AWS.
_CROWD_AT_ONE_LOCK = 24


class World:
    """What the tests of concurrency run in. The functions, the processes and the demo server have the same clock."""

    def __init__(self, stack: Stack, callers: Callers, gate: Gate, crowd: int) -> None:
        """``crowd`` is how many simultaneous callers the engine can serve before one of them times out."""
        self.stack = stack
        self.callers = callers
        self.gate = gate
        self.demo = stack.demo
        self.crowd = crowd

    def reset(self) -> None:
        """Reset the demo server and its record of requests, and open the gate."""
        self.gate.open()
        self.callers.settle()
        self.demo.reset()
        self.stack.aws_calls.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.stack.clock.advance(seconds)
        self.callers.set_clock(self.stack.clock.offset)

    def connect(self, merchant_id: str | None = None, **start_fields: Any) -> str:
        """Connect a merchant, and return the connection_id. The exchange is not among the recorded requests."""
        connection_id = Browser(self.stack, merchant_id).connect(**start_fields)
        self.demo.reset()
        return connection_id

    def start(self, **fields: Any) -> dict[str, Any]:
        """Start an authorization as the application, and return the result."""
        return invoke(self.stack, "start", {"provider": "ultracart", **fields})

    @staticmethod
    def new_id() -> str:
        """Return a connection_id that was never used."""
        return f"concurrent-{uuid.uuid4().hex}"

    def merchant_of(self, vended: dict[str, Any]) -> str:
        """Return whose access token this is, according to the authorization server."""
        headers = {"Authorization": f"Bearer {vended['access_token']}", "X-UltraCart-Api-Version": "2017-03-01"}
        answer = requests.get(f"{self.demo.url}/rest/v2/oauth/me", headers=headers, timeout=10)
        return str(answer.json()["merchant_id"])

    def connect_expired(self) -> str:
        """Connect a merchant, and let its access token expire."""
        connection_id = self.connect()
        self.advance(LONGER_THAN_A_TOKEN_LIVES)
        return connection_id

    def callback_event(self, started: dict[str, Any], merchant_id: str | None = None) -> dict[str, Any]:
        """Take a browser up to its callback, and return the event of that request (payload format 2.0) unsent."""
        browser = Browser(self.stack, merchant_id)
        callback = urlsplit(browser.consent(browser.authorize(started["authorize_url"])))
        return {
            "version": "2.0",
            "routeKey": "GET /callback/{provider}",
            "rawPath": callback.path,
            "rawQueryString": callback.query,
            "pathParameters": {"provider": callback.path.rpartition("/")[2]},
            "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
            "requestContext": {"http": {"method": "GET", "path": callback.path}},
            "isBase64Encoded": False,
        }

    def page_of(self, answer: dict[str, Any], event: dict[str, Any]) -> int:
        """Return the status of the page to which the answer to the event of a callback leads."""
        shown = event | {"rawQueryString": urlsplit(answer["headers"]["Location"]).query}
        page: dict[str, Any] = invoke(self.stack, "callback:http", shown)
        return int(page["statusCode"])

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Return what `connections` says about a connection."""
        connection: dict[str, Any] = invoke(self.stack, "connections", {"connection_id": connection_id})["connection"]
        return connection

    def item(self, connection_id: str) -> dict[str, Any]:
        """Return the stored item, in DynamoDB's own JSON."""
        table = self.stack.deployment.tables["ConnectionsTable"]
        key = {"connection_id": {"S": connection_id}}
        return dict(boto3.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"])

    def token(self, connection_id: str) -> dict[str, Any]:
        """Return the result of one call of `token`."""
        return invoke(self.stack, "token", {"connection_id": connection_id})

    def token_requests(self) -> int:
        """Return how many requests the token endpoint got."""
        return len(self.demo.requests("token"))

    def most_at_once(self) -> int:
        """Return the most token requests of one grant that ran at the same time."""
        return max((grant["max_simultaneous"] for grant in self.demo.grants()), default=0)


@contextmanager
def running_world(dynamodb_endpoint: str | None = None, processes: int = 4) -> Iterator[World]:
    """Run a stack, a gate and the calling processes. ``dynamodb_endpoint`` names another engine for the tables."""
    with Stack(dynamodb_endpoint=dynamodb_endpoint) as stack, Gate() as gate:
        registration = stack.registrations["ultracart"]
        # The longest timeout that a provider can have: answers are held until the test releases them.
        stack.registrations["ultracart"] = registration | {
            "token_endpoint": gate.before("token", registration["token_endpoint"]),
            "revocation_endpoint": gate.before("revoke", registration["revocation_endpoint"]),
            "request_timeout": 20,
        }
        lift_the_limit(stack)
        with Callers(stack.deployment.functions, processes) as callers:
            yield World(stack, callers, gate, _CROWD if dynamodb_endpoint else _CROWD_AT_ONE_LOCK)


@dataclass(frozen=True)
class Storm:
    """What many simultaneous calls resulted in. ``most_at_once`` counts requests at the token endpoint."""

    calls: int
    processes: int
    calls_under_way: int
    token_requests: int
    most_at_once: int
    distinct_answers: int
    outcomes: dict[str, int]
    seconds: float


def storm(world: World, calls: Sequence[Call]) -> tuple[Storm, list[Answer]]:
    """Make all of these calls read the same record before the authorization server's answer is released.

    Without a gate, a fast server could answer before the last call begins, and that call would show nothing.
    """
    requests_before = world.token_requests()
    world.gate.hold("refresh_token")
    volley = world.callers.begin(calls)
    world.callers.wait_until_deciding(len(calls))
    world.gate.open()
    answers = volley.answers()
    figures = Storm(
        calls=len(calls),
        processes=world.callers.processes,
        calls_under_way=_most_under_way(answers),
        token_requests=world.token_requests() - requests_before,
        most_at_once=world.most_at_once(),
        distinct_answers=len(distinct(answers)),
        outcomes=dict(Counter(answer.outcome for answer in answers)),
        seconds=round(max(answer.ended for answer in answers) - min(answer.began for answer in answers), 2),
    )
    return figures, answers


def distinct(answers: Sequence[Answer]) -> set[str]:
    """Return the different results, as JSON."""
    return {json.dumps(answer.result, sort_keys=True) for answer in answers}


def _most_under_way(answers: Sequence[Answer]) -> int:
    """Return the most calls that were running at one moment."""
    changes = sorted([(answer.began, 1) for answer in answers] + [(answer.ended, -1) for answer in answers])
    under_way = most = 0
    for _, change in changes:
        under_way += change
        most = max(most, under_way)
    return most
