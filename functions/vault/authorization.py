"""The authorization request (RFC 6749 section 4.1.1, RFC 7636) with no secret at rest, and the response to it.

The ticket's secret is known to the link and the browser, the nonce to the browser alone; `state` and `code_verifier`
are derived from both and stored nowhere. A response is checked against the browser's cookie without asking anybody, and
only `validate` makes the `ValidatedResponse` that an exchange takes.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import field, replace
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from .errors import ProviderMisconfigured
from .fields import Mismatch, matches
from .record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIFETIME = 600
"""Seconds from `start` until a request is too old to be completed."""

COOKIE_LIFETIME = 3600
"""Seconds that the browser keeps its half: longer than the request, so that one who comes too late is told so."""

MOST_EXCHANGES = 5
"""Codes that are exchanged for one link: each costs the provider a request, and whoever has the link can bring more."""

REQUEST_ID = r"[A-Za-z0-9_-]{22}"
_SECRET = r"[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern
_STATE = r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})"
_LONGEST_QUERY = 8192
_MOST_PARAMETERS = 50


def _b64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def new_request_id() -> str:
    """Return 128 fresh random bits."""
    return secrets.token_urlsafe(16)


def new_secret() -> str:
    """Return 256 fresh random bits: a ticket's secret, or a browser's nonce."""
    return secrets.token_urlsafe(32)


@record
class Ticket:
    """What the authorize link carries: the request's id and, on its first visit, the secret that proves it is ours."""

    request_id: str
    secret: str | None

    @classmethod
    def parse(cls, unverified_ticket: str) -> Ticket | None:
        """Return the ticket of a path, or None where it has not the form of one."""
        request_id, dot, secret = unverified_ticket.partition(".")
        if not re.fullmatch(REQUEST_ID, request_id) or (dot and not re.fullmatch(_SECRET, secret)):
            return None
        return cls(request_id, secret if dot else None)

    def __str__(self) -> str:
        return f"{self.request_id}.{self.secret}"


def ticket_hash(secret: str) -> str:
    """Return what is stored of a ticket's secret: its SHA-256."""
    return _b64url(sha256(secret.encode()).digest())


@record
class BrowserBinding:
    """The browser's half of a request, as its cookie holds it."""

    request_id: str
    ticket_secret: str
    nonce: str

    @classmethod
    def parse(cls, request_id: str, unverified_cookie: str) -> BrowserBinding | None:
        """Return the binding in a cookie's value, or None where it has not the form of one."""
        ticket_secret, _, nonce = unverified_cookie.partition(".")
        if not re.fullmatch(_SECRET, ticket_secret) or not re.fullmatch(_SECRET, nonce):
            return None
        return cls(request_id, ticket_secret, nonce)

    @property
    def cookie_value(self) -> str:
        """Return the cookie's value."""
        return f"{self.ticket_secret}.{self.nonce}"

    def _derive(self, label: bytes) -> str:
        """Return 256 bits derived from both secrets: HKDF-SHA-256 (RFC 5869) to K, then HMAC of what it is for.

        Written out here, in six lines of the standard library, because the function that answers every browser's first
        request should not load a cryptography library for it.
        """
        pseudorandom_key = hmac.digest(
            self.request_id.encode(), f"{self.ticket_secret}.{self.nonce}".encode(), "sha256"
        )
        key = hmac.digest(pseudorandom_key, b"gatehouse authorization request\x01", "sha256")
        return _b64url(hmac.digest(key, label, "sha256"))

    @property
    def state(self) -> str:
        """Return the `state` of this request in this browser (RFC 6749 section 4.1.1)."""
        return f"{self.request_id}.{self._derive(b'state')}"

    @property
    def code_verifier(self) -> str:
        """Return the `code_verifier` (RFC 7636 section 4.1)."""
        return self._derive(b"code_verifier")

    @property
    def code_challenge(self) -> str:
        """Return the S256 `code_challenge` (RFC 7636 section 4.2)."""
        return _b64url(sha256(self.code_verifier.encode()).digest())


def cookie_name(request_id: str, *, secure: bool, form_post: bool = False) -> str:
    """Return the name of the cookie that binds a request to a browser; `__Host-` wherever the browser honours it.

    Requests whose answer is to be posted have names of their own: their cookies come along with a form that another
    site sends, and one that does so must not open what was asked for otherwise.
    """
    return f"{'__Host-' if secure else ''}gatehouse-{'post-' if form_post else ''}{request_id}"


def cookie(browser: BrowserBinding, *, secure: bool, form_post: bool = False) -> str:
    """Return the Set-Cookie value that gives a browser its half of a request.

    `SameSite=Lax` comes along when a link or redirect leads back here, and not with a form of another site: for an
    answer that is posted (OAuth 2.0 Form Post Response Mode) it has to be `None`, which browsers take with `Secure`
    alone. On plain http, which is this machine, neither is said: a page of the same host is the same site there.
    """
    name = cookie_name(browser.request_id, secure=secure, form_post=form_post)
    same_site = "; SameSite=Lax" if not form_post else "; SameSite=None" if secure else ""
    attributes = f"Max-Age={COOKIE_LIFETIME}; Path=/; HttpOnly{'; Secure' if secure else ''}{same_site}"
    return f"{name}={browser.cookie_value}; {attributes}"


class Phase(StrEnum):
    """Where a request stands. `consumed` is final unless its exchange is known to have failed."""

    OPEN = "open"
    CONSUMED = "consumed"
    FAILED = "failed"


@record
class AuthorizationRequest:
    """One request to connect, as stored: nothing in it lets its reader complete it.

    `authorization_url` is what is known of it without a browser. Where the request is pushed (RFC 9126), `pushed` holds
    its parameters, form-encoded, and the URL nothing but the client's id. `has_slots` says that the provider takes a
    limited number of requests at a time; where it does not, nothing is stored.
    """

    request_id: str
    ticket_hash: str
    provider: str
    connection_id: str
    created_at: int
    expires_at: int
    authorization_url: str
    redirect_uri: str
    pkce: bool
    connection_version: int
    connection_revocations: int
    phase: Phase = Phase.OPEN
    issuer: str | None = None
    iss_required: bool = False
    scope: str | None = None
    return_to: str | None = None
    owner: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pushed: str | None = None
    form_post: bool = False
    allow_new_subject: bool = False
    has_slots: bool | None = None
    used_states: frozenset[str] = frozenset()
    exchanges: int = 0
    consumed_by: str | None = None
    consumed_at: int | None = None
    outcome: str | None = None

    def is_expired(self, now: float) -> bool:
        """Tell whether it is too late for this request."""
        return now >= self.expires_at

    @property
    def is_used_up(self) -> bool:
        """Tell whether as many codes were exchanged for this request as may be, and the last of them in vain."""
        return self.phase is Phase.FAILED and self.exchanges >= MOST_EXCHANGES

    def accepts_issuer(self, iss: str | None) -> bool:
        """Tell whether a response with this `iss` is the issuer's (RFC 9207 section 2.4)."""
        if iss is None:
            return not self.iss_required
        return self.issuer in {None, iss}

    def admits(self, ticket_secret: str) -> bool:
        """Tell, in constant time, whether `ticket_secret` is this request's."""
        return hmac.compare_digest(self.ticket_hash, ticket_hash(ticket_secret))

    def location(self, browser: BrowserBinding) -> str:
        """Return the whole authorization URL for this browser (RFC 6749 section 4.1.1), where nothing is pushed."""
        return with_query(self.authorization_url, self._of(browser))

    def to_push(self, browser: BrowserBinding) -> list[tuple[str, str]]:
        """Return the whole authorization request of this browser as it is pushed (RFC 9126 section 2.1)."""
        return [*parse_qsl(self.pushed or "", keep_blank_values=True), *self._of(browser).items()]

    def pushed_location(self, request_uri: str) -> str:
        """Return the authorization URL for a request that was pushed (RFC 9126 section 4)."""
        return with_query(self.authorization_url, {"request_uri": request_uri})

    def _of(self, browser: BrowserBinding) -> dict[str, str]:
        params = {"state": browser.state}
        if self.pkce:
            params |= {"code_challenge": browser.code_challenge, "code_challenge_method": "S256"}
        return params


def with_query(url: str, params: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    """Return `url` with `params` added to its query, which it keeps (RFC 6749 section 3.1)."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(params)) if part)
    return parts._replace(query=query).geturl()


class Refused(Exception):
    """A response that is not one to a request of this browser. `reason` is a fixed word, fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@record
class ValidatedResponse:
    """An authorization response (RFC 6749 section 4.1.2) to a request of the browser that brought it.

    Only `validate` makes one. Either `code` or `error` is set, or the code is among the other `parameters`, under a
    name that the provider has for it: `with_code` finds it there. `iss` (RFC 9207) still has to be held against the
    stored request, in the consuming write.
    """

    provider: str
    browser: BrowserBinding
    iss: str | None
    code: str | None
    error: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    def with_code(self, name: str) -> ValidatedResponse:
        """Return this response with the code that stands under the provider's name for it, where there is one."""
        code = self.parameters.get(name) or self.code
        if code is None:
            raise ProviderMisconfigured(
                f"The authorization response has neither an error nor the code, expected as {name!r}: "
                "check code_parameter of the registration."
            )
        return replace(self, code=code)

    @property
    def state_hash(self) -> str:
        """Return what is kept of a used state."""
        return ticket_hash(self.browser.state)


# RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6: anything else that a server says becomes
# `server_error`.
RESPONSE_ERRORS = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
    }
)


_READ = frozenset({"state", "code", "error", "error_description", "error_uri", "iss"})
"""What is read of a response before it is known whose it is; the rest is for who knows the provider."""


def validate(
    provider: str, unverified_query: str, unverified_cookies: Iterable[str], *, secure: bool, form_post: bool = False
) -> ValidatedResponse:
    """Return the authorization response in a raw query, if it answers a request of the browser with these cookies.

    With `form_post` it is the form of a POST instead, and answers only a request that asked for one. No I/O: a forged,
    foreign, malformed or stale response raises `Refused` and costs nothing.
    """
    parameters = _parameters(unverified_query)
    state = re.fullmatch(_STATE, parameters.get("state", ""))
    if state is None:
        raise Refused("state_malformed")
    browser = binding_of(state[1], unverified_cookies, secure=secure, form_post=form_post)
    if browser is None:
        raise Refused("browser_unknown")
    if not hmac.compare_digest(browser.state, state[0]):
        raise Refused("state_mismatch")
    code, error = parameters.get("code") or None, parameters.get("error") or None
    others = {name: value for name, value in parameters.items() if name not in _READ and value}
    if (code is not None and error is not None) or (code is None and error is None and not others):
        raise Refused("code_or_error_expected")
    if error is not None and error not in RESPONSE_ERRORS:
        error = "server_error"
    return ValidatedResponse(provider, browser, parameters.get("iss"), code, error, others)


def _parameters(unverified_query: str) -> dict[str, str]:
    if len(unverified_query) > _LONGEST_QUERY:
        raise Refused("query_too_long")
    try:
        pairs = parse_qsl(unverified_query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise Refused("query_malformed") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Refused("parameter_duplicated")
    return parameters


def binding_of(
    request_id: str, unverified_cookies: Iterable[str], *, secure: bool, form_post: bool = False
) -> BrowserBinding | None:
    """Return this browser's half of a request from its cookies (each `name=value`); None where it has none or two."""
    prefix = cookie_name(request_id, secure=secure, form_post=form_post) + "="
    values = [cookie.strip().removeprefix(prefix) for cookie in unverified_cookies if cookie.strip().startswith(prefix)]
    return BrowserBinding.parse(request_id, values[0]) if len(values) == 1 else None


_URL_CHARACTERS = r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]{1,2048}"


_OURS = frozenset({"connection_id", "status", "error", "confirmation"})


def return_to(allowed_origins: frozenset[str]) -> Any:
    """Accept an absolute URL, without fragment or user name, whose origin is one of `allowed_origins` to the letter."""

    def accept(value: Any) -> str:
        expected = (
            "an absolute URL of at most 2,048 characters without user name or fragment, "
            "of an origin that the deployment allows (ReturnToOrigins)"
        )
        if not matches(value, _URL_CHARACTERS):
            raise Mismatch(expected)
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise Mismatch(expected) from None
        if _OURS.intersection(name for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
            raise Mismatch(f"{expected}, without the parameters that the answer adds ({', '.join(sorted(_OURS))})")
        if "@" in parts.netloc or f"{parts.scheme}://{parts.netloc}".lower() not in allowed_origins:
            raise Mismatch(expected)
        return value

    return accept
