"""Completing an authorization request: which request a response belongs to, and whether it takes it.

The code of a request that was taken is exchanged in `exchanging`. A response without a code is stored in `declining`;
one that came too late, or a second time, is answered from `stored_outcomes`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from functions.vault.base.errors import GatehouseError, SlotsTaken
from functions.vault.base.record import record
from functions.vault.oauth.authorization_response import refusal_of
from functions.vault.oauth.visit_outcome import ISSUER_MISMATCH, Outcome
from functions.vault.provider.refusal_rules import ACCESS_DENIED
from functions.vault.storage.table import Conflict

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline, Timing
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.storage.authorizations import Authorizations
    from functions.vault.storage.registrations import Registrations

    from .declining import Declining
    from .exchanging import Exchanging
    from .stored_outcomes import StoredOutcomes


@record
class Completing:
    """The use case `callback`."""

    authorizations: Authorizations
    registrations: Registrations
    exchanging: Exchanging
    declining: Declining
    stored_outcomes: StoredOutcomes
    timing: Timing

    def complete(self, response: ValidatedResponse, deadline: Deadline) -> Outcome:
        """Complete the request that `response` answers, once; a duplicate gets the outcome of the first response."""
        error = self._error_of(response, deadline)
        if error is not None:
            return self.declining.decline(response, error, deadline)
        holder = uuid.uuid4().hex
        try:
            request = self.authorizations.consume(response, holder, self.timing.now())
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        return self.exchanging.exchange(request, response, deadline)

    def _error_of(self, response: ValidatedResponse, deadline: Deadline) -> str | None:
        """Return the error of a response that brings no code, as a code of RFC 6749; None if it brings one.

        What a server's own error words mean is in its provider's data. If that cannot be read, they are taken as they
        are.
        """
        if response.code is not None:
            return None
        without_data = refusal_of(response, ())
        if without_data == ACCESS_DENIED:
            return without_data
        try:
            provider = self.registrations.get(response.provider, deadline).provider
        except GatehouseError:
            return without_data
        if response.error is None and provider.code_parameter in response.parameters:
            return None
        return refusal_of(response, provider.rules)

    def _not_consumed(self, response: ValidatedResponse, holder: str, deadline: Deadline) -> Outcome:
        """Return why the request could not be consumed, with nothing sent.

        Go on with it if our own write took effect and only its answer was lost, or if only a slot was missing.
        """
        request = self.stored_outcomes.request_of(response)
        if request is None:
            return Outcome("refused", reason="request_unknown")
        if request.consumed_by == holder:
            return self.exchanging.exchange(request, response, deadline)
        if response.state_hash in request.used_states:
            return self.stored_outcomes.of_first(request, response, deadline)
        if (outcome := self.stored_outcomes.of_ended(request)) is not None:
            return outcome
        if request.has_slots and request.accepts_issuer(response.iss):
            return self._complete_in_slot(request, response, holder, deadline)
        return Outcome("refused", reason=ISSUER_MISMATCH, request=request)

    def _complete_in_slot(
        self, request: AuthorizationRequest, response: ValidatedResponse, holder: str, deadline: Deadline
    ) -> Outcome:
        """Complete a request at a provider that has slots: the slot first, then the request.

        Without a slot nothing is consumed: the browser may send the same response again, unless it was a form.
        """
        try:
            registration = self.registrations.get(request.provider, deadline)
        except GatehouseError as error:
            return self.declining.decline_for(request, response, error)
        try:
            with self.exchanging.slot(registration, deadline) as client:
                taken = self.authorizations.consume(response, holder, self.timing.now(), in_slot=True)
                return self.exchanging.exchange(taken, response, deadline, client)
        except Conflict:
            return self._not_consumed(response, holder, deadline)
        except SlotsTaken as error:
            return Outcome("waiting", request.provider, reason=error.code, request=request, failure=error)
