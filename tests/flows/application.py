"""An application in the owner's account, and what its owner can look up there: registrations, records, counts."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import requests

from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.services import Services
from local.aws.marked_calls import calls_of
from local.gateway.payload import Match
from local.gateway.payload import event as http_api_event
from tests import contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from werkzeug.wrappers import Request

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack

TIMEOUT = 60
TOKEN_KEYS = {
    "connection_id",
    "provider",
    "access_token",
    "token_type",
    "expires_at",
    "scope",
    "version",
    "subject",
    "metadata",
}
FAILURE_KEYS = {"error", "error_description", "retryable"}


class Application:
    """Calls the functions as other functions do, by Invoke, or as callers in other clouds do, by HTTP."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lambda = stack.lambda_client()

    def call(self, function: str, /, **fields: Any) -> dict[str, Any]:
        """Invoke a function with a JSON object; one that raised fails the test."""
        answer = self.invoke(function, fields)
        assert isinstance(answer, dict), answer
        return answer

    def refresh_later(self, connection_id: str, **fields: Any) -> dict[str, Any]:
        """Call `refresh` when the token set is no longer one of a moment ago, which would be returned as it is."""
        self._stack.clock.advance(JUST_OBTAINED)
        return self.call("refresh", connection_id=connection_id, **fields)

    def invoke(self, function: str, payload: Any) -> Any:
        """Invoke a function with any JSON value; one that raised fails the test."""
        answer = self._lambda.invoke(FunctionName=f"gatehouse-{function}", Payload=json.dumps(payload))
        document = json.load(answer["Payload"])
        assert answer.get("FunctionError") is None, document
        contracts.require(function, payload, document)
        return document

    def post(self, function: str, body: Any) -> requests.Response:
        """`POST /v1/{function}`; `body` is sent as JSON, or as it is if it is text or bytes."""
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return requests.post(
            f"{self._stack.base_url}/v1/{function}",
            data=data,
            headers={"Content-Type": "application/json"},
            timeout=TIMEOUT,
        )

    def register(self, registration: Mapping[str, Any] | str) -> str:
        """Store a registration (or, to see what happens, any text) as a provider of a new name, which is returned."""
        name = fresh("provider")
        document = registration if isinstance(registration, str) else json.dumps(registration)
        boto3.client("secretsmanager").create_secret(Name=f"gatehouse/providers/{name}", SecretString=document)
        return name

    def register_again(self, name: str, registration: Mapping[str, Any]) -> None:
        """Write another registration over one; functions read it within minutes."""
        document = json.dumps(registration)
        boto3.client("secretsmanager").put_secret_value(SecretId=f"gatehouse/providers/{name}", SecretString=document)

    def connection_item(self, connection_id: str) -> dict[str, Any] | None:
        """Return the stored connection, attribute by attribute."""
        return self._item("connections", {"connection_id": {"S": connection_id}})

    def request_item(self, request_id: str) -> dict[str, Any] | None:
        """Return the stored authorization request, attribute by attribute."""
        return self._item("authorizations", {"request_id": {"S": request_id}})

    def _item(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        answer = boto3.client("dynamodb").get_item(TableName=table_name(self._stack, table), Key=key)
        item: dict[str, Any] | None = answer.get("Item")
        return item


class Owner:
    """Registers at providers of the catalogue: writes secrets under their names."""

    def __init__(self) -> None:
        self._secrets = boto3.client("secretsmanager")
        self._names: list[str] = []

    def registers(self, name: str, **registration: Any) -> None:
        """Write the registration of the provider of that name."""
        document = json.dumps({"client_id": "scripted-client", "client_secret": "scripted-secret", **registration})
        self._secrets.create_secret(Name=f"gatehouse/providers/{name}", SecretString=document)
        self._names.append(name)

    def leave(self) -> None:
        """Delete what was written."""
        for name in self._names:
            self._secrets.delete_secret(SecretId=f"gatehouse/providers/{name}", ForceDeleteWithoutRecovery=True)


def table_name(stack: Stack, table: str) -> str:
    """Return the physical name of the table `connections` or `authorizations`, from a function that uses it."""
    environment = stack.deployment.functions["gatehouse-callback"].environment
    return environment[f"GATEHOUSE_{table.upper()}_TABLE"]


def fresh(kind: str = "connection") -> str:
    """Return an id that no other test uses."""
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def request_id_of(started: Mapping[str, Any]) -> str:
    """Return the id of the authorization request behind what `start` answered."""
    return ticket_of(started).partition(".")[0]


def ticket_of(started: Mapping[str, Any]) -> str:
    """Return the ticket in what `start` answered."""
    return str(started["authorize_url"]).rpartition("/")[2]


def writes(calls: Iterable[AwsCall]) -> list[str]:
    """Return the operations among `calls` that change something."""
    return [call.operation for call in calls if call.operation.startswith(("Put", "Update", "Delete", "Create"))]


def operations(calls: Iterable[AwsCall]) -> list[str]:
    """Return the operations of `calls`, in order."""
    return [call.operation for call in calls]


def token_requests(demo: DemoServer) -> int:
    """Return how many requests reached the token endpoint."""
    return len(demo.requests("token"))


def browser_event(request: Request, route_key: str, **path: str) -> dict[str, Any]:
    """Return the HTTP API's event for a request, for handlers in services that the stack does not serve."""
    match = Match(route_key, path, is_signed=route_key.startswith("POST /v1/"))
    return http_api_event(request, match, 0, "000000000000")


class Context:
    """What a handler asks of Lambda's context."""

    aws_request_id = "request-of-a-test"
    function_name = "gatehouse-test"

    def __init__(self, remaining_seconds: float = 29, alias: str = "live", *, a_look_takes: float = 0) -> None:
        """``alias`` is what was called: `http` by the HTTP API. Each look at the time may take seconds of it."""
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}:{alias}"
        self._ends = time.monotonic() + remaining_seconds
        self._a_look_takes = a_look_takes

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left."""
        self._ends -= self._a_look_takes
        return max(0, int((self._ends - time.monotonic()) * 1000))


def with_services(stack: Stack, handler: Any, **environment: str) -> Callable[[Any, Context], Any]:
    """Return a handler with cold services of its own on the stack's tables, and some of its environment changed."""
    whole: dict[str, str] = {}
    for function in stack.deployment.functions.values():
        whole |= function.environment
    with calls_of(f"functions.{handler.name}.handler"):
        services = Services.from_environ(whole | environment, clock=stack.clock.now)
    answer: Callable[[Any, Context], Any] = handler.with_services(services)
    return answer
