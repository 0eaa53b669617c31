"""Completing an authorization request: response, code, tokens, stored connection (RFC 6749 section 4.1.2 to 4.1.4)."""

from __future__ import annotations

import contextlib
import uuid
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import (
    ConnectionRevoked,
    GatehouseError,
    InvalidRequest,
    ProviderMisconfigured,
    ServerError,
    SlotsTaken,
    TemporarilyUnavailable,
)
from functions.vault.base.record import record
from functions.vault.grant import scopes
from functions.vault.grant.connection import ENDED
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.life import Place
from functions.vault.grant.obtained import Authorized, Obtained
from functions.vault.oauth.authorization import Phase
from functions.vault.oauth.authorization_response import CONSENT_REQUIRED, REMEDIES, redirect_error, refusal_of
from functions.vault.oauth.responses import with_redirect_metadata
from functions.vault.oauth.visit_outcome import SUBJECT_MISMATCH, Became, Outcome, awaits_account, became_of, page_of
from functions.vault.provider.refusal_rules import ACCESS_DENIED
from functions.vault.storage.table import Conflict

from .committing import UNREAD, Rescued

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import Sealer
    from functions.vault.grant.tokens import SealedTokens, TokenResponse
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.oauth.client import Client
    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.cipher import Cipher
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations
    from functions.vault.storage.shared import Shared

    from .accounts import Accounts, Asked
    from .committing import Committing, Reseal

_WAIT_FOR_FIRST = 1.0
"""Seconds for which a duplicate callback waits for the first one's outcome. Whoever repeats one may do so a hundred
times, and each that waits is a function that serves nobody else: it is the page that waits, and looks again."""

_TIME_TO_ANSWER = 2.0
"""Seconds of the call's time that waiting for the first one leaves for saying so."""


_WAIT_FOR_SLOT = 1.0
"""Seconds for which a callback waits for a slot of the provider: then the page waits, and looks again."""

ISSUER_MISMATCH = "issuer_mismatch"
REQUEST_EXPIRED = "request_expired"


@record
class Completing:
    """The use case `callback`."""

    connections: Connections
    authorizations: Authorizations
    registrations: Registrations
    cipher: Cipher
    client: Client
    committing: Committing
    shared: Shared
    timing: Timing
    accounts: Accounts

    def complete(self, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        """Complete the request that `response` answers, once; a duplicate gets the outcome of the first."""
        error = self._refusal(response, deadline)
        if error is not None:
            return self._declined(response, error, deadline)
        holder = uuid.uuid4().hex
        try:
            request = self.authorizations.consume(response, holder, self.timing.now())
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        return self._exchange(request, response, deadline)

    # A no

    def _refusal(self, response: ValidatedResponse, deadline: Deadline) -> str | None:
        """Return what a response says if it brings no code, in the words of RFC 6749; None if it does.

        What words of the server's own mean its data says. If that cannot be read, they mean what they would without.
        """
        if response.code is not None:
            return None
        without_data = refusal_of(response, ())
        if without_data == ACCESS_DENIED:
            return without_data
        try:
            provider = self.registrations.get(response.provider, deadline).provider
        except GatehouseError:
            return without_data
        if response.error is None and provider.code_parameter in response.parameters:
            return None
        return refusal_of(response, provider.rules)

    def _of_person(self, response: ValidatedResponse, error: str) -> str:
        """Return an error, but as a person's no if the server required a consent for which it was free to ask.

        `consent_required` belongs to requests with `prompt=none` (OpenID Connect Core section 3.1.2.6). After any other
        some servers say it when the person presses their button for no.
        """
        if error != CONSENT_REQUIRED:
            return error
        request = self._answered_by(response)
        return error if request is None or "none" in request.prompt else ACCESS_DENIED

    def _declined(self, response: ValidatedResponse, error: str, deadline: Deadline) -> Outcome:
        """Store a no, and return the outcome that it is: nothing is sent, and another answer may still come."""
        error = self._of_person(response, error)
        browser, now = response.browser, self.timing.now()
        secrets = (browser.state, browser.ticket_secret, browser.nonce, browser.code_verifier)
        said = redirect_error(response.error, response.error_description, secrets)
        attempt = LastAttempt(browser.request_id, int(now), page_of(error), error, said)
        try:
            request = self.authorizations.fail(response, attempt, now)
        except Conflict:
            return self._not_declined(response, attempt, deadline)
        self._note_attempt(request, attempt)
        remedy = REMEDIES.get(error)
        failure = None if remedy is None else ProviderMisconfigured(remedy, provider_error=said)
        return Outcome.failed(request, error, failure, provider_error=said)

    def _not_declined(self, response: ValidatedResponse, attempt: LastAttempt, deadline: Deadline) -> Outcome:
        """Say why a no could not be taken. One without the issuer's name is not believed, but its words are kept."""
        request = self._answered_by(response)
        if request is None:
            return Outcome("refused", reason="request_unknown")
        if response.state_hash in request.used_states:
            return self._outcome_of_first(request, response, deadline)
        if (outcome := self._over(request)) is not None:
            return outcome
        if request.accepts_issuer(response.iss):
            # Up to a moment ago another answer had it in hand, and nothing else stood against this one.
            return Outcome.failed(request, attempt.error, provider_error=attempt.provider_error)
        refused = replace(attempt, outcome="refused", error=ISSUER_MISMATCH)
        with contextlib.suppress(Conflict):
            self.authorizations.note_attempt(request, refused)
        self._note_attempt(request, refused)
        return Outcome("refused", reason=ISSUER_MISMATCH, request=request, provider_error=attempt.provider_error)

    def _failed(self, request: AuthorizationRequest, error: str, failure: GatehouseError | None = None) -> Outcome:
        """Open a request again that came to nothing after its code was taken, and return the outcome."""
        said = failure.provider_error if failure is not None else None
        attempt = LastAttempt(request.request_id, int(self.timing.now()), page_of(error), error, said)
        reopened = self.authorizations.reopen(request, attempt)
        self._note_attempt(request, attempt)
        return Outcome.failed(reopened, error, failure)

    def _note_attempt(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Note it with the connection, if there was one to begin with: to be read there, and nothing depends on it."""
        if not request.connection_version:
            return
        with contextlib.suppress(Conflict, TemporarilyUnavailable):
            self.connections.note_attempt(request.connection_id, attempt)

    # A code

    def _complete_in_slot(
        self, request: AuthorizationRequest, response: ValidatedResponse, holder: str, deadline: Deadline
    ) -> Outcome:
        """Complete a request that can be taken, of a provider that has slots: first the slot, then the request.

        Who gets no slot has taken nothing: the same answer may come again. One that was a form comes but once.
        """
        try:
            registration = self.registrations.get(request.provider, deadline)
        except GatehouseError as error:
            return Outcome.failed(replace(request, phase=Phase.FAILED), error.code, error)
        try:
            with self._slot(registration, deadline) as client:
                taken = self.authorizations.consume(response, holder, self.timing.now(), in_slot=True)
                return self._exchange(taken, response, deadline, client)
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        except SlotsTaken as error:
            return Outcome("waiting", request.provider, reason=error.code, request=request, failure=error)

    def _slot(self, registration: Registration, deadline: Deadline) -> AbstractContextManager[Client]:
        return self.client.in_slot(registration, deadline, self.timing.now() + _WAIT_FOR_SLOT)

    def _exchange(
        self,
        request: AuthorizationRequest,
        response: ValidatedResponse,
        deadline: Deadline,
        client: Client | None = None,
    ) -> Outcome:
        """Exchange the code of a request that is ours; `client` has a slot where the provider is known to have them."""
        with ExitStack() as until_stored:
            try:
                registration = self.registrations.get(request.provider, deadline)
                parameters = registration.provider.redirected_parameters(request.parameters, response.parameters)
                registration = registration.for_tenant(parameters)
                response = response.with_code(registration.provider.code_parameter)
                first_version = request.connection_version + 1
                whose = registration.whose(parameters)
                sealer = self.cipher.prepare(request.connection_id, first_version, whose)
                if client is None:
                    client = until_stored.enter_context(self._slot(registration, deadline))
                timeout = deadline.for_http(registration.provider.request_timeout)
                nonce = bool(request.nonce)
                answered = client.exchange(registration, response, request.redirect_uri, timeout, nonce=nonce)
                answered = with_redirect_metadata(answered, registration.provider, response.parameters)
            except GatehouseError as error:
                return self._failed(request, error.code, error)
            except Exception:
                self._failed(request, ServerError.code)
                raise
            answered = _with_scope(answered, request.scope, registration.provider, response.parameters)
            return self._commit(request, registration, answered, sealer, client, deadline)

    def _commit(  # noqa: PLR0913, PLR0917 - an answer, of what request, and what it takes to go on with it
        self,
        request: AuthorizationRequest,
        registration: Registration,
        answered: TokenResponse,
        sealer: Sealer,
        client: Client,
        deadline: Deadline,
    ) -> Outcome:
        """Bring the tokens into the record, over whatever version there is: a code is exchanged once."""
        at, jitter, upkeep = int(self.timing.now()), self.timing.jitter(), registration.provider.upkeep

        def reseal(version: int, purpose: str) -> SealedTokens:
            fresh = self.cipher.prepare(request.connection_id, version, sealer.whose, sealer.id, purpose)
            return answered.sealed_with(fresh, upkeep, at, jitter, first=True)

        obtained = Obtained(
            request.connection_id,
            request.request_id,
            answered.sealed_with(sealer, upkeep, at, jitter, first=True),
            authorized=Authorized(
                request.request_id, request.owner, request.tags, request.scope, request.allow_new_subject
            ),
            request_id=request.request_id,
            revocations=request.connection_revocations,
            grants_are_apart=registration.provider.grants_are_apart,
            not_verified=answered.not_verified is not None,
        )
        if answered.not_verified is not None:
            return self._not_verified(request, obtained, reseal, answered.not_verified, deadline)
        try:
            # A connection that never was needs no read: storing it is conditional on that.
            stored = UNREAD if request.connection_version else None
            connection = self.committing.commit(obtained, reseal, deadline, stored)
        except Rescued:
            return Outcome("unfinished", request.provider, request=request)
        self._note(request, registration.client_id, answered.subject, deadline)
        if answered.expires_at is not None and not connection.refreshable:
            from .unrefreshable import note_no_refresh_token  # noqa: PLC0415 - most servers give a refresh token

            note_no_refresh_token(request, registration.provider)
        asked = self._asked(connection, obtained, answered, registration, client, deadline)
        if asked is None:
            return self._outcome(request, obtained, connection)
        return self._outcome(request, obtained.of_account(asked.subject), asked.connection, asked.failure)

    def _asked(  # noqa: PLR0913, PLR0917 - as above
        self,
        connection: Connection,
        obtained: Obtained,
        answered: TokenResponse,
        registration: Registration,
        client: Client,
        deadline: Deadline,
    ) -> Asked | None:
        """Find out whose account the tokens are for; None where that need not be asked, or the background will.

        `client` has the slot of the exchange still, where the provider has them. If too little of that is left, it is
        the background's.
        """
        held = connection.set_of(obtained.tokens.id)
        if held is None or held.ask_at is None:
            return None
        try:
            return self.accounts.ask(connection, held, answered.tokens, registration.provider, deadline, client)
        except TemporarilyUnavailable:
            return None

    def _outcome(
        self,
        request: AuthorizationRequest,
        obtained: Obtained,
        connection: Connection,
        failure: GatehouseError | None = None,
    ) -> Outcome:
        """Return how a visit ended whose code was exchanged, by the record as it is then."""
        if awaits_account(connection, request):
            return Outcome("unfinished", request.provider, request=request)
        is_ours = connection.authorized_by == request.request_id
        is_anothers = not connection.belongs_to(request.provider, request.owner)
        is_of_another_account = not is_ours and not is_anothers and obtained.is_of_another_account(connection)
        if not is_ours and connection.status in ENDED:
            return Outcome.failed(request, ConnectionRevoked.code)
        if is_of_another_account:
            # The code is spent, and nobody will use its tokens: with another account the person may try once more.
            return self._failed(request, SUBJECT_MISMATCH)
        if is_anothers:
            return Outcome.failed(request, InvalidRequest.code)
        held = connection.set_of(obtained.tokens.id)
        if failure is not None and (held is None or held.place is not Place.CURRENT):
            return self._failed(request, failure.code, failure)
        return Outcome("connected", request.provider, request=request)

    def _not_verified(
        self,
        request: AuthorizationRequest,
        obtained: Obtained,
        reseal: Reseal,
        failure: GatehouseError,
        deadline: Deadline,
    ) -> Outcome:
        """Return the outcome where nobody may believe whose the tokens are: they are not the connection's own."""
        if obtained.grants_are_apart and (stored := self.connections.get(request.connection_id)) is not None:
            with contextlib.suppress(Rescued):
                self.committing.commit(obtained, reseal, deadline, stored)
        return self._failed(request, failure.code, failure)

    def _note(self, request: AuthorizationRequest, client_id: str, subject: str | None, deadline: Deadline) -> None:
        """Note for the client's other connections that it is answered, and which account has authorized it.

        That goes for tokens that have no place here as well: the server has issued them.
        """
        now = self.timing.now()
        if subject is not None:
            about = (request.provider, client_id, subject, request.connection_id)
            self.shared.note_authorized(*about, now, deadline)
        self.shared.note_refreshed(request.provider, client_id, now, deadline)

    def _not_consumed(self, response: ValidatedResponse, holder: str, deadline: Deadline) -> Outcome:
        """Say why the request could not be taken: by whom it was, or what did not fit. Nothing changes, or is sent."""
        request = self._answered_by(response)
        if request is None:
            return Outcome("refused", reason="request_unknown")
        if request.consumed_by == holder:
            return self._exchange(request, response, deadline)  # our own write, whose answer was lost
        if response.state_hash not in request.used_states:
            return self._unused(request, response, holder, deadline)
        return self._outcome_of_first(request, response, deadline)

    def _answered_by(self, response: ValidatedResponse) -> AuthorizationRequest | None:
        """Return the request as it is now, if the response's browser and provider are its own."""
        request = self.authorizations.get(response.browser.request_id)
        if request is None or not request.admits(response.browser.ticket_secret):
            return None
        return request if request.provider == response.provider else None

    def _outcome_of_first(
        self, request: AuthorizationRequest, response: ValidatedResponse, deadline: Deadline
    ) -> Outcome:
        """Return the outcome of the answer that came first with this state, waiting for it a little."""
        waited = 0.0
        while True:
            if request.phase is Phase.FAILED:
                return Outcome.failed(request, request.outcome or ServerError.code)
            if (outcome := self._stored_outcome(request)) is not None:
                return outcome
            if waited >= _WAIT_FOR_FIRST or deadline.remaining() < _TIME_TO_ANSWER:
                return Outcome("unfinished", request.provider, request=request)
            pause = 0.1 + 0.2 * self.timing.jitter()
            self.timing.sleep(pause)
            waited += pause
            request = self._answered_by(response) or request

    def _over(self, request: AuthorizationRequest) -> Outcome | None:
        """Return how a request ended that no answer can be taken for any more; None if it may."""
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider, request=request)
        if request.is_used_up:
            return Outcome.failed(request, request.outcome or ServerError.code)
        if request.has_expired(self.timing.now()):
            return Outcome("expired", request.provider, REQUEST_EXPIRED, request=request)
        return None

    def _unused(
        self, request: AuthorizationRequest, response: ValidatedResponse, holder: str, deadline: Deadline
    ) -> Outcome:
        """Say why a response that was never used does not take its request; take it, if only a slot was missing."""
        if (outcome := self._over(request)) is not None:
            return outcome
        if request.has_slots and request.accepts_issuer(response.iss):
            return self._complete_in_slot(request, response, holder, deadline)
        return Outcome("refused", reason=ISSUER_MISMATCH, request=request)

    def _stored_outcome(self, request: AuthorizationRequest) -> Outcome | None:
        """Return how a consumed request ended; None while it may go on."""
        connection = self.connections.get(request.connection_id)
        match became_of(request, connection, self.timing.now()):
            case Became.CONNECTED:
                return Outcome("connected", request.provider, request=request)
            case Became.REPLACED:
                return Outcome("already", request.provider, request=request)
            case Became.UNDER_WAY:
                return None
            case Became.LOST:
                return Outcome.failed(request, ServerError.code)


def _with_scope(
    response: TokenResponse, requested: str | None, provider: Provider, parameters: Mapping[str, str]
) -> TokenResponse:
    """Return the response with its scope, and what is missing of what was requested.

    One that names none grants what was requested (RFC 6749 section 5.1), if the provider does not say it in the
    redirect instead, whose `parameters` these are.
    """
    separators, aliases = provider.response_separators, provider.scope_aliases
    scope = response.scope
    if scope is None and provider.scope_parameter is not None:
        scope = scopes.told(parameters.get(provider.scope_parameter), separators, requested, aliases)
    scope = requested if scope is None else scope
    refreshable = response.tokens.refresh_token is not None
    missing = scopes.missing(requested, scope, aliases, refreshable=refreshable)
    return replace(response, scope=scope, scope_missing=missing)
