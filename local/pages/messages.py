"""How the landing page writes times, durations and secrets."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_SHOWN = 4
# Below this length the shown characters would be too large a part of a secret.
_LONG_ENOUGH = 16


def moment(time: float) -> str:
    """Return a Unix time as ``2025-11-23 19:12:04 UTC``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded: ``59 minutes``."""
    for size, unit in _UNITS:
        count = round(seconds / size)
        # 59 minutes and 50 seconds are better called 60 minutes than 1 hour, so a unit begins at its full size.
        if seconds >= size:
            return f"{count} {unit}" + ("" if count == 1 else "s")
    return "less than a second"


def expiry(expires_at: int | None, now: float) -> str:
    """Return when tokens expire, as seen from ``now``: ``in 59 minutes``, ``expired 2 minutes ago``, ``unknown``."""
    if expires_at is None:
        return "unknown"
    left = expires_at - now
    return f"in {span(left)}" if left > 0 else f"expired {span(-left)} ago"


def masked(secret: str) -> str:
    """Return the end of a secret behind dots, or dots alone for a short one."""
    return "••••••••" + (secret[-_SHOWN:] if len(secret) >= _LONG_ENOUGH else "")
