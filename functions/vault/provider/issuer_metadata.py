"""What Gatehouse takes from an issuer's metadata (RFC 8414): a layer of a provider, by the same keys as a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from functions.vault.base import fields as check
from functions.vault.base.errors import ProviderMisconfigured

from .url_checks import HTTPS_URL, LOOPBACK_URL
from .vocabulary import checks, validated

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


def from_metadata(document: Any, issuer: str, *, loopback_http: bool) -> dict[str, Any]:
    """Return what Gatehouse uses of an authorization server's metadata (RFC 8414 section 3.2).

    The document's `issuer` must be exactly the configured one (section 3.3). Keys that Gatehouse does not use are
    ignored, as the RFC demands. Raises `ProviderMisconfigured`.
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
    """Return the issuer that metadata names, if it has the host of the configured one.

    Often just a slash at the end or the tenant in the path is written differently. The issuer of another host is not
    repeated: an operator who copied it would let one server speak for another.
    """
    found = document.get("issuer") if isinstance(document, Mapping) else None
    if not check.matches(found, f"{HTTPS_URL}|{LOOPBACK_URL}"):
        return None
    theirs, ours = urlsplit(found), urlsplit(issuer)
    return found if (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.lower()) else None
