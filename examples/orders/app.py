"""A Lambda function that reads a merchant's orders and leaves everything about tokens to Gatehouse."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from ultracart import ApiClient, Configuration
from ultracart.api.order_api import OrderApi
from ultracart.exceptions import UnauthorizedException

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_lambda import LambdaClient

ULTRACART_HOST = os.environ.get("ULTRACART_HOST", "https://secure.ultracart.com/rest/v2")
STACK = os.environ.get("GATEHOUSE_STACK", "gatehouse")

_ATTEMPTS = 3
_LONGEST_PAUSE_SECONDS = 5


class GatehouseError(Exception):
    """Gatehouse returned no token; `code` is one of its error codes.

    If it is `connection_not_found`, `reauthorization_required` or `connection_revoked`, the merchant has to connect:
    invoke `gatehouse-start:live`, and redirect them to the `authorize_url` of its answer.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code


@dataclass(frozen=True)
class AccessToken:
    """An access token, and the version of the token set that it belongs to."""

    value: str = field(repr=False)
    version: int


class Gatehouse:
    """The two functions of Gatehouse that you need to call a provider's API."""

    def __init__(self, client: LambdaClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep

    def token(self, connection_id: str) -> AccessToken:
        """Return an access token that is valid for at least a minute. Raises GatehouseError."""
        return self._ask("token", {"connection_id": connection_id, "min_ttl": 60})

    def refresh(self, connection_id: str, rejected: AccessToken) -> AccessToken:
        """Return another access token than `rejected`. Raises GatehouseError.

        `if_version` makes this safe for any number of callers: the first one refreshes, and the others get its token.
        """
        return self._ask("refresh", {"connection_id": connection_id, "if_version": rejected.version})

    def _ask(self, function: str, payload: dict[str, Any]) -> AccessToken:
        """Invoke a function, and again while Gatehouse says that this may help."""
        answer = self._invoke(function, payload)
        for _ in range(_ATTEMPTS - 1):
            if not answer.get("retryable"):
                break
            self._sleep(min(answer.get("retry_after", 1), _LONGEST_PAUSE_SECONDS))
            answer = self._invoke(function, payload)
        if "error" in answer:
            raise GatehouseError(answer["error"], answer["error_description"])
        return AccessToken(answer["access_token"], answer["version"])

    def _invoke(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        response = self._client.invoke(FunctionName=f"{STACK}-{function}:live", Payload=json.dumps(payload).encode())
        answer: dict[str, Any] = json.load(response["Payload"])
        if response.get("FunctionError"):
            # Not an answer of Gatehouse's: the function ran out of time or has a defect.
            raise GatehouseError("server_error", answer.get("errorType", "unknown"))
        return answer


class Orders:
    """Reads orders. It knows UltraCart's API, and of OAuth only that a token can be rejected."""

    def __init__(self, gatehouse: Gatehouse, host: str = ULTRACART_HOST) -> None:
        self._gatehouse = gatehouse
        self._host = host

    def recent(self, connection_id: str) -> list[dict[str, str]]:
        """Return the merchant's latest orders. Raises GatehouseError, or the SDK's ApiException."""
        token = self._gatehouse.token(connection_id)
        try:
            return self._fetch(token)
        except UnauthorizedException:
            # The token was revoked at UltraCart before it expired. Try once with another one: a second 401 is final.
            return self._fetch(self._gatehouse.refresh(connection_id, token))

    def _fetch(self, token: AccessToken) -> list[dict[str, str]]:
        configuration = Configuration(host=self._host)
        configuration.access_token = token.value
        api = OrderApi(ApiClient(configuration, "X-UltraCart-Api-Version", "2017-03-01"))
        orders = api.get_orders(limit=10).orders
        return [{"order_id": order.order_id, "stage": order.current_stage} for order in orders]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer `{"connection_id": ...}` with `{"orders": [...]}`, or with `{"error": CODE}`."""
    orders = Orders(Gatehouse(boto3.client("lambda")))
    try:
        return {"orders": orders.recent(event["connection_id"])}
    except GatehouseError as error:
        return {"error": error.code}


if __name__ == "__main__":
    print(json.dumps(handler({"connection_id": sys.argv[1]}, None), indent=2))  # noqa: T201 - for the terminal
