"""The address of a result: where a browser is sent that has brought its response (303, RFC 9110 section 15.4.4).

So code and state leave the address bar and the history, and a reload or Back asks for a page, and sends no code and no
form again. The address holds nothing of the response. It names the visit by a value that only the browser's cookie
verifies, or a page that is the same for everybody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.vault.base.record import record

from .authorization import REQUEST_ID, SECRET

if TYPE_CHECKING:
    from .authorization import BrowserBinding
    from .visit_outcome import Outcome

_REFERENCE = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""Lambda's id of an invocation. Nothing else that somebody writes there is repeated by a page."""

WAITING = "waiting"
"""The page of a response that was neither taken nor stored, since the provider had no slot for it."""

UNFINISHED = "unfinished"
"""The page of a response whose outcome is not known yet."""

_VISIT = rf"(?P<visit>(?P<request>{REQUEST_ID})\.{SECRET})(?:\.(?P<so_far>{WAITING}|{UNFINISHED}))?"
_PAGE = rf"(?P<page>[a-z_]{{1,20}})(?:\.(?P<reference>{_REFERENCE}))?"
_ADDRESS = rf"result=(?:{_VISIT}|{_PAGE})"


@record
class ResultAddress:
    """What an address says: the visit whose result to show, with the id of its request, or else the page.

    `so_far` is the page of a visit that had not ended when its browser was sent here. `reference` is by which the log
    is searched for the visit that the page is about.
    """

    visit: str | None = None
    request_id: str | None = None
    so_far: str | None = None
    page: str | None = None
    reference: str | None = None

    @classmethod
    def parse(cls, unverified_query: str) -> ResultAddress | None:
        """Return what a query says, or None if it is not one of ours as a whole: then it may be a response."""
        found = re.fullmatch(_ADDRESS, unverified_query)
        if found is None:
            return None
        return cls(found["visit"], found["request"], found["so_far"], found["page"], found["reference"])


def of_outcome(provider: str, browser: BrowserBinding, outcome: Outcome) -> str:
    """Return the path of the result of a visit, for the browser that brought its response to `provider`."""
    if outcome.request is None or outcome.page == "refused":
        return of_page(outcome.page)
    so_far = f".{outcome.page}" if outcome.page in {WAITING, UNFINISHED} else ""
    return f"/callback/{provider}?result={browser.result}{so_far}"


def of_page(page: str) -> str:
    """Return the path of a page that needs no request. No provider has that name: what came is not repeated."""
    return f"/callback/-?result={page}"


def with_reference(path: str, reference: str) -> str:
    """Return the path of a page with the id of the visit that it is about, for which the log can be searched."""
    return f"{path}.{reference}" if re.fullmatch(_REFERENCE, reference) else path
