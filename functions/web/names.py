"""A name that somebody else has chosen, as a page may show it."""

import unicodedata

_LONGEST = 64
_LONGEST_READ = 1000

_BREAKS = frozenset({"Cc", "Zl", "Zp", "Zs"})
_LEFT_OUT = frozenset({"Cf", "Cs", "Co", "Cn"})
"""Categories of what is invisible, turns the direction of the text around it, or is no character."""

_MARKS = frozenset({"Mn", "Me"})
_MOST_MARKS = 3
"""Marks on one character. Any number can be heaped on it, over the lines above and below."""


def shown(unverified_name: str) -> str:
    """Return a name in one short line of visible characters; empty if nothing is left of it. It is not escaped."""
    kept, marks = [], 0
    for character in unicodedata.normalize("NFC", unverified_name[:_LONGEST_READ]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if category not in _LEFT_OUT and marks <= _MOST_MARKS:
            kept.append(" " if category in _BREAKS else character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1].rstrip()}…"
