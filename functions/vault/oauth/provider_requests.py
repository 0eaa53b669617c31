"""The requests to a provider: those of RFC 6749 and 7009, except for what the provider's data says is different.

Pure: this module decides what is sent, `client` sends it.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from functions.vault.base.errors import GatehouseError
from functions.vault.base.record import record
from functions.vault.provider.tenants import filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration

    Pairs = Sequence[tuple[str, str]]

_CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


_STEPS = {
    "token": "Exchanging the code",
    "refresh": "Refreshing",
    "first_refresh": "Refreshing",
    "revocation": "Revoking",
    "push": "Pushing the authorization request",
    "account": "Asking whose account it is",
    "metadata": "Reading the issuer's metadata",
    "keys": "Reading the issuer's keys",
}
"""What each kind of request is for, in the words of errors."""


@contextmanager
def requesting(kind: str, url: str) -> Iterator[None]:
    """Have every failure in this block say which request met it, and at which host; of the URL it says no more."""
    try:
        yield
    except GatehouseError as failure:
        failure.met_while(_STEPS[kind], urlsplit(url).netloc)
        raise


@record
class Request:
    """One HTTP request, whole. Its URL, too, can hold a token."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


def authorization_params(
    registration: Registration, redirect_uri: str, scope: str | None, extra: Mapping[str, str]
) -> dict[str, str]:
    """Return the parameters of the authorization request (RFC 6749 section 4.1.1), except state and code challenge."""
    provider = registration.provider
    params = {"response_type": "code", "client_id": registration.client_id, "redirect_uri": redirect_uri}
    if scope is not None:
        params["scope"] = scope_text(provider, scope)
    own = _named(params.items(), provider.authorization_param_names)
    return {**provider.authorization_params, **extra, **dict(own)}


def scope_text(provider: Provider, scope: str) -> str:
    """Return a scope as the provider expects it in a request: with its own separator."""
    return scope.replace(" ", provider.scope_separator)


def request(
    kind: str,
    registration: Registration,
    fields: Pairs,
    proof_fields: Mapping[str, str],
    proof_headers: Mapping[str, str],
) -> Request:
    """Return the request of one kind: `token`, `refresh`, `first_refresh`, `revocation` or `push`.

    `token` exchanges a code. A `first_refresh` uses a refresh token that a consent has brought, a `refresh` any later
    one. `fields` have the RFCs' names (RFC 6749 sections 4.1.3 and 6, RFC 7009 section 2.1), and those of a push are
    sent as they are (RFC 9126 section 2.1). `proof_fields` and `proof_headers` authenticate the client (RFC 6749
    section 2.3).
    """
    provider = registration.provider
    # A pushed request has a client_id of its own, and no body may have it twice.
    whole = [*fields, *(entry for entry in proof_fields.items() if entry not in fields)]
    headers = {**provider.token_headers, **proof_headers}
    if kind == "push":
        return _request("POST", endpoint_of(kind, provider), "form", whole, headers)
    if kind == "first_refresh":
        provider, kind = provider.at_first_refresh, "refresh"
    names: Mapping[str, str] = getattr(provider, f"{kind}_param_names")
    params: Mapping[str, str] = getattr(provider, f"{kind}_params")
    own = _named(whole, names)
    taken = dict(own)
    pairs = [*own, *((name, value) for name, value in params.items() if name not in taken)]
    if kind == "revocation":
        return _revocation(registration, dict(fields).get("token", ""), pairs, headers)
    method = provider.refresh_method if kind == "refresh" else "POST"
    return _request(method, endpoint_of(kind, provider), provider.body_format, pairs, headers)


def endpoint_of(kind: str, provider: Provider) -> str:
    """Return the endpoint of a request of this kind; that of a revocation may have placeholders in it."""
    match kind:
        case "push":
            return provider.endpoint("pushed_authorization_request_endpoint")
        case "revocation":
            return provider.endpoint("revocation_endpoint")
        case "first_refresh":
            return endpoint_of("refresh", provider.at_first_refresh)
        case "refresh" if provider.refresh_endpoint is not None:
            return provider.refresh_endpoint
        case _:
            return provider.endpoint("token_endpoint")


def account_request(provider: Provider, access_token: str) -> Request:
    """Return the request for the account of an access token (OpenID Connect Core section 5.3.1, RFC 6750)."""
    headers = {**provider.token_headers, "Authorization": f"Bearer {access_token}"}
    return _request("GET", provider.endpoint("account_endpoint"), "none", (), headers)


def _revocation(registration: Registration, token: str, pairs: Pairs, headers: Mapping[str, str]) -> Request:
    provider = registration.provider
    values = {"token": token, "client_id": registration.client_id, "client_secret": registration.client_secret or ""}
    own_headers = {name: filled(text, values) for name, text in provider.revocation_headers.items()}
    in_url = {name: quote(values[name], safe="") for name in ("token", "client_id")}
    url = filled(endpoint_of("revocation", provider), in_url)
    return _request(provider.revocation_method, url, provider.revocation_body_format, pairs, {**headers, **own_headers})


def _request(method: str, url: str, body_format: str, pairs: Pairs, headers: Mapping[str, str]) -> Request:
    """Return a request with these fields in its body, or, as a GET has no body, in its query."""
    known = {"Accept": "application/json", "User-Agent": "gatehouse", **headers}
    if body_format == "none":
        return Request(method, url, known, None)
    if method == "GET":
        return Request(method, f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(pairs)}", known, None)
    body = json.dumps(dict(pairs), separators=(",", ":")) if body_format == "json" else urlencode(pairs)
    return Request(method, url, {"Content-Type": _CONTENT_TYPES[body_format], **known}, body)


def _named(fields: Iterable[tuple[str, str]], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the fields under the provider's names for them, without those that it does not want."""
    return [(name, value) for own, value in fields if (name := names.get(own, own))]
