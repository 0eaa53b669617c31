"""`gatehouse doctor` on set-ups that are broken: it names what is wrong, and doing what it says mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.cli.setups import SETUPS, tried, workplace, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.cli.setups import Setup, Workplace


@pytest.fixture(scope="module")
def place() -> Iterator[Workplace]:
    """Give one stack to break and mend."""
    with workplace() as opened:
        # Each that is mended is as it was before: if the last of them is well now, all are.
        assert wrong(opened, SETUPS[-1]) == []
        yield opened


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_what_is_wrong_is_said_and_mended_by_what_it_says(place: Workplace, setup: Setup) -> None:
    """That is wrong, and what to do; and after that is done, nothing is."""
    row = tried(place, setup)

    assert [each for each in row.said if setup.says in each["said"]], row.said
    assert all(each["do"] for each in row.said)
    assert row.after == []
