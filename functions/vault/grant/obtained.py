"""Tokens that a server has issued, sealed, on their way into the record: what may be written over what.

An answer can come late: its holder slept, its write failed, or it lay in a queue. Meanwhile another attempt may have
used the same refresh token, the user may have consented again, or the connection may have been revoked. Only here is
it decided what the record becomes. Without I/O, so that every order of events can be tried.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from . import consents, late_answers, refreshes
from .connection import Connection
from .life import ENDED, MOST_SETS, Place
from .seal import PENDING, TOKENS

if TYPE_CHECKING:
    from .authorized import Authorized
    from .stored_set import Pending, RefreshedFrom, StoredSet
    from .tokens import SealedTokens


class Verdict(Enum):
    """What is to be done with an answer that does not become the next record at once."""

    STORED = auto()
    """It is in the record already: somebody else wrote it, or an earlier write took effect and its answer was lost."""

    FOREIGN = auto()
    """They are of another party or another account, or there is no connection: the record does not hold them."""

    WAIT = auto()
    """Another attempt is at work on what an earlier one stored, or another consent's tokens wait: that comes first."""

    RESEAL = auto()
    """They become current, but were sealed for a version that is taken: seal them again."""


@record
class Obtained:
    """An answer on its way, sealed, that `holder` has received.

    The answer to a refresh has `refreshed_from`, the token set that was used, and the number of that use; the answer to
    an authorization has `authorized`.
    `request_id` is the authorization that the tokens come from, directly or by refreshes.
    `revocations` is the connection's count when the refresh, or the authorization, was begun.
    `grants_are_apart`: to revoke these tokens ends no other grant of their account.
    `purpose` is what they are sealed for: to be used, or to wait.
    `not_verified`: what the answer says of its account could not be verified, and must not be believed.
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
        """Return the record that this answer makes of the stored one, or what else is to be done with it."""
        if stored is not None and self._is_in(stored):
            return Verdict.STORED
        if self.authorized is not None:
            following = self._as_authorization(self.authorized, stored, now)
        else:
            following = self._as_refresh(self.refreshed_from, stored, now)
        is_for_another_place = isinstance(following, Connection) and self.purpose != self.purpose_for(stored)
        return Verdict.RESEAL if is_for_another_place else following

    def _is_in(self, stored: Connection) -> bool:
        """Return whether the record holds it, or what a refresh has made of it since."""
        ours = self.tokens
        held = [each for each in stored.sets if not self._comes_out_of(each)]
        return any(each.set_id == ours.id for each in stored.revocation) or any(
            ours.id == each.id
            or ours.seal.ciphertext == each.seal.ciphertext
            or (each.refreshed_from is not None and each.refreshed_from.set_id == ours.id)
            or self._came_with(each)
            for each in held
        )

    def _came_with(self, held: StoredSet) -> bool:
        """Return whether a token set of the record came with this same answer, of an earlier release.

        Then the answer has no id of its own (`earlier`), and the token set may have been sealed again since.
        """
        is_earlier = self.tokens.seal.format == 1 and held.id == f"v{self.version}"
        return is_earlier and self.refreshed_from is not None and held.refreshed_from == self.refreshed_from

    def _comes_out_of(self, held: StoredSet) -> bool:
        """Return whether it is what waited there, and has not to wait any more."""
        is_the_same = held.place is Place.PENDING and held.id == self.tokens.id
        return is_the_same and (self._is_confirmed or (not self.tokens.asks_account and self._confirmation is None))

    @property
    def _is_confirmed(self) -> bool:
        return self.authorized is not None and self.authorized.confirmed_by is not None

    @property
    def _confirmation(self) -> str | None:
        return self.authorized.confirmation if self.authorized else None

    def purpose_for(self, stored: Connection | None) -> str:
        """Return what it is to be sealed for: to wait, for its account or for the application, or to be used."""
        if self.authorized is None or (stored is not None and not self._may_be_its_own(stored, self.authorized)):
            return TOKENS
        if self._confirmation is not None:
            return PENDING
        if not self.tokens.asks_account or stored is None:
            return TOKENS
        is_free = stored.subject is None or stored.status in ENDED
        return TOKENS if is_free else PENDING

    def _as_refresh(self, source: RefreshedFrom | None, stored: Connection | None, now: float) -> Connection | Verdict:
        if stored is None or source is None:
            return Verdict.FOREIGN
        replaces = self._replaced_in(stored, source)
        if stored.revocations != self.revocations or stored.status in ENDED:
            return late_answers.came_after_revocation(stored, self.tokens, replaces, self.request_id, now, source)
        if replaces is not None and replaces.place is Place.REVOKING:
            return late_answers.came_unwanted(stored, self.tokens, replaces, self.request_id, now, source)
        if replaces is None or replaces.place is Place.SUPERSEDED:
            return late_answers.came_late(
                stored, self.tokens, replaces, self.request_id, now, source, grants_are_apart=self.grants_are_apart
            )
        return self._in_the_place_of(replaces, stored, source, now)

    def _in_the_place_of(
        self, replaces: StoredSet, stored: Connection, source: RefreshedFrom, now: float
    ) -> Connection | Verdict:
        """Return what becomes of an answer that takes the place of a token set whose refresh token is in use."""
        if replaces.id != source.set_id and self._another_works_with(replaces, now):
            return Verdict.WAIT
        if self.version != stored.version + 1:
            if replaces.place is Place.KEPT:
                # A consent has come since this refresh was begun: its tokens are newer.
                return late_answers.kept_came_late(stored, self.tokens, replaces, self.holder, now, source)
            return Verdict.RESEAL
        return refreshes.refreshed(
            stored, self.tokens, source, self.holder, now, grants_are_apart=self.grants_are_apart
        )

    def _replaced_in(self, stored: Connection, source: RefreshedFrom) -> StoredSet | None:
        """Return the token set whose place it takes: the one that was refreshed, or what an earlier attempt made of it.

        None if neither is there any more.
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
            if (beside := self._beside(stored, authorized, now)) is not None:
                return beside
            stored = self._without_replaced(stored, now)
        elif authorized.confirmation is not None:
            pending = self._pending(authorized, now)
            return consents.first_has_to_wait(self.connection_id, self.tokens, pending, request_id, now)
        if self.version != (stored.version if stored else 0) + 1:
            return Verdict.RESEAL
        return consents.consented(
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
            confirmed_by=authorized.confirmed_by,
        )

    def _beside(self, stored: Connection, authorized: Authorized, now: float) -> Connection | Verdict | None:
        """Return what becomes of a consent's answer that does not become current; None if it does."""
        request_id = authorized.request_id
        if stored.authorized_by == request_id or any(self._comes_of_it(each) for each in stored.sets):
            return Verdict.STORED
        if not self._may_be_its_own(stored, authorized):
            return self._not_its_own(stored, now)
        if stored.revocations != self.revocations:
            return late_answers.came_after_revocation(stored, self.tokens, None, request_id, now)
        if self.purpose_for(stored) == PENDING:
            return self._waiting(stored, authorized, now)
        if self._is_older_than_the_consent_of(stored):
            return late_answers.came_late(
                stored, self.tokens, None, request_id, now, grants_are_apart=self.grants_are_apart
            )
        return None

    def _comes_of_it(self, held: StoredSet) -> bool:
        """Return whether a token set comes of the same consent, and may have been refreshed since.

        What is to be revoked may be of an earlier try with the same link, and another account.
        """
        is_in_use = held.place is not Place.REVOKING and not self._comes_out_of(held)
        return is_in_use and held.request_id == self.request_id

    def _may_be_its_own(self, stored: Connection, authorized: Authorized) -> bool:
        """Return whether the connection may hold it as its own.

        After a revocation nobody asks for its account, nor confirms it. A revocation is about its owner's consents: it
        frees the connection for those of others that are asked for later, and says nothing of earlier ones.
        """
        was_revoked = stored.revocations != self.revocations
        is_owners = stored.owner == authorized.owner or not was_revoked
        is_of_the_same_party = is_owners and stored.belongs_to(self.tokens.whose.provider, authorized.owner)
        is_of_nobody_known = self.not_verified or (
            was_revoked and self.tokens.asks_account and stored.subject is not None
        )
        is_never_confirmed = authorized.confirmation is not None and (
            was_revoked or self._is_too_late_to_be_confirmed(stored)
        )
        is_anothers = is_of_nobody_known or self._has_waited(stored) or self.is_of_another_account(stored)
        return is_of_the_same_party and not is_never_confirmed and not is_anothers

    def _has_waited(self, stored: Connection) -> bool:
        """Return whether it is a copy, from the rescue queue, of what has waited and was not the connection's own."""
        has_to_wait = self.tokens.asks_account or self._confirmation is not None
        is_what_waits = any(self._comes_out_of(each) for each in stored.sets)
        return has_to_wait and not is_what_waits and self.tokens.id in stored.waited

    def _is_too_late_to_be_confirmed(self, stored: Connection) -> bool:
        """Return whether a newer consent has come, or has waited."""
        return (stored.waited_at or 0) > self.tokens.obtained_at or self._is_older_than_the_consent_of(stored)

    def _not_its_own(self, stored: Connection, now: float) -> Connection | Verdict:
        """Return what becomes of tokens that are not the connection's own.

        They are revoked if that ends nothing that somebody else may rely on; otherwise the record does not hold them.
        """
        waiting = next((each for each in stored.sets if self._comes_out_of(each)), None)
        if waiting is not None:
            return consents.disowned(stored, waiting, now)
        if not self.grants_are_apart or len(stored.sets) >= MOST_SETS:
            return Verdict.FOREIGN
        return late_answers.came_unwanted(stored, self.tokens, None, self.request_id, now)

    def _is_older_than_the_consent_of(self, stored: Connection) -> bool:
        # One that was revoked is older, whatever the clocks of two functions say; an import is nobody's consent.
        is_by_a_consent = stored.status not in ENDED and stored.authorized_by is not None
        return is_by_a_consent and (stored.authorized_at or 0) > self.tokens.obtained_at

    def is_of_another_account(self, stored: Connection) -> bool:
        """Return whether a consent was given for another account at the provider than the connection's.

        Whoever started the authorization may have allowed that, and a connection that had been revoked before is free
        for any account.
        """
        is_free = stored.status in ENDED and stored.revocations == self.revocations
        if self.authorized is None or self.authorized.allow_new_subject or is_free:
            return False
        return None not in {stored.subject, self.tokens.subject} and stored.subject != self.tokens.subject

    # If it has to wait

    def _waiting(self, stored: Connection, authorized: Authorized, now: float) -> Connection | Verdict:
        left = self._without_replaced(stored, now)
        if left.in_place(Place.PENDING):
            return Verdict.WAIT
        return consents.has_to_wait(left, self.tokens, self._pending(authorized, now), self.request_id, now)

    def _without_replaced(self, stored: Connection, now: float) -> Connection:
        """Return the connection without older tokens that nobody has confirmed yet."""
        waiting = stored.unconfirmed
        if waiting is None or waiting.id == self.tokens.id or waiting.pending is None:
            return stored
        is_older = waiting.pending.obtained_at <= self.tokens.obtained_at
        return consents.disowned(stored, waiting, now) if is_older else stored

    def _pending(self, authorized: Authorized, now: float) -> Pending:
        return authorized.waiting_with(self.tokens, self.revocations, now, grants_are_apart=self.grants_are_apart)

    def of_account(self, subject: str | None) -> Obtained:
        """Return this answer with the account that it is for."""
        return replace(self, tokens=replace(self.tokens, subject=subject))
