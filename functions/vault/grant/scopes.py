"""Scopes: what an answer grants is read from it, and compared with what was asked for.

A server may write a scope in another way than it was asked for: with another separator, under its full name, or not at
all if a wider one contains it. Which of these it does is data (`scope_aliases`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Aliases = Mapping[str, Sequence[str]]

OFFLINE_ACCESS = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core section 11)."""

_LONGEST = 8192


def granted(value: Any, separators: Iterable[str]) -> str | None:
    """Return the scope that an answer names, space-separated as RFC 6749 section 3.3 writes it; None if it has none.

    A space separates in any case, and so does each entry of a list.
    """
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        value = " ".join(value)
    if not isinstance(value, str):
        return None
    for separator in separators:
        value = value.replace(separator, " ")
    return " ".join(value.split())[:_LONGEST] or None


def named_by_redirect(value: Any, separators: Iterable[str], requested: str | None, aliases: Aliases) -> str | None:
    """Return the scope that a redirect names; None if it names none, or nobody knows what was asked for.

    A browser brings it: it can take away from what was asked for, and add nothing.
    """
    words = granted(value, separators)
    if words is None or requested is None:
        return None
    expected = set(requested.split())
    expected |= {name for scope in requested.split() for names in _aliases_of(scope, aliases) for name in names}
    return " ".join(word for word in words.split() if word in expected)


def missing(
    requested: str | None, granted: str | None, aliases: Aliases, *, refreshable: bool = False
) -> tuple[str, ...]:
    """Return the scopes that were asked for and not granted; none if nobody knows one of the two.

    `refreshable`: a refresh token came. Then what asks for one is granted, whether the server names it or not.
    """
    if requested is None or granted is None:
        return ()
    there = {*granted.split(), *((OFFLINE_ACCESS,) if refreshable else ())}
    return tuple(scope for scope in requested.split() if not _is_covered(scope, there, aliases))


def _is_covered(scope: str, there: set[str], aliases: Aliases) -> bool:
    """Return whether a scope is granted: under its own name, under an alias, or silently because it always is."""
    return scope in there or any(not names or not there.isdisjoint(names) for names in _aliases_of(scope, aliases))


def _aliases_of(scope: str, aliases: Aliases) -> Iterator[list[str]]:
    """Give the names for a scope in each entry that is about it; a star stands for the same text in all of them."""
    for pattern, names in aliases.items():
        rest = _rest(scope, pattern)
        if rest is not None:
            yield [name.replace("*", rest) for name in names]


def _rest(scope: str, pattern: str) -> str | None:
    """Return the text that the star of a pattern stands for in a scope; None if the scope does not fit.

    If the pattern has none, a star in the names stands for itself.
    """
    before, star, after = pattern.partition("*")
    if not star:
        return "*" if scope == pattern else None
    is_long_enough = len(scope) >= len(before) + len(after)
    fits = is_long_enough and scope.startswith(before) and scope.endswith(after)
    return scope[len(before) : len(scope) - len(after)] if fits else None
