"""Whose account tokens are for, where that has to be asked: once they are safe, and by whoever is left to ask it.

That is who has the answer in hand, and after a while the background. What is found leads the tokens to their place;
where nobody can tell, they are not the connection's own.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    GatehouseError,
    ProviderUnavailable,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import scopes
from functions.vault.grant.life import Place
from functions.vault.grant.obtained import Obtained
from functions.vault.grant.stored_set import ASKED_AFTER, LONGEST_UNASKED, TOKENS
from functions.vault.oauth.client import not_verified
from functions.vault.oauth.id_token import KeyUnknown, NotVerified
from functions.vault.provider.registration_changes import as_issued_to
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import Seal, StoredSet
    from functions.vault.grant.token_set import TokenSet
    from functions.vault.grant.tokens import Account, SealedTokens
    from functions.vault.oauth.client import Client
    from functions.vault.provider.provider import Provider
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations
    from functions.vault.storage.shared import Shared

    from .committing import Committing

    After = Callable[[Connection, StoredSet], Connection]

TIMEOUT = 5.0
"""Seconds that asking for an account may take."""

KEY_IS_OUT_WITHIN = 600
"""Seconds after an ID token came within which its issuer publishes the key that signed it, whatever caches it has."""

REFUSED_WITHIN = 600
"""Seconds after tokens came within which an account endpoint may refuse their access token in passing."""

LONGEST_ASKING = 86400
"""Seconds after which nobody asks any more for an account that cannot be asked."""


@record
class Asked:
    """The record as it is after asking, and the account, or the failure that kept it from being found."""

    connection: Connection
    subject: str | None = None
    failure: GatehouseError | None = None


@record
class _Question:
    """What is asked: of a token set, in its record as it was read, `at` a time (Unix seconds).

    `is_claimed`: an ID token came with it that names an account; else the provider's account endpoint is asked.
    `grants_are_apart`: to revoke it ends no other grant of its account.
    """

    connection: Connection
    about: StoredSet
    at: float
    is_claimed: bool
    grants_are_apart: bool = False

    @property
    def age(self) -> float:
        """Return how long its tokens had been there when it was asked: whoever asked may have slept since."""
        pending = self.about.pending
        return self.at - ((pending.obtained_at if pending else self.connection.authorized_at) or 0)

    def is_in_vain(self, failure: GatehouseError, now: float) -> bool:
        """Tell whether nobody will answer it after this failure: it was asked for a day, or is of a token that is dead.

        An account endpoint takes no access token that has run out, or was refused for long. What waits is not
        refreshed: there will be no other one. And it keeps the next consent waiting.
        """
        if self.age >= LONGEST_ASKING:
            return True
        if self.is_claimed or self.about.place is not Place.PENDING:
            return False
        status = failure.provider_error.status if failure.provider_error else None
        is_refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        return self.about.has_run_out(now) or (is_refused and self.age >= REFUSED_WITHIN)


@record
class Accounts:
    """Asks for accounts."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    committing: Committing
    shared: Shared
    timing: Timing

    def ask_due(self, connection: Connection, asked: StoredSet, deadline: Deadline) -> GatehouseError | None:
        """Ask in the background whose account a token set is for; return what keeps that from being found, for the log.

        Raises `TemporarilyUnavailable` where there was no time or no AWS for it.
        """
        whose, tokens = asked.whose, self.cipher.open(connection.connection_id, asked)
        question = _Question(connection, asked, self.timing.now(), is_claimed=tokens.unverified_id_token is not None)
        with ExitStack() as until_stored:
            try:
                registration = self.registrations.get(whose.provider, deadline).for_tenant(whose.parameters)
                client = self.client
                if not question.is_claimed:
                    # Its access token is sent, and like any other not to whom it was not issued for.
                    registration = as_issued_to(registration, whose)
                    client = until_stored.enter_context(self.client.in_slot(registration, deadline, question.at))
            except TemporarilyUnavailable:
                raise
            except SlotsTaken as error:
                return self._put_off(question, self.timing.after_no_slot(), error).failure
            except GatehouseError as error:
                return self._not_yet(question, error).failure
            return self.ask(connection, asked, tokens, registration.provider, deadline, client).failure

    def ask(  # noqa: PLR0913, PLR0917 - of what it is asked, and by whom
        self,
        connection: Connection,
        asked: StoredSet,
        tokens: TokenSet,
        provider: Provider,
        deadline: Deadline,
        client: Client,
    ) -> Asked:
        """Find out whose account a token set is for, if it can be found, and lead it to its place.

        `client` has a slot, where the provider has them. Raises `TemporarilyUnavailable` where there was no time or no
        AWS for it.
        """
        timeout, client_id = deadline.for_http(TIMEOUT), asked.whose.client_id or ""
        is_claimed = tokens.unverified_id_token is not None
        question = _Question(connection, asked, self.timing.now(), is_claimed, provider.grants_are_apart)
        try:
            account = client.account_of(provider, client_id, tokens, timeout)
        except NotVerified as error:
            if isinstance(error, KeyUnknown) and question.age < KEY_IS_OUT_WITHIN:
                return self._not_yet(question, ProviderUnavailable(not_verified(error).description))
            return self._never(question, not_verified(error))
        except TemporarilyUnavailable:
            raise
        except GatehouseError as error:
            return self._not_yet(question, error)
        requested = asked.pending.requested_scope if asked.pending else connection.requested_scope
        missing = scopes.missing(requested, account.scope, provider.scope_aliases, refreshable=asked.refreshable)
        after = self._found(question, replace(account, scope_missing=missing), tokens, deadline)
        about = (asked.whose.provider, client_id, account.subject, connection.connection_id)
        self.shared.note_authorized(*about, self.timing.now(), deadline)
        return Asked(after, account.subject)

    def _found(self, question: _Question, account: Account, tokens: TokenSet, deadline: Deadline) -> Connection:
        connection, waiting = question.connection, question.about
        if waiting.place is not Place.PENDING:
            return self._change(question, lambda stored, _: stored.account_found(account, self.timing.now()))
        usable = replace(tokens, unverified_id_token=None)

        def sealed(version: int, purpose: str = TOKENS) -> Seal:
            sealer = self.cipher.prepare(connection.connection_id, version, waiting.whose, waiting.id, purpose)
            return sealer.seal(usable)

        obtained = Obtained.of_waiting(connection.connection_id, waiting, sealed(connection.version + 1), account)

        def reseal(version: int, purpose: str) -> SealedTokens:
            return replace(obtained.tokens, seal=sealed(version, purpose))

        return self.committing.commit(obtained, reseal, deadline, connection)

    def _not_yet(self, question: _Question, failure: GatehouseError) -> Asked:
        """Leave it to the background, if it is not late for that. What is not due yet is the background's already."""
        now = self.timing.now()
        if question.is_in_vain(failure, now):
            return self._never(question, failure)
        if now < (question.about.ask_at or 0):
            return Asked(question.connection, failure=failure)
        pause = max(min(max(question.age, ASKED_AFTER), LONGEST_UNASKED), failure.retry_after or 0)
        return self._put_off(question, int(now + pause), failure)

    def _put_off(self, question: _Question, until: int, failure: GatehouseError) -> Asked:
        now = self.timing.now()
        after = self._change(question, lambda stored, asked: stored.account_put_off(asked, until, now))
        return Asked(after, failure=failure)

    def _never(self, question: _Question, failure: GatehouseError) -> Asked:
        """Take tokens away of which nobody can tell whose they are.

        A connection's first ones stay, if nothing has claimed to say that: it is not known then, and not in doubt.
        """
        now = self.timing.now()
        unknown = ReauthorizationRequired(f"Nobody can tell whose account it is. {failure.description} Start again.")

        def not_its_own(stored: Connection, asked: StoredSet) -> Connection:
            if asked.place is Place.PENDING:
                return stored.disowned(asked, now)
            if not question.is_claimed:
                return stored.account_left_unknown(now)
            return stored.never_verified(unknown, now, grants_are_apart=question.grants_are_apart)

        return Asked(self._change(question, not_its_own), failure=failure)

    def _change(self, question: _Question, after: After) -> Connection:
        """Write what was found of a token set while it is one to be asked for; return what is stored."""
        connection = question.connection
        while (asked := _still_asked(connection, question.about)) is not None:
            changed = after(connection, asked)
            try:
                self.connections.change(connection, changed)
            except Conflict:
                connection = self.connections.require(connection.connection_id)
            else:
                return changed
        return connection


def _still_asked(connection: Connection, about: StoredSet) -> StoredSet | None:
    """Return what is yet to be asked of the same consent's tokens, be they refreshed since."""
    asked = (each for each in connection.sets if each.ask_at is not None)
    return next((each for each in asked if each.request_id == about.request_id), None)
