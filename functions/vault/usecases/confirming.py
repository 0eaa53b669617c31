"""Confirming an authorization: the application vouches that the person who came back is the one it sent.

Whoever opens a link connects their own account. The application sends links only to its own people, but it cannot see
who opens them. So the browser brings it a `confirmation` that nobody else has, and the application, which knows whose
session that browser has, brings it here with the owner of that session. Until then the tokens are vended to nobody.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    ConfirmationExpired,
    ConfirmationInvalid,
    InvalidRequest,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import after_waiting
from functions.vault.grant.connection import Connection
from functions.vault.oauth.authorization import confirmation_hash
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.stored_set import Pending, StoredSet
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections

_ASK_AGAIN_AFTER = 2
"""Seconds after which to ask again while the account of the tokens is asked for."""

_SHORTEST_TRY = 3.0
"""Seconds of the call's time without which it is not tried again when another writer was first."""


@record
class Confirming:
    """The use case `confirm`."""

    connections: Connections
    cipher: Cipher
    timing: Timing

    def confirm(
        self,
        connection_id: str,
        confirmation: str,
        owner: str | None,
        deadline: Deadline,
        narrowing: Narrowing | None = None,
    ) -> dict[str, Any]:
        """Put the tokens that wait for this confirmation to use, and return `{connection_id, status, version}`.

        Raises `ConfirmationInvalid`, `ConfirmationExpired` or `InvalidRequest`, and changes nothing, unless they wait
        for it, in time, in a connection of this owner. Repeated, it returns the same for as long as its tokens are
        current.
        """
        connection, hashed = self.connections.require(connection_id), confirmation_hash(confirmation)
        confirmed: str | None = None
        while True:
            if narrowing is not None:
                narrowing.require(connection_id, _owner_of(connection))
            if confirmed is not None and connection.authorized_by == confirmed:
                return _result(connection)  # our own write, whose answer was lost, and a refresh has followed it
            if _has_confirmed(connection, hashed):
                _require_owner(connection.owner, owner, connection_id)
                return _result(connection)
            waiting = self._waiting(connection, hashed, owner)
            following = self._confirmed(connection, waiting)
            try:
                self.connections.change(connection, following)
            except Conflict:
                confirmed = waiting.request_id
                connection = self._read_again(connection_id, deadline)
            else:
                return _result(following)

    def _waiting(self, connection: Connection, hashed: str, owner: str | None) -> StoredSet:
        """Return the token set that waits for this confirmation, if that comes in time and from its owner."""
        about, now = connection.connection_id, self.timing.now()
        waiting = connection.unconfirmed
        pending = waiting.pending if waiting is not None else None
        if waiting is None or pending is None or not _is(hashed, pending.confirmation):
            if _is(hashed, connection.ran_out):
                raise _expired(about)
            raise _invalid(
                "It is wrong, was used, or is of another request or connection: give confirmation and connection_id as "
                "the browser brought them to return_to, or start again.",
                about,
            )
        _require_owner(pending.owner, owner, about)
        if pending.has_run_out(now):
            raise _expired(about)
        if connection.waits_for_account(waiting):
            raise TemporarilyUnavailable(
                "The provider is being asked whose account it is: try again.",
                connection_id=about,
                retry_after=_retry_after(pending, now),
            )
        return waiting

    def _confirmed(self, connection: Connection, waiting: StoredSet) -> Connection:
        """Return the connection with the tokens as its next version: opened as what waits, sealed as what is used.

        It is looked at once more whether that comes in time.
        """
        about, version = connection.connection_id, connection.version + 1
        sealer = self.cipher.prepare(about, version, waiting.whose, waiting.id)
        obtained = after_waiting.obtained_from(about, waiting, sealer.seal(self.cipher.open(about, waiting)))
        # KMS may have taken its time, and DynamoDB compares no clock: nothing but the write comes after this look.
        now = self.timing.now()
        if waiting.has_run_out_unconfirmed(now):
            raise _expired(about)
        following = obtained.decide(connection, now)
        current = following.current if isinstance(following, Connection) else None
        if not isinstance(following, Connection) or current is None or current.id != waiting.id:
            raise _invalid(
                "The connection has changed since: another account or a newer consent is in use. Start again if this "
                "account is to replace it.",
                about,
            )
        return following

    def _read_again(self, connection_id: str, deadline: Deadline) -> Connection:
        if deadline.remaining() < _SHORTEST_TRY:
            raise TemporarilyUnavailable(
                "Others keep changing this connection: try again.", connection_id=connection_id, retry_after=1
            )
        return self.connections.require(connection_id)


def _owner_of(connection: Connection) -> str | None:
    """Return whose the connection is once what waits in it is confirmed: one that was revoked may change hands."""
    waiting = connection.unconfirmed
    return connection.owner if waiting is None or waiting.pending is None else waiting.pending.owner


def _has_confirmed(connection: Connection, hashed: str) -> bool:
    """Return whether the current tokens were confirmed by this: the call is repeated, and changes nothing."""
    return connection.current is not None and _is(hashed, connection.current.confirmed_by)


def _is(hashed: str, stored: str | None) -> bool:
    return stored is not None and hmac.compare_digest(hashed, stored)


def _require_owner(expected: str | None, given: str | None, connection_id: str) -> None:
    """Raise unless the call comes from the session of the connection's owner, if it has one."""
    if expected is not None and given is None:
        raise InvalidRequest(
            "owner: required, because start named one; expected the owner of the session in which the confirmation "
            'came, like "customer-42".',
            connection_id=connection_id,
        )
    if given != expected:
        raise _invalid(
            "The connection is not this owner's: whoever came back is not who was sent. Give the owner of the session "
            "in which the confirmation came; if that is this one, let its customer start again.",
            connection_id,
        )


def _retry_after(pending: Pending, now: float) -> int:
    return max(1, min(_ASK_AGAIN_AFTER, int((pending.confirm_by or 0) - now)))


def _invalid(why: str, connection_id: str) -> ConfirmationInvalid:
    return ConfirmationInvalid(f"The confirmation is not valid. {why}", connection_id=connection_id)


def _expired(connection_id: str) -> ConfirmationExpired:
    return ConfirmationExpired(
        "The confirmation came too late: it is good for ten minutes. Start again.", connection_id=connection_id
    )


def _result(connection: Connection) -> dict[str, Any]:
    return {
        "connection_id": connection.connection_id,
        "status": str(connection.status),
        "version": connection.version,
    }
