"""Gatehouse's client with one answer, over a real connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import (
    GatehouseError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
    UnknownRefusal,
)
from functions.vault.oauth.client import Client
from functions.vault.oauth.outbound import Outbound
from functions.vault.provider.provider import Provider
from functions.vault.provider.registration import Registration
from functions.vault.provider.vocabulary import checks, validated
from tests.corpus.verdict import Result
from tests.unit.samples import validated_response

if TYPE_CHECKING:
    from functions.vault.grant.tokens import TokenResponse
    from tests.corpus.case import Case, Verdict

_MEANINGS: dict[type[GatehouseError], Verdict] = {
    ReauthorizationRequired: "dead",
    ProviderMisconfigured: "operator",
    ProviderThrottled: "throttled",
    ProviderUnavailable: "unavailable",
    UnknownRefusal: "unavailable",
}
_TIMEOUT = 30.0


def ask(case: Case, url: str, now: int) -> Result:
    """Return what Gatehouse makes of the answer of the token endpoint at `url`."""
    quirks = validated(case.quirks, case.name, checks(loopback_http=True))
    registration = Registration(Provider("acme", token_endpoint=url, **quirks), "client-1")
    client = Client(Outbound(loopback=True), lambda: now)
    try:
        if case.refresh:
            response = client.refresh(registration, "RT-0", _TIMEOUT)
        else:
            response = client.exchange(
                registration, validated_response(), "https://gate.example/callback/acme", _TIMEOUT
            )
    except GatehouseError as error:
        return Result(
            _MEANINGS[type(error)],
            code=error.provider_error.error if error.provider_error else "",
            retry_after=error.retry_after,
            outcome_unknown=isinstance(error, ProviderUnavailable) and error.outcome_unknown,
        )
    return Result("accept", _stored(response, now))


def _stored(response: TokenResponse, now: int) -> dict[str, Any]:
    """Return everything that is stored of a response: times in seconds from now, and nothing that is empty."""
    fields = {
        "access_token": response.tokens.access_token,
        "refresh_token": response.tokens.refresh_token,
        "token_type": response.token_type if response.token_type != "Bearer" else None,
        "expires_in": response.expires_at - now if response.expires_at is not None else None,
        "refresh_expires_in": response.refresh_expires_at - now if response.refresh_expires_at is not None else None,
        "scope": response.scope,
        "subject": response.subject,
        "metadata": response.metadata or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
