"""Tokens that are kept for a while, and calls that many threads share: what one process asks for, it asks once."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from .errors import GatehouseError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .answers import Token
    from .timing import Deadline, Timing

_Result = TypeVar("_Result")

MOST_KEPT = 10_000


class _Kept(NamedTuple):
    token: Token
    at: float
    since: float


class KeptTokens:
    """Tokens by connection, each for `seconds` at most, and never longer than it is valid."""

    def __init__(self, seconds: float, timing: Timing) -> None:
        self._seconds = seconds
        self._timing = timing
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()

    @property
    def moment(self) -> int:
        """What `keep` takes: a token that was asked for before something was forgotten is not kept."""
        return self._forgotten

    def get(self, connection_id: str, min_ttl: float) -> Token | None:
        """Return a kept token that is valid for at least `min_ttl` seconds, if there is one."""
        with self._lock:
            kept = self._kept.get(connection_id)
        if kept is None:
            return None
        now = self._timing.now()
        # Two clocks: in a frozen Lambda function one of them may stand still, and the other can be set back.
        if now < kept.at or max(now - kept.at, self._timing.monotonic() - kept.since) >= self._seconds:
            return None
        expires_at = kept.token.expires_at
        return None if expires_at is not None and expires_at - now < min_ttl else kept.token

    def keep(self, token: Token, moment: int) -> None:
        """Keep a token that was asked for at that `moment`. An older one never replaces a newer one."""
        if self._seconds <= 0:
            return
        with self._lock:
            kept = self._kept.get(token.connection_id)
            if moment != self._forgotten or (kept is not None and kept.token.version > token.version):
                return
            self._kept[token.connection_id] = _Kept(token, self._timing.now(), self._timing.monotonic())
            self._kept.move_to_end(token.connection_id)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def forget(self, connection_id: str, version: int | None = None) -> None:
        """Forget the token of a connection: of that `version` alone, if one is named."""
        with self._lock:
            kept = self._kept.get(connection_id)
            if version is None:
                self._forgotten += 1
            if kept is not None and version in {None, kept.token.version}:
                del self._kept[connection_id]


class _Flight(Generic[_Result]):
    """One call under way. It ends with a result, with an error, or with neither: then somebody else has to try."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.results: list[_Result] = []
        self.error: Exception | None = None


class SingleFlight(Generic[_Result]):
    """Lets one thread make a call, and gives the others its outcome, success or failure."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._flights: dict[Hashable, _Flight[_Result]] = {}
        self._lock = threading.Lock()

    def run(
        self,
        key: Hashable,
        call: Callable[[], _Result],
        pause_after: Callable[[Exception], float | None],
        until: Deadline,
    ) -> _Result:
        """Return the outcome of the call under way with this key, or else make it.

        The thread that makes the call repeats it in its own time. If that was too short, one that has more goes on:
        `pause_after` says how long after an error, or None if nothing helps.
        """
        while True:
            with self._lock:
                flight = self._flights.get(key)
                leads = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if leads:
                return self._lead(key, flight, call)
            if not flight.ended.wait(until.left):
                raise NoAnswer("Another thread's call was still under way when the time was over.")
            if flight.results:
                return flight.results[0]
            if flight.error is not None:
                pause = pause_after(flight.error)
                if pause is None or pause >= until.left:
                    raise _for_another_thread(flight.error)
                self._timing.sleep(pause)

    def _lead(self, key: Hashable, flight: _Flight[_Result], call: Callable[[], _Result]) -> _Result:
        try:
            result = call()
        except Exception as error:
            flight.error = error
            raise
        else:
            flight.results.append(result)
            return result
        finally:
            with self._lock:
                del self._flights[key]
            flight.ended.set()


def _for_another_thread(error: Exception) -> Exception:
    """Return an error that a second thread can raise: each has its own traceback."""
    return copy.copy(error) if isinstance(error, GatehouseError) else error


class NotedVersions:
    """Versions of tokens that something is noted about, for some time."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._until: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, connection_id: str, version: int, seconds: float) -> None:
        """Note a version for that long, or for as long as it is noted already."""
        with self._lock:
            until = max(self._timing.monotonic() + seconds, self._until.get((connection_id, version), 0.0))
            self._until[connection_id, version] = until
            if len(self._until) > MOST_KEPT:
                self._until.popitem(last=False)

    def remove(self, connection_id: str, version: int) -> None:
        """Note it no longer."""
        with self._lock:
            self._until.pop((connection_id, version), None)

    def has(self, connection_id: str, version: int) -> bool:
        """Return whether a version is noted."""
        with self._lock:
            return self._until.get((connection_id, version), 0.0) > self._timing.monotonic()
