"""`authorize`: binds the request to this browser, sends it to the authorization endpoint (RFC 6749 section 4.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import replies
from functions.edge import BrowserDoor, Reply
from functions.vault import cookies
from functions.vault.authorization import Ticket
from functions.vault.outcome import Outcome

if TYPE_CHECKING:
    from functions.edge import About
    from functions.vault.settings import House
    from functions.vault.timing import Deadline


def _authorize(house: House, event: Any, deadline: Deadline, about: About) -> Reply:
    ticket = Ticket.parse(event.get("pathParameters", {}).get("ticket", ""))
    if ticket is None:
        return Reply("invalid_link", 404)
    about["authorization_request_id"] = ticket.request_id
    given = event.get("cookies", [])
    answer = house.binding.bind(ticket, given)
    if isinstance(answer, Outcome):
        about |= replies.about(answer.request)
        return replies.of(answer)
    request, cookie = answer
    about |= replies.about(request)
    set_cookies = (
        cookie.set_cookie(secure=house.secure),
        *cookies.without_the_oldest(given, cookie, secure=house.secure),
    )
    location = house.binding.location(request, cookie.newest, deadline)
    if isinstance(location, Outcome):
        return replies.of(location, set_cookies)
    return Reply("redirected", location=location, cookies=set_cookies)


def _furnish(house: House) -> None:
    house.ready("binding", services=("dynamodb",))


handler = BrowserDoor("authorize", _authorize, furnish=_furnish)
