"""What happens to a connection when another key seals: nothing but that its token sets are sealed under that one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .life import Happened
from .transition import after

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .connection import Connection
    from .stored_set import StoredSet


def sealed_again(connection: Connection, token_sets: Iterable[StoredSet], now: float) -> Connection:
    """Return the connection with token sets of its own as they are sealed now; everything else of them is as it was.

    Whoever has the lease of one goes on with it: a lease, its attempts and the tokens do not depend on the seal.
    """
    return after(connection, Happened.SEALED_AGAIN, now, token_sets)
