"""Slots: a provider that names `max_concurrency` gets no more requests at a time than that, whoever makes them.

The rules:

- A slot is for one request at a time, and a call holds one at most. Whoever needs a lease has it before; nobody waits
  for a lease with a slot in hand.
- It is taken by a write that is conditional on what was read of it: nobody has it, or whoever had it let it lapse.
- It is held to three seconds past the request's own deadline. With less left than that, nothing is sent.
- Who has stored what the server answered gives it back. Whose request ended without an answer lets it lapse: the server
  may be at work on it.
- Waiting only reads. What is written is what looks free.
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

# Who waits sees a slot come free within a third of what it has waited.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 0.5, 1.3


@record
class Slots:
    """Takes slots of providers, and gives them back."""

    shared: Shared
    timing: Timing

    def take(self, provider: Provider, transport: Transport, deadline: Deadline, until: float) -> Slot:
        """Return a slot for one request of at most the provider's `request_timeout`, looking for one until `until`.

        `transport` carries that request.

        Raises `SlotsTaken` where none came free, `TemporarilyUnavailable` where too little of the call's time is left.
        """
        holder, pause = uuid.uuid4().hex, _FIRST_PAUSE
        while True:
            seconds = deadline.for_http(provider.request_timeout)
            outage = None
            try:
                if (found := self._look(provider, Taken(holder, self.until(seconds)))) is not None:
                    return Slot(provider.name, *found, transport, self.timing)
            except TemporarilyUnavailable as error:
                outage = error  # a crowd may look more often than DynamoDB lets anybody: it goes on waiting
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
            if self.timing.now() + pause > until:
                raise outage or SlotsTaken(self.timing.jitter())
            self.timing.sleep(pause * (0.5 + 0.5 * self.timing.jitter()))

    def give_back(self, slot: Slot, deadline: Deadline) -> None:
        """Give a slot back, unless the server may be at work on its request. What cannot be written lapses."""
        if slot.may_be_at_work or deadline.remaining() < CALL:
            return
        try:
            self.shared.give_back_slot(slot.provider, slot.number, slot.taken)
        except Conflict:
            pass  # it has lapsed, and another has it
        except Exception as error:  # noqa: BLE001 - the answer is stored: whatever happens to the slot, that stands
            logging.getLogger("gatehouse").warning("slot not given back", extra={"error": type(error).__name__})

    def _look(self, provider: Provider, mine: Taken) -> tuple[int, Taken] | None:
        """Look, and take a slot that looks free; return it with its number, None where all are taken.

        Who was not fast enough for one looks again at once: others may be free, and background work looks but once.
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
        """Return the number of a slot that nobody holds, any of them; None where all are held."""
        now, at_once = self.timing.now(), provider.max_concurrency or 0
        free = [each for each in range(at_once) if each not in seen or seen[each].until <= now]
        return free[int(self.timing.jitter() * len(free)) % len(free)] if free else None

    def until(self, seconds: float) -> int:
        """Return until when a slot is held whose request may take so many seconds from now."""
        return math.ceil(self.timing.now() + seconds + SLOT_MARGIN)


def ours(seen: Mapping[int, Taken], mine: Taken) -> tuple[int, Taken] | None:
    """Return the slot that this call has, though it never heard of it: its write took effect, the answer was lost."""
    return next(((number, taken) for number, taken in seen.items() if taken.holder == mine.holder), None)


class Slot:
    """A slot in hand: it carries the request that it is for, and knows whether the server may be at work on that."""

    def __init__(self, provider: str, number: int, taken: Taken, transport: Transport, timing: Timing) -> None:
        self.provider = provider
        self.number = number
        self.taken = taken
        self.may_be_at_work = False
        self._transport = transport
        self._timing = timing

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Send a request that ends, answered or not, three seconds before the slot lapses.

        Raises `TemporarilyUnavailable`, with nothing sent, where that leaves too little time, or where an earlier
        request in this slot brought no answer.
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
            self.may_be_at_work = False  # it is not to be asked at all
            raise
        self.may_be_at_work = False
        return answer
