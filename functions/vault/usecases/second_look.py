"""A second look at a grant that was refused: one more refresh may show that it is alive after all."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from functions.vault.base.record import record
from functions.vault.grant import refreshes

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations
    from functions.vault.storage.shared import Shared

    from .committing import Committing
    from .refreshing import Refreshing


@record
class SecondLook:
    """Takes second looks; `belief` says when one is due, and how many there are."""

    connections: Connections
    registrations: Registrations
    committing: Committing
    shared: Shared
    refreshing: Refreshing
    timing: Timing

    def take(self, connection: Connection, deadline: Deadline, *, by_caller: bool) -> Connection:
        """Return the record after a second look: recovered, refused again, or as it was if no look was taken.

        While the rescue queue may hold the answer of an earlier attempt, the look is put off. If the account has
        authorized the client elsewhere since the grant was last known to be alive, nobody looks any more: the new
        authorization may have ended this grant, and a server that sees the old refresh token again may end the new one.
        """
        if self._is_authorized_elsewhere(connection, deadline):
            ended = refreshes.looks_ended(connection, self.timing.now())
            return self.connections.change_or_read(connection, ended)
        if self._may_be_rescued(connection):
            return connection
        holder, now = uuid.uuid4().hex, self.timing.now()
        return self.refreshing.refresh(connection, holder, deadline, slot_by=now, is_background=not by_caller)

    def _is_authorized_elsewhere(self, connection: Connection, deadline: Deadline) -> bool:
        if connection.subject is None:
            return False
        used = connection.to_refresh
        client_id = used.whose.client_id if used is not None else None
        client_id = client_id or self.registrations.get(connection.provider, deadline).client_id
        about = (connection.provider, client_id, connection.subject, connection.connection_id)
        at = self.shared.authorized_elsewhere(*about)
        return at is not None and at >= connection.refreshed_at

    def _may_be_rescued(self, connection: Connection) -> bool:
        used = connection.to_refresh
        is_recent = used is not None and used.belief is not None and used.belief.may_be_held_back(self.timing.now())
        return is_recent and self.committing.may_hold_another()
