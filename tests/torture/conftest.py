"""What the tests of crashes and outages share: one scene for a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.scene import running_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.scene import Scene


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Give a stack on dynalite with victims and a survivor. Mark the test `needs_node`."""
    with running_scene() as running:
        yield running
