"""What has waited, for its account or for the application, on its way into the record once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .authorized import Authorized
from .obtained import Obtained
from .tokens import SealedTokens

if TYPE_CHECKING:
    from .seal import Seal
    from .stored_set import StoredSet
    from .tokens import Account


def obtained_from(connection_id: str, waiting: StoredSet, seal: Seal, account: Account | None = None) -> Obtained:
    """Return the tokens that have waited, sealed to be used.

    `account` is what was found by asking for it, if that is known only now. If they waited for the application, it has
    confirmed them.
    """
    pending, request_id = waiting.pending, waiting.request_id
    assert pending is not None  # noqa: S101 - what waits says what it brings
    assert request_id is not None  # noqa: S101 - and what it came of
    scope, scope_missing = pending.scope, pending.scope_missing
    if account is not None and account.scope is not None:
        scope, scope_missing = account.scope, account.scope_missing
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
        scope=scope,
        scope_missing=scope_missing,
        subject=pending.subject if account is None else account.subject,
        metadata={**pending.metadata, **(account.metadata if account else {})},
        client_secret_used=waiting.client_secret_used,
        asks_account=account is None and waiting.asks_account,
    )
    brought = (pending.owner, pending.tags, pending.requested_scope, pending.allow_new_subject)
    authorized = Authorized(request_id, *brought, confirmed_by=pending.confirmation)
    return Obtained(
        connection_id,
        request_id,
        tokens,
        authorized=authorized,
        request_id=request_id,
        revocations=pending.revocations,
        grants_are_apart=pending.grants_are_apart,
    )
