"""A token set that is over here, and of which its authorization server is yet to be told (RFC 7009).

A connection may have several: tokens come back from a refresh in flight after a revocation, and a user may consent anew
before the server was reached. Each is kept, sealed, until the server has heard of it; none takes another's place.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from .failure import LONGEST_REVOCATION_DELAY, Failure, delay_of, next_count
from .record import record

if TYPE_CHECKING:
    from .errors import GatehouseError

REFUSED_AFTER_AN_INTERRUPTION = "refused after an interruption"
"""What stands for a confirmation that was lost: the server, asked once more, has nothing left to revoke."""

Said = dict[str, dict[str, Any]]
"""`{kind: {said, at}}`: what was said of each kind of token, and under `grant` of the grant as a whole."""


@record
class Withdrawal:
    """One token set, sealed for `provider` and `version`, withdrawn `at` (Unix seconds).

    `parameters` are those of the connection that it was of. `under_way` counts the attempts to tell the server of which
    nobody knows how they ended: the journal of them.
    """

    sealed: bytes
    provider: str
    version: int
    at: int
    parameters: dict[str, str] = field(default_factory=dict)
    under_way: int = 0
    said: Said = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def due_at(self) -> int:
        """Return when the server is to be told."""
        return self.failure.retry_at if self.failure else self.at

    @property
    def was_dead(self) -> bool:
        """Tell whether the server had said that the grant is gone before it was revoked here."""
        return self._said_of_the_grant == "dead"

    @property
    def had_ended(self) -> bool:
        """Tell whether the server had confirmed the end of the grant before these tokens of it came back."""
        return self._said_of_the_grant == "revoked"

    @property
    def _said_of_the_grant(self) -> str | None:
        said: str | None = self.said.get("grant", {}).get("said")
        return said

    @property
    def is_confirmed(self) -> bool:
        """Tell whether the server has confirmed the end of a token."""
        return any(entry["said"] == "revoked" for entry in self.said.values())

    @property
    def told(self) -> Told:
        """Return the record of it, once the server has heard of it."""
        return Told(self.provider, self.version, self.said, self.parameters)

    def begin(self) -> Withdrawal:
        """Return it with one more attempt begun."""
        return replace(self, under_way=self.under_way + 1)

    @property
    def may_have_been_told(self) -> bool:
        """Tell, in the middle of an attempt, whether another one may have reached the server.

        A server that has ended the grant then refuses to end it again, and would for ever.
        """
        return self.under_way > 1

    def heard(self, kind: str, said: str, now: float) -> Withdrawal:
        """Return it with what the server said to the revocation of one `kind` of token, or of the grant."""
        return replace(self, said={**self.said, kind: {"said": said, "at": int(now)}})

    def hearing(self, said: Said) -> Withdrawal:
        """Return it with what another had heard as well."""
        return replace(self, said={**self.said, **said})

    def after(self, end: Told, now: float) -> Withdrawal:
        """Return it knowing that the server has confirmed an `end` to the same party: it may refuse this one."""
        is_same = (end.provider, end.parameters) == (self.provider, self.parameters)
        if not is_same or not end.ended_the_grant or "grant" in self.said:
            return self
        return self.heard("grant", "revoked", now)

    def failed(self, error: GatehouseError, now: float, jitter: float) -> Withdrawal:
        """Return it after an attempt that the server did not hear, or may have heard. `jitter` is from 0 to 1."""
        delay = delay_of(error, next_count(self.failure), jitter, LONGEST_REVOCATION_DELAY)
        failure = Failure.of(error, self.failure, now, delay)
        return replace(self, failure=failure, under_way=self.under_way - (not failure.outcome_unknown))


@record
class Told:
    """What became of one withdrawal: the record of what the server `said` to each token of that `version`."""

    provider: str
    version: int
    said: Said = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def ended_the_grant(self) -> bool:
        """Tell whether the server has confirmed an end: tokens of that grant that come later may be refused."""
        return any(entry["said"] in {"revoked", REFUSED_AFTER_AN_INTERRUPTION} for entry in self.said.values())
