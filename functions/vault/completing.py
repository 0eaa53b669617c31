"""Completing an authorization request: response, code, tokens, stored connection (RFC 6749 section 4.1.2 to 4.1.4)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .authorization import Phase
from .connection import Connection
from .errors import GatehouseError, ServerError, TemporarilyUnavailable
from .outcome import Outcome
from .store import Conflict

if TYPE_CHECKING:
    from .authorization import AuthorizationRequest, ValidatedResponse
    from .cipher import Cipher, Seal
    from .client import Client
    from .registrations import Registrations
    from .store import Authorizations, Connections
    from .timing import Deadline, Timing
    from .tokens import TokenResponse

_COMMIT_TRIES = 4
_WAIT_FOR_FIRST = 8.0
"""Seconds for which a duplicate callback waits for the first one's outcome before it asks the person to reload."""

_TIME_TO_ANSWER = 2.0
"""Seconds of the call's time that waiting for the first one leaves for saying so."""


@dataclass(frozen=True, slots=True)
class Completing:
    """The use case `callback`."""

    connections: Connections
    authorizations: Authorizations
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def complete(self, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        """Complete the request that `response` answers, once; a duplicate gets the outcome of the first."""
        holder = uuid.uuid4().hex
        try:
            request = self.authorizations.consume(response, holder, self.timing.now())
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        return self._exchange(request, response, deadline)

    def _exchange(self, request: AuthorizationRequest, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        if response.error is not None:
            self.authorizations.reopen(request, response.error)
            return Outcome.failed(request, response.error)
        try:
            registration = self.registrations.get(request.provider)
            seal = self.cipher.prepare(request.connection_id, request.provider, request.connection_version + 1)
            timeout = deadline.for_http(registration.provider.request_timeout)
            answered = self.client.exchange(registration, response, request.redirect_uri, timeout)
        except GatehouseError as error:
            self.authorizations.reopen(request, error.code)
            return Outcome.failed(request, error.code)
        self._store(request, answered, seal, registration.provider.refresh_margin)
        return Outcome("connected", request.provider, request=request)

    def _store(self, request: AuthorizationRequest, response: TokenResponse, seal: Seal, margin: int) -> None:
        """Commit the tokens over whatever version there is; a code is exchanged once: no conflict stops this."""
        response = _with_scope(response, request.scope)
        version = request.connection_version + 1
        for _ in range(_COMMIT_TRIES):
            sealed = seal(response.tokens)
            connection = Connection.authorized(
                request.connection_id,
                request.provider,
                version,
                response,
                sealed,
                now=self.timing.now(),
                margin=margin,
                authorized_by=request.request_id,
                owner=request.owner,
                parameters=request.parameters,
                tags=request.tags,
            )
            try:
                self.connections.authorize(connection)
            except Conflict:
                stored = self.connections.get(request.connection_id)
                if stored is not None and stored.authorized_by == request.request_id:
                    return  # our own write, whose answer was lost
                version = stored.version + 1 if stored else 1
                seal = self.cipher.prepare(request.connection_id, request.provider, version)
            else:
                return
        raise TemporarilyUnavailable(
            "The connection was changed by others all the time.", connection_id=request.connection_id
        )

    def _not_consumed(self, response: ValidatedResponse, holder: str, deadline: Deadline) -> Outcome:
        """Say why the request could not be taken: by whom it was, or what did not fit. Nothing changes, or is sent."""
        waited = 0.0
        while True:
            request = self.authorizations.get(response.browser.request_id)
            if (
                request is None
                or not request.admits(response.browser.ticket_secret)
                or request.provider != response.provider
            ):
                return Outcome("refused", reason="request_unknown")
            if request.consumed_by == holder:
                return self._exchange(request, response, deadline)  # our own write, whose answer was lost
            if response.state_hash not in request.used_states:
                return self._unused(request)
            if request.phase is Phase.FAILED:
                return Outcome.failed(request, request.outcome or ServerError.code)
            if request.phase is Phase.CONSUMED and self._is_stored(request):
                return Outcome("connected", request.provider, request=request)
            if waited >= _WAIT_FOR_FIRST or deadline.remaining() < _TIME_TO_ANSWER:
                return Outcome("unfinished", request.provider, request=request)
            pause = 0.1 + 0.2 * self.timing.jitter()
            self.timing.sleep(pause)
            waited += pause

    def _unused(self, request: AuthorizationRequest) -> Outcome:
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider)
        if request.is_expired(self.timing.now()):
            return Outcome("expired", request.provider, "request_expired", request=request)
        return Outcome("refused", reason="issuer_mismatch")

    def _is_stored(self, request: AuthorizationRequest) -> bool:
        """Tell whether this request's connection is stored: the commit itself is the record of the success."""
        connection = self.connections.get(request.connection_id)
        return connection is not None and connection.authorized_by == request.request_id


def _with_scope(response: TokenResponse, requested: str | None) -> TokenResponse:
    """Return the response with its scope: one that names none grants what was requested (RFC 6749 section 5.1)."""
    return response if response.scope else replace(response, scope=requested)
