"""Finding out which account tokens belong to, if the token response did not say it or it has yet to be verified.

The tokens are safe before that: they are stored, and used or waiting. Whoever has the response in hand looks up the
account; background work does if that fails. Tokens whose account is found take their place in the connection; if it
cannot be found, they are not the connection's own.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    ConfirmationExpired,
    GatehouseError,
    ProviderUnavailable,
    ReauthorizationRequired,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import after_waiting, consents, scopes
from functions.vault.grant.life import Place
from functions.vault.grant.seal import TOKENS
from functions.vault.grant.stored_set import ASKED_AFTER, LONGEST_UNASKED
from functions.vault.oauth.client import not_verified
from functions.vault.oauth.id_token import KeyUnknown, NotVerified
from functions.vault.provider.registration_changes import as_issued_to

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.seal import Seal
    from functions.vault.grant.stored_set import StoredSet
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
"""Seconds that a lookup may take."""

KEY_IS_OUT_WITHIN = 600
"""Seconds after an ID token came within which its issuer publishes the key that signed it, whatever caches it has."""

REFUSED_WITHIN = 600
"""Seconds after tokens came within which an account endpoint may refuse their access token only temporarily."""

LONGEST_LOOKUP = 86400
"""Seconds after which an account that could not be looked up is given up."""


@record
class LookedUp:
    """The record after a lookup, and the account; or the failure, if it was not found."""

    connection: Connection
    subject: str | None = None
    failure: GatehouseError | None = None


@record
class _Lookup:
    """A lookup of the account of a token set, which began `at` a time (Unix seconds); `connection` as it was read.

    `is_claimed`: an ID token came with the set and names an account; else the provider's account endpoint is asked.
    `grants_are_apart`: to revoke the set ends no other grant of its account.
    """

    connection: Connection
    token_set: StoredSet
    at: float
    is_claimed: bool
    grants_are_apart: bool = False

    @property
    def age(self) -> float:
        """Return how long ago the tokens came when the lookup began: the process may have been suspended since."""
        pending = self.token_set.pending
        return self.at - ((pending.obtained_at if pending else self.connection.authorized_at) or 0)

    def is_hopeless(self, failure: GatehouseError, now: float) -> bool:
        """Return whether no lookup will succeed after this failure: a day has passed, or the access token is dead.

        An account endpoint accepts no access token that has expired, or that it has refused for long. A set that waits
        is not refreshed, so there will be no other access token; and while it waits, so does the next consent.
        """
        if self.age >= LONGEST_LOOKUP:
            return True
        if self.is_claimed or self.token_set.place is not Place.PENDING:
            return False
        status = failure.provider_error.status if failure.provider_error else None
        is_refused = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
        return self.token_set.has_run_out(now) or (is_refused and self.age >= REFUSED_WITHIN)


@record
class AccountLookup:
    """Looks up accounts, and moves token sets to where they belong then."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    committing: Committing
    shared: Shared
    timing: Timing

    def look_up_due(self, connection: Connection, token_set: StoredSet, deadline: Deadline) -> GatehouseError | None:
        """Look up the account of a token set in the background; return the failure if it is not found, for the log.

        If nobody has confirmed the token set in time, it is taken away, and that is the failure. Raises
        `TemporarilyUnavailable` if there was no time for it, or AWS failed.
        """
        if token_set.has_run_out_unconfirmed(self.timing.now()):
            return self._ran_out(connection, token_set)
        whose, tokens = token_set.whose, self.cipher.open(connection.connection_id, token_set)
        lookup = _Lookup(connection, token_set, self.timing.now(), is_claimed=tokens.unverified_id_token is not None)
        with ExitStack() as until_stored:
            try:
                registration = self.registrations.get(whose.provider, deadline).for_tenant(whose.parameters)
                client = self.client
                if not lookup.is_claimed:
                    # The access token is sent: only to whom it was issued for, as with any other token.
                    registration = as_issued_to(registration, whose)
                    client = until_stored.enter_context(self.client.in_slot(registration, deadline, lookup.at))
            except TemporarilyUnavailable:
                raise
            except SlotsTaken as error:
                return self._put_off(lookup, self.timing.put_off_until(), error).failure
            except GatehouseError as error:
                return self._not_found_yet(lookup, error).failure
            return self.look_up(connection, token_set, tokens, registration.provider, deadline, client).failure

    def look_up(  # noqa: PLR0913, PLR0917 - a token set, and who is asked about it
        self,
        connection: Connection,
        token_set: StoredSet,
        tokens: TokenSet,
        provider: Provider,
        deadline: Deadline,
        client: Client,
    ) -> LookedUp:
        """Look up the account of a token set, and move the set to its place if that is found.

        `client` has a slot, if the provider has slots. Raises `TemporarilyUnavailable` if there was no time for it, or
        AWS failed.
        """
        timeout, client_id = deadline.for_http(TIMEOUT), token_set.whose.client_id or ""
        is_claimed = tokens.unverified_id_token is not None
        lookup = _Lookup(connection, token_set, self.timing.now(), is_claimed, provider.grants_are_apart)
        try:
            account = client.account_of(provider, client_id, tokens, timeout)
        except NotVerified as error:
            if isinstance(error, KeyUnknown) and lookup.age < KEY_IS_OUT_WITHIN:
                return self._not_found_yet(lookup, ProviderUnavailable(not_verified(error).description))
            return self._given_up(lookup, not_verified(error))
        except TemporarilyUnavailable:
            raise
        except GatehouseError as error:
            return self._not_found_yet(lookup, error)
        requested = token_set.pending.requested_scope if token_set.pending else connection.requested_scope
        missing = scopes.missing(requested, account.scope, provider.scope_aliases, refreshable=token_set.refreshable)
        after = self._found(lookup, replace(account, scope_missing=missing), tokens, deadline)
        about = (token_set.whose.provider, client_id, account.subject, connection.connection_id)
        self.shared.note_authorized(*about, self.timing.now(), deadline)
        return LookedUp(after, account.subject)

    def _found(self, lookup: _Lookup, account: Account, tokens: TokenSet, deadline: Deadline) -> Connection:
        connection, token_set = lookup.connection, lookup.token_set
        if token_set.place is not Place.PENDING or token_set.is_unconfirmed:
            return self._change(lookup, lambda stored, asked: self._named(stored, asked, account))
        usable = replace(tokens, unverified_id_token=None)

        def sealed(version: int, purpose: str = TOKENS) -> Seal:
            sealer = self.cipher.prepare(connection.connection_id, version, token_set.whose, token_set.id, purpose)
            return sealer.seal(usable)

        obtained = after_waiting.obtained_from(
            connection.connection_id, token_set, sealed(connection.version + 1), account
        )

        def reseal(version: int, purpose: str) -> SealedTokens:
            return replace(obtained.tokens, seal=sealed(version, purpose))

        return self.committing.commit(obtained, reseal, deadline, connection)

    def _named(self, stored: Connection, asked: StoredSet, account: Account) -> Connection:
        """Return the record with the account of tokens that are in use, or go on waiting for the application.

        Those that wait are not sealed again: the application's confirmation does that. They go if they are of another
        account than the connection.
        """
        now = self.timing.now()
        if not asked.is_unconfirmed:
            return consents.account_found(stored, account, now)
        theirs = after_waiting.obtained_from(stored.connection_id, asked, asked.seal, account)
        if theirs.is_of_another_account(stored):
            return consents.disowned(stored, asked, now)
        return consents.account_found_waiting(stored, asked, account, now)

    def _ran_out(self, connection: Connection, unconfirmed: StoredSet) -> GatehouseError:
        """Take away tokens that nobody has confirmed in time, if they still wait."""
        now = self.timing.now()

        def without(stored: Connection) -> Connection | None:
            waiting = stored.unconfirmed
            is_still_there = waiting is not None and waiting.id == unconfirmed.id
            return consents.ran_out(stored, unconfirmed, now) if is_still_there else None

        self.connections.change_as_found(connection, without)
        return ConfirmationExpired(
            "Nobody has confirmed the customer's consent in time: start again.", connection_id=connection.connection_id
        )

    def _not_found_yet(self, lookup: _Lookup, failure: GatehouseError) -> LookedUp:
        """Leave the lookup to background work, unless it is hopeless. One that is not due yet is left to it already."""
        now = self.timing.now()
        if lookup.is_hopeless(failure, now):
            return self._given_up(lookup, failure)
        if now < (lookup.token_set.waits_until or 0):
            return LookedUp(lookup.connection, failure=failure)
        pause = max(min(max(lookup.age, ASKED_AFTER), LONGEST_UNASKED), failure.retry_after or 0)
        return self._put_off(lookup, int(now + pause), failure)

    def _put_off(self, lookup: _Lookup, until: int, failure: GatehouseError) -> LookedUp:
        now = self.timing.now()
        after = self._change(lookup, lambda stored, token_set: consents.account_put_off(stored, token_set, until, now))
        return LookedUp(after, failure=failure)

    def _given_up(self, lookup: _Lookup, failure: GatehouseError) -> LookedUp:
        """Take away tokens whose account nobody can find out.

        A connection's first tokens stay if nothing claimed an account: it is then unknown, and not in doubt. They may
        wait for the application even so.
        """
        now = self.timing.now()
        unknown = ReauthorizationRequired(
            f"Nobody can find out whose account it is. {failure.description} Start again."
        )

        def not_its_own(stored: Connection, token_set: StoredSet) -> Connection:
            is_first = token_set.place is not Place.PENDING or (token_set.is_unconfirmed and stored.subject is None)
            if not lookup.is_claimed and is_first:
                return consents.account_left_unknown(stored, token_set, now)
            if token_set.place is Place.PENDING:
                return consents.disowned(stored, token_set, now)
            return consents.never_verified(stored, unknown, now, grants_are_apart=lookup.grants_are_apart)

        return LookedUp(self._change(lookup, not_its_own), failure=failure)

    def _change(self, lookup: _Lookup, after: After) -> Connection:
        """Write what a lookup came to, while the account is still wanted; return what is stored."""

        def changed(connection: Connection) -> Connection | None:
            token_set = _still_wanted(connection, lookup.token_set)
            return None if token_set is None else after(connection, token_set)

        return self.connections.change_as_found(lookup.connection, changed)


def _still_wanted(connection: Connection, token_set: StoredSet) -> StoredSet | None:
    """Return the set of the same consent whose account is still to be found: it may have been refreshed since."""
    unknown = (each for each in connection.sets if each.asks_account)
    return next((each for each in unknown if each.request_id == token_set.request_id), None)
