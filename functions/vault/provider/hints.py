"""What the author of an invalid registration may have meant: keys with a similar name, and an example of each key.

Loaded only if there is a problem to report. Reports name keys and what was expected, never a value.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base import refused_fields
from functions.vault.base.errors import ProviderMisconfigured, UnknownProvider
from functions.vault.base.fields import Mismatch

from .names import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from functions.vault.base.fields import Check

    from .names import Problem

EXAMPLES: dict[str, Any] = {
    "client_id": "9b2f6c1e",
    "client_secret": "s3cr3t-7f0b2c9d",
    "client_secrets": ["the-new-one-51e8", "the-old-one-7f0b"],
    "client_signing_key": "alias/gatehouse-client-acme",
    "client_signing_kid": "key-2026",
    "previous_clients": [{"client_id": "the-old-id-4711", "client_secret": "its-secret-7f0b"}],
    "issuer": "https://login.example.com",
    "authorization_endpoint": "https://login.example.com/oauth/authorize",
    "token_endpoint": "https://login.example.com/oauth/token",
    "refresh_endpoint": "https://login.example.com/oauth/refresh",
    "revocation_endpoint": "https://login.example.com/oauth/revoke",
    "account_endpoint": "https://login.example.com/oauth/userinfo",
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
    "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
    "jwks_uri": "https://login.example.com/jwks",
    "id_token_signed_response_alg": ["PS256", "ES256", "EdDSA"],
    "pushed_authorization_request_endpoint": "https://login.example.com/par",
    "display_name": "Example",
    "scopes": ["orders:read", "orders:write"],
    "scope_parameter": "granted_scopes",
    "scope_aliases": {"read": ["read_all"]},
    "response_scope_separators": [","],
    "redirect_uri": "ACME-Inc-PRD-1",
    "parameters": {"shop": "[a-z0-9-]{1,63}"},
    "parameter_defaults": {"shop": "acme"},
    "required": ["redirect_uri"],
    "authorization_params": {"access_type": "offline"},
    "authorization_param_names": {"scope": "user_scope"},
    "code_parameter": "auth_code",
    "callback_metadata": {"realmId": "[0-9]{1,20}"},
    "callback_parameters": {"shop": "store"},
    "regions": {"eu": {"token_endpoint": "https://eu.example.com/oauth/token"}},
    "token_params": {"audience": "https://api.example.com"},
    "token_param_names": {"client_id": "client_key"},
    "refresh_params": {"audience": "https://api.example.com"},
    "refresh_param_names": {"client_id": "client_key"},
    "refresh_grant_type": "refresh_token",
    "first_refresh": {"refresh_endpoint": "https://login.example.com/oauth/exchange"},
    "token_headers": {"X-Api-Version": "2026-01"},
    "response_paths": ["data", "."],
    "response_fields": {"access_token": "accessToken"},
    "response_success": "ok",
    "error_fields": {"error": "errcode"},
    "error_codes": {"E-4711": "invalid_grant"},
    "refusals": [{"code": "E-4711", "means": "invalid_grant"}],
    "subject": "account_id",
    "metadata": ["account_id"],
    "account_name": ["account.name", "account_id"],
    "account_scope": "scopes",
    "revocation_headers": {"Authorization": "Bearer {token}"},
    "revocation_params": {"audience": "https://api.example.com"},
    "revocation_param_names": {"token": "access_token"},
    "revocation_tokens": ["refresh_token"],
    "revocation_success": "revoked",
    "resource": ["https://api.example.com"],
    "endpoints_moved_from": ["https://old.example.com"],
}
"""An example of each key that is not a flag, a number or one of a few names."""

_CALLED = {
    "client_id": ("id", "appid", "applicationid", "clientkey", "consumerkey", "apikey", "key", "client"),
    "client_secret": ("secret", "appsecret", "applicationsecret", "consumersecret", "apisecret", "clientpassword"),
    "client_secrets": ("secrets",),
    "client_signing_key": ("privatekey", "signingkey", "clientkeyid", "kmskey"),
    "client_signing_kid": ("kid", "keyid"),
    "previous_clients": ("oldclients", "clients"),
    "based_on": ("provider", "extends", "inherits", "base", "template", "catalogue", "catalog", "preset"),
    "issuer": (
        *("iss", "authority", "issueruri", "discovery", "discoveryurl", "discoveryendpoint", "wellknown"),
        *("wellknownurl", "metadataurl", "servermetadataurl", "openidconfiguration", "configurationendpoint"),
    ),
    "authorization_endpoint": (
        *("authurl", "authuri", "authorizeurl", "authorizeuri", "authorizationurl", "authorizationuri"),
        *("authendpoint", "authorizeendpoint", "authorizationserver"),
    ),
    "token_endpoint": ("tokenurl", "tokenuri", "accesstokenurl", "accesstokenuri", "accesstokenendpoint"),
    "refresh_endpoint": ("refreshurl", "refreshuri", "refreshtokenurl", "refreshtokenendpoint", "autorefreshurl"),
    "revocation_endpoint": ("revokeurl", "revokeuri", "revocationurl", "revocationuri", "revokeendpoint"),
    "account_endpoint": ("userinfo", "userinfourl", "userinfouri", "userinfoendpoint", "profileurl", "meendpoint"),
    "jwks_uri": ("jwks", "jwksurl", "jwksendpoint", "certsurl"),
    "scopes": ("scope", "defaultscopes", "permissions", "scopesrequested"),
    "scope_separator": ("scopedelimiter", "delimiter", "separator"),
    "token_endpoint_auth_method": (
        *("authmethod", "authstyle", "authtype", "tokenauthmethod", "clientauthmethod", "clientauthentication"),
        *("clientauthenticationmethod", "authorizationmethod", "tokenrequestauthmethod"),
    ),
    "pkce": ("usepkce", "codechallengemethod", "enablepkce", "disablepkce"),
    "authorization_params": (
        *("authparams", "authorizeparams", "extraparams", "authorizationparameters", "queryparams"),
        *("audience", "accesstype", "prompt", "loginhint", "extraauthparams"),
    ),
    "token_params": ("tokenparameters", "extratokenparams"),
    "token_headers": ("headers", "extraheaders", "customheaders"),
    "parameter_defaults": ("defaults",),
    "request_timeout": ("timeout",),
    "refusals": ("errors", "refusalrules"),
    "default_expires_in": ("expiresin", "tokenlifetime", "lifetime"),
    "max_concurrency": ("concurrency", "maxconcurrent"),
}
"""What other programs call the keys: only the letters and digits of their names."""

_OURS = {
    **dict.fromkeys(
        ("redirecturi", "redirecturis", "redirecturl", "callback", "callbackurl", "callbackuri"),
        "leave it out: Gatehouse sends its own, /callback/NAME; register that at the provider",
    ),
    **dict.fromkeys(
        ("responsetype", "granttype", "state", "codeverifier", "codechallenge"),
        "leave it out: Gatehouse sets that itself",
    ),
    **dict.fromkeys(("name", "description", "comment", "schema"), "leave it out: no key is for notes"),
}
"""Keys that a registration does not need, and why."""

_ALL_KEYS = "the keys are in docs/providers.md"


def refused(  # noqa: PLR0913 - what was written, and what there is
    name: str,
    document: Mapping[str, Any],
    problems: Sequence[tuple[str, Problem]],
    *,
    checks: Mapping[str, Check],
    parameters: Collection[str],
    files: Collection[str],
) -> ProviderMisconfigured:
    """Return the failure of a registration with these problems: all of them, and what may have been meant.

    `parameters` are those of the provider, `files` the names of all provider files.
    """
    found = described(document, problems, checks, parameters)
    return ProviderMisconfigured(f"The registration of provider {name!r}: {found}.{_catalogue(name, problems, files)}")


def described(
    document: Mapping[str, Any],
    problems: Iterable[tuple[str, Problem]],
    checks: Mapping[str, Check],
    parameters: Collection[str] = (),
) -> str:
    """Return all problems of a registration or of a provider file, with what may have been meant."""
    near = {key: refused_fields.nearest(key, checks, _CALLED) for key in document if key not in checks}
    meant = {key: known for key, known in near.items() if known is not None}
    hints = {
        (key, problem): _hint(key, problem, document, checks, meant, parameters)
        for key, problem in problems
        # If a key is misspelt, that is the problem, and not that the right one is missing.
        if key in document or key not in meant.values() or not _is_missing(problem)
    }
    found = sorted(f"{refused_fields.shown(key)}: {_said(problem)}{hint}" for (key, problem), hint in hints.items())
    is_lost = any(problem == UNKNOWN and not hint for (_, problem), hint in hints.items())
    return "; ".join([*found, *([_ALL_KEYS] if is_lost else [])])


def _said(problem: Problem) -> str:
    return f"expected {problem}" if isinstance(problem, Mismatch) else problem


def _is_missing(problem: Problem) -> bool:
    return isinstance(problem, str) and problem.startswith("needed")


def _hint(  # noqa: PLR0913, PLR0917 - as above
    key: str,
    problem: Problem,
    document: Mapping[str, Any],
    checks: Mapping[str, Check],
    meant: Mapping[str, str],
    parameters: Collection[str],
) -> str:
    """Return what helps to solve one problem."""
    if problem == UNKNOWN:
        return _of_unknown(key, document[key], meant, parameters)
    is_about_its_value = _said(problem).startswith(("needed", "expected"))
    example = f", like {json.dumps(EXAMPLES[key])}" if is_about_its_value and key in EXAMPLES else ""
    return example + (_of_value(document[key], problem, checks[key]) if isinstance(problem, Mismatch) else "")


def _of_unknown(key: str, value: Any, meant: Mapping[str, str], parameters: Collection[str]) -> str:
    if key in parameters:
        return " (a parameter of this provider: give it to start in parameters, or write it in parameter_defaults)"
    if (why := _OURS.get(refused_fields.letters_of(str(key)))) is not None:
        return f" ({why})"
    if key in meant:
        return refused_fields.did_you_mean(meant[key])
    if isinstance(value, Mapping) and "client_id" in value:
        return " (what it holds is a registration: store that alone, without the name around it)"
    return ""


def _of_value(value: Any, mismatch: Mismatch, accept: Check) -> str:
    """Return what came, or what helps if a text has blanks at its ends, or is a list or number that became a text.

    The form for keys and values in AWS's console turns each of them into a text.
    """
    if isinstance(value, str):
        if value != value.strip():
            return " (there is a blank or a line break at one of its ends: copy it once more)"
        with contextlib.suppress(ValueError, RecursionError):  # a `Mismatch` is a `ValueError`
            accept(json.loads(value))
            return " (it is written as a text: leave its quotation marks out, in the console under Plaintext)"
    return refused_fields.came(mismatch, value, _CALLED)


def _catalogue(name: str, problems: Sequence[tuple[str, Problem]], files: Collection[str]) -> str:
    """Return what helps if the endpoints are missing for a second application at a provider of the catalogue."""
    lacks = any(key == "token_endpoint" and _is_missing(problem) for key, problem in problems)
    near = _file_like(name, files) if lacks and name not in files else None
    return "" if near is None else f' If this is an application at {near}: "based_on": {json.dumps(near)}.'


def _file_like(name: str, files: Collection[str]) -> str | None:
    """Return the provider file after which a provider may be called, or whose name is spelled nearly so."""
    words = re.split(r"[._-]", name.lower())
    alike = difflib.get_close_matches(name.lower(), files, 1, refused_fields.LIKE)
    return next(iter([*(each for each in files if each in words), *alike]), None)


def unknown_provider(name: str, secret: str, files: Collection[str]) -> UnknownProvider:
    """Return the failure for a name under which no registration is stored, with the provider that may be meant."""
    near = None if name in files else _file_like(name, files)
    if_right = "create" if near is None else "if the name is right, create"
    return UnknownProvider(
        f"No provider {name!r} is configured{refused_fields.did_you_mean(near)}: {if_right} the secret {secret} with "
        "its registration."
    )


def not_json(text: str, error: Exception) -> str:
    """Return why a text is not JSON, and what may have happened to it: the position, and nothing of the text."""
    if not text.strip():
        return "it holds no text; store it as text, not as binary"
    if text.strip().startswith(("file://", "fileb://")):
        return "it holds the name of a file in place of what the file holds"
    is_of_json = isinstance(error, json.JSONDecodeError | RecursionError)
    return refused_fields.not_json(error) if is_of_json else str(error)


def no_object(document: Any) -> str:
    """Return what is wrong with a document that is not an object."""
    expected = 'expected an object, like {"client_id": "...", "client_secret": "..."}'
    try:
        is_quoted = isinstance(document, str) and isinstance(json.loads(document), dict)
    except (ValueError, RecursionError):
        is_quoted = False
    return expected + (" (it is one within a JSON text: encode it once)" if is_quoted else "")


def nearest_file(name: str, files: Collection[str]) -> str:
    """Return what is wrong with the name of a provider file that does not exist."""
    near = difflib.get_close_matches(name.lower(), files, 1, 0.6)
    return "expected the name of a provider file" + (f" (did you mean {near[0]}?)" if near else f", like {min(files)}")
