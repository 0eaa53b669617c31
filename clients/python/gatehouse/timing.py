"""The caller's time: clocks, deadlines, and calls that end at one."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from .errors import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

LONGEST_SECONDS = 366 * 86400
"""No call takes longer than that. What waits for a thread takes no number that is much larger, like infinity."""

RESERVE_SECONDS = 1.0
"""What is left of a Lambda function's time after the last call, to answer its own caller."""


class LambdaContext(Protocol):
    """The second argument of a Lambda handler."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the function."""


@dataclass(frozen=True)
class Timing:
    """The clocks: Unix time, a clock that never goes back, and a pause. Tests pass their own."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Deadline:
    """A moment at which the caller's time is over."""

    def __init__(self, seconds: float, timing: Timing) -> None:
        self._timing = timing
        self._at = timing.monotonic() + min(seconds, LONGEST_SECONDS)

    @property
    def left(self) -> float:
        """Seconds that are left; 0 once it is over."""
        return max(0.0, self._at - self._timing.monotonic())


class Allowance:
    """How much time calls may take: each `seconds`, none longer than a Lambda function's own time or a deadline."""

    def __init__(self, seconds: float, timing: Timing, limits: tuple[Deadline | LambdaContext, ...] = ()) -> None:
        self.timing = timing
        self._seconds = seconds
        self._limits = limits

    def begin(self) -> Deadline:
        """Return the deadline of a call that begins now."""
        return Deadline(min([self._seconds, *map(_left, self._limits)]), self.timing)

    def within(self, limit: float | LambdaContext | None) -> Allowance:
        """Return this allowance until `limit`: that many seconds from now, or the end of a Lambda function.

        None limits nothing: it is the context of a handler that runs elsewhere than in Lambda.
        """
        if limit is None:
            return self
        if isinstance(limit, (int, float)):
            return Allowance(limit, self.timing, (*self._limits, Deadline(limit, self.timing)))
        return Allowance(self._seconds, self.timing, (*self._limits, limit))


def _left(limit: Deadline | LambdaContext) -> float:
    if isinstance(limit, Deadline):
        return limit.left
    return max(0.0, limit.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)


def answer_within(seconds: float, call: Callable[[], _Result]) -> _Result:
    """Return what a call returns, or raise `NoAnswer` after that many seconds.

    AWS's SDK has one timeout for all calls of a client. So a call that has less time runs in a thread: when the time is
    over, its caller goes on, and the thread ends with the SDK's timeout.
    """
    ended: queue.SimpleQueue[tuple[_Result | None, BaseException | None]] = queue.SimpleQueue()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            ended.put((context.run(call), None))
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            ended.put((None, error))

    threading.Thread(target=work, daemon=True, name="gatehouse-call").start()
    try:
        result, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise NoAnswer(f"No answer came within the {seconds:.1f} s that were left.") from None
    if error is not None:
        raise error
    return cast("_Result", result)
