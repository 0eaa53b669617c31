"""`export`: hands out grants, encrypted to a public key. An operator invokes it; no route of the API leads here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.fields import FieldCheck, Fields
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services
    from functions.vault.storage.jwe import Recipient


def _recipient(value: Any) -> Recipient:
    """Accept a public key, by what is loaded with the first that comes."""
    from functions.vault.storage import jwe  # noqa: PLC0415 - a request that is none has no key

    return jwe.recipient(value)


_FIELDS = Fields(
    required={"public_key": FieldCheck(_recipient, {"type": "string", "minLength": 1, "maxLength": 8192})},
    optional={
        "owner": fields.owner,
        "per_second": fields.integer(1, 100).like(20),
        "cursor": fields.printable(256).like("InNob3AtMSI="),
    },
)


def _export(services: Services, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return services.exporting.export(**request, deadline=deadline)


def _preload(services: Services) -> None:
    services.preload("exporting", clients=("dynamodb", "kms"))


_LOGGED = ("exported", "key")

handler = InvokeHandler("export", lambda _services: _FIELDS, _export, preload=_preload, logged=_LOGGED)
