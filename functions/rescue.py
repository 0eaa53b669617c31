"""`rescue`: commits a token response whose first write failed, from the queue or, by hand, from a line of the log."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault.fields import Whole
from functions.vault.obtained import Obtained

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_DOCUMENT = Whole(*(field.name for field in fields(Obtained)))


def _rescue(house: House, document: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.rescuing.rescue(document, deadline)


def _consume(house: House, document: dict[str, Any], deadline: Deadline) -> None:
    house.rescuing.rescue(document, deadline)


def _furnish(house: House) -> None:
    house.ready("rescuing", services=("dynamodb",))


handler = InvokeDoor("rescue", lambda _house: _DOCUMENT, _rescue, _consume, furnish=_furnish)
