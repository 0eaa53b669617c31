"""What there is to know about connections, and never a token."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from .errors import InvalidRequest
from .fields import CONNECTION_ID, matches
from .record import record

if TYPE_CHECKING:
    from .connection import Connection
    from .store import Connections

DEFAULT_LIMIT = 50


@record
class Listing:
    """The use case `connections`."""

    connections: Connections

    def one(self, connection_id: str) -> dict[str, Any]:
        """Return `{connection}`."""
        return {"connection": view(self.connections.require(connection_id))}

    def page(self, where: dict[str, str], limit: int, cursor: str | None) -> dict[str, Any]:
        """Return `{connections, cursor?}`: up to `limit` of those that match, and where to go on if there is more."""
        found, last = self.connections.page(where, limit, _start(cursor, where) if cursor else None)
        page: dict[str, Any] = {"connections": [view(connection) for connection in found]}
        if last is not None:
            page["cursor"] = urlsafe_b64encode(json.dumps(last, sort_keys=True).encode()).decode()
        return page


def view(connection: Connection) -> dict[str, Any]:
    """Return a connection as callers see it: no ciphertext, no lease, nothing that only our own work needs."""
    failure = connection.failure
    return {
        "connection_id": connection.connection_id,
        "provider": connection.provider,
        "status": str(connection.status),
        "version": connection.version,
        "scope": connection.scope,
        "requested_scope": connection.requested_scope,
        "scope_changed": connection.scope_changed,
        "token_type": connection.token_type,
        "expires_at": connection.expires_at,
        "refresh_expires_at": connection.refresh_expires_at,
        "subject": connection.subject,
        "client_secret_used": connection.client_secret_used,
        "owner": connection.owner,
        "metadata": connection.metadata,
        "parameters": connection.parameters,
        "tags": connection.tags,
        "created_at": connection.created_at,
        "updated_at": connection.updated_at,
        "refreshed_at": connection.refreshed_at,
        "failure": failure
        and {
            "code": failure.code,
            "description": failure.description,
            "count": failure.count,
            "at": failure.at,
            "retry_at": failure.retry_at,
            "provider_error": failure.provider_error and failure.provider_error.as_dict(),
        },
    }


def _start(cursor: str, where: dict[str, str]) -> dict[str, str]:
    """Return the key that a cursor stands for. It is ours, but it comes from outside: its form is checked, whole."""
    expected = {"connection_id", "owner"} if "owner" in where else {"connection_id"}
    try:
        key = json.loads(urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        key = None
    fits = isinstance(key, dict) and key.keys() == expected and key.get("owner") == where.get("owner")
    # The table would answer an empty or endless key with an error that looks like a defect of ours.
    if not fits or not matches(key["connection_id"], CONNECTION_ID):
        raise InvalidRequest("cursor: expected the cursor of an earlier page of this same list.")
    return dict(key)
