"""The fields of a token response (RFC 6749 section 5.1), out of a document that `answer_document` has parsed.

Tolerant about form, strict about what matters: an access token is a non-empty string of visible ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderMisconfigured, ProviderUnavailable
from functions.vault.base.fields import matches
from functions.vault.grant import scopes

from .answer_document import at_path, storable, text_of
from .answer_times import moment_of, seconds_of

if TYPE_CHECKING:
    from functions.vault.provider.provider import Provider

LONGEST_TOKEN = 16 * 1024
"""Characters of a token: a record holds the tokens of several consents, and DynamoDB takes 400 KB of it."""

_VISIBLE_ASCII = r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?"
_TOKEN_TYPE = r"[\x21\x23-\x5b\x5d-\x7e]{1,64}"  # noqa: S105 - a pattern

# RFC 9449 section 5, the drafts before it, and RFC 8693 section 2.2.1.
_NOT_BEARER = frozenset({"dpop", "pop", "mac", "n_a"})


class TokenFields:
    """The fields of a token response by their names in the RFC, read from where the provider has them."""

    def __init__(self, document: Mapping[str, Any], provider: Provider, now: float) -> None:
        self._provider = provider
        self._now = now
        self._holder: Mapping[str, Any] = document
        for path in provider.response_paths:
            holder = at_path(document, path)
            if isinstance(holder, Mapping):
                self._holder = holder
                if self.get("access_token"):
                    break  # never a token from here and its refresh token from elsewhere

    def get(self, name: str) -> Any:
        """Return a field as it came, by the first of its names that has a value."""
        found = (at_path(self._holder, path) for path in self._provider.names_of(name))
        return next((value for value in found if value not in (None, "")), None)

    def access_token(self) -> str:
        """Return the access token; raise `ProviderUnavailable` if there is none."""
        token = self.get("access_token")
        if not matches(token, _VISIBLE_ASCII):
            raise ProviderUnavailable(
                "The token response has no access_token that is a non-empty string.", outcome_unknown=True
            )
        return _bounded(token, "access_token")

    def refresh_token(self) -> str | None:
        """Return the refresh token, None if there is none; raise `ProviderUnavailable` if it is not a string."""
        token = self.get("refresh_token")
        if token is None or token is False or token == "":
            return None
        if not matches(token, _VISIBLE_ASCII):
            raise ProviderUnavailable("The token response's refresh_token is not a string.", outcome_unknown=True)
        return _bounded(token, "refresh_token")

    def token_type(self) -> str:
        """Return the token type; raise `ProviderMisconfigured` if the token alone is not enough to use it."""
        token_type = self.get("token_type")
        if not matches(token_type, _TOKEN_TYPE) or token_type.lower() == "bearer":
            return "Bearer"
        if token_type.lower() in _NOT_BEARER:
            raise ProviderMisconfigured(
                "The server issued a token that its bearer alone cannot use (token_type DPoP, PoP, MAC or N_A), which "
                "Gatehouse does not speak: register the client for Bearer tokens."
            )
        return token_type

    def scope(self) -> str | None:
        """Return the granted scope, None if the response does not name it."""
        return scope_of(self.get("scope"), self._provider)

    def expires_at(self) -> int | None:
        """Return when the access token expires (Unix seconds), None if neither response nor data says so."""
        provider = self._provider
        seconds = seconds_of(self.get("expires_in"), provider.expires_in_unit)
        if seconds is None and (moment := moment_of(self.get("expires_at"), self._now)) is not None:
            seconds = moment - int(self._now)
        seconds = seconds or provider.default_expires_in
        if seconds is None:
            return None
        return int(self._now) + min(seconds, provider.max_expires_in or seconds)

    def refresh_expires_at(self, *, issued: bool) -> int | None:
        """Return when the refresh token expires (Unix seconds).

        The lifetime in the provider's data counts from a token's issue: it applies only if this response `issued` one.
        """
        for name in ("refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in"):
            if (seconds := seconds_of(self.get(name), self._provider.expires_in_unit)) is not None:
                return int(self._now) + seconds
        for name in ("refresh_token_expires_at", "refresh_expires_at"):
            if (moment := moment_of(self.get(name), self._now)) is not None:
                return moment
        seconds = self._provider.default_refresh_token_expires_in if issued else None
        return None if seconds is None else int(self._now) + seconds


def scope_of(value: Any, provider: Provider) -> str | None:
    """Return a scope in an answer, space-separated; None if it is none."""
    scope = scopes.granted(value, provider.response_separators)
    return None if scope is None else storable(scope)


def metadata_in(document: Mapping[str, Any], provider: Provider) -> dict[str, str]:
    """Return what an answer has at the paths of the provider's `metadata`, and its `account_name`."""
    found = {path: text_of(at_path(document, path)) for path in (*provider.metadata, *provider.account_name)}
    return {path: value for path, value in found.items() if value is not None}


def _bounded(token: str, name: str) -> str:
    """Return a token if it is small enough to be stored: a larger one would fail every write."""
    if len(token) > LONGEST_TOKEN:
        raise ProviderMisconfigured(
            f"The server issued a token of {len(token)} characters as {name}, and {LONGEST_TOKEN} is the most that is "
            "kept: ask for fewer scopes, or have the server put less into its tokens."
        )
    return token
