"""OAuth 2 to the letter of its RFCs, for providers that are registered by their issuer alone."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote_plus

from werkzeug.wrappers import Response

from local.demo.clients import STANDARD_CLIENT
from local.demo.dialect import NO_STORE, Dialect, Presented
from local.demo.errors import OAuthError

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

    from local.demo.clients import Client
    from local.demo.faults import Faults
    from local.demo.grants import Grants, TokenSet

_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class Standard(Dialect):
    """OAuth with PKCE (RFC 7636), `iss` (RFC 9207) and revocation (RFC 7009) below an issuer."""

    rotates: ClassVar[bool] = True
    requires_pkce: ClassVar[bool] = True
    requires_state: ClassVar[bool] = False
    has_fixed_scopes: ClassVar[bool] = False

    def __init__(self, base_url: str, prefix: str) -> None:
        """Mount at `prefix`; the issuer is that URL."""
        super().__init__(prefix, f"{base_url}{prefix}", STANDARD_CLIENT)

    def check_headers(self, request: Request) -> None:
        """Demand nothing."""

    def presented(self, request: Request) -> Presented:
        """Read HTTP Basic or the form, but not both (RFC 6749 section 2.3.1)."""
        in_header, in_form = "Authorization" in request.headers, "client_secret" in request.form
        if in_header and in_form:
            raise OAuthError("invalid_request", "More than one way of client authentication.")
        if in_header:
            return _read_basic(request.headers["Authorization"])
        method = "client_secret_post" if in_form else "none"
        return Presented(request.form.get("client_id"), request.form.get("client_secret"), method)

    def token_document(self, tokens: TokenSet, faults: Faults) -> dict[str, Any]:  # noqa: ARG002 - as UltraCart's
        """Return the members of RFC 6749 section 5.1."""
        document: dict[str, Any] = {
            "access_token": tokens.access_token,
            "token_type": "Bearer",
            "expires_in": tokens.lifetime_seconds,
            "scope": " ".join(tokens.scopes),
        }
        if tokens.refresh_token is not None:
            document["refresh_token"] = tokens.refresh_token
        return document

    def revoke(self, grants: Grants, client: Client, token: str, faults: Faults) -> tuple[Response, str]:  # noqa: ARG002 - as UltraCart's
        """Revoke the grant; an unknown token is as good as revoked (RFC 7009 section 2.2)."""
        was_live = grants.revoke_token(client, token)
        return Response(b"", 200, NO_STORE), "revoked" if was_live else "not_revoked"

    def failure(self, status: int, message: str) -> Response:
        """Answer in plain text, and to a bad bearer token as RFC 6750 section 3 says."""
        headers = dict(NO_STORE)
        if status == 401:  # noqa: PLR2004 - the RFC's own number
            headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return Response(message, status, headers, content_type="text/plain; charset=UTF-8")

    def oauth_error(self, error: OAuthError, faults: Faults) -> Response:
        """Add the challenge that RFC 6749 section 5.2 asks for with `invalid_client`."""
        answer = super().oauth_error(error, faults)
        if answer.status_code == 401:  # noqa: PLR2004 - the RFC's own number
            answer.headers["WWW-Authenticate"] = 'Basic realm="demo"'
        return answer

    def metadata(self, issuer: str | None) -> dict[str, Any]:
        """Return the server's metadata (RFC 8414 section 2), under a false `issuer` if one is given."""
        return {
            "issuer": issuer or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": _AUTH_METHODS,
            "revocation_endpoint_auth_methods_supported": _AUTH_METHODS,
            "scopes_supported": list(self.client.scopes),
            "authorization_response_iss_parameter_supported": True,
        }


class Rfc8414(Standard):
    """The issuer that publishes RFC 8414 metadata."""

    name: ClassVar[str] = "standard"


class OpenId(Standard):
    """The issuer that publishes only OpenID Connect discovery, as many do that are used for plain OAuth."""

    name: ClassVar[str] = "openid"

    def metadata(self, issuer: str | None) -> dict[str, Any]:
        """Add what OpenID Connect Discovery section 3 requires."""
        return super().metadata(issuer) | {
            "jwks_uri": f"{self.issuer}/jwks",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def _read_basic(header: str) -> Presented:
    """Undo HTTP Basic and the form-encoding below it (RFC 6749 section 2.3.1)."""
    scheme, _, credentials = header.partition(" ")
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "The Authorization header is not HTTP Basic.", status=401)
    return Presented(unquote_plus(client_id), unquote_plus(secret), "client_secret_basic")
