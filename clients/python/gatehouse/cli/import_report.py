"""What came of an import, row by row: how it is counted, and what it is in words. Nothing in it is secret."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatehouse.errors import GatehouseError

    from .grants import Row
    from .pace import Stop

_OF_ANOTHER_ACCOUNT = "of_another_account"
STORES_NOTHING = {"invalid_request", "unknown_provider"}
"""These say that nothing was changed. An id that has tokens is an `invalid_request`, too: they are not these."""
_LEFT = {
    None: "not stored",
    "unknown": "failed, and may be stored or not",
    "active": "stored and active, although the call failed",
    "unconfirmed": "stored, and not proved yet",
    "reauthorization_required": "stored, but the provider refused the grant",
    _OF_ANOTHER_ACCOUNT: "not stored, and perhaps used up: the provider says that they are of another account",
    "revoking": "taken before, and revoked since",
    "revoked": "taken before, and revoked since",
}
"""What there is of a row whose call failed, by the status of its connection."""


@dataclass
class Report:
    """What came of an import. Nothing in it is secret."""

    total: int
    imported: int = 0
    """Proved by a refresh."""
    taken_as_is: int = 0
    unproved: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    stopped: dict[str, Stop] = field(default_factory=dict)
    """Why the rest of a provider's rows was not tried, by the name of the provider."""

    def by_what_is_stored(self) -> dict[str, list[dict[str, Any]]]:
        """Return what failed, by what it has left behind, in words."""
        found: dict[str, list[dict[str, Any]]] = {}
        for each in self.failed:
            found.setdefault(_LEFT[each["stored"]], []).append(each)
        return found

    @property
    def done(self) -> int:
        """How many rows have an outcome."""
        return self.imported + self.taken_as_is + self.unproved + len(self.failed)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "total": self.total,
            "imported": self.imported,
            "taken_as_is": self.taken_as_is,
            "unproved": self.unproved,
            "failed": self.failed,
            "not_tried": self.total - self.done,
            "errors": dict(Counter(each["error"] for each in self.failed)),
        }


def stored_of(error: GatehouseError, found: Mapping[str, Any] | None) -> str | None:
    """Return the status of the connection that a row has become although the call failed; None if it became none.

    `unknown` if that cannot be found out. One that holds no tokens was of another account.
    """
    if error.error in STORES_NOTHING:
        return None
    is_refused = error.error == "reauthorization_required"
    if found is None:
        return error.error if is_refused else "unknown"
    if is_refused and found.get("status") == error.error and found.get("token_type") is None:
        return _OF_ANOTHER_ACCOUNT
    return found.get("status")


def failed_row(row: Row, error: GatehouseError) -> dict[str, Any]:
    """Return why a row was not imported, without anything that it has brought but its names."""
    return {
        "line": row.line,
        "connection_id": row.fields["connection_id"],
        "provider": row.fields["provider"],
        "error": error.error,
        "error_description": error.description,
        "retryable": error.retryable,
        "provider_error": error.provider_error and dict(error.provider_error),
    }
