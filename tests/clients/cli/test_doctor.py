"""`gatehouse doctor` on set-ups that are broken: it names what is wrong, and doing what it says mends it.

`python -m tests.clients.cli.setups` has all of them, as `make fuzz` has; here are those that differ in kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.breadth import EVERY_ONE
from tests.clients.cli.setups import SETUPS, tried, workplace, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.cli.setups import Setup, Workplace


KINDS = (
    "no credentials",
    "no stack of that name",
    "the key is disabled",
    "nothing listens at the base URL",
    "nothing is registered",
    "an endpoint that nobody reaches",
    "a table is gone",
    "dead letters",
)
"""What each is looked for in another way, and mended in another."""
TRIED = [setup for setup in SETUPS if EVERY_ONE or setup.name in KINDS]


@pytest.fixture(scope="module")
def place() -> Iterator[Workplace]:
    """Give one stack to break and mend."""
    with workplace() as opened:
        # Each that is mended is as it was before: if the last of them is well now, all are.
        assert wrong(opened, SETUPS[-1]) == []
        yield opened


@pytest.mark.parametrize("setup", TRIED, ids=lambda setup: setup.name)
def test_what_is_wrong_is_said_and_mended_by_what_it_says(place: Workplace, setup: Setup) -> None:
    """That is wrong, and what to do; and after that is done, nothing is."""
    row = tried(place, setup)

    assert [each for each in row.said if setup.says in each["said"]], row.said
    assert all(each["do"] for each in row.said)
    assert row.after == []


def test_the_kinds_are_there() -> None:
    """None of them has another name by now."""
    assert {setup.name for setup in SETUPS} >= set(KINDS)
