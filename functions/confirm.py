"""`confirm`: the application vouches that the customer who came back is the one it sent, and the tokens are vended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.vault.oauth.authorization import SECRET
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FIELDS = Fields(
    required={
        "connection_id": fields.connection_id,
        "confirmation": fields.text(
            SECRET,
            "the confirmation that the browser brought to return_to: 43 characters",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
    },
    optional={"owner": fields.owner},
)


def _confirm(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    # A path that names an owner names whose session it is, too.
    owner = request.get("owner") if narrowing is None else narrowing.owner or request.get("owner")
    about = (request["connection_id"], request["confirmation"], owner)
    return services.confirming.confirm(*about, deadline, narrowing)


def _preload(services: Services) -> None:
    services.preload("confirming", clients=("dynamodb", "kms"))


handler = InvokeHandler("confirm", lambda _services: _FIELDS, _confirm, preload=_preload)
