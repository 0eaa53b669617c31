"""DynamoDB's attribute values: the same as AWS's own serializer makes, and nothing that would not come back."""

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
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """What is written is what is read."""
    assert read(write(value)) == value
    assert type(read(write(value))) is type(value)


def _as_boto3_takes_it(value: Any) -> Any:
    """Return a value with lists for tuples."""
    if isinstance(value, dict):
        return {key: _as_boto3_takes_it(entry) for key, entry in value.items()}
    return [_as_boto3_takes_it(entry) for entry in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_as_the_official_serializer_does(value: Any) -> None:
    """Records of an earlier version, written by boto3's serializer, and those of this one are alike."""
    official: Any = TypeSerializer().serialize(_as_boto3_takes_it(value))

    ours: Any = write(value)

    if isinstance(value, set):
        official, ours = set(official["SS"]), set(ours["SS"])
    assert ours == official


def test_an_enumeration_is_its_string() -> None:
    """Nothing of our types is in the table."""
    assert write(Colour.RED) == {"S": "red"}
    assert type(write(Colour.RED)["S"]) is str


def test_a_frozen_set_and_a_tuple_are_a_set_and_a_list() -> None:
    """Records are immutable; the table has only the one kind of each."""
    assert write(frozenset({"a"})) == {"SS": ["a"]}
    assert write(("a", 1)) == {"L": [{"S": "a"}, {"N": "1"}]}


def test_what_is_none_in_a_map_is_left_out() -> None:
    """None is an attribute that is not there, at any depth."""
    assert write({"a": None, "b": {"c": None}}) == {"M": {"b": {"M": {}}}}


@pytest.mark.parametrize(
    "value", [None, 1.5, Decimal(1), pytest.param(object(), id="an object"), set(), {1}, [None]], ids=repr
)
def test_what_no_record_holds_is_refused(value: Any) -> None:
    """A float would come back as another number, and DynamoDB takes no empty set: neither gets that far."""
    with pytest.raises(TypeError, match="expected what an attribute of a record can be"):
        write(value)


@pytest.mark.parametrize("attribute", [{"NULL": True}, {"NS": ["1"]}, {"BS": [b""]}])
def test_a_type_that_is_never_written_is_not_guessed_at(attribute: dict[str, Any]) -> None:
    """Somebody else wrote into the table; what it meant is not for us to say."""
    with pytest.raises(TypeError, match="expected a type of attribute that records use"):
        read(attribute)


@pytest.mark.parametrize("number", ["1.5", "1E3"])
def test_a_number_that_is_not_whole_is_not_rounded(number: str) -> None:
    """A time or a version with a fraction is nothing that we wrote."""
    with pytest.raises(ValueError, match="invalid literal"):
        read({"N": number})
