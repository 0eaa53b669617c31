"""The table of what the connections of one registration share. All of it can be lost: it costs a request too many.

An item is `about` one thing, its key. Notes are best effort: what fails while one is written fails nothing else.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record
from functions.vault.base.timing import CALL

from . import attributes as attribute
from .store import Conflict, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline

    from .aws import ClientOf

NOTED_EVERY = 600
"""Seconds between two notes of one process that a client's connections are refreshed: no item may be written often."""


@record
class Taken:
    """A slot in the hand of `holder`, until it gives it back, or until `until` (Unix seconds)."""

    holder: str
    until: int


@record
class Standing:
    """What background work has to know of a provider.

    `at_once` are the requests that it takes at a time, where it has slots; `failures` the pieces of background work in
    a row that its server failed; until `alone_until` (Unix seconds) it gets none.
    """

    at_once: int | None = None
    failures: int = 0
    alone_until: int = 0


class Shared(Table):
    """The table of what connections share. Times are Unix seconds."""

    def __init__(self, client_of: ClientOf, name: str, on_date: Callable[[str | None], None] | None = None) -> None:
        """Make the table; `on_date` gets the `Date` of each of its answers."""
        super().__init__(client_of, name, on_date)
        self._noted: dict[str, float] = {}

    # Who has the slots of a provider

    def slots(self, provider: str) -> dict[int, Taken]:
        """Return who took each slot of a provider last, by the slot's number; none was taken that is not there."""
        found = self._read(_of_provider(provider))
        return {
            int(name.removeprefix("slot_")): Taken(**value) for name, value in found.items() if name.startswith("slot_")
        }

    def take_slot(self, provider: str, number: int, was: Taken | None, now: Taken, at_once: int) -> None:
        """Take a slot, if it still is as it `was` read; else raise `Conflict`.

        That is its holder and its time: who lets a slot lapse may be the one who takes it next. How many slots there
        are is written with it, for the sweep.
        """
        names = {"#slot": f"slot_{number}", "#at_once": "at_once"}
        values: dict[str, Any] = {":now": asdict(now), ":at_once": at_once}
        update = "SET #slot = :now, #at_once = :at_once"
        if was is None:
            self._update(_of_provider(provider), update, "attribute_not_exists(#slot)", names, values)
        else:
            self._update_taken(provider, update, was, names, values)

    def give_back_slot(self, provider: str, number: int, mine: Taken) -> None:
        """Give a slot back, if it still is in the same hand; else raise `Conflict`."""
        self._update_taken(provider, "REMOVE #slot", mine, {"#slot": f"slot_{number}"}, {})

    def _update_taken(
        self, provider: str, update: str, was: Taken, names: dict[str, str], values: dict[str, Any]
    ) -> None:
        is_as_read = "#slot.#holder = :holder AND #slot.#until = :until"
        names = {**names, "#holder": "holder", "#until": "until"}
        values = {**values, ":holder": was.holder, ":until": was.until}
        self._update(_of_provider(provider), update, is_as_read, names, values)

    # How a provider stands with background work

    def standing(self, provider: str) -> Standing:
        """Return how a provider stands."""
        found = self._read(_of_provider(provider))
        return Standing(found.get("at_once"), found.get("failures", 0), found.get("alone_until", 0))

    def note_trouble(self, provider: str, standing: Standing, deadline: Deadline) -> None:
        """Note that a server has failed background work, and until when it is left alone for that."""
        names = {"#failures": "failures", "#alone_until": "alone_until"}
        values = {":failures": standing.failures, ":alone_until": standing.alone_until}
        update = "SET #failures = :failures, #alone_until = :alone_until"
        self._note(deadline, lambda: self._update(_of_provider(provider), update, None, names, values))

    def note_answers(self, provider: str, deadline: Deadline) -> None:
        """Note that a server that had failed answers again."""
        names = {"#failures": "failures", "#alone_until": "alone_until"}
        self._note(
            deadline,
            lambda: self._update(_of_provider(provider), "REMOVE #failures, #alone_until", None, names, {}),
        )

    # When a connection of a client was last refreshed

    def note_refreshed(self, provider: str, client_id: str, now: float, deadline: Deadline) -> None:
        """Note that a connection of this client has got tokens; `last_refreshed` is ten minutes behind at most."""
        about = _about("refreshed", provider, client_id)
        if now < self._noted.get(about, 0.0) + NOTED_EVERY:
            return
        # Before it is written: while the table is out, a process loses one call's time to it, not each call's.
        self._noted[about] = now
        self._note(deadline, lambda: self._set_latest(about, int(now)))

    def last_refreshed(self, provider: str, client_id: str) -> int | None:
        """Return when a connection of this client was last refreshed; None where nobody noted it."""
        at: int | None = self._read(_about("refreshed", provider, client_id)).get("at")
        return at

    def _set_latest(self, about: str, at: int) -> None:
        condition = "attribute_not_exists(#at) OR #at < :at"
        self._update(about, "SET #at = :at", condition, {"#at": "at"}, {":at": at})

    # When an account was last authorized

    def note_authorized(  # noqa: PLR0913, PLR0917 - whose account, by which connection, when
        self, provider: str, client_id: str, subject: str, connection_id: str, now: float, deadline: Deadline
    ) -> None:
        """Note that this account has authorized this client by a connection."""
        about = _about("authorized", provider, client_id, subject)
        self._note(deadline, lambda: self._authorized(about, connection_id, int(now)))

    def authorized_elsewhere(self, provider: str, client_id: str, subject: str, connection_id: str) -> int | None:
        """Return when this account last authorized this client by another connection; None where nobody noted it."""
        found = self._read(_about("authorized", provider, client_id, subject))
        at: int | None = found.get("at") if found.get("by") != connection_id else found.get("elsewhere_at")
        return at

    def _authorized(self, about: str, connection_id: str, at: int) -> None:
        """Write who came last. Of who came before, the latest other one stays: `by` may ask for that."""
        names, values = {"#by": "by", "#at": "at"}, {":by": connection_id, ":at": at}
        try:
            self._update(about, "SET #by = :by, #at = :at", "attribute_not_exists(#by) OR #by = :by", names, values)
        except Conflict:
            others = "SET #elsewhere_at = #at, #by = :by, #at = :at"
            self._update(about, others, "#by <> :by", {**names, "#elsewhere_at": "elsewhere_at"}, values)

    # Reading and writing

    def _note(self, deadline: Deadline, write: Callable[[], None]) -> None:
        """Write a note where there is time for it. Whatever keeps it from being written, what it is about stands."""
        if deadline.remaining() < CALL:
            return
        try:
            write()
        except Conflict:
            pass  # another has noted something later
        except Exception as error:  # noqa: BLE001 - a note never costs anybody a token
            logging.getLogger("gatehouse").warning("note not written", extra={"error": type(error).__name__})

    def _read(self, about: str) -> dict[str, Any]:
        item = self._call("get_item", Key=_key(about), ConsistentRead=True).get("Item", {})
        return {name: attribute.read(value) for name, value in item.items()}

    def _update(
        self, about: str, update: str, condition: str | None, names: dict[str, str], values: dict[str, Any]
    ) -> None:
        written = {name: attribute.write(value) for name, value in values.items()}
        self._call(
            "update_item",
            Key=_key(about),
            UpdateExpression=update,
            ExpressionAttributeNames=names,
            **({"ConditionExpression": condition} if condition else {}),
            **({"ExpressionAttributeValues": written} if written else {}),
        )


def _key(about: str) -> dict[str, Any]:
    return {"about": attribute.write(about)}


def _of_provider(provider: str) -> str:
    return f"provider {provider}"


def _about(kind: str, provider: str, *whose: str) -> str:
    """Return the key of an item: a client's id may be longer than a key can be, and an account's is not to be read."""
    return f"{kind} {provider} {sha256(json.dumps(whose).encode()).hexdigest()[:32]}"
