"""When a token set should be refreshed: in time for a caller, and before an idle grant dies.

Everything here is spread at random: a million connections made in one hour must not come due in one hour, neither the
first time nor any later one.
"""

from __future__ import annotations

from math import sqrt

from functions.vault.base.record import record

ASSUMED_IDLE_SECONDS = 14 * 86400
"""Seconds that an unused refresh token is taken to live if nobody says."""


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

    def due_at(
        self, now: int, expires_at: int | None, refresh_expires_at: int | None, jitter: float, *, first: bool
    ) -> int | None:
        """Return when background work is due; `jitter` is from 0 to 1. None if nothing is to be done.

        `first` is for tokens that a user's consent has brought, and not a refresh.
        """
        if self.background == "never":
            return None
        after = _after_consent if first else _between
        if self.background == "keep_fresh":
            refresh_at = self.refresh_at(now, expires_at)
            # In the last quarter of the time that is left for it, wherever in it: neither too early for a server that
            # counts requests, nor all at once.
            return None if refresh_at is None else now + int((refresh_at - now) * after(0.75, 1.0, jitter))
        idle = self.idle_seconds or ASSUMED_IDLE_SECONDS
        if refresh_expires_at is not None:
            idle = min(idle, max(refresh_expires_at - now, 0))
        return now + int(idle * after(0.4, 0.7, jitter))


def _between(earliest: float, latest: float, jitter: float) -> float:
    return earliest + (latest - earliest) * jitter


def _after_consent(earliest: float, latest: float, jitter: float) -> float:
    """Return how long after a consent its first refresh is due; each later one is due `_between` after the one before.

    It is the time that is left until the next refresh at a random moment, of refreshes that have gone on for ever:
    anything from nothing to `latest`. So many connections that are made together are spread evenly from the first
    refresh on, as evenly as they ever will be.
    """
    mean = (earliest + latest) / 2
    if jitter * mean <= earliest:
        return jitter * mean
    return latest - sqrt(2 * mean * (latest - earliest) * (1 - jitter))
