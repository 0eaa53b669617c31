"""Reading a record from a document that comes from outside: each value is checked against the field that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from typing import TypeVar

    T = TypeVar("T")

_LARGEST = 2**53
_LONGEST = 256 * 1024


def read_record(kind: type[T], values: Any, where: str) -> T:
    """Return a record of this kind with these values; a value may be a record already.

    Raises `ValueError` that names the first field that is missing, unknown or of another type, as one of `where`.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected an object")  # noqa: TRY004 - one kind of error for all that is wrong
    known: dict[str, Field[Any]] = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # a record is a dataclass
    for name in values:
        if name not in known:
            from .refused_fields import did_you_mean, nearest, shown  # noqa: PLC0415 - no record of ours has one

            raise ValueError(f"{where}.{shown(name)}: unknown field{did_you_mean(nearest(name, known))}")
    for name, each in known.items():
        if name in values:
            _check(f"{where}.{name}", str(each.type), values[name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{where}.{name}: required")
    return kind(**values)


def _check(where: str, kind: str, value: Any) -> None:
    kind, _, optional = kind.partition(" | ")
    if (value is None and optional) or hasattr(type(value), "__dataclass_fields__"):
        return
    if kind not in _KINDS:
        raise ValueError(f"{where}: expected an object{', or null' if optional else ''}")
    fits, expected = _KINDS[kind]
    if not fits(value):
        raise ValueError(f"{where}: expected {expected}{', or null' if optional else ''}")


def _is_text(value: Any) -> bool:
    """Return whether a value is a text that a table takes. JSON can spell half a surrogate pair."""
    try:
        return isinstance(value, str) and len(value.encode()) <= _LONGEST
    except UnicodeEncodeError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool) or _is_text(value) or _is_number(value)


def _are(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(_is_text(name) and fits(value[name]) for name in value)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (_is_text, "a text"),
    "int": (_is_number, "a whole number from 0"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "bytes": (lambda value: isinstance(value, bytes), "base64"),
    "dict[str, str]": (_are(_is_text), "an object of texts"),
    "dict[str, Any]": (_are(_is_scalar), "an object of texts, whole numbers and flags"),
    "tuple[str, ...]": (lambda value: isinstance(value, tuple) and all(map(_is_text, value)), "a list of texts"),
}
"""The types of fields, and what a value has to be for each."""
