"""Applications that talk to the demo server by hand, as Gatehouse will talk to it."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import requests

from local.demo import DECISION_HEADER, MERCHANT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.demo import DemoServer

REDIRECT_URI = "http://localhost:8787/callback/ultracart"
STATE = "a-state-that-nobody-could-guess-0123456789"
VERIFIER = "a-verifier-that-nobody-could-guess-0123456789-abcdef"
VERSION = {"X-UltraCart-Api-Version": "2017-03-01"}
TIMEOUT = 10


class Clock:
    """A time that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.now


class UltraCart:
    """An application that talks to UltraCart's dialect by hand."""

    def __init__(self, server: DemoServer) -> None:
        self.registration = server.registrations["ultracart"]
        self.client_id = self.registration["client_id"]

    def authorize(
        self, changes: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """Go to the authorization endpoint as a merchant who allows, with some parameters changed (empty: left out)."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "state": STATE,
        } | dict(changes or {})
        return requests.get(
            self.registration["authorization_endpoint"],
            params={name: value for name, value in parameters.items() if value},
            headers={DECISION_HEADER: "allow"} | dict(headers or {}),
            allow_redirects=False,
            timeout=TIMEOUT,
        )

    def code(self, merchant: str = "DEMO") -> str:
        """Return a new authorization code."""
        return query_of(self.authorize(headers={MERCHANT_HEADER: merchant}))["code"]

    def token(self, **form: str) -> requests.Response:
        """Send a token request as a public client."""
        return requests.post(
            self.registration["token_endpoint"],
            data={"client_id": self.client_id} | form,
            headers=VERSION,
            allow_redirects=False,
            timeout=TIMEOUT,
        )

    def exchange(self, code: str) -> requests.Response:
        """Exchange a code."""
        return self.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI)

    def refresh(self, refresh_token: str) -> requests.Response:
        """Refresh."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def revoke(self, token: str) -> requests.Response:
        """Revoke by one token."""
        return requests.post(
            self.registration["revocation_endpoint"],
            data={"client_id": self.client_id, "token": token},
            headers=VERSION,
            timeout=TIMEOUT,
        )

    def connected(self, merchant: str = "DEMO") -> dict[str, Any]:
        """Return the tokens of a new grant."""
        return document_of(self.exchange(self.code(merchant)))


class Standard:
    """An application that knows an issuer and nothing else."""

    def __init__(self, server: DemoServer, issuer: str) -> None:
        self.registration = server.standard_registration(issuer)
        self.issuer = self.registration["issuer"]
        url = urlsplit(self.issuer)
        well_known = {
            "standard": f"{url.scheme}://{url.netloc}/.well-known/oauth-authorization-server{url.path}",
            "openid": f"{self.issuer}/.well-known/openid-configuration",
        }
        self.metadata = document_of(requests.get(well_known[issuer], timeout=TIMEOUT))

    def authorize(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the authorization response to an allowed request, with some parameters changed (empty: left out)."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        parameters = {
            "response_type": "code",
            "client_id": self.registration["client_id"],
            "redirect_uri": REDIRECT_URI,
            "state": STATE,
            "scope": "orders:read",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        } | dict(changes or {})
        return query_of(
            requests.get(
                self.metadata["authorization_endpoint"],
                params={name: value for name, value in parameters.items() if value},
                headers={DECISION_HEADER: "allow"},
                allow_redirects=False,
                timeout=TIMEOUT,
            )
        )

    def post(self, endpoint: str, *, method: str = "client_secret_basic", **form: str) -> requests.Response:
        """Call a back channel endpoint with that client authentication."""
        client_id, secret = self.registration["client_id"], self.registration["client_secret"]
        headers = {}
        if method == "client_secret_basic":
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif method == "client_secret_post":
            form |= {"client_id": client_id, "client_secret": secret}
        else:
            form |= {"client_id": client_id}
        return requests.post(self.metadata[endpoint], form, headers=headers, timeout=TIMEOUT)

    def exchange(
        self, code: str, *, method: str = "client_secret_basic", verifier: str = VERIFIER
    ) -> requests.Response:
        """Exchange a code."""
        return self.post(
            "token_endpoint",
            method=method,
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT_URI,
            code_verifier=verifier,
        )


def query_of(answer: requests.Response) -> dict[str, str]:
    """Return the parameters of a redirect; each is there once."""
    parameters = parse_qs(urlsplit(answer.headers["Location"]).query, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values())
    return {name: values[0] for name, values in parameters.items()}


def document_of(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of a good answer."""
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert isinstance(document, dict)
    return document
