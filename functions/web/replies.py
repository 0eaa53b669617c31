"""What a browser is shown of an outcome: a page of ours, or the way back to the application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.vault.base.errors import BY_CODE, InvalidRequest, ProviderMisconfigured, ServerError
from functions.vault.oauth.visit_outcome import RELOADED_PAGES, SUBJECT_MISMATCH
from functions.web.edge import Reply

if TYPE_CHECKING:
    from functions.vault.base.errors import ProviderError
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import Refused
    from functions.vault.oauth.visit_outcome import Outcome

_STATUS = {
    "connected": 200,
    "already": 200,
    "denied": 200,
    "unfinished": 202,
    "waiting": 202,
    "refused": 400,
    "invalid_link": 404,
    "expired": 410,
}

# What a person reads of a failure: our own words for it, never the server's.
_REASONS = {
    "provider_unavailable": "The provider did not answer as expected. This usually passes after a moment.",
    "provider_throttled": "The provider is answering too many requests right now. Wait a minute, then try again.",
    **dict.fromkeys(
        ("provider_misconfigured", "invalid_scope", "unauthorized_client", "unsupported_response_type"),
        "The provider does not accept this application's settings. The application's owner has to correct them.",
    ),
    "unknown_provider": "The provider is no longer set up here. The application's owner has to correct this.",
    "temporarily_unavailable": "A service that we need did not answer. This usually passes after a moment.",
    "reauthorization_required": "The provider did not accept its own approval, perhaps because it came too late.",
    "invalid_request": "The provider found the request too old or incomplete.",
    SUBJECT_MISMATCH: (
        "It was connected to another account at the provider before. Sign in there with that one, then try again."
    ),
}
_LOOKS_AGAIN_AFTER = 2

_REMEDIES = {
    "form_expected": (
        "The registration asks for an answer by form_post, and the server answered by the address: it may not know "
        "that response_mode. Leave it out of the registration."
    ),
    "issuer_mismatch": (
        "The answer does not name the issuer of the registration as its own (iss, RFC 9207), and was not believed. A "
        "server that promises iss in its metadata may leave it out of its errors: provider_error has what it said."
    ),
}
"""What the log says to who runs the application about an answer that was not taken; the others are a browser's."""

_OTHER_REASON = "The provider reported an error instead of an approval."


def of(outcome: Outcome, cookies: tuple[str, ...] = ()) -> Reply:
    """Return the reply to a browser whose visit ended so."""
    reason = outcome.error or outcome.reason
    location = outcome.return_to
    status, values = (200, {}) if location is not None else (_status(outcome), _values(outcome))
    looks_again_after = _looks_again(outcome)
    failure = outcome.failure or _remedy(reason, outcome.provider_error)
    return Reply(
        outcome.page, status, values, location, cookies, reason, failure, outcome.provider_error, looks_again_after
    )


def of_refused(refused: Refused, application_url: str | None, requests: list[str]) -> Reply:
    """Return the reply to an answer that was not taken, in a browser that has cookies of these `requests`.

    A code that nobody here has asked for comes from an install that began at the provider: the application's own
    address is the way on. An answer that names no request may be a no to one of this browser's.
    """
    if refused.reason == "code_without_state" and application_url is not None:
        return Reply("begin_here", 200, {"application": application_url}, reason=refused.reason)
    if refused.reason == "state_missing" and requests:
        values = {"try_again": _link(requests[0])} if len(requests) == 1 else {}
        return Reply("not_connected", 400, values, reason=refused.reason)
    return Reply("refused", 400, reason=refused.reason, failure=_remedy(refused.reason))


def _remedy(reason: str | None, said: ProviderError | None = None) -> ProviderMisconfigured | None:
    """Return the failure of an answer that was not taken for how the provider is registered; None for all others."""
    return ProviderMisconfigured(_REMEDIES[reason], provider_error=said) if reason in _REMEDIES else None


def about(request: AuthorizationRequest | None) -> dict[str, str]:
    """Return what the log says of a visit's request, where there is one."""
    return {} if request is None else request.facts


def _link(request_id: str) -> str:
    """Return where to try again, without the ticket's secret: this browser's cookie has it, and the page must not."""
    return f"/authorize/{request_id}"


def _looks_again(outcome: Outcome) -> int | None:
    """Return after how many seconds the page looks again by itself; None for a form, which a browser sends but once."""
    is_a_form = outcome.request is not None and outcome.request.form_post
    return _LOOKS_AGAIN_AFTER if outcome.page in RELOADED_PAGES and not is_a_form else None


def _status(outcome: Outcome) -> int:
    if outcome.error == SUBJECT_MISMATCH:
        return HTTPStatus.CONFLICT
    if outcome.page == "failed":
        # 500 is for defects of ours, not for a server that calls its own trouble `server_error`.
        known = BY_CODE.get(outcome.error or "", InvalidRequest)
        return HTTPStatus.BAD_GATEWAY if known is ServerError else known.http_status
    return _STATUS[outcome.page]


def _values(outcome: Outcome) -> dict[str, str | None]:
    values: dict[str, str | None] = {} if outcome.provider is None else {"provider": outcome.provider}
    if outcome.page == "failed":
        values["reason"] = _REASONS.get(outcome.error or "", _OTHER_REASON)
    if outcome.may_try_again and outcome.request is not None:
        values["try_again"] = _link(outcome.request.request_id)
    return values
