"""The closed vocabulary in which a provider is described: every key, and the check of its value.

An unknown key or a wrong value is an error that names the source and the key. `docs/registration.schema.json` says the
same in JSON Schema, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields as check
from functions.vault.base.errors import ProviderMisconfigured
from functions.vault.base.fields import A_NAME, LONGEST_LIFETIME, Mismatch

from . import answer_checks, refusal_rules, request_checks, tenant_checks, url_checks
from .auth_methods import AUDIENCES, AUTH_METHODS, HMAC_ALGORITHMS, KEY_ALGORITHMS
from .names import (
    FIELD_NAME,
    OWN_AUTHORIZATION_PARAMS,
    OWN_HEADERS,
    OWN_TOKEN_PARAMS,
    PARAMETER_NAME,
    RENAMABLE_AUTHORIZATION_PARAMS,
    UNKNOWN,
    parameter_name,
)
from .object_checks import known_members

if TYPE_CHECKING:
    from functions.vault.base.fields import Check

    from .names import Problem

ABSOLUTE_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-\[\]_a-z~]{1,1024}"
KMS_KEY = r"(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/|alias/)[A-Za-z0-9/_-]{1,250}|(mrk-)?[0-9a-f-]{32,36}"
GRANT_TYPE = r"[A-Za-z0-9_.:/-]{1,128}"
SCOPE_SEPARATORS = (" ", ",", "+", ";")
MOST_PREVIOUS_CLIENTS = 5

authorization_params = request_checks.params(OWN_AUTHORIZATION_PARAMS)
_token_params = request_checks.params(OWN_TOKEN_PARAMS)
_refresh_names = request_checks.other_names("grant_type", "refresh_token", "client_id", "client_secret")
_grant_type = check.text(GRANT_TYPE, "a grant type, like refresh_token")
_parameter = check.text(FIELD_NAME, "the name of a parameter")
_path = check.text(FIELD_NAME, "the name of a field of the answer, or names joined by dots")

_CHECKS: dict[str, Check] = {
    "display_name": check.printable(64),
    # The client at the token endpoint
    "token_endpoint_auth_method": check.one_of(*AUTH_METHODS),
    "token_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
    "token_endpoint_auth_signing_alg": check.one_of(*HMAC_ALGORITHMS, *KEY_ALGORITHMS),
    "token_endpoint_auth_signing_alg_values_supported": check.list_of(check.printable(64), 50),
    "client_assertion_audience": check.one_of(*AUDIENCES),
    "client_id_in_body": check.boolean,
    "basic_credentials_encoding": check.one_of("form", "none"),
    "reauthorize_previous": check.boolean,
    # The authorization request
    "pkce": check.one_of("S256", "none"),
    "nonce": check.boolean,
    "scopes": check.scopes,
    "scopes_fixed": check.boolean,
    "scope_separator": check.one_of(*SCOPE_SEPARATORS),
    "redirect_uri": check.printable(1024),
    "parameters": tenant_checks.parameters,
    "parameter_defaults": check.string_map(parameter_name, 256, 10),
    "required": check.list_of(check.text(PARAMETER_NAME, "a key"), 10),
    "authorization_params": authorization_params,
    "authorization_param_names": request_checks.other_names(*RENAMABLE_AUTHORIZATION_PARAMS),
    "resource": check.list_of(check.text(ABSOLUTE_URI, "an absolute URI without fragment (RFC 8707)"), 10),
    "refresh_token_needs": request_checks.refresh_token_needs,
    "require_pushed_authorization_requests": check.boolean,
    # The authorization response
    "response_mode": check.one_of("query", "form_post"),
    "authorization_response_iss_parameter_supported": check.boolean,
    "code_parameter": _parameter,
    "callback_metadata": answer_checks.callback_metadata,
    "callback_parameters": answer_checks.callback_parameters,
    # Token requests
    "request_timeout": check.integer(1, 20),
    "max_concurrency": check.integer(0, 100),
    "body_format": check.one_of("form", "json"),
    "token_headers": request_checks.headers(OWN_HEADERS),
    "token_params": _token_params,
    "token_param_names": request_checks.other_names(
        "grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret"
    ),
    "refresh_params": _token_params,
    "refresh_param_names": _refresh_names,
    "refresh_method": check.one_of("POST", "GET"),
    "refresh_grant_type": _grant_type,
    "scope_in_refresh": check.boolean,
    # Their answers
    "response_paths": check.list_of(_path, 5),
    "response_fields": answer_checks.response_fields,
    "response_success": _path,
    "response_scope_separators": check.list_of(check.one_of(*SCOPE_SEPARATORS), len(SCOPE_SEPARATORS)),
    "scope_aliases": answer_checks.scope_aliases,
    "scope_parameter": _parameter,
    "error_fields": request_checks.texts_by_key(("error", "error_description"), FIELD_NAME, "its name in the answer"),
    "error_codes": answer_checks.error_codes,
    "refusals": refusal_rules.checked,
    "subject": _path,
    "metadata": check.list_of(_path, 20),
    "account_name": check.list_of(_path, 5),
    "account_scope": _path,
    "id_token_signed_response_alg": answer_checks.id_token_algorithms,
    # How long tokens live, and when they are refreshed
    "expires_in_unit": check.one_of("seconds", "milliseconds"),
    "default_expires_in": check.integer(1, LONGEST_LIFETIME),
    "max_expires_in": check.integer(1, LONGEST_LIFETIME),
    "default_refresh_token_expires_in": check.integer(60, LONGEST_LIFETIME),
    "refresh_margin": check.integer(0, 86400),
    "background_refresh": check.one_of("keep_alive", "keep_fresh", "never"),
    "refresh_token_rotation": check.boolean,
    "refresh_token_idle_seconds": check.integer(60, LONGEST_LIFETIME),
    "refresh_token_replay_seconds": check.integer(0, 86400),
    # Revocations
    "revocation_method": check.one_of("POST", "DELETE", "GET"),
    "revocation_body_format": check.one_of("form", "json", "none"),
    "revocation_endpoint_auth_method": check.one_of(*AUTH_METHODS),
    "revocation_endpoint_auth_methods_supported": check.list_of(check.printable(64), 20),
    "revocation_headers": request_checks.headers(OWN_HEADERS - {"authorization"}),
    "revocation_params": _token_params,
    "revocation_param_names": request_checks.other_names("token", "token_type_hint", "client_id", "client_secret"),
    "revocation_tokens": check.list_of(check.one_of("refresh_token", "access_token"), 2),
    "revocation_token_type_hint": check.boolean,
    "revocation_ends_authorization": check.boolean,
    "revocation_success": _path,
}
"""Every key that has no URL in it."""


def checks(*, loopback_http: bool) -> dict[str, Check]:
    """Return every key that a provider file may hold, with its check.

    With `loopback_http` a URL may be http if its host is this machine.
    """
    endpoint = url_checks.endpoint_url(loopback_http=loopback_http)
    literal = url_checks.literal_url(loopback_http=loopback_http)
    return _CHECKS | {
        "issuer": literal,
        "jwks_uri": literal,
        "authorization_endpoint": endpoint,
        "pushed_authorization_request_endpoint": endpoint,
        "token_endpoint": endpoint,
        "refresh_endpoint": endpoint,
        "revocation_endpoint": url_checks.or_empty(endpoint),
        "account_endpoint": url_checks.or_empty(endpoint),
        "regions": tenant_checks.regions(endpoint),
        "endpoints_moved_from": check.list_of(url_checks.origin(loopback_http=loopback_http), 10),
        "first_refresh": request_checks.first_refresh(
            {
                "refresh_endpoint": literal,
                "refresh_grant_type": _grant_type,
                "refresh_params": _token_params,
                "refresh_param_names": _refresh_names,
            }
        ),
    }


_secret = check.printable(4096)

CREDENTIALS: dict[str, Check] = {
    "client_id": check.printable(1024),
    "client_secret": _secret,
    "client_secrets": check.list_of(_secret, 2),
    "client_signing_key": check.text(KMS_KEY, "a key of KMS: its id, its ARN or that of its alias, or alias/NAME"),
    "client_signing_kid": check.printable(256),
}
"""The keys of a client, which no provider file has. Of `client_secrets` the newest comes first."""

_OF_ONE_CLIENT = dict(CREDENTIALS)


def _previous_clients(value: Any) -> list[dict[str, Any]]:
    expected = (
        f"a list of at most {MOST_PREVIOUS_CLIENTS} objects, each with a client_id and what that client authenticates "
        "with: client_secret or client_secrets, or client_signing_key"
    )
    if not isinstance(value, list) or len(value) > MOST_PREVIOUS_CLIENTS:
        raise Mismatch(expected)
    return [_previous_client(each, number, expected) for number, each in enumerate(value, 1)]


def _previous_client(value: Any, number: int, expected: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Mismatch(expected, number, value)
    for name in value:
        if name not in _OF_ONE_CLIENT:
            raise Mismatch(f"{expected}, and entry {number} to have no other key", A_NAME, name, known=_OF_ONE_CLIENT)
    if "client_id" not in value:
        raise Mismatch(f"{expected}, and entry {number} to have a client_id", number, value)
    return known_members(value, _OF_ONE_CLIENT, expected, path=f"entry {number}'s ")


CREDENTIALS["previous_clients"] = _previous_clients

REGISTRATION: dict[str, Check] = {**CREDENTIALS, "based_on": check.provider_name}
"""The keys that only a registration has: those of the client, and the provider file that it is based on."""


def checked(document: Mapping[str, Any], checks: Mapping[str, Check]) -> tuple[dict[str, Any], dict[str, Problem]]:
    """Return the valid entries, and the problem of every other key."""
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = dict.fromkeys(document.keys() - checks.keys(), UNKNOWN)
    for key in document.keys() & checks.keys():
        try:
            values[key] = checks[key](document[key])
        except Mismatch as mismatch:
            problems[key] = mismatch
    return values, problems


def validated(document: Any, source: str, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the entries of a document, all of them valid.

    Raises `ProviderMisconfigured` naming `source` and each bad key.
    """
    if not isinstance(document, Mapping):
        raise ProviderMisconfigured(f"{source}: expected an object.")
    values, problems = checked(document, checks)
    if problems:
        from . import hints  # noqa: PLC0415 - the files are right, and most registrations

        raise ProviderMisconfigured(f"{source}: {hints.described(document, problems.items(), checks)}.")
    return values
