"""`authorize`: binds the request to this browser, sends it to the authorization endpoint (RFC 6749 section 4.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import replies
from functions.edge import BrowserDoor, Reply
from functions.vault import authorization
from functions.vault.authorization import Ticket
from functions.vault.outcome import Outcome

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline


def _authorize(house: House, event: Any, deadline: Deadline) -> Reply:
    ticket = Ticket.parse(event.get("pathParameters", {}).get("ticket", ""))
    if ticket is None:
        return Reply("invalid_link", 404)
    answer = house.binding.bind(ticket, event.get("cookies", []))
    if isinstance(answer, Outcome):
        return replies.of(answer)
    request, browser = answer
    cookies = (authorization.cookie(browser, secure=house.secure, form_post=request.form_post),)
    location = house.binding.location(request, browser, deadline)
    if isinstance(location, Outcome):
        return replies.of(location, cookies)
    return Reply("redirected", location=location, cookies=cookies, connection_id=request.connection_id)


def _furnish(house: House) -> None:
    house.ready("binding", services=("dynamodb",))


handler = BrowserDoor("authorize", _authorize, furnish=_furnish)
