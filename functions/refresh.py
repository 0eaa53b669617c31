"""`refresh`: refreshes now, because a caller got a 401 or a queue says it is due; at most once for all who ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault import fields
from functions.vault.fields import Fields

if TYPE_CHECKING:
    from functions.vault.errors import GatehouseError
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_FIELDS = Fields(required={"connection_id": fields.connection_id}, optional={"if_version": fields.integer(1, 2**53)})


def _refresh(house: House, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.vending.refresh(request["connection_id"], request.get("if_version"), deadline)


_MESSAGE = Fields(
    required={"connection_id": fields.connection_id, "version": fields.integer(1, 2**53)},
    optional={"provider": fields.provider_name},
)


def _keep(house: House, message: dict[str, Any], deadline: Deadline) -> GatehouseError | None:
    due = _MESSAGE.read(message)
    return house.background.keep(due["connection_id"], due["version"], due.get("provider"), deadline)


def _furnish(house: House) -> None:
    house.ready("vending", "refreshing", services=("dynamodb", "kms", "secretsmanager"))


handler = InvokeDoor("refresh", lambda _house: _FIELDS, _refresh, _keep, furnish=_furnish)
