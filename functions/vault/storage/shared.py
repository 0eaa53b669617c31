"""The table of what the connections of one registration share: slots, and notes about providers and accounts.

All of it can be lost: that costs a few requests more than necessary. The key of an item is what it is `about`. Notes
are best effort: a note that cannot be written makes nothing else fail.
"""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import plain, record
from functions.vault.base.timing import CALL

from . import attributes
from .expression import Expression
from .items import filled
from .table import Conflict, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline

    from .aws import ClientOf

NOTED_EVERY = 600
"""Seconds between two notes of one process that a client's connections are refreshed: no item may be written often."""

_TROUBLE = ("failures", "alone_until", "asked_at")
"""What is noted about a provider whose server fails, and goes when it answers."""


@record
class Taken:
    """A slot that `holder` has until it gives it back, or until `until` (Unix seconds)."""

    holder: str
    until: int


@record
class Standing:
    """What background work has to know about a provider.

    `at_once` is the number of requests that it takes at a time, if it has slots. `failures` counts the pieces of
    background work in a row that failed because of its server; `asked_at` is the latest. It gets none until
    `alone_until` (Unix seconds).
    """

    at_once: int | None = None
    failures: int = 0
    alone_until: int = 0
    asked_at: int | None = None


class Shared(Table):
    """The table of what connections share. Times are Unix seconds."""

    KEY = "about"

    def __init__(self, client_of: ClientOf, name: str, on_date: Callable[[str | None], None] | None = None) -> None:
        """`on_date` receives the `Date` header of each answer."""
        super().__init__(client_of, name, on_date)
        self._noted: dict[str, float] = {}

    # The slots of a provider

    def slots(self, provider: str) -> dict[int, Taken]:
        """Return who took each slot of a provider last, by the slot's number. A slot that was never taken is absent."""
        found = self._values(_of_provider(provider))
        return {
            int(name.removeprefix("slot_")): Taken(**value) for name, value in found.items() if name.startswith("slot_")
        }

    def take_slot(self, provider: str, number: int, was: Taken | None, now: Taken, at_once: int) -> None:
        """Take a slot if it still is as it `was` read; else raise `Conflict`.

        Both holder and time have to match: a caller that let a slot lapse may be the next to take it. The number of
        slots is stored beside it, for the sweep.
        """
        expression = Expression()
        update = expression.assignment({f"slot_{number}": plain(now), "at_once": at_once}, {})
        self._update(_of_provider(provider), update, _is_taken(number, was, expression), expression)

    def give_back_slot(self, provider: str, number: int, mine: Taken) -> None:
        """Give a slot back if the same caller still has it; else raise `Conflict`."""
        expression = Expression()
        update = expression.assignment({}, {f"slot_{number}": mine})
        self._update(_of_provider(provider), update, _is_taken(number, mine, expression), expression)

    # How a provider's server does with background work

    def standing(self, provider: str) -> Standing:
        """Return what is known about a provider."""
        found = self._values(_of_provider(provider))
        return Standing(
            found.get("at_once"), found.get("failures", 0), found.get("alone_until", 0), found.get("asked_at")
        )

    def note_trouble(self, provider: str, standing: Standing, deadline: Deadline) -> None:
        """Note that background work failed because of a provider's server, and until when it gets none."""
        expression = Expression()
        noted = filled({name: getattr(standing, name) for name in _TROUBLE})
        update = expression.assignment(noted, {})
        self._note(deadline, lambda: self._update(_of_provider(provider), update, [], expression))

    def note_answers(self, provider: str, deadline: Deadline) -> None:
        """Note that a server which had failed answers again."""
        expression = Expression()
        update = expression.assignment({}, {}, _TROUBLE)
        self._note(deadline, lambda: self._update(_of_provider(provider), update, [], expression))

    # When a connection of a client was last refreshed

    def note_refreshed(self, provider: str, client_id: str, now: float, deadline: Deadline) -> None:
        """Note that a connection of this client received tokens. `last_refreshed` lags by ten minutes at most."""
        about = _about("refreshed", provider, client_id)
        if now < self._noted.get(about, 0.0) + NOTED_EVERY:
            return
        # Before the write: while the table is out, that costs a process the time of one call, not of each call.
        self._noted[about] = now
        self._note(deadline, lambda: self._set_latest(about, int(now)))

    def last_refreshed(self, provider: str, client_id: str) -> int | None:
        """Return when a connection of this client was last refreshed; None if nobody noted it."""
        at: int | None = self._values(_about("refreshed", provider, client_id)).get("at")
        return at

    def _set_latest(self, about: str, at: int) -> None:
        expression = Expression()
        update = expression.assignment({"at": at}, {})
        is_later = f"({expression.is_absent('at')} OR {expression.name('at')} < {expression.value('at', at)})"
        self._update(about, update, [is_later], expression)

    # When an account was last authorized

    def note_authorized(  # noqa: PLR0913, PLR0917 - whose account, by which connection, when
        self, provider: str, client_id: str, subject: str, connection_id: str, now: float, deadline: Deadline
    ) -> None:
        """Note that this account authorized this client for a connection."""
        about = _about("authorized", provider, client_id, subject)
        self._note(deadline, lambda: self._authorized(about, connection_id, int(now)))

    def authorized_elsewhere(self, provider: str, client_id: str, subject: str, connection_id: str) -> int | None:
        """Return when this account last authorized this client for another connection; None if nobody noted it."""
        found = self._values(_about("authorized", provider, client_id, subject))
        at: int | None = found.get("at") if found.get("by") != connection_id else found.get("elsewhere_at")
        return at

    def _authorized(self, about: str, connection_id: str, at: int) -> None:
        """Store the latest connection, and the latest other one before it: the latest itself may ask for that."""
        expression = Expression()
        latest = expression.assignment({"by": connection_id, "at": at}, {})
        by, mine = expression.name("by"), expression.value("by", connection_id)
        try:
            self._update(about, latest, [f"({expression.is_absent('by')} OR {by} = {mine})"], expression)
        except Conflict:
            before = f"{expression.name('elsewhere_at')} = {expression.name('at')}"
            self._update(about, f"{latest}, {before}", [f"{by} <> {mine}"], expression)

    # Reading and writing

    def _note(self, deadline: Deadline, write: Callable[[], Any]) -> None:
        """Write a note if there is time. If it fails, the work that it is about stands."""
        if deadline.remaining() < CALL:
            return
        try:
            write()
        except Conflict:
            pass  # another process has noted something later
        except Exception as error:  # noqa: BLE001 - a note never costs anybody a token
            logging.getLogger("gatehouse").warning("note not written", extra={"error": type(error).__name__})

    def _values(self, about: str) -> dict[str, Any]:
        return attributes.read_item(self._read(about) or {})


def _is_taken(number: int, taken: Taken | None, expression: Expression) -> list[str]:
    """Return the conditions that a slot was last taken so; None means never, or given back since."""
    if taken is None:
        return [expression.is_absent(f"slot_{number}")]
    return [
        expression.is_(f"slot_{number}.holder", taken.holder),
        expression.is_(f"slot_{number}.until", taken.until),
    ]


def _of_provider(provider: str) -> str:
    return f"provider {provider}"


def _about(kind: str, provider: str, *whose: str) -> str:
    """Return the key of an item: with a digest, because a client's id may be too long, and an account is private."""
    return f"{kind} {provider} {sha256(json.dumps(whose).encode()).hexdigest()[:32]}"
