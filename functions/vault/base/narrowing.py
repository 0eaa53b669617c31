"""What the path of a call limits it to: `/v1/owners/{owner}/...`, `/v1/connections/{connection_id}/...`.

The caller's IAM policy names the path, so such a call must act on nothing else. A call by Invoke, or by `/v1/...`, is
limited to nothing, and has no `Narrowing`.
"""

from __future__ import annotations

from .errors import ConnectionNotFound
from .record import record


@record
class Narrowing:
    """The one owner, or the one connection, that a call may act on."""

    owner: str | None = None
    connection_id: str | None = None

    def includes(self, connection_id: str, owner: str | None) -> bool:
        """Return whether a call may act on this connection of this owner."""
        return self.owner in {None, owner} and self.connection_id in {None, connection_id}

    def require(self, connection_id: str, owner: str | None) -> None:
        """Raise the error of a connection that does not exist for one that the call may not act on."""
        if not self.includes(connection_id, owner):
            raise ConnectionNotFound.with_id(connection_id)
