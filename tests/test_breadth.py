"""What is combined: each value once in `make test`, and everything in `make fuzz`."""

from __future__ import annotations

import re

from tests.breadth import EVERY_ONE, combinations
from tests.requirements import ROOT


def test_each_value_is_tried() -> None:
    """No axis loses a value, whichever is the longest, and nothing is tried twice."""
    # given
    axes = (["a", "b", "c", "d", "e"], [0, 1], ["x", "y", "z"])

    # when
    tried = combinations(*axes)

    # then
    assert [set(axis) for axis in zip(*tried, strict=True)] == [set(axis) for axis in axes]
    assert len(tried) == len(set(tried)) == (30 if EVERY_ONE else 5)


def test_every_combination_is_tried_by_a_command() -> None:
    """`make fuzz` runs each file of tests that combines."""
    named = re.search(r"^COMBINED = ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    combining = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"\bcombinations\(|\bEVERY_ONE\b", path.read_text("utf-8")) and path.name != "test_breadth.py"
    }

    assert named is not None
    assert set(named[1].replace("\\\n", "").split()) == combining
