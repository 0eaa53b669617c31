"""Times as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

from .words import counted

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def shown(at: float | None, now: float) -> str:
    """Return a time (Unix seconds) in UTC, with how far it is away; empty if there is none."""
    if at is None:
        return ""
    moment = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{moment} ({away(at - now)})"


def until(at: float | None, now: float) -> str:
    """Return only how far a time is away; empty if there is none."""
    return "" if at is None else away(at - now)


def away(seconds: float) -> str:
    """Return how far away that is: `in 5 minutes`, `3 days ago`."""
    text = span(abs(seconds))
    if text == "0 seconds":
        return "now"
    return f"in {text}" if seconds > 0 else f"{text} ago"


def span(seconds: float) -> str:
    """Return a number of seconds in the largest unit that it has two of, or exactly one."""
    whole = round(seconds)
    size, unit = next((each for each in _UNITS if whole >= 2 * each[0] or whole == each[0]), _UNITS[-1])
    return counted(whole // size, unit)
