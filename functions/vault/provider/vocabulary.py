"""The closed vocabulary in which a provider is described: every key, and what its value has to be.

An unknown key or a wrong value is an error that names the source and the key. `docs/registration.schema.json` says the
same in JSON Schema, and a test holds the two to each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from functions.vault.base import fields as check
from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import LONGEST_LIFETIME, SCOPE_TOKEN, Mismatch

from . import rules, tenants
from .algorithms import HMAC_ALGORITHMS, KEY_ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.fields import Check

_NAME = r"[A-Za-z0-9_.\-\[\]]{1,64}"
_NAME_OR_NONE = _NAME + "|"
_HEADER = r"[A-Za-z0-9-]{1,64}"
_PARAMETER = r"[a-z][a-z0-9_]{0,31}"

# A URL whose host is literal, or begins with placeholders below at least two literal labels (three, where those two
# are a country's `co.uk`), so that no value changes whose host it is; then placeholders in path and query.
_HOLE = r"\{[a-z][a-z0-9_]{0,31}\}"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PUBLIC = r"(?:ac|co|com|edu|go|gov|ne|net|or|org)\.[A-Za-z]{2}(?![A-Za-z0-9_.-])"
_BELOW = rf"(?:(?:[A-Za-z0-9_-]|{_HOLE}){{1,63}}\.)+(?:(?!{_PUBLIC}){_LABEL}\.{_TOP}|{_LABEL}\.{_PUBLIC})"
_PORT = r"(?::(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
_REST = rf"(?:[/?](?:[!$-;=?-\[\]-z|~]|{_HOLE})*)?"
ORIGIN = rf"https://(?:{_LABEL}(?:\.{_LABEL})*|{_BELOW}){_PORT}"
HTTPS_URL = rf"{ORIGIN}{_REST}"
LOOPBACK_ORIGIN = rf"https?://(?:localhost|127\.0\.0\.1|\[::1\]){_PORT}"
LOOPBACK_URL = rf"{LOOPBACK_ORIGIN}{_REST}"
LONGEST_URL = 2048
SCOPE_PATTERN = rf"(?![^*]*\*[^*]*\*){SCOPE_TOKEN}"
ABSOLUTE_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~]{1,1024}"
KMS_KEY = r"(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/|alias/)[A-Za-z0-9/_-]{1,250}|(mrk-)?[0-9a-f-]{32,36}"
GRANT_TYPE = r"[A-Za-z0-9_.:/-]{1,128}"
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
AUTH_METHODS = ("none", *SECRET_METHODS, "private_key_jwt")
AUDIENCES = ("issuer", "token_endpoint", "endpoint")

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

SCOPE_SEPARATORS = (" ", ",", "+", ";")
MOST_SCOPES = 100
MOST_NAMES = 5
MOST_VALUES = 50
MOST_REGIONS = 20
REGION = "region"
"""The parameter of a connection that says in which of a provider's regions it is."""

REGION_NAME = r"[a-z0-9][a-z0-9-]{0,31}"
MOST_ALIASES = 10

# The fields of a token response that a server may have under another name.
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


def endpoint_url(*, loopback_http: bool) -> Check:
    """Accept an absolute https URL without fragment or user information; http only for a loopback host, if told so.

    Placeholders, `{name}`, may stand below the registrable part of its host, in its path and in its query.
    """
    pattern = f"{HTTPS_URL}|{LOOPBACK_URL}" if loopback_http else HTTPS_URL

    def accept(value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_URL or not re.fullmatch(pattern, value):
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


def _or_empty(accept: Check) -> Check:
    """Accept an empty text as well: what a layer below says is left unused then."""

    def accept_empty(value: Any) -> str:
        return "" if value == "" else str(accept(value))

    return accept_empty


def _origin(*, loopback_http: bool) -> Check:
    """Accept an origin, which may have placeholders below its domain."""
    return check.text(f"{ORIGIN}|{LOOPBACK_ORIGIN}" if loopback_http else ORIGIN, "an https origin, without a path")


def _params(own: frozenset[str]) -> Check:
    return _but(own, check.string_map(_NAME, 1024, 20), "names", str)


def _headers(own: frozenset[str]) -> Check:
    return _but(own, check.string_map(_HEADER, 256, 10), "headers", str.lower)


def _but(own: frozenset[str], accept_map: Check, what: str, spelled: Callable[[str], str]) -> Check:
    """Accept such an object where none of its keys, as they are `spelled`, is one that Gatehouse sets itself."""

    def accept(value: Any) -> dict[str, str]:
        given: dict[str, str] = accept_map(value)
        if taken := own.intersection(map(spelled, given)):
            raise Mismatch(f"other {what} than those that Gatehouse sets itself ({', '.join(sorted(taken))})")
        return given

    return accept


def _map(keys: tuple[str, ...], expected_values: str, what: str) -> Check:
    """Accept an object whose keys are some of `keys` and whose values match."""

    def accept(value: Any) -> dict[str, str]:
        expected = f"an object with keys of {', '.join(keys)}, and for each {what}"
        if not isinstance(value, Mapping) or value.keys() - set(keys):
            raise Mismatch(expected)
        if not all(check.matches(entry, expected_values) for entry in value.values()):
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
        if not check.matches(name, _PARAMETER) or name in PLACEHOLDERS:
            raise Mismatch(expected)
        if not check.matches(pattern, tenants.PATTERN):
            raise Mismatch(expected)
    return dict(value)


def _refresh_token_needs(value: Any) -> dict[str, list[str]]:
    expected = (
        "an object of at most 10 parameters of the authorization request, each with a list of 1 to 10 texts, one of "
        'which it has to have, like {"scope": ["offline_access"]}'
    )
    texts = check.list_of(check.printable(256), 10)
    if not isinstance(value, Mapping) or len(value) > 10:  # noqa: PLR2004 - no server wants more for one token
        raise Mismatch(expected)
    try:
        for name, accepted in value.items():
            check.text(_NAME, expected)(name)
            texts(accepted or None)
    except Mismatch:
        raise Mismatch(expected) from None
    return dict(value)


def _response_fields(value: Any) -> dict[str, str | list[str]]:
    expected = (
        f"an object with keys of {', '.join(TOKEN_FIELDS)}, and for each its name in the answer, an empty one to pass "
        f"it over, or a list of at most {MOST_NAMES} names, of which the first that is there counts"
    )
    names = check.list_of(check.text(_NAME, expected), MOST_NAMES)
    if not isinstance(value, Mapping) or value.keys() - set(TOKEN_FIELDS):
        raise Mismatch(expected)
    try:
        for name in value.values():
            if not check.matches(name, _NAME_OR_NONE):
                names(name if isinstance(name, list) else None)
    except Mismatch:
        raise Mismatch(expected) from None
    return dict(value)


def _callback_metadata(value: Any) -> dict[str, str | list[str]]:
    expected = (
        "an object of at most 20 parameters of the redirect, each with a pattern, like [0-9]{1,20}, or with a list of "
        f"at most {MOST_VALUES} texts, one of which it has to be"
    )
    values = check.list_of(check.printable(256), MOST_VALUES)
    if not isinstance(value, Mapping) or len(value) > 20:  # noqa: PLR2004 - more are not told of an account
        raise Mismatch(expected)
    try:
        for name, accepted in value.items():
            check.text(_NAME, expected)(name)
            if not check.matches(accepted, tenants.PATTERN):
                values(accepted if isinstance(accepted, list) else None)
    except Mismatch:
        raise Mismatch(expected) from None
    return dict(value)


def _callback_parameters(value: Any) -> dict[str, str]:
    expected = "an object of at most 10 names among parameters, each with the name that it has in the redirect"
    if not isinstance(value, Mapping) or len(value) > 10:  # noqa: PLR2004 - as many as parameters
        raise Mismatch(expected)
    if not all(check.matches(name, _PARAMETER) and check.matches(theirs, _NAME) for name, theirs in value.items()):
        raise Mismatch(expected)
    return dict(value)


def _regions(endpoint: Check) -> Check:
    """Accept an object that names, for each region, the endpoints that are others there."""
    expected = (
        f"an object of at most {MOST_REGIONS} regions, with names of a-z, 0-9 and -, each with an object of the "
        f"endpoints that are others there ({', '.join(ENDPOINTS)})"
    )

    def accept(value: Any) -> dict[str, dict[str, str]]:
        if not isinstance(value, Mapping) or len(value) > MOST_REGIONS:
            raise Mismatch(expected)
        for region, urls in value.items():
            if not check.matches(region, REGION_NAME) or not isinstance(urls, Mapping) or urls.keys() - set(ENDPOINTS):
                raise Mismatch(expected)
            for key, url in urls.items():
                try:
                    endpoint(url)
                except Mismatch as mismatch:
                    raise Mismatch(f"{expected}, and {region}.{key} to be {mismatch}") from None
        return {region: dict(urls) for region, urls in value.items()}

    return accept


def _first_refresh(checks: Mapping[str, Check]) -> Check:
    """Accept an object of keys of a refresh that are others for the first one after a consent."""
    expected = f"an object with some of the keys {', '.join(checks)}"

    def accept(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping) or value.keys() - checks.keys():
            raise Mismatch(expected)
        try:
            return {key: checks[key](entry) for key, entry in value.items()}
        except Mismatch as mismatch:
            raise Mismatch(f"{expected}, each as it is by itself: {mismatch}") from None

    return accept


def _error_codes(value: Any) -> dict[str, str]:
    expected = f"an object of at most 50 codes of the server, each with one of {', '.join(rules.MEANINGS)}"
    if not isinstance(value, Mapping) or len(value) > 50:  # noqa: PLR2004 - a registration, not a manual
        raise Mismatch(expected)
    if not all(check.matches(code, rules.CODE) for code in value):
        raise Mismatch(expected)
    if not all(isinstance(meaning, str) and meaning in rules.MEANINGS for meaning in value.values()):
        raise Mismatch(expected)
    return dict(value)


def _scope_aliases(value: Any) -> dict[str, list[str]]:
    expected = (
        f"an object of at most {MOST_SCOPES} scopes, each with a list of at most {MOST_ALIASES} names that it may be "
        'granted under, and at most one * in each, like {"read_*": ["write_*"]}'
    )
    scope = check.text(SCOPE_PATTERN, expected)
    others = check.list_of(scope, MOST_ALIASES)
    if not isinstance(value, Mapping) or len(value) > MOST_SCOPES:
        raise Mismatch(expected)
    try:
        return {scope(asked): [*others(names)] for asked, names in value.items()}
    except Mismatch:
        raise Mismatch(expected) from None


authorization_params = _params(OWN_AUTHORIZATION_PARAMS)
ENDPOINTS = (
    "authorization_endpoint",
    "pushed_authorization_request_endpoint",
    "token_endpoint",
    "refresh_endpoint",
    "revocation_endpoint",
    "account_endpoint",
)
PARAM_NAMES = ("authorization_param_names", "token_param_names", "refresh_param_names", "revocation_param_names")
TEMPLATE_PARAMS = ("authorization_params", "token_params", "refresh_params", "revocation_params")
PRIVATE = ("token_headers", "token_params", "refresh_params", "revocation_headers", "revocation_params")
"""Where an owner may have to put an API key."""

SHORTEST_PRIVATE = 8
NAMES_A_KEY = r"(api|access|private|subscription|client)[_-]?key|secret|passw|credential|signature|(api|auth)[_-]?token"
"""Characters that a value there has at least which is confidential; and names of those that are in any case."""

PLACEHOLDERS = ("client_id", "client_secret", "token")
"""What else may be filled in: all three in the headers of a revocation, client id and token in its endpoint."""


def checks(*, loopback_http: bool) -> dict[str, Check]:
    """Return every key that a provider file may hold, with its check."""
    endpoint = endpoint_url(loopback_http=loopback_http)
    token_params = _params(OWN_TOKEN_PARAMS)
    path = check.text(_NAME, "the name of a field of the answer, or names joined by dots")
    credentials = ("client_id", "client_secret")
    refresh_names = _names("grant_type", "refresh_token", *credentials)
    grant_type = check.text(GRANT_TYPE, "a grant type, like refresh_token")
    return {
        "issuer": _url(loopback_http=loopback_http),
        "authorization_endpoint": endpoint,
        "token_endpoint": endpoint,
        "refresh_endpoint": endpoint,
        "revocation_endpoint": _or_empty(endpoint),
        "account_endpoint": _or_empty(endpoint),
        "authorization_response_iss_parameter_supported": check.boolean,
        "token_endpoint_auth_method": check.one_of(*AUTH_METHODS),
        "token_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
        "pkce": check.one_of("S256", "none"),
        "nonce": check.boolean,
        "scopes": check.scopes,
        "scopes_fixed": check.boolean,
        "scope_separator": check.one_of(*SCOPE_SEPARATORS),
        "response_scope_separators": check.list_of(check.one_of(*SCOPE_SEPARATORS), len(SCOPE_SEPARATORS)),
        "scope_aliases": _scope_aliases,
        "scope_parameter": check.text(_NAME, "the name of a parameter"),
        "scope_in_refresh": check.boolean,
        "refresh_token_needs": _refresh_token_needs,
        "redirect_uri": check.printable(1024),
        "parameters": _parameters,
        "parameter_defaults": check.string_map(_PARAMETER, 256, 10),
        "required": check.list_of(check.text(_PARAMETER, "a key"), 10),
        "authorization_params": authorization_params,
        "authorization_param_names": _names(*OWN_REQUEST_WORDS),
        "code_parameter": check.text(_NAME, "the name of a parameter"),
        "callback_metadata": _callback_metadata,
        "callback_parameters": _callback_parameters,
        "regions": _regions(endpoint),
        "body_format": check.one_of("form", "json"),
        "token_params": token_params,
        "token_param_names": _names("grant_type", "code", "redirect_uri", "code_verifier", *credentials),
        "refresh_params": token_params,
        "refresh_param_names": refresh_names,
        "refresh_method": check.one_of("POST", "GET"),
        "refresh_grant_type": grant_type,
        "first_refresh": _first_refresh(
            {
                "refresh_endpoint": _url(loopback_http=loopback_http),
                "refresh_grant_type": grant_type,
                "refresh_params": token_params,
                "refresh_param_names": refresh_names,
            }
        ),
        "token_headers": _headers(OWN_HEADERS),
        "response_paths": check.list_of(path, 5),
        "response_fields": _response_fields,
        "response_success": path,
        "error_fields": _map(("error", "error_description"), _NAME, "its name in the answer"),
        "error_codes": _error_codes,
        "refusals": rules.checked,
        "subject": path,
        "metadata": check.list_of(path, 20),
        "account_scope": path,
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
        "revocation_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
        "revocation_headers": _headers(OWN_HEADERS - {"authorization"}),
        "revocation_params": token_params,
        "revocation_param_names": _names("token", "token_type_hint", *credentials),
        "revocation_tokens": check.list_of(check.one_of("refresh_token", "access_token"), 2),
        "revocation_token_type_hint": check.boolean,
        "revocation_ends_authorization": check.boolean,
        "revocation_success": path,
        "max_concurrency": check.integer(0, 100),
        "request_timeout": check.integer(1, 20),
        "jwks_uri": _url(loopback_http=loopback_http),
        "pushed_authorization_request_endpoint": endpoint,
        "require_pushed_authorization_requests": check.boolean,
        "resource": check.list_of(check.text(ABSOLUTE_URI, "an absolute URI without fragment (RFC 8707)"), 10),
        "response_mode": check.one_of("query", "form_post"),
        "token_endpoint_auth_signing_alg": check.one_of(*HMAC_ALGORITHMS, *KEY_ALGORITHMS),
        "token_endpoint_auth_signing_alg_values_supported": check.list_of(check.printable(64), 50),
        "client_assertion_audience": check.one_of(*AUDIENCES),
        "client_id_in_body": check.boolean,
        "basic_credentials_encoding": check.one_of("form", "none"),
        "endpoints_moved_from": check.list_of(_origin(loopback_http=loopback_http), 10),
        "reauthorize_previous": check.boolean,
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

OF_A_CLIENT = frozenset(CREDENTIALS)
MOST_PREVIOUS_CLIENTS = 5

UNKNOWN = "unknown key"
"""What is wrong with a key that is none."""


def _previous_clients(value: Any) -> list[dict[str, Any]]:
    expected = (
        f"a list of at most {MOST_PREVIOUS_CLIENTS} objects, each with a client_id and what that client authenticates "
        "with: client_secret or client_secrets, or client_signing_key"
    )
    if not isinstance(value, list) or len(value) > MOST_PREVIOUS_CLIENTS:
        raise Mismatch(expected)
    for each in value:
        if not isinstance(each, Mapping) or "client_id" not in each or each.keys() - OF_A_CLIENT:
            raise Mismatch(expected)
        try:
            for key in each:
                CREDENTIALS[key](each[key])
        except Mismatch:
            raise Mismatch(expected) from None
    return [dict(each) for each in value]


CREDENTIALS["previous_clients"] = _previous_clients

REGISTRATION: dict[str, Check] = {**CREDENTIALS, "based_on": check.provider_name}
"""What only a registration has: the client, and the name of the provider file that it is laid over."""

_IN_METADATA = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "authorization_response_iss_parameter_supported",
    "token_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "pushed_authorization_request_endpoint",
    "require_pushed_authorization_requests",
    "jwks_uri",
)


def checked(document: Mapping[str, Any], checks: Mapping[str, Check]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the entries that are right, and of each other key what is wrong with it."""
    values: dict[str, Any] = {}
    problems = dict.fromkeys(document.keys() - checks.keys(), UNKNOWN)
    for key in document.keys() & checks.keys():
        try:
            values[key] = checks[key](document[key])
        except Mismatch as mismatch:
            problems[key] = f"expected {mismatch}"
    return values, problems


def validated(document: Any, source: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the entries of a provider file.

    Raises `ProviderMisconfigured` naming `source` and each bad key.
    """
    if not isinstance(document, Mapping):
        raise ProviderMisconfigured(f"{source}: expected an object.")
    values, problems = checked(document, checks)
    if problems:
        told = sorted(f"{check.shown(key)}: {problem}" for key, problem in problems.items())
        raise ProviderMisconfigured(f"{source}: " + "; ".join(told) + ".")
    return values


def from_metadata(document: Any, issuer: str, *, loopback_http: bool) -> dict[str, Any]:
    """Return what Gatehouse uses of an authorization server's metadata (RFC 8414 section 3.2).

    The document's `issuer` must be the very string it was looked up for (section 3.3); keys that Gatehouse does not use
    are passed over, as the RFC demands.
    """
    source = "the metadata of the configured issuer"
    if not isinstance(document, Mapping) or document.get("issuer") != issuer:
        found = _near_issuer(document, issuer)
        way = "write it just so" if "{" not in (found or "") else "put your tenant in place of what is in braces"
        raise ProviderMisconfigured(
            f"{source}: its issuer is not the configured one (RFC 8414 section 3.3)"
            + (f": it is {found}; {way}." if found else ".")
        )
    used = {key: document[key] for key in _IN_METADATA if document.get(key) is not None}
    return validated(used, source, checks(loopback_http=loopback_http))


def _near_issuer(document: Any, issuer: str) -> str | None:
    """Return the issuer that metadata names where it is the configured one's own host that names it.

    A slash at the end, or the tenant in its path, is what people write in another way. Of another host nothing is
    repeated: whoever copied it would let one server speak for another.
    """
    found = document.get("issuer") if isinstance(document, Mapping) else None
    if not check.matches(found, f"{HTTPS_URL}|{LOOPBACK_URL}"):
        return None
    theirs, ours = urlsplit(found), urlsplit(issuer)
    return found if (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.lower()) else None
