"""Checks of the keys that shape requests to a provider: parameters, headers, and other names for parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields as check
from functions.vault.base.fields import FieldCheck, Mismatch

from .names import FIELD_NAME, field_name, header_name
from .object_checks import known_members, members

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.vault.base.fields import Check

MOST_NEEDS = 10


def params(own: frozenset[str]) -> FieldCheck:
    """Accept additional parameters of a request, but none in `own`: Gatehouse sets those itself."""
    return _without(own, check.string_map(field_name, 1024, 20), "names", str)


def headers(own: frozenset[str]) -> FieldCheck:
    """Accept additional headers of a request, likewise; their names ignore case, and `own` is in lower case."""
    return _without(own, check.string_map(header_name, 256, 10), "headers", str.lower)


def _without(own: frozenset[str], accept_map: FieldCheck, what: str, normalize: Callable[[str], str]) -> FieldCheck:
    """Accept what `accept_map` does, unless one of its keys, after `normalize`, is in `own`."""

    def accept(value: Any) -> dict[str, str]:
        given: dict[str, str] = accept_map(value)
        if taken := own.intersection(map(normalize, given)):
            raise Mismatch(f"other {what} than those that Gatehouse sets itself ({', '.join(sorted(taken))})")
        return given

    names = {**accept_map.schema["propertyNames"], "not": {"enum": sorted(own)}}
    return FieldCheck(accept, {**accept_map.schema, "propertyNames": names})


def texts_by_key(keys: tuple[str, ...], expected_values: str, what: str) -> Check:
    """Accept an object whose keys are some of `keys`, and whose values match the pattern `expected_values`."""
    expected = f"an object with keys of {', '.join(keys)}, and for each {what}"
    checks = dict.fromkeys(keys, check.text(expected_values, what))
    return lambda value: known_members(value, checks, expected)


def other_names(*own: str) -> Check:
    """Accept other names for the parameters `own`; an empty name leaves the parameter out."""
    accept_map = texts_by_key(
        own, f"{FIELD_NAME}|", "the name that the server has for it, or an empty one to leave it out"
    )

    def accept(value: Any) -> dict[str, str]:
        names: dict[str, str] = accept_map(value)
        if set(own).intersection(names.values()):
            raise Mismatch("other names than those that Gatehouse sets itself (" + ", ".join(own) + ")")
        return names

    return accept


def refresh_token_needs(value: Any) -> dict[str, list[str]]:
    """Accept what an authorization request has to contain for the server to issue a refresh token."""
    expected = (
        f"an object of at most {MOST_NEEDS} parameters of the authorization request, each with a list of 1 to 10 texts "
        '(it has to have one of them), like {"scope": ["offline_access"]}'
    )
    texts = check.list_of(check.printable(256), 10)
    needed = members(value, check.text(FIELD_NAME, expected), lambda each: texts(each or None), expected, MOST_NEEDS)
    return {name: [*accepted] for name, accepted in needed.items()}


def first_refresh(checks: Mapping[str, Check]) -> Check:
    """Accept an object of those keys that differ for the first refresh after a consent; `checks` has them all."""
    expected = f"an object with some of the keys {', '.join(checks)}"
    return lambda value: known_members(value, checks, expected, path="")
