"""How the layers of a registration become one: what the owner writes, over an issuer's metadata, over a provider file.

Each layer is valid key by key (`vocabulary`). What does not fit together once they are merged is found here.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from functions.vault.base.errors import ProviderMisconfigured

from . import tenants
from .names import ENDPOINTS, MAY_HOLD_API_KEYS, NAMES_A_KEY, PARAM_NAMES, REGION, SHORTEST_PRIVATE
from .provider import ID_TOKEN_SUBJECT, Provider
from .refusal_rules import of_codes
from .registration import Registration, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def registration_of(name: str, layers: list[dict[str, Any]], credentials: Mapping[str, Any]) -> Registration:
    """Return the registration of provider `name`: in `layers`, later ones take precedence.

    Raises `ProviderMisconfigured` naming every problem.
    """
    registration, problems = merge(name, layers, credentials)
    if problems:
        found = "; ".join(f"{key}: {problem}" for key, problem in problems)
        raise ProviderMisconfigured(f"The registration of provider {name!r}: {found}.")
    return registration


def merge(
    name: str, layers: list[dict[str, Any]], credentials: Mapping[str, Any]
) -> tuple[Registration, list[tuple[str, str]]]:
    """Return the registration that layers and credentials make, and its problems, each with its key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key in _endpoints_elsewhere(merged, layer):
            del merged[key]
        merged |= {**_regions_under(layer, merged), **layer, **_rules_over(merged, layer)}
    known = {entry.name for entry in fields(Provider)}
    for key in ("revocation_endpoint", "account_endpoint"):
        if merged.get(key) == "":
            del merged[key]  # it exists, and the owner does not want it used
    problems = [*_client_problems(credentials), *_conflicts(merged)]
    values = {key: value for key, value in merged.items() if key in known}
    provider = Provider(name=name, **values, private=_private(layers))
    client = {"client_id": "", **_client(credentials)}
    return Registration(provider, **client, is_discovered=bool(merged.get("is_discovered"))), problems


def _endpoints_elsewhere(below: Mapping[str, Any], layer: Mapping[str, Any]) -> list[str]:
    """Return the endpoints below a layer that must not get its tokens, because its token endpoint is elsewhere.

    An owner who names the endpoints of their own installation, and leaves one out, has not agreed to the file's: a
    stranger would get the tokens, and Gatehouse would believe what it says about them.
    """
    was, now = (urlsplit(each.get("token_endpoint") or "") for each in (below, layer))
    is_elsewhere = bool(was.netloc and now.netloc) and (was.scheme, was.netloc) != (now.scheme, now.netloc)
    gets_tokens = [
        key for key in (*ENDPOINTS, "first_refresh") if key not in {"authorization_endpoint", "token_endpoint"}
    ]
    return [key for key in gets_tokens if is_elsewhere and key in below and key not in layer]


def _rules_over(below: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules of a layer, then those of the layers below it; `error_codes` become rules, too.

    Rules add up, whereas any other key replaces the same key below: an owner who explains one more refusal of a server
    keeps what the server's file says.
    """
    whole = [
        rule for each in (layer, below) for rule in (*each.get("refusals", ()), *of_codes(each.get("error_codes", {})))
    ]
    return {"refusals": tuple(whole), "error_codes": {}} if whole else {}


def _regions_under(layer: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Return the regions below a layer without the endpoints that the layer names: those apply in every region."""
    regions: Mapping[str, Mapping[str, str]] = below.get("regions", {})
    return {
        "regions": {name: {key: url for key, url in urls.items() if key not in layer} for name, urls in regions.items()}
    }


def _private(layers: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the values in headers, parameters and queries of endpoints that only the last layer has."""
    *below, own = [set(private_values(layer)) for layer in layers] or [set()]
    return tuple(sorted(own.difference(*below)))


def private_values(layer: Mapping[str, Any]) -> Iterator[str]:
    """Give the values of a layer that may be API keys, or the secrets of one."""
    given: list[tuple[str, str]] = []
    for part in (layer, layer.get("first_refresh", {}), *layer.get("regions", {}).values()):
        given += (entry for key in MAY_HOLD_API_KEYS for entry in part.get(key, {}).items())
        given += (entry for key in ENDPOINTS for entry in parse_qsl(urlsplit(part.get(key) or "").query))
    # A shorter value, a flag or a number, occurs in plain words: it counts only if its name says what it is. The same
    # goes for authorization_params, which the customer's browser shows unless the request is pushed.
    yield from (value for _, value in given if len(value) >= SHORTEST_PRIVATE)
    given += layer.get("authorization_params", {}).items()
    yield from (value for name, value in given if re.search(NAMES_A_KEY, name.lower()))


def _client(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the client: `client_secrets` and `client_secret` are two ways to write the same."""
    client = dict(credentials)
    if "previous_clients" in client:
        client["previous_clients"] = tuple(_client(each) for each in client["previous_clients"])
    secrets = client.pop("client_secrets", ())
    return client | dict(zip(("client_secret", "previous_client_secret"), secrets, strict=False))


def _client_problems(credentials: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "client_id" not in credentials:
        yield "client_id", "needed: what the provider calls your application"
    for key, client in [
        ("client_secrets", credentials),
        *(("previous_clients", each) for each in credentials.get("previous_clients", ())),
    ]:
        if "client_secrets" in client and ("client_secret" in client or not client["client_secrets"]):
            yield key, "expected client_secret (one), or client_secrets (one or two, the newest first), not both"


def _conflicts(merged: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where keys that are valid by themselves contradict each other."""
    declared: Mapping[str, str] = merged.get("parameters", {})
    for key in PARAM_NAMES:
        if _are_ambiguous([name for name in merged.get(key, {}).values() if name]):
            yield key, "expected names that differ from one another"
    for key in merged.get("required", ()):
        if key not in merged:
            yield key, "needed, as the provider file says"
    yield from _unknown_placeholders(merged, declared)
    for region, urls in merged.get("regions", {}).items():
        yield from (("regions", f"{region}.{key}: {text}") for key, text in _unknown_placeholders(urls, declared))
    known = declared.keys() | ({REGION} if merged.get("regions") else set())
    for name in sorted(merged.get("callback_parameters", {}).keys() - known):
        yield "callback_parameters", _not_a_parameter(name, name, known)
    yield from _unfit_defaults(declared, merged.get("parameter_defaults", {}))
    first = merged.get("first_refresh", {}).get("refresh_endpoint")
    if first and origin_of(first) != origin_of(merged.get("refresh_endpoint") or merged.get("token_endpoint") or ""):
        yield "first_refresh", "expected its refresh_endpoint at the origin of the one of later refreshes"
    if merged.get("authorization_response_iss_parameter_supported") and "issuer" not in merged:
        yield "issuer", "needed, to compare iss in the responses with (RFC 9207)"
    yield from _account_problems(merged)


def _account_problems(merged: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is missing for finding out whose account it is."""
    if merged.get("subject") == ID_TOKEN_SUBJECT and not {"issuer", "jwks_uri"} <= merged.keys():
        yield "subject", f"{ID_TOKEN_SUBJECT} needs an issuer and a jwks_uri to verify the ID token by"
    if "account_endpoint" in merged and merged.get("subject") in {None, ID_TOKEN_SUBJECT}:
        yield "account_endpoint", "needs subject, the path at which its answer names the account, like sub"


def _unfit_defaults(declared: Mapping[str, str], defaults: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for parameter, value in defaults.items():
        if parameter not in declared:
            yield "parameter_defaults", _not_a_parameter(parameter, parameter, declared)
        elif problem := tenants.problem_of(parameter, declared[parameter], value):
            yield "parameter_defaults", problem.removeprefix("parameters.")


def _unknown_placeholders(urls: Mapping[str, Any], declared: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key in ENDPOINTS:
        allowed = declared.keys() | ({"client_id", "token"} if key == "revocation_endpoint" else set())
        for placeholder in sorted(tenants.names_in(urls.get(key) or "") - allowed):
            yield key, _not_a_parameter(f"{{{placeholder}}}", placeholder, allowed)


def _not_a_parameter(written: str, name: str, known: Iterable[str]) -> str:
    from functions.vault.base.refused_fields import did_you_mean, nearest  # noqa: PLC0415 - most registrations are right

    return f"{written} is not among parameters{did_you_mean(nearest(name, known))}"


def _are_ambiguous(names: list[str]) -> bool:
    return len(set(names)) != len(names)
