"""Problems that keep customers from connecting, in a registration whose keys are valid one by one.

`start` looks for them before it sends a customer anywhere, and `python -m tools.check_registration` reports them.
Existing connections are not affected: a registration that works goes on working.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from functions.vault.base.errors import ProviderMisconfigured

from .auth_methods import AUTH_METHODS, HMAC_ALGORITHMS, KEY_ALGORITHMS
from .names import ENDPOINTS, OWN_AUTHORIZATION_PARAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .registration import Registration

    Problem = tuple[str, str]

_INVISIBLE = "[\u00a0\u00ad\u180e\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]"
"""Characters that come along when a text is copied from a page, and are not visible."""

# What examples, templates that nobody has filled in, and screens that hide a secret show in its place.
_PLACEHOLDER = (
    r"(?i)your[ _-].*|(the|its|new|old) (client |app )?(id|secret)|(client|app) (id|secret)|(?-i:NEW|OLD)"
    r"|<.*>|\[.*\]|\$?\{.*\}|(?-i:\$[A-Z_]+|%[A-Z_]+%)|\.{3}|\u2026|x{3,}|.{0,8}(\*{4,}|\u2022{3,}|\u25cf{3,}).{0,8}"
    r"|(change|replace|insert)[ _-]?(me|this|it)|todo|placeholder|null|none|undefined"
)

_NOBODY = r"(?i)(.*\.)?example\.(com|net|org)"
"""Hosts reserved for examples (RFC 2606 section 3): no server is there."""


def problems(registration: Registration) -> Iterator[Problem]:
    """Yield the problems, each with the key to change; never a value."""
    yield from _endpoint_problems(registration)
    yield from _credential_problems(registration)
    yield from _authentication_problems(registration)


def _endpoint_problems(registration: Registration) -> Iterator[Problem]:
    provider = registration.provider
    # An issuer whose metadata has not been read yet may name them.
    is_known = provider.issuer is None or registration.is_discovered or provider.token_endpoint is not None
    if is_known:
        needed = ["authorization_endpoint", "token_endpoint"]
        if provider.require_pushed_authorization_requests:
            needed.append("pushed_authorization_request_endpoint")
        way = "the issuer's metadata names none" if registration.is_discovered else "or the issuer that publishes it"
        for key in needed:
            if getattr(provider, key) is None:
                yield key, f"needed before anybody can be connected, {way}"
    for key in ("issuer", *ENDPOINTS):
        host = urlsplit(getattr(provider, key) or "").hostname or ""
        if re.fullmatch(_NOBODY, host):
            yield key, "expected the provider's own host instead of that of an example"
    if "/.well-known/" in (provider.issuer or ""):
        yield "issuer", "expected the issuer itself, without /.well-known/ and what follows"
    query = {name for name, _ in parse_qsl(urlsplit(provider.authorization_endpoint or "").query)}
    if own := query & OWN_AUTHORIZATION_PARAMS:
        yield (
            "authorization_endpoint",
            f"expected no parameters in it that Gatehouse adds itself ({', '.join(sorted(own))})",
        )


def _credential_problems(registration: Registration) -> Iterator[Problem]:
    second = "client_secrets" if registration.previous_client_secret is not None else "client_secret"
    values = [
        ("client_id", registration.client_id),
        (second, registration.client_secret),
        (second, registration.previous_client_secret),
        ("client_signing_kid", registration.client_signing_kid),
        *(("previous_clients", value) for each in registration.previous_clients for value in each.values()),
    ]
    for key, value in values:
        if value is None:
            continue
        if value != value.strip() or re.search(_INVISIBLE, value):
            yield key, "expected no blank at either end, and no invisible character: copy it once more"
        elif re.fullmatch(_PLACEHOLDER, value):
            yield key, "expected what the provider gave you instead of a placeholder"


def _authentication_problems(registration: Registration) -> Iterator[Problem]:
    provider = registration.provider
    try:
        lacking = registration.lacking_credential
    except ProviderMisconfigured as error:
        yield "token_endpoint_auth_method", error.description.removesuffix(".")
        return
    if lacking is not None:
        yield lacking, f"needed for token_endpoint_auth_method {provider.token_endpoint_auth_method}"
        return
    yield from _signing_problems(registration)
    if (lacking := registration.for_revocation().lacking_credential) is not None:
        yield lacking, f"needed for revocation_endpoint_auth_method {provider.revocation_endpoint_auth_method}"
    supported = provider.token_endpoint_auth_methods_supported
    is_explicit = provider.token_endpoint_auth_method is not None or not supported or "none" in supported
    # Metadata often omits that public clients are accepted. A provider file that omits it means it.
    if registration.auth_method == "none" and not is_explicit and not registration.is_discovered:
        way = 'for a public client say "token_endpoint_auth_method": "none"'
        taken = ", ".join(each for each in AUTH_METHODS if each in (supported or ()))
        takes = f"the provider takes {taken or 'no public client'}"
        yield "client_secret", f"needed: {way}; for another, the secret ({takes})"


def _signing_problems(registration: Registration) -> Iterator[Problem]:
    usable = {"client_secret_jwt": tuple(HMAC_ALGORITHMS), "private_key_jwt": KEY_ALGORITHMS}
    method = registration.auth_method
    if method not in usable:
        return
    try:
        registration.signing_algorithm(usable[method], "HS256" if method == "client_secret_jwt" else None)
    except ProviderMisconfigured:
        yield "token_endpoint_auth_signing_alg", f"expected one of {', '.join(usable[method])}"
