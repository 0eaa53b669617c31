"""`python -m tests.torture.scale`: what a sweep costs does not depend on how many connections there are.

1,000 due among 1,000 and among 100,000 connections make the same requests to DynamoDB, on dynalite, in the template's
own table; and 100,000 due take no more memory than 1,000.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3

from functions.vault.base.timing import Deadline, Timing
from functions.vault.grant import consents
from functions.vault.grant.connection import DUE_SHARDS
from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.tokens import SealedTokens
from functions.vault.storage.connections import Connections
from functions.vault.storage.queues import Queue
from functions.vault.storage.shared import Shared
from functions.vault.usecases.sweeping import Sweeping
from local.aws import cloudformation, tables
from local.base.environment import isolation
from local.stack import TEMPLATE
from tests.engines import running_dynalite

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from functions.vault.grant.connection import Connection


NOW = 1_800_000_000
DAY = 86400
DUE, FEW, MANY = 1_000, 1_000, 100_000

_TABLE = "ConnectionsTable"
_BATCH, _WRITERS = 25, 8
_TOLERANCE = 256 * 1024
"""Bytes by which two peaks may differ: a page more or less, and what the interpreter keeps."""


class _Aws:
    """SQS that counts what it is sent, and a table of what connections share with nothing in it."""

    def __init__(self) -> None:
        self.sent = 0

    def get_item(self, **_arguments: Any) -> dict[str, Any]:
        return {}

    def send_message(self, **_arguments: Any) -> dict[str, str]:
        self.sent += 1
        return {}


def sweeping(connections: Connections, aws: _Aws) -> Sweeping:
    """Return the use case over this table."""
    queue = Queue(lambda _: aws, "https://queue.test/refresh.fifo")
    return Sweeping(connections, Shared(lambda _: aws, "shared"), queue, queue, Timing(now=lambda: float(NOW)))


def connection(number: int, due_at: int) -> Connection:
    """Return a connection as an authorization leaves it, except for when it is due."""
    seal, whose = Seal(b"s" * 700, 2, 1, "key"), Whose("as", "client", {}, None, {"token": "https://as.test"})
    tokens = SealedTokens(
        "0123456789abcdef",
        seal,
        whose,
        refreshable=True,
        token_type="Bearer",
        obtained_at=NOW - DAY,
        due_at=due_at,
    )
    made = consents.consented(
        f"connection-{number:07d}",
        "as",
        tokens,
        NOW - DAY,
        before=None,
        authorized_by="request",
        owner=None,
        parameters={},
        tags={},
    )
    return replace(made, updated_at=NOW - DAY)


# The same requests among few and among many


class _Items:
    """Takes what the store would put, and keeps it: the one way to make items without repeating how."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        self.made.append(arguments["Item"])
        return {}


def items_of(connections: Iterable[Connection]) -> Iterator[dict[str, Any]]:
    """Yield the item of each connection."""
    items = _Items()
    store = Connections(lambda _: items, "")
    for each in connections:
        store.create(each)
        yield items.made.pop()


def _items(due: int, among: int) -> Iterator[dict[str, Any]]:
    return items_of(connection(number, NOW - number if number < due else NOW + DAY + number) for number in range(among))


def fill(client: Any, table: str, items: Iterator[dict[str, Any]]) -> None:
    """Write items into a table."""

    def write(batch: list[dict[str, Any]]) -> None:
        left = {table: batch}
        while left:
            left = client.batch_write_item(RequestItems=left).get("UnprocessedItems", {})

    with ThreadPoolExecutor(_WRITERS) as writers:
        while some := [{"PutRequest": {"Item": item}} for item in islice(items, _WRITERS * _BATCH)]:
            list(writers.map(write, [some[start : start + _BATCH] for start in range(0, len(some), _BATCH)]))


@dataclass(frozen=True)
class Sweep:
    """What one sweep came to. ``requests`` are those to DynamoDB, by operation."""

    among: int
    queued: int
    requests: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@contextmanager
def table_of_connections() -> Iterator[tuple[Any, str]]:
    """Give a client of dynalite, and the name of the template's own table of connections in it."""
    with ExitStack() as closing:
        closing.enter_context(isolation({}))
        endpoint = closing.enter_context(running_dynalite())
        definitions = cloudformation.table_definitions(cloudformation.load(TEMPLATE))
        tables.create_tables(endpoint, {_TABLE: definitions[_TABLE]}, {_TABLE: _TABLE})
        yield boto3.client("dynamodb", endpoint_url=endpoint), _TABLE


def swept(due: int, among: int) -> Sweep:
    """Sweep once over so many connections, with so many due."""
    with table_of_connections() as (client, table):
        fill(client, table, _items(due, among))
        counted: Counter[str] = Counter()

        def count(event_name: str, **_: Any) -> None:
            counted[event_name.rpartition(".")[2]] += 1

        client.meta.events.register("before-send.dynamodb", count)
        began = time.monotonic()
        result = sweeping(Connections(lambda _: client, table), _Aws()).sweep(Deadline(lambda: 600.0))
    return Sweep(among, int(result["queued"]), dict(counted), time.monotonic() - began)


# Flat memory


class _Endless:
    """An index `due` that makes its items when they are asked for: nothing of it is in memory."""

    def __init__(self, due: int) -> None:
        self._each = due // DUE_SHARDS

    def query(self, **arguments: Any) -> dict[str, Any]:
        shard = arguments["ExpressionAttributeValues"][":shard"]["S"]
        start = int(arguments.get("ExclusiveStartKey", {"n": {"N": "0"}})["n"]["N"])
        end = min(start + arguments["Limit"], self._each)
        items = [
            {
                "connection_id": {"S": f"connection-{shard}-{number}"},
                "provider": {"S": "as"},
                "status": {"S": "active"},
                "version": {"N": "1"},
                "due_at": {"N": str(NOW - number)},
            }
            for number in range(start, end)
        ]
        return {"Items": items, **({"LastEvaluatedKey": {"n": {"N": str(end)}}} if end < self._each else {})}

    def update_item(self, **_arguments: Any) -> dict[str, Any]:
        return {}


def peak(due: int) -> int:
    """Return the most memory (bytes) that a sweep over so many due connections takes at once."""
    aws = _Aws()
    use_case = sweeping(Connections(lambda _: _Endless(due), ""), aws)
    tracemalloc.start()
    try:
        use_case.sweep(Deadline(lambda: 600.0))
        highest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert aws.sent == due // DUE_SHARDS * DUE_SHARDS, "not all were queued"
    return highest


# The table


def same_requests(few: Sweep, many: Sweep) -> None:
    """Raise `AssertionError` if the two sweeps differ in anything but time."""
    assert (few.queued, few.requests) == (many.queued, many.requests), f"{few} is not {many}"


def is_flat(smaller: int, larger: int) -> None:
    """Raise `AssertionError` if the larger sweep took more memory."""
    assert larger <= smaller + _TOLERANCE, f"{smaller} bytes, then {larger}"


def run() -> list[str]:
    """Sweep, and return the table. Raises `AssertionError`."""
    few, many = swept(DUE, FEW), swept(DUE, MANY)
    same_requests(few, many)
    small, large = peak(DUE), peak(MANY)
    is_flat(small, large)
    lines = [
        f"  {DUE:,d} due among {sweep.among:7,d}: {sweep.requests}, {sweep.queued:,d} queued, {sweep.seconds:.1f} s"
        for sweep in (few, many)
    ]
    memory = [f"  {due:7,d} due: {highest / 1024:5.0f} KiB at most" for due, highest in ((DUE, small), (MANY, large))]
    return [*lines, *memory]


def main() -> int:
    """Print the table; return 0 if everything held."""
    sys.stdout.write("\n".join([*run(), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
