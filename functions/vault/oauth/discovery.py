"""Reading an issuer's metadata (RFC 8414, OpenID Connect Discovery), and how long it, or a failure, is kept."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from functions.vault.base.errors import GatehouseError, ProviderMisconfigured, ProviderUnavailable, TooLittleTime
from functions.vault.base.timing import SHORTEST_REQUEST
from functions.vault.provider import issuer_metadata

from .provider_requests import requesting

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.base.timing import Deadline

    from .transport import Answer, Transport

KEPT = 240.0
"""Seconds for which metadata is kept: fewer than a registration is, so that both are read again together."""

TIMEOUT = 5.0
"""Seconds that all requests for an issuer's metadata may take together."""

TIMES_AS_LONG = 10
"""A failure is kept this many times as long as it took, so that callers wait for a tenth of the time at most."""

SHORTEST_KEPT_FAILURE, LONGEST_KEPT_FAILURE = 5.0, 60.0

TIME_AFTER = 2.0
"""Seconds of a call's time that are left for what follows the metadata, even if that is only an error."""


_CLOSE = 0.05


class Discovery:
    """Reads issuers' metadata: each once in some minutes, a failing one once in some seconds, at the most."""

    def __init__(self, transport: Transport, clock: Callable[[], float], *, loopback_http: bool) -> None:
        self._transport = transport
        self._clock = clock
        self._loopback_http = loopback_http
        self._known: dict[str, tuple[float, dict[str, Any] | GatehouseError]] = {}

    def metadata_of(self, issuer: str, deadline: Deadline | None) -> dict[str, Any]:
        """Return the metadata of `issuer`, known or read now within the caller's time.

        Without a deadline, known metadata will do, however old. Raises `ProviderMisconfigured` if the issuer publishes
        none, `ProviderUnavailable` if it cannot be read, `TooLittleTime` if the caller cannot wait for it.
        """
        kept_until, known = self._known.get(issuer, (-math.inf, None))
        is_old = self._clock() >= kept_until
        if known is None or (is_old and (deadline is not None or isinstance(known, GatehouseError))):
            kept_until, known = self._ask(issuer, TIMEOUT if deadline is None else deadline.remaining() - TIME_AFTER)
        if isinstance(known, GatehouseError):
            left = max(1, math.ceil(kept_until - self._clock()))
            raise type(known)(known.description, retry_after=left if known.retryable else None)
        return known

    def _ask(self, issuer: str, seconds: float) -> tuple[float, dict[str, Any] | GatehouseError]:
        """Ask the issuer, and keep metadata or failure, from the moment it is known."""
        if seconds < SHORTEST_REQUEST:
            raise _too_little_time()
        began = self._clock()
        ends_at = began + min(TIMEOUT, seconds)
        found: dict[str, Any] | GatehouseError
        try:
            found, kept_for = self._discover(issuer, ends_at), KEPT
        except GatehouseError as failure:
            if seconds < TIMEOUT and self._clock() > ends_at - _CLOSE:
                raise _too_little_time() from None  # other callers have more time, and may get an answer
            took = self._clock() - began
            found, kept_for = failure, min(max(TIMES_AS_LONG * took, SHORTEST_KEPT_FAILURE), LONGEST_KEPT_FAILURE)
        self._known[issuer] = self._clock() + kept_for, found
        return self._known[issuer]

    def _discover(self, issuer: str, ends_at: float) -> dict[str, Any]:
        """Return the issuer's metadata: of RFC 8414 section 3, else of OpenID Connect Discovery section 4."""
        outage, said = False, []
        for url in _urls(issuer):
            answer = self._get(url, ends_at)
            outage |= answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS
            document = _json(answer.body) if answer.status == HTTPStatus.OK else None
            # Single page applications answer every path with 200 and a page.
            if isinstance(document, dict):
                return issuer_metadata.from_metadata(document, issuer, loopback_http=self._loopback_http)
            said.append(f"{urlsplit(url).path} ({_status_of(answer)})")
        answers = f"Asked were {', '.join(said)}."
        way = "write it without /.well-known/ and what follows" if "/.well-known/" in issuer else "check it"
        with requesting("metadata", issuer):
            if outage:
                raise ProviderUnavailable(f"The server has an outage. {answers}")
            raise ProviderMisconfigured(
                "The configured issuer publishes no metadata (RFC 8414, OpenID Connect Discovery): "
                f"{way}, or give the endpoints. {answers}"
            )

    def _get(self, url: str, ends_at: float) -> Answer:
        with requesting("metadata", url):
            left = ends_at - self._clock()
            if left <= 0:
                raise ProviderUnavailable("The server takes too long.")
            return self._transport.send("GET", url, {"Accept": "application/json"}, None, left)


def _too_little_time() -> TooLittleTime:
    return TooLittleTime(
        "Too little of this call's time is left to read the issuer's metadata: try again.", retry_after=1
    )


def _status_of(answer: Answer) -> str:
    """Return an answer's status, and, if that is a success, of what kind it is."""
    if answer.status != HTTPStatus.OK:
        return str(answer.status)
    from .unreadable import kind_of  # noqa: PLC0415 - most issuers publish metadata

    return f"{answer.status}, {kind_of(answer)}"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _urls(issuer: str) -> tuple[str, ...]:
    """Return the URLs at which metadata may be: by RFC 8414, by OpenID, and a mixture that some servers use."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    oauth = parts._replace(path="/.well-known/oauth-authorization-server" + path).geturl()
    openid = parts._replace(path=path + "/.well-known/openid-configuration").geturl()
    appended = parts._replace(path=path + "/.well-known/oauth-authorization-server").geturl()
    return (oauth, openid, appended) if path else (oauth, openid)
