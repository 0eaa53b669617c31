"""What has waited until its account was known, on its way into the record once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .obtained import Authorized, Obtained
from .tokens import SealedTokens

if TYPE_CHECKING:
    from .seal import Seal
    from .stored_set import StoredSet
    from .tokens import Account


def obtained_from(connection_id: str, waiting: StoredSet, seal: Seal, account: Account) -> Obtained:
    """Return the tokens that have waited, sealed to be used, now that it is known whose account they are for."""
    pending, request_id = waiting.pending, waiting.request_id
    assert pending is not None  # noqa: S101 - what waits says what it brings
    assert request_id is not None  # noqa: S101 - and what it came of
    has_scope = account.scope is not None
    tokens = SealedTokens(
        id=waiting.id,
        seal=seal,
        whose=waiting.whose,
        refreshable=waiting.refreshable,
        token_type=waiting.token_type,
        obtained_at=pending.obtained_at,
        expires_at=waiting.expires_at,
        refresh_at=waiting.refresh_at,
        refresh_expires_at=waiting.refresh_expires_at,
        due_at=pending.upkeep_at,
        scope=account.scope if has_scope else pending.scope,
        scope_missing=account.scope_missing if has_scope else pending.scope_missing,
        subject=account.subject,
        metadata={**pending.metadata, **account.metadata},
        client_secret_used=waiting.client_secret_used,
    )
    authorized = Authorized(request_id, pending.owner, pending.tags, pending.requested_scope, pending.allow_new_subject)
    return Obtained(
        connection_id,
        request_id,
        tokens,
        authorized=authorized,
        request_id=request_id,
        revocations=pending.revocations,
        grants_are_apart=pending.grants_are_apart,
    )
