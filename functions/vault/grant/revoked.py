"""What a record keeps of a token set that was revoked: no tokens, only what its server answered."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from .revocation import ENDED_WITH_ALL, LEFT_AT_THE_SERVER, REFUSED_AFTER_AN_INTERRUPTION, REVOKED

if TYPE_CHECKING:
    from .revocation import Answers
    from .stored_set import StoredSet


@record
class Revoked:
    """What the server answered about each token of a token set of that `version`, when its revocation ended.

    `request_id` is the authorization that it came from.
    """

    provider: str
    version: int
    answers: Answers = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    set_id: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, token_set: StoredSet) -> Revoked:
        """Return what is kept of a token set whose revocation has ended."""
        whose, version = token_set.whose, token_set.seal.version
        return cls(whose.provider, version, token_set.answers, whose.parameters, token_set.id, token_set.request_id)

    def is_of_the_grant_of(self, other: StoredSet, *, is_any: bool) -> bool:
        """Return whether another token set is of the same grant; with `is_any`, of any that the same tenant gave."""
        if (self.provider, self.parameters) != (other.whose.provider, other.whose.parameters):
            return False
        return is_any or self.request_id == other.request_id

    @property
    def ended_the_grant(self) -> bool:
        """Return whether the server has confirmed a revocation: it may refuse tokens of that grant that come later."""
        confirmed = {REVOKED, REFUSED_AFTER_AN_INTERRUPTION}
        return any(entry["answer"] in confirmed for entry in self.answers.values())

    @property
    def is_left(self) -> bool:
        """Return whether the grant was left at the server, because it offered no way to revoke it."""
        return self._grant == LEFT_AT_THE_SERVER

    @property
    def ended_all(self) -> bool:
        """Return whether the server has ended everything of the account with it."""
        return self._grant == ENDED_WITH_ALL

    @property
    def _grant(self) -> str | None:
        """Return what is known of the grant as a whole, if that is more than what is known of its tokens."""
        answer: str | None = self.answers.get("grant", {}).get("answer")
        return answer
