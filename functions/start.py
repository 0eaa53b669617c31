"""`start`: opens an authorization request for a connection, and returns the link for the user's browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields, Mismatch
from functions.vault.oauth import authorization
from functions.vault.provider import vocabulary
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_NAME = r"[A-Za-z0-9_.:-]{1,64}"
_strings = fields.string_map(_NAME, 256, 20)


def _not_yet(value: Any) -> bool:
    if fields.boolean(value):
        raise Mismatch("false; the confirmation step is not available in this version")
    return False


def _fields(services: Services) -> Fields:
    return Fields(
        required={"provider": fields.provider_name},
        optional={
            "connection_id": fields.connection_id,
            "owner": fields.owner,
            "scopes": fields.scopes,
            "return_to": authorization.return_to(services.settings.return_to_origins),
            "parameters": _strings,
            "authorization_params": vocabulary.authorization_params,
            "tags": _strings,
            "confirm": _not_yet,
            "allow_new_subject": fields.boolean,
        },
    )


def _start(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    if narrowing is not None and narrowing.owner is not None:
        request["owner"] = narrowing.owner
    return services.starting.start(request, deadline, narrowing)


def _preload(services: Services) -> None:
    services.preload("starting", clients=("dynamodb", "secretsmanager"))


_LOGGED = ("provider", "connection_id", "request_id")

handler = InvokeHandler("start", _fields, _start, preload=_preload, logged=_LOGGED)
