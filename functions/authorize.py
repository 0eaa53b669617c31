"""`authorize`: binds a request to this browser and redirects to the authorization endpoint (RFC 6749 section 4.1.1)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.vault.oauth import cookies
from functions.vault.oauth.authorization import Ticket
from functions.vault.oauth.visit_outcome import Outcome
from functions.web import replies
from functions.web.handlers import BrowserHandler
from functions.web.responses import Reply

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.services import Services
    from functions.web.log import About


def _authorize(services: Services, event: Any, deadline: Deadline, about: About) -> Reply:
    ticket = Ticket.parse(event.get("pathParameters", {}).get("ticket", ""))
    if ticket is None:
        return Reply("invalid_link", 404)
    about["authorization_request_id"] = ticket.request_id
    given = event.get("cookies", [])
    answer = services.binding.bind(ticket, given)
    if isinstance(answer, Outcome):
        about |= replies.about(answer.request)
        return replies.of(answer)
    request, cookie = answer
    about |= replies.about(request)
    secure = services.settings.secure
    set_cookies = (cookie.set_cookie(secure=secure), *cookies.without_the_oldest(given, cookie, secure=secure))
    location = services.binding.location(request, cookie.newest, deadline)
    if isinstance(location, Outcome):
        # A visit that goes no further must not push those out of the cookie whose answers may still come.
        return replies.of(location, () if len(cookie.nonces) > 1 else set_cookies)
    return Reply("redirected", HTTPStatus.FOUND, location=location, cookies=set_cookies)


def _preload(services: Services) -> None:
    services.preload("binding", clients=("dynamodb",))


handler = BrowserHandler("authorize", _authorize, preload=_preload)
