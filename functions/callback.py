"""`callback`: the redirection endpoint (RFC 6749 section 3.1.2), completing what a browser comes back from."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from functions import replies
from functions.edge import BrowserDoor, Reply
from functions.vault import authorization, fields
from functions.vault.authorization import Refused

if TYPE_CHECKING:
    from functions.vault.authorization import ValidatedResponse
    from functions.vault.settings import House
    from functions.vault.timing import Deadline


def _callback(house: House, event: Any, deadline: Deadline) -> Reply:
    try:
        response = _validated(event, secure=house.secure)
    except Refused as refused:
        return Reply("refused", 400, reason=refused.reason)
    return replies.of(house.completing.complete(response, deadline))


def _validated(event: Any, *, secure: bool) -> ValidatedResponse:
    provider = event.get("pathParameters", {}).get("provider", "")
    if not fields.matches(provider, fields.PROVIDER_NAME):
        raise Refused("provider_malformed")
    cookies = event.get("cookies", [])
    if event["requestContext"].get("http", {}).get("method") == "POST":
        return authorization.validate(provider, _form(event), cookies, secure=secure, form_post=True)
    return authorization.validate(provider, event.get("rawQueryString", ""), cookies, secure=secure)


def _form(event: Any) -> str:
    """Return the form of a POST as it was sent (OAuth 2.0 Form Post Response Mode); nothing of its URL counts."""
    content_type = event.get("headers", {}).get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Refused("not_a_form")
    body: str = event.get("body", "")
    try:
        return b64decode(body, validate=True).decode("ascii") if event.get("isBase64Encoded") else body
    except ValueError:
        raise Refused("form_malformed") from None


def _furnish(house: House) -> None:
    house.ready("completing", services=("dynamodb", "kms", "secretsmanager"))


handler = BrowserDoor("callback", _callback, furnish=_furnish)
