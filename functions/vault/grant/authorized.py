"""What an authorization brings beside its tokens, and what of it waits with them."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from .life import CONFIRM_WITHIN
from .stored_set import ASKED_AFTER, Pending

if TYPE_CHECKING:
    from .tokens import SealedTokens


@record
class Authorized:
    """What an authorization brings beside its tokens.

    `confirmation` is the hash of what the application has to confirm it with, `confirmed_by` of what it has confirmed
    it with.
    """

    request_id: str
    owner: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    requested_scope: str | None = None
    allow_new_subject: bool = False
    confirmation: str | None = None
    confirmed_by: str | None = None

    def waiting_with(self, tokens: SealedTokens, revocations: int, now: float, *, grants_are_apart: bool) -> Pending:
        """Return what the record keeps beside tokens that wait from `now` on, for their account or to be confirmed."""
        pending = Pending(
            until=int(now) + ASKED_AFTER,
            obtained_at=tokens.obtained_at,
            revocations=revocations,
            upkeep_at=tokens.due_at,
            owner=self.owner,
            subject=tokens.subject,
            scope=tokens.scope,
            scope_missing=tokens.scope_missing,
            requested_scope=self.requested_scope,
            tags=self.tags,
            metadata=tokens.metadata,
            allow_new_subject=self.allow_new_subject,
            grants_are_apart=grants_are_apart,
            confirmation=self.confirmation,
            confirm_by=None if self.confirmation is None else int(now) + CONFIRM_WITHIN,
        )
        return pending if tokens.asks_account else pending.with_account()
