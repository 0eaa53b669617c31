"""The dictionary that stands in for DynamoDB, held against an engine: the same calls, the same answers."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.torture import expressions
from tests.torture.dynamo import Dynamo
from tests.torture.edges import AUTHORIZATIONS, CONNECTIONS
from tests.torture.runner import run
from tests.torture.scenarios import LARGE, drawn
from tests.torture.strategies import Calm, Chance

if TYPE_CHECKING:
    from collections.abc import Mapping

HISTORIES = 25
_numbers = count(1)


class _Twin(Dynamo):
    """Asks the dictionary and an engine, and holds their answers together."""

    def __init__(self, keys: Mapping[str, str], engine: Any) -> None:
        super().__init__(keys)
        self.calls: list[str] = []
        self.refusals = 0
        self._engine = engine
        self._suffix = f"-{next(_numbers)}"
        for name, key in keys.items():
            _create(engine, name + self._suffix, key, with_index=name == CONNECTIONS)

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        return self._both("get_item", arguments)

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self._both("put_item", arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        return self._both("update_item", arguments)

    def query(self, *, stale: bool = False, **arguments: Any) -> dict[str, Any]:
        return super().query(stale=True, **arguments) if stale else self._both("query", arguments)

    def _both(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(operation)
        ours = _answer(getattr(super(), operation), arguments)
        renamed = arguments | {"TableName": arguments["TableName"] + self._suffix}
        theirs = _answer(getattr(self._engine, operation), renamed)
        assert _comparable(ours) == _comparable(theirs), (operation, arguments)
        if isinstance(ours, ClientError):
            self.refusals += 1
            raise ours
        return ours


def _answer(operation: Any, arguments: dict[str, Any]) -> dict[str, Any] | ClientError:
    try:
        answer: dict[str, Any] = operation(**arguments)
    except ClientError as error:
        return error
    return answer


def _comparable(answer: dict[str, Any] | ClientError) -> Any:
    if isinstance(answer, ClientError):
        return answer.response["Error"]["Code"]
    shown = {name: answer[name] for name in ("Item", "Items", "Attributes") if name in answer}
    return _sorted_sets(shown)


def _sorted_sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: sorted(v) if k in {"SS", "NS"} else _sorted_sets(v) for k, v in value.items()}
    return [_sorted_sets(entry) for entry in value] if isinstance(value, list) else value


def _create(engine: Any, name: str, key: str, *, with_index: bool) -> None:
    attributes = {key: "S"} | ({"due_shard": "S", "due_at": "N"} if with_index else {})
    index = {
        "IndexName": "due",
        "KeySchema": [
            {"AttributeName": "due_shard", "KeyType": "HASH"},
            {"AttributeName": "due_at", "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "ALL"},
    }
    engine.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": [index]} if with_index else {}),
    )


@pytest.fixture(scope="module")
def engine(dynalite: str) -> Any:
    """Give a client of a DynamoDB engine."""
    return boto3.client(
        "dynamodb",
        endpoint_url=dynalite,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.mark.needs_node
def test_the_dictionary_answers_as_an_engine_does(engine: Any) -> None:
    """Every call of the stores in these histories gets the same answer from both, refusals included."""
    twins = []
    for seed in range(HISTORIES):
        random = Random(seed)  # noqa: S311 - chance, not secrecy
        twins.append(_Twin({CONNECTIONS: "connection_id", AUTHORIZATIONS: "request_id"}, engine))

        result = run(drawn(random), Chance(random), dynamo=twins[-1])

        assert result.violations == []
    twins.append(_Twin({CONNECTIONS: "connection_id", AUTHORIZATIONS: "request_id"}, engine))
    run(LARGE[-1], Calm(), dynamo=twins[-1])
    assert {call for twin in twins for call in twin.calls} == {"get_item", "put_item", "update_item", "query"}
    assert sum(twin.refusals for twin in twins) > 10


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("#a = :one", True),
        ("#a < :one", False),
        ("#a <= :one AND #a >= :one", True),
        ("#a > :zero", True),
        ("#m.#a = :one", True),
        ("#m.#gone = :one", False),
        ("attribute_not_exists(#m.#gone)", True),
        ("attribute_exists(#a)", True),
        ("#gone < :one", False),
        ("#a IN (:zero, :one)", True),
        ("NOT contains(#set, :x)", False),
        ("contains(#set, :one)", False),
        ("(#a = :zero OR #a = :one) AND NOT #a = :zero", True),
        ("#a = :zero OR #a = :one AND #a = :zero", False),
    ],
)
def test_a_condition_is_read_as_documented(expression: str, *, holds: bool) -> None:
    """Precedence, missing attributes, paths, sets."""
    item: expressions.Item = {"a": {"N": "1"}, "m": {"M": {"a": {"N": "1.0"}}}, "set": {"SS": ["x", "y"]}}
    names = {"#a": "a", "#m": "m", "#gone": "gone", "#set": "set"}
    values: expressions.Values = {":one": {"N": "1"}, ":zero": {"N": "0"}, ":x": {"S": "x"}}

    assert expressions.condition(expression)(item, names, values) is holds


@pytest.mark.parametrize("expression", ["size(#a) > :one", "#a = :one ANDSO #b", "begins_with(#a, :one)", "#a ~ :one"])
def test_what_is_not_understood_is_refused(expression: str) -> None:
    """An expression beyond the subset stops the simulation instead of passing for true."""
    with pytest.raises(expressions.Unsupported):
        expressions.condition(expression)({"a": {"N": "1"}}, {"#a": "a", "#b": "b"}, {":one": {"N": "1"}})
