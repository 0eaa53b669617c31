"""`python -m tests.torture.lists`: what it costs to list the connections that need a person.

50 among 100,000 connections are found twice, on dynalite, in the template's own table: by the index, and by reading the
table. Each has a tag that none of the others has, and a list by tags alone reads the table. Prints the rows for
docs/scale.md.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ReauthorizationRequired
from functions.vault.base.timing import Timing
from functions.vault.grant import refreshes
from functions.vault.storage.connections import Connections
from functions.vault.usecases.listing import Listing
from tests.torture.scale import DAY, NOW, connection, fill, items_of, table_of_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from functions.vault.grant.connection import Connection

NEEDING, FEW, MANY = 50, 1_000, 100_000
OWNERS = 5_000
BY_INDEX: Mapping[str, Any] = {"needs": "reauthorization"}
BY_TABLE: Mapping[str, Any] = {"tag": {"needs": "somebody"}}

_LIMIT = 100


@dataclass(frozen=True)
class Found:
    """What a list came to: its connections, and what they took. `requests` are those to DynamoDB, by operation."""

    among: int
    ids: frozenset[str]
    calls: int
    requests: Mapping[str, int]
    read_units: float
    milliseconds: float


def _connections(needing: int, among: int) -> Iterator[Connection]:
    """Yield so many connections, those that need a person evenly among them."""
    every = among // needing
    for number in range(among):
        made = replace(connection(number, NOW + DAY + number), owner=f"owner-{number % OWNERS}", tags={"plan": "gold"})
        if number % every == 0:
            # Whose it is decides where it is in the index: the same owners among few and among many.
            owner, tags = f"owner-{number // every}", {**made.tags, **BY_TABLE["tag"]}
            tagged = replace(made, owner=owner, tags=tags)
            made = refreshes.refused(tagged, ReauthorizationRequired("The grant is dead."), NOW)
        yield made


@contextmanager
def lists_among(needing: int, among: int) -> Iterator[Callable[[Mapping[str, Any]], Found]]:
    """Fill a table, and give what lists its connections by some filters, page after page."""
    counted: Counter[str] = Counter()
    units: list[float] = []

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def count(event_name: str, parsed: dict[str, Any], **_: Any) -> None:
        counted[event_name.rpartition(".")[2]] += 1
        units.append(parsed["ConsumedCapacity"]["CapacityUnits"])

    with table_of_connections() as (client, table):
        fill(client, table, items_of(_connections(needing, among)))
        for operation in ("Query", "Scan"):
            client.meta.events.register(f"provide-client-params.dynamodb.{operation}", ask)
            client.meta.events.register(f"after-call.dynamodb.{operation}", count)
        unused: Any = None
        listing = Listing(Connections(lambda _: client, table), unused, unused, Timing(now=lambda: float(NOW)))

        def found(where: Mapping[str, Any]) -> Found:
            counted.clear()
            units.clear()
            began, calls, cursor = time.monotonic(), 0, None
            ids: list[str] = []
            while calls == 0 or cursor is not None:
                page = listing.page(dict(where), _LIMIT, cursor)
                ids += [each["connection_id"] for each in page["connections"]]
                calls, cursor = calls + 1, page.get("cursor")
            elapsed = (time.monotonic() - began) * 1000
            assert len(ids) == len({*ids}), "some came twice"
            return Found(among, frozenset(ids), calls, dict(counted), sum(units), elapsed)

        yield found


def is_cheap(few: Found, many: Found, by_table: Found) -> None:
    """Raise `AssertionError` if a list of the index costs more among more, or has others than the table has."""
    assert (few.requests, few.read_units) == (many.requests, many.read_units), f"{few} is not {many}"
    assert many.ids == by_table.ids, "the index and the table do not agree"
    assert set(many.requests) == {"Query"}
    assert set(by_table.requests) == {"Scan"}


def rows(*lists: tuple[str, Found]) -> list[str]:
    """Return the table of docs/scale.md."""
    table = [
        "| 50 that need a person | among | calls | requests | read units | milliseconds |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for how, found in lists:
        ((operation, number),) = found.requests.items()
        table.append(
            f"| {how} | {found.among:,} | {found.calls:,} | {number:,} {operation} | {found.read_units:,.0f} "
            f"| {found.milliseconds:,.0f} |"
        )
    return table


def main() -> int:
    """Print the table; return 0 if everything held."""
    with lists_among(NEEDING, FEW) as among_few:
        few = among_few(BY_INDEX)
    with lists_among(NEEDING, MANY) as among_many:
        many, by_table = among_many(BY_INDEX), among_many(BY_TABLE)
    is_cheap(few, many, by_table)
    table = rows(("by the index", few), ("by the index", many), ("by reading the table", by_table))
    sys.stdout.write("\n".join([*table, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
