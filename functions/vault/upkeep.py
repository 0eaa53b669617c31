"""When a token set should be refreshed: in time for a caller, and before an idle grant dies.

Everything here is spread at random: a million connections made in one hour must not come due in one hour.
"""

from __future__ import annotations

from .record import record

ASSUMED_IDLE_SECONDS = 14 * 86400
"""How long an unused refresh token is taken to live where nobody says."""


@record
class Upkeep:
    """A provider's policy: `background` is `keep_alive`, `keep_fresh` or `never`; the rest are seconds."""

    margin: int = 300
    background: str = "keep_alive"
    idle_seconds: int | None = None

    def refresh_at(self, now: int, expires_at: int | None) -> int | None:
        """Return when the access token comes into its soft margin, which is at most a quarter of its life."""
        if expires_at is None:
            return None
        return expires_at - min(self.margin, (expires_at - now) // 4)

    def due_at(self, now: int, expires_at: int | None, refresh_expires_at: int | None, jitter: float) -> int | None:
        """Return when background work is due; `jitter` is from 0 to 1. None where nothing is to be done."""
        if self.background == "never":
            return None
        if self.background == "keep_fresh":
            refresh_at = self.refresh_at(now, expires_at)
            # In the last quarter of the time that is left for it, wherever in it: neither too early for a server that
            # counts requests, nor all at once.
            return None if refresh_at is None else now + int((refresh_at - now) * (0.75 + 0.25 * jitter))
        idle = self.idle_seconds or ASSUMED_IDLE_SECONDS
        if refresh_expires_at is not None:
            idle = min(idle, max(refresh_expires_at - now, 0))
        return now + int(idle * (0.4 + 0.3 * jitter))
