"""Providers are data: the endpoints of RFC 8414 and a closed vocabulary of quirks. No code asks for one by name.

A `Provider` is the file `providers/NAME.toml` (where there is one), under what a discovery found (where an issuer is
given), under the owner's registration. An unknown key or a wrong value is an error that names the source and the key.
`docs/registration.schema.json` says the same in JSON Schema, and a test holds the two to each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from . import fields as check
from . import id_token, tenants
from .assertion import HMAC_ALGORITHMS, KEY_ALGORITHMS
from .errors import InvalidRequest, ProviderMisconfigured
from .fields import Mismatch
from .tokens import LONGEST_LIFETIME
from .upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Collection

    from .fields import Check

_NAME = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}")
_NAME_OR_NONE = re.compile(_NAME.pattern + "|")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9_.:/ -]{1,64}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,31}")

# A URL whose host is literal, or begins with placeholders below at least two literal labels (three, where those two
# are a country's `co.uk`), so that no value changes whose host it is; then placeholders in path and query.
_HOLE = r"\{[a-z][a-z0-9_]{0,31}\}"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PUBLIC = r"(?:ac|co|com|edu|go|gov|ne|net|or|org)\.[A-Za-z]{2}(?![A-Za-z0-9_.-])"
_BELOW = rf"(?:(?:[A-Za-z0-9_-]|{_HOLE}){{1,63}}\.)+(?:(?!{_PUBLIC}){_LABEL}\.{_TOP}|{_LABEL}\.{_PUBLIC})"
_PORT = r"(?::(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
_REST = rf"(?:[/?](?:[!$-;=?-\[\]-z|~]|{_HOLE})*)?"
HTTPS_URL = rf"https://(?:{_LABEL}(?:\.{_LABEL})*|{_BELOW}){_PORT}{_REST}"
LOOPBACK_URL = rf"https?://(?:localhost|127\.0\.0\.1|\[::1\]){_PORT}{_REST}"
LONGEST_URL = 2048
ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~]{1,1024}")
KMS_KEY = re.compile(
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
OWN_REQUEST_WORDS = ("response_type", "client_id", "redirect_uri", "scope")
"""The parameters of the authorization request that may go by another name; the rest a server has to know."""

OWN_HEADERS = frozenset({"authorization", "connection", "content-length", "content-type", "cookie", "host"})
OWN_TOKEN_PARAMS = frozenset(
    {
        *("grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "token"),
        *("client_id", "client_secret", "client_assertion", "client_assertion_type"),
    }
)

# The fields of a token response that a server may have under another name, and the codes that its own can stand for.
TOKEN_FIELDS = (
    "access_token",
    "refresh_token",
    "token_type",
    "expires_in",
    "expires_at",
    "scope",
    "refresh_token_expires_in",
    "refresh_token_expires_at",
)
ERROR_CODES = (
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "unauthorized_client",
    "slow_down",
    "temporarily_unavailable",
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One authorization server as Gatehouse talks to it. Durations are seconds."""

    name: str
    issuer: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    refresh_endpoint: str | None = None
    revocation_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    pkce: str = "S256"
    scopes: tuple[str, ...] = ()
    scopes_fixed: bool = False
    scope_separator: str = " "
    redirect_uri: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    parameter_defaults: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    authorization_params: dict[str, str] = field(default_factory=dict)
    authorization_param_names: dict[str, str] = field(default_factory=dict)
    code_parameter: str = "code"
    callback_metadata: tuple[str, ...] = ()
    body_format: str = "form"
    token_params: dict[str, str] = field(default_factory=dict)
    token_param_names: dict[str, str] = field(default_factory=dict)
    refresh_params: dict[str, str] = field(default_factory=dict)
    refresh_param_names: dict[str, str] = field(default_factory=dict)
    token_headers: dict[str, str] = field(default_factory=dict)
    response_paths: tuple[str, ...] = (".",)
    response_fields: dict[str, str] = field(default_factory=dict)
    response_success: str | None = None
    error_fields: dict[str, str] = field(default_factory=dict)
    error_codes: dict[str, str] = field(default_factory=dict)
    subject: str | None = None
    metadata: tuple[str, ...] = ()
    expires_in_unit: str = "seconds"
    default_expires_in: int | None = None
    max_expires_in: int | None = None
    default_refresh_token_expires_in: int | None = None
    refresh_margin: int = 300
    background_refresh: str = "keep_alive"
    refresh_token_rotation: bool | None = None
    refresh_token_idle_seconds: int | None = None
    refresh_token_replay_seconds: int | None = None
    revocation_method: str = "POST"
    revocation_body_format: str = "form"
    revocation_endpoint_auth_method: str | None = None
    revocation_headers: dict[str, str] = field(default_factory=dict)
    revocation_params: dict[str, str] = field(default_factory=dict)
    revocation_param_names: dict[str, str] = field(default_factory=dict)
    revocation_tokens: tuple[str, ...] = ("refresh_token", "access_token")
    revocation_token_type_hint: bool = True
    revocation_ends_authorization: bool = False
    revocation_success: str | None = None
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

    @property
    def replays_refresh(self) -> bool:
        """Tell whether a refresh whose answer was lost may be sent again at once, without harm to the grant."""
        return self.refresh_token_rotation is False or bool(self.refresh_token_replay_seconds)

    def chosen_parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return a connection's parameters, the provider's defaults filled in, each held against its pattern.

        Raises `InvalidRequest` naming every one that is missing or does not fit.
        """
        chosen = {**self.parameter_defaults, **given}
        if problems := self._parameter_problems(chosen):
            raise InvalidRequest("; ".join(problems) + ".")
        return chosen

    def for_tenant(self, parameters: Mapping[str, str]) -> Provider:
        """Return the provider as it is for a connection with these parameters: every placeholder filled in.

        Raises `ProviderMisconfigured` where they do not fit (any more): start checks them before anything is stored.
        """
        if not self.parameters:
            return self
        values = {name: value for name, value in parameters.items() if name in self.parameters}
        problems = self._parameter_problems(values)
        filled: dict[str, Any] = {}
        if not problems:
            for key in ENDPOINTS:
                if (template := getattr(self, key)) is not None:
                    try:
                        filled[key] = tenants.expanded(template, values)
                    except Mismatch as mismatch:
                        problems.append(f"{key}: expected {mismatch}")
            for key in TEMPLATE_PARAMS:
                filled[key] = {name: tenants.filled(text, values) for name, text in getattr(self, key).items()}
        if problems:
            raise ProviderMisconfigured(
                f"The connection's parameters do not fit provider {self.name!r}: {'; '.join(problems)}. "
                "Start it again with parameters that do, or correct the registration."
            )
        return replace(self, **filled)

    def _parameter_problems(self, values: Mapping[str, str]) -> list[str]:
        templates = [template for key in ENDPOINTS if (template := getattr(self, key)) is not None]
        found = (
            tenants.problem_of(name, pattern, values.get(name), templates) for name, pattern in self.parameters.items()
        )
        return [problem for problem in found if problem is not None]

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

    `client_secret` is the newest; `previous_client_secret` is one that may still be live, or live already. One that was
    made for a `tenant`, or for revocation, has the `whole` that it was made of.
    """

    provider: Provider
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    previous_client_secret: str | None = field(default=None, repr=False)
    client_signing_key: str | None = None
    client_signing_kid: str | None = None
    tenant: dict[str, str] = field(default_factory=dict)
    whole: Registration | None = field(default=None, repr=False, compare=False)

    @property
    def credentials(self) -> tuple[str | None, ...]:
        """Return all that says who the client is, to be compared with another registration's."""
        secrets = self.client_secret, self.previous_client_secret
        return (self.client_id, *secrets, self.client_signing_key, self.client_signing_kid)

    def for_tenant(self, parameters: Mapping[str, str]) -> Registration:
        """Return this registration as it is for a connection with these parameters; see `Provider.for_tenant`."""
        if not self.provider.parameters:
            return self
        provider = self.provider.for_tenant(parameters)
        return replace(self, provider=provider, tenant=dict(parameters), whole=self.whole or self)

    def for_revocation(self) -> Registration:
        """Return this registration as it authenticates at the revocation endpoint; a public client stays one there."""
        method = self.provider.revocation_endpoint_auth_method
        if method is None or self.auth_method == "none":
            return self
        provider = replace(self.provider, token_endpoint_auth_method=method)
        return replace(self, provider=provider, whole=self.whole or self)

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
    """Accept an absolute https URL without fragment or user information; http only for a loopback host, if told so.

    Placeholders, `{name}`, may stand below the registrable part of its host, in its path and in its query.
    """
    pattern = re.compile(f"{HTTPS_URL}|{LOOPBACK_URL}" if loopback_http else HTTPS_URL)

    def accept(value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_URL or not pattern.fullmatch(value):
            raise Mismatch("an absolute https URL without user name or fragment, with {placeholders} below its domain")
        return value

    return accept


def _url(*, loopback_http: bool) -> Check:
    """Accept such a URL without placeholders."""
    accept_template = endpoint_url(loopback_http=loopback_http)

    def accept(value: Any) -> str:
        if not isinstance(value, str) or "{" in value:
            raise Mismatch("an absolute https URL without user name or fragment")
        accepted: str = accept_template(value)
        return accepted

    return accept


def _params(own: frozenset[str]) -> Check:
    accept_map = check.string_map(_NAME, 1024, 20)

    def accept(value: Any) -> dict[str, str]:
        params: dict[str, str] = accept_map(value)
        if taken := own.intersection(params):
            raise Mismatch("other names than those that Gatehouse sets itself (" + ", ".join(sorted(taken)) + ")")
        return params

    return accept


def _headers(own: frozenset[str]) -> Check:
    accept_map = check.string_map(_HEADER, 256, 10)

    def accept(value: Any) -> dict[str, str]:
        headers: dict[str, str] = accept_map(value)
        if taken := own.intersection(name.lower() for name in headers):
            raise Mismatch("other headers than those that Gatehouse sets itself (" + ", ".join(sorted(taken)) + ")")
        return headers

    return accept


def _map(keys: tuple[str, ...], expected_values: re.Pattern[str], what: str) -> Check:
    """Accept an object whose keys are some of `keys` and whose values match."""

    def accept(value: Any) -> dict[str, str]:
        expected = f"an object with keys of {', '.join(keys)}, and for each {what}"
        if not isinstance(value, Mapping) or value.keys() - set(keys):
            raise Mismatch(expected)
        if not all(isinstance(entry, str) and expected_values.fullmatch(entry) for entry in value.values()):
            raise Mismatch(expected)
        return dict(value)

    return accept


def _names(*own: str) -> Check:
    """Accept other names for parameters of ours; an empty one leaves the parameter out."""
    accept_map = _map(own, _NAME_OR_NONE, "the name that the server has for it, or an empty one to leave it out")

    def accept(value: Any) -> dict[str, str]:
        names: dict[str, str] = accept_map(value)
        if set(own).intersection(names.values()):
            raise Mismatch("other names than those that Gatehouse sets itself (" + ", ".join(own) + ")")
        return names

    return accept


def _parameters(value: Any) -> dict[str, str]:
    expected = (
        "an object of at most 10 patterns, like [a-z0-9-]{1,63}, "
        f"with names of a-z, 0-9 and _ that are none of {', '.join(PLACEHOLDERS)}"
    )
    if not isinstance(value, Mapping) or len(value) > 10:  # noqa: PLR2004 - more tenants in a URL nobody has
        raise Mismatch(expected)
    for name, pattern in value.items():
        if not isinstance(name, str) or not _PARAMETER.fullmatch(name) or name in PLACEHOLDERS:
            raise Mismatch(expected)
        if not isinstance(pattern, str) or not re.fullmatch(tenants.PATTERN, pattern):
            raise Mismatch(expected)
    return dict(value)


def _error_codes(value: Any) -> dict[str, str]:
    expected = f"an object of at most 50 codes of the server, each with one of {', '.join(ERROR_CODES)}"
    if not isinstance(value, Mapping) or len(value) > 50:  # noqa: PLR2004 - a registration, not a manual
        raise Mismatch(expected)
    if not all(isinstance(code, str) and _WORD.fullmatch(code) for code in value):
        raise Mismatch(expected)
    if not all(isinstance(meaning, str) and meaning in ERROR_CODES for meaning in value.values()):
        raise Mismatch(expected)
    return dict(value)


authorization_params = _params(OWN_AUTHORIZATION_PARAMS)
ENDPOINTS = (
    "authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "token_endpoint",
    "refresh_endpoint",
    "revocation_endpoint",
)
PARAM_NAMES = ("authorization_param_names", "token_param_names", "refresh_param_names", "revocation_param_names")
TEMPLATE_PARAMS = ("authorization_params", "token_params", "refresh_params", "revocation_params")
PLACEHOLDERS = ("client_id", "client_secret", "token")
"""What else may be filled in: all three in the headers of a revocation, client id and token in its endpoint."""


def vocabulary(*, loopback_http: bool) -> dict[str, Check]:
    """Return every key that a provider file may hold, with its check."""
    endpoint = endpoint_url(loopback_http=loopback_http)
    token_params = _params(OWN_TOKEN_PARAMS)
    path = check.text(_NAME, "the name of a field of the answer, or names joined by dots")
    credentials = ("client_id", "client_secret")
    return {
        "issuer": _url(loopback_http=loopback_http),
        "authorization_endpoint": endpoint,
        "token_endpoint": endpoint,
        "refresh_endpoint": endpoint,
        "revocation_endpoint": endpoint,
        "authorization_response_iss_parameter_supported": check.boolean,
        "token_endpoint_auth_method": check.one_of(*AUTH_METHODS),
        "token_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
        "pkce": check.one_of("S256", "none"),
        "scopes": check.scopes,
        "scopes_fixed": check.boolean,
        "scope_separator": check.one_of(" ", ",", "+", ";"),
        "redirect_uri": check.printable(1024),
        "parameters": _parameters,
        "parameter_defaults": check.string_map(_PARAMETER, 256, 10),
        "required": check.list_of(check.text(_PARAMETER, "a key"), 10),
        "authorization_params": authorization_params,
        "authorization_param_names": _names(*OWN_REQUEST_WORDS),
        "code_parameter": check.text(_NAME, "the name of a parameter"),
        "callback_metadata": check.list_of(check.text(_NAME, "the name of a parameter"), 20),
        "body_format": check.one_of("form", "json"),
        "token_params": token_params,
        "token_param_names": _names("grant_type", "code", "redirect_uri", "code_verifier", *credentials),
        "refresh_params": token_params,
        "refresh_param_names": _names("grant_type", "refresh_token", *credentials),
        "token_headers": _headers(OWN_HEADERS),
        "response_paths": check.list_of(path, 5),
        "response_fields": _map(TOKEN_FIELDS, _NAME_OR_NONE, "its name in the answer, or an empty one to pass it over"),
        "response_success": path,
        "error_fields": _map(("error", "error_description"), _NAME, "its name in the answer"),
        "error_codes": _error_codes,
        "subject": path,
        "metadata": check.list_of(path, 20),
        "expires_in_unit": check.one_of("seconds", "milliseconds"),
        "default_expires_in": check.integer(1, LONGEST_LIFETIME),
        "max_expires_in": check.integer(1, LONGEST_LIFETIME),
        "default_refresh_token_expires_in": check.integer(60, LONGEST_LIFETIME),
        "refresh_margin": check.integer(0, 86400),
        "background_refresh": check.one_of("keep_alive", "keep_fresh", "never"),
        "refresh_token_rotation": check.boolean,
        "refresh_token_idle_seconds": check.integer(60, LONGEST_LIFETIME),
        "refresh_token_replay_seconds": check.integer(0, 86400),
        "revocation_method": check.one_of("POST", "DELETE", "GET"),
        "revocation_body_format": check.one_of("form", "json", "none"),
        "revocation_endpoint_auth_method": check.one_of(*AUTH_METHODS),
        "revocation_headers": _headers(OWN_HEADERS - {"authorization"}),
        "revocation_params": token_params,
        "revocation_param_names": _names("token", "token_type_hint", *credentials),
        "revocation_tokens": check.list_of(check.one_of("refresh_token", "access_token"), 2),
        "revocation_token_type_hint": check.boolean,
        "revocation_ends_authorization": check.boolean,
        "revocation_success": path,
        "max_concurrency": check.integer(1, 100),
        "request_timeout": check.integer(1, 20),
        "jwks_uri": _url(loopback_http=loopback_http),
        "pushed_authorization_request_endpoint": endpoint,
        "require_pushed_authorization_requests": check.boolean,
        "resource": check.list_of(check.text(ABSOLUTE_URI, "an absolute URI without fragment (RFC 8707)"), 10),
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
    "client_signing_key": check.text(KMS_KEY, "a key of KMS: its id, its ARN or that of its alias, or alias/NAME"),
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
    _require_coherence(name, merged)
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


def _require_coherence(name: str, merged: Mapping[str, Any]) -> None:
    """Raise `ProviderMisconfigured` where keys that are right by themselves do not fit together."""
    declared: Mapping[str, str] = merged.get("parameters", {})
    twice = [key for key in PARAM_NAMES if _are_ambiguous([name for name in merged.get(key, {}).values() if name])]
    problems = [f"{key}: expected names that differ from one another" for key in twice]
    problems += [f"{key}: needed, as the provider file says" for key in merged.get("required", ()) if key not in merged]
    for key in ENDPOINTS:
        allowed = declared.keys() | ({"client_id", "token"} if key == "revocation_endpoint" else set())
        unknown = tenants.names_in(merged.get(key) or "") - allowed
        problems += [f"{key}: {{{placeholder}}} is not among parameters" for placeholder in sorted(unknown)]
    for parameter, value in merged.get("parameter_defaults", {}).items():
        if parameter not in declared:
            problems.append(f"parameter_defaults: {parameter} is not among parameters")
        elif tenants.problem_of(parameter, declared[parameter], value):
            problems.append(f"parameter_defaults: {parameter} does not fit its pattern")
    if problems:
        raise ProviderMisconfigured(f"Provider {name!r}: " + "; ".join(problems) + ".")


def _are_ambiguous(names: list[str]) -> bool:
    return len(set(names)) != len(names)
