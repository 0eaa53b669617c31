"""What the pattern of a parameter says, in words and by an example: whoever calls `start` need not read patterns.

Loaded only if a parameter is missing or does not fit. The patterns are those of `tenants.PATTERN`.
"""

from __future__ import annotations

import re
from itertools import cycle, islice

_PART = r"\[(?P<of>[^\]]+)\](?:\{(?:(?P<least>[01]),)?(?P<most>[0-9]+)\})?|(?P<literal>(?:[A-Za-z0-9_-]|\\\.)+)"
_LIKE = {"a-z": "acme", "A-Z": "ACME", "0-9": "4711"}
_USUAL = 4
"""Characters of an example, if the pattern takes that many."""


def described(pattern: str) -> str:
    """Return what a pattern takes, with an example: `1 to 63 of a-z 0-9 -, like "acme"`."""
    ways = pattern.split("|")
    literals = [_plain(way) for way in ways]
    if all(re.fullmatch(r"[A-Za-z0-9_.-]+", literal) for literal in literals):
        return f"one of {', '.join(literals)}" if len(literals) > 1 else literals[0]
    words = " or ".join(", then ".join(_words(part) for part in re.finditer(_PART, way)) for way in ways)
    example = ""
    for part in re.finditer(_PART, ways[0]):
        example += _example(part, len(example))
    return f'{words}, like "{example}"'


def _words(part: re.Match[str]) -> str:
    if part["literal"] is not None:
        return f'"{_plain(part["literal"])}"'
    least, most = part["least"], part["most"] or "1"
    number = most if least is None else f"up to {most}" if least == "0" else f"{least} to {most}"
    return f"{number} of {' '.join(_members(part['of']))}"


def _example(part: re.Match[str], begun: int) -> str:
    """Return what a part of an example is that has `begun` characters already."""
    if part["literal"] is not None:
        return _plain(part["literal"])
    members, most = _members(part["of"]), int(part["most"] or 1)
    length = most if part["least"] is None else max(int(part["least"]), min(most, _USUAL - begun))
    of = next((_LIKE[each] for each in members if each in _LIKE), "".join(members))
    return "".join(islice(cycle(of), begun, begun + length))


def _members(of: str) -> list[str]:
    return re.findall(r"a-z|A-Z|0-9|.", of)


def _plain(literal: str) -> str:
    return literal.replace("\\", "")
