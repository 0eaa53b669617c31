"""How a request has ended, read from what is stored: for a browser whose response cannot be taken (any more).

A duplicate (double click, reload, prefetch) is shown what came of the first response.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from functions.vault.base.errors import ConfirmationExpired, ServerError, SlotsTaken, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.oauth.authorization import Phase, ticket_hash
from functions.vault.oauth.visit_outcome import Became, Outcome, became_of, waiting_of
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.grant.last_attempt import LastAttempt
    from functions.vault.oauth.authorization import AuthorizationRequest, BrowserBinding
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.connections import Connections

_WAIT_FOR_FIRST = 1.0
"""Seconds for which a duplicate callback waits for the first one's outcome. A browser may send it a hundred times, and
each that waits is a function that serves nobody else: so it is the page that waits, and asks again."""

_TIME_TO_ANSWER = 2.0
"""Seconds of the call's time that are kept for the answer while waiting for the first outcome."""

REQUEST_EXPIRED = "request_expired"

_BAD_ENDS = {Became.RAN_OUT: ConfirmationExpired.code, Became.LOST: ServerError.code}
"""The error for each end of a consumed request that is a failure."""


@record
class StoredOutcomes:
    """Reads how requests have ended, and notes with the connection how the latest attempt did."""

    connections: Connections
    authorizations: Authorizations
    timing: Timing

    def request_of(self, response: ValidatedResponse) -> AuthorizationRequest | None:
        """Return the request as it is now; None if the response comes from another browser or provider."""
        request = self.authorizations.get(response.browser.request_id)
        if request is None or not request.admits(response.browser.ticket_secret):
            return None
        return request if request.provider == response.provider else None

    def of_ended(self, request: AuthorizationRequest) -> Outcome | None:
        """Return how a request ended for which no response can be taken any more; None if one can."""
        if request.phase is Phase.CONSUMED:
            return Outcome("already", request.provider, request=request)
        if request.is_used_up:
            return Outcome.failed(request, request.outcome or ServerError.code)
        if request.has_expired(self.timing.now()):
            return Outcome("expired", request.provider, REQUEST_EXPIRED, request=request)
        return None

    def of_first(self, request: AuthorizationRequest, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        """Return what came of the first response with this state, after a short wait if it is not known yet.

        One that was posted is answered by a redirect to a page that waits, so that nothing does here.
        """
        waited = _WAIT_FOR_FIRST if request.form_post else 0.0
        while True:
            if request.phase is Phase.FAILED:
                return Outcome.failed(request, request.outcome or ServerError.code)
            if (outcome := self._of_consumed(request, response.browser)) is not None:
                return outcome
            if waited >= _WAIT_FOR_FIRST or deadline.remaining() < _TIME_TO_ANSWER:
                return Outcome("unfinished", request.provider, request=request)
            pause = 0.1 + 0.2 * self.timing.jitter()
            self.timing.sleep(pause)
            waited += pause
            request = self.request_of(response) or request

    def of_result(self, provider: str, browser: BrowserBinding, *, is_waiting: bool) -> Outcome | None:
        """Return how a visit ended whose response came earlier; None if nothing has come of it yet.

        Nothing waits here: the page that is shown meanwhile reloads itself. `is_waiting` means that the response was
        not stored, because the provider had no slot for it.
        """
        request = self.authorizations.get(browser.request_id)
        if request is None or not request.admits(browser.ticket_secret) or request.provider != provider:
            return Outcome("no_longer_shown", reason="request_unknown")
        is_used = ticket_hash(browser.state) in request.used_states
        if request.phase is Phase.CONSUMED:
            if not is_used:
                return Outcome("already", request.provider, request=request)
            return self._of_consumed(request, browser) or Outcome("unfinished", request.provider, request=request)
        is_failed = request.phase is Phase.FAILED
        failed = Outcome.failed(request, request.outcome or ServerError.code) if is_failed else None
        if failed is not None and is_used:
            return failed
        if (ended := self.of_ended(request)) is not None or not is_waiting:
            return ended or failed
        return Outcome("waiting", request.provider, reason=SlotsTaken.code, request=request)

    def _of_consumed(self, request: AuthorizationRequest, browser: BrowserBinding) -> Outcome | None:
        """Return how a consumed request ended; None while it may go on."""
        if request.outcome is not None:
            return Outcome.failed(request, request.outcome)
        connection = self.connections.get(request.connection_id)
        became = became_of(request, connection, self.timing.now())
        if became is Became.UNCONFIRMED and connection is not None:
            waiting = waiting_of(connection, request)
            return None if waiting is None else Outcome.unconfirmed(request, waiting, browser)
        if became is Became.CONNECTED and connection is not None:
            return Outcome.connected(request, connection)
        if became is Became.REPLACED:
            return Outcome("already", request.provider, request=request)
        return Outcome.failed(request, _BAD_ENDS[became]) if became in _BAD_ENDS else None

    def note_with_connection(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Note a failed attempt with the connection, if there was one before: for whoever reads it there."""
        if not request.connection_version:
            return
        with contextlib.suppress(Conflict, TemporarilyUnavailable):
            self.connections.note_attempt(request.connection_id, attempt)
