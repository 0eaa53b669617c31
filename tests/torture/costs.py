"""`python -m tests.torture.costs`: what 10 million connections cost a month, from counted calls. See docs/scale.md.

The calls and the sizes are counted on the stack; prices and durations are what is assumed, and named as such.
"""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3

from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.grant.upkeep import ASSUMED_IDLE_SECONDS
from local.stack import Stack
from tests.browser import Browser, invoke
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from local.aws.call import FunctionCall

CONNECTIONS = 10_000_000
SECONDS_A_MONTH = 30 * 86400

PRICES = {
    "dynamodb read": 0.125e-6,
    "dynamodb write": 0.625e-6,
    "dynamodb GB-month": 0.25,
    "kms": 0.03 / 10_000,
    "sqs": 0.50e-6,
    "lambda request": 0.20e-6,
    "lambda GB-s": 0.0000133334,
    "logs GB": 0.50,
}
"""Dollars in us-east-1, on demand, without free tiers or discounts; where each was read is in docs/scale.md."""

MEMORY_GB = 0.5
SECONDS = {"token": 0.010, "refresh": 0.5}
"""Billed seconds of an invocation, assumed: a read of DynamoDB; a server that answers in less than half a second."""

LOG_BYTES = 700
"""Bytes in the log for an invocation, assumed: our line (about 250) and Lambda's own three."""

LARGER_TOKENS = 1_500
"""Bytes by which an item is taken to be larger than the counted one, whose tokens are short: many are JWTs."""

SQS_REQUESTS = 3
"""Requests for each message: sent, received, deleted."""

IN_LISTED = {"listed_in", "listed_as", "summary"}
"""What the index `listed` has of a connection. A write that changes none of it is no write to the index."""

_KB = 1024


@dataclass
class Counted:
    """Calls of AWS by what made them, in a warm environment; and the size of an item, to the next hundred bytes.

    `listed` counts those writes that change what the index `listed` has of a connection.
    """

    calls: dict[str, Counter[str]] = field(default_factory=dict)
    listed: Counter[str] = field(default_factory=Counter)
    item_bytes: int = 0


def counted(stack: Stack) -> Counted:
    """Go through a connection's life once on the stack, and count."""
    result = Counted()
    browser = Browser(stack)

    of_the_index: list[FunctionCall] = []

    def watch(made: FunctionCall) -> None:
        if IN_LISTED & {*made.parameters.get("ExpressionAttributeNames", {}).values()}:
            of_the_index.append(made)

    stack.aws_watchers.append(watch)

    def count(name: str, work: Callable[[], object]) -> None:
        stack.aws_calls.clear()
        of_the_index.clear()
        work()
        result.listed[name] = len(of_the_index)
        calls = Counter(f"{call.service} {call.operation}" for call in stack.aws_calls)
        result.calls[name] = Counter({call: n for call, n in calls.items() if not call.startswith("secrets")})

    connection_id = browser.connect("demo", owner="customer-12345678")
    token = {"connection_id": connection_id}
    count("token, first in an environment", lambda: invoke(stack, "token", token))
    count("token", lambda: invoke(stack, "token", token))
    another = browser.connect("demo")
    stack.clock.advance(3700)
    _note(stack, "token", another)
    count("token that refreshes", lambda: invoke(stack, "token", token))
    result.item_bytes = round(_size(_item(stack, connection_id)), -2)
    stack.clock.advance(0.71 * ASSUMED_IDLE_SECONDS)
    another = browser.connect("demo")
    stack.clock.advance(JUST_OBTAINED)
    _note(stack, "refresh", another)
    count("sweep with one due", stack.background.run_schedules)
    count("refresh from the queue", stack.background.poll)
    stack.background.run_schedules()
    count("sweep with nothing due", stack.background.run_schedules)
    count("revoke", lambda: invoke(stack, "revoke", token))
    return result


def _note(stack: Stack, function: str, connection_id: str) -> None:
    """Have an environment note that the client is answered, as it does every ten minutes: none of the others does."""
    invoke(stack, function, {"connection_id": connection_id})
    invoke(stack, "revoke", {"connection_id": connection_id})


def _item(stack: Stack, connection_id: str) -> dict[str, Any]:
    key = {"connection_id": {"S": connection_id}}
    return dict(
        boto3.client("dynamodb").get_item(TableName=stack.deployment.tables["ConnectionsTable"], Key=key)["Item"]
    )


def _size(item: Mapping[str, Any]) -> int:
    """Return the bytes that DynamoDB counts for an item: names, values, a number by its digits, 3 for a map or list."""
    return sum(len(name) + _size_of(value) for name, value in item.items())


def _size_of(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + sum(1 + len(name) + _size_of(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + _size_of(entry) for entry in content)
    if kind == "N":
        return math.ceil(len(content) / 2) + 1
    return 1 if kind == "BOOL" else len(content)


@dataclass(frozen=True)
class Units:
    """What an operation is billed for."""

    reads: float = 0
    writes: float = 0
    kms: float = 0
    sqs: float = 0
    invocations: float = 0
    seconds: float = 0

    def dollars(self) -> float:
        """Return what it costs."""
        return (
            self.reads * PRICES["dynamodb read"]
            + self.writes * PRICES["dynamodb write"]
            + self.kms * PRICES["kms"]
            + self.sqs * PRICES["sqs"]
            + self.invocations * (PRICES["lambda request"] + LOG_BYTES / 1e9 * PRICES["logs GB"])
            + self.seconds * MEMORY_GB * PRICES["lambda GB-s"]
        )


def units(found: Counted) -> dict[str, Units]:
    """Return the billed units of the operations that are repeated."""
    of_item = math.ceil((found.item_bytes + LARGER_TOKENS) / _KB)
    in_due = 2  # a write that moves `due_at` leaves one place of the index for another

    def refreshing(name: str) -> Units:
        calls = found.calls[name]
        writes = calls["dynamodb UpdateItem"] * of_item + found.listed[name] + in_due
        kms = calls["kms Decrypt"] + calls["kms GenerateDataKey"]
        return Units(calls["dynamodb GetItem"], writes, kms, 0, 1, SECONDS["refresh"])

    by_queue = refreshing("refresh from the queue")
    postponed = found.calls["sweep with one due"]["dynamodb UpdateItem"] * (of_item + in_due)
    queued = Units(by_queue.reads, by_queue.writes + postponed, by_queue.kms, SQS_REQUESTS, 1, SECONDS["refresh"])
    return {
        "token": Units(found.calls["token"]["dynamodb GetItem"], 0, 0, 0, 1, SECONDS["token"]),
        "token, first in an environment": Units(1, 0, 1, 0, 1, SECONDS["token"]),
        "token that refreshes": refreshing("token that refreshes"),
        "refresh in the background": queued,
    }


@dataclass(frozen=True)
class Month:
    """How one connection is used in a month."""

    name: str
    tokens: float = 0
    refreshes: float = 0
    background: float = 0


_IDLE_PERIOD = 0.55 * ASSUMED_IDLE_SECONDS
_FRESH_PERIOD = 0.875 * (3600 - 300)

MONTHS = (
    Month("kept alive, never used", background=SECONDS_A_MONTH / _IDLE_PERIOD),
    Month("used for an hour a day, 10 calls of `token` in it", tokens=270, refreshes=30),
    Month("always fresh, tokens of an hour, never used", background=SECONDS_A_MONTH / _FRESH_PERIOD),
)


def lines(found: Counted) -> list[str]:
    """Return the tables of docs/scale.md."""
    table = ["| in a warm environment | calls of AWS |", "|---|---|"]
    for name, calls in found.calls.items():
        table.append(f"| {name} | {', '.join(f'{n} {call}' for call, n in sorted(calls.items())) or 'none'} |")
    of_each = units(found)
    table += ["", "| | read units | write units | KMS | SQS | dollars a million |", "|---|--:|--:|--:|--:|--:|"]
    for name, unit in of_each.items():
        table.append(
            f"| {name} | {unit.reads:g} | {unit.writes:g} | {unit.kms:g} | {unit.sqs:g} | {unit.dollars() * 1e6:.2f} |"
        )
    table += ["", "| 10 million connections | requests a month | dollars a month |", "|---|--:|--:|"]
    for month in MONTHS:
        requests = CONNECTIONS * (month.tokens + month.refreshes + month.background)
        dollars = CONNECTIONS * (
            month.tokens * of_each["token"].dollars()
            + month.refreshes * of_each["token that refreshes"].dollars()
            + month.background * of_each["refresh in the background"].dollars()
        )
        table.append(f"| {month.name} | {requests / 1e6:,.0f} million | {dollars:,.0f} |")
    storage = CONNECTIONS * (found.item_bytes + LARGER_TOKENS) / 1e9
    table.append(f"| stored: {storage:.0f} GB | | {storage * PRICES['dynamodb GB-month']:.0f} |")
    return table


def main() -> int:
    """Print the tables."""
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)
    with Stack() as stack:
        lift_the_limit(stack)
        found = counted(stack)
    sys.stdout.write("\n".join([f"An item has {found.item_bytes} bytes.", "", *lines(found), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
