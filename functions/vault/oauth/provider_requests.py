"""Requests in a provider's own words: RFC 6749's and 7009's, but for what its data says is different there.

Pure: what is sent is decided here, by `client` it is sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from functions.vault.base.record import record
from functions.vault.provider.tenants import filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from functions.vault.provider.provider import Provider
    from functions.vault.provider.registration import Registration

    Pairs = Sequence[tuple[str, str]]

_CONTENT_TYPES = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


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
    """Return the parameters of the authorization request (RFC 6749 section 4.1.1) but state and code challenge."""
    provider = registration.provider
    params = {"response_type": "code", "client_id": registration.client_id, "redirect_uri": redirect_uri}
    if scope is not None:
        params["scope"] = scope_text(provider, scope)
    own = _named(params.items(), provider.authorization_param_names)
    return {**provider.authorization_params, **extra, **dict(own)}


def scope_text(provider: Provider, scope: str) -> str:
    """Return a scope as the provider takes it in a request: with its own separator."""
    return scope.replace(" ", provider.scope_separator)


def request(
    kind: str,
    registration: Registration,
    fields: Pairs,
    proof_fields: Mapping[str, str],
    proof_headers: Mapping[str, str],
) -> Request:
    """Return the exchange of a code (`token`) or refresh token, a `revocation`, or a request's `push`.

    A refresh token goes out by a `refresh`, or by a `first_refresh` if a consent has brought it. `fields` are by the
    RFCs' names (RFC 6749 sections 4.1.3 and 6, RFC 7009 section 2.1), those of a push as they are (RFC 9126 section
    2.1); the proof of who asks (RFC 6749 section 2.3) has fields and headers, either of them empty.
    """
    provider = registration.provider
    # A pushed request has its client_id in any case: in no body may it be twice.
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
    """Return where a request of this kind goes; the address of a revocation may have placeholders in it."""
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
    """Return the question whose an access token is (like OpenID Connect Core section 5.3.1; RFC 6750 section 2.1)."""
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
    """Return a request with these fields in its body; a GET has none, and takes a form's fields in its query."""
    known = {"Accept": "application/json", "User-Agent": "gatehouse", **headers}
    if body_format == "none":
        return Request(method, url, known, None)
    if method == "GET":
        return Request(method, f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(pairs)}", known, None)
    body = json.dumps(dict(pairs), separators=(",", ":")) if body_format == "json" else urlencode(pairs)
    return Request(method, url, {"Content-Type": _CONTENT_TYPES[body_format], **known}, body)


def _named(fields: Iterable[tuple[str, str]], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the fields under the names that the provider has for them, without those that it does not want."""
    return [(name, value) for own, value in fields if (name := names.get(own, own))]
