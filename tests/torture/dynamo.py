"""A DynamoDB that is a dictionary: the operations that the store uses, each atomic, as DynamoDB's are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.torture import expressions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.expressions import Item

_NEVER: Item = {}


class Dynamo:
    """The tables, by name, each with its key attribute. `before` keeps each item as it was before its last write."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys = dict(keys)
        self.items: dict[str, dict[str, Item]] = {name: {} for name in keys}
        self.before: dict[str, dict[str, Item]] = {name: {} for name in keys}

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """Return the item, if there is one; every read here is consistent."""
        table = arguments["TableName"]
        item = self.items[table].get(self._id(table, arguments["Key"]))
        return {"Item": item} if item is not None else {}

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """Store a whole item, under its condition."""
        table, item = arguments["TableName"], arguments["Item"]
        self._require(table, self._id(table, item), arguments)
        self._store(table, item)
        return {}

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        """Change an item, or make it, under its condition."""
        table, key = arguments["TableName"], arguments["Key"]
        item = self._require(table, self._id(table, key), arguments)
        update = expressions.update(arguments["UpdateExpression"])
        after = update.apply({**key, **item}, *_names_and_values(arguments))
        self._store(table, after)
        return {"Attributes": after} if arguments.get("ReturnValues") == "ALL_NEW" else {}

    def query(self, *, stale: bool = False, **arguments: Any) -> dict[str, Any]:
        """Return a page of the index `due`, in its order; `stale` reads it as it was one write earlier."""
        if arguments["IndexName"] != "due":
            raise expressions.Unsupported(arguments["IndexName"])
        table = arguments["TableName"]
        names, values = _names_and_values(arguments)
        matches = expressions.condition(arguments["KeyConditionExpression"])
        items = {**self.items[table], **self.before[table]} if stale else self.items[table]
        start = arguments.get("ExclusiveStartKey")
        found = sorted((item for item in items.values() if matches(item, names, values)), key=self._due_order)
        after = [item for item in found if start is None or self._due_order(item) > self._due_order(start)]
        limit = arguments["Limit"]
        last = {"LastEvaluatedKey": after[limit - 1]} if len(after) > limit else {}
        return {"Items": after[:limit], **last}

    def scan(self, **arguments: Any) -> dict[str, Any]:
        """Return a page of a table, in an order of its own; every read here is consistent."""
        table, start = arguments["TableName"], arguments.get("ExclusiveStartKey")
        after = self._id(table, start) if start is not None else ""
        found = [item for key, item in sorted(self.items[table].items()) if key > after]
        limit = arguments["Limit"]
        name = self.keys[table]
        last = {"LastEvaluatedKey": {name: found[limit - 1][name]}} if len(found) > limit else {}
        return {"Items": found[:limit], **last}

    def _due_order(self, item: Item) -> tuple[int, str]:
        return int(item["due_at"]["N"]), str(item["connection_id"]["S"])

    def _id(self, table: str, item: Item) -> str:
        return str(item[self.keys[table]]["S"])

    def _require(self, table: str, key: str, arguments: Mapping[str, Any]) -> Item:
        item = self.items[table].get(key, _NEVER)
        expression = arguments.get("ConditionExpression")
        if expression and not expressions.condition(expression)(item, *_names_and_values(arguments)):
            error: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}
            if item and arguments.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                error["Item"] = item
            raise ClientError(error, "UpdateItem")
        return item

    def _store(self, table: str, item: Item) -> None:
        key = self._id(table, item)
        self.before[table][key] = self.items[table].get(key, _NEVER)
        self.items[table][key] = item


def _names_and_values(arguments: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    return arguments.get("ExpressionAttributeNames", {}), arguments.get("ExpressionAttributeValues", {})
