"""The commit ladder: a token response that reached us is written down, as long as anything can still be written to.

The record first. When a write fails, the rescue queue gets the response at once, and the record is tried on while there
is time: a process that dies meanwhile takes nothing with it. What neither took goes to the log. All get it sealed.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import CALL, RESERVE
from functions.vault.grant.connection import Connection
from functions.vault.grant.obtained import Verdict
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.obtained import Obtained
    from functions.vault.grant.tokens import SealedTokens
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.queues import Queue

    Reseal = Callable[[int, str], SealedTokens]

_LONGEST_WAIT = 40.0
"""Seconds for which an answer waits for what comes first, about: longer than a lease. The queue waits for longer."""

_PAUSE = 0.5
"""Seconds between two tries, about: short, so that a rescue comes in within `timing.SETTLE` of an outage's end."""


class Unread(Enum):
    """In place of a record: nobody has read it yet. The ladder does, so that a failing read costs no tokens."""

    UNREAD = auto()


UNREAD = Unread.UNREAD


@dataclass
class _InHand:
    """A response on the ladder: as it is to be written now, and whether the queue has it, in whatever form."""

    obtained: Obtained
    is_queued: bool = False


class Rescued(TemporarilyUnavailable):
    """The answer is safe, but not yet in the record: it soon will be."""


@record
class Committing:
    """Brings what was obtained into the record. `last_resort` gets it as JSON, sealed, where nothing else takes it."""

    connections: Connections
    rescue: Queue
    last_resort: Callable[[str], None]
    timing: Timing

    def commit(
        self, obtained: Obtained, reseal: Reseal, deadline: Deadline, stored: Connection | Unread | None
    ) -> Connection:
        """Return the record as it stands with, or in spite of, this answer; `stored` is what it is thought to be now.

        Raises `Rescued` where the answer is safe but the record could not be written.
        """
        in_hand = _InHand(obtained)
        try:
            return self._write(in_hand, reseal, deadline, stored)
        except Exception as error:
            self._save(in_hand)
            raise Rescued(
                "The tokens are safe, but storing them takes longer than usual: try again.",
                connection_id=obtained.connection_id,
                retry_after=2,
            ) from error

    def settle(self, obtained: Obtained, reseal: Reseal, deadline: Deadline) -> Connection:
        """Do the same without the ladder: for what lies in the queue already, which keeps it until this returns."""
        return self._write(_InHand(obtained, is_queued=True), reseal, deadline, UNREAD)

    def may_hold_another(self) -> bool:
        """Tell whether the rescue queue has any response that is not in its record yet: nobody can look whose it is."""
        return not self.rescue.is_empty()

    def _write(
        self, in_hand: _InHand, reseal: Reseal, deadline: Deadline, stored: Connection | Unread | None
    ) -> Connection:
        gives_up_at = self.timing.now() + _LONGEST_WAIT
        while True:
            obtained = in_hand.obtained
            try:
                if stored is UNREAD:
                    stored = self.connections.get(obtained.connection_id)
                verdict = obtained.decide(stored, self.timing.now())
                if isinstance(verdict, Connection):
                    self._put(stored, verdict)
                    _note_what_is_left_to_its_server(stored, verdict)
                    return verdict
                if verdict in {Verdict.STORED, Verdict.FOREIGN}:
                    return stored or self.connections.require(obtained.connection_id)
                if verdict is Verdict.RESEAL:
                    version = (stored.version if stored else 0) + 1
                    purpose = obtained.purpose_over(stored)
                    in_hand.obtained = replace(obtained, tokens=reseal(version, purpose), purpose=purpose)
                    continue
                waits = True
            except Conflict:
                waits, stored = False, UNREAD
            except TemporarilyUnavailable:
                waits = False
                self._queue(in_hand, deadline)
                self._pause(deadline)
            if waits:
                self._wait(in_hand, deadline, gives_up_at)
                stored = UNREAD

    def _wait(self, in_hand: _InHand, deadline: Deadline, gives_up_at: float) -> None:
        """Let something else come first. Meanwhile the response is safe; and the queue can wait for longer than we."""
        self._queue(in_hand, deadline)
        if self.timing.now() > gives_up_at:
            raise TemporarilyUnavailable("Something else comes first, and takes too long.", retry_after=2)
        self._pause(deadline)

    def _put(self, stored: Connection | None, record: Connection) -> None:
        if stored is None:
            self.connections.create(record)
        else:
            self.connections.change(stored, record)

    def _pause(self, deadline: Deadline) -> None:
        """Wait a little, or give up while there is still time for the next rung."""
        if deadline.remaining() < 2 * CALL:
            raise TemporarilyUnavailable("The record could not be written in time.", retry_after=2)
        self.timing.sleep(_PAUSE * (0.5 + self.timing.jitter()))

    def _queue(self, in_hand: _InHand, deadline: Deadline) -> None:
        """Make the response safe early, if there is time for more than the last try."""
        if not in_hand.is_queued and deadline.remaining() > RESERVE:
            with contextlib.suppress(Exception):  # whatever keeps the queue from taking it, the record is tried on
                self._send(in_hand)

    def _save(self, in_hand: _InHand) -> None:
        try:
            self._send(in_hand)
        except Exception:  # noqa: BLE001 - whatever keeps the queue from taking it, the log is what is left
            self.last_resort(in_hand.obtained.to_json())

    def _send(self, in_hand: _InHand) -> None:
        if not in_hand.is_queued:
            self.rescue.send(in_hand.obtained.to_json(), group=in_hand.obtained.connection_id)
            in_hand.is_queued = True


def _note_what_is_left_to_its_server(before: Connection | None, after: Connection) -> None:
    """Write a line about each token set that had to go for want of room: its grant may live, and nobody will end it."""
    for left in before.left_behind(after) if before is not None else ():
        logging.getLogger("gatehouse").warning(
            "grant left at its server",
            extra={"connection_id": after.connection_id, "provider": left.whose.provider, "version": left.seal.version},
        )
