"""`start`: opens an authorization request for a connection and returns the link to send the user's browser to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import InvokeDoor
from functions.vault import authorization, fields, vocabulary
from functions.vault.fields import Fields, Mismatch

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_NAME = r"[A-Za-z0-9_.:-]{1,64}"
_strings = fields.string_map(_NAME, 256, 20)


def _not_yet(value: Any) -> bool:
    if fields.boolean(value):
        raise Mismatch("false; the confirmation step is not available in this version")
    return False


def _fields(house: House) -> Fields:
    return Fields(
        required={"provider": fields.provider_name},
        optional={
            "connection_id": fields.connection_id,
            "owner": fields.printable(256),
            "scopes": fields.scopes,
            "return_to": authorization.return_to(house.return_to_origins),
            "parameters": _strings,
            "authorization_params": vocabulary.authorization_params,
            "tags": _strings,
            "confirm": _not_yet,
            "allow_new_subject": fields.boolean,
        },
    )


def _start(house: House, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    return house.starting.start(request, deadline)


def _furnish(house: House) -> None:
    house.ready("starting", services=("dynamodb", "secretsmanager"))


_LOGGED = ("provider", "connection_id", "request_id")

handler = InvokeDoor("start", _fields, _start, furnish=_furnish, logged=_LOGGED)
