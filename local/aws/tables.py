"""The template's tables in another DynamoDB engine, where one is wanted that is atomic by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a table is; the rest (TTL, recovery, encryption, protection, tags) is how AWS keeps it, and engines such as
# dynalite lack it. Expiry does not rest on TTL: it only cleans up.
_ESSENTIAL = frozenset({"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"})


def create_tables(endpoint: str, definitions: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> None:
    """Create the tables of ``definitions`` (logical id -> template properties) at ``endpoint`` by physical name."""
    client = boto3.client("dynamodb", endpoint_url=endpoint)
    for logical_id, definition in definitions.items():
        essential: dict[str, Any] = {key: value for key, value in definition.items() if key in _ESSENTIAL}
        client.create_table(TableName=names[logical_id], BillingMode="PAY_PER_REQUEST", **essential)
    for name in names.values():
        client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
