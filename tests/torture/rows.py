"""By which rows of the table of a connection's life a write went, as far as that shows from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.grant.life import LIFE, MOST_SUPERSEDED, Happened, Place, Status
from tests.torture.records import current_of, sets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Values = Mapping[str, Any]

Row = tuple[Status | None, Place, Happened]

_BRING = frozenset(happened for _, place, happened in LIFE if place is Place.OUTSIDE)
"""What takes nothing away but for what it brings."""


def rows_of(before: Values, after: Values) -> set[Row] | None:
    """Return the rows of the table by which one write can have led from one state to another; None if none can.

    A token set that no row of them is about has stayed where it was. In the same write others may go that waited and
    were not the connection's own; then what is superseded may be revoked at once, or be the oldest of too many.
    """
    was = Status(before["status"]) if before else None
    now, old, new = Status(after["status"]), sets_in(before), sets_in(after)
    moves = [(_place(old, set_id), _place(new, set_id)) for set_id in old.keys() | new.keys()]
    moves = [(start, end) for start, end in moves if start is not end]
    if not moves:
        stayed = _rows_without_a_move(before, after)
        return stayed if stayed or was is now else None
    refused = refused_import(before)
    comes_in = any(start in {Place.OUTSIDE, Place.PENDING} for start, _ in moves)
    is_full = sum(_place(new, set_id) is Place.SUPERSEDED for set_id in new) == MOST_SUPERSEDED
    for happened in Happened:
        if (happened in _BRING and not comes_in) or (happened is Happened.LEFT_TO_SERVER and not is_full):
            continue
        for between in _statuses_between(was, moves):
            ways = [
                _way((was, between), start, happened, (now, end), is_full=is_full, has_refused=bool(refused))
                for start, end in moves
            ]
            rows = {row for way in ways for row in way}
            if all(ways) and any(row[2] is happened for row in rows):
                return rows
    return None


_NOT_ITS_OWN = (Happened.DISOWNED, Happened.FORGOTTEN, Happened.DISOWNED_BESIDE, Happened.FORGOTTEN_BESIDE)


def _statuses_between(was: Status | None, moves: list[tuple[Place, Place]]) -> list[Status | None]:
    """Return what the status may be once what waited and was not the connection's own is gone."""
    gone = [LIFE.get((was, Place.PENDING, happened)) for happened in _NOT_ITS_OWN]
    left = [row[0] for row in gone if row is not None and (Place.PENDING, row[1]) in moves]
    return list(dict.fromkeys([was, *left]))


def _way(  # noqa: PLR0913 - from where to where, and what else there is
    before: tuple[Status | None, Status | None],
    start: Place,
    happened: Happened,
    then: tuple[Status, Place],
    *,
    is_full: bool,
    has_refused: bool = False,
) -> tuple[Row, ...]:
    """Return the rows by which one token set went: with what happened, and what comes before and after it.

    `has_refused`: what is current was imported, and refused: it may go as what waits may.
    """
    (was, between), (now, end) = before, then
    ways: list[tuple[Place, tuple[Row, ...]]] = [(start, ())]
    if start is Place.PENDING or (start is Place.CURRENT and has_refused):
        ways += _one_further(ways, was, between, _NOT_ITS_OWN)
    ways += _one_further(ways, between, now, (happened,))
    # What has just come in is not taken away in the same write.
    further = () if start is Place.OUTSIDE else _NOT_ITS_OWN
    ways += _one_further(ways, now, now, (Happened.REVOKED_APART, *further))
    ways += _one_further(ways, now, now, (Happened.LEFT_TO_SERVER,) if is_full else ())
    return next((rows for place, rows in ways if rows and place is end), ())


def _one_further(
    ways: list[tuple[Place, tuple[Row, ...]]], was: Status | None, now: Status | None, each: tuple[Happened, ...]
) -> list[tuple[Place, tuple[Row, ...]]]:
    further = []
    for place, rows in ways:
        for happened in each:
            status, leads_to = LIFE.get((was, place, happened), (None, place))
            if status is not None and status is now:
                further.append((leads_to, (*rows, (was, place, happened))))
    return further


def refused_import(values: Values) -> Values:
    """Return the token set among an item's plain values that was imported and refused; nothing if there is none."""
    current = current_of(values)
    is_refused = values.get("status") == Status.REAUTHORIZATION_REQUIRED and "import_digest" in values
    return current if is_refused and "refreshed_from" not in current else {}


def _rows_without_a_move(before: Values, after: Values) -> set[Row]:
    was, now, old, new = before.get("status"), after["status"], sets_in(before), sets_in(after)
    changed = {set_id for set_id in new if new[set_id] != old[set_id] or was != now}
    return {
        row
        for row, then in LIFE.items()
        for set_id in changed
        if row[:2] == (was, new[set_id]["place"]) and then == (now, row[1])
        if row[2] not in _SIGNS or _SIGNS[row[2]](old[set_id], new[set_id], before, after)
    }


def _was_leased(old: Values, new: Values, _before: Values, _after: Values) -> bool:
    return "lease" in new and new["lease"]["holder"] != old.get("lease", {}).get("holder")


def _lease_ended(old: Values, new: Values, before: Values, after: Values) -> bool:
    is_over = "lease" in old and new.get("lease", {}).get("until", 0) == 0
    return is_over and before.get("failure") == after.get("failure")


def _failed(_old: Values, _new: Values, before: Values, after: Values) -> bool:
    return bool(before.get("failure") != after.get("failure"))


def _attempts(values: Values) -> int:
    return int(values.get("revocation", {}).get("open_attempts", 0))


def _revocation_began(old: Values, new: Values, _before: Values, _after: Values) -> bool:
    return _attempts(new) > _attempts(old)


def _revocation_failed(old: Values, new: Values, _before: Values, _after: Values) -> bool:
    return bool(old.get("revocation", {}).get("failure") != new.get("revocation", {}).get("failure"))


def _sealed_again(old: Values, new: Values, _before: Values, _after: Values) -> bool:
    return bool(old["seal"] != new["seal"]) and {**old, "seal": None} == {**new, "seal": None}


_SIGNS: dict[Happened, Callable[[Values, Values, Values, Values], bool]] = {
    Happened.LEASED: _was_leased,
    Happened.LEASE_GIVEN_BACK: _lease_ended,
    Happened.LEASE_ENDED: _lease_ended,
    Happened.REFRESH_FAILED: _failed,
    Happened.REVOCATION_BEGAN: _revocation_began,
    Happened.REVOCATION_FAILED: _revocation_failed,
    Happened.SEALED_AGAIN: _sealed_again,
}
"""How it shows in one token set, and in the record around it, that something happened which moves nothing."""


def _place(sets: Mapping[str, Values], set_id: str) -> Place:
    return Place(sets[set_id]["place"]) if set_id in sets else Place.OUTSIDE
