"""Storing a token response, with fallbacks: in the table, or else in the rescue queue, or else in the log.

The table comes first. If a write fails, the queue gets the response at once, and the table is tried again while there
is time: if the process dies meanwhile, nothing is lost. What neither accepts goes to the log. All of them get it
sealed.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import CALL, RESERVE
from functions.vault.grant import transition
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

Found = TypeVar("Found")

_LONGEST_WAIT = 40.0
"""About the seconds that a response waits for what must come first: longer than a lease. The queue waits longer."""

_PAUSE = 0.5
"""About the seconds between two tries: short, so that a rescue is done within `timing.SETTLE` of an outage's end."""


class Unread(Enum):
    """In place of a record that nobody has read yet. `commit` reads it: if that fails, the tokens are still queued."""

    UNREAD = auto()


UNREAD = Unread.UNREAD


@dataclass
class _Unstored:
    """A response to be stored: as it is to be written now, and whether the queue has it, in whatever form."""

    obtained: Obtained
    is_queued: bool = False


class Rescued(TemporarilyUnavailable):
    """The response is in the queue or in the log, but not yet in the record."""


@record
class Committing:
    """Stores what was obtained. `last_resort` gets it as JSON, sealed, if neither table nor queue accepts it."""

    connections: Connections
    rescue: Queue
    last_resort: Callable[[str], None]
    timing: Timing

    def commit(
        self, obtained: Obtained, reseal: Reseal, deadline: Deadline, stored: Connection | Unread | None
    ) -> Connection:
        """Store a response, and return the record. `stored` is the record as the caller knows it.

        The record may be without the response, if `Obtained.decide` says so. Raises `Rescued` if the response is safe
        but the record could not be written.
        """
        unstored = _Unstored(obtained)
        try:
            return self._write(unstored, reseal, deadline, stored)
        except Exception as error:
            self._save(unstored)
            raise Rescued(
                "The tokens are safe, but storing them takes longer than usual: try again.",
                connection_id=obtained.connection_id,
                retry_after=2,
            ) from error

    def settle(self, obtained: Obtained, reseal: Reseal, deadline: Deadline) -> Connection:
        """Store a response without fallbacks: it comes from the queue, which keeps it until this returns."""
        return self._write(_Unstored(obtained, is_queued=True), reseal, deadline, UNREAD)

    def once_aws_answers(self, work: Callable[[], Found], deadline: Deadline) -> Found:
        """Return what `work` returns, tried again and again while AWS is down and there is time."""
        while True:
            try:
                return work()
            except TemporarilyUnavailable:
                self._pause(deadline)

    def may_hold_another(self) -> bool:
        """Return whether the rescue queue has any response. It does not show for which connection."""
        return not self.rescue.is_empty()

    def _write(
        self, unstored: _Unstored, reseal: Reseal, deadline: Deadline, stored: Connection | Unread | None
    ) -> Connection:
        gives_up_at = self.timing.now() + _LONGEST_WAIT
        while True:
            obtained = unstored.obtained
            try:
                if stored is UNREAD:
                    stored = self.connections.get(obtained.connection_id)
                verdict = obtained.decide(stored, self.timing.now())
                if isinstance(verdict, Connection):
                    self._put(stored, verdict)
                    _log_sets_left_at_server(stored, verdict)
                    return verdict
                if verdict in {Verdict.STORED, Verdict.FOREIGN}:
                    return stored or self.connections.require(obtained.connection_id)
                if verdict is Verdict.RESEAL:
                    version = (stored.version if stored else 0) + 1
                    purpose = obtained.purpose_for(stored)
                    unstored.obtained = replace(obtained, tokens=reseal(version, purpose), purpose=purpose)
                    continue
                waits = True
            except Conflict:
                waits, stored = False, UNREAD
            except TemporarilyUnavailable:
                waits = False
                self._queue(unstored, deadline)
                self._pause(deadline)
            if waits:
                self._wait(unstored, deadline, gives_up_at)
                stored = UNREAD

    def _wait(self, unstored: _Unstored, deadline: Deadline, gives_up_at: float) -> None:
        """Wait for what must come first, with the response safe in the queue, which can wait longer than this call."""
        self._queue(unstored, deadline)
        if self.timing.now() > gives_up_at:
            raise TemporarilyUnavailable(
                "Something else of this connection comes first and takes too long: try again.", retry_after=2
            )
        self._pause(deadline)

    def _put(self, stored: Connection | None, record: Connection) -> None:
        if stored is None:
            self.connections.create(record)
        else:
            self.connections.change(stored, record)

    def _pause(self, deadline: Deadline) -> None:
        """Wait a little, or give up while there is still time for the queue and the log."""
        if deadline.remaining() < 2 * CALL:
            raise TemporarilyUnavailable("AWS did not take the record in time: try again.", retry_after=2)
        self.timing.sleep(_PAUSE * (0.5 + self.timing.jitter()))

    def _queue(self, unstored: _Unstored, deadline: Deadline) -> None:
        """Make the response safe early, unless the time that is left is needed for the last try."""
        if not unstored.is_queued and deadline.remaining() > RESERVE:
            with contextlib.suppress(Exception):  # whatever is wrong with the queue, the table is tried again
                self._send(unstored)

    def _save(self, unstored: _Unstored) -> None:
        try:
            self._send(unstored)
        except Exception:  # noqa: BLE001 - whatever is wrong with the queue, the log is left
            self.last_resort(_written_down(unstored.obtained))

    def _send(self, unstored: _Unstored) -> None:
        if not unstored.is_queued:
            self.rescue.send(_written_down(unstored.obtained), group=unstored.obtained.connection_id)
            unstored.is_queued = True


def _written_down(obtained: Obtained) -> str:
    from functions.vault.grant.obtained_document import to_json  # noqa: PLC0415 - few answers need queue or log

    return to_json(obtained)


def _log_sets_left_at_server(before: Connection | None, after: Connection) -> None:
    """Log each token set that was dropped because there was no room: its grant may live, and nobody will revoke it."""
    for left in transition.left_behind(before, after) if before is not None else ():
        logging.getLogger("gatehouse").warning(
            "grant left at its server",
            extra={"connection_id": after.connection_id, "provider": left.whose.provider, "version": left.seal.version},
        )
