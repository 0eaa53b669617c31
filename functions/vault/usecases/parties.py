"""Whose a connection is that a call would connect: of this provider and owner, or free for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import InvalidRequest
from functions.vault.grant.life import Status

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection


def require_free(existing: Connection, owner: str | None) -> None:
    """Raise `InvalidRequest` if a call by a narrowed path would make a connection that another owner has.

    There an id stays its owner's, even if it is revoked. Whose it is the caller does not learn, nor what of.
    """
    if owner is not None and existing.owner != owner:
        raise InvalidRequest(
            "connection_id: expected an id that no other owner has; choose another connection_id.",
            connection_id=existing.connection_id,
        )


def require_same_party(existing: Connection, fields: dict[str, Any]) -> None:
    """Raise `InvalidRequest` if a re-authorization would hand a connection to another provider or owner.

    A revoked connection is free.
    """
    if existing.status is Status.REVOKED:
        return
    problems = []
    if existing.provider != fields["provider"]:
        problems.append(
            f"provider: connection_id is a connection to {existing.provider!r}; "
            "revoke it first, or choose another connection_id"
        )
    if "owner" in fields and fields["owner"] != existing.owner:
        problems.append(
            "owner: connection_id belongs to another owner; revoke it first, or choose another connection_id"
        )
    if problems:
        raise InvalidRequest("; ".join(problems) + ".", connection_id=existing.connection_id)
