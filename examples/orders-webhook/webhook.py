"""A Lambda function that reads the orders that UltraCart's webhook announces. SQS calls it with batches of messages."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import requests

from gatehouse import Gatehouse, GatehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

ULTRACART_HOST = os.environ.get("ULTRACART_HOST", "https://secure.ultracart.com/rest/v2")
EVENTS = ("order_create", "order_update")
"""What is worked off of all that a webhook can announce."""

GATEHOUSE_SECONDS = 20
"""For all that one order needs of Gatehouse: what passes within seconds is waited for, everything else goes back."""
API_SECONDS = 10
NEEDED_SECONDS = GATEHOUSE_SECONDS + 2 * API_SECONDS
SHORTEST_PAUSE, LONGEST_PAUSE = 30, 3600
MOST_THAT_SQS_TAKES = 43_000

Pair = tuple[str, str]
"""A merchant's id, and the id of an order."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Work off each message on its own. What failed comes again, and nothing else does."""
    gatehouse = Gatehouse()
    again = []
    for record in event["Records"]:
        try:
            for merchant_id, order_id in announced(record["body"]):
                _require_time(context)
                work(read(gatehouse, merchant_id, order_id))
        except Exception as error:  # noqa: BLE001 - one message must not bring back the others
            seconds = pause(error, int(record["attributes"]["ApproximateReceiveCount"]))
            _give_back(record, seconds)
            again.append({"itemIdentifier": record["messageId"]})
            # The class alone: who reads a log does not need to know what an answer had in it.
            _log(message_id=record["messageId"], failed_with=type(error).__name__, again_in=seconds)
    return {"batchItemFailures": again}


def work(order: dict[str, Any]) -> None:
    """Do what your application does. SQS may bring a message twice, and UltraCart an event."""
    _log(order_id=order["order_id"], stage=order["current_stage"])


def connection_of(merchant_id: str) -> str:
    """Return the connection of a merchant. Your application knows it; here it has the merchant's id."""
    return merchant_id


def announced(body: str) -> set[Pair]:
    """Return which orders a message is about.

    UltraCart documents an array of objects, each with one event's name and object; a sample of others reads them from
    `events`.
    """
    document = json.loads(body)
    events: list[dict[str, Any]] = document["events"] if isinstance(document, dict) else document
    return set(_orders(events))


def _orders(events: list[dict[str, Any]]) -> Iterator[Pair]:
    for event in events:
        for name in EVENTS:
            if name in event:
                yield str(event[name]["merchant_id"]), str(event[name]["order_id"])


def read(gatehouse: Gatehouse, merchant_id: str, order_id: str) -> dict[str, Any]:
    """Return the order as it is now: what was announced may be old. Raises GatehouseError or RequestException."""
    auth = gatehouse.within(GATEHOUSE_SECONDS).auth_for(connection_of(merchant_id))
    response = requests.get(
        f"{ULTRACART_HOST}/order/orders/{quote(order_id, safe='')}",
        headers={"X-UltraCart-Api-Version": "2017-03-01"},
        auth=auth,
        timeout=API_SECONDS,
    )
    response.raise_for_status()
    order: dict[str, Any] = response.json()["order"]
    return order


def pause(error: Exception, received: int) -> int:
    """Return in how many seconds a message comes again that has been received so often.

    An outage gets pauses that grow from half a minute to an hour, and no shorter ones than it asks for. What only a
    person can mend is tried once an hour: a merchant who connects again misses nothing.
    """
    if isinstance(error, GatehouseError):
        passes, asked = error.retryable, error.retry_after
    elif isinstance(error, requests.RequestException):
        passes, asked = _passes(error.response)
    else:
        passes, asked = isinstance(error, TimeoutError), None
    growing = min(SHORTEST_PAUSE * 2 ** (received - 1), LONGEST_PAUSE) if passes else LONGEST_PAUSE
    return min(max(growing, math.ceil(asked or 0)), MOST_THAT_SQS_TAKES)


def _passes(response: requests.Response | None) -> tuple[bool, float | None]:
    """Return whether a failure of the API may pass, and how many seconds it wants to be left alone for."""
    if response is None:
        return True, None
    asked = response.headers.get("Retry-After", "")
    is_busy = response.status_code == requests.codes.too_many_requests
    return is_busy or response.status_code >= requests.codes.server_error, float(asked) if asked.isdecimal() else None


def _require_time(context: Any) -> None:
    """Begin nothing that Lambda would end in the middle: the messages that are done would come again, too."""
    if context.get_remaining_time_in_millis() < NEEDED_SECONDS * 1000:
        raise TimeoutError


def _give_back(record: dict[str, Any], seconds: int) -> None:
    """Let SQS bring a message again in so many seconds, and not when the queue's own time is over."""
    boto3.client("sqs").change_message_visibility(
        QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=seconds
    )


def _log(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)  # noqa: T201 - the log
