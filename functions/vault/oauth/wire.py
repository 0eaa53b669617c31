"""`requests` as `outbound` uses it: it connects to addresses that were looked at, and reports every socket.

The address that is checked is the one that is connected to: between the two no name is looked up again, so that a name
which means another address a moment later (DNS rebinding) gains nothing.

A request is what was asked for, and nothing else: neither the environment (proxies, `.netrc`, other authorities) nor
an answer (cookies, redirects) adds to it.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from functools import cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from functions.vault.base.errors import ProviderMisconfigured

from .addresses import may_be_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from requests import PreparedRequest, Response
    from urllib3.connection import HTTPConnection

    OnConnect = Callable[[socket.socket], None]
    Resolve = Callable[..., Sequence[tuple[Any, ...]]]


class Session(requests.Session):
    """A session for one request, so that the next one finds nothing of it: no connection and no cookie."""

    def __init__(self, connector: Connector, trust: ssl.SSLContext | None = None) -> None:
        """`trust` says who may vouch for a server, by default the authorities that browsers trust."""
        super().__init__()
        self.trust_env = False
        self.auth = _as_it_is
        self.headers.clear()
        self.headers["Accept-Encoding"] = "gzip, deflate"
        adapter = _Adapter(connector, trust)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: Response) -> None:  # noqa: ARG002 - by the name that requests has for it
        """Follow no redirect.

        `allow_redirects=False` is not enough: requests then still reads the whole body of a redirect, before anybody
        can cap it.
        """
        return


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Add no credentials. Without this, requests takes those that it finds in the URL."""
    return request


class _Adapter(HTTPAdapter):
    """Sends a request once, over a connection that a connector makes for it."""

    def __init__(self, connector: Connector, trust: ssl.SSLContext | None) -> None:
        super().__init__(max_retries=Retry(total=False))
        self._connector = connector
        self._trust = trust
        self._pools = ExitStack()

    def get_connection_with_tls_context(self, request: PreparedRequest, *_options: Any, **_more: Any) -> Any:
        """Return the pool for the server of a request. It verifies TLS, whatever the options say."""
        target = parse_url(request.url or "")
        host = target.host or ""
        pool = (
            HTTPConnectionPool(host, target.port or 80)
            if target.scheme == "http"
            else HTTPSConnectionPool(host, target.port or 443, ssl_context=self._trust or _authorities())
        )
        pool.ConnectionCls = _connected_by(self._connector, pool.ConnectionCls)
        return self._pools.enter_context(pool)

    def cert_verify(self, *_options: Any) -> None:
        """Leave the pool as it is: requests would have each connection read the authorities again."""

    def add_headers(self, request: PreparedRequest, **_options: Any) -> None:
        """Announce that the connection ends with the request.

        If there is no body, urllib3 decides whether the method wants its length; requests sends one with all but two.
        """
        request.headers["Connection"] = "close"
        if request.body is None:
            request.headers.pop("Content-Length", None)

    def close(self) -> None:
        """Close the connection too, which the server may have kept open."""
        super().close()
        self._pools.close()


@cache
def _authorities() -> ssl.SSLContext:
    """Return the authorities that are trusted. Reading them takes longer than a handshake: once for a process."""
    return ssl.create_default_context(cafile=certifi.where())


class _WithoutCookies(HTTPResponse):
    """An answer without its cookies.

    requests would parse them twice, although nobody wants them. A hostile server can make that take seconds, and can
    make Python print a warning about them, which ends up in the log.
    """

    def begin(self) -> None:
        super().begin()
        del self.headers["Set-Cookie"]


def _connected_by(connector: Connector, kind: Any) -> Any:
    """Return a kind of connection whose sockets a connector makes."""

    class Connected(kind):  # type: ignore[misc]  # a class that is only known at run time
        response_class = _WithoutCookies

        def _new_conn(self) -> socket.socket:
            return connector.connect(self, self._dns_host)

    return Connected


class Connector:
    """Looks a host up, looks at what comes of it, and connects to just that."""

    def __init__(self, on_connect: OnConnect, resolve: Resolve = socket.getaddrinfo, *, loopback: bool) -> None:
        """`on_connect` gets a handle on each connection to shut it down with, and closes it: TLS takes the socket away.

        `resolve` looks names up, as `getaddrinfo` does. With `loopback` this machine may be asked, too.
        """
        self._on_connect = on_connect
        self._resolve = resolve
        self._loopback = loopback

    def connect(self, connection: HTTPConnection, host: str) -> socket.socket:
        """Return a socket that is connected to the first address of the host that may be asked and answers.

        Raises `ProviderMisconfigured` where none may be asked, and what urllib3 raises where none answers.
        """
        failure: OSError | None = None
        for family, address in self._addresses(connection, host):
            handle = socket.socket(family, socket.SOCK_STREAM)
            try:
                handle.settimeout(connection.timeout)
                for option in connection.socket_options or ():
                    handle.setsockopt(*option)
                handle.connect(address)
                self._on_connect(handle.dup())
            except OSError as error:
                handle.close()
                failure = error
            else:
                return handle
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, "no address of the host answered in time") from failure
        raise NewConnectionError(connection, "no address of the host answered") from failure

    def _addresses(self, connection: HTTPConnection, host: str) -> list[tuple[int, Any]]:
        """Return the addresses of a host that may be asked, as sockets take them."""
        try:
            found = self._resolve(host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(host, connection, error) from None
        except UnicodeError:
            raise NewConnectionError(connection, "the host has no name that can be looked up") from None
        allowed = [
            (family, address) for family, *_, address in found if may_be_asked(str(address[0]), loopback=self._loopback)
        ]
        if not allowed:
            raise ProviderMisconfigured(
                "The authorization server's host has no address on the public internet, and no other is connected to: "
                "check the endpoints of the registration."
            )
        return allowed
