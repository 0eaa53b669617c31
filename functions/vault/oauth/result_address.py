"""The address of a result: where a browser is sent that has posted its response (303, RFC 9110 section 15.4.4).

A reload or Back then asks for a page, and sends no form again. The address holds neither the code nor the state. It
names the visit by a value that only the browser's cookie verifies, or a page that is the same for everybody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from .authorization import REQUEST_ID, SECRET

if TYPE_CHECKING:
    from .authorization import BrowserBinding
    from .visit_outcome import Outcome

_ADDRESS = rf"result=(?:(?P<visit>(?P<request>{REQUEST_ID})\.{SECRET})(?P<waiting>\.waiting)?|(?P<page>[a-z_]{{1,20}}))"

WAITING = "waiting"
"""The page of a response that was neither taken nor stored, since the provider had no slot for it."""


@record
class ResultAddress:
    """What an address says: the visit whose result to show, with the id of its request, or else the page.

    `is_waiting`: nothing was stored for the response of this visit.
    """

    visit: str | None = None
    request_id: str | None = None
    is_waiting: bool = False
    page: str | None = None

    @classmethod
    def parse(cls, unverified_query: str) -> ResultAddress | None:
        """Return what a query says, or None if it is not one of ours as a whole: then it may be a response."""
        found = re.fullmatch(_ADDRESS, unverified_query)
        if found is None:
            return None
        return cls(found["visit"], found["request"], found["waiting"] is not None, found["page"])


def of_outcome(provider: str, browser: BrowserBinding, outcome: Outcome) -> str:
    """Return the path of the result of a visit, for the browser that posted its response to `provider`."""
    if outcome.request is None or outcome.page == "refused":
        return of_page(provider, outcome.page)
    return of_page(provider, browser.result + (f".{WAITING}" if outcome.page == WAITING else ""))


def of_page(provider: str, page: str) -> str:
    """Return the path of a page that needs no request."""
    return f"/callback/{provider}?result={page}"
