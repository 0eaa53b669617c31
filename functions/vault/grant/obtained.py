"""Tokens that a server has issued, sealed, on their way into the record: what may be written over what.

An answer can come late: its holder slept, its write failed, it lay in a queue. Meanwhile another attempt may have
tried the same refresh token, the user may have consented anew, the connection may have been revoked. Here, and only
here, it is decided which of them stands. Pure, so that every interleaving can be tried.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

from .connection import ENDED, Connection
from .life import MOST_SETS, Place
from .stored_set import ASKED_AFTER, PENDING, TOKENS, Pending, RefreshedFrom, Seal, Whose
from .tokens import SealedTokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .stored_set import StoredSet
    from .tokens import Account


class Verdict(Enum):
    """What is to be done with an answer, where it does not simply become the next record."""

    STORED = auto()
    """It is in the record already: another wrote it, or an earlier write took effect although its answer was lost."""

    FOREIGN = auto()
    """They are of another party or another account than the connection, or there is none: nothing holds them here."""

    WAIT = auto()
    """Another attempt works on what an earlier one stored, or another answer waits in its place: that comes first."""

    RESEAL = auto()
    """They become the current ones, but were sealed for a version that is taken."""


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
    """An answer on its way: sealed, in the hand of `holder`.

    A refresh has the token set that it was `refreshed_from`, and the number of that use; an authorization has
    `authorized`. `request_id` is the authorization that the tokens come from. `revocations` is the connection's count
    when the refresh, or the authorization, was begun. `grants_are_apart` says that to revoke these tokens ends no other
    grant of their account. `purpose` is what they are sealed for: to be used, or to wait for their account;
    `not_verified`: nobody may believe whose account that is.
    """

    connection_id: str
    holder: str
    tokens: SealedTokens
    refreshed_from: RefreshedFrom | None = None
    authorized: Authorized | None = None
    request_id: str | None = None
    revocations: int = 0
    grants_are_apart: bool = False
    purpose: str = TOKENS
    not_verified: bool = False

    @property
    def version(self) -> int:
        """Return the version that it was sealed for."""
        return self.tokens.seal.version

    def decide(self, stored: Connection | None, now: float) -> Connection | Verdict:
        """Return the record that this answer makes of what is stored, or what else is to be done with it."""
        if stored is not None and self._is_in(stored):
            return Verdict.STORED
        if self.authorized is not None:
            following = self._as_authorization(self.authorized, stored, now)
        else:
            following = self._as_refresh(self.refreshed_from, stored, now)
        is_for_another_place = isinstance(following, Connection) and self.purpose != self.purpose_over(stored)
        return Verdict.RESEAL if is_for_another_place else following

    def _is_in(self, stored: Connection) -> bool:
        """Tell whether the record holds it, or what a refresh has made of it since."""
        ours = self.tokens
        held = [each for each in stored.sets if not self._comes_out_of(each)]
        return any(each.set_id == ours.id for each in stored.revocation) or any(
            ours.id == each.id
            or ours.seal.ciphertext == each.seal.ciphertext
            or (each.refreshed_from is not None and each.refreshed_from.set_id == ours.id)
            for each in held
        )

    def _comes_out_of(self, held: StoredSet) -> bool:
        """Tell whether it is what waited there, now that it is known whose account it is for."""
        return held.place is Place.PENDING and held.id == self.tokens.id and not self.tokens.asks_account

    def purpose_over(self, stored: Connection | None) -> str:
        """Return what it is to be sealed for: to wait, where a connection knows another account to compare it with."""
        if not self.tokens.asks_account or stored is None or stored.subject is None or self.authorized is None:
            return TOKENS
        is_free = stored.status in ENDED or stored.revocations != self.revocations
        return TOKENS if is_free else PENDING

    def _as_refresh(self, source: RefreshedFrom | None, stored: Connection | None, now: float) -> Connection | Verdict:
        if stored is None or source is None:
            return Verdict.FOREIGN
        gives_way = self._gives_way(stored, source)
        if stored.revocations != self.revocations or stored.status in ENDED:
            return stored.came_after_revocation(self.tokens, gives_way, self.request_id, now, source)
        if gives_way is not None and gives_way.place is Place.REVOKING:
            return stored.came_unwanted(self.tokens, gives_way, self.request_id, now, source)
        if gives_way is None or gives_way.place is Place.SUPERSEDED:
            return stored.came_late(
                self.tokens, gives_way, self.request_id, now, source, grants_are_apart=self.grants_are_apart
            )
        return self._in_the_place_of(gives_way, stored, source, now)

    def _in_the_place_of(
        self, gives_way: StoredSet, stored: Connection, source: RefreshedFrom, now: float
    ) -> Connection | Verdict:
        """Return what becomes of an answer that takes the place of a token set whose refresh token is in use."""
        if gives_way.id != source.set_id and self._another_works_with(gives_way, now):
            return Verdict.WAIT
        if self.version != stored.version + 1:
            if gives_way.place is Place.KEPT:
                # A consent has come since this refresh was begun: its tokens are newer.
                return stored.kept_came_late(self.tokens, gives_way, self.holder, now, source)
            return Verdict.RESEAL
        return stored.refreshed(self.tokens, source, self.holder, now, grants_are_apart=self.grants_are_apart)

    def _gives_way(self, stored: Connection, source: RefreshedFrom) -> StoredSet | None:
        """Return the token set whose place is ours: the one that was refreshed, or what an earlier attempt made of it.

        None where neither is there any more.
        """
        for each in stored.sets:
            before = each.refreshed_from
            follows = before is not None and before.set_id == source.set_id and before.attempt < source.attempt
            if each.id == source.set_id or follows:
                return each
        return None

    def _another_works_with(self, later: StoredSet, now: float) -> bool:
        lease = later.lease
        return lease is not None and lease.holder != self.holder and lease.is_at_work(now)

    def _as_authorization(self, authorized: Authorized, stored: Connection | None, now: float) -> Connection | Verdict:
        request_id, whose = authorized.request_id, self.tokens.whose
        if stored is not None:
            beside = self._beside(stored, authorized, now)
            if beside is not None:
                return beside
        if self.version != (stored.version if stored else 0) + 1:
            return Verdict.RESEAL
        return Connection.authorized(
            self.connection_id,
            whose.provider,
            self.tokens,
            now,
            before=stored,
            authorized_by=request_id,
            owner=authorized.owner,
            parameters=whose.parameters,
            tags=authorized.tags,
            requested_scope=authorized.requested_scope,
            grants_are_apart=self.grants_are_apart,
        )

    def _beside(self, stored: Connection, authorized: Authorized, now: float) -> Connection | Verdict | None:
        """Return what becomes of a consent's answer that does not become the current one; None where it does."""
        request_id = authorized.request_id
        held = [each for each in stored.sets if not self._comes_out_of(each)]
        if stored.authorized_by == request_id or any(each.request_id == request_id for each in held):
            return Verdict.STORED
        if not self._may_be_its_own(stored, authorized):
            return self._not_its_own(stored, now)
        if stored.revocations != self.revocations:
            return stored.came_after_revocation(self.tokens, None, request_id, now)
        if self.purpose_over(stored) == PENDING:
            return self._waiting(stored, authorized, now)
        if self._is_older_than_the_consent_of(stored):
            return stored.came_late(self.tokens, None, request_id, now, grants_are_apart=self.grants_are_apart)
        return None

    def _may_be_its_own(self, stored: Connection, authorized: Authorized) -> bool:
        """Tell whether the connection may hold it as its own. Once it was revoked, nobody asks whose account it is."""
        is_of_the_same_party = stored.belongs_to(self.tokens.whose.provider, authorized.owner)
        was_revoked = stored.revocations != self.revocations
        is_of_nobody_known = self.not_verified or (
            was_revoked and self.tokens.asks_account and stored.subject is not None
        )
        return is_of_the_same_party and not is_of_nobody_known and not self.is_of_another_account(stored)

    def _not_its_own(self, stored: Connection, now: float) -> Connection | Verdict:
        """Return what becomes of tokens that are not the connection's own.

        They are revoked where that ends nothing that somebody else may rely on; elsewhere nothing holds them.
        """
        waiting = next((each for each in stored.sets if self._comes_out_of(each)), None)
        if waiting is not None:
            return stored.disowned(waiting, now)
        if not self.grants_are_apart or len(stored.sets) >= MOST_SETS:
            return Verdict.FOREIGN
        return stored.came_unwanted(self.tokens, None, self.request_id, now)

    def _is_older_than_the_consent_of(self, stored: Connection) -> bool:
        # A consent that was revoked is older than this one, whatever the clocks of the two functions say.
        return stored.status not in ENDED and (stored.authorized_at or 0) > self.tokens.obtained_at

    def is_of_another_account(self, stored: Connection) -> bool:
        """Tell whether a consent was given with another account at the provider than the connection is to.

        Whoever started the authorization may have allowed that; and a connection that had ended before is nobody's.
        """
        is_free = stored.status in ENDED and stored.revocations == self.revocations
        if self.authorized is None or self.authorized.allow_new_subject or is_free:
            return False
        return None not in {stored.subject, self.tokens.subject} and stored.subject != self.tokens.subject

    # Where it has to be asked whose account it is for

    def _waiting(self, stored: Connection, authorized: Authorized, now: float) -> Connection | Verdict:
        if stored.in_place(Place.PENDING):
            return Verdict.WAIT
        return stored.waits(self.tokens, self._pending(authorized, now), self.request_id, now)

    def _pending(self, authorized: Authorized, now: float) -> Pending:
        """Return what it brings beside its tokens, and a record keeps while they wait."""
        tokens = self.tokens
        return Pending(
            until=int(now) + ASKED_AFTER,
            obtained_at=tokens.obtained_at,
            revocations=self.revocations,
            upkeep_at=tokens.due_at,
            owner=authorized.owner,
            subject=tokens.subject,
            scope=tokens.scope,
            scope_missing=tokens.scope_missing,
            requested_scope=authorized.requested_scope,
            tags=authorized.tags,
            metadata=tokens.metadata,
            allow_new_subject=authorized.allow_new_subject,
            grants_are_apart=self.grants_are_apart,
        )

    def of_account(self, subject: str | None) -> Obtained:
        """Return this answer when it is known whose account it is for."""
        return replace(self, tokens=replace(self.tokens, subject=subject))

    @classmethod
    def of_waiting(cls, connection_id: str, waiting: StoredSet, seal: Seal, account: Account) -> Obtained:
        """Return what has waited, sealed to be used, now that it is known whose account it is for."""
        pending, request_id = waiting.pending, waiting.request_id
        assert pending is not None  # noqa: S101 - what waits says what it brings
        assert request_id is not None  # noqa: S101 - and what it came of
        is_told_scope = account.scope is not None
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
            scope=account.scope if is_told_scope else pending.scope,
            scope_missing=account.scope_missing if is_told_scope else pending.scope_missing,
            subject=account.subject,
            metadata={**pending.metadata, **account.metadata},
            client_secret_used=waiting.client_secret_used,
        )
        authorized = Authorized(
            request_id, pending.owner, pending.tags, pending.requested_scope, pending.allow_new_subject
        )
        return cls(
            connection_id,
            request_id,
            tokens,
            authorized=authorized,
            request_id=request_id,
            revocations=pending.revocations,
            grants_are_apart=pending.grants_are_apart,
        )

    # On paper: for the rescue queue and, as the last resort, the log

    def to_json(self) -> str:
        """Return this answer as one line of JSON; its tokens are in it sealed only."""
        document = asdict(self)
        document["tokens"]["seal"]["ciphertext"] = b64encode(self.tokens.seal.ciphertext).decode()
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Obtained:
        """Return the answer of a JSON document made by `to_json`. Raises `ValueError` where it is not one."""
        try:
            if "sealed" in document["tokens"]:
                from .earlier import obtained_in_todays_form  # noqa: PLC0415 - none is written any more

                document = obtained_in_todays_form(document)
            tokens = dict(document["tokens"])
            ciphertext = b64decode(tokens["seal"]["ciphertext"], validate=True)
            tokens |= {"seal": Seal(**{**tokens["seal"], "ciphertext": ciphertext}), "whose": Whose(**tokens["whose"])}
            tokens["scope_missing"] = tuple(tokens.get("scope_missing", ()))
            source, authorized = document.get("refreshed_from"), document.get("authorized")
            if bool(source) is bool(authorized) or document.get("purpose", TOKENS) not in {TOKENS, PENDING}:
                # Of neither it would belong to nothing, and be taken for foreign: lost without a word.
                raise ValueError  # noqa: TRY301 - said in one place, for every way to be malformed
            return cls(
                **{
                    **document,
                    "tokens": SealedTokens(**tokens),
                    "refreshed_from": RefreshedFrom(**source) if source else None,
                    "authorized": Authorized(**authorized) if authorized else None,
                }
            )
        except (KeyError, TypeError, ValueError):
            raise ValueError("not a token response as Gatehouse writes them to the rescue queue") from None
