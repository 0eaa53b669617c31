"""Sealing again: what another key sealed, or an earlier format, is sealed under the key that seals now.

A pass reads all connections, in the table's own order. What is left to do is in the seals themselves: a pass may end
anywhere, and the next one does what is left. The cursor only saves reading.

Tokens that wait as `pending`, or did before they came to be revoked, this function has no right to open: they are
counted.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ConnectionNotFound
from functions.vault.base.record import record
from functions.vault.base.timing import RESERVE
from functions.vault.grant import another_key
from functions.vault.storage.sealing import SealBroken

from .pace import DEFAULT_PER_SECOND, Pace
from .resealing_counts import Counts

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections

_PAGE = 25
"""Connections in one read. What was read and not worked on when the time is up is read again."""


@record
class Resealing:
    """The use case `reseal`."""

    connections: Connections
    cipher: Cipher
    timing: Timing

    def reseal(
        self, deadline: Deadline, cursor: str | None = None, per_second: int = DEFAULT_PER_SECOND
    ) -> dict[str, Any]:
        """Seal again what is to be while there is time, and return the counts of this pass so far.

        With a cursor the pass goes on; the answer has one until all connections were read. Raises
        `TemporarilyUnavailable` if AWS fails: nothing is lost, and the same call goes on.
        """
        return self._read_all(deadline, cursor, Pace(self.timing, deadline, per_second))

    def count(self, deadline: Deadline, cursor: str | None = None) -> dict[str, Any]:
        """Return the same counts as `reseal`, and seal nothing."""
        return self._read_all(deadline, cursor, pace=None)

    def _read_all(self, deadline: Deadline, cursor: str | None, pace: Pace | None) -> dict[str, Any]:
        counts = Counts.of(cursor) if cursor else Counts()
        is_whole = False
        while not is_whole:
            found, last = self.connections.after(counts.after, _PAGE)
            is_whole = last is None
            for connection in found:
                stored = self._sealed_again(connection, counts, pace, deadline) if pace else connection
                if deadline.remaining() < RESERVE:
                    # It may have been left in the middle: the next call begins with it.
                    return counts.as_result(self.cipher.key_id, is_whole=False)
                counts.add(stored, self.cipher)
        return counts.as_result(self.cipher.key_id, is_whole=True)

    def _sealed_again(self, connection: Connection, counts: Counts, pace: Pace, deadline: Deadline) -> Connection:
        """Seal the token sets of a connection again, one after the other, and return it as it is stored then.

        Each is a write of its own, and whole: however many there are, each call gets further.
        """
        for set_id in [each.id for each in connection.sets if self._is_to_be_sealed_again(each)]:
            if deadline.remaining() < RESERVE:
                break
            pace.wait()
            try:
                connection = self._one_sealed_again(connection, set_id, counts)
            except ConnectionNotFound:
                return replace(connection, sets=())
            except SealBroken as error:
                counts.note("unopened")
                about = {"connection_id": connection.connection_id, "set_id": set_id, "description": str(error)}
                logging.getLogger("gatehouse").warning("a token set does not open", extra=about)
        return connection

    def _one_sealed_again(self, connection: Connection, set_id: str, counts: Counts) -> Connection:
        """Seal one token set again; if others write meanwhile, decide again by what is there then."""
        opened: StoredSet | None = None
        sealed: StoredSet | None = None

        def after(stored: Connection) -> Connection | None:
            nonlocal opened, sealed
            held = stored.set_of(set_id)
            if held is None or not self._is_to_be_sealed_again(held):
                sealed = None
                return None
            if sealed is None or opened is None or opened.seal != held.seal:
                opened, sealed = held, self.cipher.seal_again(stored.connection_id, held)
            return another_key.sealed_again(stored, [replace(held, seal=sealed.seal)], self.timing.now())

        now = self.connections.change_as_found(connection, after)
        if sealed is not None:
            counts.note("resealed")
        return now

    def _is_to_be_sealed_again(self, each: StoredSet) -> bool:
        return each.pending is None and not self.cipher.is_sealed_now(each.seal)
