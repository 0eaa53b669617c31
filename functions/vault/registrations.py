"""The owner's registrations: a JSON document for each provider in Secrets Manager, over its file or its metadata."""

from __future__ import annotations

import json
import tomllib
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import providers
from .aws import ClientError, code_of, outages_are_temporary
from .errors import ProviderMisconfigured, ProviderUnavailable, TemporarilyUnavailable, UnknownProvider
from .providers import CREDENTIALS, Registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from .aws import ClientOf
    from .client import Transport

KEPT = 300.0
"""Seconds for which a registration, with its discovered metadata, is kept in memory."""

KEPT_FAILURE = 5.0
"""Seconds for which an outage of Secrets Manager or of an issuer's metadata is not asked about again."""

_Kept = Registration | TemporarilyUnavailable | ProviderUnavailable
_FILES = Path(__file__).parent.parent / "providers"
_DISCOVERY_TIMEOUT = 5.0


class Registrations:
    """Finds the registration of a provider by its name. Loopback http endpoints only where `loopback_http` says so."""

    def __init__(
        self, client_of: ClientOf, prefix: str, transport: Transport, clock: Callable[[], float], *, loopback_http: bool
    ) -> None:
        self._client_of = client_of
        self._prefix = prefix
        self._transport = transport
        self._clock = clock
        self._vocabulary = providers.vocabulary(loopback_http=loopback_http)
        self._loopback_http = loopback_http
        self._kept: dict[str, tuple[float, _Kept | None]] = {}

    def get(self, name: str) -> Registration:
        """Return the registration of provider `name`.

        Raises `UnknownProvider` where there is none, and `ProviderMisconfigured` naming each key that is wrong.
        """
        now = self._clock()
        kept_until, kept = self._kept.get(name, (0.0, None))
        if now >= kept_until:
            kept_for, kept = self._reload(name, kept)
            self._kept[name] = (now + kept_for, kept)
        if isinstance(kept, Registration):
            return kept
        assert kept is not None  # noqa: S101 - what is not kept has just been reloaded
        raise type(kept)(kept.description, retry_after=int(KEPT_FAILURE))

    def _reload(self, name: str, kept: _Kept | None) -> tuple[float, _Kept]:
        """Return for how long to keep what: the registration, through an outage the old one, or the outage."""
        try:
            return KEPT, self._load(name)
        except (TemporarilyUnavailable, ProviderUnavailable) as outage:
            return KEPT_FAILURE, kept if isinstance(kept, Registration) else outage

    def _load(self, name: str) -> Registration:
        document = self._document(name)
        source = f"The registration of provider {name!r}"
        own = providers.validated(document, source, self._vocabulary | CREDENTIALS)
        credentials = {key: own.pop(key) for key in CREDENTIALS if key in own}
        layers = [_file(name), own]
        issuer = own.get("issuer")
        if issuer is not None and "token_endpoint" not in own:
            layers.insert(1, self._discover(issuer))
        return providers.register(name, layers, credentials)

    def _document(self, name: str) -> Any:
        try:
            with outages_are_temporary("Secrets Manager"):
                secret = self._client_of("secretsmanager").get_secret_value(SecretId=self._prefix + name)
        except ClientError as error:
            # The second is what a secret that waits for its deletion answers, for up to thirty days.
            if code_of(error) in {"ResourceNotFoundException", "InvalidRequestException"}:
                raise UnknownProvider(
                    f"No provider {name!r} is configured: create the secret {self._prefix}{name} with its registration."
                ) from None
            raise
        try:
            return json.loads(secret.get("SecretString", ""))
        except (ValueError, RecursionError):
            raise ProviderMisconfigured(f"The secret {self._prefix}{name} does not hold a JSON document.") from None

    def _discover(self, issuer: str) -> dict[str, Any]:
        """Return the issuer's metadata: RFC 8414 section 3, then OpenID Connect Discovery section 4."""
        outage = False
        for url in _metadata_urls(issuer):
            answer = self._transport.send("GET", url, {"Accept": "application/json"}, None, _DISCOVERY_TIMEOUT)
            outage |= answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS
            document = _json(answer.body) if answer.status == HTTPStatus.OK else None
            # A 200 with a page instead of metadata is what single page applications answer to every path.
            if isinstance(document, dict):
                return providers.from_metadata(document, issuer, loopback_http=self._loopback_http)
        if outage:
            raise ProviderUnavailable("The issuer's metadata cannot be read: its server has an outage.")
        raise ProviderMisconfigured(
            "The configured issuer publishes no metadata (RFC 8414, OpenID Connect Discovery): "
            "check it, or give the endpoints."
        )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    oauth = parts._replace(path="/.well-known/oauth-authorization-server" + path).geturl()
    openid = parts._replace(path=path + "/.well-known/openid-configuration").geturl()
    return oauth, openid


def _file(name: str) -> dict[str, Any]:
    """Return the provider file of that name, where Gatehouse ships one. `name` has been checked to be a plain name."""
    path = _FILES / f"{name}.toml"
    if not path.is_file():
        return {}
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return providers.validated(document, f"providers/{path.name}", providers.vocabulary(loopback_http=False))
