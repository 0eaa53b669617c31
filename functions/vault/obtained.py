"""Tokens that a server has issued, sealed, on their way into the record: what may be written over what.

An answer can come late: its holder slept, its write failed, it lay in a queue. Meanwhile another attempt may have
tried the same refresh token, the user may have consented anew, the connection may have been revoked. Here, and only
here, it is decided which of them stands. Pure, so that every interleaving can be tried.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from .connection import ENDED, Connection, Origin
from .record import record
from .tokens import SealedTokens
from .withdrawal import Withdrawal

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verdict(Enum):
    """What is to be done with an answer, where it does not simply become the next record."""

    STORED = auto()
    """It is in the record already: another wrote it, or an earlier write took effect although its answer was lost."""

    SUPERSEDED = auto()
    """A newer token set or another consent stands; these tokens are nobody's any more."""

    WAIT = auto()
    """Another attempt works on what an earlier one stored: its outcome decides."""

    RESEAL = auto()
    """An authorization stands over every version, but this one was sealed for a version that is taken."""


@record
class Authorized:
    """What an authorization brings beside tokens."""

    request_id: str
    owner: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    requested_scope: str | None = None
    allow_new_subject: bool = False


@record
class Obtained:
    """An answer on its way: sealed for `version`, in the hand of `holder`.

    A refresh has an `origin`: the token set whose refresh token was used, and the number of that use. An authorization
    has `authorized`. `revocations` is the connection's count when the refresh, or the authorization, was begun.
    """

    connection_id: str
    provider: str
    version: int
    holder: str
    tokens: SealedTokens
    origin: Origin | None = None
    authorized: Authorized | None = None
    revocations: int = 0
    parameters: dict[str, str] = field(default_factory=dict)

    def over(self, stored: Connection | None, now: float) -> Connection | Verdict:
        """Return the record that this answer makes of what is stored, or what else is to be done with it."""
        if stored is not None and self._is_in(stored):
            return Verdict.STORED
        if self.authorized is not None:
            return self._as_authorization(self.authorized, stored, now)
        return self._as_refresh(stored, now)

    def _is_in(self, stored: Connection) -> bool:
        sealed = self.tokens.sealed
        return stored.sealed == sealed or stored.withdrawal(sealed) is not None

    def _as_refresh(self, stored: Connection | None, now: float) -> Connection | Verdict:
        if stored is None or self.origin is None:
            return Verdict.SUPERSEDED
        if stored.revocations != self.revocations:
            return self._withdrawn(stored, now)
        if not self._succeeds(stored, self.origin):
            return Verdict.SUPERSEDED
        if self._another_works_on_a_later_set(stored, self.origin, now):
            return Verdict.WAIT
        if self.version != stored.version + 1:
            return Verdict.RESEAL
        return stored.refreshed(self.tokens, self.origin, self.holder, now)

    def _as_authorization(self, authorized: Authorized, stored: Connection | None, now: float) -> Connection | Verdict:
        if stored is not None and stored.authorized_by == authorized.request_id:
            return Verdict.STORED
        if stored is not None and not stored.belongs_to(self.provider, authorized.owner):
            return Verdict.SUPERSEDED
        if stored is not None and stored.revocations != self.revocations:
            return self._withdrawn(stored, now)
        if stored is not None and (self._is_older_than_the_consent_of(stored) or self.is_of_another_account(stored)):
            return Verdict.SUPERSEDED
        if self.version != (stored.version if stored else 0) + 1:
            return Verdict.RESEAL
        return Connection.authorized(
            self.connection_id,
            self.provider,
            self.version,
            self.tokens,
            now,
            before=stored,
            authorized_by=authorized.request_id,
            owner=authorized.owner,
            parameters=self.parameters,
            tags=authorized.tags,
            requested_scope=authorized.requested_scope,
        )

    def _withdrawn(self, stored: Connection, now: float) -> Connection:
        """Return what becomes of a response to what was begun before the connection was revoked.

        It is revoked too, whatever stands in the connection by now, and needs no place but its own.
        """
        late = Withdrawal(self.tokens.sealed, self.provider, self.version, int(now), self.parameters)
        return stored.withdrawing(late, now)

    def _is_older_than_the_consent_of(self, stored: Connection) -> bool:
        # A consent that was revoked is older than this one, whatever the clocks of the two functions say.
        return stored.status not in ENDED and (stored.authorized_at or 0) > self.tokens.obtained_at

    def is_of_another_account(self, stored: Connection) -> bool:
        """Tell whether a consent was given with another account at the provider than the connection is to.

        Whoever started the authorization may have allowed that; and a connection that was ended is to nobody's.
        """
        if self.authorized is None or self.authorized.allow_new_subject or stored.status in ENDED:
            return False
        return None not in {stored.subject, self.tokens.subject} and stored.subject != self.tokens.subject

    def _succeeds(self, stored: Connection, origin: Origin) -> bool:
        """Tell whether the stored token set is the one that was refreshed, or what an earlier attempt made of it."""
        if stored.version == origin.version:
            return True
        return (
            stored.origin is not None
            and stored.origin.version == origin.version
            and stored.origin.attempt < origin.attempt
        )

    def _another_works_on_a_later_set(self, stored: Connection, origin: Origin, now: float) -> bool:
        lease = stored.lease
        return (
            stored.version != origin.version
            and lease is not None
            and lease.holder != self.holder
            and lease.is_live(now)
        )

    # On paper: for the rescue queue and, as the last resort, the log

    def to_json(self) -> str:
        """Return this answer as one line of JSON; its tokens are in it sealed only."""
        document = asdict(self)
        document["tokens"]["sealed"] = b64encode(self.tokens.sealed).decode()
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Obtained:
        """Return the answer of a JSON document made by `to_json`. Raises `ValueError` where it is not one."""
        try:
            tokens = dict(document["tokens"])
            tokens["sealed"] = b64decode(tokens["sealed"], validate=True)
            origin, authorized = document.get("origin"), document.get("authorized")
            if bool(origin) is bool(authorized):
                # Of neither it would belong to nothing, and be taken for superseded: lost without a word.
                raise ValueError  # noqa: TRY301 - said in one place, for every way to be malformed
            return cls(
                **{
                    **document,
                    "tokens": SealedTokens(**tokens),
                    "origin": Origin(**origin) if origin else None,
                    "authorized": Authorized(**authorized) if authorized else None,
                }
            )
        except (KeyError, TypeError, ValueError):
            raise ValueError("not a token response as Gatehouse writes them to the rescue queue") from None
