"""`revoke`: ends the grant, here at once and at the authorization server (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault import fields
from functions.vault.fields import Fields

if TYPE_CHECKING:
    from functions.vault.errors import GatehouseError
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_FIELDS = Fields(required={"connection_id": fields.connection_id})


def _revoke(house: House, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.revoking.revoke(request["connection_id"], deadline)


_MESSAGE = Fields(
    required={"connection_id": fields.connection_id},
    optional={"version": fields.integer(1, 2**53), "provider": fields.provider_name},
)


def _retry(house: House, message: dict[str, Any], deadline: Deadline) -> GatehouseError | None:
    due = _MESSAGE.read(message)
    return house.background.retry(due["connection_id"], due.get("provider"), deadline)


def _furnish(house: House) -> None:
    house.ready("revoking", services=("dynamodb", "kms", "secretsmanager"))


handler = InvokeDoor("revoke", lambda _house: _FIELDS, _revoke, _retry, furnish=_furnish)
