"""The lease of a token set: who may use it now, and the journal entry of that use."""

from __future__ import annotations

import math
from dataclasses import replace

from functions.vault.base.record import record


@record
class Lease:
    """The right to use a token set, and the journal entry of that use. It holds until `until` (Unix seconds).

    `attempt` numbers the uses of one token set.
    `interrupted_at`: an earlier use was interrupted, and nobody knows its outcome; this is when that was noticed.
    `timed_out`: the holder does not wait for its answer any more, but the server may still be at work, and would refuse
    another request for that. So nobody else may ask it either, until the lease lapses.
    `revokes`: the token set is to be revoked, and not refreshed. Only a refresh can replace its tokens.
    `waiting`: the holder waits for a slot of the provider. That is no attempt yet, and may lapse without a trace.
    `answer_lost`: the interrupted holder has reported that no answer came, so nobody can have one in hand.
    """

    holder: str
    attempt: int
    until: int
    interrupted_at: int | None = None
    timed_out: bool = False
    revokes: bool = False
    waiting: bool = False
    answer_lost: bool = False

    @classmethod
    def taken_after(  # noqa: PLR0913 - who takes it, and what for
        cls,
        before: Lease | None,
        holder: str,
        attempt: int,
        until: float,
        now: float,
        *,
        revokes: bool = False,
        waiting: bool = False,
    ) -> Lease:
        """Return the lease of whoever takes it over `now`.

        What is unknown of earlier uses stays unknown. If several have an unknown outcome the latest counts: its answer
        may still be on its way into the record.
        """
        interrupted_at, is_lost = (before.interrupted_at, before.answer_lost) if before else (None, False)
        if before is not None and before.is_unfinished and not before.revokes:
            interrupted_at, is_lost = int(now), False
        return cls(
            holder,
            attempt,
            math.ceil(until),
            interrupted_at,
            revokes=revokes,
            waiting=waiting,
            answer_lost=is_lost,
        )

    @property
    def is_after_an_interruption(self) -> bool:
        """Return whether the outcome of an earlier attempt is unknown."""
        return self.interrupted_at is not None

    @property
    def may_be_answered(self) -> bool:
        """Return whether the answer of an earlier attempt may be on its way into the record."""
        return self.is_after_an_interruption and not self.answer_lost

    @property
    def is_unfinished(self) -> bool:
        """Return whether its holder has an attempt under way, or was interrupted in one."""
        return self.until > 0 and not self.waiting and not self.timed_out

    def is_live(self, now: float) -> bool:
        """Return whether nobody but its holder may use the token set."""
        return now < self.until

    def is_at_work(self, now: float) -> bool:
        """Return whether its holder may still be at work: whoever waits for it may get an answer."""
        return self.is_live(now) and not self.timed_out

    def got_slot(self, attempt: int, until: float) -> Lease:
        """Return it with the attempt begun that it has waited with: from now on a request may have been sent."""
        return replace(self, attempt=attempt, until=math.ceil(until), waiting=False)
