"""What is sealed. By itself, because whoever opens a token set does not need what a server's answer is made of."""

from __future__ import annotations

import json

from functions.vault.base.record import record


@record
class TokenSet:
    """What is sealed: an access token and, where the server gave one, a refresh token.

    An ID token is among it for as long as nobody has verified it, and so it has to be asked whose account they are for.
    """

    access_token: str
    refresh_token: str | None = None
    unverified_id_token: str | None = None

    def to_bytes(self) -> bytes:
        """Return the plaintext that is sealed: canonical JSON."""
        members = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        if self.unverified_id_token is not None:
            members["unverified_id_token"] = self.unverified_id_token
        return json.dumps(members, separators=(",", ":"), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, plaintext: bytes) -> TokenSet:
        """Return the token set of an opened seal."""
        return cls(**json.loads(plaintext))
