"""`callback`: the redirection endpoint (RFC 6749 section 3.1.2), where a browser arrives with a code or an error.

A response is answered by a redirect: back to the application, or to its result (`result_address`), which is shown by
GET.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.oauth import cookies, result_address
from functions.vault.oauth.authorization_response import Refused, validate
from functions.vault.oauth.result_address import WAITING, ResultAddress
from functions.web import replies
from functions.web.handlers import BrowserHandler

if TYPE_CHECKING:
    from functions.vault.base.timing import Deadline
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.oauth.visit_outcome import Outcome
    from functions.vault.services import Services
    from functions.web.log import About
    from functions.web.responses import Reply


def _callback(services: Services, event: Any, deadline: Deadline, about: About) -> Reply:
    provider = event.get("pathParameters", {}).get("provider", "")
    is_posted = event["requestContext"]["http"]["method"] == "POST"
    result = None if is_posted else ResultAddress.parse(event.get("rawQueryString", ""))
    if result is not None:
        return _shown(services, result, provider, event, about)
    try:
        response = _validated(services, event, provider, form=_form(event) if is_posted else None)
    except Refused as refused:
        reply = _refused(services, refused, event, about)
        return replies.at_result(reply, result_address.of_page(reply.outcome), is_posted=is_posted)
    about["authorization_request_id"] = response.browser.request_id
    outcome = services.completing.complete(response, deadline)
    reply = _reply(services, outcome, event, about)
    if outcome.page == WAITING and not is_posted:
        return reply  # The response was not taken: the page reloads itself, and sends it again.
    result_path = result_address.of_outcome(provider, response.browser, outcome)
    return replies.at_result(reply, result_path, is_posted=is_posted)


def _shown(services: Services, result: ResultAddress, provider: str, event: Any, about: About) -> Reply:
    """Show the result of a response, to the browser that brought it."""
    given, secure = event.get("cookies", []), services.settings.secure
    if result.visit is None or result.request_id is None:
        requests = cookies.requests_of(given, secure=secure)
        return replies.of_page(result, services.settings.application_url, requests)
    about["authorization_request_id"] = result.request_id
    cookie = cookies.find(result.request_id, given, secure=secure)
    browser = cookie.binding_of_result(result.visit) if cookie is not None else None
    if browser is None:
        return replies.no_longer_shown("browser_unknown" if cookie is None else "state_mismatch")
    outcome = services.stored_outcomes.of_result(provider, browser, is_waiting=result.so_far == WAITING)
    if outcome is None:
        return _refused(services, Refused("state_missing", result.request_id), event, about)
    reply = _reply(services, outcome, event, about)
    return reply if result.so_far is not None else replies.shown_again(reply)


def _reply(services: Services, outcome: Outcome, event: Any, about: About) -> Reply:
    about |= replies.about(outcome.request)
    return replies.of(outcome, _shortened(outcome, event.get("cookies", []), secure=services.settings.secure))


def _refused(services: Services, refused: Refused, event: Any, about: About) -> Reply:
    if refused.request_id is not None:
        about["authorization_request_id"] = refused.request_id
    requests = cookies.requests_of(event.get("cookies", []), secure=services.settings.secure)
    return replies.of_refused(refused.reason, services.settings.application_url, requests)


def _validated(services: Services, event: Any, provider: str, *, form: str | None = None) -> ValidatedResponse:
    if not fields.matches(provider, fields.PROVIDER_NAME):
        raise Refused("provider_malformed")
    given, secure = event.get("cookies", []), services.settings.secure
    if form is not None:
        return validate(provider, form, given, secure=secure, form_post=True)
    return validate(provider, event.get("rawQueryString", ""), given, secure=secure)


def _shortened(outcome: Outcome, given: list[str], *, secure: bool) -> tuple[str, ...]:
    """Return the cookie of a request that has ended, with a short life: it is needed only if its page is reloaded."""
    request = outcome.request
    if request is None or not outcome.is_the_end:
        return ()
    cookie = cookies.find(request.request_id, given, secure=secure)
    return (cookie.set_cookie(secure=secure, lifetime=cookies.LIFETIME_AFTER_THE_END),) if cookie else ()


def _form(event: Any) -> str:
    """Return the form of a POST as it was sent (OAuth 2.0 Form Post Response Mode). Its query does not count."""
    content_type = event.get("headers", {}).get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Refused("not_a_form")
    body: str = event.get("body", "")
    try:
        # Fields that are not read may be in any encoding: their octets are kept as they are.
        return b64decode(body, validate=True).decode(errors="surrogateescape") if event.get("isBase64Encoded") else body
    except ValueError:
        raise Refused("form_malformed") from None


def _preload(services: Services) -> None:
    services.preload("completing", clients=("dynamodb", "kms", "secretsmanager"))


handler = BrowserHandler("callback", _callback, methods=("GET", "POST"), preload=_preload)
