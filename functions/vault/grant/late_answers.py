"""What becomes of tokens that come too late to be current, or that nobody is to use: they are vended to nobody.

Each takes the place of the token set that it `replaces`. If that is None, it comes to stand beside all others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .life import Happened
from .transition import after, settled

if TYPE_CHECKING:
    from .connection import Connection
    from .stored_set import RefreshedFrom, StoredSet
    from .tokens import SealedTokens


def came_late(  # noqa: PLR0913, PLR0917 - tokens, where they come from and where they go
    connection: Connection,
    tokens: SealedTokens,
    replaces: StoredSet | None,
    request_id: str | None,
    now: float,
    source: RefreshedFrom | None = None,
    *,
    grants_are_apart: bool = False,
) -> Connection:
    """Return the connection with tokens that came after something newer.

    They are revoked when the connection is, or at once if `grants_are_apart`.
    """
    new = replace(tokens.stored(request_id), refreshed_from=source)
    came = after(connection, Happened.CAME_LATE, now, _all_of(replaces), new)
    return settled(came, now, grants_are_apart=grants_are_apart)


def kept_came_late(  # noqa: PLR0913, PLR0917 - tokens, where they come from and where they go
    connection: Connection,
    tokens: SealedTokens,
    replaces: StoredSet,
    holder: str,
    now: float,
    source: RefreshedFrom,
) -> Connection:
    """Return the connection with tokens from a kept refresh token, after a newer consent: kept in the place of that."""
    whole = replace(tokens, refresh_expires_at=tokens.refresh_expires_at or replaces.refresh_expires_at)
    new = replace(
        whole.stored(replaces.request_id),
        refreshed_from=source,
        lease=replaces.lease_of_another(holder, now),
        scope=tokens.scope or replaces.scope,
    )
    return after(connection, Happened.KEPT_CAME_LATE, now, [replaces], new)


def came_after_revocation(  # noqa: PLR0913, PLR0917 - tokens, where they come from and where they go
    connection: Connection,
    tokens: SealedTokens,
    replaces: StoredSet | None,
    request_id: str | None,
    now: float,
    source: RefreshedFrom | None = None,
) -> Connection:
    """Return the connection with tokens of a request from before it was revoked: they are to be revoked too."""
    to_revoke = _to_revoke(tokens, request_id, now, source)
    return after(connection, Happened.CAME_AFTER_REVOCATION, now, _all_of(replaces), to_revoke)


def came_unwanted(  # noqa: PLR0913, PLR0917 - tokens, where they come from and where they go
    connection: Connection,
    tokens: SealedTokens,
    replaces: StoredSet | None,
    request_id: str | None,
    now: float,
    source: RefreshedFrom | None = None,
) -> Connection:
    """Return the connection with tokens that are to be revoked although nobody has asked for that.

    They are not the connection's own, or come from a token set that is being revoked while the connection goes on.
    """
    to_revoke = _to_revoke(tokens, request_id, now, source)
    return after(connection, Happened.CAME_UNWANTED, now, _all_of(replaces), to_revoke)


def _to_revoke(tokens: SealedTokens, request_id: str | None, now: float, source: RefreshedFrom | None) -> StoredSet:
    """Return tokens that come in as a token set that is to be revoked."""
    new = replace(tokens.stored(request_id), refreshed_from=source)
    return new.to_be_revoked(now, tokens.obtained_at)


def _all_of(replaces: StoredSet | None) -> list[StoredSet]:
    return [replaces] if replaces is not None else []
