"""`callback`: the redirection endpoint (RFC 6749 section 3.1.2), where a browser arrives with a code or an error."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields
from functions.vault.oauth import cookies
from functions.vault.oauth.authorization_response import Refused, validate
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
    given, secure = event.get("cookies", []), services.settings.secure
    try:
        response = _validated(event, given, secure=secure)
    except Refused as refused:
        if refused.request_id is not None:
            about["authorization_request_id"] = refused.request_id
        requests = cookies.requests_of(given, secure=secure)
        return replies.of_refused(refused, services.settings.application_url, requests)
    about["authorization_request_id"] = response.browser.request_id
    outcome = services.completing.complete(response, deadline)
    about |= replies.about(outcome.request)
    return replies.of(outcome, _shortened(outcome, given, secure=secure))


def _validated(event: Any, given: list[str], *, secure: bool) -> ValidatedResponse:
    provider = event.get("pathParameters", {}).get("provider", "")
    if not fields.matches(provider, fields.PROVIDER_NAME):
        raise Refused("provider_malformed")
    if event["requestContext"].get("http", {}).get("method") == "POST":
        return validate(provider, _form(event), given, secure=secure, form_post=True)
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


handler = BrowserHandler("callback", _callback, preload=_preload)
