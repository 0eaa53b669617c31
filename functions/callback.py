"""`callback`: the redirection endpoint (RFC 6749 section 3.1.2), completing what a browser comes back from."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.edge import BrowserDoor, Reply
from functions.vault import authorization, fields
from functions.vault.authorization import Refused
from functions.vault.errors import BY_CODE, InvalidRequest, ServerError

if TYPE_CHECKING:
    from functions.vault.authorization import ValidatedResponse
    from functions.vault.outcome import Outcome
    from functions.vault.settings import House
    from functions.vault.timing import Deadline

_STATUS = {"connected": 200, "already": 200, "denied": 200, "unfinished": 202, "refused": 400, "expired": 410}

# What a person reads of a failure: our own words for it, never the server's.
_REASONS = {
    "provider_unavailable": "The provider did not answer as expected. This usually passes after a moment.",
    "provider_throttled": "The provider is answering too many requests right now. Wait a minute, then try again.",
    "provider_misconfigured": (
        "The provider does not accept this application's settings. The application's owner has to correct them."
    ),
    "unknown_provider": "The provider is no longer set up here. The application's owner has to correct this.",
    "temporarily_unavailable": "A service that we need did not answer. This usually passes after a moment.",
    "reauthorization_required": "The provider did not accept its own approval, perhaps because it came too late.",
    "invalid_request": "The provider found the request too old or incomplete.",
}
_OTHER_REASON = "The provider reported an error instead of an approval."


def _callback(house: House, event: Any, deadline: Deadline) -> Reply:
    try:
        response = _validated(event, secure=house.secure)
    except Refused as refused:
        return Reply("refused", 400, reason=refused.reason)
    return _reply(house.completing.complete(response, deadline))


def _validated(event: Any, *, secure: bool) -> ValidatedResponse:
    provider = event.get("pathParameters", {}).get("provider", "")
    if not fields.PROVIDER_NAME.fullmatch(provider):
        raise Refused("provider_malformed")
    return authorization.validate(provider, event.get("rawQueryString", ""), event.get("cookies", []), secure=secure)


def _reply(outcome: Outcome) -> Reply:
    connection_id = outcome.request.connection_id if outcome.request else None
    reason = outcome.error or outcome.reason
    if (location := outcome.return_to) is not None:
        return Reply(outcome.page, location=location, reason=reason, connection_id=connection_id)
    return Reply(outcome.page, _status(outcome), _values(outcome), reason=reason, connection_id=connection_id)


def _status(outcome: Outcome) -> int:
    if outcome.page == "failed":
        # 500 is for defects of ours, not for a server that calls its own trouble `server_error`.
        known = BY_CODE.get(outcome.error or "", InvalidRequest)
        return HTTPStatus.BAD_GATEWAY if known is ServerError else known.http_status
    return _STATUS[outcome.page]


def _values(outcome: Outcome) -> dict[str, str | None]:
    values: dict[str, str | None] = {} if outcome.page == "refused" else {"provider": outcome.provider}
    if outcome.page == "failed":
        values["reason"] = _REASONS.get(outcome.error or "", _OTHER_REASON)
    if outcome.may_try_again and outcome.request is not None:
        # Without the ticket's secret: this browser's cookie has it, and the page must not.
        values["try_again"] = f"/authorize/{outcome.request.request_id}"
    return values


handler = BrowserDoor("callback", _callback)
