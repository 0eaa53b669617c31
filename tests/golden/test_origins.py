"""Connections made with the last release's provider files have to keep working."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.golden.origins import FILES, RELEASED, origins_of, written

if TYPE_CHECKING:
    from pathlib import Path

WERE = json.loads(RELEASED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_provider_that_moves_says_from_where(path: Path) -> None:
    """Otherwise every connection to it would fail; `python -m tests.golden.origins` writes them at a release."""
    file, were = written(path), WERE.get(path.stem, {})
    now, said = origins_of(file), file.get("endpoints_moved_from", [])

    moved = {use: origin for use, origin in were.items() if use in now and now[use] != origin and origin not in said}
    assert moved == {}, f"{path.name} needs endpoints_moved_from"


def test_no_provider_of_the_last_release_is_gone() -> None:
    """Its connections would have no endpoints any more."""
    assert WERE.keys() <= {path.stem for path in FILES}
