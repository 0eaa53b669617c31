"""How many examples the properties try: a few in every run of the tests, always the same; many in `make fuzz`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = int(os.environ.get("GATEHOUSE_FUZZ", "0"))
"""As many times more examples than usual, and new ones in each run; 0: the usual ones."""

# A generator may be slow on a busy machine, and reject a lot: neither is a defect of what is tested.
_ALLOWED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def examples(usual: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try a property with this many examples, or with a multiple of them."""
    return settings(
        max_examples=usual * max(1, TIMES),
        derandomize=not TIMES,
        database=None,
        deadline=None,
        print_blob=bool(TIMES),
        suppress_health_check=_ALLOWED,
    )
