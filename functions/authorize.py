"""`authorize`: binds the request to this browser, sends it to the authorization endpoint (RFC 6749 section 4.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.edge import BrowserDoor, Reply
from functions.vault import authorization
from functions.vault.authorization import Ticket
from functions.vault.outcome import Outcome

if TYPE_CHECKING:
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_STATUS = {"invalid_link": 404, "expired": 410, "already": 200}


def _authorize(house: House, event: Any, _deadline: Deadline) -> Reply:
    ticket = Ticket.parse(event.get("pathParameters", {}).get("ticket", ""))
    if ticket is None:
        return Reply("invalid_link", 404)
    answer = house.binding.bind(ticket, event.get("cookies", []))
    if isinstance(answer, Outcome):
        values = {} if answer.provider is None else {"provider": answer.provider}
        return Reply(answer.page, _STATUS[answer.page], values)
    request, browser = answer
    name = authorization.cookie_name(request.request_id, secure=house.secure)
    secure = "; Secure" if house.secure else ""
    attributes = f"Max-Age={authorization.COOKIE_LIFETIME}; Path=/; HttpOnly{secure}; SameSite=Lax"
    cookie = f"{name}={browser.cookie_value}; {attributes}"
    return Reply(
        "redirected", location=request.location(browser), cookies=(cookie,), connection_id=request.connection_id
    )


handler = BrowserDoor("authorize", _authorize)
