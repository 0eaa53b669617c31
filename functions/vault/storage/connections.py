"""The table of connections. Every write is conditional: on the state it was decided from, or on being the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from functions.vault.base.errors import ConnectionNotFound
from functions.vault.base.noted import note
from functions.vault.base.record import plain

from . import attributes
from .change_notes import note_change
from .connection_item import EVENTS, IN_SUMMARY, connection_item, connection_of, events_item
from .due import due_of
from .expression import Expression
from .table import Conflict, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from functions.vault.base.narrowing import Narrowing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.last_attempt import LastAttempt

    from .due import Due
    from .items import Item

_LAST_WRITE = "last_write"
"""The attribute that identifies the last write of an item. Each write marks the item with a new value."""


class Connections(Table):
    """The table of connections."""

    KEY = "connection_id"

    # One connection

    def get(self, connection_id: str) -> Connection | None:
        """Return the connection as it is now (a consistent read), or None."""
        stored = self._read(connection_id)
        if not stored:
            return None
        connection = connection_of(stored)
        note(provider=connection.provider)
        return connection

    def require(self, connection_id: str, narrowing: Narrowing | None = None) -> Connection:
        """Return the connection as it is now; raise `ConnectionNotFound` if there is none for a call so narrowed."""
        connection = self.get(connection_id)
        if connection is None:
            raise ConnectionNotFound.with_id(connection_id)
        if narrowing is not None:
            narrowing.require(connection_id, connection.owner)
        return connection

    def create(self, new: Connection) -> None:
        """Store a new connection; raise `Conflict` if its id is taken."""
        mark = _new_mark()
        self._write_once(
            mark,
            "put_item",
            Item=attributes.write_item({**connection_item(new), **events_item(new), _LAST_WRITE: mark}),
            ConditionExpression="attribute_not_exists(#connection_id)",
            ExpressionAttributeNames={"#connection_id": "connection_id"},
        )
        note_change(None, new)

    def change(self, was: Connection, now: Connection) -> None:
        """Write `now` over `was` if the item still is what `was` says; else raise `Conflict`.

        One number decides that: every write raises `changes`, so nobody overwrites what they have not read. With weaker
        conditions (on the version, or the lease), two writers of different parts of an item would undo each other's
        work.
        """
        assert now.changes > was.changes  # noqa: S101 - a write that is not counted goes unnoticed by all others
        expression = Expression()
        unchanged = self._as_read(was, expression)
        before, after = connection_item(was), connection_item(now)
        also_removed: tuple[str, ...] = ()
        if not was.changes:
            from functions.vault.grant.earlier import ONLY_EARLIER  # noqa: PLC0415 - few items are that old

            before, also_removed = {"connection_id": was.connection_id}, (*ONLY_EARLIER, *IN_SUMMARY)
        before.pop("connection_id"), after.pop("connection_id")
        mark = _new_mark()
        after |= {**events_item(now, was.changes), _LAST_WRITE: mark}
        update = expression.assignment(after, before, (*also_removed, EVENTS))
        self._write_once(
            mark,
            "update_item",
            Key=self._key(now.connection_id),
            UpdateExpression=update,
            ConditionExpression=unchanged,
            **expression.arguments(),
        )
        note_change(was, now)

    def change_or_read(self, was: Connection, now: Connection) -> Connection:
        """Replace `was` by `now` and return it; if another has changed the connection meanwhile, return it as it is."""
        try:
            self.change(was, now)
        except Conflict:
            return self.require(was.connection_id)
        return now

    def change_as_found(self, connection: Connection, after: Callable[[Connection], Connection | None]) -> Connection:
        """Write what `after` makes of a connection, deciding again if another was first; return what is stored then.

        Nothing is written if `after` returns None.
        """
        while (changed := after(connection)) is not None:
            try:
                self.change(connection, changed)
            except Conflict:
                connection = self.require(connection.connection_id)
            else:
                return changed
        return connection

    def announce_end(self, connection: Connection, now: float) -> bool:
        """Write that a grant ends soon, which the stream then shows, if it is time for that; return whether it was."""
        if connection.notice_at is None or now < connection.notice_at:
            return False
        from functions.vault.grant import refreshes  # noqa: PLC0415 - once for each refresh token, if at all

        self.change_or_read(connection, refreshes.ends_soon(connection, now))
        return True

    def _as_read(self, was: Connection, expression: Expression) -> str:
        """Return the condition that an item is as it was read. Items in an earlier form do not count their changes."""
        if not was.changes:
            return f"{expression.is_absent('changes')} AND {expression.exists('connection_id')}"
        return expression.is_("changes", was.changes)

    def _write_once(self, mark: str, operation: str, **arguments: Any) -> None:
        """Write under a condition; raise `Conflict` if someone else's write made it fail.

        A write can take effect although its answer is lost. botocore then repeats it, and the condition fails because
        of the first try: the item has our mark. If others have written since, it is a conflict like any other, and
        whoever decides again finds their own lease, or their token set, in the item.
        """
        try:
            self._call(operation, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)
        except Conflict as conflict:
            if conflict.found.get(_LAST_WRITE) != attributes.write(mark):
                raise

    def note_attempt(self, connection_id: str, attempt: LastAttempt) -> None:
        """Store how an attempt to authorize ended that changed nothing else; raise `Conflict` if there is no item.

        It sets one attribute, on which no other write depends, and does not count as a change: otherwise anyone with a
        link could make others read the item again and again. A new consent removes the attribute.
        """
        expression = Expression()
        update = expression.assignment({"last_attempt": plain(attempt)}, {}, [EVENTS])
        self._update(connection_id, update, [expression.exists("changes")], expression)

    # Background work

    def due(self, shard: str, now: int, limit: int) -> Iterator[list[Due]]:
        """Yield what is due in one shard of the index `due`, in pages of at most `limit`, the longest due first."""
        key = None
        while True:
            answer = self._call(
                "query",
                IndexName="due",
                Limit=limit,
                KeyConditionExpression="#due_shard = :shard AND #due_at <= :now",
                ExpressionAttributeNames={"#due_shard": "due_shard", "#due_at": "due_at"},
                ExpressionAttributeValues={":shard": attributes.write(shard), ":now": attributes.write(now)},
                **({"ExclusiveStartKey": key} if key else {}),
            )
            yield [due_of(item) for item in answer.get("Items", [])]
            key = answer.get("LastEvaluatedKey")
            if key is None:
                return

    def postpone(self, due: Due, until: int) -> None:
        """Set when background work is due next, if it still is due as `due` says; else raise `Conflict`.

        This write alone is not conditional on `changes`: the index would have to hold that, which costs a write to it
        with every refresh. It is conditional on the times that it changes, and counts as a change, so that whoever read
        the item before reads it again. An item in an earlier form has no `changes`, and stays due until its work is
        done.

        The index does not distinguish a refresh from a question about the account, which is rare. The item does, and
        for a question the time of the next refresh stays.
        """
        if due.is_revocation:
            self._postpone(due, until, is_refresh=None)
            return
        try:
            self._postpone(due, until, is_refresh=True)
        except Conflict:
            self._postpone(due, until, is_refresh=False)

    def _postpone(self, due: Due, until: int, *, is_refresh: bool | None) -> None:
        expression = Expression()
        unchanged = [
            expression.is_("version", due.version),
            expression.is_("due_at", due.due_at),
            expression.is_("tell_at", due.revocation_due_at),
            expression.exists("changes"),
        ]
        if is_refresh:
            unchanged.append(expression.is_("upkeep_at", due.due_at))
        elif is_refresh is not None:
            unchanged.append(f"NOT {expression.is_('upkeep_at', due.due_at)}")
        times = expression.assignment(due.postponed(until, is_refresh=bool(is_refresh)), {}, [EVENTS])
        counted = f"ADD {expression.name('changes')} {expression.value('one', 1)}"
        self._update(due.connection_id, f"{times} {counted}", unchanged, expression)

    # All of them

    def after(
        self, connection_id: str | None, limit: int, owner: str | None = None
    ) -> tuple[list[Connection], str | None]:
        """Return some connections in the table's own order, and the id of the last that was read if there are more.

        The first `limit` of them, or fewer; with an id, those after it; with an owner, only that one's. Each is as it
        is now (a consistent read), with its ciphertexts.
        """
        arguments: dict[str, Any] = {"ExclusiveStartKey": self._key(connection_id)} if connection_id is not None else {}
        if owner is not None:
            expression = Expression()
            # An item in an earlier form has its owner outside of a summary.
            is_owners = " OR ".join(expression.is_(path, owner) for path in ("summary.owner", "owner"))
            arguments |= {"FilterExpression": is_owners, **expression.arguments()}
        answer = self._call("scan", Limit=limit, ConsistentRead=True, **arguments)
        last = answer.get("LastEvaluatedKey")
        found = [connection_of(item) for item in answer.get("Items", [])]
        return found, attributes.read_item(last)["connection_id"] if last else None

    # Lists

    def page(
        self, where: Mapping[str, Any], limit: int, start: dict[str, str] | None
    ) -> tuple[list[Item], dict[str, str] | None]:
        """Return the summaries of up to `limit` connections that match `where`, and where the next page starts."""
        from .list_pages import read_page  # noqa: PLC0415 - one function lists, and most of its calls are about one

        return read_page(self._call, where, limit, start)


def _new_mark() -> str:
    return uuid4().hex[:16]
