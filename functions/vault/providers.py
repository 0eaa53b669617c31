"""Providers are data: the endpoints of RFC 8414 and a closed vocabulary of quirks. No code asks for one by name.

A `Provider` is the file `providers/NAME.toml` (where there is one), under what a discovery found (where an issuer is
given), under the owner's registration. An unknown key or a wrong value is an error that names the source and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import fields as check
from .errors import ProviderMisconfigured
from .fields import Mismatch
from .upkeep import Upkeep

if TYPE_CHECKING:
    from .fields import Check

_NAME = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_URL_CHARACTERS = re.compile(r"[!$-;=?-\[\]-~]+")  # visible ASCII, but none of " # < > and the backslash
AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")

# What Gatehouse itself puts into these requests cannot be set from data: a file that tried would break the flow's
# guarantees.
OWN_AUTHORIZATION_PARAMS = frozenset(
    {
        "response_type",
        "response_mode",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
    }
)
OWN_HEADERS = frozenset({"authorization", "connection", "content-length", "content-type", "cookie", "host"})
OWN_TOKEN_PARAMS = frozenset(
    {"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "client_id", "client_secret", "token"}
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One authorization server as Gatehouse talks to it. Durations are seconds."""

    name: str
    issuer: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    pkce: str = "S256"
    scopes: tuple[str, ...] = ()
    scopes_fixed: bool = False
    scope_separator: str = " "
    authorization_params: dict[str, str] = field(default_factory=dict)
    token_params: dict[str, str] = field(default_factory=dict)
    refresh_params: dict[str, str] = field(default_factory=dict)
    revocation_params: dict[str, str] = field(default_factory=dict)
    token_headers: dict[str, str] = field(default_factory=dict)
    revocation_tokens: tuple[str, ...] = ("refresh_token", "access_token")
    revocation_token_type_hint: bool = True
    revocation_success: str | None = None
    revocation_ends_authorization: bool = False
    subject: str | None = None
    metadata: tuple[str, ...] = ()
    default_expires_in: int | None = None
    refresh_margin: int = 300
    background_refresh: str = "keep_alive"
    refresh_token_idle_seconds: int | None = None
    refresh_token_replay_seconds: int | None = None
    max_concurrency: int = 5
    request_timeout: int = 10

    @property
    def upkeep(self) -> Upkeep:
        """Return when this provider's tokens are to be refreshed."""
        return Upkeep(self.refresh_margin, self.background_refresh, self.refresh_token_idle_seconds)

    def endpoint(self, name: str) -> str:
        """Return the endpoint `name`, which the operation at hand cannot do without."""
        url: str | None = getattr(self, name)
        if url is None:
            raise ProviderMisconfigured(
                f"Provider {self.name!r} has no {name}: add it to the registration, or an issuer to discover it from."
            )
        return url


@dataclass(frozen=True, slots=True)
class Registration:
    """The owner's client at a provider (RFC 6749 section 2), with the provider as it is for this owner."""

    provider: Provider
    client_id: str
    client_secret: str | None = field(default=None, repr=False)

    @property
    def auth_method(self) -> str:
        """Return how this client authenticates at the token endpoint (RFC 6749 section 2.3, RFC 8414 section 2).

        What is configured goes; else no secret means `none`, and with one the first supported method, of which RFC 8414
        says that silence means `client_secret_basic`.
        """
        configured = self.provider.token_endpoint_auth_method
        if configured is None:
            configured = self._supported_method()
        if configured != "none" and self.client_secret is None:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {configured}, "
                "but its registration has no client_secret."
            )
        return configured

    def _supported_method(self) -> str:
        if self.client_secret is None:
            return "none"
        supported = self.provider.token_endpoint_auth_methods_supported or ("client_secret_basic",)
        for method in ("client_secret_basic", "client_secret_post"):
            if method in supported:
                return method
        raise ProviderMisconfigured(
            f"Provider {self.provider.name!r} supports none of the client authentication methods that Gatehouse "
            "speaks: client_secret_basic, client_secret_post, none."
        )


def endpoint_url(*, loopback_http: bool) -> Check:
    """Accept an absolute https URL without fragment or user information; http only for a loopback host, if told so."""

    def accept(value: Any) -> str:
        expected = "an absolute https URL without user name or fragment"
        if not isinstance(value, str) or not _URL_CHARACTERS.fullmatch(value):
            raise Mismatch(expected)
        try:
            parts = urlsplit(value)
            _ = parts.port
        except ValueError:
            raise Mismatch(expected) from None
        loopback = loopback_http and parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if not parts.hostname or parts.username is not None or not (parts.scheme == "https" or loopback):
            raise Mismatch(expected)
        return value

    return accept


def _params(own: frozenset[str]) -> Check:
    accept_map = check.string_map(_NAME, 1024, 20)

    def accept(value: Any) -> dict[str, str]:
        params: dict[str, str] = accept_map(value)
        if taken := own.intersection(params):
            raise Mismatch("other names than those that Gatehouse sets itself (" + ", ".join(sorted(taken)) + ")")
        return params

    return accept


def _headers(value: Any) -> dict[str, str]:
    headers: dict[str, str] = check.string_map(_HEADER, 256, 10)(value)
    if taken := OWN_HEADERS.intersection(name.lower() for name in headers):
        raise Mismatch("other headers than those that Gatehouse sets itself (" + ", ".join(sorted(taken)) + ")")
    return headers


authorization_params = _params(OWN_AUTHORIZATION_PARAMS)


def vocabulary(*, loopback_http: bool) -> dict[str, Check]:
    """Return every key that a provider file may hold, with its check."""
    url = endpoint_url(loopback_http=loopback_http)
    token_params = _params(OWN_TOKEN_PARAMS)
    return {
        "issuer": url,
        "authorization_endpoint": url,
        "token_endpoint": url,
        "revocation_endpoint": url,
        "authorization_response_iss_parameter_supported": check.boolean,
        "token_endpoint_auth_method": check.one_of(*AUTH_METHODS),
        "token_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
        "pkce": check.one_of("S256", "none"),
        "scopes": check.scopes,
        "scopes_fixed": check.boolean,
        "scope_separator": check.one_of(" ", ",", "+", ";"),
        "authorization_params": authorization_params,
        "token_params": token_params,
        "refresh_params": token_params,
        "revocation_params": token_params,
        "token_headers": _headers,
        "revocation_tokens": check.list_of(check.one_of("refresh_token", "access_token"), 2),
        "revocation_token_type_hint": check.boolean,
        "revocation_ends_authorization": check.boolean,
        "revocation_success": check.text(_NAME, "the name of a field of the answer"),
        "subject": check.text(_NAME, "the name of a field of the token response"),
        "metadata": check.list_of(check.text(_NAME, "the name of a field of the token response"), 20),
        "default_expires_in": check.integer(1, 10 * 365 * 86400),
        "refresh_margin": check.integer(0, 86400),
        "background_refresh": check.one_of("keep_alive", "keep_fresh", "never"),
        "refresh_token_idle_seconds": check.integer(60, 10 * 365 * 86400),
        "refresh_token_replay_seconds": check.integer(0, 86400),
        "max_concurrency": check.integer(1, 100),
        "request_timeout": check.integer(1, 20),
    }


CREDENTIALS: dict[str, Check] = {"client_id": check.printable(1024), "client_secret": check.printable(4096)}

_IN_METADATA = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "authorization_response_iss_parameter_supported",
    "token_endpoint_auth_methods_supported",
)


def validated(document: Any, source: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the entries of a provider file or registration.

    Raises `ProviderMisconfigured` naming `source` and each bad key.
    """
    if not isinstance(document, Mapping):
        raise ProviderMisconfigured(f"{source}: expected an object.")
    problems = [f"{check.shown(key)}: unknown key" for key in document if key not in checks]
    values: dict[str, Any] = {}
    for key in document.keys() & checks.keys():
        try:
            values[key] = checks[key](document[key])
        except Mismatch as mismatch:
            problems.append(f"{key}: expected {mismatch}")
    if problems:
        raise ProviderMisconfigured(f"{source}: " + "; ".join(sorted(problems)) + ".")
    return values


def from_metadata(document: Any, issuer: str, *, loopback_http: bool) -> dict[str, Any]:
    """Return what Gatehouse uses of an authorization server's metadata (RFC 8414 section 3.2).

    The document's `issuer` must be the very string it was looked up for (section 3.3); keys that Gatehouse does not use
    are passed over, as the RFC demands.
    """
    source = "the metadata of the configured issuer"
    if not isinstance(document, Mapping) or document.get("issuer") != issuer:
        raise ProviderMisconfigured(f"{source}: its issuer is not the configured one (RFC 8414 section 3.3).")
    used = {key: document[key] for key in _IN_METADATA if document.get(key) is not None}
    return validated(used, source, vocabulary(loopback_http=loopback_http))


def register(name: str, layers: list[dict[str, Any]], credentials: Mapping[str, Any]) -> Registration:
    """Return the registration of provider `name`; in `layers` the later ones go over the earlier ones."""
    if "client_id" not in credentials:
        raise ProviderMisconfigured(f"The registration of provider {name!r} has no client_id.")
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    known = {entry.name for entry in fields(Provider)}
    if merged.get("authorization_response_iss_parameter_supported") and "issuer" not in merged:
        raise ProviderMisconfigured(
            f"Provider {name!r} is said to send iss in its responses (RFC 9207), but no issuer to compare it with."
        )
    provider = Provider(name=name, **{key: value for key, value in merged.items() if key in known})
    return Registration(provider, **credentials)
