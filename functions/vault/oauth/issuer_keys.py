"""Reading the keys that issuers sign their ID tokens with (RFC 7517 section 5), and how often that is done."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderUnavailable
from functions.vault.base.record import record
from functions.vault.base.timing import SHORTEST_REQUEST

from .provider_requests import requesting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from functions.vault.provider.provider import Provider

    from .id_token import Jwk
    from .transport import Transport

KEPT = 300.0
"""Seconds for which keys that were read are used."""

ONCE_IN = 60.0
"""Seconds in which newer keys are read once at the most: an ID token with a made-up key costs no request."""

KEPT_FAILURE = 5.0
"""Seconds for which an issuer is not asked again after its keys could not be read."""

TIMEOUT = 5.0
"""Seconds that a request for keys may take."""


@record
class _Known:
    """What is known about one issuer: its keys as last read, and how the last attempt failed, if it did."""

    keys: list[Jwk] | None = None
    read_at: float = -math.inf
    failure: ProviderUnavailable | None = None
    failed_at: float = -math.inf


class IssuerKeys:
    """Reads issuers' keys, and keeps one set for each URL in the memory of the process."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def of(self, provider: Provider) -> Sequence[Jwk]:
        """Return a provider's keys, read now or minutes ago; while they cannot be read, those that are known.

        Raises `ProviderMisconfigured` if the provider has no `jwks_uri`, `ProviderUnavailable` if no keys are known.
        """
        known = self._read(provider, KEPT, KEPT_FAILURE, TIMEOUT)
        return _keys_of(known)

    def newest(self, provider: Provider, timeout: float) -> Sequence[Jwk]:
        """Return a provider's keys as they are now, or were less than a minute ago; raise as `of` does."""
        known = self._read(provider, ONCE_IN, ONCE_IN, min(timeout, TIMEOUT))
        if known.failure is not None:
            raise ProviderUnavailable(known.failure.description)
        return _keys_of(known)

    def _read(self, provider: Provider, kept: float, kept_failure: float, timeout: float) -> _Known:
        """Return what is known, no older than `kept` seconds, after one request at the most."""
        uri, now = provider.endpoint("jwks_uri"), self._clock()
        known = self._known.get(uri, _Known())
        if now < known.read_at + kept or now < known.failed_at + kept_failure:
            return known
        try:
            self._known[uri] = _Known(self._ask(uri, timeout), now)
        except ProviderUnavailable as failure:
            self._known[uri] = _Known(known.keys, known.read_at, failure, self._clock())
        return self._known[uri]

    def _ask(self, uri: str, timeout: float) -> list[Jwk]:
        with requesting("keys", uri):
            left = max(timeout, SHORTEST_REQUEST)
            answer = self._transport.send("GET", uri, {"Accept": "application/json"}, None, left)
            document = _json(answer.body) if answer.status == HTTPStatus.OK else None
            found = document.get("keys") if isinstance(document, dict) else None
            if not isinstance(found, list):
                raise ProviderUnavailable(
                    f"The answer (status {answer.status}) has no list keys (RFC 7517 section 5): check jwks_uri of the "
                    "registration."
                )
        return [key for key in found if isinstance(key, dict)]


def _keys_of(known: _Known) -> list[Jwk]:
    if known.keys is None:
        assert known.failure is not None  # noqa: S101 - they were read, or could not be
        raise ProviderUnavailable(known.failure.description)
    return known.keys


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
