"""What a deployed stack cannot survive to see changed: docs/runbooks.md says why for each.

If one of these fails, the change that made it fail ends connections or cannot be deployed. Before the first release a
change can be meant; then this file is changed with it.
"""

from __future__ import annotations

import pytest

from tests.expressions import translated

TABLE_KEYS = {
    "ConnectionsTable": [("connection_id", "HASH")],
    "AuthorizationsTable": [("request_id", "HASH")],
}
INDEXES = {
    "due": ([("due_shard", "HASH"), ("due_at", "RANGE")], {"provider", "tell_at", "version"}),
    "listed": ([("listed_in", "HASH"), ("listed_as", "RANGE")], {"summary"}),
}
LOGICAL_IDS = {
    "ConnectionsTable": "AWS::DynamoDB::Table",
    "AuthorizationsTable": "AWS::DynamoDB::Table",
    "TokensKey": "AWS::KMS::Key",
    "SecondTokensKey": "AWS::KMS::Key",
    "RescueQueue": "AWS::SQS::Queue",
    "RescueDeadLetters": "AWS::SQS::Queue",
}
POLICY_DESCRIPTIONS = {
    "UseTokensPolicy": "Get and refresh access tokens of ${AWS::StackName}",
    "ManageConnectionsPolicy": "Start, list and revoke connections of ${AWS::StackName}",
}


def key_schema(schema: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return the attributes of a key with what they are for."""
    return [(each["AttributeName"], each["KeyType"]) for each in schema]


@pytest.mark.parametrize("table", TABLE_KEYS)
def test_the_keys_of_a_table(table: str) -> None:
    """With other keys CloudFormation would make a new, empty table."""
    assert key_schema(translated()["Resources"][table]["Properties"]["KeySchema"]) == TABLE_KEYS[table]


def test_the_projections_of_the_indexes() -> None:
    """DynamoDB changes none in place: the index would have to go, and come again in another deployment."""
    indexes = translated()["Resources"]["ConnectionsTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert {
        each["IndexName"]: (key_schema(each["KeySchema"]), set(each["Projection"]["NonKeyAttributes"]))
        for each in indexes
    } == INDEXES


def test_the_names_of_what_holds_tokens() -> None:
    """Another logical id is another resource."""
    made = {name: each["Type"] for name, each in translated()["Resources"].items()}

    assert {name: made.get(name) for name in LOGICAL_IDS} == LOGICAL_IDS


def test_the_descriptions_of_the_managed_policies() -> None:
    """With another one a policy is replaced, which fails while it is attached to somebody's role."""
    said = {name: translated()["Resources"][name]["Properties"]["Description"] for name in POLICY_DESCRIPTIONS}

    assert said == {name: {"Fn::Sub": text} for name, text in POLICY_DESCRIPTIONS.items()}
