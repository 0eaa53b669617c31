"""The authorization request (RFC 6749 section 4.1.1, RFC 7636) with no secret at rest.

The ticket's secret is known to the link and the browser, the nonce only to the browser; `state` and `code_verifier`
are derived from both and stored nowhere.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from functions.vault.base.fields import FieldCheck, Mismatch, matches
from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from functions.vault.grant.last_attempt import LastAttempt

LINK_LIFETIME = 600
"""Seconds from `start` in which a link can be opened for the first time."""

LIFETIME = 2400
"""Seconds from `start` in which an answer is accepted, and a browser that has opened the link may open it again."""

MOST_EXCHANGES = 5
"""Codes that are exchanged for one link: each costs the provider a request, and a visitor can bring any number."""

MOST_PUSHES = 5
"""Visits of one link that push its request (RFC 9126), for the same reason: link scanners make some of them."""

REQUEST_ID = r"[A-Za-z0-9_-]{22}"
SECRET = r"[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern


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
        """Return the ticket in a path, or None if the path does not have its form."""
        request_id, dot, secret = unverified_ticket.partition(".")
        if not re.fullmatch(REQUEST_ID, request_id) or (dot and not re.fullmatch(SECRET, secret)):
            return None
        return cls(request_id, secret if dot else None)

    def __str__(self) -> str:
        return f"{self.request_id}.{self.secret}"


def ticket_hash(secret: str) -> str:
    """Return what is stored of a ticket's secret: its SHA-256."""
    return _b64url(sha256(secret.encode()).digest())


confirmation_hash = ticket_hash
"""What is stored of a `confirmation`, likewise."""


@record
class BrowserBinding:
    """The browser's half of a request, made by one visit of its link; the browser's cookie holds it."""

    request_id: str
    ticket_secret: str
    nonce: str

    def _derive(self, label: bytes) -> str:
        """Return 256 bits derived from both secrets: HKDF-SHA-256 (RFC 5869) to K, then HMAC of what it is for.

        Written out here, in six lines of the standard library, so that the function that answers every browser's first
        request need not load a cryptography library.
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
    def result(self) -> str:
        """Return what names this visit in the address of its result: see `result_address`."""
        return f"{self.request_id}.{self._derive(b'result')}"

    @property
    def code_verifier(self) -> str:
        """Return the `code_verifier` (RFC 7636 section 4.1)."""
        return self._derive(b"code_verifier")

    @property
    def openid_nonce(self) -> str:
        """Return the `nonce` of an OpenID Connect request (OpenID Connect Core section 3.1.2.1)."""
        return self._derive(b"nonce")

    @property
    def confirmation(self) -> str:
        """Return what this browser brings back to the application, with which that confirms the tokens."""
        return self._derive(b"confirmation")

    @property
    def code_challenge(self) -> str:
        """Return the S256 `code_challenge` (RFC 7636 section 4.2)."""
        return _b64url(sha256(self.code_verifier.encode()).digest())


class Phase(StrEnum):
    """The state of a request. `consumed` is final unless its exchange is known to have failed."""

    OPEN = "open"
    CONSUMED = "consumed"
    FAILED = "failed"


@record
class AuthorizationRequest:
    """One request to connect, as stored: nothing in it lets its reader complete it.

    `authorization_url` has all that does not depend on the browser. If the request is pushed (RFC 9126), `pushed` has
    its parameters, form-encoded, and the URL only the client's id. `has_slots` means that the provider takes a limited
    number of requests at a time, `nonce` that an OpenID Connect `nonce` goes with the request, `confirm` that the
    application has to confirm the tokens; each is stored only if true. `provider_name` is what customers call the
    provider, and `account_name` where the account's name is in a connection's metadata: the first that is there.
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
    provider_name: str | None = None
    account_name: list[str] | None = None
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
    nonce: bool | None = None
    confirm: bool | None = None
    used_states: frozenset[str] = frozenset()
    exchanges: int = 0
    pushes: int = 0
    consumed_by: str | None = None
    consumed_at: int | None = None
    outcome: str | None = None
    last_attempt: LastAttempt | None = None

    def has_expired(self, now: float) -> bool:
        """Return whether it is too late for an answer, or for another visit by a browser that has opened the link."""
        return now >= self.created_at + LIFETIME

    def link_has_expired(self, now: float, *, was_opened_here: bool) -> bool:
        """Return whether it is too late for a browser to open the link; `was_opened_here` if it has done so before."""
        return self.has_expired(now) if was_opened_here else now >= self.expires_at

    @property
    def facts(self) -> dict[str, str]:
        """Return what a log line says about it; `request_id` is taken there, by Lambda's own id of a call."""
        return {
            "authorization_request_id": self.request_id,
            "provider": self.provider,
            "connection_id": self.connection_id,
        }

    @property
    def prompt(self) -> frozenset[str]:
        """Return the prompts that the request asks for (OpenID Connect Core section 3.1.2.1)."""
        query = self.pushed or urlsplit(self.authorization_url).query
        return frozenset(dict(parse_qsl(query)).get("prompt", "").split())

    @property
    def is_used_up(self) -> bool:
        """Return whether this request has used all its exchanges, and the last of them failed."""
        return self.phase is Phase.FAILED and self.exchanges >= MOST_EXCHANGES

    def accepts_issuer(self, iss: str | None) -> bool:
        """Return whether a response with this `iss` is from the issuer (RFC 9207 section 2.4)."""
        if iss is None:
            return not self.iss_required
        return self.issuer in {None, iss}

    def admits(self, ticket_secret: str) -> bool:
        """Return, in constant time, whether `ticket_secret` is the one of this request."""
        return hmac.compare_digest(self.ticket_hash, ticket_hash(ticket_secret))

    def location(self, browser: BrowserBinding) -> str:
        """Return the whole authorization URL for this browser (RFC 6749 section 4.1.1), if nothing is pushed."""
        return with_query(self.authorization_url, self._browser_params(browser))

    def to_push(self, browser: BrowserBinding) -> list[tuple[str, str]]:
        """Return the whole authorization request of this browser, to be pushed (RFC 9126 section 2.1)."""
        return [*parse_qsl(self.pushed or "", keep_blank_values=True), *self._browser_params(browser).items()]

    def pushed_location(self, request_uri: str) -> str:
        """Return the authorization URL of a request that was pushed (RFC 9126 section 4)."""
        return with_query(self.authorization_url, {"request_uri": request_uri})

    def _browser_params(self, browser: BrowserBinding) -> dict[str, str]:
        params = {"state": browser.state}
        if self.pkce:
            params |= {"code_challenge": browser.code_challenge, "code_challenge_method": "S256"}
        if self.nonce:
            params["nonce"] = browser.openid_nonce
        return params


def with_query(url: str, params: Mapping[str, str] | Sequence[tuple[str, str]]) -> str:
    """Return `url` with `params` added to the query that it has (RFC 6749 section 3.1).

    A space becomes `%20`. A form may have `+` for it, but not every server reads a query as a form.
    """
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(params, quote_via=quote)) if part)
    return parts._replace(query=query).geturl()


_URL_CHARACTERS = r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]{1,2048}"
_OURS = frozenset({"connection_id", "request_id", "status", "error", "confirmation"})


def return_to(allowed_origins: frozenset[str]) -> FieldCheck:
    """Accept an absolute URL without fragment or user name, whose origin is exactly one of `allowed_origins`."""

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

    return FieldCheck(accept, {"type": "string", "pattern": _URL_CHARACTERS}, "https://app.example.com/connected")
