"""What the stack prints, for a person: a line of JSON that a function has logged is made readable.

Everything else is printed as it is. A file or a pipe gets the lines of JSON, as CloudWatch does. There is no colour if
NO_COLOR is set (https://no-color.org).
"""

from __future__ import annotations

import io
import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from functions.vault.base.errors import BY_CODE

if TYPE_CHECKING:
    from typing import TextIO

_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"
_HARD = frozenset({"ERROR", "CRITICAL"})
_SAID_FIRST = ("connection_id", "provider")
_NOT_SAID = frozenset(
    {
        *("level", "message", "timestamp", "service", "outcome", "duration_ms", "function_name", "principal"),
        *("request_id", "api_request_id", "route", "principal_account", "stackTrace"),
        *_SAID_FIRST,
    }
)


def for_a_person(stream: TextIO) -> TextIO:
    """Return what writes to a stream so that a person can read it, if it is a terminal; otherwise the stream itself."""
    return cast("TextIO", Terminal(stream, in_colour="NO_COLOR" not in os.environ)) if stream.isatty() else stream


class Terminal(io.TextIOBase):
    """Writes to another stream, line by line; lines of logs so that a person can read them."""

    def __init__(self, stream: TextIO, *, in_colour: bool) -> None:
        """``stream`` is where everything goes."""
        self._stream = stream
        self._in_colour = in_colour
        self._begun = ""

    def write(self, text: str) -> int:
        """Write the lines that are whole, and keep what is begun."""
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            self._stream.write("".join(f"{readable(line, in_colour=self._in_colour)}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Write what is begun, and flush."""
        self._stream.write(self._begun)
        self._begun = ""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return whether a person looks on."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the file of the other stream."""
        return self._stream.fileno()


def readable(line: str, *, in_colour: bool = False) -> str:
    """Return a line as a person reads it; one that no function has logged stays as it is."""
    try:
        document = json.loads(line) if line.startswith("{") else None
    except ValueError:
        document = None
    if not isinstance(document, dict) or "level" not in document:
        return line
    text = _text(document)
    colour = _colour(document) if in_colour else ""
    return f"{colour}{text}{_PLAIN}" if colour else text


def _text(document: dict[str, Any]) -> str:
    """Return when it was, whose line it is, how it ended, for which connection, how long it took, and the rest."""
    who = document.get("message") or document.get("function_name", "")
    outcome = document.get("outcome", document["level"].lower())
    facts = [str(document[name]) for name in _SAID_FIRST if document.get(name)]
    took = f"{document['duration_ms']:g} ms" if "duration_ms" in document else ""
    rest = [f"{name}={_value(value)}" for name, value in document.items() if name not in _NOT_SAID]
    columns = [_time(document.get("timestamp")), f"{who:<12}", f"{outcome:<24}", " ".join(facts), took, " ".join(rest)]
    return "  ".join(column for column in columns if column.strip()).rstrip()


def _time(timestamp: Any) -> str:
    """Return the time of a line, which is that of the stack's clock, with its day: the clock can be moved by days."""
    try:
        return f"{datetime.fromisoformat(timestamp):%m-%d %H:%M:%S}"
    except (TypeError, ValueError):
        return " " * 14


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text) if " " in text and isinstance(value, str) else text


def _colour(document: dict[str, Any]) -> str:
    if document["level"] in _HARD:
        return _RED
    if document["level"] == "WARNING" or document.get("outcome") in BY_CODE:
        return _YELLOW
    return ""
