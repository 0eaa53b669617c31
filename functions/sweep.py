"""`sweep`: finds the background work that is due and queues it. A schedule calls it, and an operator may.

An operator can name a connection whose provider is to be asked now, even if it is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

# What EventBridge sends if a rule has no input of its own.
_OF_EVENTBRIDGE = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
_FIELDS = Fields(optional={**dict.fromkeys(_OF_EVENTBRIDGE, fields.anything), "connection_id": fields.connection_id})


def _sweep(services: Services, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return services.sweeping.sweep(deadline, request.get("connection_id"))


def _preload(services: Services) -> None:
    services.preload("sweeping", clients=("dynamodb", "sqs"))


# An alarm reads `complete` in the log.
_LOGGED = ("queued", "complete", "connection_id")

handler = InvokeHandler("sweep", lambda _services: _FIELDS, _sweep, preload=_preload, logged=_LOGGED)
