"""When a refused grant may be tried again. That it is dead is a belief: the server may have been wrong.

One of its replicas may have been behind, or it was restored from a backup. So a refusal is believed at once, but the
refresh token is tried a few times more: each time is a *look*. There is none if more than the server's answer supports
the refusal, or if the refresh token may have been used before: the server could take a look for its theft.
"""

from __future__ import annotations

from dataclasses import replace

from functions.vault.base.record import record
from functions.vault.base.timing import QUEUE_SPEAKS_FOR

BACKGROUND = (300, 900, 14400)
"""Seconds after the refusal, about, at which the background looks again."""

BY_CALLERS = 1
"""Looks that callers may take in addition, by calling `refresh`."""

SHORTEST_PAUSE = 60
"""Seconds at least between two requests."""


@record
class Belief:
    """What is believed of a refused token set that may still be good. Times are Unix seconds.

    `since` is the refusal, `asked_at` the latest request. `looks` counts those in the background, `by_callers` the
    others, and `latest_by_caller` says whether the latest was of those. `next_at` is when the background looks next, or
    None if it does not.
    """

    since: int
    asked_at: int
    looks: int = 0
    by_callers: int = 0
    latest_by_caller: bool = False
    next_at: int | None = None

    @classmethod
    def begin(cls, now: float, jitter: float) -> Belief:
        """Return it as of a refusal. `jitter` is from 0 to 1."""
        return cls(int(now), int(now)).answered(now, jitter)

    def answered(self, now: float, jitter: float) -> Belief:
        """Return it after a request, with the time of the next look in the background, spread by a tenth."""
        if self.looks >= len(BACKGROUND):
            return replace(self, asked_at=int(now), next_at=None)
        about = self.since + BACKGROUND[self.looks] * (0.9 + 0.2 * jitter)
        return replace(self, asked_at=int(now), next_at=max(int(about), int(now) + SHORTEST_PAUSE))

    def may_be_looked_at(self, now: float, *, by_caller: bool) -> bool:
        """Return whether it is time for a look, by a caller or in the background."""
        has_look = self.by_callers < BY_CALLERS if by_caller else self.next_at is not None and now >= self.next_at
        return has_look and now >= self.asked_at + SHORTEST_PAUSE

    def looked_at(self, until: float, *, by_caller: bool) -> Belief:
        """Return it with a look begun, which counts whatever its outcome; its request has ended by `until`."""
        return replace(self._counted(1, by_caller=by_caller), asked_at=int(until), latest_by_caller=by_caller)

    def not_looked_at(self, now: float) -> Belief:
        """Return it after a look that has sent nothing."""
        return replace(self._counted(-1, by_caller=self.latest_by_caller), asked_at=int(now))

    def _counted(self, more: int, *, by_caller: bool) -> Belief:
        if by_caller:
            return replace(self, by_callers=self.by_callers + more)
        return replace(self, looks=self.looks + more)

    def may_be_held_back(self, now: float) -> bool:
        """Return whether a response in the rescue queue is still a reason not to look."""
        return now < self.since + QUEUE_SPEAKS_FOR
