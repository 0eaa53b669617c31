"""`sweep`: finds the connections whose background work is due, and queues it. A schedule calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault.fields import Whole

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

# What EventBridge sends where a rule names no input of its own.
_EVENT = Whole("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")


def _sweep(house: House, _event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.sweeping.sweep(deadline)


def _furnish(house: House) -> None:
    house.ready("sweeping", services=("dynamodb", "sqs"))


# An alarm reads `complete` in the log.
_LOGGED = ("queued", "complete")

handler = InvokeDoor("sweep", lambda _house: _EVENT, _sweep, furnish=_furnish, logged=_LOGGED)
