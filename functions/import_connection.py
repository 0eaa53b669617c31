"""`import_connection`: takes over a grant that was obtained elsewhere, and proves it by a refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import Fields
from functions.web.handlers import InvokeHandler

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services

_LATEST = 2**33
"""Unix seconds in the year 2242: a time in milliseconds is beyond it."""

_token = fields.text(
    r"[\x21-\x7e](?:[\x20-\x7e]{0,16382}[\x21-\x7e])?",
    "the token as the provider issued it: 1 to 16384 visible ASCII characters, without blanks or line breaks around it",
)
_scope = fields.text(
    rf"{fields.SCOPE_TOKEN}(?: {fields.SCOPE_TOKEN}){{0,99}}",
    "scopes separated by single spaces, at most 100",
    "read write",
)
_metadata = fields.string_map(fields.text(fields.LABEL, "1 to 64 of A-Z a-z 0-9 _ . : -"), 1024, 20)

_FIELDS = Fields(
    required={"provider": fields.provider_name, "connection_id": fields.connection_id},
    optional={
        "refresh_token": _token.like("tGzv3JOkF0XG5Qx2TlKWIA"),
        "access_token": _token.like("2YotnFZFEjr1zCsicMWpAA"),
        "expires_at": fields.integer(0, _LATEST).like(1767229200),
        "scope": _scope,
        "owner": fields.owner,
        "parameters": fields.labels.like({"shop": "acme"}),
        "tags": fields.labels.like({"plan": "gold"}),
        "subject": fields.printable(256).like("merchant-42"),
        "metadata": _metadata.like({"host": "api.example.com"}),
        "prove": fields.boolean,
    },
)


def _import(
    services: Services, request: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None
) -> dict[str, Any]:
    if narrowing is not None and narrowing.owner is not None:
        request["owner"] = narrowing.owner
    if "refresh_token" not in request and "access_token" not in request:
        raise InvalidRequest("refresh_token: required, unless there is an access_token: an import brings one or both.")
    if "expires_at" in request and "access_token" not in request:
        raise InvalidRequest("expires_at: expected to be left out without an access_token, whose end it is.")
    return services.importing.take(request, deadline, narrowing)


def _preload(services: Services) -> None:
    services.preload("importing", clients=("dynamodb", "kms", "secretsmanager"))


_LOGGED = ("provider", "connection_id", "version")

handler = InvokeHandler("import_connection", lambda _services: _FIELDS, _import, preload=_preload, logged=_LOGGED)
