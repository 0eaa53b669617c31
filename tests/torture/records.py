"""What is stored of a connection, looked at from outside: plain values, its token sets, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault import attributes
from functions.vault.life import LIFE, MOST_SUPERSEDED, Happened, Place, Status
from functions.vault.stored_set import Seal, StoredSet, Whose

if TYPE_CHECKING:
    from collections.abc import Mapping

Row = tuple[Status | None, Place, Happened]


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored item's values, those of its summary among them; nothing for no item."""
    values = {name: attributes.read(value) for name, value in item.items()}
    return {**values.pop("summary", {}), **values}


def sets_in(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the token sets among an item's plain values, by their ids."""
    return {each["id"]: each for each in values.get("sets", ())}


def current_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the current token set among an item's plain values; nothing where there is none."""
    return next((each for each in values.get("sets", ()) if each["place"] == Place.CURRENT), {})


def to_revoke(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the token sets among an item's plain values whose server is yet to be told."""
    return [each for each in values.get("sets", ()) if each["place"] == Place.REVOKING]


def sealed(stored: Mapping[str, Any]) -> StoredSet:
    """Return a stored token set as far as it takes to open it."""
    return StoredSet(stored["id"], Place(stored["place"]), Seal(**stored["seal"]), Whose(**stored["whose"]))


def rows_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[Row] | None:
    """Return the rows of the table by which one write can have led from one state to another; None where none can.

    A token set that no row of them is about has stayed where it was. Of too many that are superseded the oldest go in
    the same write.
    """
    was = Status(before["status"]) if before else None
    now, old, new = Status(after["status"]), sets_in(before), sets_in(after)
    moved = {
        set_id: (_place(old, set_id), _place(new, set_id))
        for set_id in old.keys() | new.keys()
        if _place(old, set_id) is not _place(new, set_id)
    }
    if not moved:
        held = {_place(new, set_id) for set_id in new}
        stayed = {row for row, then in LIFE.items() if row[0] is was and row[1] in held and then == (now, row[1])}
        return stayed if stayed or was is now else None
    found = [
        {row for row in LIFE if row[:2] == (was, start) and LIFE[row] == (now, end)} for start, end in moved.values()
    ]
    comes_in = any(start is Place.OUTSIDE for start, _ in moved.values())
    is_full = sum(_place(new, set_id) is Place.SUPERSEDED for set_id in new) == MOST_SUPERSEDED
    for happened in Happened:
        if happened in _BRING and not comes_in:
            continue  # they take nothing away but for what they bring
        allowed = {happened, Happened.LEFT_TO_SERVER} if is_full else {happened}
        if all(any(row[2] in allowed for row in rows) for rows in found):
            return {row for rows in found for row in rows if row[2] in allowed}
    return None


_BRING = frozenset(
    {
        Happened.CONSENTED,
        Happened.CONSENTED_KEEPING,
        Happened.REFRESHED,
        Happened.KEPT_REFRESHED,
        Happened.KEPT_CAME_LATE,
        Happened.CAME_LATE,
        Happened.CAME_AFTER_REVOCATION,
    }
)


def _place(sets: Mapping[str, Mapping[str, Any]], set_id: str) -> Place:
    return Place(sets[set_id]["place"]) if set_id in sets else Place.OUTSIDE
