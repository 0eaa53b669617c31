"""The emulated account's tables give back what was put into them, of every type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from local.stack import Stack


def test_a_table_gives_back_every_type_as_it_was_put(stack: Stack) -> None:
    """Read, found, returned by a write and by a condition that failed: always the same item, binaries among it."""
    # given
    nested: dict[str, Any] = {"B": {"B": b"\x00\xff"}, "L": {"L": [{"BOOL": True}, {"NULL": True}]}, "M": {"M": {}}}
    item: dict[str, Any] = {
        **nested,
        "connection_id": {"S": "of-every-type"},
        "S": {"S": ""},
        "N": {"N": "1.5"},
        "sets": {"L": [{"M": nested}, {"SS": ["a"]}, {"NS": ["1"]}, {"BS": [b"\x01"]}]},
    }
    dynamodb, key = boto3.client("dynamodb"), {"connection_id": item["connection_id"]}
    table = stack.deployment.tables["ConnectionsTable"]

    # when
    dynamodb.put_item(TableName=table, Item=item)
    read = dynamodb.get_item(TableName=table, Key=key)["Item"]
    names, wanted = {"#n": "connection_id"}, {":i": item["connection_id"]}
    found = dynamodb.query(
        TableName=table,
        KeyConditionExpression="#n = :i",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=wanted,
    )
    try:
        dynamodb.put_item(
            TableName=table,
            Item=key,
            ConditionExpression="attribute_not_exists(#n)",
            ExpressionAttributeNames=names,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        refused: Any = {}
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        refused = error.response
    removed = dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"]

    # then
    assert read == item
    assert found["Items"] == [item]
    assert refused["Item"] == item
    assert removed == item
