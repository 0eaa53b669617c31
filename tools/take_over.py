"""Takes records over into a restored table: those that changed in the old one after the moment that was restored.

    python -m tools.take_over OLD NEW --since TIME

A record is copied whole, seal included, unless the new table's is as new or newer, or is being written. Nothing in the
old table is changed. Done twice, it does no harm.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.operating import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    Item = Mapping[str, Any]


def take_over(dynamodb: Any, old: str, new: str, since: float) -> tuple[int, int]:
    """Copy what changed in ``old`` after ``since``, in Unix seconds; return how many were copied, and how many left."""
    copied = left = 0
    for page in dynamodb.get_paginator("scan").paginate(TableName=old, ConsistentRead=True):
        for item in page["Items"]:
            if _written_at(item) <= since:
                continue
            if _put(dynamodb, new, item):
                copied += 1
            else:
                left += 1
    return copied, left


def _put(dynamodb: Any, table: str, item: Item) -> bool:
    """Write a record unless the table's own is as new; return whether it was written."""
    key = {"connection_id": item["connection_id"]}
    there = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    if there is not None and _age(there) >= _age(item):
        return False
    condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(connection_id)"}
    if there is not None:
        # Whatever writes a record raises one of these.
        counted = "changes" if "changes" in there else "updated_at"
        condition = {
            "ConditionExpression": "#counted = :there",
            "ExpressionAttributeNames": {"#counted": counted},
            "ExpressionAttributeValues": {":there": there[counted]},
        }
    try:
        dynamodb.put_item(TableName=table, Item=item, **condition)
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _age(item: Item) -> tuple[int, int]:
    return _number(item, "changes"), _number(item, "updated_at")


def _written_at(item: Item) -> int:
    """Return when a record was written last, or a moment later: a lease is written without `updated_at`."""
    leases = [each["M"]["lease"]["M"] for each in item.get("sets", {"L": []})["L"] if "lease" in each["M"]]
    return max(_number(each, name) for each in [item, *leases] for name in ("updated_at", "until", "interrupted_at"))


def _number(item: Item, name: str) -> int:
    """Return a number of a record, from the record itself or from its summary; 0 where it has none."""
    found = item.get(name) or item.get("summary", {}).get("M", {}).get(name) or {"N": "0"}
    return int(found["N"])


def main(arguments: list[str]) -> int:
    """Take over, and print how many records that were; return 1 where AWS did not let it."""
    parser = argparse.ArgumentParser(prog="take_over", description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="the table that was damaged, and can still be read")
    parser.add_argument("new", help="the table that was restored")
    parser.add_argument("--since", type=moment, required=True, metavar="TIME", help="like 2026-11-28T20:00:00Z")
    options = parser.parse_args(arguments)
    try:
        copied, left = take_over(boto3.client("dynamodb"), options.old, options.new, options.since.timestamp())
    except (BotoCoreError, ClientError) as error:
        print(f"{options.old}: {error}", file=sys.stderr)
        return 1
    print(f"{copied} taken over; {left} left, because the new table has something newer.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
