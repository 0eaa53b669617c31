"""Which reply a browser gets for an outcome: one of our pages, or a redirect back to the application."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.vault.base.errors import BY_CODE, InvalidRequest, ProviderMisconfigured, ServerError
from functions.vault.oauth.visit_outcome import RELOADED_PAGES, SUBJECT_MISMATCH, Outcome
from functions.web.responses import Reply

if TYPE_CHECKING:
    from functions.vault.base.errors import ProviderError
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.result_address import ResultAddress

_STATUS = {
    "connected": 200,
    "already": 200,
    "denied": 200,
    "unfinished": 202,
    "waiting": 202,
    "refused": 400,
    "invalid_link": 404,
    "no_longer_shown": 410,
    "expired": 410,
}

_RELOAD_AFTER = 2

_REFUSALS = {"refused": "browser_unknown", "not_connected": "state_missing", "begin_here": "code_without_state"}
"""Pages of a response that was refused, each with a reason for which it is shown."""

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
"""What the log tells an operator about a response that was refused because of the provider's registration."""


def of(outcome: Outcome, cookies: tuple[str, ...] = ()) -> Reply:
    """Return the reply to a browser whose visit ended with this outcome."""
    reason = outcome.error or outcome.reason
    location = outcome.return_to
    status, values = (HTTPStatus.FOUND, {}) if location is not None else (_status(outcome), _values(outcome))
    reload_after = _reload_after(outcome)
    failure = outcome.failure or _remedy(reason, outcome.provider_error)
    reference = outcome.request.request_id if outcome.request is not None else None
    return Reply(
        outcome.page,
        status,
        values,
        location,
        cookies,
        reason,
        failure,
        outcome.provider_error,
        reload_after,
        reference=reference,
    )


def at_result(reply: Reply, result: str, *, is_posted: bool) -> Reply:
    """Return the reply to a response: the page of `reply` is shown at the path `result`, by GET.

    So code and state leave the address, and neither a reload nor Back sends the response again. Where the application
    gets its user back, that is where the browser goes; after a form by 303, so that it posts nothing there.
    """
    if reply.location is not None:
        return replace(reply, status=HTTPStatus.SEE_OTHER) if is_posted else reply
    return replace(
        reply,
        status=HTTPStatus.SEE_OTHER,
        location=result,
        reload_after=None,
        hands_on_reference=reply.reference is None,
    )


def shown_again(reply: Reply) -> Reply:
    """Return the reply that shows a result: the line of the visit that it came of has its outcome, and why."""
    if reply.location is not None:
        return reply
    return replace(reply, is_shown_again=True, reason=None, failure=None, provider_error=None)


def of_page(result: ResultAddress, application_url: str | None, requests: list[str]) -> Reply:
    """Return the reply that shows the result of a response that was refused; `requests` as in `of_refused`."""
    if result.page is None or result.page not in _REFUSALS:
        return no_longer_shown("result_unknown")
    refused = of_refused(_REFUSALS[result.page], application_url, requests)
    return shown_again(replace(refused, reference=result.reference))


def no_longer_shown(reason: str) -> Reply:
    """Return the reply to a browser that must not see the result at an address, or to which there is none any more."""
    return of(Outcome("no_longer_shown", reason=reason))


def of_refused(reason: str, application_url: str | None, requests: list[str]) -> Reply:
    """Return the reply to a response that was refused. `requests` are those that this browser has cookies of.

    A code without a state comes from an install that began at the provider: the page leads to the application. A
    response that names no request may be a refusal of one of this browser's.
    """
    if reason == "code_without_state" and application_url is not None:
        return Reply("begin_here", 200, {"application": application_url}, reason=reason)
    if reason == "state_missing" and requests:
        values = {"try_again": _link(requests[0])} if len(requests) == 1 else {}
        return Reply("not_connected", 400, values, reason=reason)
    return Reply("refused", 400, reason=reason, failure=_remedy(reason))


def _remedy(reason: str | None, error: ProviderError | None = None) -> ProviderMisconfigured | None:
    """Return the failure to log if a response was refused because of the registration; None for any other reason."""
    return ProviderMisconfigured(_REMEDIES[reason], provider_error=error) if reason in _REMEDIES else None


def about(request: AuthorizationRequest | None) -> dict[str, str]:
    """Return what the log says about the request of a visit, if there is one."""
    return {} if request is None else request.facts


def _link(request_id: str) -> str:
    """Return the link for another try. The ticket's secret is in this browser's cookie and must not be in a page."""
    return f"/authorize/{request_id}"


def _reload_after(outcome: Outcome) -> int | None:
    """Return the seconds until the page reloads itself; None if nothing comes of that.

    A code that was posted, and not taken because no slot was free, is gone: the person has to go to the provider again.
    """
    return _RELOAD_AFTER if outcome.page in RELOADED_PAGES and not outcome.may_try_again else None


def _status(outcome: Outcome) -> int:
    if outcome.error == SUBJECT_MISMATCH:
        return HTTPStatus.CONFLICT
    if outcome.page == "failed":
        # 500 is for our own defects. A server's `server_error` is not one.
        known = BY_CODE.get(outcome.error or "", InvalidRequest)
        return HTTPStatus.BAD_GATEWAY if known is ServerError else known.http_status
    return _STATUS[outcome.page]


def _values(outcome: Outcome) -> dict[str, str | None]:
    named = outcome.request.provider_name if outcome.request is not None else None
    values: dict[str, str | None] = {} if outcome.provider is None else {"provider": named or outcome.provider}
    if outcome.page == "failed":
        values["error"] = outcome.error or ""
    if outcome.account is not None:
        values["account"] = outcome.account
    if outcome.may_try_again and outcome.request is not None:
        values["try_again"] = _link(outcome.request.request_id)
    return values
