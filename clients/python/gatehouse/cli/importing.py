"""An import: many calls of `import_connection`, as many at a time and as often as each provider bears.

What was done stands in Gatehouse's table and nowhere else: the same call again is known there, and sends nothing. So an
import that was interrupted, or killed, is begun again with the same file.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from gatehouse.errors import ConnectionNotFound, GatehouseError, NotAllowed, NotDeployed
from gatehouse.timing import Timing

from . import grants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gatehouse import Gatehouse

    from .grant_file import GrantFile
    from .grants import Row

AT_ONCE = 4
"""Calls at a time for a provider that names no number of its own."""
_AHEAD = 100
"""Rows that are read before they are needed."""


_STORES_NOTHING = {"invalid_request", "unknown_provider"}
"""These say that nothing was changed. An id that has tokens is an `invalid_request`, too: they are not these."""
_LEFT = {
    None: "not stored",
    "unknown": "failed, and may be stored or not",
    "active": "stored and active, although the call failed",
    "unconfirmed": "stored, and not proved yet",
    "reauthorization_required": "stored, but the provider refused the grant",
    "revoking": "taken before, and revoked since",
    "revoked": "taken before, and revoked since",
}
"""What there is of a row whose call failed, by the status of its connection."""


@dataclass
class Report:
    """What came of an import. Nothing in it is secret."""

    total: int
    imported: int = 0
    unproved: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)

    def by_what_is_stored(self) -> dict[str, list[dict[str, Any]]]:
        """Return what failed, by what it has left behind, in words."""
        found: dict[str, list[dict[str, Any]]] = {}
        for each in self.failed:
            found.setdefault(_LEFT[each["stored"]], []).append(each)
        return found

    @property
    def done(self) -> int:
        """How many rows have an outcome."""
        return self.imported + self.unproved + len(self.failed)

    def as_json(self) -> dict[str, Any]:
        """Return it for a script."""
        return {
            "total": self.total,
            "imported": self.imported,
            "unproved": self.unproved,
            "failed": self.failed,
            "not_tried": self.total - self.done,
            "errors": dict(Counter(each["error"] for each in self.failed)),
        }


class _Ended(Exception):
    """The import ends, and a call that was to be repeated is not."""


class Import:
    """Takes grants over. `bears` says for each provider how many calls it bears at a time.

    `gatehouse_by` makes the client: in the pauses between its repeats, too, an import can be ended.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, named in the one call
        self,
        gatehouse_by: Callable[[Timing], Gatehouse],
        report: Report,
        *,
        bears: Callable[[str], int],
        per_second: float | None,
        proves: bool,
        progress: Callable[[Report], None],
    ) -> None:
        self._gatehouse = gatehouse_by(Timing(sleep=self._pause))
        self.report = report
        self._bears = bears
        self._per_second = per_second
        self._proves = proves
        self._progress = progress
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._fatal: BaseException | None = None

    def run(self, file: GrantFile, provider: str | None, providers: Iterable[str]) -> None:
        """Import a file that was checked. An interruption ends it after the calls under way.

        Raises `NotAllowed` or `NotDeployed` if no call could succeed, whatever else a call has raised that is about no
        single row, like credentials that have run out, and `KeyboardInterrupt`.
        """
        queues: dict[str, Queue[Row | None]] = {each: Queue(_AHEAD) for each in providers}
        paces = {each: Pace(self._per_second, self._ended) for each in queues}
        workers = [each for each in queues for _ in range(self._bears(each))]
        with ThreadPoolExecutor(len(workers)) as pool:
            futures = [pool.submit(self._work, queues[each], paces[each]) for each in workers]
            try:
                self._feed(file, provider, queues)
                for name in workers:
                    self._put(queues[name], None)
                for each in futures:
                    each.result()
            except BaseException:
                self._ended.set()
                raise
        if self._fatal is not None:
            raise self._fatal

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise _Ended

    def _feed(self, file: GrantFile, provider: str | None, queues: dict[str, Queue[Row | None]]) -> None:
        for row in grants.rows(file, provider):
            if self._ended.is_set():
                return
            if not isinstance(row, tuple) and row.fields.get("provider") in queues:
                self._put(queues[row.fields["provider"]], row)

    def _put(self, queue: Queue[Row | None], row: Row | None) -> None:
        """Put a row where a worker takes it. Waiting for room can be interrupted."""
        from queue import Full  # noqa: PLC0415 - beside its only use

        while not self._ended.is_set():
            try:
                queue.put(row, timeout=0.2)
            except Full:
                continue
            return

    def _work(self, queue: Queue[Row | None], pace: Pace) -> None:
        while not self._ended.is_set():
            try:
                row = queue.get(timeout=0.2)
            except Empty:
                continue
            if row is None:
                return
            if pace.wait():
                self._take(row, pace)

    def _take(self, row: Row, pace: Pace) -> None:
        fields = dict(row.fields)
        if not self._proves:
            fields["prove"] = False
        try:
            answer = self._gatehouse.call("import_connection", fields)
        except _Ended:
            return
        except (NotAllowed, NotDeployed) as error:
            self._end_with(error)
        except GatehouseError as error:
            if error.retryable and error.retry_after:
                pace.pause(error.retry_after)
            self._note(failed={**_failed(row, error), "stored": self._stored(row, error)})
        except BaseException as error:  # noqa: BLE001 - `run` raises it: without this worker its rows would wait for ever
            self._end_with(error)
        else:
            self._note(is_proved=answer["status"] == "active")

    def _end_with(self, error: BaseException) -> None:
        self._fatal = error
        self._ended.set()

    def _stored(self, row: Row, error: GatehouseError) -> str | None:
        """Return the status of the connection that a row has become although the call failed; None if it became none.

        `unknown` if that cannot be found out.
        """
        if error.error in _STORES_NOTHING:
            return None
        if error.error == "reauthorization_required":
            return error.error
        try:
            return self._gatehouse.connection(row.fields["connection_id"])["status"]
        except ConnectionNotFound:
            return None
        except GatehouseError:
            return "unknown"

    def _note(self, *, is_proved: bool = False, failed: dict[str, Any] | None = None) -> None:
        with self._lock:
            if failed is not None:
                self.report.failed.append(failed)
            elif is_proved:
                self.report.imported += 1
            else:
                self.report.unproved += 1
            self._progress(self.report)


class Pace:
    """How often one provider is asked: so many calls a second, and none while it wants to be left alone."""

    def __init__(self, per_second: float | None, ended: threading.Event) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._ended = ended
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> bool:
        """Wait until it is time for another call; return False if there is to be none."""
        with self._lock:
            begins = max(self._next, time.monotonic())
            self._next = begins + self._gap
        return not self._ended.wait(max(0.0, begins - time.monotonic()))

    def pause(self, seconds: float) -> None:
        """Leave the provider alone for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def _failed(row: Row, error: GatehouseError) -> dict[str, Any]:
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
