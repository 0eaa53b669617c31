"""What a function returns to Lambda: an HTTP response with JSON, a page or a redirect, or the failures of a batch."""

from __future__ import annotations

import json
from dataclasses import field
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from functions.vault.base.errors import GatehouseError, ProviderError
    from functions.vault.settings import Appearance


@record
class Reply:
    """What a browser gets: the page `outcome` with its `values`, or a redirect to `location`, with this `status`.

    `outcome` and `reason` are fixed words for the log. `failure` is an error of ours for the log, and `provider_error`
    is what an authorization server said; no page shows either. The browser reloads the page after `reload_after`
    seconds. `allow` has the methods that are allowed, if the request had another. `reference` is by what the log is
    searched for what it is about: the id of the request to connect, if the browser has proved that it is its own.
    `hands_on_reference` if the page at `location` is to show the reference of this visit. `is_shown_again` if an
    earlier visit had the same outcome: it is counted once.
    """

    outcome: str
    status: int = 200
    values: Mapping[str, str | None] = field(default_factory=dict)
    location: str | None = None
    cookies: tuple[str, ...] = ()
    reason: str | None = None
    failure: GatehouseError | None = None
    provider_error: ProviderError | None = None
    reload_after: int | None = None
    allow: tuple[str, ...] = ()
    reference: str | None = None
    hands_on_reference: bool = False
    is_shown_again: bool = False


_ALWAYS_BY_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}
"""RFC 6797, for a year, and for this host alone: others at the same domain are not ours."""


@record
class Reader:
    """Who reads a page, and how: in which languages (Accept-Language as it came), and in the deployment's appearance.

    The log has `reference` for this visit. A page shows it, unless the reply has one that says more.
    """

    accept_language: str
    appearance: Appearance
    reference: str


def browser_response(reply: Reply, reader: Reader, *, secure: bool) -> dict[str, Any]:
    """Return the HTTP response that a reply becomes; `secure` if browsers come by https."""
    response: dict[str, Any] = {"statusCode": reply.status}
    if reply.location is not None:
        headers = {"Location": _location(reply, reader), "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        response |= {"headers": headers, "body": ""}
    else:
        response |= _page(reply, reader)
    if secure:
        response["headers"] |= _ALWAYS_BY_HTTPS
    if reply.allow:
        response["headers"]["Allow"] = ", ".join(reply.allow)
    if reply.reload_after is not None:
        response["headers"]["Refresh"] = str(reply.reload_after)
    if reply.cookies:
        response["cookies"] = list(reply.cookies)
    return response


def _location(reply: Reply, reader: Reader) -> str | None:
    """Return where a redirect leads, with what the page there needs of this visit."""
    if reply.location is None or not reply.hands_on_reference:
        return reply.location
    from functions.vault.oauth.result_address import with_reference  # noqa: PLC0415 - of `callback` alone

    return with_reference(reply.location, reader.reference)


def _page(reply: Reply, reader: Reader) -> dict[str, Any]:
    """Return the headers and the body of a page, in the reader's language."""
    from functions.web import language, pages  # noqa: PLC0415 - most browsers are redirected

    appearance = reader.appearance
    chosen = language.preferred(reader.accept_language, language.known(), appearance.language)
    reference = reply.reference or reader.reference
    html = pages.render(reply.outcome, reply.values, reference=reference, language=chosen, appearance=appearance)
    return {"headers": pages.headers(chosen, appearance), "body": html}


def json_response(status: int, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the HTTP response with a result in JSON."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if "retry_after" in result:
        headers["Retry-After"] = str(result["retry_after"])
    return {"statusCode": status, "headers": headers, "body": json.dumps(result)}


def batch_response(to_repeat: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answer that makes SQS deliver these messages again, and delete the rest of the batch."""
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in to_repeat]}
