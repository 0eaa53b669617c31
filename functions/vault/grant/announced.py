"""What is announced of a connection: the events that are published, field by field.

An event has what its readers act on, and all that `start` needs to connect the connection again. It never has a token,
a ciphertext, or the words of an authorization server. What may be in it is listed here, and nothing else gets in.
The schemas in `docs/events/` are made from this module (`python -m tools.event_schemas`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .life import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Item = Mapping[str, Any]
    Schema = dict[str, Any]

SOURCE = "gatehouse"
"""The source of every event, as rules of EventBridge have it."""

SCHEMA = 1
"""The version of the fields: it rises if one goes, or changes its meaning. Further fields may come at any time."""

KINDS = {
    "authorized": "Somebody has connected the account, or an import has been proved. If the application still has to "
    "confirm it, `unconfirmed` is true.",
    "confirmed": "The application has confirmed who came back, and tokens are vended from now on.",
    "refreshed": "There is a new access token. Published only if the stack's parameter PublishRefreshes is true.",
    "degraded": "A refresh has failed, and is tried again. The stored access token is vended while it is valid.",
    "recovered": "After failures, or although the grant was believed dead, a refresh has brought tokens.",
    "reauthorization_required": "The grant is dead, or seems to be: somebody has to connect the account again.",
    "scope_missing": "Less was granted than was asked for: `scope_missing` names what.",
    "expiring": "The grant ends at `ends_at`, unless somebody connects the account again.",
    "revoking": "The connection was ended here: nothing is vended any more. The provider has not confirmed it yet.",
    "revoked": "The connection has ended, at the provider too, as far as that can be known.",
}
"""What can be announced, by the last part of its detail type."""

REFRESHED = "connection.refreshed"

_UNCONFIRMED = "authorized_unconfirmed"
"""How a record names the event of an authorization that the application has to confirm."""

MOST_IN_ONE_CHANGE = 10

READ = ("connection_id", "provider", "version", "changes", "events", "ends_at", "authorized_by")
"""The attributes of a record that are read for an event."""

READ_IN_SUMMARY = (
    "status",
    "needs",
    "scope",
    "scope_missing",
    "requested_scope",
    "owner",
    "parameters",
    "tags",
    "updated_at",
    "failure",
)
"""The entries of its summary that are read."""

IN_FAILURE = ("code", "count", "at", "retry_at")
"""What is said of a failure: not the server's words, which are for the operator."""

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}


def _to_start(item: Item) -> dict[str, Any]:
    """Return the payload with which `start` connects a connection again: the same owner, scopes, tenant and tags."""
    optional = {
        "owner": item.get("owner"),
        "scopes": item["requested_scope"].split() if item.get("requested_scope") else None,
        "parameters": item.get("parameters"),
        "tags": item.get("tags"),
    }
    given = {name: value for name, value in optional.items() if value}
    return {"provider": item["provider"], "connection_id": item["connection_id"], **given}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


FIELDS: dict[str, tuple[Schema, str, Callable[[Item], Any]]] = {
    "connection_id": (_TEXT, "The connection.", lambda item: item["connection_id"]),
    "provider": (_TEXT, "Its provider, by the name of the registration.", lambda item: item["provider"]),
    "at": (_NUMBER, "When it happened, in Unix seconds.", lambda item: item["updated_at"]),
    "status": (
        {"enum": [str(status) for status in Status]},
        "The status of the connection since then.",
        lambda item: str(item["status"]),
    ),
    "needs": (
        {"enum": ["reauthorization", "confirmation", None]},
        "What it needs a person for, as `connections` says it.",
        lambda item: item.get("needs"),
    ),
    "version": (_NUMBER, "How many token sets were current so far.", lambda item: item["version"]),
    "request_id": (
        _or_null(_TEXT),
        "The authorization that the current tokens come from, by the id that `start` has answered.",
        lambda item: item.get("authorized_by"),
    ),
    "scope": (_or_null(_TEXT), "What was granted, separated by spaces, if known.", lambda item: item.get("scope")),
    "scope_missing": (
        {"type": "array", "items": _TEXT},
        "What was asked for and not granted.",
        lambda item: list(item.get("scope_missing", ())),
    ),
    "ends_at": (
        _or_null(_NUMBER),
        "When the grant ends unless somebody connects the account again, in Unix seconds; null if nobody knows.",
        lambda item: item.get("ends_at"),
    ),
    "failure": (
        _or_null(
            {
                "type": "object",
                "required": list(IN_FAILURE),
                "properties": {name: _TEXT if name == "code" else _NUMBER for name in IN_FAILURE},
            }
        ),
        "The failure that lasts: its error code, how often it was met, when last, and when it is tried again.",
        lambda item: {name: item["failure"][name] for name in IN_FAILURE} if item.get("failure") else None,
    ),
    "start": (
        {
            "type": "object",
            "required": ["provider", "connection_id"],
            "properties": {
                **dict.fromkeys(("provider", "connection_id", "owner"), _TEXT),
                "scopes": {"type": "array", "items": _TEXT},
                **dict.fromkeys(("parameters", "tags"), _TEXTS),
            },
            "additionalProperties": False,
        },
        "What to call `start` with to connect the account again; add `return_to`, and `confirm` if you use it.",
        _to_start,
    ),
}
"""The fields of an event that its record has: schema, meaning, and how it is read."""

GIVEN: dict[str, tuple[Schema, str]] = {
    "id": (
        {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "The event. If it comes twice it has the same id: work on it once. (EventBridge's own id differs.)",
    ),
    "number": (
        _NUMBER,
        "Rises with each event of one connection, by one or more: what has a smaller number happened earlier.",
    ),
    "schema": ({"const": SCHEMA}, "The version of these fields. Others may be added without a new version."),
    "deployment": (_TEXT, "The name of the stack that publishes it."),
}
"""The fields of every event that its record does not have."""

UNCONFIRMED: tuple[Schema, str] = (
    {"type": "boolean"},
    "Whether the application still has to confirm it. Then `connection.confirmed` follows, or nothing does.",
)
"""The field `unconfirmed`, which authorizations have."""


def events_of(item: Item, deployment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events that came with one write of a record, each as `(detail_type, detail)`.

    `item` has what `READ` and `READ_IN_SUMMARY` name. The id of an event depends on the write and its kind alone.
    """
    fields = {name: read(item) for name, (_, _, read) in FIELDS.items()}
    for position, word in enumerate(item["events"].split()):
        kind = "authorized" if word == _UNCONFIRMED else word
        about = {
            "id": _id_of(item, word),
            "number": item["changes"] * MOST_IN_ONE_CHANGE + position,
            "schema": SCHEMA,
            "deployment": deployment,
        }
        more = {"unconfirmed": word == _UNCONFIRMED} if kind == "authorized" else {}
        yield f"connection.{kind}", {**about, **fields, **more}


def _id_of(item: Item, word: str) -> str:
    """Return the id of an event. The time is in it because a table that was restored counts its changes again."""
    text = f"{item['connection_id']} {item['changes']} {item['updated_at']} {word}"
    return sha256(text.encode()).hexdigest()[:32]
