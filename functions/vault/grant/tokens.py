"""The secrets of one grant, in memory only for as long as one call needs them."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

from .life import Place
from .stored_set import StoredSet

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

    from .seal import Seal, Sealer, Whose
    from .token_set import TokenSet
    from .upkeep import Upkeep


@record
class TokenResponse:
    """A successful token response (RFC 6749 section 5.1), validated; times are absolute Unix seconds.

    `scope_missing` is what was asked for and is not in `scope`. `client_secret_used` says which of the client's secrets
    the server took: `newest`, `previous`, None for neither. `not_verified` is why what it says of its account must not
    be believed. `asks_endpoint`: the provider's account endpoint has to be asked for the account.
    """

    tokens: TokenSet
    token_type: str = "Bearer"  # noqa: S105 - a type of token, not a token
    expires_at: int | None = None
    refresh_expires_at: int | None = None
    scope: str | None = None
    scope_missing: tuple[str, ...] = ()
    subject: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    client_secret_used: str | None = None
    not_verified: GatehouseError | None = None
    asks_endpoint: bool = False

    @property
    def asks_account(self) -> bool:
        """Return whether its account has to be asked for."""
        return self.asks_endpoint or self.tokens.unverified_id_token is not None

    def asking_with(self, unverified_id_token: str | None) -> TokenResponse:
        """Return this response with an ID token that came earlier, and names the account of both."""
        return replace(self, tokens=replace(self.tokens, unverified_id_token=unverified_id_token))

    def asking_endpoint(self) -> TokenResponse:
        """Return this response as one whose account has to be asked for, unless it names it itself."""
        return replace(self, asks_endpoint=self.subject is None)

    def of_account(self, subject: str | None) -> TokenResponse:
        """Return this response with its account, which has not to be asked for any more."""
        return replace(self, subject=subject, tokens=replace(self.tokens, unverified_id_token=None))

    def keeping(self, refresh_token: str | None) -> TokenResponse:
        """Return this response with the refresh token that was used, if the server sent no new one (section 6)."""
        if self.tokens.refresh_token is not None:
            return self
        return replace(self, tokens=replace(self.tokens, refresh_token=refresh_token))

    def sealed_with(self, sealer: Sealer, upkeep: Upkeep, at: int, jitter: float, *, first: bool) -> SealedTokens:
        """Return this response as it is stored: its secrets sealed, and its times of upkeep set (`Upkeep.due_at`)."""
        refreshable = self.tokens.refresh_token is not None
        due_at = upkeep.due_at(at, self.expires_at, self.refresh_expires_at, jitter, first=first)
        return SealedTokens(
            id=sealer.id,
            seal=sealer.seal(self.tokens),
            whose=sealer.whose,
            refreshable=refreshable,
            token_type=self.token_type,
            obtained_at=at,
            expires_at=self.expires_at,
            refresh_at=upkeep.refresh_at(at, self.expires_at),
            refresh_expires_at=self.refresh_expires_at,
            due_at=due_at if refreshable else None,
            scope=self.scope,
            scope_missing=self.scope_missing,
            subject=self.subject,
            metadata=self.metadata,
            client_secret_used=self.client_secret_used,
            asks_account=self.asks_account,
        )


@record
class Account:
    """The account that tokens are for, as found by asking after they had come. Each field is as in a `TokenResponse`.

    If `scope` is None, that of the tokens stays.
    """

    subject: str
    scope: str | None = None
    scope_missing: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


@record
class SealedTokens:
    """A token response as it is stored: `seal` holds its secrets, all else may be read. Times are Unix seconds.

    `asks_account`: their account has to be asked for.
    """

    id: str
    seal: Seal
    whose: Whose
    refreshable: bool
    token_type: str
    obtained_at: int
    expires_at: int | None = None
    refresh_at: int | None = None
    refresh_expires_at: int | None = None
    due_at: int | None = None
    scope: str | None = None
    scope_missing: tuple[str, ...] = ()
    subject: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    client_secret_used: str | None = None
    asks_account: bool = False

    def stored(self, request_id: str | None) -> StoredSet:
        """Return the token set as it comes into a record, from the authorization `request_id`."""
        return StoredSet(
            self.id,
            Place.OUTSIDE,
            self.seal,
            self.whose,
            token_type=self.token_type,
            refreshable=self.refreshable,
            expires_at=self.expires_at,
            refresh_at=self.refresh_at if self.refreshable else None,
            refresh_expires_at=self.refresh_expires_at,
            client_secret_used=self.client_secret_used,
            request_id=request_id,
        )

    def values_for_connection(self) -> dict[str, Any]:
        """Return the values that a connection takes from it: all that its token set does not hold."""
        return {
            "scope": self.scope,
            "scope_missing": self.scope_missing,
            "subject": self.subject,
            "metadata": self.metadata,
            "refreshed_at": self.obtained_at,
            "upkeep_at": self.due_at,
            "failure": None,
        }
