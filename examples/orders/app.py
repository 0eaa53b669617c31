"""A Lambda function that reads a merchant's orders and leaves everything about tokens to Gatehouse."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ultracart import ApiClient, Configuration
from ultracart.api.order_api import OrderApi
from ultracart.exceptions import UnauthorizedException

from gatehouse import Gatehouse, GatehouseError

if TYPE_CHECKING:
    from gatehouse import Token

ULTRACART_HOST = os.environ.get("ULTRACART_HOST", "https://secure.ultracart.com/rest/v2")
LONGEST_SECONDS = 60
"""How long a call of Gatehouse may take at a terminal, where no Lambda function ends."""


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
            return self._fetch(self._gatehouse.refresh(connection_id, if_version=token.version))

    def _fetch(self, token: Token) -> list[dict[str, str]]:
        configuration = Configuration(host=self._host)
        configuration.access_token = token.access_token
        api = OrderApi(ApiClient(configuration, "X-UltraCart-Api-Version", "2017-03-01"))
        orders = api.get_orders(limit=10).orders
        return [{"order_id": order.order_id, "stage": order.current_stage} for order in orders]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer `{"connection_id": ...}` with `{"orders": [...]}`, or with `{"error": CODE}`.

    If the error is `connection_not_found`, `reauthorization_required` or `connection_revoked`, the merchant has to
    connect: call `start`, and redirect them to the `authorize_url` of its answer.
    """
    orders = Orders(Gatehouse().within(context or LONGEST_SECONDS))
    try:
        return {"orders": orders.recent(event["connection_id"])}
    except GatehouseError as error:
        return {"error": error.error}


if __name__ == "__main__":
    print(json.dumps(handler({"connection_id": sys.argv[1]}, None), indent=2))  # noqa: T201 - for the terminal
