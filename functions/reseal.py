"""`reseal`: seals again what another key has sealed. An operator invokes it; no route of the API leads here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import Fields
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_FIELDS = Fields(
    optional={
        "per_second": fields.integer(1, 100).like(20),
        "only_count": fields.boolean,
        "cursor": fields.printable(16384).like("eyJhZnRlciI6ICJzaG9wLTEiLCAia2V5cyI6IHt9LCAibnVtYmVycyI6IHt9fQ=="),
    }
)


def _reseal(services: Services, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    only_count = request.pop("only_count", False)
    if only_count:
        return services.resealing.count(deadline, request.get("cursor"))
    return services.resealing.reseal(deadline, **request)


def _preload(services: Services) -> None:
    services.preload("resealing", clients=("dynamodb", "kms"))


_LOGGED = ("connections", "resealed", "left")

handler = InvokeHandler("reseal", lambda _services: _FIELDS, _reseal, preload=_preload, logged=_LOGGED)
