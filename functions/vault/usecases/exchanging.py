"""Exchanging the code of a request that was taken, and storing the tokens (RFC 6749 section 4.1.3 and 4.1.4)."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    ConnectionRevoked,
    GatehouseError,
    InvalidRequest,
    ServerError,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import scopes
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.life import ENDED, Place
from functions.vault.grant.obtained import Obtained
from functions.vault.grant.seal import PENDING, TOKENS
from functions.vault.oauth.authorization import confirmation_hash
from functions.vault.oauth.responses import with_redirect_metadata
from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH, Outcome, page_of, waiting_of
from functions.vault.storage.table import Conflict

from .committing import UNREAD, Rescued

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.seal import Sealer
    from functions.vault.grant.tokens import SealedTokens, TokenResponse
    from functions.vault.oauth.authorization import AuthorizationRequest, BrowserBinding
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.oauth.client import Client
    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations
    from functions.vault.storage.shared import Shared

    from .account_lookup import AccountLookup, LookedUp
    from .committing import Committing, Reseal
    from .stored_outcomes import StoredOutcomes

_WAIT_FOR_SLOT = 1.0
"""Seconds for which a callback waits for a slot of the provider: then the page waits, and asks again."""


@record
class _Exchanged:
    """A code's tokens, and what it takes to store them. `client` has the slot of the exchange, if there are slots."""

    request: AuthorizationRequest
    browser: BrowserBinding
    registration: Registration
    tokens: TokenResponse
    sealer: Sealer
    client: Client


@record
class Exchanging:
    """Exchanges codes, each once."""

    connections: Connections
    authorizations: Authorizations
    registrations: Registrations
    cipher: Cipher
    client: Client
    committing: Committing
    shared: Shared
    account_lookup: AccountLookup
    stored_outcomes: StoredOutcomes
    timing: Timing

    def slot(self, registration: Registration, deadline: Deadline) -> AbstractContextManager[Client]:
        """Return the client, in a slot of the provider if it has slots. Raises `SlotsTaken` if none is free in time."""
        return self.client.in_slot(registration, deadline, self.timing.now() + _WAIT_FOR_SLOT)

    def exchange(
        self,
        request: AuthorizationRequest,
        response: ValidatedResponse,
        deadline: Deadline,
        client: Client | None = None,
    ) -> Outcome:
        """Exchange the code of a request that is consumed by us, and store the tokens; `client` may have a slot."""
        with ExitStack() as until_stored:
            try:
                registration = self.registrations.get(request.provider, deadline)
                parameters = registration.provider.redirected_parameters(request.parameters, response.parameters)
                registration = registration.for_tenant(parameters)
                response = response.with_code(registration.provider.code_parameter)
                first_version = request.connection_version + 1
                whose = registration.whose(parameters)
                purpose = PENDING if request.confirm else TOKENS
                sealer = self.cipher.prepare(request.connection_id, first_version, whose, purpose=purpose)
                if client is None:
                    client = until_stored.enter_context(self.slot(registration, deadline))
                timeout = deadline.for_http(registration.provider.request_timeout)
                nonce = bool(request.nonce)
                tokens = client.exchange(registration, response, request.redirect_uri, timeout, nonce=nonce)
                tokens = with_redirect_metadata(tokens, registration.provider, response.parameters)
            except GatehouseError as error:
                return self._failed(request, error.code, error)
            except Exception:
                self._failed(request, ServerError.code)
                raise
            tokens = _with_scope(tokens, request.scope, registration.provider, response.parameters)
            return self._store(_Exchanged(request, response.browser, registration, tokens, sealer, client), deadline)

    def _store(self, exchanged: _Exchanged, deadline: Deadline) -> Outcome:
        """Store the tokens in the connection, whatever version it has: a code is exchanged once."""
        request, tokens, provider = exchanged.request, exchanged.tokens, exchanged.registration.provider
        at, jitter = int(self.timing.now()), self.timing.jitter()

        def sealed_by(sealer: Sealer) -> SealedTokens:
            return tokens.sealed_with(sealer, provider.upkeep, at, jitter, first=True)

        def reseal(version: int, purpose: str) -> SealedTokens:
            whose, set_id = exchanged.sealer.whose, exchanged.sealer.id
            return sealed_by(self.cipher.prepare(request.connection_id, version, whose, set_id, purpose))

        obtained = Obtained(
            request.connection_id,
            request.request_id,
            sealed_by(exchanged.sealer),
            authorized=_authorized(request, exchanged.browser),
            request_id=request.request_id,
            revocations=request.connection_revocations,
            grants_are_apart=provider.grants_are_apart,
            purpose=PENDING if request.confirm else TOKENS,
            not_verified=tokens.not_verified is not None,
        )
        if tokens.not_verified is not None:
            return self._not_verified(request, obtained, reseal, tokens.not_verified, deadline)
        try:
            # A connection that is new needs no read: it is stored only if there is none.
            stored = UNREAD if request.connection_version else None
            connection = self.committing.commit(obtained, reseal, deadline, stored)
        except Rescued:
            return Outcome("unfinished", request.provider, request=request)
        return self._stored(exchanged, obtained, connection, deadline)

    def _stored(self, exchanged: _Exchanged, obtained: Obtained, connection: Connection, deadline: Deadline) -> Outcome:
        """Do what follows once the tokens are in the record, and return the outcome."""
        request, tokens, provider = exchanged.request, exchanged.tokens, exchanged.registration.provider
        self._note_answer(request, exchanged.registration.client_id, tokens.subject, deadline)
        held = connection.set_of(obtained.tokens.id)
        goes_on = connection.refreshable or (held is not None and held.refreshable)
        if tokens.expires_at is not None and not goes_on:
            from .missing_refresh_token import warn_that_none_came  # noqa: PLC0415 - most servers give a refresh token

            warn_that_none_came(request, provider)
        found = self._account_of(exchanged, obtained, connection, deadline)
        if found is None:
            return self._outcome(exchanged, obtained, connection)
        return self._outcome(exchanged, obtained.of_account(found.subject), found.connection, found.failure)

    def _note_answer(
        self, request: AuthorizationRequest, client_id: str, subject: str | None, deadline: Deadline
    ) -> None:
        """Note for the client's other connections that the server answers it, and which account has authorized it.

        Tokens that are not stored count as well: the server has issued them.
        """
        now = self.timing.now()
        if subject is not None:
            about = (request.provider, client_id, subject, request.connection_id)
            self.shared.note_authorized(*about, now, deadline)
        self.shared.note_refreshed(request.provider, client_id, now, deadline)

    def _account_of(
        self, exchanged: _Exchanged, obtained: Obtained, connection: Connection, deadline: Deadline
    ) -> LookedUp | None:
        """Look up which account the tokens belong to; None if that is known, or is left to background work.

        It is left to that if the slot of the exchange ends too soon for another request.
        """
        held = connection.set_of(obtained.tokens.id)
        if held is None or not held.asks_account:
            return None
        provider, client = exchanged.registration.provider, exchanged.client
        try:
            return self.account_lookup.look_up(connection, held, exchanged.tokens.tokens, provider, deadline, client)
        except TemporarilyUnavailable:
            return None

    def _outcome(
        self,
        exchanged: _Exchanged,
        obtained: Obtained,
        connection: Connection,
        failure: GatehouseError | None = None,
    ) -> Outcome:
        """Return the outcome of a request whose code was exchanged, by the record as it is then."""
        request = exchanged.request
        if (waiting := waiting_of(connection, request)) is not None:
            waits_for_account = connection.waits_for_account(waiting)
            unfinished = Outcome("unfinished", request.provider, request=request)
            return unfinished if waits_for_account else Outcome.unconfirmed(request, waiting, exchanged.browser)
        is_ours = connection.authorized_by == request.request_id
        is_anothers = not connection.belongs_to(request.provider, request.owner)
        is_of_another_account = not is_ours and not is_anothers and obtained.is_of_another_account(connection)
        if not is_ours and connection.status in ENDED:
            return self._spent(request, ConnectionRevoked.code)
        if is_of_another_account:
            # The code is spent, and nobody will use its tokens: with another account the person may try once more.
            return self._failed(request, SUBJECT_MISMATCH)
        if is_anothers:
            return self._spent(request, InvalidRequest.code)
        held = connection.set_of(obtained.tokens.id)
        if failure is not None and (held is None or held.place is not Place.CURRENT):
            return self._failed(request, failure.code, failure)
        # Tokens that wait for the application may have given way to those of another link.
        return Outcome("connected" if is_ours or not request.confirm else "already", request.provider, request=request)

    def _not_verified(
        self,
        request: AuthorizationRequest,
        obtained: Obtained,
        reseal: Reseal,
        failure: GatehouseError,
        deadline: Deadline,
    ) -> Outcome:
        """Return the outcome of tokens whose ID token proves nothing: they are not the connection's own."""
        if obtained.grants_are_apart and (stored := self.connections.get(request.connection_id)) is not None:
            with contextlib.suppress(Rescued):
                self.committing.commit(obtained, reseal, deadline, stored)
        return self._failed(request, failure.code, failure)

    def _spent(self, request: AuthorizationRequest, error: str) -> Outcome:
        """Store that a request's tokens are not used and another try would be in vain, and return the outcome."""
        attempt = LastAttempt(request.request_id, int(self.timing.now()), page_of(error), error)
        with contextlib.suppress(Conflict, TemporarilyUnavailable):
            self.authorizations.close(request, attempt)
        return Outcome.failed(request, error)

    def _failed(self, request: AuthorizationRequest, error: str, failure: GatehouseError | None = None) -> Outcome:
        """Open a request again whose code brought no tokens that are used, and return the outcome."""
        provider_error = failure.provider_error if failure is not None else None
        now = int(self.timing.now())
        attempt = LastAttempt(request.request_id, now, page_of(error), error, provider_error)
        reopened = self.authorizations.reopen(request, attempt)
        self.stored_outcomes.note_with_connection(request, attempt)
        return Outcome.failed(reopened, error, failure)


def _authorized(request: AuthorizationRequest, browser: BrowserBinding) -> Authorized:
    """Return what a request brings beside its tokens; the application confirms them by what this browser alone has."""
    return Authorized(
        request.request_id,
        request.owner,
        request.tags,
        request.scope,
        request.allow_new_subject,
        confirmation_hash(browser.confirmation) if request.confirm else None,
    )


def _with_scope(
    response: TokenResponse, requested: str | None, provider: Provider, parameters: Mapping[str, str]
) -> TokenResponse:
    """Return the response with its scope, and what is missing of what was requested.

    A response that names no scope grants what was requested (RFC 6749 section 5.1), unless the provider says it in the
    redirect instead, whose `parameters` these are.
    """
    separators, aliases = provider.response_separators, provider.scope_aliases
    scope = response.scope
    if scope is None and provider.scope_parameter is not None:
        scope = scopes.named_by_redirect(parameters.get(provider.scope_parameter), separators, requested, aliases)
    scope = requested if scope is None else scope
    refreshable = response.tokens.refresh_token is not None
    missing = scopes.missing(requested, scope, aliases, refreshable=refreshable)
    return replace(response, scope=scope, scope_missing=missing)
