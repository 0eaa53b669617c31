"""The slots' own model, searched to its end; and each rule of theirs, broken, is noticed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.timing import SHORTEST_REQUEST
from functions.vault.storage.shared import Shared, Taken
from functions.vault.storage.slots import Slot, Slots
from tests.torture.slots import Code, searched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.oauth.transport import Answer
    from tests.torture.slots import Held, Table


class _TakesAnyway(Shared):
    """Takes a slot whatever has become of it since it was read."""

    def take_slot(self, provider: str, number: int, was: Taken | None, now: Taken, at_once: int) -> None:
        del was
        current = self.slots(provider).get(number)
        super().take_slot(provider, number, current, now, at_once)


class _ByItsHolder(Shared):
    """Takes a slot that is in the same hand as it was read, be it for another time."""

    def take_slot(self, provider: str, number: int, was: Taken | None, now: Taken, at_once: int) -> None:
        current = self.slots(provider).get(number)
        is_same_hand = was is not None and current is not None and was.holder == current.holder
        super().take_slot(provider, number, current if is_same_hand else was, now, at_once)


class _GivesBackAnyones(Shared):
    """Gives a slot back, whoever has it now."""

    def give_back_slot(self, provider: str, number: int, mine: Taken) -> None:
        super().give_back_slot(provider, number, self.slots(provider).get(number, mine))


class _HeldToTheDeadline(Slots):
    """Holds a slot for as long as its request may take, and no longer."""

    def until(self, seconds: float) -> int:
        return math.ceil(self.timing.now() + seconds)


class _SentToTheLapse(Slot):
    """Sends a request that may take until its slot lapses."""

    def send(self, method: str, url: str, headers: Any, body: str | None, timeout: float) -> Answer:
        left = min(timeout, self.taken.until - self._timing.now())
        if left < SHORTEST_REQUEST:
            raise TemporarilyUnavailable("Too late.")
        return self._transport.send(method, url, headers, body, left)


class _ASecondEarly(Slots):
    """Takes a slot a second before it lapses."""

    def free(self, provider: Any, seen: Mapping[int, Taken]) -> int | None:
        return super().free(provider, {number: Taken(each.holder, each.until - 1) for number, each in seen.items()})


class _LetsNothingLapse(Slots):
    """Gives a slot back although its request has brought no answer."""

    def give_back(self, slot: Slot, deadline: Any) -> None:
        slot.may_be_at_work = False
        super().give_back(slot, deadline)


class _InItsOwnTime(Slot):
    """Sends a request however little time its slot has left."""

    def send(self, method: str, url: str, headers: Any, body: str | None, timeout: float) -> Answer:
        return self._transport.send(method, url, headers, body, timeout)


class _ForgetsItsOwn(Code):
    """Does not know its own write again whose answer was lost."""

    def _ours(self, _table: Table, _holder: str) -> tuple[int, Held] | None:
        return None


def broken(**parts: Any) -> type[Code]:
    """Return the code with a part of it broken."""
    return type("Broken", (Code,), parts)


def test_never_more_requests_at_a_time_than_there_are_slots() -> None:
    """Whatever is lost, late or repeated, whoever dies, and however far clocks are apart: every state is looked at."""
    wrong, states = searched(Code, at_once=1, processes=2)

    assert (wrong, states > 50_000) == (None, True)


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        (broken(shared=_TakesAnyway), 1),
        (broken(shared=_ByItsHolder), 1),
        (broken(shared=_GivesBackAnyones), 2),
        (broken(slots=_HeldToTheDeadline, slot=_SentToTheLapse), 1),
        (broken(slots=_ASecondEarly), 1),
        (broken(slots=_LetsNothingLapse), 1),
        (broken(slot=_InItsOwnTime), 1),
    ],
)
def test_each_rule_is_needed(code: type[Code], calls: int) -> None:
    """Without it the model finds a request too many."""
    assert searched(code, at_once=1, processes=2, calls=calls)[0] == "too many requests at a time"


def test_a_call_knows_its_own_slot_again() -> None:
    """Else it takes a second one, if there is one: its first write took effect, though its answer was lost."""
    found = [searched(code, 2, processes=1, writes_arrive_late=False)[0] for code in (_ForgetsItsOwn, Code)]

    assert found == ["two slots in one hand", None]
