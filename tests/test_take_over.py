"""What a restored table lacks is taken over from the old one, whole, and never over something newer."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.expressions import translated
from tools.take_over import main, take_over

if TYPE_CHECKING:
    from local.stack import Stack

RESTORED_AT = 1_800_000_000


@pytest.fixture
def tables(stack: Stack) -> tuple[str, str]:
    """Make two tables as the template describes them."""
    dynamodb = boto3.client("dynamodb", endpoint_url=stack.aws_endpoint)
    properties = translated()["Resources"]["ConnectionsTable"]["Properties"]
    keys = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    names = [f"{each}-{uuid.uuid4().hex[:8]}" for each in ("old", "new")]
    for name in names:
        dynamodb.create_table(TableName=name, **{key: properties[key] for key in keys})
    return names[0], names[1]


def put(table: str, connection_id: str, updated_at: int, **more: Any) -> dict[str, Any]:
    """Write a record, and return it."""
    item = {
        "connection_id": {"S": connection_id},
        "updated_at": {"N": str(updated_at)},
        "sealed": {"B": b"\x00\xff sealed"},
        **more,
    }
    boto3.client("dynamodb").put_item(TableName=table, Item=item)
    return item


def get(table: str, connection_id: str) -> Any:
    """Return a record as it is stored."""
    key = {"connection_id": {"S": connection_id}}
    return boto3.client("dynamodb").get_item(TableName=table, Key=key).get("Item")


def test_what_changed_since_is_taken_over_octet_by_octet(tables: tuple[str, str]) -> None:
    """A record that is older stays as it was restored; one that was made since is there, too."""
    # given
    old, new = tables
    refreshed = put(old, "refreshed", RESTORED_AT + 60, version={"N": "3"})
    put(new, "refreshed", RESTORED_AT - 60, version={"N": "2"})
    damaged = put(old, "untouched", RESTORED_AT - 3600, owner={"S": "damaged"})
    restored = put(new, "untouched", RESTORED_AT - 3600)
    connected = put(old, "connected since", RESTORED_AT + 90)

    # when
    done = take_over(boto3.client("dynamodb"), old, new, RESTORED_AT)

    # then
    assert done == (2, 0)
    assert get(new, "refreshed") == refreshed
    assert get(new, "connected since") == connected
    assert (get(new, "untouched"), get(old, "untouched")) == (restored, damaged)


def test_an_attempt_that_began_since_is_taken_over(tables: tuple[str, str]) -> None:
    """The lease is all that says that the refresh token may have been used. It is no change that a caller would see."""
    # given
    old, new = tables
    lease = {"M": {"holder": {"S": "holder"}, "until": {"N": str(RESTORED_AT + 60)}}}
    leased = {"L": [{"M": {"id": {"S": "set"}, "lease": lease}}, {"M": {"id": {"S": "superseded"}}}]}
    interrupted = put(old, "shop", RESTORED_AT - 3600, changes={"N": "8"}, sets=leased)
    put(new, "shop", RESTORED_AT - 3600, changes={"N": "7"})

    # when
    done = take_over(boto3.client("dynamodb"), old, new, RESTORED_AT)

    # then
    assert done == (1, 0)
    assert get(new, "shop") == interrupted


def test_what_is_newer_in_the_new_table_stays(tables: tuple[str, str]) -> None:
    """It is in use by then: a refresh there is worth more than one in the table that was left."""
    old, new = tables
    put(old, "shop", RESTORED_AT + 60, changes={"N": "7"})
    here = put(new, "shop", RESTORED_AT + 30, changes={"N": "9"})

    done = take_over(boto3.client("dynamodb"), old, new, RESTORED_AT)

    assert done == (0, 1)
    assert get(new, "shop") == here


def test_twice_does_no_harm(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The second time everything is there; the command says how many there were."""
    old, new = tables
    put(old, "shop", RESTORED_AT + 60, summary={"M": {"updated_at": {"N": "1"}}})
    arguments = [old, new, "--since", "2027-01-15T08:00:00Z"]

    assert (main(arguments), main(arguments)) == (0, 0)

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" taken")[0] for line in lines] == ["1", "0"]


def test_a_table_that_is_not_there_is_named(tables: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """With AWS's own words."""
    assert main(["nowhere", tables[1], "--since", "2027-01-15T08:00:00"]) == 1
    assert capsys.readouterr().err.startswith("nowhere: ")
