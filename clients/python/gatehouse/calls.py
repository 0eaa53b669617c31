"""One call of Gatehouse, repeated where that may help and cannot harm, within the caller's time."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from .errors import ConfirmationRequired, GatehouseError, NoAnswer
from .timing import answer_within

if TYPE_CHECKING:
    from .timing import Deadline, Timing
    from .transport import Transport

log = logging.getLogger("gatehouse")

_LONGEST_PAUSE = 8
_MOST_JITTER = 1.0

REPEATABLE = frozenset({"token", "connections", "confirm", "import_connection"})
"""What may be sent again although the first may have run.

`token` and `connections` change nothing that a repeat would change again. `confirm` and `import_connection` know a
repeat by what it brings. Not in here: `start` (each makes another link), `revoke` (it names no version: a late one
would end what has been connected since), and whatever this client does not know. `refresh` is safe with `if_version`.
"""


def say_of(error: GatehouseError, function: str, request: dict[str, Any]) -> None:
    """Let an error say which connection it is about, and whether the same call may be made again.

    What this client must not send twice, its caller must not either: whoever repeats what is retryable would do it.
    """
    if error.connection_id is None:
        error.connection_id = request.get("connection_id")
    if isinstance(error, NoAnswer) and error.may_have_run and not _is_repeatable(function, request):
        error.may_harm, error.retryable = True, False


def pause_before_repeating(error: GatehouseError, repeats: int) -> float | None:
    """Return the seconds to wait before the same call is sent again, or None if it must not be, or would not help."""
    if not error.retryable or isinstance(error, ConfirmationRequired):
        # A confirmation is what a person brings: no waiting here gets one.
        return None
    if error.retry_after is not None:
        return float(error.retry_after) + random.uniform(0, min(_MOST_JITTER, 0.1 * error.retry_after))  # noqa: S311
    return float(min(2**repeats, _LONGEST_PAUSE)) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads callers


def _is_repeatable(function: str, request: dict[str, Any]) -> bool:
    # To Gatehouse a field that is null is none.
    return function in REPEATABLE or (function == "refresh" and request.get("if_version") is not None)


def call(
    transport: Transport, timing: Timing, function: str, request: dict[str, Any], until: Deadline
) -> dict[str, Any]:
    """Return the answer of a function. Raises `GatehouseError`: the last one, if there is no time for another."""
    repeats = 0
    while True:
        try:
            answer = _send(transport, function, request, until)
        except GatehouseError as error:
            say_of(error, function, request)
            pause = pause_before_repeating(error, repeats)
            log.debug("%s: %s, %s", function, error, "not repeated" if pause is None else f"repeated in {pause:.1f} s")
            if pause is None or pause >= until.left:
                raise
        else:
            log.debug("%s of %s: ok", function, request.get("connection_id"))
            return answer
        timing.sleep(pause)
        repeats += 1


def _send(transport: Transport, function: str, request: dict[str, Any], until: Deadline) -> dict[str, Any]:
    left = until.left
    if left <= 0:
        raise NoAnswer("The time was over before the call was sent.", may_have_run=False)
    if left >= transport.longest:
        return transport.send(function, request)

    def connect_and_send() -> dict[str, Any]:
        transport.connect()
        if until.left <= 0:
            raise NoAnswer("The time was over when the call could have been sent.", may_have_run=False)
        return transport.send(function, request)

    return answer_within(left, connect_and_send)
