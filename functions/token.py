"""`token`: returns an access token that is valid for at least `min_ttl` seconds, after a refresh if it needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.vault.base.timing import DEFAULT_MIN_TTL
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FIELDS = Fields(
    required={"connection_id": fields.connection_id},
    optional={"min_ttl": fields.integer(0, 86400).like(DEFAULT_MIN_TTL)},
)


def _token(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    min_ttl = request.get("min_ttl", DEFAULT_MIN_TTL)
    return services.vending.token(request["connection_id"], min_ttl, deadline, narrowing)


def _preload(services: Services) -> None:
    services.preload("vending", clients=("dynamodb", "kms"))


# Whose token it was: with who asked, which every line has, the record of each token that was given out.
_LOGGED = ("connection_id", "provider", "version")

handler = InvokeHandler("token", lambda _services: _FIELDS, _token, preload=_preload, logged=_LOGGED)
