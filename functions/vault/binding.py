"""Binding an authorization request to the browser that brought its link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import authorization
from .authorization import BrowserBinding, Phase
from .outcome import Outcome

if TYPE_CHECKING:
    from .authorization import AuthorizationRequest, Ticket
    from .store import Authorizations
    from .timing import Timing


@dataclass(frozen=True, slots=True)
class Binding:
    """The use case `authorize`."""

    secure: bool
    authorizations: Authorizations
    timing: Timing

    def bind(self, ticket: Ticket, cookies: list[str]) -> tuple[AuthorizationRequest, BrowserBinding] | Outcome:
        """Bind the request to this browser: one read, no write.

        Returns the request and the binding, or how the visit ended.

        A ticket without its secret is the "try again" of a page of ours; the browser's cookie has the secret then.
        """
        earlier = authorization.binding_of(ticket.request_id, cookies, secure=self.secure)
        secret = ticket.secret or (earlier.ticket_secret if earlier else None)
        request = self.authorizations.get(ticket.request_id) if secret is not None else None
        if request is None or secret is None or not request.admits(secret):
            return Outcome("invalid_link")
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider)
        if request.is_expired(self.timing.now()):
            return Outcome("expired", request.provider)
        return request, BrowserBinding(request.request_id, secret, authorization.new_secret())
