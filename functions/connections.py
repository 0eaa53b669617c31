"""`connections`: everything about one connection, or a page of a list, except tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import Fields
from functions.vault.grant.connection import NEEDS
from functions.vault.grant.life import Status
from functions.vault.usecases.listing import DEFAULT_LIMIT
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FILTERS = ("owner", "needs", "provider", "status", "tag", "expiring_before")
_FIELDS = Fields(
    optional={
        "connection_id": fields.connection_id,
        "owner": fields.owner,
        "provider": fields.provider_name,
        "status": fields.one_of(*Status),
        "needs": fields.one_of(*NEEDS),
        "tag": fields.labels_of(1).like({"plan": "gold"}),
        "expiring_before": fields.integer(0, 2**53).like(1767225600),
        "limit": fields.integer(1, 100).like(50),
        "cursor": fields.printable(8192).like("eyJjb25uZWN0aW9uX2lkIjogInNob3AtMSJ9"),
        "request_id": fields.text(
            "[A-Za-z0-9_-]{22}", "the request_id that start has answered: 22 characters", "vuwlC6R-V6vPXb3CWp_oXQ"
        ),
    }
)


def _connections(
    services: Services, request: dict[str, Any], _deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    connection_id, request_id = request.pop("connection_id", None), request.pop("request_id", None)
    if request_id is not None:
        # By a path that names a connection, its id is in every request.
        is_alone = connection_id is None or (narrowing is not None and narrowing.connection_id is not None)
        if request or not is_alone:
            raise InvalidRequest("request_id: expected alone; the other fields belong to a list, or to one connection.")
        return services.listing.attempt(request_id, narrowing)
    if connection_id is None:
        if narrowing is not None and narrowing.owner is not None:
            request["owner"] = narrowing.owner
        where = {name: request[name] for name in _FILTERS if name in request}
        return services.listing.page(where, request.get("limit", DEFAULT_LIMIT), request.get("cursor"))
    if request:
        raise InvalidRequest("connection_id: expected alone; " + ", ".join(request) + " belong to a list.")
    return services.listing.one(connection_id, narrowing)


def _preload(services: Services) -> None:
    services.preload("listing", clients=("dynamodb",))


_LOGGED = ("connection_id", "request_id")

handler = InvokeHandler("connections", lambda _services: _FIELDS, _connections, preload=_preload, logged=_LOGGED)
