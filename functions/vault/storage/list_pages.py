"""Pages of lists of connections: which lists and filters a page is read with, and where the next one begins.

A list is read from the index `listed` if its filters say whose connections it has, or that they need a person. Any
other list reads the table. Nothing here reads a ciphertext.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.grant.life import Status

from . import attributes
from .connection_item import COPIED_FROM_CURRENT, IN_SUMMARY
from .expression import Expression
from .listed import listed_as, lists_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .items import Item

    Call = Callable[..., Any]
    """Calls the table: with the name of an operation, and its arguments."""

_MOST_READS = 40
"""Reads for one page: all shards of two lists, and more. If few connections match, the page is short and has a cursor:
that beats a time-out."""

_LARGEST_READ = 250
"""Connections that one read looks at, at the most: some 750 KB of the table, and DynamoDB reads 1 MB at a time."""

_EARLIER_FORM = (*IN_SUMMARY, *COPIED_FROM_CURRENT, "provider", "version", "refreshable")
"""What an item in an earlier form has in place of a summary."""


def read_page(
    call: Call, where: Mapping[str, Any], limit: int, start: dict[str, str] | None
) -> tuple[list[Item], dict[str, str] | None]:
    """Return the summaries of up to `limit` connections that match `where`, and where the next page starts.

    `where` has any of owner, needs, provider, status, tag and expiring_before; a connection has to match all of them.
    """
    lists, following = lists_for(where), start
    found: list[Item] = []
    size = limit
    for _ in range(_MOST_READS):
        operation, arguments = _read_of(where, lists, following, size)
        answer = call(operation, **arguments)
        items, wanted = answer.get("Items", []), limit - len(found)
        found += [_summary(item) for item in items[:wanted]]
        if len(items) > wanted:
            return found, _key_of(items[wanted - 1])
        following = _following(lists, following, answer.get("LastEvaluatedKey"))
        if following is None or len(found) >= limit:
            break
        # Few match: look at more of them at once. Without a filter, each read gives what it looks at.
        size = min(2 * size, _LARGEST_READ) if _filters_of(where) else limit - len(found)
    return found, following


def _read_of(
    where: Mapping[str, Any], lists: list[str], start: dict[str, str] | None, size: int
) -> tuple[str, dict[str, Any]]:
    """Return the next read of a page, as operation and arguments."""
    expression = Expression()
    arguments: dict[str, Any] = {"Limit": size}
    key = start or {}
    names: tuple[str, ...] = ("connection_id", "summary")
    if lists:
        names = (*names, "listed_in", "listed_as")
        condition = expression.is_("listed_in", key.get("listed_in", lists[0]))
        if "owner" in where:
            mine = expression.value("mine", listed_as(where["owner"], ""))
            condition += f" AND begins_with({expression.name('listed_as')}, {mine})"
        arguments |= {"IndexName": "listed", "KeyConditionExpression": condition}
    else:
        names = (*names, *_EARLIER_FORM)
    filters = [condition(where[name], expression) for name, condition in _filters_of(where).items()]
    arguments |= {"FilterExpression": " AND ".join(filters)} if filters else {}
    arguments |= {"ExclusiveStartKey": attributes.write_item(key)} if "connection_id" in key else {}
    arguments |= {"ProjectionExpression": ", ".join(expression.name(name) for name in names)}
    return "query" if lists else "scan", {**arguments, **expression.arguments()}


# Filters


def _filters_of(where: Mapping[str, Any]) -> dict[str, Callable[[Any, Expression], str]]:
    """Return the conditions of a read that its lists do not answer already, by the name of their filter."""
    return {name: condition for name, condition in _FILTERS.items() if name in where}


def _has(name: str) -> Callable[[Any, Expression], str]:
    """Return the condition that a summary has a value; an item in an earlier form has it outside of a summary."""

    def condition(value: str, expression: Expression) -> str:
        return _in_either_form(lambda within: expression.is_(f"{within}{name}", value))

    return condition


def _has_tags(tags: Mapping[str, str], expression: Expression) -> str:
    """Return the condition that a connection has all of these tags, each with its value."""

    def condition(within: str) -> str:
        each = (
            f"{expression.name_in(f'{within}tags', f'tag_{number}', name)} = {expression.value(f'tag_{number}', value)}"
            for number, (name, value) in enumerate(tags.items())
        )
        return " AND ".join(each)

    return _in_either_form(condition)


def _expires_before(at: int, expression: Expression) -> str:
    """Return the condition that a connection ends before a time, if nobody acts and no refresh puts that off.

    It ends with its refresh token, or with its access token if nothing refreshes that.
    """
    before, active = expression.value("before", at), expression.value("active", Status.ACTIVE)
    yes, no = expression.value("yes", value=True), expression.value("no", value=False)

    def condition(within: str) -> str:
        refreshable, status, access, refresh = (
            expression.name(f"{within}{name}") for name in ("refreshable", "status", "expires_at", "refresh_expires_at")
        )
        by_refresh_token = f"{refreshable} = {yes} AND {refresh} < {before}"
        by_access_token = f"{refreshable} = {no} AND {status} = {active} AND {access} < {before}"
        return f"({by_refresh_token}) OR ({by_access_token})"

    return _in_either_form(condition)


def _in_either_form(condition: Callable[[str], str]) -> str:
    return f"(({condition('summary.')}) OR ({condition('')}))"


_FILTERS: dict[str, Callable[[Any, Expression], str]] = {
    "provider": _has("provider"),
    "status": _has("status"),
    "tag": _has_tags,
    "expiring_before": _expires_before,
}


# Where a page ends


def _summary(stored: Mapping[str, Any]) -> Item:
    """Return a connection's summary with its id; an item in an earlier form has it in attributes of its own."""
    values = attributes.read_item(stored)
    return {**values.pop("summary", values), "connection_id": values["connection_id"]}


def _key_of(stored: Mapping[str, Any]) -> dict[str, str]:
    """Return the key after which the next page begins if this connection is the last of a page."""
    return {name: stored[name]["S"] for name in ("listed_in", "listed_as", "connection_id") if name in stored}


def _following(lists: list[str], start: dict[str, str] | None, last: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return where to read on after a read from `start`: after its last item, or at the beginning of the next list."""
    if last is not None:
        return attributes.read_item(last)
    number = lists.index((start or {}).get("listed_in", lists[0])) if lists else 0
    return {"listed_in": lists[number + 1]} if number + 1 < len(lists) else None
