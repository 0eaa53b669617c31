"""Whose account tokens are for, where that has to be asked: once they are safe, and by whoever is left to ask it.

That is who has the answer in hand, and after a while the background. What is found leads the tokens to their place;
where nobody can tell, they are not the connection's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .client import not_verified
from .errors import GatehouseError, ProviderUnavailable, ReauthorizationRequired, TemporarilyUnavailable
from .id_token import KeyUnknown, NotVerified
from .life import Place
from .obtained import Obtained
from .record import record
from .store import Conflict
from .stored_set import ASKED_AFTER, LONGEST_UNASKED, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cipher import Cipher
    from .client import Client
    from .committing import Committing
    from .connection import Connection
    from .providers import Provider
    from .registrations import Registrations
    from .shared import Shared
    from .store import Connections
    from .stored_set import Seal, StoredSet
    from .timing import Deadline, Timing
    from .token_set import TokenSet
    from .tokens import SealedTokens

    After = Callable[[Connection, StoredSet], Connection]

TIMEOUT = 5.0
"""Seconds that asking for an account may take."""

KEY_IS_OUT_WITHIN = 600
"""Seconds after an ID token came within which its issuer publishes the key that signed it, whatever caches it has."""

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

    `grants_are_apart`: to revoke it ends no other grant of its account.
    """

    connection: Connection
    about: StoredSet
    at: float
    grants_are_apart: bool = False

    @property
    def age(self) -> float:
        """Return how long its tokens had been there when it was asked: whoever asked may have slept since."""
        pending = self.about.pending
        return self.at - ((pending.obtained_at if pending else self.connection.authorized_at) or 0)


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
        whose = asked.whose
        try:
            provider = self.registrations.get(whose.provider, deadline).for_tenant(whose.parameters).provider
        except TemporarilyUnavailable:
            raise
        except GatehouseError as error:
            return self._not_yet(_Question(connection, asked, self.timing.now()), error).failure
        tokens = self.cipher.open(connection.connection_id, asked)
        return self.ask(connection, asked, tokens, provider, deadline).failure

    def ask(
        self, connection: Connection, asked: StoredSet, tokens: TokenSet, provider: Provider, deadline: Deadline
    ) -> Asked:
        """Find out whose account a token set is for, if it can be found, and lead it to its place.

        Raises `TemporarilyUnavailable` where there was no time or no AWS for it.
        """
        timeout, client_id = deadline.for_http(TIMEOUT), asked.whose.client_id or ""
        question = _Question(connection, asked, self.timing.now(), provider.grants_are_apart)
        try:
            subject = self.client.account_of(provider, client_id, tokens.unverified_id_token, timeout)
        except NotVerified as error:
            if isinstance(error, KeyUnknown) and question.age < KEY_IS_OUT_WITHIN:
                return self._not_yet(question, ProviderUnavailable(not_verified(error).description))
            return self._never(question, not_verified(error))
        except TemporarilyUnavailable:
            raise
        except GatehouseError as error:
            return self._not_yet(question, error)
        after = self._found(question, subject, tokens, deadline)
        about = (asked.whose.provider, client_id, subject, connection.connection_id)
        self.shared.note_authorized(*about, self.timing.now(), deadline)
        return Asked(after, subject)

    def _found(self, question: _Question, subject: str, tokens: TokenSet, deadline: Deadline) -> Connection:
        connection, waiting = question.connection, question.about
        if waiting.place is not Place.PENDING:
            return self._change(question, lambda stored, _: stored.account_found(subject, self.timing.now()))
        usable = replace(tokens, unverified_id_token=None)

        def sealed(version: int, purpose: str = TOKENS) -> Seal:
            sealer = self.cipher.prepare(connection.connection_id, version, waiting.whose, waiting.id, purpose)
            return sealer.seal(usable)

        obtained = Obtained.of_waiting(connection.connection_id, waiting, sealed(connection.version + 1), subject)

        def reseal(version: int, purpose: str) -> SealedTokens:
            return replace(obtained.tokens, seal=sealed(version, purpose))

        return self.committing.commit(obtained, reseal, deadline, connection)

    def _not_yet(self, question: _Question, failure: GatehouseError) -> Asked:
        """Leave it to the background, if it is not late for that. What is not due yet is the background's already."""
        if question.age >= LONGEST_ASKING:
            return self._never(question, failure)
        now = self.timing.now()
        if now < (question.about.ask_at or 0):
            return Asked(question.connection, failure=failure)
        until = int(now + min(max(question.age, ASKED_AFTER), LONGEST_UNASKED))
        after = self._change(question, lambda stored, asked: stored.account_put_off(asked, until, now))
        return Asked(after, failure=failure)

    def _never(self, question: _Question, failure: GatehouseError) -> Asked:
        """Take tokens away of which nobody can tell whose they are."""
        now = self.timing.now()
        unknown = ReauthorizationRequired(f"Nobody can tell whose account it is. {failure.description} Start again.")

        def not_its_own(stored: Connection, asked: StoredSet) -> Connection:
            if asked.place is Place.PENDING:
                return stored.disowned(asked, now)
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
