"""What the two dialects have in common: who is asking, and how an answer looks."""

from __future__ import annotations

import hmac
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from werkzeug.wrappers import Response

from local.demo.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.wrappers import Request

    from local.demo.clients import Client
    from local.demo.faults import Faults
    from local.demo.grants import Grants, TokenSet

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True)
class Presented:
    """The client authentication of one request, not yet believed (RFC 6749 section 2.3)."""

    unverified_client_id: str | None
    unverified_secret: str | None
    method: str


class Dialect(ABC):
    """One way of speaking OAuth, mounted at a prefix of the server."""

    name: ClassVar[str]
    rotates: ClassVar[bool]
    requires_pkce: ClassVar[bool]
    requires_state: ClassVar[bool]
    has_fixed_scopes: ClassVar[bool]

    def __init__(self, prefix: str, issuer: str | None, client: Client) -> None:
        """Mount the dialect at `prefix`, with one registered client."""
        self.prefix = prefix
        self.issuer = issuer
        self.client = client

    @abstractmethod
    def check_headers(self, request: Request) -> None:
        """Refuse a request that lacks a header which the dialect demands; raises RestError."""

    @abstractmethod
    def presented(self, request: Request) -> Presented:
        """Read the client authentication; raises OAuthError `invalid_client` where it cannot be read."""

    def authenticate(self, presented: Presented) -> Client:
        """Return the client that `presented` proves; raises OAuthError `invalid_client`."""
        client = self.client
        is_known = presented.unverified_client_id == client.client_id
        secret = presented.unverified_secret
        if secret is None:
            is_proven = not client.is_confidential
        else:
            is_proven = hmac.compare_digest(secret.encode(), client.secret.encode())
        if not (is_known and is_proven):
            raise OAuthError("invalid_client", "Client authentication failed.", status=401)
        return client

    @abstractmethod
    def token_document(self, tokens: TokenSet, faults: Faults) -> dict[str, Any]:
        """Return the members of a successful token response (RFC 6749 section 5.1)."""

    @abstractmethod
    def metadata(self, issuer: str | None) -> dict[str, Any]:
        """Return what the dialect publishes about itself, under a false `issuer` if one is given."""

    @abstractmethod
    def revoke(self, grants: Grants, client: Client, token: str, faults: Faults) -> tuple[Response, str]:
        """Revoke; returns the answer and the outcome for the record."""

    @abstractmethod
    def failure(self, status: int, message: str) -> Response:
        """Answer with a failure outside OAuth's vocabulary."""

    def oauth_error(self, error: OAuthError, faults: Faults) -> Response:
        """Answer with an OAuth error in the form that the switches ask for."""
        if faults.error_form == "error_response":
            return error_response(error.status, error.code)
        status = 200 if faults.error_form == "ok" else error.status
        document = {"error": error.code}
        if error.description:
            document["error_description"] = error.description
        return json_answer(document, status)

    def token_answer(self, tokens: TokenSet, faults: Faults) -> Response:
        """Answer with tokens, and with the odd `expires_in` that the switches ask for."""
        document = self.token_document(tokens, faults)
        literals: dict[str, str] = {}
        if faults.expires_in_literal is not None:
            del document["expires_in"]
            if faults.expires_in_literal:
                literals["expires_in"] = faults.expires_in_literal
        return json_answer(document, literals=literals)


def json_answer(document: object, status: int = 200, *, literals: Mapping[str, str] | None = None) -> Response:
    """Make a JSON answer. `literals` are members given as JSON text, for numbers that Python would not write."""
    text = json.dumps(document, ensure_ascii=False)
    if literals:
        members = ", ".join(f"{json.dumps(name)}: {literal}" for name, literal in literals.items())
        text = f"{text[:-1]}, {members}}}"
    return Response(text.encode(), status, NO_STORE, content_type="application/json; charset=UTF-8")


def error_response(status: int, message: str) -> Response:
    """Make UltraCart's `ErrorResponse` with its UC-REST-ERROR header."""
    error = {
        "developer_message": message,
        "error_code": str(status),
        "more_info": "",
        "object_id": "",
        "user_message": message,
    }
    answer = json_answer({"error": error, "metadata": {"payload_name": "error"}, "success": False}, status)
    answer.headers["UC-REST-ERROR"] = message
    return answer
