"""Binding an authorization request to the browser that opened its link, and where to send that browser."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import GatehouseError, ServerError, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import SHORTEST_REQUEST
from functions.vault.oauth import authorization
from functions.vault.oauth.authorization import Phase
from functions.vault.oauth.cookies import MOST_NONCES, RequestCookie, find
from functions.vault.oauth.visit_outcome import Outcome
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.oauth.authorization import AuthorizationRequest, BrowserBinding, Ticket
    from functions.vault.oauth.client import Client
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.registrations import Registrations

_TIME_TO_ANSWER = 1.0
"""Seconds of the call's time that are kept for the redirect."""


@record
class Binding:
    """The use case `authorize`."""

    secure: bool
    authorizations: Authorizations
    registrations: Registrations
    client: Client
    timing: Timing

    def bind(self, ticket: Ticket, cookies: list[str]) -> tuple[AuthorizationRequest, RequestCookie] | Outcome:
        """Return the request and the cookie that binds it to this browser, or how the visit ended: one read, no write.

        A ticket without its secret comes from "try again" on a page of ours; then the browser's cookie has the secret.
        A browser that has the cookie can open the link for as long as a response is accepted, any other for ten
        minutes.
        """
        earlier = find(ticket.request_id, cookies, secure=self.secure)
        secret = ticket.secret or (earlier.ticket_secret if earlier else None)
        request = self.authorizations.get(ticket.request_id) if secret is not None else None
        if request is None or secret is None or not request.admits(secret):
            return Outcome("invalid_link")
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider, request=request)
        if request.is_used_up:
            # A consent would be in vain: no code is exchanged for this link any more.
            return Outcome.failed(request, request.outcome or ServerError.code)
        nonces = earlier.nonces if earlier is not None and earlier.ticket_secret == secret else ()
        if request.link_has_expired(self.timing.now(), was_opened_here=bool(nonces)):
            return Outcome("expired", request.provider, request=request)
        nonces = (authorization.new_secret(), *nonces)[:MOST_NONCES]
        return request, RequestCookie(request.request_id, request.form_post, secret, nonces)

    def location(self, request: AuthorizationRequest, browser: BrowserBinding, deadline: Deadline) -> str | Outcome:
        """Return where to send this browser, or how the visit ended.

        A server may require that the request is pushed to it first (RFC 9126). That can only happen here: the pushed
        request holds the state and the code challenge, and both are derived from a nonce that this browser has just
        been given. So everything that opens the link causes a push, also a link scanner or a second tab. It does no
        harm: the ticket has to be valid, open and not expired, so nobody can make Gatehouse call a server without a
        link of ours; a request that is pushed and not used expires within about a minute; and what a scanner pushed is
        bound to a cookie that only the scanner has. Nor can somebody open a link again and again at the server's cost:
        each push is counted, which is the only write. The price is one round trip of the user's time.
        """
        if request.pushed is None:
            return request.location(browser)
        try:
            registration = self.registrations.get(request.provider, deadline).for_tenant(request.parameters)
            timeout = min(registration.provider.request_timeout, deadline.remaining() - _TIME_TO_ANSWER)
            if timeout < SHORTEST_REQUEST:
                raise TemporarilyUnavailable("Too little time is left to push the request.", retry_after=1)
            self.authorizations.count_push(request)
            return request.pushed_location(self.client.push(registration, request.to_push(browser), timeout))
        except Conflict:
            return Outcome("expired", request.provider, reason="pushed_too_often", request=request)
        except GatehouseError as error:
            # Nothing is written about it: the link still works, and so does "try again".
            return Outcome.failed(replace(request, phase=Phase.FAILED), error.code, error)
