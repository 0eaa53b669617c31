"""`revoke`: ends a connection at once, and revokes its grant at the authorization server (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FIELDS = Fields(required={"connection_id": fields.connection_id})


def _revoke(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    return services.revoking.revoke(request["connection_id"], deadline, narrowing)


_MESSAGE = Fields(
    required={"connection_id": fields.stored_id},
    optional={"version": fields.integer(0, 2**53), "provider": fields.provider_name, "ask_now": fields.boolean},
)


def _retry(services: Services, message: dict[str, Any], deadline: Deadline) -> GatehouseError | None:
    due = _MESSAGE.read(message)
    ask_now = due.get("ask_now", False)
    return services.background_work.retry_revocation(
        due["connection_id"], due.get("provider"), deadline, ask_now=ask_now
    )


def _preload(services: Services) -> None:
    services.preload("revoking", clients=("dynamodb", "kms", "secretsmanager"))


handler = InvokeHandler("revoke", lambda _services: _FIELDS, _revoke, _retry, preload=_preload)
