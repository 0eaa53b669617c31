"""DynamoDB's attribute values: the same as AWS's own serializer makes, and only values that are read as they were."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from functions.vault.storage.attributes import read, write


class Colour(StrEnum):
    """An enumeration as records have them."""

    RED = "red"


VALUES: list[Any] = [
    "",
    "active",
    "Größe 🙂",
    0,
    -1,
    2**53,
    10**37,
    True,
    False,
    b"",
    b"\x00\xff",
    pytest.param({"b", "a"}, id="a set of two"),
    {},
    {"a": {"b": ("c", 1, True)}},
    (),
    ("x", {"y": b"z"}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_read_as_it_was_written(value: Any) -> None:
    """With the same type."""
    assert read(write(value)) == value
    assert type(read(write(value))) is type(value)


def _for_boto3(value: Any) -> Any:
    """Return a value with lists instead of tuples."""
    if isinstance(value, dict):
        return {key: _for_boto3(entry) for key, entry in value.items()}
    return [_for_boto3(entry) for entry in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_as_the_official_serializer_does(value: Any) -> None:
    """Earlier versions wrote records with boto3's serializer."""
    official: Any = TypeSerializer().serialize(_for_boto3(value))

    ours: Any = write(value)

    if isinstance(value, set):
        official, ours = set(official["SS"]), set(ours["SS"])
    assert ours == official


def test_an_enumeration_is_stored_as_its_string() -> None:
    """The table holds none of our types."""
    assert write(Colour.RED) == {"S": "red"}
    assert type(write(Colour.RED)["S"]) is str


def test_a_frozen_set_and_a_tuple_are_stored_as_a_set_and_a_list() -> None:
    """Records are immutable. The table has only one kind of each."""
    assert write(frozenset({"a"})) == {"SS": ["a"]}
    assert write(("a", 1)) == {"L": [{"S": "a"}, {"N": "1"}]}


def test_none_in_a_map_is_left_out() -> None:
    """None stands for an absent attribute, at any depth."""
    assert write({"a": None, "b": {"c": None}}) == {"M": {"b": {"M": {}}}}


@pytest.mark.parametrize(
    "value", [None, 1.5, Decimal(1), pytest.param(object(), id="an object"), set(), {1}, [None]], ids=repr
)
def test_a_type_that_no_record_holds_is_refused(value: Any) -> None:
    """A float would be read as another number, and DynamoDB refuses an empty set."""
    with pytest.raises(TypeError, match="expected what an attribute of a record can be"):
        write(value)


@pytest.mark.parametrize("attribute", [{"NULL": True}, {"NS": ["1"]}, {"BS": [b""]}])
def test_a_type_that_is_never_written_is_refused(attribute: dict[str, Any]) -> None:
    """Something else wrote to the table. What it meant is not guessed."""
    with pytest.raises(TypeError, match="expected a type of attribute that records use"):
        read(attribute)


@pytest.mark.parametrize("number", ["1.5", "1E3"])
def test_a_fraction_is_not_rounded(number: str) -> None:
    """Gatehouse never writes a time or a version with a fraction."""
    with pytest.raises(ValueError, match="invalid literal"):
        read({"N": number})
