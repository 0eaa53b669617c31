"""The table of a connection's life: what it says of itself holds in every row, and the methods go by it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from functions import vault
from functions.vault.life import LIFE, Happened, Place, Status, becomes

ENDED = {Status.REVOKING, Status.REVOKED}


def test_what_has_no_row_cannot_happen() -> None:
    """It is a defect of whoever tries, and says what was tried."""
    with pytest.raises(LookupError, match=r"revoked.*a refresh began"):
        becomes(Status.REVOKED, Place.CURRENT, Happened.LEASED)


def test_every_row_is_read_as_it_is_written() -> None:
    """From status, place and what happened to status and place."""
    for (status, place, happened), then in LIFE.items():
        assert becomes(status, place, happened) == then


def test_what_happens_at_once_gives_one_status() -> None:
    """Of a status and what happens to it only one status can follow, whichever token set is looked at."""
    following: dict[tuple[Status | None, Happened], set[Status]] = {}
    for (status, _, happened), (then, _) in LIFE.items():
        following.setdefault((status, happened), set()).add(then)

    assert {each: statuses for each, statuses in following.items() if len(statuses) > 1} == {}


def test_everything_that_can_happen_has_a_row_and_none_leads_nowhere() -> None:
    """No word of the table is idle, and no token set comes from outside only to stay there."""
    assert {happened for _, _, happened in LIFE} == set(Happened)
    assert not [row for row, (_, place) in LIFE.items() if row[1] is place is Place.OUTSIDE]


def test_what_has_ended_vends_nothing() -> None:
    """Nothing is current in a connection that has ended; only a consent brings one back."""
    for (status, place, happened), (then, after) in LIFE.items():
        assert (status in ENDED) <= (place is not Place.CURRENT)
        assert (then in ENDED) <= (after is not Place.CURRENT)
        assert (status in ENDED and then not in ENDED) <= (happened is Happened.CONSENTED)


def test_what_is_to_be_revoked_only_goes_when_that_is_confirmed() -> None:
    """Neither a consent nor a refresh takes a token set out of that place."""
    leaving = {
        happened
        for (_, place, happened), (_, after) in LIFE.items()
        if place is Place.REVOKING and after is not Place.REVOKING
    }

    assert leaving == {Happened.REVOCATION_CONFIRMED, Happened.LAST_CONFIRMED}


def test_nobody_else_sets_a_status_or_a_place() -> None:
    """In no module of the vault but the one that goes by the table."""
    found = [
        (path.stem, node.value.lineno)
        for path in Path(vault.__file__).parent.glob("*.py")
        if path.stem not in {"connection", "store", "life"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg in {"status", "place"} and _is_one_of_ours(node.value)
    ]

    assert found == []


def _is_one_of_ours(value: ast.expr) -> bool:
    """Tell whether a value is a member of `Status` or `Place`, where it is not something that was read."""
    return (
        isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in {"Status", "Place"}
    )
