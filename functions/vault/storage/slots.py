"""Slots: if a provider names `max_concurrency`, it gets no more requests at a time than that from all callers together.

The rules:

- A slot is for one request at a time, and a call has one at most. A call that needs a lease gets the lease first:
  nobody waits for a lease while holding a slot.
- A slot is taken by a conditional write: it still is as it was read, which is free or lapsed.
- A slot lapses three seconds after the deadline of its request. With less time than that, nothing is sent.
- The caller gives it back after the server's answer is stored. If a request ends without an answer, its slot is left to
  lapse, because the server may still be working on the request.
- Waiting for a slot only reads. Only a slot that looks free is written to.
"""

from __future__ import annotations

import logging
import math
import uuid
from typing import TYPE_CHECKING

from functions.vault.base.errors import ProviderMisconfigured, ProviderUnavailable, SlotsTaken, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import CALL, SHORTEST_REQUEST, SLOT_MARGIN

from .shared import Taken
from .table import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.oauth.transport import Answer, Transport
    from functions.vault.provider.provider import Provider

    from .shared import Shared

# A waiting call notices a free slot after at most a third of the time that it has waited.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 0.5, 1.3


@record
class Slots:
    """Takes slots, and gives them back."""

    shared: Shared
    timing: Timing

    def take(self, provider: Provider, transport: Transport, deadline: Deadline, until: float) -> Slot:
        """Return a slot for one request of at most the provider's `request_timeout`, sent by `transport`.

        Waits for one until `until` (Unix seconds). Raises `SlotsTaken` if none became free, and
        `TemporarilyUnavailable` if too little of the call's time is left.
        """
        holder, pause = uuid.uuid4().hex, _FIRST_PAUSE
        while True:
            seconds = deadline.for_http(provider.request_timeout)
            outage = None
            try:
                if (found := self._look(provider, Taken(holder, self.until(seconds)))) is not None:
                    return Slot(provider.name, *found, transport, self.timing)
            except TemporarilyUnavailable as error:
                outage = error  # many waiting calls can exceed what DynamoDB allows: go on waiting
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
            if self.timing.now() + pause > until:
                raise outage or SlotsTaken(self.timing.jitter())
            self.timing.sleep(pause * (0.5 + 0.5 * self.timing.jitter()))

    def give_back(self, slot: Slot, deadline: Deadline) -> None:
        """Give a slot back, unless the server may still be working on its request. A slot not given back lapses."""
        if slot.may_be_at_work or deadline.remaining() < CALL:
            return
        try:
            self.shared.give_back_slot(slot.provider, slot.number, slot.taken)
        except Conflict:
            pass  # it has lapsed, and another call has it
        except Exception as error:  # noqa: BLE001 - the answer is stored, whatever happens to the slot
            logging.getLogger("gatehouse").warning("slot not given back", extra={"error": type(error).__name__})

    def _look(self, provider: Provider, mine: Taken) -> tuple[int, Taken] | None:
        """Take a slot that looks free, and return it with its number; return None if all are taken.

        If another call was faster, this looks again at once: another slot may be free, and background work does not
        wait.
        """
        for _ in range(provider.max_concurrency or 0):
            seen = self.shared.slots(provider.name)
            if (found := ours(seen, mine)) is not None:
                return found
            if (number := self.free(provider, seen)) is None:
                return None
            try:
                self.shared.take_slot(provider.name, number, seen.get(number), mine, provider.max_concurrency or 0)
            except Conflict:
                continue
            return number, mine
        return ours(self.shared.slots(provider.name), mine)

    def free(self, provider: Provider, seen: Mapping[int, Taken]) -> int | None:
        """Return the number of any slot that nobody has; None if all are taken."""
        now, at_once = self.timing.now(), provider.max_concurrency or 0
        free = [each for each in range(at_once) if each not in seen or seen[each].until <= now]
        return free[int(self.timing.jitter() * len(free)) % len(free)] if free else None

    def until(self, seconds: float) -> int:
        """Return when a slot lapses whose request may take this many seconds from now."""
        return math.ceil(self.timing.now() + seconds + SLOT_MARGIN)


def ours(seen: Mapping[int, Taken], mine: Taken) -> tuple[int, Taken] | None:
    """Return the slot that this call already has: an earlier write took effect, and its answer was lost."""
    return next(((number, taken) for number, taken in seen.items() if taken.holder == mine.holder), None)


class Slot:
    """A slot that this call has. It sends the request, and knows whether the server may still be working on it."""

    def __init__(self, provider: str, number: int, taken: Taken, transport: Transport, timing: Timing) -> None:
        self.provider = provider
        self.number = number
        self.taken = taken
        self.may_be_at_work = False
        self._transport = transport
        self._timing = timing

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Send a request that ends three seconds before the slot lapses, with an answer or without.

        Raises `TemporarilyUnavailable`, and sends nothing, if that leaves too little time, or if an earlier request in
        this slot got no answer.
        """
        left = min(timeout, self.taken.until - SLOT_MARGIN - self._timing.now())
        if self.may_be_at_work or left < SHORTEST_REQUEST:
            raise TemporarilyUnavailable("Preparing the request took too long: try again.", retry_after=1)
        self.may_be_at_work = True
        try:
            answer = self._transport.send(method, url, headers, body, left)
        except ProviderUnavailable as error:
            self.may_be_at_work = error.outcome_unknown
            raise
        except ProviderMisconfigured:
            self.may_be_at_work = False  # nothing was sent
            raise
        self.may_be_at_work = False
        return answer
