"""`python -m tools.life`: write docs/life.md: the pictures of a connection's life, from the table in the code."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from functions.vault.grant import life
from functions.vault.grant.life import LIFE, Happened, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from functions.vault.grant.life import Status

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "life.md"

_HEAD = """# The life of a connection

This page is made by `python -m tools.life` from the table in `functions/vault/grant/life.py`, which the code goes by.

"""
_STATUS = """
## Status

What leads from one status to another; a slash stands between several causes. What changes no status is not drawn.

"""
_PLACES = """
## Token sets

Where a token set can be, and what moves it. It comes in with an answer of the authorization server. When it leaves, its
ciphertext is deleted.

"""
_TABLE = """
## The table

| status | token set | what happens | status after it | token set after it |
|---|---|---|---|---|
"""


def document() -> str:
    """Return docs/life.md."""
    status = _diagram(
        (_node(was), _node(then), str(happened)) for (was, _, happened), (then, _) in LIFE.items() if was is not then
    )
    places = _diagram(
        (_end(start), _end(end), str(happened)) for (_, start, happened), (_, end) in LIFE.items() if start is not end
    )
    return _HEAD + _rules() + _STATUS + status + _PLACES + places + _TABLE + "".join(_rows())


def _rules() -> str:
    """Return the rules in prose: the module's own."""
    text = life.__doc__ or ""
    begin, end = text.index("A connection has one"), text.index("Only `transition.after`")
    return text[begin:end].strip() + "\n"


def _diagram(steps: Iterable[tuple[str, str, str]]) -> str:
    """Return a state diagram in Mermaid, with one arrow for all that leads the same way."""
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for start, end, label in steps:
        if label not in labels[start, end]:
            labels[start, end].append(label)
    arrows = (f"    {start} --> {end}: {' / '.join(label)}\n" for (start, end), label in labels.items())
    return "```mermaid\nstateDiagram-v2\n" + "".join(arrows) + "```\n"


def _node(status: Status | None) -> str:
    return "[*]" if status is None else str(status)


def _end(place: Place) -> str:
    return "[*]" if place is Place.OUTSIDE else str(place)


def _rows() -> Iterator[str]:
    order = list(Happened)
    for (was, start, happened), (then, end) in sorted(LIFE.items(), key=lambda row: order.index(row[0][2])):
        begun = "comes in" if start is Place.OUTSIDE else f"`{start}`"
        over = "goes" if end is Place.OUTSIDE else f"`{end}`"
        yield f"| {f'`{was}`' if was else 'none'} | {begun} | {happened} | `{then}` | {over} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
