"""`python -m tools.registration_schema`: write docs/registration.schema.json, the JSON Schema of a registration.

For each key it accepts what `functions/vault/provider/vocabulary.py` accepts; a test compares the two. The description
of a key is the one in docs/providers.md.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from functions.vault.base import fields
from functions.vault.base.fields import LONGEST_LIFETIME, PROVIDER_NAME
from functions.vault.provider import (
    answer_checks,
    auth_methods,
    names,
    refusal_rules,
    tenant_checks,
    tenants,
    url_checks,
    vocabulary,
)
from functions.vault.provider.auth_methods import HMAC_ALGORITHMS, ID_TOKEN_ALGORITHMS, KEY_ALGORITHMS
from functions.vault.provider.hints import EXAMPLES

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "registration.schema.json"

_NO_CONTROLS = r"[^\u0000-\u001f\u007f\ud800-\udfff]*"
_NAME = r"[A-Za-z0-9_.\-\[\]]{1,64}"
_HEADER = r"[A-Za-z0-9-]{1,64}"
_PARAMETER = r"[a-z][a-z0-9_]{0,31}"
_CODE = r"[A-Za-z0-9_.:\/ \-]{1,64}"

Schema = dict[str, Any]


def _whole(pattern: str) -> Schema:
    """Match the whole string: in some languages a lone dollar sign also matches before a final line break."""
    return {"type": "string", "pattern": f"^(?:{pattern})$(?!\\n)"}


def _printable(longest: int, least: int = 1) -> Schema:
    return {**_whole(_NO_CONTROLS), "minLength": least, "maxLength": longest}


def _one_of(*choices: str) -> Schema:
    return {"enum": list(choices)}


def _list(item: Schema, most: int) -> Schema:
    return {"type": "array", "items": item, "maxItems": most}


def _integer(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _strings(names: Schema, longest: int, most: int) -> Schema:
    values = _printable(longest, 0)
    return {"type": "object", "propertyNames": names, "additionalProperties": values, "maxProperties": most}


def _params(own: frozenset[str]) -> Schema:
    return _strings({**_whole(_NAME), "not": {"enum": sorted(own)}}, 1024, 20)


def _headers(own: frozenset[str]) -> Schema:
    # JSON Schema has no comparison that ignores case, so the pattern spells both cases.
    spelled = "|".join("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in name) for name in sorted(own))
    return _strings({**_whole(_HEADER), "not": _whole(spelled)}, 256, 10)


def _names(*own: str) -> Schema:
    other = {**_whole(f"{_NAME}|"), "not": {"enum": list(own)}}
    return {"type": "object", "properties": dict.fromkeys(own, other), "additionalProperties": False}


def _map(keys: tuple[str, ...], values: str) -> Schema:
    return {"type": "object", "properties": dict.fromkeys(keys, _whole(values)), "additionalProperties": False}


def _client() -> Schema:
    """Return the schema of a previous client."""
    keys = {
        "client_id": _printable(1024),
        "client_secret": _printable(4096),
        "client_secrets": {**_list(_printable(4096), 2), "minItems": 1},
        "client_signing_key": _whole(vocabulary.KMS_KEY),
        "client_signing_kid": _printable(256),
    }
    both = {"required": ["client_secret", "client_secrets"]}
    return {
        "type": "object",
        "required": ["client_id"],
        "not": both,
        "properties": keys,
        "additionalProperties": False,
    }


def _rule() -> Schema:
    """Return the schema of one rule about refusals."""
    conditions = {
        "endpoint": _one_of(*refusal_rules.ENDPOINTS),
        "status": _integer(200, 599),
        "code": _whole(_CODE),
        "words": {**_list(_whole(refusal_rules.WORDS), refusal_rules.MOST_TEXTS), "minItems": 1},
        "contains": _members(refusal_rules.DEEPEST),
    }
    return {
        "type": "object",
        "properties": {**conditions, "means": _one_of(*refusal_rules.MEANINGS)},
        "required": ["means"],
        "anyOf": [{"required": [name]} for name in refusal_rules.CONDITIONS],
        "if": {"properties": {"means": {"const": refusal_rules.ACCESS_DENIED}}},
        "then": {"required": ["endpoint"], "properties": {"endpoint": {"const": "authorization"}}},
        "additionalProperties": False,
    }


def _members(depth: int) -> Schema:
    """Return the schema of the members that an answer must have, nested at most `depth` deep."""
    number = _integer(-refusal_rules.LARGEST_NUMBER, refusal_rules.LARGEST_NUMBER)
    deeper = [_members(depth - 1)] if depth > 1 else []
    return {
        "type": "object",
        "propertyNames": _printable(64),
        "additionalProperties": {"anyOf": [_printable(200), number, {"type": "boolean"}, *deeper]},
        "minProperties": 1,
        "maxProperties": refusal_rules.MOST_MEMBERS,
    }


def _keys() -> dict[str, Schema]:
    """Return the schema of each key."""
    endpoint = {**_whole(url_checks.HTTPS_URL), "maxLength": url_checks.LONGEST_URL}
    endpoint_or_none = {**_whole(f"{url_checks.HTTPS_URL}|"), "maxLength": url_checks.LONGEST_URL}
    literal: Schema = {**endpoint, "not": {"pattern": r"\{"}}
    flag: Schema = {"type": "boolean"}
    name, path, method = _whole(_NAME), _whole(_NAME), _one_of(*auth_methods.AUTH_METHODS)
    token_params = _params(names.OWN_TOKEN_PARAMS)
    credentials = ("client_id", "client_secret")
    refresh_names, grant_type = _names("grant_type", "refresh_token", *credentials), _whole(vocabulary.GRANT_TYPE)
    patterns = {
        "type": "object",
        "propertyNames": {**_whole(_PARAMETER), "not": {"enum": list(names.PLACEHOLDERS)}},
        "additionalProperties": _whole(tenants.PATTERN),
        "maxProperties": 10,
    }
    field_names: Schema = {"anyOf": [_whole(f"{_NAME}|"), _list(name, answer_checks.MOST_NAMES)]}
    algorithm = _one_of(*ID_TOKEN_ALGORITHMS)
    codes = {
        "type": "object",
        "propertyNames": _whole(_CODE),
        "additionalProperties": _one_of(*refusal_rules.MEANINGS),
        "maxProperties": 50,
    }
    return {
        "client_id": _printable(1024),
        "client_secret": _printable(4096),
        "client_secrets": {**_list(_printable(4096), 2), "minItems": 1},
        "client_signing_key": _whole(vocabulary.KMS_KEY),
        "client_signing_kid": _printable(256),
        "previous_clients": _list(_client(), vocabulary.MOST_PREVIOUS_CLIENTS),
        "based_on": _whole(PROVIDER_NAME),
        "display_name": _printable(64),
        "endpoints_moved_from": _list(_whole(url_checks.ORIGIN), 10),
        "reauthorize_previous": flag,
        **dict.fromkeys(("issuer", "jwks_uri"), literal),
        **dict.fromkeys(names.ENDPOINTS, endpoint),
        **dict.fromkeys(("revocation_endpoint", "account_endpoint"), endpoint_or_none),
        "authorization_response_iss_parameter_supported": flag,
        "token_endpoint_auth_method": method,
        "token_endpoint_auth_methods_supported": _list(_printable(64), 20),
        "token_endpoint_auth_signing_alg": _one_of(*HMAC_ALGORITHMS, *KEY_ALGORITHMS),
        "token_endpoint_auth_signing_alg_values_supported": _list(_printable(64), 50),
        "client_assertion_audience": _one_of(*auth_methods.AUDIENCES),
        "client_id_in_body": flag,
        "basic_credentials_encoding": _one_of("form", "none"),
        "require_pushed_authorization_requests": flag,
        "response_mode": _one_of("query", "form_post"),
        "resource": _list(_whole(vocabulary.ABSOLUTE_URI), 10),
        "pkce": _one_of("S256", "none"),
        "nonce": flag,
        "scopes": _list(_whole(fields.SCOPE_TOKEN), 100),
        "scopes_fixed": flag,
        "scope_separator": _one_of(*vocabulary.SCOPE_SEPARATORS),
        "response_scope_separators": _list(_one_of(*vocabulary.SCOPE_SEPARATORS), len(vocabulary.SCOPE_SEPARATORS)),
        "scope_aliases": {
            "type": "object",
            "propertyNames": _whole(answer_checks.SCOPE_PATTERN),
            "additionalProperties": _list(_whole(answer_checks.SCOPE_PATTERN), answer_checks.MOST_ALIASES),
            "maxProperties": answer_checks.MOST_SCOPES,
        },
        "scope_parameter": name,
        "scope_in_refresh": flag,
        "refresh_token_needs": {
            "type": "object",
            "propertyNames": name,
            "additionalProperties": {**_list(_printable(256), 10), "minItems": 1},
            "maxProperties": 10,
        },
        "redirect_uri": _printable(1024),
        "parameters": patterns,
        "parameter_defaults": _strings(_whole(_PARAMETER), 256, 10),
        "required": _list(_whole(_PARAMETER), 10),
        "authorization_params": _params(names.OWN_AUTHORIZATION_PARAMS),
        "authorization_param_names": _names(*names.RENAMABLE_AUTHORIZATION_PARAMS),
        "code_parameter": name,
        "callback_metadata": {
            "type": "object",
            "propertyNames": name,
            "additionalProperties": {
                "anyOf": [_whole(tenants.PATTERN), _list(_printable(256), answer_checks.MOST_VALUES)],
            },
            "maxProperties": 20,
        },
        "callback_parameters": {
            "type": "object",
            "propertyNames": _whole(_PARAMETER),
            "additionalProperties": name,
            "maxProperties": 10,
        },
        "regions": {
            "type": "object",
            "propertyNames": _whole(tenant_checks.REGION_NAME),
            "additionalProperties": {
                "type": "object",
                "properties": dict.fromkeys(names.ENDPOINTS, endpoint),
                "additionalProperties": False,
            },
            "maxProperties": tenant_checks.MOST_REGIONS,
        },
        "body_format": _one_of("form", "json"),
        "token_params": token_params,
        "token_param_names": _names("grant_type", "code", "redirect_uri", "code_verifier", *credentials),
        "refresh_params": token_params,
        "refresh_param_names": refresh_names,
        "refresh_method": _one_of("POST", "GET"),
        "refresh_grant_type": grant_type,
        "first_refresh": {
            "type": "object",
            "properties": {
                "refresh_endpoint": literal,
                "refresh_grant_type": grant_type,
                "refresh_params": token_params,
                "refresh_param_names": refresh_names,
            },
            "additionalProperties": False,
        },
        "token_headers": _headers(names.OWN_HEADERS),
        "response_paths": _list(path, 5),
        "response_fields": {
            "type": "object",
            "properties": dict.fromkeys(answer_checks.TOKEN_FIELDS, field_names),
            "additionalProperties": False,
        },
        "response_success": path,
        "error_fields": _map(("error", "error_description"), _NAME),
        "error_codes": codes,
        "refusals": _list(_rule(), refusal_rules.MOST_RULES),
        "subject": path,
        "metadata": _list(path, 20),
        "account_name": _list(path, 5),
        "account_scope": path,
        "id_token_signed_response_alg": {
            "anyOf": [algorithm, {**_list(algorithm, len(ID_TOKEN_ALGORITHMS)), "minItems": 1}]
        },
        "expires_in_unit": _one_of("seconds", "milliseconds"),
        "default_expires_in": _integer(1, LONGEST_LIFETIME),
        "max_expires_in": _integer(1, LONGEST_LIFETIME),
        "default_refresh_token_expires_in": _integer(60, LONGEST_LIFETIME),
        "refresh_margin": _integer(0, 86400),
        "background_refresh": _one_of("keep_alive", "keep_fresh", "never"),
        "refresh_token_rotation": flag,
        "refresh_token_idle_seconds": _integer(60, LONGEST_LIFETIME),
        "refresh_token_replay_seconds": _integer(0, 86400),
        "revocation_method": _one_of("POST", "DELETE", "GET"),
        "revocation_body_format": _one_of("form", "json", "none"),
        "revocation_endpoint_auth_method": method,
        "revocation_endpoint_auth_methods_supported": _list(_printable(64), 20),
        "revocation_headers": _headers(names.OWN_HEADERS - {"authorization"}),
        "revocation_params": token_params,
        "revocation_param_names": _names("token", "token_type_hint", *credentials),
        "revocation_tokens": _list(_one_of("refresh_token", "access_token"), 2),
        "revocation_token_type_hint": flag,
        "revocation_ends_authorization": flag,
        "revocation_success": path,
        "max_concurrency": _integer(0, 100),
        "request_timeout": _integer(1, 20),
    }


def schema() -> Schema:
    """Return the schema of a registration. The local stack also accepts http for loopback hosts."""
    explained, keys = _explained(), _keys()
    rule = keys["refusals"]["items"]
    rule["properties"] = _described(rule["properties"], explained)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A registration: your client at a provider, and what differs from what is known of the provider",
        "description": "The JSON document of the secret gatehouse/providers/NAME; docs/providers.md explains it.",
        "type": "object",
        "required": ["client_id"],
        "not": {"required": ["client_secret", "client_secrets"]},
        "properties": _described(keys, explained),
        "additionalProperties": False,
    }


def _described(keys: dict[str, Schema], explained: dict[str, str]) -> dict[str, Schema]:
    examples = {key: {"examples": [example]} for key, example in EXAMPLES.items()}
    return {key: {"description": explained[key], **demands, **examples.get(key, {})} for key, demands in keys.items()}


def _explained() -> dict[str, str]:
    """Return the explanation of each key in docs/providers.md, without links."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", (DOCS / "providers.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {key: re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cells.rpartition(" | ")[2]).strip() for key, cells in rows}


def text() -> str:
    """Return the document as text."""
    return json.dumps(schema(), indent=2, ensure_ascii=True) + "\n"


def main() -> None:
    """Write it."""
    DOCUMENT.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
