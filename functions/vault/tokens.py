"""The secrets of one grant, in memory only for as long as one call needs them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What is sealed: an access token and, where the server gave one, a refresh token. Neither shows in a `repr`."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)

    def to_bytes(self) -> bytes:
        """Return the plaintext that is sealed: canonical JSON."""
        return json.dumps(
            {"access_token": self.access_token, "refresh_token": self.refresh_token},
            separators=(",", ":"),
            sort_keys=True,
        ).encode()

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> TokenSet:
        """Return the token set of an opened seal."""
        return cls(**json.loads(plaintext))


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """A successful token response (RFC 6749 section 5.1), validated; times are absolute Unix seconds."""

    tokens: TokenSet
    token_type: str = "Bearer"  # noqa: S105 - a type of token, not a token
    expires_at: int | None = None
    refresh_expires_at: int | None = None
    scope: str | None = None
    subject: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def keeping(self, refresh_token: str | None) -> TokenResponse:
        """Return this response with the refresh token that was used, where the server sent no new one (section 6)."""
        if self.tokens.refresh_token is not None:
            return self
        return replace(self, tokens=replace(self.tokens, refresh_token=refresh_token))
