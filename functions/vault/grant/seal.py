"""How a token set is sealed, and to whom it was issued: what its ciphertext is bound to."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from .token_set import TokenSet

TOKENS, PENDING = "gatehouse/tokens", "gatehouse/pending"
"""What a token set is sealed for: to be used, or to wait. What is sealed to wait does not open as what is used."""


@record
class Seal:
    """What holds the secrets of a token set: see `sealing`. `key` names the KMS key; format 1 did not say."""

    ciphertext: bytes
    format: int
    version: int
    key: str | None = None


@record
class Whose:
    """To whom a token set was issued, and by which server: compared with the registration before any of it is sent.

    `origins` are those of the token, refresh, revocation and account endpoints. If `client_id` is None, only provider
    and parameters are known.
    """

    provider: str
    client_id: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    issuer: str | None = None
    origins: dict[str, str] = field(default_factory=dict)

    def is_of_the_same_client(self, other: Whose) -> bool:
        """Return whether both are of one client and one tenant, as far as is known."""
        are_known = None not in {self.client_id, other.client_id}
        is_same_client = self.client_id == other.client_id or not are_known
        return is_same_client and (self.provider, self.parameters) == (other.provider, other.parameters)

    def is_used_like(self, other: Whose) -> bool:
        """Return whether both are known to be of one client and one tenant, and are refreshed and revoked alike.

        The endpoint that is asked for their account does not matter.
        """
        return self.client_id is not None and self._without_account == other._without_account

    @property
    def _without_account(self) -> Whose:
        return replace(self, origins={use: origin for use, origin in self.origins.items() if use != "account"})


@record
class Sealer:
    """Seals one token set under the `id` that it has from then on. It needs no request to KMS: its key is at hand."""

    id: str
    whose: Whose
    seal: Callable[[TokenSet], Seal]
