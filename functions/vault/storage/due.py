"""The index `due` of the table of connections: the background work that has to be done, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

from . import attributes

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class Due:
    """What the index says about a connection with background work. Times are Unix seconds.

    `revocation_due_at` is when its next revocation has to be attempted at the provider.
    """

    connection_id: str
    provider: str
    version: int
    due_at: int
    revocation_due_at: int | None = None

    @property
    def is_revocation(self) -> bool:
        """Return whether the work is to attempt a revocation. If not, it is the upkeep of a grant."""
        return self.revocation_due_at is not None and self.revocation_due_at <= self.due_at

    def postponed(self, until: int, *, is_refresh: bool) -> dict[str, int]:
        """Return the times to store while this work is in a queue. Other work of the connection keeps its time."""
        due_at = until if self.is_revocation or self.revocation_due_at is None else min(until, self.revocation_due_at)
        return {"due_at": due_at, "upkeep_at": until} if is_refresh else {"due_at": due_at}


def due_of(stored: Mapping[str, Any]) -> Due:
    """Return the work that an entry of the index stands for."""
    item = attributes.read_item(stored)
    return Due(item["connection_id"], item["provider"], item["version"], item["due_at"], item.get("tell_at"))
