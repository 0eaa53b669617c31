"""DynamoDB's attribute values, as far as records use them: strings, integers, booleans, bytes, sets, lists and maps.

Numbers are `int`: no record holds a fraction, and a float would lose precision on the way. boto3 has a serializer, but
it returns `Decimal`, and a function would load it for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

Attribute = dict[str, Any]
"""One value with its type, like `{"S": "active"}`."""


def write(value: Any) -> Attribute:
    """Return a value in DynamoDB's form; an enumeration as its string, a map without the entries that are None.

    Raises `TypeError` for a type that no record holds, which is a defect of the caller.
    """
    attribute: Attribute
    match value:
        case bool():
            attribute = {"BOOL": value}
        case str():
            attribute = {"S": str(value)}
        case int():
            attribute = {"N": str(value)}
        case bytes():
            attribute = {"B": value}
        case Mapping():
            attribute = {"M": {key: write(entry) for key, entry in value.items() if entry is not None}}
        case list() | tuple():
            attribute = {"L": [write(entry) for entry in value]}
        case AbstractSet() if value and all(isinstance(entry, str) for entry in value):
            attribute = {"SS": sorted(value)}
        case _:
            raise TypeError(f"{type(value).__name__}: expected what an attribute of a record can be")
    return attribute


def write_item(item: Mapping[str, Any]) -> dict[str, Attribute]:
    """Return an item's values in DynamoDB's form."""
    return {name: write(value) for name, value in item.items()}


def read(attribute: Mapping[str, Any]) -> Any:
    """Return the value of an attribute. Raises `TypeError` for a type that `write` never makes."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL" | "B":
            return value
        case "N":
            return int(value)
        case "M":
            return {key: read(entry) for key, entry in value.items()}
        case "L":
            return tuple(read(entry) for entry in value)  # as records have them
        case "SS":
            return set(value)
    raise TypeError(f"{kind}: expected a type of attribute that records use")


def read_item(item: Mapping[str, Any], known: Container[str] | None = None) -> dict[str, Any]:
    """Return an item's values; with `known`, of these attributes only.

    A later version may have added attributes of a type that this version cannot read.
    """
    return {name: read(attribute) for name, attribute in item.items() if known is None or name in known}
