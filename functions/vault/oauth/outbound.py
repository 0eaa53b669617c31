"""HTTP to authorization servers: TLS verified, no redirects, one deadline over the whole answer, a cap on its body."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from urllib3 import Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
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


class Outbound:
    """One connection for each request, closed after it.

    Token requests are rare, and each counts: a kept connection may have died while the function was frozen, and then
    nobody can say whether the request on it arrived; a kept cookie would go out with another customer's request.
    Nothing is sent twice: who knows what was asked may ask again.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        """With `loopback`, servers on this machine may be asked, too: for the stack on one machine."""
        self._loopback = loopback

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer, or raise `ProviderUnavailable` (`ProviderTimedOut`) within `timeout` seconds.

        Raises `ProviderMisconfigured`, with nothing sent, where the host is not on the public internet.

        The work is done in a thread of its own, because no timeout of a socket bounds a name lookup or an answer that
        comes drop by drop. `outcome_unknown` of the failure says whether the server may have got the request.
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
    """One request and its answer, in a thread of their own."""

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
        self._request = (method, url, {**headers, "Connection": "close"}, body)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._handles: list[socket.socket] = []
        self._is_abandoned = False

    def run(self) -> None:
        try:
            self.outcome = self._send()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller's thread is where it is dealt with
            self.outcome = error
        finally:
            with self._lock:
                while self._handles:
                    self._handles.pop().close()

    def abandon(self) -> None:
        """End a request that nobody waits for any more: its thread wakes from whatever it reads, and ends."""
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
        timeout = Timeout(connect=min(self._timeout, _CONNECT_TIMEOUT), read=self._timeout)
        try:
            with (
                wire.pool_for(self._request[1], self._connector) as pool,
                contextlib.closing(wire.begin(pool, self._request, timeout)) as response,
            ):
                content = b"".join(_capped(response.stream(16384, decode_content=True)))
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, names, content)
        except (ReadTimeoutError, TimeoutError):
            raise _timed_out() from None
        except HTTPError as error:
            # The text of these exceptions holds addresses and sometimes bytes of the answer: it is not passed on.
            sent = not _was_never_sent(error)
            raise ProviderUnavailable("The authorization server cannot be reached.", outcome_unknown=sent) from None
        except (OSError, ValueError):
            raise ProviderUnavailable("The authorization server's answer is not HTTP.", outcome_unknown=True) from None


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


def _was_never_sent(error: HTTPError) -> bool:
    """Tell whether a request surely did not reach the server: no address, no connection, or no trusted certificate."""
    if isinstance(error, SSLError):
        return any(isinstance(argument, ssl.SSLCertVerificationError) for argument in error.args)
    return isinstance(error, NewConnectionError | ConnectTimeoutError | LocationValueError)
