"""What a person at the terminal of the local stack reads of what the functions log."""

from __future__ import annotations

import io
import json

import pytest

from local.base.terminal import Terminal, for_a_person, readable

LINE = {
    "level": "INFO",
    "message": "token",
    "timestamp": "2026-11-30T21:47:32.100+00:00",
    "service": "gatehouse",
    "outcome": "provider_unavailable",
    "duration_ms": 61.2,
    "request_id": "r-1",
    "connection_id": "shop-1",
    "provider": "acme",
    "description": "It is down.",
    "failure": {"count": 2},
    "principal": "a role",
}


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_a_line_says_when_what_and_how_it_ended() -> None:
    """The time of the stack's clock first, then the function, the outcome and whose; then the rest, by names."""
    assert readable(json.dumps(LINE)) == (
        "11-30 21:47:32  token         provider_unavailable      shop-1 acme  61.2 ms  "
        'description="It is down." failure={"count": 2}'
    )


@pytest.mark.parametrize("line", ["", "Gatehouse is starting ...", "{broken", "[1]", '{"no": "log"}'])
def test_what_no_function_has_logged_stays_as_it_is(line: str) -> None:
    """The banner, and whatever else is printed."""
    assert readable(line) == line


def test_a_line_without_an_outcome_or_a_time_is_read_too() -> None:
    """A warning on the way, or what Lambda's runtime would write of an exception."""
    assert readable('{"level": "WARNING", "message": "no refresh token"}').split() == [
        "no",
        "refresh",
        "token",
        "warning",
    ]
    assert "errorType=KeyError" in readable('{"level": "ERROR", "function_name": "f", "errorType": "KeyError"}')


@pytest.mark.parametrize(("level", "colour"), [("ERROR", "\x1b[31m"), ("WARNING", "\x1b[33m")])
def test_colours_are_for_terminals_alone(level: str, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets them who does not want any (NO_COLOR); a file gets the line as CloudWatch does."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = json.dumps({**LINE, "level": level, "outcome": "ok"}) + "\n"
    screen, file, plain = Screen(), io.StringIO(), Screen()

    for stream in (screen, file):
        for_a_person(stream).write(line)
    monkeypatch.setenv("NO_COLOR", "1")
    for_a_person(plain).write(line)

    assert screen.getvalue().startswith(colour)
    assert screen.getvalue().endswith("\x1b[0m\n")
    assert file.getvalue() == line
    assert plain.getvalue() == f"{readable(line[:-1])}\n"


def test_lines_are_written_whole() -> None:
    """However they come; what is begun appears with a flush."""
    file = io.StringIO()
    terminal = Terminal(file, in_colour=False)

    terminal.write('{"level": "INFO", "mess')
    begun = file.getvalue()
    terminal.write('age": "sweep"}\nand')
    terminal.flush()

    assert begun == ""
    assert file.getvalue().split() == ["sweep", "info", "and"]
