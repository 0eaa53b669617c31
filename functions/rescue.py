"""`rescue`: commits a token response whose first write failed, from the queue or, by hand, from a line of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault.fields import Whole

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_WHOLE = Whole()


def _rescue(house: House, document: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.rescuing.rescue(document, deadline)


def _consume(house: House, document: dict[str, Any], deadline: Deadline) -> None:
    house.rescuing.rescue(document, deadline)


def _furnish(house: House) -> None:
    house.ready("rescuing", services=("dynamodb",))


handler = InvokeDoor("rescue", lambda _house: _WHOLE, _rescue, _consume, furnish=_furnish)
