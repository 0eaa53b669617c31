"""What is sealed. In a module of its own: opening a token set needs nothing of what an answer is made of."""

from __future__ import annotations

import json

from functions.vault.base.record import record


@record
class TokenSet:
    """What is sealed: an access token and, if the server gave one, a refresh token.

    An ID token is part of it until somebody has verified it: until then the account has to be asked for.
    """

    access_token: str
    refresh_token: str | None = None
    unverified_id_token: str | None = None

    def to_bytes(self) -> bytes:
        """Return the plaintext that is sealed: canonical JSON, with its names in alphabetical order."""
        members = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        if self.unverified_id_token is not None:
            members["unverified_id_token"] = self.unverified_id_token
        return json.dumps(members, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> TokenSet:
        """Return the token set of an opened seal."""
        return cls(**json.loads(plaintext))
