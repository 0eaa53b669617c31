"""Requests to a provider's token and revocation endpoints (RFC 6749 sections 4.1.3 and 6, RFC 7009 section 2.1)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote_plus, urlencode

from .responses import check_revocation, token_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .authorization import ValidatedResponse
    from .providers import Registration
    from .responses import Answer
    from .tokens import TokenResponse


class Transport(Protocol):
    """What carries a request: `Outbound`, or in tests whatever answers like it."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer within `timeout` seconds, or raise `ProviderUnavailable`."""


class Client:
    """Speaks for a registered client. Every method makes one HTTP request."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock

    def exchange(
        self, registration: Registration, response: ValidatedResponse, redirect_uri: str, timeout: float
    ) -> TokenResponse:
        """Exchange the code of a validated response for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        provider = registration.provider
        form = {"grant_type": "authorization_code", "code": response.code or "", "redirect_uri": redirect_uri}
        if provider.pkce == "S256":
            form["code_verifier"] = response.browser.code_verifier
        secrets = (form["code"], response.browser.code_verifier)
        return self._tokens(registration, form | provider.token_params, secrets, timeout)

    def refresh(self, registration: Registration, refresh_token: str, timeout: float) -> TokenResponse:
        """Exchange a refresh token for new tokens (RFC 6749 section 6); it is kept where no new one came."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answered = self._tokens(registration, form | registration.provider.refresh_params, (refresh_token,), timeout)
        return answered.keeping(refresh_token)

    def revoke(self, registration: Registration, kind: str, token: str, timeout: float) -> None:
        """Revoke one token (RFC 7009 section 2.1); `kind` is `access_token` or `refresh_token`. Raises the failure."""
        provider = registration.provider
        form = {"token": token, **({"token_type_hint": kind} if provider.revocation_token_type_hint else {})}
        url = provider.endpoint("revocation_endpoint")
        answer = self._post(registration, url, form | provider.revocation_params, timeout)
        check_revocation(answer, provider, secrets=self._confidential(registration, (token,)))

    def _tokens(
        self, registration: Registration, form: Mapping[str, str], secrets: tuple[str, ...], timeout: float
    ) -> TokenResponse:
        provider = registration.provider
        answer = self._post(registration, provider.endpoint("token_endpoint"), form, timeout)
        return token_response(answer, provider, now=self._clock(), secrets=self._confidential(registration, secrets))

    def _post(self, registration: Registration, url: str, form: Mapping[str, str], timeout: float) -> Answer:
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "gatehouse",
            **registration.provider.token_headers,
        }
        credentials, authorization = _client_authentication(registration)
        body = urlencode({**form, **credentials})
        return self._transport.send("POST", url, headers | authorization, body, timeout)

    @staticmethod
    def _confidential(registration: Registration, secrets: tuple[str, ...]) -> tuple[str, ...]:
        """Return all that a request holds in confidence, the client secret in each of its spellings."""
        secret = registration.client_secret
        return (*secrets, *((secret, _basic_credentials(registration.client_id, secret)) if secret else ()))


def _client_authentication(registration: Registration) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form fields and headers that say who we are (RFC 6749 section 2.3.1)."""
    client_id, secret = registration.client_id, registration.client_secret or ""
    match registration.auth_method:
        case "client_secret_basic":
            return {}, {"Authorization": f"Basic {_basic_credentials(client_id, secret)}"}
        case "client_secret_post":
            return {"client_id": client_id, "client_secret": secret}, {}
        case _:
            return {"client_id": client_id}, {}


def _basic_credentials(client_id: str, secret: str) -> str:
    """Return both, form-encoded before they are joined: a colon or an umlaut in either would break them otherwise."""
    return b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
