"""A stack for each module: what other tests do to its clock would make assertions and tokens too old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack whose clock is right at first."""
    with Stack() as running:
        yield running
