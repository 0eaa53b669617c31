"""The authorization endpoint (RFC 6749 section 3.1) and its consent page."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.wrappers import Response

from local.demo.clients import Merchant
from local.demo.errors import OAuthError, UntrustedRequestError
from local.demo.grants import AuthorizationRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo.call import Call
    from local.demo.dialect import Dialect
    from local.demo.grants import Grants
    from local.demo.observation import Ledger, Seen

DECISION_HEADER = "X-Demo-Decision"
"""`allow` or `deny`: a test's shortcut past the consent page."""
MERCHANT_HEADER = "X-Demo-Merchant"
"""The merchant_id that consents, where a test needs several."""

_CONSENT_LIFETIME_SECONDS = 600
_TEMPLATES = Path(__file__).parent / "templates"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STALE = "This consent page is no longer valid. Go back to the application and start again."
_DECISIONS = frozenset({"allow", "deny"})
# No form-action: Chromium holds it against the redirect that follows the form, back to the application.
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ERROR_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Authorization request refused</title>
<h1>Authorization request refused</h1>
<p>{}</p>
"""


@dataclass
class _Consent:
    """A request whose merchant is looking at the consent page."""

    request: AuthorizationRequest
    expires_at: float
    location: str | None = field(default=None, repr=False)


class AuthorizationEndpoint:
    """Shows the consent page and turns the decision into an authorization response."""

    def __init__(
        self, grants: Grants, ledger: Ledger, clock: Callable[[], float], callbacks_at: str | None = None
    ) -> None:
        """Start with nobody looking at a consent page; answers may also go to the origin ``callbacks_at``."""
        self._callbacks_at = callbacks_at
        self._grants = grants
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._consents: dict[str, _Consent] = {}
        loader = FileSystemLoader(_TEMPLATES)
        self._templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)

    def answer(self, call: Call) -> Response:
        """Answer GET with the consent page, POST (its form) with the way back."""
        return self._submitted(call) if call.request.method == "POST" else self._opened(call)

    def _opened(self, call: Call) -> Response:
        arguments, seen = call.request.args, call.seen
        self._ledger.received("state", arguments.get("state"))
        seen.client_id = arguments.get("client_id")
        try:
            redirect_uri = _trusted_redirect_uri(call, self._callbacks_at)
        except UntrustedRequestError as error:
            return _refused(str(error), seen)
        way_back = _WayBack(redirect_uri, arguments.get("state"), call.faults.issuer or call.dialect.issuer)
        try:
            request = _validated(call, redirect_uri)
        except OAuthError as error:
            seen.outcome = error.code
            return _redirect(way_back.error(error.code))
        decision = "deny" if call.faults.deny else call.request.headers.get(DECISION_HEADER)
        if decision in _DECISIONS:
            return _redirect(self._decide(request, way_back, decision, seen))
        seen.outcome = "consent_shown"
        return self._page(call.dialect, request)

    def _submitted(self, call: Call) -> Response:
        """Take the decision. Sent twice (a double click) it is answered as the first time."""
        form, seen = call.request.form, call.seen
        decision = form.get("decision")
        with self._lock:
            consent = self._consents.get(form.get("request", ""))
            if consent is None or self._clock() >= consent.expires_at or decision not in _DECISIONS:
                return _refused(_STALE, seen)
            request = consent.request
            seen.client_id = request.client.client_id
            seen.outcome = "repeated"
            if consent.location is None:
                way_back = _WayBack(request.redirect_uri, request.state, call.faults.issuer or call.dialect.issuer)
                consent.location = self._decide(request, way_back, "deny" if call.faults.deny else decision, seen)
            return _redirect(consent.location)

    def _decide(self, request: AuthorizationRequest, way_back: _WayBack, decision: str | None, seen: Seen) -> str:
        if decision == "deny":
            seen.outcome = "access_denied"
            return way_back.error("access_denied")
        code = self._grants.issue_code(request)
        self._ledger.issued("code", code)
        seen.outcome = "code_issued"
        return way_back.code(code)

    def _page(self, dialect: Dialect, request: AuthorizationRequest) -> Response:
        consent_id = secrets.token_urlsafe(16)
        with self._lock:
            self._consents[consent_id] = _Consent(request, self._clock() + _CONSENT_LIFETIME_SECONDS)
        html = self._templates.get_template("consent.html").render(
            application_name=request.client.application_name,
            merchant_name=request.merchant.name,
            merchant_id=request.merchant.merchant_id,
            scopes=list(request.scopes),
            action=f"{dialect.prefix}/authorize",
            fields={"request": consent_id},
        )
        return Response(html, 200, _PAGE_HEADERS, content_type="text/html; charset=utf-8")


@dataclass(frozen=True)
class _WayBack:
    """An authorization response in the making (RFC 6749 section 4.1.2, RFC 9207 section 2)."""

    redirect_uri: str
    state: str | None = field(repr=False)
    issuer: str | None

    def code(self, code: str) -> str:
        return self._location({"code": code})

    def error(self, error: str) -> str:
        return self._location({"error": error})

    def _location(self, parameters: dict[str, str]) -> str:
        context = {"state": self.state, "iss": self.issuer}
        query = parameters | {name: value for name, value in context.items() if value is not None}
        return f"{self.redirect_uri}?{urlencode(query)}"


def _trusted_redirect_uri(call: Call, callbacks_at: str | None) -> str:
    """Return where answers may go; raises UntrustedRequestError."""
    client, request = call.dialect.client, call.request
    if request.args.get("client_id") != client.client_id:
        raise UntrustedRequestError("The client_id is missing or unknown.")
    redirect_uri = request.args.get("redirect_uri", "")
    if not client.accepts(redirect_uri, callbacks_at):
        raise UntrustedRequestError("The redirect_uri is missing or not registered for this client.")
    if any(len(values) > 1 for _, values in request.args.lists()):
        raise UntrustedRequestError("A parameter is repeated.")
    return redirect_uri


def _validated(call: Call, redirect_uri: str) -> AuthorizationRequest:
    """Return the request that the dialect accepts; raises OAuthError."""
    dialect, arguments = call.dialect, call.request.args
    if call.faults.error is not None:
        raise OAuthError(call.faults.error)
    if arguments.get("response_type") != "code":
        raise OAuthError("unsupported_response_type")
    if dialect.requires_state and not arguments.get("state"):
        raise OAuthError("invalid_request")
    return AuthorizationRequest(
        client=dialect.client,
        merchant=Merchant.named(call.request.headers.get(MERCHANT_HEADER)),
        redirect_uri=redirect_uri,
        state=arguments.get("state"),
        scopes=_scopes(dialect, arguments.get("scope"), call.faults.application_scopes),
        code_challenge=_code_challenge(arguments.get("code_challenge"), arguments.get("code_challenge_method"))
        if dialect.requires_pkce
        else None,
    )


def _scopes(dialect: Dialect, scope: str | None, of_application: str | None) -> tuple[str, ...]:
    if dialect.has_fixed_scopes and of_application is not None:
        return tuple(of_application.split())
    if dialect.has_fixed_scopes or not scope:
        return dialect.client.scopes
    scopes = tuple(scope.split(" "))
    if not set(scopes) <= set(dialect.client.scopes):
        raise OAuthError("invalid_scope")
    return scopes


def _code_challenge(challenge: str | None, method: str | None) -> str:
    """Require S256 (RFC 7636 section 4.4.1)."""
    if method != "S256" or challenge is None or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request")
    return challenge


def _redirect(location: str) -> Response:
    """Go back to the application with GET, whatever the method was (RFC 9700 section 4.12)."""
    return Response(b"", 303, {"Location": location} | _PAGE_HEADERS, content_type="text/plain")


def _refused(reason: str, seen: Seen) -> Response:
    """Answer with a page instead of a redirect."""
    seen.outcome = "refused"
    return Response(_ERROR_PAGE.format(escape(reason)), 400, _PAGE_HEADERS, content_type="text/html; charset=utf-8")
