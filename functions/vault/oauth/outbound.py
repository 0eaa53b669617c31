"""HTTP to authorization servers: TLS verified, no redirects, one deadline over the whole answer, a cap on its body."""

from __future__ import annotations

import contextlib
import socket
import threading
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING

from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from functions.vault.base.errors import ProviderTimedOut, ProviderUnavailable

from . import wire
from .transport import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LARGEST_BODY = 256 * 1024
"""Bytes of an answer's body, after decompression."""

_CONNECT_TIMEOUT = 5.0

_CHECK = "if that lasts, check host and port of the endpoint in the registration"
_NOT_TRUSTED = (
    "cannot be reached: its certificate is not trusted, because it has expired, is for another host or comes from no "
    "known authority; check the endpoint in the registration"
)
_NO_ANSWER: tuple[tuple[type[BaseException], str, bool], ...] = (
    *(
        (kind, "cannot be reached: its host name cannot be looked up; check the endpoint in the registration", True)
        for kind in (InvalidURL, InvalidSchema, MissingSchema, NameResolutionError)
    ),
    (ConnectionRefusedError, f"cannot be reached: its host refuses the connection; {_CHECK}", True),
    (NewConnectionError, f"cannot be reached: no connection to its host can be made; {_CHECK}", True),
    (ConnectTimeoutError, f"cannot be reached: its host accepts no connection in time; {_CHECK}", True),
    (SSLCertVerificationError, _NOT_TRUSTED, True),
    (SSLError, f"cannot be reached: no TLS connection can be made; {_CHECK}", False),
    (Exception, "gave no complete answer: the connection ended, or what came is not HTTP", False),
)
"""Why no answer came, by the first class among the causes, and whether the request surely did not reach the server."""


class Outbound:
    """Sends each request over a connection of its own, which is closed afterwards.

    Token requests are rare, and each counts. A kept connection may have died while the function was frozen: then nobody
    knows whether the request on it arrived. A kept cookie would go out with another customer's request. Nothing is sent
    twice: only a caller, who knows what the request does, may repeat it.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        """With `loopback` it also connects to servers on this machine: for the local stack."""
        self._loopback = loopback

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer, or raise `ProviderUnavailable` (`ProviderTimedOut`) within `timeout` seconds.

        Raises `ProviderMisconfigured`, with nothing sent, if the host is not on the public internet.

        A thread of its own does the work, because no timeout of a socket limits a name lookup, or an answer that comes
        drop by drop. `outcome_unknown` of the failure says whether the server may have received the request.
        """
        exchange = _Exchange(method, url, headers, body, timeout, loopback=self._loopback)
        worker = threading.Thread(target=exchange.run, name="outbound", daemon=True)
        worker.start()
        worker.join(timeout)
        if exchange.outcome is None:
            exchange.abandon()
            raise _timed_out()
        if isinstance(exchange.outcome, Exception):
            raise exchange.outcome
        return exchange.outcome


class _Exchange:
    """One request and its answer, in a thread of its own."""

    def __init__(  # noqa: PLR0913 - a request, and how it may be sent
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: str | None,
        timeout: float,
        *,
        loopback: bool,
    ) -> None:
        self._connector = wire.Connector(self._connected, loopback=loopback)
        self.outcome: Answer | Exception | None = None
        # requests refuses a value that begins with a blank. In HTTP the blank is not part of it (RFC 9110 section 5.5).
        self._request = (method, url, {name: value.strip() for name, value in headers.items()}, body)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self._is_abandoned = False

    def run(self) -> None:
        try:
            self.outcome = self._send()
        except Exception as error:  # noqa: BLE001 - the caller's thread deals with it, whatever it is
            self.outcome = error
        finally:
            with self._lock:
                while self._handles:
                    self._handles.pop().close()

    def abandon(self) -> None:
        """End a request that nobody waits for any more: its thread stops reading, and ends."""
        with self._lock:
            self._is_abandoned = True
            for handle in self._handles:
                _shut(handle)

    def _connected(self, handle: socket.socket) -> None:
        with self._lock:
            self._handles.append(handle)
            if self._is_abandoned:
                _shut(handle)

    def _send(self) -> Answer:
        method, url, headers, body = self._request
        data = None if body is None else body.encode()
        timeouts = min(self._timeout, _CONNECT_TIMEOUT), self._timeout
        try:
            with (
                wire.Session(self._connector) as session,
                session.request(method, url, headers=headers, data=data, timeout=timeouts, stream=True) as response,
            ):
                content = b"".join(_capped(response.iter_content(16384)))
                # If a header comes twice, the last counts; requests' own mapping would join the two.
                names = {name.lower(): value for name, value in response.raw.headers.items()}
                return Answer(response.status_code, names, content)
        except (RequestException, HTTPError, OSError, ValueError) as error:
            # Their texts contain addresses, and sometimes octets of the answer: they are not passed on.
            raise _failed(error) from None


def _failed(error: Exception) -> ProviderUnavailable:
    """Return the failure for an exception of requests, urllib3 or the system."""
    # requests wraps most of what urllib3 raises, and lets the rest through.
    cause = error.args[0] if isinstance(error, RequestException) and error.args else error
    if isinstance(cause, ReadTimeoutError | TimeoutError):
        return _timed_out()
    if isinstance(error, RequestException | HTTPError):
        text, never_sent = next(
            (text, never_sent)
            for kind, text, never_sent in _NO_ANSWER
            if any(isinstance(each, kind) for each in _causes(error, cause))
        )
        return ProviderUnavailable(f"The authorization server {text}.", outcome_unknown=not never_sent)
    return ProviderUnavailable("The authorization server's answer is not HTTP.", outcome_unknown=True)


def _timed_out() -> ProviderTimedOut:
    return ProviderTimedOut("The authorization server did not answer in time.")


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)


def _capped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_BODY:
            raise ProviderUnavailable("The authorization server's answer is too large.", outcome_unknown=True)
        yield chunk


def _causes(error: Exception, cause: object) -> Iterator[object]:
    """Yield an exception and what it was raised for: libraries have the system's own as its cause, or in its `args`."""
    yield error
    yield cause
    if isinstance(cause, NewConnectionError):
        yield cause.__cause__
    if isinstance(cause, SSLError):
        yield from cause.args
