"""A stack whose functions are called from several processes, with a gate before its token and revocation endpoints."""

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
# The emulated account answers one request after the other, and the functions give AWS two seconds for an answer.
_CROWD_AT_ONE_LOCK = 24


class World:
    """What the concurrency flows act in. Its clock is one for the functions, the processes and the demo server."""

    def __init__(self, stack: Stack, callers: Callers, gate: Gate, crowd: int) -> None:
        """``crowd`` is how many callers the engine can bear at once, without keeping one waiting until it gives up."""
        self.stack = stack
        self.callers = callers
        self.gate = gate
        self.demo = stack.demo
        self.crowd = crowd

    def reset(self) -> None:
        """Let the demo server work and forget what it saw, and let the gate hold nothing."""
        self.gate.open()
        self.callers.settle()
        self.demo.reset()
        self.stack.aws_calls.clear()

    def advance(self, seconds: float) -> None:
        """Move everybody's clock forward."""
        self.stack.clock.advance(seconds)
        self.callers.set_clock(self.stack.clock.offset)

    def connect(self, merchant_id: str | None = None, **start_fields: Any) -> str:
        """Connect a merchant, and return the connection_id; the exchange is not among the noted requests."""
        connection_id = Browser(self.stack, merchant_id).connect(**start_fields)
        self.demo.reset()
        return connection_id

    def start(self, **fields: Any) -> dict[str, Any]:
        """Have the application start an authorization, and return what it got."""
        return invoke(self.stack, "start", {"provider": "ultracart", **fields})

    @staticmethod
    def new_id() -> str:
        """Return a connection_id that was never used."""
        return f"concurrent-{uuid.uuid4().hex}"

    def merchant_of(self, vended: dict[str, Any]) -> str:
        """Return for whom the authorization server takes the bearer of an access token."""
        headers = {"Authorization": f"Bearer {vended['access_token']}", "X-UltraCart-Api-Version": "2017-03-01"}
        answer = requests.get(f"{self.demo.url}/rest/v2/oauth/me", headers=headers, timeout=10)
        return str(answer.json()["merchant_id"])

    def connect_expired(self) -> str:
        """Connect a merchant whose access token has expired since."""
        connection_id = self.connect()
        self.advance(LONGER_THAN_A_TOKEN_LIVES)
        return connection_id

    def callback_event(self, started: dict[str, Any], merchant_id: str | None = None) -> dict[str, Any]:
        """Go with a browser up to its callback, and return the event of that (payload format 2.0), not sent."""
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
        """Return what a single, late caller of `token` gets."""
        return invoke(self.stack, "token", {"connection_id": connection_id})

    def token_requests(self) -> int:
        """Return how many requests the token endpoint saw."""
        return len(self.demo.requests("token"))

    def most_at_once(self) -> int:
        """Return how many token requests of one grant were ever under way at once."""
        return max((grant["max_simultaneous"] for grant in self.demo.grants()), default=0)


@contextmanager
def running_world(dynamodb_endpoint: str | None = None, processes: int = 4) -> Iterator[World]:
    """Run a stack (its tables in another engine where one is named), a gate and the calling processes."""
    with Stack(dynamodb_endpoint=dynamodb_endpoint) as stack, Gate() as gate:
        registration = stack.registrations["ultracart"]
        # The longest timeout that a provider may have: an answer is held until the test lets it go.
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
    """What came of many calls at once. ``most_at_once`` are requests under way at the token endpoint."""

    calls: int
    processes: int
    calls_under_way: int
    token_requests: int
    most_at_once: int
    distinct_answers: int
    outcomes: dict[str, int]
    seconds: float


def storm(world: World, calls: Sequence[Call]) -> tuple[Storm, list[Answer]]:
    """Let all of these calls read the same record before the authorization server's answer gets out.

    Without a gate a fast server would have answered before the last call has begun, and that one proves nothing.
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
    """Return how many calls were under way at one moment."""
    changes = sorted([(answer.began, 1) for answer in answers] + [(answer.ended, -1) for answer in answers])
    under_way = most = 0
    for _, change in changes:
        under_way += change
        most = max(most, under_way)
    return most
