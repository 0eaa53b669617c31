"""The isolation of the process's environment from real AWS accounts."""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import permutations

import pytest

from local.base.environment import isolation


def _where() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_isolations_may_end_in_any_order(order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest that has not ended is in force, and at last all is as it was before the first."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "before")
    running = [ExitStack() for _ in range(3)]
    for number, each in enumerate(running):
        each.enter_context(isolation({"AWS_ENDPOINT_URL": str(number)}))

    for ended, number in enumerate(order, 1):
        running[number].close()

        left = set(order[ended:])
        assert _where() == (str(max(left)) if left else "before")


def test_what_is_set_inside_is_kept_until_its_own_isolation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An isolation inside another puts back what was set in between."""
    with isolation({"AWS_ENDPOINT_URL": "outer"}):
        monkeypatch.setenv("GATEHOUSE_LATER", "set")
        with isolation({"AWS_ENDPOINT_URL": "inner"}):
            pass

        assert (_where(), os.environ["GATEHOUSE_LATER"]) == ("outer", "set")
