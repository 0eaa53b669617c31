"""From a link to a stored connection: the authorization code flow (RFC 6749 section 4.1) in three steps."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, TYPE_CHECKING

from . import authorization
from .authorization import AuthorizationRequest, BrowserBinding, Phase, Ticket, with_query
from .connection import Connection, Status
from .errors import GatehouseError, InvalidRequest, ServerError, TemporarilyUnavailable
from .store import Conflict

if TYPE_CHECKING:
    from .client import Client
    from .cipher import Cipher, Seal
    from .timing import Deadline, Timing
    from .tokens import TokenResponse
    from .registrations import Registrations
    from .providers import Provider, Registration
    from .authorization import ValidatedResponse
    from .store import Authorizations, Connections

_COMMIT_TRIES = 4
_WAIT_FOR_FIRST = 8.0
"""Seconds for which a duplicate callback waits for the first one's outcome before it asks the person to reload."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a browser's visit ended. `page` names the page to show; `error` is the code for the application, None on success."""

    page: str
    provider: str | None = None
    error: str | None = None
    reason: str | None = None
    request: AuthorizationRequest | None = None

    @property
    def may_try_again(self) -> bool:
        """Tell whether the same request can be answered once more."""
        return self.page in {"denied", "failed"}

    @property
    def return_to(self) -> str | None:
        """Return where the application wants its user back, with the outcome (DESIGN section 3.6); None where it did not say."""
        request = self.request
        if request is None or request.return_to is None or self.page == "unfinished":
            return None
        result = {"error": self.error} if self.error else {"status": "connected"}
        return with_query(request.return_to, {"connection_id": request.connection_id, **result})


@dataclass(frozen=True, slots=True)
class Authorizing:
    """The use cases `start`, `authorize` and `callback`."""

    base_url: str
    connections: Connections
    authorizations: Authorizations
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    @property
    def secure(self) -> bool:
        """Tell whether browsers reach us by https, so that cookies can be `__Host-` and Secure."""
        return self.base_url.startswith("https:")

    # start

    def start(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Open an authorization request and return `connection_id`, `authorize_url` and `expires_at`."""
        registration = self.registrations.get(fields["provider"])
        connection_id = fields.get("connection_id") or str(uuid.uuid4())
        existing = self.connections.get(connection_id) if "connection_id" in fields else None
        if existing is not None:
            _require_same_party(existing, fields)
        scope = _scope(registration.provider, fields.get("scopes"))
        redirect_uri = f"{self.base_url}/callback/{registration.provider.name}"
        now = int(self.timing.now())
        ticket = Ticket(authorization.new_request_id(), authorization.new_secret())
        request = AuthorizationRequest(
            request_id=ticket.request_id,
            ticket_hash=authorization.ticket_hash(ticket.secret or ""),
            provider=registration.provider.name,
            connection_id=connection_id,
            created_at=now,
            expires_at=now + authorization.LIFETIME,
            authorization_url=_authorization_url(
                registration, redirect_uri, scope, fields.get("authorization_params", {})
            ),
            redirect_uri=redirect_uri,
            pkce=registration.provider.pkce == "S256",
            connection_version=existing.version if existing else 0,
            issuer=registration.provider.issuer,
            iss_required=registration.provider.authorization_response_iss_parameter_supported,
            scope=scope,
            return_to=fields.get("return_to"),
            owner=fields.get("owner", existing.owner if existing else None),
            parameters=fields.get("parameters", existing.parameters if existing else {}),
            tags=fields.get("tags", existing.tags if existing else {}),
        )
        self.authorizations.create(request)
        return {
            "connection_id": connection_id,
            "authorize_url": f"{self.base_url}/authorize/{ticket}",
            "expires_at": request.expires_at,
        }

    # authorize

    def authorize(self, ticket: Ticket, cookies: list[str]) -> tuple[AuthorizationRequest, BrowserBinding] | Outcome:
        """Bind the request to this browser: one read, no write. Returns the request and the binding, or how the visit ended.

        A ticket without its secret is the "try again" of a page of ours; the browser's cookie has the secret then.
        """
        secret = ticket.secret
        if secret is None:
            earlier = authorization.binding_of(ticket.request_id, cookies, secure=self.secure)
            secret = earlier.ticket_secret if earlier else None
        request = self.authorizations.get(ticket.request_id) if secret is not None else None
        if request is None or secret is None or not request.admits(secret):
            return Outcome("invalid_link")
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider)
        if request.is_expired(self.timing.now()):
            return Outcome("expired", request.provider)
        return request, BrowserBinding(request.request_id, secret, authorization.new_secret())

    # callback

    def callback(self, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        """Complete the request that `response` answers, once; a duplicate gets the outcome of the first."""
        holder = uuid.uuid4().hex
        try:
            request = self.authorizations.consume(response, holder, self.timing.now())
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        return self._complete(request, response, deadline)

    def _complete(self, request: AuthorizationRequest, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        if response.error is not None:
            self.authorizations.reopen(request, response.error)
            return _failed(request, response.error)
        try:
            registration = self.registrations.get(request.provider)
            seal = self.cipher.prepare(request.connection_id, request.provider, request.connection_version + 1)
            timeout = deadline.for_http(registration.provider.request_timeout)
            answered = self.client.exchange(registration, response, request.redirect_uri, timeout)
        except GatehouseError as error:
            self.authorizations.reopen(request, error.code)
            return _failed(request, error.code)
        self._store(request, answered, seal, registration.provider.refresh_margin)
        return Outcome("connected", request.provider, request=request)

    def _store(self, request: AuthorizationRequest, response: TokenResponse, seal: Seal, margin: int) -> None:
        """Commit the tokens over whatever version there is; a code is exchanged once, so this does not give up on a conflict."""
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
                self.timing.now(),
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
                if stored is not None and stored.sealed == sealed:
                    return  # our own write, whose answer was lost
                version = stored.version + 1 if stored else 1
                seal = self.cipher.prepare(request.connection_id, request.provider, version)
            else:
                return
        raise TemporarilyUnavailable(
            "The connection was changed by others all the time.", connection_id=request.connection_id
        )

    def _not_consumed(self, response: ValidatedResponse, holder: str, deadline: Deadline) -> Outcome:
        """Say why the request could not be taken: by whom it was, or what did not fit. Nothing has changed and nothing is sent."""
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
                return self._complete(request, response, deadline)  # our own write, whose answer was lost
            if response.state_hash not in request.used_states:
                return self._unused(request)
            if request.phase is Phase.FAILED:
                return _failed(request, request.outcome or ServerError.code)
            if request.phase is Phase.CONSUMED and self._is_stored(request):
                return Outcome("connected", request.provider, request=request)
            if waited >= _WAIT_FOR_FIRST or deadline.remaining() < 2:
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


def _failed(request: AuthorizationRequest, error: str) -> Outcome:
    page = "denied" if error == "access_denied" else "failed"
    return Outcome(page, request.provider, error, error, request)


def _require_same_party(existing: Connection, fields: dict[str, Any]) -> None:
    """Raise `InvalidRequest` where a re-authorization would hand a connection to another provider or owner. A revoked one is free."""
    if existing.status is Status.REVOKED:
        return
    problems = []
    if existing.provider != fields["provider"]:
        problems.append(
            f"provider: connection_id is a connection to {existing.provider!r}; revoke it first, or choose another connection_id"
        )
    if "owner" in fields and fields["owner"] != existing.owner:
        problems.append(
            "owner: connection_id belongs to another owner; revoke it first, or choose another connection_id"
        )
    if problems:
        raise InvalidRequest("; ".join(problems) + ".", connection_id=existing.connection_id)


def _scope(provider: Provider, requested: tuple[str, ...] | None) -> str | None:
    if provider.scopes_fixed:
        if requested:
            raise InvalidRequest(
                f"scopes: expected none; {provider.name!r} fixes the scopes of an application where it is registered."
            )
        return None
    return " ".join(provider.scopes if requested is None else requested) or None


def _authorization_url(registration: Registration, redirect_uri: str, scope: str | None, extra: dict[str, str]) -> str:
    """Return the authorization URL but for what this browser adds: `state` and the code challenge (RFC 6749 section 4.1.1)."""
    provider = registration.provider
    params = {"response_type": "code", "client_id": registration.client_id, "redirect_uri": redirect_uri}
    if scope is not None:
        params["scope"] = scope.replace(" ", provider.scope_separator)
    return with_query(provider.endpoint("authorization_endpoint"), {**provider.authorization_params, **extra, **params})


def _with_scope(response: TokenResponse, requested: str | None) -> TokenResponse:
    """Return the response with its scope: one that does not name any grants what was requested (RFC 6749 section 5.1)."""
    return response if response.scope else replace(response, scope=requested)
