"""That a grant is dead is a belief: what it rests on, and when the server may be asked once more whether it is so.

A server that has refused a grant once may have been wrong: one of its replicas was behind, or it was restored from a
backup. So a refusal is believed at once, and looked at again a few times, unless more than the server's word speaks for
it. If the refresh token may have been used before, a look could be taken for its theft.
"""

from __future__ import annotations

from dataclasses import replace

from functions.vault.base.record import record

BACKGROUND = (300, 900, 14400)
"""Seconds after the refusal, about, at which the background looks again."""

BY_CALLERS = 1
"""Looks that callers may take beside those, by calling `refresh`."""

SHORTEST_PAUSE = 60
"""Seconds that have to lie between two requests."""

QUEUE_SPEAKS_FOR = 3600
"""Seconds after the refusal in which a token response in the rescue queue, be it another's, puts a look off."""


@record
class Belief:
    """What is believed of a refused token set that may still be good. Times are Unix seconds.

    `since` is the refusal, `asked_at` the latest request. `looks` counts those in the background, `by_callers` the
    others, and `latest_by_caller` says which the latest was. `next_at` is when the background looks next, None where it
    never does.
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
        """Tell whether it is time for a look, by a caller or in the background."""
        has_look = self.by_callers < BY_CALLERS if by_caller else self.next_at is not None and now >= self.next_at
        return has_look and now >= self.asked_at + SHORTEST_PAUSE

    def looked_at(self, until: float, *, by_caller: bool) -> Belief:
        """Return it with a look begun, which counts whatever becomes of it; its request is over `until` then."""
        return replace(self._counted(1, by_caller=by_caller), asked_at=int(until), latest_by_caller=by_caller)

    def not_looked_at(self, now: float) -> Belief:
        """Return it after a look that has sent nothing."""
        return replace(self._counted(-1, by_caller=self.latest_by_caller), asked_at=int(now))

    def _counted(self, more: int, *, by_caller: bool) -> Belief:
        if by_caller:
            return replace(self, by_callers=self.by_callers + more)
        return replace(self, looks=self.looks + more)

    def may_be_held_back(self, now: float) -> bool:
        """Tell whether a response in the rescue queue is still a reason not to look."""
        return now < self.since + QUEUE_SPEAKS_FOR
