"""Exporting: the grants in use, encrypted to a public key, with what another system needs to go on with them.

Nothing is changed here. From then on two systems may have the same refresh token: docs/export.md says what that means.
A pass reads all connections in the table's own order, also those of one owner: so it misses none that is being written.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from functions.vault.base.cursor import cursor_of, unverified_place
from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.fields import CONNECTION_ID, matches
from functions.vault.base.record import record
from functions.vault.base.timing import RESERVE
from functions.vault.grant.life import Place, Status
from functions.vault.storage.sealing import SealBroken

from .pace import DEFAULT_PER_SECOND, Pace

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.jwe import Recipient

MOST_CHARACTERS = 5_000_000
"""Characters of an answer after which it is ended: Lambda takes 6 MB, and the next connection may have half of one."""

_PAGE, _PAGE_TO_FIND_IN = 25, 250
"""Connections in one read: of all, and of those among which one owner's are. What was not worked on is read again."""

EXPIRED, UNSETTLED, UNOPENED, UNPROVED = "expired", "unsettled", "unopened", "unproved"
"""Why a connection with tokens is not exported: nothing of it works any more; a refresh is under way, or has an unknown
outcome; its tokens do not open; it was imported, and no refresh has proved it yet."""


@record
class Exporting:
    """The use case `export`."""

    connections: Connections
    cipher: Cipher
    timing: Timing

    def export(
        self,
        public_key: Recipient,
        deadline: Deadline,
        owner: str | None = None,
        cursor: str | None = None,
        per_second: int = DEFAULT_PER_SECOND,
    ) -> dict[str, Any]:
        """Return the grants in use of one owner, or of all, and which connections are left out.

        The answer has a cursor until all connections were read. Raises `TemporarilyUnavailable` if AWS fails: the same
        call goes on.
        """
        begins_after = _after(cursor)
        page, pace = _Page(begins_after), Pace(self.timing, deadline, per_second)
        try:
            is_whole = self._read(page, owner, pace, deadline)
        except TemporarilyUnavailable:
            if page.after == begins_after:
                raise
            is_whole = False
        for exported in page.exported:
            # Who has called is in CloudTrail, under the request id of this line.
            about = {name: exported[name] for name in ("connection_id", "provider")}
            logging.getLogger("gatehouse").info("exported", extra={**about, "key": public_key.thumbprint})
        return page.as_result(public_key, int(self.timing.now()), is_whole=is_whole)

    def _read(self, page: _Page, owner: str | None, pace: Pace, deadline: Deadline) -> bool:
        """Fill a page while there is room and time; return whether all connections were read."""
        while True:
            found, last = self.connections.after(page.after, _PAGE if owner is None else _PAGE_TO_FIND_IN, owner)
            for connection in found:
                if page.is_full:
                    return False
                if deadline.remaining() < RESERVE:
                    raise TemporarilyUnavailable(
                        "There was no time for any connection: make the same call again.", retry_after=1
                    )
                self._take(connection, page, pace)
            if last is None:
                return True
            page.after = last

    def _take(self, connection: Connection, page: _Page, pace: Pace) -> None:
        reason = _why_not(connection, self.timing.now())
        if reason is None:
            pace.wait()
            try:
                page.add(connection, self._with_tokens(connection))
            except SealBroken as error:
                about = {"connection_id": connection.connection_id, "description": str(error)}
                logging.getLogger("gatehouse").warning("a token set does not open", extra=about)
                reason = UNOPENED
        if reason is not None:
            page.leave_out(connection, reason)

    def _with_tokens(self, connection: Connection) -> dict[str, Any]:
        """Return a connection as `import_connection` takes it, without what it does not have."""
        tokens, used = self.cipher.tokens_of(connection), connection.to_refresh
        refresh_token = tokens.refresh_token
        if used is not None and used.place is Place.KEPT:
            refresh_token = self.cipher.open(connection.connection_id, used).refresh_token
        access: dict[str, Any] = {}
        if not connection.require_current().has_run_out(self.timing.now()):
            access = {"access_token": tokens.access_token, "expires_at": connection.expires_at}
        whole = {
            "provider": connection.provider,
            "connection_id": connection.connection_id,
            "refresh_token": refresh_token,
            **access,
            **{name: getattr(connection, name) for name in _AS_STORED},
        }
        return {name: value for name, value in whole.items() if value not in (None, {})}


_AS_STORED = ("scope", "owner", "parameters", "tags", "subject", "metadata")


def _why_not(connection: Connection, now: float) -> str | None:
    """Return why a connection is not exported; None if it is."""
    if connection.is_to_be_proved:
        return UNPROVED
    if connection.status is not Status.ACTIVE:
        return str(connection.status)
    used = connection.to_refresh
    if used is None:
        return EXPIRED if connection.require_current().has_run_out(now) else None
    is_under_way = used.lease is not None and (used.lease.is_live(now) or used.lease.is_unfinished)
    return UNSETTLED if is_under_way or connection.was_interrupted else None


class _Page:
    """What one call exports and leaves out, and the connection `after` which the next one goes on."""

    def __init__(self, after: str | None) -> None:
        self.after = after
        self.exported: list[dict[str, Any]] = []
        self._left_out: list[dict[str, str]] = []
        self._sets_left: Counter[str] = Counter()
        self._characters = 0

    @property
    def is_full(self) -> bool:
        return self._characters >= MOST_CHARACTERS

    def add(self, connection: Connection, exported: dict[str, Any]) -> None:
        self.exported.append(exported)
        # Base64 makes four characters of three bytes.
        self._characters += len(_bytes_of(exported)) * 4 // 3
        self._sets_left.update(str(each.place) for each in connection.sets if each.place not in _IN_USE)
        self.after = connection.connection_id

    def leave_out(self, connection: Connection, reason: str) -> None:
        self._left_out.append({"connection_id": connection.connection_id, "reason": reason})
        self._characters += len(_bytes_of(self._left_out[-1]))
        self._sets_left.update(str(each.place) for each in connection.sets)
        self.after = connection.connection_id

    def as_result(self, to: Recipient, now: int, *, is_whole: bool) -> dict[str, Any]:
        result = {
            "exported": len(self.exported),
            "left_out": self._left_out,
            "token_sets_left": dict(sorted(self._sets_left.items())),
            "key": to.thumbprint,
        }
        if self.exported:
            result["jwe"] = to.encrypt(_bytes_of({"exported_at": now, "connections": self.exported}))
        if not is_whole:
            assert self.after is not None  # noqa: S101 - a page that is ended has something
            result["cursor"] = cursor_of(self.after)
        return result


_IN_USE = frozenset({Place.CURRENT, Place.KEPT})


def _bytes_of(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _after(cursor: str | None) -> str | None:
    """Return where a cursor goes on. Gatehouse made it, but a caller sends it: its form is checked."""
    if cursor is None:
        return None
    after = unverified_place(cursor)
    if not matches(after, CONNECTION_ID):
        raise InvalidRequest("cursor: expected the cursor of an earlier answer of this function.")
    return after
