"""`start`: opens an authorization request for a connection, and returns the link for the user's browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import Fields
from functions.vault.oauth import authorization
from functions.vault.provider import vocabulary
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services


def _fields(services: Services) -> Fields:
    return Fields(
        required={"provider": fields.provider_name},
        optional={
            "connection_id": fields.connection_id,
            "owner": fields.owner,
            "scopes": fields.scopes,
            "return_to": authorization.return_to(services.settings.return_to_origins),
            "parameters": fields.labels.like({"shop": "acme"}),
            "authorization_params": vocabulary.authorization_params.like({"prompt": "consent"}),
            "tags": fields.labels.like({"plan": "gold"}),
            "confirm": fields.boolean,
            "allow_new_subject": fields.boolean,
        },
    )


def _start(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    if narrowing is not None and narrowing.owner is not None:
        request["owner"] = narrowing.owner
    request["confirm"] = _confirm(request, is_required=services.settings.confirmation_is_required)
    return services.starting.start(request, deadline, narrowing)


def _confirm(request: dict[str, Any], *, is_required: bool) -> bool:
    """Return whether the application has to confirm the tokens; raise `InvalidRequest` if it could not, or must."""
    confirm: bool = request.get("confirm", is_required)
    if is_required and not confirm:
        raise InvalidRequest(
            "confirm: expected true, or to be left out; this deployment has every authorization confirmed (Confirm)."
        )
    if confirm and "return_to" not in request:
        raise InvalidRequest(
            "return_to: required, since confirm is true: the browser brings the confirmation there, "
            'like "https://app.example.com/connected".'
        )
    return confirm


def _preload(services: Services) -> None:
    services.preload("starting", clients=("dynamodb", "secretsmanager"))


_LOGGED = ("provider", "connection_id", "request_id")

handler = InvokeHandler("start", _fields, _start, preload=_preload, logged=_LOGGED)
