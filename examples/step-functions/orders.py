"""A Lambda function that reads a merchant's orders with the access token that a state machine hands it."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ULTRACART_HOST = os.environ.get("ULTRACART_HOST", "https://secure.ultracart.com/rest/v2")
SECONDS = 10
UNAUTHORIZED, TOO_MANY, SERVER_ERROR = 401, 429, 500


class ApiBusy(Exception):
    """The API limits requests, or has an outage: the state machine tries this again by this name."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer with the orders, or with the status 401: what to do about a token is for the state machine to say."""
    request = Request(  # noqa: S310 - the host is ours to configure
        f"{ULTRACART_HOST}/order/orders?_limit=10",
        headers={
            "Authorization": f"{event['token_type']} {event['access_token']}",
            "X-UltraCart-Api-Version": "2017-03-01",
        },
    )
    try:
        with urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - as above
            orders = json.load(response)["orders"]
    except HTTPError as error:
        if error.code == UNAUTHORIZED:
            return {"status": UNAUTHORIZED}
        if error.code == TOO_MANY or error.code >= SERVER_ERROR:
            raise ApiBusy(f"The API answers {error.code}.") from None
        raise
    return {
        "status": 200,
        "orders": [{"order_id": each["order_id"], "stage": each["current_stage"]} for each in orders],
    }
