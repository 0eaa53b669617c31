"""How a browser's visit can end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .authorization import Phase, with_query
from .record import record

if TYPE_CHECKING:
    from .authorization import AuthorizationRequest
    from .errors import GatehouseError


SUBJECT_MISMATCH = "subject_mismatch"
"""What the application is told of a consent that was given with another account than the connection is to."""


LOOKS_AGAIN = frozenset({"unfinished", "waiting"})
"""The pages that are not the end of a visit: the browser looks again, and the application is told nothing yet."""


@record
class Outcome:
    """How a browser's visit ended: `page` is the page to show, `error` the application's code, None on success.

    `failure` is what it came of, where an operator may have to look into it: for the log, and for nobody's page.
    """

    page: str
    provider: str | None = None
    error: str | None = None
    reason: str | None = None
    request: AuthorizationRequest | None = None
    failure: GatehouseError | None = None

    @property
    def may_try_again(self) -> bool:
        """Tell whether the same request can be answered once more."""
        request = self.request
        if request is None:
            return False
        is_sent_once = self.page == "waiting" and request.form_post
        return (is_sent_once or request.phase is Phase.FAILED) and not request.is_used_up

    @property
    def return_to(self) -> str | None:
        """Return where the application wants its user back, with the outcome; None where it did not say."""
        request = self.request
        if request is None or request.return_to is None or self.page in LOOKS_AGAIN:
            return None
        result = {"error": self.error} if self.error else {"status": "connected"}
        return with_query(request.return_to, {"connection_id": request.connection_id, **result})

    @classmethod
    def failed(cls, request: AuthorizationRequest, error: str, failure: GatehouseError | None = None) -> Outcome:
        """Return the outcome of a request that came to nothing: the person said no, or something went wrong."""
        page = "denied" if error == "access_denied" else "failed"
        return cls(page, request.provider, error, error, request, failure)
