"""`python -m tools.life`: write docs/life.md: the pictures of a connection's life, from the table in the code."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from functions.vault.grant import life
from functions.vault.grant.life import LIFE, Happened, Place, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "life.md"

_HEAD = """# The life of a connection

You see a status in `connections`, and want to know how the connection got there and what can happen next. This page
has the [statuses](#status), the places in which a connection keeps its [token sets](#token-sets), the
[rules](#the-rules), and the whole [table](#the-table). `python -m tools.life` generates it from
`functions/vault/grant/life.py`, and the code follows that same table.

"""
_STATUS = """## Status

| status | what it means | what you do |
|---|---|---|
"""
_STATUS_MEANS = {
    Status.ACTIVE: ("`token` vends access tokens", "nothing"),
    Status.UNCONFIRMED: (
        "a first consent that your application has not confirmed yet, or an import that no refresh has proved yet",
        "call `confirm` when the customer comes back; after an import, nothing",
    ),
    Status.REAUTHORIZATION_REQUIRED: (
        "the provider refused the grant, or nobody confirmed the first consent in time",
        "call `start` again, and send the customer to the link",
    ),
    Status.REVOKING: (
        "you called `revoke`: nothing is vended any more, and Gatehouse is still revoking at the provider",
        "nothing; or call `start`, if the customer wants to reconnect",
    ),
    Status.REVOKED: (
        "ended here, and nothing is left to revoke",
        "nothing; or call `start`, if the customer wants to reconnect",
    ),
}
"""What each status means to whoever calls Gatehouse."""

_STATUS_PICTURE = """
What leads from one status to another. A slash stands between several causes; what changes no status is not drawn.

"""
_PLACES = """
## Token sets

What the provider issued at one time is a *token set*. A connection may hold several, each in one place:

| place | the token set in it |
|---|---|
"""
_PLACE_MEANS = {
    Place.CURRENT: "is the one that `token` vends from",
    Place.KEPT: "has the refresh token that is still in use, because a later consent brought none",
    Place.PENDING: "waits until its account is known, or until your application confirms it",
    Place.SUPERSEDED: "is not used any more, and is revoked with the connection",
    Place.REVOKING: "is being revoked at the provider",
}
"""What is in each place of a record."""

_PLACES_PICTURE = """
A token set comes in with an answer of the authorization server. When it leaves, its ciphertext is deleted.

"""
_RULES = """
## The rules

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
    statuses = "".join(f"| `{each}` | {' | '.join(_STATUS_MEANS[each])} |\n" for each in Status)
    kept = "".join(f"| `{each}` | {_PLACE_MEANS[each]} |\n" for each in Place if each is not Place.OUTSIDE)
    return "".join(
        (
            *(_HEAD, _STATUS, statuses, _STATUS_PICTURE, status),
            *(_PLACES, kept, _PLACES_PICTURE, places),
            *(_RULES, _rules(), _TABLE, *_rows()),
        )
    )


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
