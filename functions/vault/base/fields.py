"""Checks of a request's fields: every bad field is named, with what was expected, and no value is ever repeated.

A check says what it accepts in three ways: in words, by an example, and as a JSON Schema. Refusals have the words and
the example; `docs/contracts` is made from the schemas. How a refusal reads is decided in `refused_fields`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TypeGuard

    from .errors import InvalidRequest

Check = Callable[[Any], Any]

CONNECTION_ID = r"[A-Za-z0-9._:@-]{1,128}"
DOT_SEGMENTS = (".", "..")
"""What no id and no owner may be called: in a path, clients and servers take them for steps of their own."""
PROVIDER_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
LABEL = r"[A-Za-z0-9_.:-]{1,64}"
"""What a caller may call a tag of a connection, or a parameter."""
SCOPE_TOKEN = r"[\x21\x23-\x5b\x5d-\x7e]{1,256}"  # noqa: S105 - a pattern
# JSON can spell half a surrogate pair: it has no UTF-8, so neither a table nor a URL could hold it.
_VISIBLE = r"[^\x00-\x1f\x7f\ud800-\udfff]*"

LONGEST_LIFETIME = 10 * 365 * 86400
"""Seconds beyond which no lifetime of a token is believed."""


def matches(value: object, pattern: str) -> TypeGuard[str]:
    """Return whether a value is a string that matches a pattern as a whole.

    Patterns are kept as texts. Python compiles one when it is first used and remembers it, so that a cold start does
    not pay for those that its call does not need.
    """
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


A_NAME = 0
"""The part of an object that does not fit is the name of a member."""


class Mismatch(ValueError):
    """One field is not as expected; the text says what was.

    If only a part does not fit, `at` says which: the name of a member, the number of an entry, or `A_NAME`. `part` is
    what stands there: a refusal says of what kind it is, never its value. If it had to be one of a few names, `known`
    are those.
    """

    def __init__(
        self, expected: str, at: str | int | None = None, part: Any = None, *, known: Collection[str] = ()
    ) -> None:
        super().__init__(expected)
        self.at = at
        self.part = part
        self.known = known


class FieldCheck:
    """A check of one field: called with a value, it returns that, or raises `Mismatch`.

    `schema` is what it accepts as JSON Schema has it; a `pattern` there is one of the whole string. `example` is a
    value that it accepts.
    """

    def __init__(self, accept: Check, schema: dict[str, Any], example: Any = None) -> None:
        self._accept = accept
        self.schema = schema
        self.example = example

    def __call__(self, value: Any) -> Any:
        """Return the value as it is used from here on; raise `Mismatch` if it does not fit."""
        return self._accept(value)

    def like(self, example: Any) -> FieldCheck:
        """Return this check with another example."""
        return FieldCheck(self._accept, self.schema, example)


def text(pattern: str, expected: str, example: str | None = None) -> FieldCheck:
    """Accept a string that matches `pattern` as a whole; `expected` says in words what does."""

    def check(value: Any) -> str:
        if not matches(value, pattern):
            raise Mismatch(expected)
        return value

    return FieldCheck(check, {"type": "string", "pattern": pattern}, example)


def printable(longest: int) -> FieldCheck:
    """Accept a string of 1 to `longest` characters without control characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not re.fullmatch(_VISIBLE, value):
            raise Mismatch(f"a string of 1 to {longest} characters without control characters")
        return value

    return FieldCheck(check, {"type": "string", "pattern": _VISIBLE, "minLength": 1, "maxLength": longest})


def integer(least: int, most: int) -> FieldCheck:
    """Accept a whole JSON number from `least` to `most`; `true` is not one."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Mismatch(f"an integer from {least} to {most}")
        return value

    return FieldCheck(check, {"type": "integer", "minimum": least, "maximum": most})


def _anything(value: Any) -> Any:
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Mismatch("true or false")
    return value


anything = FieldCheck(_anything, {})
"""Accept every value: it is not looked at."""

boolean = FieldCheck(_boolean, {"type": "boolean"})
"""Accept `true` or `false`."""


def list_of(item: Check, most: int) -> FieldCheck:
    """Accept a list of at most `most` entries, if `item` accepts each of them."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) > most:
            raise Mismatch(f"a list of at most {most} entries")
        return tuple(_entry(entry, number) for number, entry in enumerate(value, 1))

    def _entry(entry: Any, number: int) -> Any:
        try:
            return item(entry)
        except Mismatch as mismatch:
            expected = f"a list in which every entry is {mismatch}"
            raise Mismatch(expected, number, entry, known=mismatch.known) from None

    return FieldCheck(check, {"type": "array", "items": getattr(item, "schema", {}), "maxItems": most})


def string_map(names: FieldCheck, longest: int, most: int, *, least: int = 0) -> FieldCheck:
    """Accept an object of `least` to `most` strings of at most `longest` characters; `names` accepts their names."""
    number = f"{least} to {most}" if least else f"at most {most}"

    def check(value: Any) -> dict[str, str]:
        expected = f"an object of {number} strings of at most {longest} characters, without control characters"
        if not isinstance(value, Mapping) or not least <= len(value) <= most:
            raise Mismatch(expected)
        for name, entry in value.items():
            try:
                names(name)
            except Mismatch as mismatch:
                raise Mismatch(f"{expected}, each with a name of {mismatch}", A_NAME, name) from None
            if not isinstance(entry, str) or len(entry) > longest or not re.fullmatch(_VISIBLE, entry):
                raise Mismatch(expected, name, entry)
        return dict(value)

    values = {"type": "string", "pattern": _VISIBLE, "maxLength": longest}
    schema = {"type": "object", "propertyNames": names.schema, "additionalProperties": values, "maxProperties": most}
    return FieldCheck(check, schema | ({"minProperties": least} if least else {}))


def one_of(*choices: str) -> FieldCheck:
    """Accept one of the strings named."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Mismatch("one of " + ", ".join(choices), known=choices)
        return value

    return FieldCheck(check, {"enum": [*map(str, choices)]})


def _but(accept: FieldCheck, expected: str, *others: str) -> FieldCheck:
    """Accept what another check does, but none of `others`."""

    def check(value: Any) -> Any:
        if value in others:
            raise Mismatch(expected)
        return accept(value)

    return FieldCheck(check, {**accept.schema, "not": {"enum": [*others]}})


stored_id = text(CONNECTION_ID, "a connection's id", "shop-1")
"""Accept what a message of Gatehouse's own names: whatever a connection may be called, it is looked after."""

_ID = "1 to 128 of A-Z a-z 0-9 . _ : @ -, and neither . nor .. alone"
connection_id = _but(text(CONNECTION_ID, _ID), _ID, *DOT_SEGMENTS).like("shop-1")
"""Accept a connection's id."""

owner = _but(printable(256), "an owner other than . and ..", *DOT_SEGMENTS).like("customer-42")
"""Accept an owner."""

provider_name = text(
    PROVIDER_NAME, "a provider's name: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit", "acme"
)
_SCOPE = 'a scope: 1 to 256 visible characters without blanks, " and \\ (RFC 6749 section 3.3)'
scopes = list_of(text(SCOPE_TOKEN, _SCOPE), 100).like(["orders:read", "orders:write"])


def labels_of(least: int) -> FieldCheck:
    """Accept from `least` to 20 of the strings that a caller keeps with a connection."""
    return string_map(text(LABEL, "1 to 64 of A-Z a-z 0-9 _ . : -"), 256, 20, least=least)


labels = labels_of(0)
"""Accept what a caller keeps with a connection: up to 20 strings with their names."""


class Fields:
    """The fields of one request: `Fields(required={...}, optional={...}).read(payload)`."""

    def __init__(
        self, required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None
    ) -> None:
        self.required = frozenset(required or {})
        self.checks = {**(required or {}), **(optional or {})}

    def read(self, payload: Any) -> dict[str, Any]:
        """Return the checked fields of `payload`; an optional field that is absent or null is left out.

        Raises `InvalidRequest` that names every bad, missing and unknown field at once.
        """
        if not isinstance(payload, Mapping):
            raise self._refused(payload, {})
        values: dict[str, Any] = {}
        mismatches: dict[str, Mismatch | None] = {}
        for name, check in self.checks.items():
            value = payload.get(name)
            if value is None:
                if name in self.required:
                    mismatches[name] = None
                continue
            try:
                values[name] = check(value)
            except Mismatch as mismatch:
                mismatches[name] = mismatch
        if mismatches or payload.keys() - self.checks.keys():
            raise self._refused(payload, mismatches)
        return values

    def _refused(self, payload: Any, mismatches: Mapping[str, Mismatch | None]) -> InvalidRequest:
        from . import refused_fields  # noqa: PLC0415 - most requests are right

        return refused_fields.refused(payload, self.checks, mismatches)


class Whole:
    """A request that is taken as it is: a JSON object that has no fields but those with these names."""

    def __init__(self, *names: str) -> None:
        self.named = Fields(optional=dict.fromkeys(names, anything))

    def read(self, payload: Any) -> dict[str, Any]:
        """Return `payload`; raise `InvalidRequest` if it is no object, or has other fields, which that names."""
        self.named.read(payload)
        return dict(payload)
