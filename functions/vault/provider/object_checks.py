"""Checks of objects in a provider's data: what does not fit names the member, and an unknown one its nearest name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.fields import A_NAME, Mismatch

if TYPE_CHECKING:
    from functions.vault.base.fields import Check


def members(value: Any, names: Check, values: Check, expected: str, most: int) -> dict[str, Any]:
    """Return an object of at most `most` members: `names` accepts their names, `values` what they hold.

    Raises `Mismatch` that names the first member that does not fit.
    """
    if not isinstance(value, Mapping) or len(value) > most:
        raise Mismatch(expected)
    return {_part(names, name, expected, A_NAME): _part(values, entry, expected, name) for name, entry in value.items()}


def known_members(value: Any, checks: Mapping[str, Check], expected: str, *, path: str | None = None) -> dict[str, Any]:
    """Return an object that has none but the members in `checks`, each as its check has it.

    Raises `Mismatch` that names the first member that is unknown or does not fit. With a `path` to the object (`eu.`,
    or an empty one), its text also says what was expected of that member.
    """
    if not isinstance(value, Mapping):
        raise Mismatch(expected)
    for name in value:
        if name not in checks:
            raise Mismatch(expected, A_NAME, name, known=checks)
    return {name: _part(checks[name], entry, expected, name, path) for name, entry in value.items()}


def text_or_list(text: Check, texts: Check) -> Check:
    """Accept a text that `text` accepts, or a list that `texts` accepts: either stays as it is."""

    def accept(value: Any) -> Any:
        (texts if isinstance(value, list) else text)(value)
        return value

    return accept


def _part(accept: Check, value: Any, expected: str, at: str | int, path: str | None = None) -> Any:
    try:
        return accept(value)
    except Mismatch as mismatch:
        if path is None:
            raise Mismatch(expected, at, value, known=mismatch.known) from None
        inner = (at, value) if mismatch.at is None else (mismatch.at, mismatch.part)
        raise Mismatch(f"{expected}, and {path}{at} to be {mismatch}", *inner, known=mismatch.known) from None
