"""The grants that merchants gave and the credentials issued for them: the core below both dialects.

Nothing here knows HTTP. Every public method takes the one lock, so that the server is as atomic as a real one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import math
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local.demo.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.demo.clients import Client, Merchant

CODE_LIFETIME_SECONDS = 60


@dataclass(frozen=True)
class AuthorizationRequest:
    """A validated authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3)."""

    client: Client
    merchant: Merchant
    redirect_uri: str
    state: str | None = field(repr=False)
    scopes: tuple[str, ...]
    code_challenge: str | None


@dataclass(frozen=True)
class TokenSet:
    """What one successful token request issued. `lifetime_seconds` counts from the moment of issue."""

    grant_id: str
    merchant: Merchant
    scopes: tuple[str, ...]
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    lifetime_seconds: int


@dataclass(frozen=True)
class RefreshPolicy:
    """How the server treats refresh tokens (RFC 9700 section 4.14.2)."""

    rotate: bool
    reuse_detection: bool
    replay_window_seconds: float
    lifetime_seconds: int


@dataclass
class _Code:
    request: AuthorizationRequest
    expires_at: float
    grant_id: str | None = None
    is_used: bool = False


@dataclass
class Grant:
    """One merchant's consent to one client, and what is alive of it."""

    grant_id: str
    client_id: str
    merchant: Merchant
    scopes: tuple[str, ...]
    is_revoked: bool = False
    refreshes: int = 0
    refresh_token: str = field(default="", repr=False)
    access_tokens: dict[str, float] = field(default_factory=dict, repr=False)
    rotated: dict[str, tuple[float, TokenSet]] = field(default_factory=dict, repr=False)


class Grants:
    """Codes, grants and tokens; times come from the given clock (Unix seconds)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with nothing granted."""
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, _Code] = {}
        self._grants: dict[str, Grant] = {}
        self._grant_of_token: dict[str, Grant] = {}
        self._numbers = itertools.count(1)

    def issue_code(self, request: AuthorizationRequest) -> str:
        """Return a new authorization code for `request`, good once and for a minute."""
        with self._lock:
            code = _new("code")
            self._codes[code] = _Code(request, self._clock() + CODE_LIFETIME_SECONDS)
            return code

    def exchange(
        self, client: Client, code: str, redirect_uri: str, code_verifier: str | None, lifetime_seconds: int
    ) -> TokenSet:
        """Exchange `code` (RFC 6749 section 4.1.3); raises OAuthError.

        A code that comes a second time revokes the grant that it made (section 4.1.2).
        """
        with self._lock:
            issued = self._codes.get(code)
            if issued is None or issued.request.client.client_id != client.client_id:
                raise OAuthError("invalid_grant", "The authorization code is unknown.")
            if issued.is_used:
                self._revoke(issued.grant_id)
                raise OAuthError("invalid_grant", "The authorization code was used before; its grant is revoked.")
            issued.is_used = True
            self._check_binding(issued, redirect_uri, code_verifier)
            grant = self._open(issued.request)
            issued.grant_id = grant.grant_id
            return self._issue(grant, lifetime_seconds, with_refresh_token=True)

    def refresh(self, client: Client, refresh_token: str, policy: RefreshPolicy) -> tuple[TokenSet, bool]:
        """Refresh (RFC 6749 section 6); returns the tokens and whether they only repeat an earlier answer.

        Raises OAuthError `invalid_grant`; with reuse detection a rotated token also ends its grant.
        """
        with self._lock:
            grant = self._grant_of_token.get(refresh_token)
            is_refresh_token = grant is not None and refresh_token not in grant.access_tokens
            if grant is None or not is_refresh_token or grant.client_id != client.client_id or grant.is_revoked:
                raise OAuthError("invalid_grant", "The refresh token is invalid, expired or revoked.")
            if refresh_token in grant.rotated:
                return self._replay(grant, refresh_token, policy), True
            tokens = self._issue(grant, policy.lifetime_seconds, with_refresh_token=policy.rotate)
            if policy.rotate:
                grant.rotated[refresh_token] = (self._clock(), tokens)
            grant.refreshes += 1
            return tokens, False

    def revoke_token(self, client: Client, token: str) -> bool:
        """Revoke the grant behind `token` (RFC 7009 section 2.1); returns whether there was a live one."""
        with self._lock:
            grant = self._live_grant_of(client, token)
            if grant is not None:
                self._revoke(grant.grant_id)
            return grant is not None

    def revoke_application(self, client: Client, token: str, takes: tuple[str, ...]) -> bool:
        """Revoke all that the merchant behind `token` granted to `client`, if that is one of the kinds it `takes`.

        Returns whether it was, and was live. Of UltraCart nobody knows what an access token does that has run out;
        this server is the harsher one.
        """
        with self._lock:
            grant = self._live_grant_of(client, token)
            if grant is None or ("access_token" if token in grant.access_tokens else "refresh_token") not in takes:
                return False
            if self._clock() >= grant.access_tokens.get(token, math.inf):
                return False
            for other in self._grants.values():
                if (other.client_id, other.merchant) == (client.client_id, grant.merchant):
                    self._revoke(other.grant_id)
            return True

    def withdraw(self, merchant_id: str | None = None) -> None:
        """End every grant of a merchant (or of all), as when consent is withdrawn in the server's own pages."""
        with self._lock:
            for grant in self._grants.values():
                if merchant_id in {None, grant.merchant.merchant_id}:
                    self._revoke(grant.grant_id)

    def bearer(self, access_token: str) -> Grant | None:
        """Return the grant that `access_token` speaks for, None where it is unknown, expired or revoked."""
        with self._lock:
            grant = self._grant_of_token.get(access_token)
            if grant is None or grant.is_revoked:
                return None
            return grant if self._clock() < grant.access_tokens.get(access_token, 0) else None

    def grant_id_of(self, credential: str) -> str | None:
        """Return the public id of the grant that a token belongs to or that a code has made."""
        with self._lock:
            if credential in self._codes:
                return self._codes[credential].grant_id
            grant = self._grant_of_token.get(credential)
            return grant.grant_id if grant else None

    def summary(self) -> list[dict[str, object]]:
        """Return every grant without its tokens."""
        with self._lock:
            return [
                {
                    "grant_id": grant.grant_id,
                    "client_id": grant.client_id,
                    "merchant_id": grant.merchant.merchant_id,
                    "scopes": list(grant.scopes),
                    "revoked": grant.is_revoked,
                    "refreshes": grant.refreshes,
                }
                for grant in self._grants.values()
            ]

    def _check_binding(self, issued: _Code, redirect_uri: str, code_verifier: str | None) -> None:
        if self._clock() >= issued.expires_at:
            raise OAuthError("invalid_grant", "The authorization code has expired.")
        if redirect_uri != issued.request.redirect_uri:
            raise OAuthError("invalid_grant", "The redirect_uri is not the one of the authorization request.")
        challenge = issued.request.code_challenge
        if challenge is not None and not _matches(challenge, code_verifier):
            raise OAuthError("invalid_grant", "The code_verifier does not match the code_challenge.")

    def _open(self, request: AuthorizationRequest) -> Grant:
        grant = Grant(f"grant-{next(self._numbers)}", request.client.client_id, request.merchant, request.scopes)
        self._grants[grant.grant_id] = grant
        return grant

    def _issue(self, grant: Grant, lifetime_seconds: int, *, with_refresh_token: bool) -> TokenSet:
        access_token = _new("access")
        grant.access_tokens[access_token] = self._clock() + lifetime_seconds
        self._grant_of_token[access_token] = grant
        if with_refresh_token:
            grant.refresh_token = _new("refresh")
            self._grant_of_token[grant.refresh_token] = grant
        refresh_token = grant.refresh_token if with_refresh_token else None
        return TokenSet(grant.grant_id, grant.merchant, grant.scopes, access_token, refresh_token, lifetime_seconds)

    def _replay(self, grant: Grant, refresh_token: str, policy: RefreshPolicy) -> TokenSet:
        rotated_at, tokens = grant.rotated[refresh_token]
        if self._clock() - rotated_at < policy.replay_window_seconds:
            return tokens
        if policy.reuse_detection:
            self._revoke(grant.grant_id)
        raise OAuthError("invalid_grant", "The refresh token was used before.")

    def _live_grant_of(self, client: Client, token: str) -> Grant | None:
        grant = self._grant_of_token.get(token)
        is_live = grant is not None and grant.client_id == client.client_id and not grant.is_revoked
        return grant if is_live else None

    def _revoke(self, grant_id: str | None) -> None:
        if grant_id is not None:
            self._grants[grant_id].is_revoked = True


def _new(kind: str) -> str:
    """Make a credential whose prefix says what it is when it turns up where it should not be."""
    return f"demo-{kind}-{secrets.token_urlsafe(32)}"


def _matches(code_challenge: str, code_verifier: str | None) -> bool:
    """Verify S256 (RFC 7636 section 4.6)."""
    digest = hashlib.sha256((code_verifier or "").encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), code_challenge)
