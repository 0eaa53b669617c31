"""The table of authorization requests. TTL only cleans up: whether a request has expired is always checked."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import plain
from functions.vault.oauth.authorization import (
    LIFETIME,
    MOST_EXCHANGES,
    MOST_PUSHES,
    AuthorizationRequest,
    Phase,
    ticket_hash,
)

from . import attributes
from .expression import Expression
from .items import item_of, last_attempt_of
from .table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from functions.vault.grant.last_attempt import LastAttempt
    from functions.vault.oauth.authorization_response import ValidatedResponse

KEEP_REQUESTS = 86400
"""Seconds for which an expired request is kept, so that a person who comes late sees what became of it."""

_FIELDS = frozenset(entry.name for entry in fields(AuthorizationRequest))


class Authorizations(Table):
    """The table of authorization requests."""

    KEY = "request_id"

    def create(self, request: AuthorizationRequest) -> None:
        """Store a new request. Its id is 128 random bits, so no other request has it."""
        item = item_of(request) | {"ttl": request.expires_at + KEEP_REQUESTS}
        self._call("put_item", Item=attributes.write_item(item))

    def get(self, request_id: str) -> AuthorizationRequest | None:
        """Return the request as it is now (a consistent read), or None."""
        stored = self._read(request_id)
        return _request_of(stored) if stored else None

    def consume(
        self, response: ValidatedResponse, holder: str, now: float, *, in_slot: bool = False
    ) -> AuthorizationRequest:
        """Consume the request for this response's code, once, in one conditional write, and return what was stored.

        Raises `Conflict`, and changes nothing, unless the response matches the request (see `_matches`) and fewer than
        `MOST_EXCHANGES` codes were exchanged. This write counts the code, whatever becomes of it: a process that is
        killed before the exchange cannot say whether the code was sent. If the provider has slots, the caller must hold
        one (`in_slot`).
        """
        expression = Expression()
        phase, states, exchanges = map(expression.name, ("phase", "used_states", "exchanges"))
        conditions = [
            *_matches(response, now, expression),
            f"(attribute_not_exists({exchanges}) OR {exchanges} < {expression.value('most', MOST_EXCHANGES)})",
        ]
        if not in_slot:
            conditions.append(expression.is_absent("has_slots"))
        consumed, by = expression.value("consumed", Phase.CONSUMED), expression.value("holder", holder)
        at = f"{expression.name('consumed_at')} = {expression.value('at', int(now))}"
        update = (
            f"SET {phase} = {consumed}, {expression.name('consumed_by')} = {by}, {at}"
            f" REMOVE {expression.name('outcome')}"
            f" ADD {states} {expression.value('states', frozenset({response.state_hash}))}"
            f", {exchanges} {expression.value('exchanges', 1)}"
        )
        return self._updated(response.browser.request_id, update, conditions, expression)

    def count_push(self, request: AuthorizationRequest) -> None:
        """Count that a request is about to be pushed (RFC 9126); raise `Conflict` after `MOST_PUSHES` times."""
        expression = Expression()
        pushes, most = expression.name("pushes"), expression.value("most", MOST_PUSHES)
        conditions = [
            expression.is_("ticket_hash", request.ticket_hash),
            f"(attribute_not_exists({pushes}) OR {pushes} < {most})",
        ]
        self._updated(request.request_id, f"ADD {pushes} {expression.value('one', 1)}", conditions, expression)

    def fail(self, response: ValidatedResponse, attempt: LastAttempt, now: float) -> AuthorizationRequest:
        """Store an error response, and return the request, which stays open for another response.

        The response has to match as for `consume`, else `Conflict`. It does not use up its state: someone who goes back
        in this tab and consents after all comes with the same one.
        """
        expression = Expression()
        update = expression.assignment(_failed(attempt), {})
        return self._updated(response.browser.request_id, update, _matches(response, now, expression), expression)

    def note_attempt(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Store what a response said that was not accepted; change nothing else."""
        expression = Expression()
        conditions = [expression.is_("ticket_hash", request.ticket_hash)]
        update = expression.assignment({"last_attempt": plain(attempt)}, {})
        self._updated(request.request_id, update, conditions, expression)

    def reopen(self, request: AuthorizationRequest, attempt: LastAttempt) -> AuthorizationRequest:
        """Store that a consumed request failed before any token came back, and return it: the user may try again."""
        expression = Expression()
        was = {"phase": request.phase, "outcome": request.outcome}
        conditions = [expression.is_("consumed_by", request.consumed_by)]
        return self._updated(request.request_id, expression.assignment(_failed(attempt), was), conditions, expression)

    def close(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Store that a consumed request came to nothing: it stays consumed, since another try would be in vain."""
        expression = Expression()
        conditions = [expression.is_("consumed_by", request.consumed_by)]
        after = {"outcome": attempt.error, "last_attempt": plain(attempt)}
        self._updated(request.request_id, expression.assignment(after, {}), conditions, expression)

    def _updated(
        self, request_id: str, update: str, conditions: Sequence[str], expression: Expression
    ) -> AuthorizationRequest:
        answer = self._update(request_id, update, conditions, expression, ReturnValues="ALL_NEW")
        return _request_of(answer["Attributes"])


def _request_of(stored: Mapping[str, Any]) -> AuthorizationRequest:
    item = attributes.read_item(stored, _FIELDS)
    return AuthorizationRequest(
        **{
            **item,
            "phase": Phase(item["phase"]),
            "used_states": frozenset(item.get("used_states", ())),
            "last_attempt": last_attempt_of(item.get("last_attempt")),
        }
    )


def _failed(attempt: LastAttempt) -> dict[str, Any]:
    return {"phase": Phase.FAILED, "outcome": attempt.error, "last_attempt": plain(attempt)}


def _matches(response: ValidatedResponse, now: float, expression: Expression) -> list[str]:
    """Return the conditions under which a response belongs to its request as it is stored.

    Not too late, this ticket, this provider, this issuer (RFC 9207 section 2.4), open or failed, and no earlier code
    came with this state.
    """
    states = expression.name("used_states")
    phases = (expression.value("open", Phase.OPEN), expression.value("failed", Phase.FAILED))
    return [
        f"{expression.name('created_at')} > {expression.value('too_old', int(now) - LIFETIME)}",
        expression.is_("ticket_hash", ticket_hash(response.browser.ticket_secret)),
        expression.is_("provider", response.provider),
        f"{expression.name('phase')} IN ({', '.join(phases)})",
        f"NOT contains({states}, {expression.value('state', response.state_hash)})",
        _issuer_matches(response.iss, expression),
    ]


def _issuer_matches(iss: str | None, expression: Expression) -> str:
    """Return the condition of RFC 9207: an `iss` that came is the stored issuer's, and one that must come has come."""
    if iss is None:
        return f"{expression.name('iss_required')} = {expression.value('not_required', value=False)}"
    issuer = expression.name("issuer")
    return f"(attribute_not_exists({issuer}) OR {issuer} = {expression.value('iss', iss)})"
