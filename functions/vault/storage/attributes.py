"""DynamoDB's attribute values, as far as records use them: strings, whole numbers, truth, bytes, sets, lists and maps.

Written out here because the serializer that AWS publishes comes with boto3, of which nothing else is used. Numbers
are `int`: no record holds a fraction, and a float would not survive the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

Attribute = dict[str, Any]
"""One value with its type, like `{"S": "active"}`."""


def write(value: Any) -> Attribute:
    """Return a value as DynamoDB takes it; an enumeration as its string, and a map without what is None in it.

    Raises `TypeError` for what no record holds: a defect of the caller.
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
