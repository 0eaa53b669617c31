"""A response without a code: the person or the server said no (RFC 6749 section 4.1.2.1). Nothing is sent for it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from functions.vault.base.errors import ProviderMisconfigured, TemporarilyUnavailable
from functions.vault.base.record import record
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.oauth.authorization import Phase
from functions.vault.oauth.authorization_response import CONSENT_REQUIRED, REMEDIES, redirect_error
from functions.vault.oauth.visit_outcome import ISSUER_MISMATCH, Outcome, page_of
from functions.vault.provider.refusal_rules import ACCESS_DENIED
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.storage.authorizations import Authorizations

    from .stored_outcomes import StoredOutcomes


@record
class Declining:
    """Stores a no. The request stays open: another response may still bring a code."""

    authorizations: Authorizations
    stored_outcomes: StoredOutcomes
    timing: Timing

    def decline(self, response: ValidatedResponse, error: str, deadline: Deadline) -> Outcome:
        """Store the `error` of a response (a code of RFC 6749), and return its outcome."""
        error = self._as_meant(response, error)
        browser, now = response.browser, self.timing.now()
        secrets = (browser.state, browser.ticket_secret, browser.nonce, browser.code_verifier)
        provider_error = redirect_error(response.error, response.error_description, secrets)
        attempt = LastAttempt(browser.request_id, int(now), page_of(error), error, provider_error)
        try:
            request = self.authorizations.fail(response, attempt, now)
        except Conflict:
            return self._not_stored(response, attempt, deadline)
        self.stored_outcomes.note_with_connection(request, attempt)
        remedy = REMEDIES.get(error)
        failure = None if remedy is None else ProviderMisconfigured(remedy, provider_error=provider_error)
        return Outcome.failed(request, error, failure, provider_error=provider_error)

    def decline_for(
        self, request: AuthorizationRequest, response: ValidatedResponse, failure: GatehouseError
    ) -> Outcome:
        """Store that a code was not sent because of a failure, and return the outcome: the same code may come again."""
        error, now = failure.code, self.timing.now()
        attempt = LastAttempt(request.request_id, int(now), page_of(error), error, failure.provider_error)
        failed = replace(request, phase=Phase.FAILED)
        # Nothing depends on it: whoever is shown the stored outcome may also be shown that there is none.
        with contextlib.suppress(Conflict, TemporarilyUnavailable):
            failed = self.authorizations.fail(response, attempt, now)
        return Outcome.failed(failed, error, failure)

    def _as_meant(self, response: ValidatedResponse, error: str) -> str:
        """Return an error; but `access_denied` for a `consent_required` that the request gave no reason for.

        `consent_required` belongs to requests with `prompt=none` (OpenID Connect Core section 3.1.2.6). After any other
        request, some servers send it when the person presses the button for no.
        """
        if error != CONSENT_REQUIRED:
            return error
        request = self.stored_outcomes.request_of(response)
        return error if request is None or "none" in request.prompt else ACCESS_DENIED

    def _not_stored(self, response: ValidatedResponse, attempt: LastAttempt, deadline: Deadline) -> Outcome:
        """Return why a no could not be stored.

        A no without the issuer's name, if the server promises to send it, is not believed; its words are kept.
        """
        request = self.stored_outcomes.request_of(response)
        if request is None:
            return Outcome("refused", reason="request_unknown")
        if response.state_hash in request.used_states:
            return self.stored_outcomes.of_first(request, response, deadline)
        if (outcome := self.stored_outcomes.of_ended(request)) is not None:
            return outcome
        if request.accepts_issuer(response.iss):
            # Another response had the request consumed until a moment ago; nothing else was wrong with this one.
            return Outcome.failed(request, attempt.error, provider_error=attempt.provider_error)
        refused = replace(attempt, outcome="refused", error=ISSUER_MISMATCH)
        with contextlib.suppress(Conflict):
            self.authorizations.note_attempt(request, refused)
        self.stored_outcomes.note_with_connection(request, refused)
        return Outcome("refused", reason=ISSUER_MISMATCH, request=request, provider_error=attempt.provider_error)
