"""How much is combined with what: `make test` tries each value once, `make fuzz` tries every combination.

It is for axes that each show the same alone: a fault and a provider, a request and who sends it.
"""

from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY_ONE = "GATEHOUSE_FUZZ" in os.environ
"""Whether every combination is tried, and every one of many of a kind."""


def combinations(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return all combinations of the values of these axes, or as few as have each value of each, always the same."""
    if EVERY_ONE:
        return list(product(*axes))
    return [tuple(axis[number % len(axis)] for axis in axes) for number in range(max(map(len, axes)))]
