"""`token`: returns an access token that is valid for at least `min_ttl` seconds, refreshing first when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault import fields
from functions.vault.fields import Fields
from functions.vault.timing import DEFAULT_MIN_TTL

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_FIELDS = Fields(required={"connection_id": fields.connection_id}, optional={"min_ttl": fields.integer(0, 86400)})


def _token(house: House, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.vending.token(request["connection_id"], request.get("min_ttl", DEFAULT_MIN_TTL), deadline)


def _furnish(house: House) -> None:
    house.ready("vending", services=("dynamodb", "kms"))


handler = InvokeDoor("token", lambda _house: _FIELDS, _token, furnish=_furnish)
