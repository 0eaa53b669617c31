"""`refresh`: refreshes now: a caller got a 401, or a refresh is due. Simultaneous calls share one refresh."""

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

_FIELDS = Fields(
    required={"connection_id": fields.connection_id}, optional={"if_version": fields.integer(1, 2**53).like(7)}
)


def _refresh(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    return services.vending.refresh(request["connection_id"], request.get("if_version"), deadline, narrowing)


_MESSAGE = Fields(
    required={"connection_id": fields.stored_id, "version": fields.integer(0, 2**53)},
    optional={"provider": fields.provider_name, "ask_now": fields.boolean},
)


def _keep(services: Services, message: dict[str, Any], deadline: Deadline) -> GatehouseError | None:
    due = _MESSAGE.read(message)
    ask_now = due.get("ask_now", False)
    return services.background_work.refresh_due(
        due["connection_id"], due["version"], due.get("provider"), deadline, ask_now=ask_now
    )


def _preload(services: Services) -> None:
    services.preload("vending", "refreshing", clients=("dynamodb", "kms", "secretsmanager"))


# As for `token`.
_LOGGED = ("connection_id", "provider", "version")

handler = InvokeHandler("refresh", lambda _services: _FIELDS, _refresh, _keep, preload=_preload, logged=_LOGGED)
