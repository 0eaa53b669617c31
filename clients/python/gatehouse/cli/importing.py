"""An import: many calls of `import_connection`, as many at a time and as often as each provider bears.

What was done stands in Gatehouse's table and nowhere else: the same call again is known there, and sends nothing. So an
import that was interrupted, or killed, is begun again with the same file.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from gatehouse.errors import ConnectionNotFound, GatehouseError, NotAllowed, NotDeployed
from gatehouse.timing import Timing

from . import grants
from .import_report import STORES_NOTHING, failed_row, stored_of
from .pace import LONGEST_PAUSE, MOST_REFUSALS, Pace, Stop
from .times import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gatehouse import Gatehouse

    from .grant_file import GrantFile
    from .grants import Row
    from .import_report import Report

AT_ONCE = 4
"""Calls at a time for a provider that names no number of its own."""
_AHEAD = 100
"""Rows that are read before they are needed."""
_WORTH_SAYING = 10
"""Seconds of a pause from which on somebody who watches wonders."""


class _Ended(Exception):
    """The import ends, and a call that was to be repeated is not."""


class Import:
    """Takes grants over. `bears` says for each provider how many calls it bears at a time.

    `note` says what somebody who waits has to know, and `now` is the time (Unix seconds) by which Gatehouse goes.

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
        note: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._gatehouse = gatehouse_by(Timing(sleep=self._pause))
        self.report = report
        self._bears = bears
        self._per_second = per_second
        self._proves = proves
        self._progress = progress
        self._say = note
        self._now = now
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._fatal: BaseException | None = None

    def run(self, file: GrantFile, provider: str | None, providers: Iterable[str]) -> None:
        """Import a file that was checked. An interruption ends it after the calls under way.

        Raises `NotAllowed` or `NotDeployed` if no call could succeed, whatever else a call has raised that is about no
        single row, like credentials that have run out or nobody who reads what it says, and `KeyboardInterrupt`.
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
        """Take rows until there are no more. Whatever else ends it ends all: its rows would wait for ever."""
        try:
            while (row := self._next(queue)) is not None:
                fields = row.fields if self._proves else {**row.fields, "prove": False}
                proves = "refresh_token" in fields and fields.get("prove", True)
                with pace.turn(proves=proves) as has_turn:
                    if has_turn:
                        self._take(row, fields, pace, proves=proves)
        except _Ended:
            return
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            with self._lock:
                self._fatal = self._fatal or error
            self._ended.set()

    def _next(self, queue: Queue[Row | None]) -> Row | None:
        while not self._ended.is_set():
            try:
                row = queue.get(timeout=0.2)
            except Empty:
                continue
            return row
        return None

    def _take(self, row: Row, fields: dict[str, Any], pace: Pace, *, proves: bool) -> None:
        before = self._look(row) if proves and pace.is_on_trial else None
        try:
            answer = self._gatehouse.call("import_connection", fields)
        except (NotAllowed, NotDeployed):
            raise
        except GatehouseError as error:
            found = None if error.error in STORES_NOTHING else self._look(row)
            self._learn(row, error, before, found, pace)
            self._note(failed={**failed_row(row, error), "stored": stored_of(error, found)})
            return
        if answer["status"] != "active":
            self._learn_of_unproved(row, self._look(row) or {}, pace)
            self._note("unproved")
        elif proves:
            pace.proved()
            self._note("imported")
        else:
            self._note("taken_as_is")

    def _look(self, row: Row) -> Mapping[str, Any] | None:
        """Return the connection of a row, empty if there is none; None if that cannot be found out."""
        try:
            return self._gatehouse.connection(row.fields["connection_id"])
        except ConnectionNotFound:
            return {}
        except GatehouseError:
            return None

    def _learn(
        self,
        row: Row,
        error: GatehouseError,
        before: Mapping[str, Any] | None,
        found: Mapping[str, Any] | None,
        pace: Pace,
    ) -> None:
        """Leave the provider alone, or end its rows, if that is what a failure says. `before` the call it was so."""
        if error.error == "provider_misconfigured":
            if _is_new((found or {}).get("failure"), found or {}) and pace.is_misconfigured():
                self._stop(row, pace, error.error, error.description)
        elif error.error == "reauthorization_required":
            is_sent = before is None or found is None or before.get("version", 0) != found.get("version", 0)
            if is_sent and pace.is_on_trial and pace.refused():
                said = f"It has taken none of the first {MOST_REFUSALS} grants: {error.description}"
                self._stop(row, pace, error.error, said)
        elif error.retryable and error.retry_after:
            self._leave_alone(row, pace, error.retry_after, error.error, error.description)

    def _learn_of_unproved(self, row: Row, found: Mapping[str, Any], pace: Pace) -> None:
        """Leave the provider alone for as long as the proof that has just failed says."""
        failure, alone = found.get("failure"), found.get("left_alone")
        if not failure or not alone or not _is_new(failure, found):
            return
        # By two clocks: that of this machine may be wrong.
        seconds = min(alone["next_at"] - alone["asked_at"], max(1, alone["next_at"] - self._now()))
        self._leave_alone(row, pace, seconds, failure["code"], failure["description"])

    def _leave_alone(self, row: Row, pace: Pace, seconds: float, code: str, said: str) -> None:
        if seconds > LONGEST_PAUSE:
            self._stop(row, pace, code, f"It has to be left alone for {span(seconds)}: {said}")
            return
        pace.pause(seconds)
        if seconds >= _WORTH_SAYING:
            self._say(f"{row.fields['provider']} is left alone for {span(seconds)}: {said}")

    def _stop(self, row: Row, pace: Pace, code: str, said: str) -> None:
        pace.end(Stop(code, said))
        with self._lock:
            self.report.stopped.setdefault(row.fields["provider"], Stop(code, said))

    def _note(self, outcome: str = "failed", failed: dict[str, Any] | None = None) -> None:
        """Count a row by its outcome: what the report calls it."""
        with self._lock:
            if failed is not None:
                self.report.failed.append(failed)
            else:
                setattr(self.report, outcome, getattr(self.report, outcome) + 1)
            self._progress(self.report)


def _is_new(failure: Mapping[str, Any] | None, found: Mapping[str, Any]) -> bool:
    """Return whether a failure is of the call that has just ended, and not remembered from an earlier one.

    It is the first of its tokens then, and they are not tried again yet: that takes seconds, and is left to Gatehouse.
    """
    return failure is None or (failure["count"] == 1 and found.get("left_alone") is not None)
