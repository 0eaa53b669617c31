"""An import that no refresh has proved yet, or that a server refused: how it differs from a connection's own tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .life import Happened, Status
from .transition import after

if TYPE_CHECKING:
    from .connection import Connection
    from .seal import Whose
    from .stored_set import StoredSet
    from .tokens import SealedTokens

_OPEN = frozenset({Status.UNCONFIRMED, Status.REAUTHORIZATION_REQUIRED})


def unproved_in(connection: Connection) -> StoredSet | None:
    """Return the token set of an import that no refresh has proved yet, or that a server refused; None if none is.

    An import that was taken as it is counts only once it is refused.
    """
    current, is_import = connection.current, connection.import_digest is not None
    is_open = is_import and connection.status in _OPEN
    return current if is_open and current is not None and current.refreshed_from is None else None


def refused_in(connection: Connection) -> StoredSet | None:
    """Return the token set of an import that a server has refused; None if there is none."""
    return unproved_in(connection) if connection.is_believed_dead else None


def of_an_earlier_registration(connection: Connection, whose: Whose, now: float) -> StoredSet | None:
    """Return the token set of an import that is for another client, tenant or endpoint than `whose` names.

    None if there is none, or if it may be used up: then nobody knows what became of an attempt with it. What a server
    has said to it, it said to another client: it refuses what it has not issued to that one in the same words as a dead
    grant (RFC 6749 section 5.2).
    """
    found = unproved_in(connection)
    if found is None or found.whose.client_id is None or found.whose.is_used_like(whose):
        return None
    was_left = found.lease is not None and not found.lease.waiting and not found.lease.is_live(now)
    return None if was_left or connection.was_interrupted else found


def without_refused(connection: Connection, now: float) -> Connection:
    """Return the connection without an import that a server has refused, if it has one: it was never its own.

    It is forgotten, even if the grants of an account are separate: whoever had it before us may go on with that grant.
    """
    refused = refused_in(connection)
    return connection if refused is None else after(connection, Happened.FORGOTTEN, now, [refused])


def is_of_another_account(connection: Connection, tokens: SealedTokens) -> bool:
    """Return whether the refresh of an import has brought tokens of another account than the import has named."""
    is_named = unproved_in(connection) is not None and None not in {connection.subject, tokens.subject}
    return is_named and connection.subject != tokens.subject
