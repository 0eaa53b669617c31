"""`sweep`: finds the background work that is due and queues it. A schedule calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.fields import Whole
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

# What EventBridge sends if a rule has no input of its own.
_EVENT = Whole("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")


def _sweep(services: Services, _event: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return services.sweeping.sweep(deadline)


def _preload(services: Services) -> None:
    services.preload("sweeping", clients=("dynamodb", "sqs"))


# An alarm reads `complete` in the log.
_LOGGED = ("queued", "complete")

handler = InvokeHandler("sweep", lambda _services: _EVENT, _sweep, preload=_preload, logged=_LOGGED)
