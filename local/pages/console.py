"""``/_local``: what runs, what was published, and the clock, as JSON for tests and tools."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Request

    from local.base.clock import Clock

# Ten years; more than any token lives, and far from the end of 32-bit dates.
LONGEST_ADVANCE = 10 * 365 * 24 * 3600


class Console:
    """Answers ``GET /_local`` and its ``/events``, ``/state`` and ``/clock``; POST moves the clock."""

    def __init__(
        self,
        clock: Clock,
        info: Mapping[str, Any],
        events: Callable[[], list[dict[str, Any]]],
        state: Callable[[], str] = str,
    ) -> None:
        """``info`` is what ``GET /_local`` answers beside the clock, ``events`` returns what was published.

        ``state`` returns a text that is another as soon as the landing page has something new to show.
        """
        self._clock = clock
        self._info = info
        self._events = events
        self._state = state

    def answer(self, request: Request) -> Response | None:
        """Answer what is the console's."""
        match request.method, request.path:
            case "GET", "/_local":
                return _json({**self._info, "clock": self.clock()})
            case "GET", "/_local/events":
                return _json({"events": self._events()})
            case "GET", "/_local/state":
                return _json({"state": self._state()})
            case "GET", "/_local/clock":
                return _json(self.clock())
            case "POST", "/_local/clock":
                return self._advance(request)
            case _:
                return None

    def clock(self) -> dict[str, float]:
        """Return the time in Unix seconds, and how far it is ahead of the real one."""
        return {"now": self._clock.now(), "offset_seconds": self._clock.offset}

    def _advance(self, request: Request) -> Response:
        try:
            seconds = _advance_seconds(json.loads(request.get_data()))
        except ValueError as error:
            is_not_json = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            problem = "the body must be JSON" if is_not_json else str(error)
            return _json({"error": "invalid_request", "error_description": problem}, HTTPStatus.BAD_REQUEST)
        self._clock.advance(seconds)
        return _json(self.clock())


def _advance_seconds(document: object) -> float:
    """Return the seconds of a clock request. Raises ``ValueError`` that names the field."""
    if not isinstance(document, dict):
        # A value of the request, not a type of the program.
        raise ValueError('the body must be an object: {"advance_seconds": n}')  # noqa: TRY004
    unknown = sorted(document.keys() - {"advance_seconds"})
    if unknown:
        raise ValueError(f"{json.dumps(unknown[0])}: unknown field")
    seconds = document.get("advance_seconds")
    # true is an int to Python, not to JSON.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_ADVANCE:
        raise ValueError(f"advance_seconds: must be a number of seconds from 0 to {LONGEST_ADVANCE}")
    return float(seconds)


def _json(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(json.dumps(document) + "\n", status, {"Cache-Control": "no-store"}, content_type="application/json")
