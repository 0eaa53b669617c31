"""What the items of all tables have in common: how a record becomes one, and the parts that several records hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.record import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.last_attempt import LastAttempt

Item = dict[str, Any]
"""An item's values by attribute name, not yet in DynamoDB's form (`attributes`)."""


def item_of(record: Any) -> Item:
    """Return a record's values by name, without what is None or an empty container: those are never stored."""
    return filled(plain(record))


def filled(values: Mapping[str, Any]) -> Item:
    """Return the values that are neither None nor an empty container."""
    return {name: value for name, value in values.items() if value is not None and value not in ({}, frozenset(), ())}


def last_attempt_of(stored: Item | None) -> LastAttempt | None:
    """Return the stored outcome of the last attempt to authorize."""
    if stored is None:
        return None
    from functions.vault.grant.last_attempt import LastAttempt  # noqa: PLC0415 - most items have none

    return LastAttempt.from_item(stored)
