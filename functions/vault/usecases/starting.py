"""Opening an authorization request (RFC 6749 section 4.1.1)."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from functions.vault.base.errors import InvalidRequest, ProviderMisconfigured, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.grant.life import MOST_BYTES, MOST_SETS
from functions.vault.oauth import authorization, provider_requests
from functions.vault.oauth.authorization import AuthorizationRequest, Ticket, with_query

from .parties import require_free, require_same_party

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.base.narrowing import Narrowing
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.connection import Connection
    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.connections import Connections
    from functions.vault.storage.registrations import Registrations


_LONGEST_URL = 6000
"""Characters that browsers, servers and gateways on the way all take, with some to spare for state and challenge."""


@record
class Starting:
    """The use case `start`."""

    base_url: str
    connections: Connections
    authorizations: Authorizations
    registrations: Registrations
    timing: Timing
    may_push: bool

    def start(self, fields: dict[str, Any], deadline: Deadline, narrowing: Narrowing | None = None) -> dict[str, Any]:
        """Open an authorization request and return `connection_id`, `request_id`, `authorize_url` and `expires_at`."""
        registration = self.registrations.whole(fields["provider"], deadline)
        connection_id = fields.get("connection_id") or str(uuid.uuid4())
        existing = self.connections.get(connection_id) if "connection_id" in fields else None
        if existing is not None:
            if narrowing is not None:
                require_free(existing, fields.get("owner"))
            require_same_party(existing, fields)
            _require_room(existing, self.timing.now())
        stored = existing.parameters if existing else {}
        parameters = registration.provider.chosen_parameters(fields.get("parameters"), stored)
        registration = registration.for_tenant(parameters)
        ticket = Ticket(authorization.new_request_id(), authorization.new_secret())
        request, params = self._request(ticket, registration, connection_id, existing, parameters, fields)
        self.authorizations.create(request)
        _warn_if_no_refresh_token_will_come(registration.provider, request, params)
        return {
            "connection_id": connection_id,
            "request_id": request.request_id,
            "authorize_url": f"{self.base_url}/authorize/{ticket}",
            "expires_at": request.expires_at,
        }

    def _request(  # noqa: PLR0913, PLR0917 - all that a request is made from
        self,
        ticket: Ticket,
        registration: Registration,
        connection_id: str,
        existing: Connection | None,
        parameters: dict[str, str],
        fields: dict[str, Any],
    ) -> tuple[AuthorizationRequest, dict[str, str]]:
        """Return the request as it is stored, and the parameters that it sends to the authorization server."""
        provider, now = registration.provider, int(self.timing.now())
        scope = _scope(provider, fields.get("scopes"))
        redirect_uri = provider.redirect_uri or f"{self.base_url}/callback/{provider.name}"
        params = _params(registration, redirect_uri, scope, fields)
        authorization_url, pushed = _authorization_url(registration, params, may_push=self.may_push)
        request = AuthorizationRequest(
            request_id=ticket.request_id,
            ticket_hash=authorization.ticket_hash(ticket.secret or ""),
            provider=provider.name,
            provider_name=provider.display_name,
            account_name=list(provider.account_name) or None,
            connection_id=connection_id,
            created_at=now,
            expires_at=now + authorization.LINK_LIFETIME,
            authorization_url=authorization_url,
            redirect_uri=redirect_uri,
            pkce=provider.pkce == "S256",
            connection_version=existing.version if existing else 0,
            connection_revocations=existing.revocations if existing else 0,
            issuer=provider.issuer,
            iss_required=provider.authorization_response_iss_parameter_supported,
            scope=scope,
            return_to=fields.get("return_to"),
            owner=fields.get("owner", existing.owner if existing else None),
            parameters=parameters,
            tags=fields.get("tags", existing.tags if existing else {}),
            pushed=pushed,
            form_post=provider.response_mode == "form_post",
            allow_new_subject=fields.get("allow_new_subject", False),
            has_slots=provider.has_slots or None,
            nonce=_sends_nonce(provider, scope, params) or None,
            confirm=fields.get("confirm") or None,
        )
        return request, dict(params)


def _require_room(existing: Connection, now: float) -> None:
    """Raise `TemporarilyUnavailable` if a connection has so many token sets that there is no room for another.

    Each is kept, sealed, in its record until its server has confirmed its end. DynamoDB takes 400 KB, and a response
    that comes late must find room, too.
    """
    waiting = len(existing.to_revoke)
    size = sum(len(each.seal.ciphertext) for each in existing.sets)
    if len(existing.sets) >= MOST_SETS or size > MOST_BYTES:
        raise TemporarilyUnavailable(
            f"The connection holds {len(existing.sets)} token sets in {size} octets; {waiting} of them are revoked "
            "here, and their authorization server has not confirmed that yet: try again when it has, or choose "
            "another connection_id.",
            connection_id=existing.connection_id,
            retry_after=max(1, (existing.revocation_due_at or 0) - int(now)),
        )


def _warn_if_no_refresh_token_will_come(
    provider: Provider, request: AuthorizationRequest, params: Mapping[str, str]
) -> None:
    """Write a line if a request asks for no refresh token: otherwise that shows only when its access token runs out."""
    asked = {name: {text} for name, text in params.items()} | {"scope": set((request.scope or "").split())}
    lacks = [name for name, texts in provider.refresh_token_needs.items() if asked.get(name, set()).isdisjoint(texts)]
    if lacks:
        logging.getLogger("gatehouse").warning(
            "no refresh token will come",
            extra={
                **request.facts,
                "description": "The request lacks what the provider gives a refresh token for: "
                + ", ".join(f"{name} with {' or '.join(provider.refresh_token_needs[name])}" for name in lacks)
                + ". The connection will end with its access token. Add it to the registration, or to start's fields.",
            },
        )


def _scope(provider: Provider, requested: tuple[str, ...] | None) -> str | None:
    if provider.scopes_fixed:
        if requested:
            raise InvalidRequest(
                f"scopes: expected none; {provider.name!r} fixes the scopes of an application where it is registered."
            )
        return None
    return " ".join(provider.scopes if requested is None else requested) or None


def _params(
    registration: Registration, redirect_uri: str, scope: str | None, fields: dict[str, Any]
) -> list[tuple[str, str]]:
    """Return the authorization request (RFC 6749 section 4.1.1) without state and challenge: `authorize` adds them."""
    provider = registration.provider
    params = provider_requests.authorization_params(
        registration, redirect_uri, scope, fields.get("authorization_params", {})
    )
    if provider.response_mode is not None:
        params["response_mode"] = provider.response_mode
    return [*params.items(), *(("resource", uri) for uri in provider.resource)]


def _sends_nonce(provider: Provider, scope: str | None, params: list[tuple[str, str]]) -> bool:
    """Return whether the request carries a nonce of ours: some servers refuse `openid` without one.

    If the caller or the registration has put one there, it stays the only one, and Gatehouse cannot check it.
    """
    if "nonce" in dict(params):
        return False
    return "openid" in (scope or "").split() if provider.nonce is None else provider.nonce


def _authorization_url(
    registration: Registration, params: list[tuple[str, str]], *, may_push: bool
) -> tuple[str, str | None]:
    """Return the authorization URL, and what is pushed to the server before (RFC 9126).

    A request is pushed only if the server requires that: it costs the user a round trip, and `authorize` needs rights
    for it. What is missing for it the caller learns now, and not the user.
    """
    provider = registration.provider
    endpoint = provider.endpoint("authorization_endpoint")
    whole = with_query(endpoint, params)
    if len(whole) > _LONGEST_URL:
        raise InvalidRequest(
            f"authorization_params, scopes: expected to fit into an authorization URL of {_LONGEST_URL} characters."
        )
    if not provider.require_pushed_authorization_requests:
        return whole, None
    provider.endpoint("pushed_authorization_request_endpoint")
    if not may_push:
        raise ProviderMisconfigured(
            f"The provider {provider.name!r} wants authorization requests pushed (RFC 9126), and this deployment has "
            'not been given the rights for that: set PushedRequests = "true" in samconfig.toml, and deploy again.'
        )
    return with_query(endpoint, {"client_id": registration.client_id}), urlencode(params)
