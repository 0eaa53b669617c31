"""UltraCart's dialect, as its official SDK speaks it: see the notes beside each difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from local.demo.clients import ULTRACART_CLIENT
from local.demo.dialect import Dialect, Presented, error_response, json_answer
from local.demo.errors import RestError

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

    from local.demo.clients import Client
    from local.demo.faults import Faults
    from local.demo.grants import Grants, TokenSet

PREFIX = "/rest/v2/oauth"
API_VERSION_HEADER = "X-UltraCart-Api-Version"
API_VERSION = "2017-03-01"


class UltraCart(Dialect):
    """OAuth at `/rest/v2/oauth`."""

    name: ClassVar[str] = "ultracart"
    rotates: ClassVar[bool] = False  # unknown of the real server; a switch turns it on
    requires_pkce: ClassVar[bool] = False  # appears in no SDK or sample
    requires_state: ClassVar[bool] = True
    has_fixed_scopes: ClassVar[bool] = True  # fixed when the developer application is created

    def __init__(self) -> None:
        """Mount where the real server has it."""
        super().__init__(PREFIX, None, ULTRACART_CLIENT)

    def check_headers(self, request: Request) -> None:
        """Require the API version header."""
        check_version(request)

    def presented(self, request: Request) -> Presented:
        """Read a public client's id, or an id and secret, from the form. An Authorization header is no OAuth here."""
        secret = request.form.get("client_secret")
        method = "none" if secret is None else "client_secret_post"
        return Presented(request.form.get("client_id"), secret, method)

    def token_document(self, tokens: TokenSet, faults: Faults) -> dict[str, Any]:
        """Return an OauthTokenResponse. The SDK refuses a null refresh_token, an integer expires_in and `Bearer`."""
        document = {
            "access_token": tokens.access_token,
            "token_type": "bearer",
            "expires_in": str(tokens.lifetime_seconds),
            "scope": " ".join(tokens.scopes),
        }
        if faults.names_merchant:
            document["merchant_id"] = tokens.merchant.merchant_id
        if tokens.refresh_token is not None:
            document["refresh_token"] = tokens.refresh_token
        return document

    def metadata(self, issuer: str | None) -> dict[str, Any]:  # noqa: ARG002 - nothing is published
        """Return nothing: UltraCart's endpoints are known from its documentation."""
        return {}

    def revoke(self, grants: Grants, client: Client, token: str, faults: Faults) -> tuple[Response, str]:
        """Revoke the application's authorization as a whole, by either token; a 200 can say that it failed."""
        takes = ("refresh_token", "access_token") if faults.revokes_by == "either" else (faults.revokes_by,)
        if grants.revoke_application(client, token, takes):
            return json_answer({"successful": True, "message": "Access has been revoked."}), "revoked"
        return json_answer({"successful": False, "message": "The token is not valid."}), "not_revoked"

    def failure(self, status: int, message: str) -> Response:
        """Answer with an ErrorResponse."""
        return error_response(status, message)


def check_version(request: Request) -> None:
    """Require the API version header; raises RestError."""
    if request.headers.get(API_VERSION_HEADER) != API_VERSION:
        raise RestError(400, f"The header {API_VERSION_HEADER} is missing or not {API_VERSION}.")
