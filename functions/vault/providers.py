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
from . import id_token
from .assertion import HMAC_ALGORITHMS, KEY_ALGORITHMS
from .errors import ProviderMisconfigured
from .fields import Mismatch
from .upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Collection

    from .fields import Check

_NAME = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_URL_CHARACTERS = re.compile(r"[!$-;=?-\[\]-~]+")  # visible ASCII, but none of " # < > and the backslash
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~]{1,1024}")
_KMS_KEY = re.compile(
    r"(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/|alias/)[A-Za-z0-9/_-]{1,250}|(mrk-)?[0-9a-f-]{32,36}"
)
_SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
AUTH_METHODS = ("none", *_SECRET_METHODS, "private_key_jwt")

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
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    }
)
OWN_HEADERS = frozenset({"authorization", "connection", "content-length", "content-type", "cookie", "host"})
OWN_TOKEN_PARAMS = frozenset(
    {
        *("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "token"),
        *("client_id", "client_secret", "client_assertion", "client_assertion_type"),
    }
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
    jwks_uri: str | None = None
    # Pushed requests (RFC 9126), resource indicators (RFC 8707), form_post, client assertions (RFC 7523)
    pushed_authorization_request_endpoint: str | None = None
    require_pushed_authorization_requests: bool = False
    resource: tuple[str, ...] = ()
    response_mode: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    client_assertion_audience: str = "issuer"
    basic_credentials_encoding: str = "form"

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
    """The owner's client at a provider (RFC 6749 section 2), with the provider as it is for this owner.

    `client_secret` is the newest; `previous_client_secret` is one that may still be live, or live already.
    """

    provider: Provider
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    previous_client_secret: str | None = field(default=None, repr=False)
    client_signing_key: str | None = None
    client_signing_kid: str | None = None

    @property
    def credentials(self) -> tuple[str | None, ...]:
        """Return all that says who the client is, to be compared with another registration's."""
        secrets = self.client_secret, self.previous_client_secret
        return (self.client_id, *secrets, self.client_signing_key, self.client_signing_kid)

    @property
    def auth_method(self) -> str:
        """Return how this client authenticates at the token endpoint (RFC 6749 section 2.3, RFC 8414 section 2).

        What is configured goes; else neither key nor secret means `none`, a key `private_key_jwt`, and a secret the
        first supported method, of which RFC 8414 says that silence means `client_secret_basic`.
        """
        configured = self.provider.token_endpoint_auth_method
        if configured is None:
            configured = self._supported_method()
        needed = {"none": None, "private_key_jwt": "client_signing_key"}.get(configured, "client_secret")
        if needed is not None and getattr(self, needed) is None:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {configured}, "
                f"but its registration has no {needed}."
            )
        return configured

    def _supported_method(self) -> str:
        if self.client_signing_key is not None:
            return "private_key_jwt"
        if self.client_secret is None:
            return "none"
        supported = self.provider.token_endpoint_auth_methods_supported or ("client_secret_basic",)
        for method in _SECRET_METHODS:
            if method in supported:
                return method
        raise ProviderMisconfigured(
            f"Provider {self.provider.name!r} supports none of the client authentication methods that a client_secret "
            f"serves for: {', '.join(_SECRET_METHODS)}."
        )

    def signing_algorithm(self, usable: Collection[str], default: str | None) -> str:
        """Return how this client signs its assertions: as configured, or as the server's metadata leaves no choice.

        `usable` are the algorithms of its method; `default` goes where the server does not say.
        """
        algorithm = self.provider.token_endpoint_auth_signing_alg
        if algorithm is None:
            supported = self.provider.token_endpoint_auth_signing_alg_values_supported
            possible = [default] if supported is None else [known for known in supported if known in usable]
            algorithm = default if default in possible else possible[0] if len(possible) == 1 else None
        if algorithm is None or algorithm not in usable:
            raise ProviderMisconfigured(
                f"Provider {self.provider.name!r} authenticates with {self.auth_method}: expected "
                f"token_endpoint_auth_signing_alg to be one of {', '.join(usable)}."
            )
        return algorithm


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
        "jwks_uri": url,
        "pushed_authorization_request_endpoint": url,
        "require_pushed_authorization_requests": check.boolean,
        "resource": check.list_of(check.text(_ABSOLUTE_URI, "an absolute URI without fragment (RFC 8707)"), 10),
        "response_mode": check.one_of("query", "form_post"),
        "token_endpoint_auth_signing_alg": check.one_of(*HMAC_ALGORITHMS, *KEY_ALGORITHMS),
        "token_endpoint_auth_signing_alg_values_supported": check.list_of(check.printable(64), 50),
        "client_assertion_audience": check.one_of("issuer", "token_endpoint"),
        "basic_credentials_encoding": check.one_of("form", "none"),
    }


_secret = check.printable(4096)

CREDENTIALS: dict[str, Check] = {
    "client_id": check.printable(1024),
    "client_secret": _secret,
    "client_secrets": check.list_of(_secret, 2),
    "client_signing_key": check.text(_KMS_KEY, "a key of KMS: its id, its ARN or that of its alias, or alias/NAME"),
    "client_signing_kid": check.printable(256),
}
"""What a registration has and a provider file has not. Of `client_secrets` the newest comes first."""

_IN_METADATA = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "authorization_response_iss_parameter_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "jwks_uri",
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
    if merged.get("subject") == id_token.SUBJECT and not {"issuer", "jwks_uri"} <= merged.keys():
        raise ProviderMisconfigured(
            f"Provider {name!r} tells the account in its ID token, and needs an issuer and a jwks_uri to verify it by."
        )
    provider = Provider(name=name, **{key: value for key, value in merged.items() if key in known})
    return Registration(provider, **_client(name, credentials))


def _client(name: str, credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the client: `client_secrets` and `client_secret` are two ways to say the same."""
    client = dict(credentials)
    if "client_secrets" not in client:
        return client
    secrets = client.pop("client_secrets")
    if "client_secret" in client or not secrets:
        raise ProviderMisconfigured(
            f"The registration of provider {name!r}: expected client_secret (one), or client_secrets (a list of one or "
            "two, the newest first), not both."
        )
    return client | dict(zip(("client_secret", "previous_client_secret"), secrets, strict=False))
