"""`token`: returns an access token that is valid for at least `min_ttl` seconds, after a refresh if it needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.vault.base.timing import DEFAULT_MIN_TTL
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FIELDS = Fields(required={"connection_id": fields.connection_id}, optional={"min_ttl": fields.integer(0, 86400)})


def _token(services: Services, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return services.vending.token(request["connection_id"], request.get("min_ttl", DEFAULT_MIN_TTL), deadline)


def _preload(services: Services) -> None:
    services.preload("vending", clients=("dynamodb", "kms"))


handler = InvokeHandler("token", lambda _services: _FIELDS, _token, preload=_preload)
