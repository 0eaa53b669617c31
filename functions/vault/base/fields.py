"""Checks of a request's fields: every bad field is named, with what was expected, and no value is ever repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest

if TYPE_CHECKING:
    from typing import TypeGuard

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
_NAME_IN_A_MESSAGE = r"[A-Za-z0-9_.-]{1,64}"

LONGEST_LIFETIME = 10 * 365 * 86400
"""Seconds beyond which no lifetime of a token is believed."""


def matches(value: object, pattern: str) -> TypeGuard[str]:
    """Return whether a value is a string that matches a pattern as a whole.

    Patterns are kept as texts. Python compiles one when it is first used and remembers it, so that a cold start does
    not pay for those that its call does not need.
    """
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


class Mismatch(ValueError):
    """One field is not as expected; the text says what was."""


def text(pattern: str, expected: str) -> Check:
    """Accept a string that matches `pattern` as a whole."""

    def check(value: Any) -> str:
        if not matches(value, pattern):
            raise Mismatch(expected)
        return value

    return check


def printable(longest: int) -> Check:
    """Accept a string of 1 to `longest` characters without control characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not re.fullmatch(_VISIBLE, value):
            raise Mismatch(f"a string of 1 to {longest} characters without control characters")
        return value

    return check


def integer(least: int, most: int) -> Check:
    """Accept a whole JSON number from `least` to `most`; `true` is not one."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Mismatch(f"an integer from {least} to {most}")
        return value

    return check


def anything(value: Any) -> Any:
    """Accept every value: it is not looked at."""
    return value


def boolean(value: Any) -> bool:
    """Accept `true` or `false`."""
    if not isinstance(value, bool):
        raise Mismatch("true or false")
    return value


def list_of(item: Check, most: int) -> Check:
    """Accept a list of at most `most` entries, if `item` accepts each of them."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) > most:
            raise Mismatch(f"a list of at most {most} entries")
        try:
            return tuple(item(entry) for entry in value)
        except Mismatch as mismatch:
            raise Mismatch(f"a list in which every entry is {mismatch}") from None

    return check


def string_map(key: str, longest: int, most: int, *, least: int = 0) -> Check:
    """Accept an object of `least` to `most` strings; keys match `key`, values have at most `longest` characters."""
    number = f"{least} to {most}" if least else f"at most {most}"

    def check(value: Any) -> dict[str, str]:
        expected = f"an object of {number} strings, keys like {key}, values of at most {longest} characters"
        if not isinstance(value, Mapping) or not least <= len(value) <= most:
            raise Mismatch(expected)
        for name, entry in value.items():
            fits = matches(name, key) and isinstance(entry, str) and len(entry) <= longest
            if not fits or not re.fullmatch(_VISIBLE, entry):
                raise Mismatch(expected)
        return dict(value)

    return check


def one_of(*choices: str) -> Check:
    """Accept one of the strings named."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Mismatch("one of " + ", ".join(choices))
        return value

    return check


def connection_id(value: Any) -> str:
    """Accept a connection's id."""
    if not matches(value, CONNECTION_ID) or value in DOT_SEGMENTS:
        raise Mismatch("1 to 128 of A-Z a-z 0-9 . _ : @ -, and neither . nor .. alone")
    return value


def owner(value: Any) -> str:
    """Accept an owner."""
    if value in DOT_SEGMENTS:
        raise Mismatch("an owner other than . and ..")
    return str(_owner(value))


stored_id = text(CONNECTION_ID, "a connection's id")
"""Accept what a message of Gatehouse's own names: whatever a connection may be called, it is looked after."""
_owner = printable(256)
provider_name = text(PROVIDER_NAME, "a provider's name: 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit")
scopes = list_of(text(SCOPE_TOKEN, "a scope token (RFC 6749 section 3.3)"), 100)


def shown(name: object) -> str:
    """Return a field's name as it may stand in a message: a plain name as it is, anything odd not at all."""
    return name if matches(name, _NAME_IN_A_MESSAGE) else "(a field with an unusual name)"


class Fields:
    """The fields of one request: `Fields(required={...}, optional={...}).read(payload)`."""

    def __init__(
        self, required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None
    ) -> None:
        self._required = dict(required or {})
        self._checks = {**self._required, **(optional or {})}

    def read(self, payload: Any) -> dict[str, Any]:
        """Return the checked fields of `payload`; an optional field that is absent or null is left out.

        Raises `InvalidRequest` that names every bad, missing and unknown field at once.
        """
        if not isinstance(payload, Mapping):
            raise InvalidRequest("The request must be a JSON object with the fields: " + ", ".join(self._checks) + ".")
        problems: list[str] = [f"{shown(name)}: unknown field" for name in payload if name not in self._checks]
        values: dict[str, Any] = {}
        for name, check in self._checks.items():
            value = payload.get(name)
            if value is None:
                if name in self._required:
                    problems.append(f"{name}: required")
                continue
            try:
                values[name] = check(value)
            except Mismatch as mismatch:
                problems.append(f"{name}: expected {mismatch}")
        if problems:
            raise InvalidRequest("; ".join(problems[:20]) + ".")
        return values


class Whole:
    """A request that is taken as it is: a JSON object that has no fields but those with these names."""

    def __init__(self, *names: str) -> None:
        self._fields = Fields(optional=dict.fromkeys(names, anything))

    def read(self, payload: Any) -> dict[str, Any]:
        """Return `payload`; raise `InvalidRequest` if it is no object, or has other fields, which that names."""
        self._fields.read(payload)
        return dict(payload)
