"""`requests` as `outbound` uses it: it connects only to addresses that were checked, and reports every socket.

It connects to the very address that it has checked. The name is not looked up again in between, so a name that means
another address a moment later (DNS rebinding) gains nothing.

A request contains what the caller asked for, and nothing else: neither the environment (proxies, `.netrc`, other
authorities) nor an answer (cookies, redirects) adds to it.
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

from .addresses import is_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from requests import PreparedRequest, Response
    from urllib3.connection import HTTPConnection

    OnConnect = Callable[[socket.socket], None]
    Resolve = Callable[..., Sequence[tuple[Any, ...]]]


class Session(requests.Session):
    """A session for one request, so that it leaves nothing to the next one: no connection and no cookie."""

    def __init__(self, connector: Connector, trust: ssl.SSLContext | None = None) -> None:
        """`trust` has the authorities that may certify a server, by default those that browsers trust."""
        super().__init__()
        self.trust_env = False
        self.auth = _as_it_is
        self.headers.clear()
        self.headers["Accept-Encoding"] = "gzip, deflate"
        adapter = _Adapter(connector, trust)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: Response) -> None:  # noqa: ARG002 - the name is that of requests
        """Follow no redirect.

        `allow_redirects=False` is not enough: requests then still reads the whole body of a redirect, before anybody
        can cap it.
        """
        return


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Add no credentials. Without this, requests would use those in the URL."""
    return request


class _Adapter(HTTPAdapter):
    """Sends a request once, over a connection that a connector has made for it."""

    def __init__(self, connector: Connector, trust: ssl.SSLContext | None) -> None:
        super().__init__(max_retries=Retry(total=False))
        self._connector = connector
        self._trust = trust
        self._pools = ExitStack()

    def get_connection_with_tls_context(self, request: PreparedRequest, *_options: Any, **_more: Any) -> Any:
        """Return the pool for the server of a request. It verifies TLS whatever the options say."""
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
        """Leave the pool as it is: requests would make each connection read the authorities again."""

    def add_headers(self, request: PreparedRequest, **_options: Any) -> None:
        """Announce that the connection ends with the request.

        If there is no body, urllib3 decides whether the method needs a length; requests would send one with most.
        """
        request.headers["Connection"] = "close"
        if request.body is None:
            request.headers.pop("Content-Length", None)

    def close(self) -> None:
        """Close the connection as well, which the server may have kept open."""
        super().close()
        self._pools.close()


@cache
def _authorities() -> ssl.SSLContext:
    """Return the trusted authorities. Reading them takes longer than a handshake: a process does so once."""
    return ssl.create_default_context(cafile=certifi.where())


class _WithoutCookies(HTTPResponse):
    """An answer without its cookies.

    requests would parse them twice, although nothing uses them. A hostile server can make that take seconds, or make
    Python write a warning about them to the log.
    """

    def begin(self) -> None:
        super().begin()
        del self.headers["Set-Cookie"]


def _connected_by(connector: Connector, kind: Any) -> Any:
    """Return a class of connections whose sockets a connector makes."""

    class Connected(kind):  # type: ignore[misc]  # the class is known only at run time
        response_class = _WithoutCookies

        def _new_conn(self) -> socket.socket:
            return connector.connect(self, self._dns_host)

    return Connected


class Connector:
    """Looks a host up, checks its addresses, and connects to one of them."""

    def __init__(self, on_connect: OnConnect, resolve: Resolve = socket.getaddrinfo, *, loopback: bool) -> None:
        """`on_connect` gets a second handle on each connection, to shut it down with: TLS takes the socket over.

        It has to close the handle. `resolve` looks names up like `getaddrinfo`. With `loopback`, addresses of this
        machine are allowed, too.
        """
        self._on_connect = on_connect
        self._resolve = resolve
        self._loopback = loopback

    def connect(self, connection: HTTPConnection, host: str) -> socket.socket:
        """Return a socket that is connected to the first allowed address of the host that answers.

        Raises `ProviderMisconfigured` if no address is allowed, and the exceptions of urllib3 if none answers.
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
        """Return the allowed addresses of a host, in the form that sockets take."""
        try:
            found = self._resolve(host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(host, connection, error) from None
        except UnicodeError:
            raise NameResolutionError(host, connection, socket.gaierror("no name")) from None
        allowed = [
            (family, address) for family, *_, address in found if is_allowed(str(address[0]), loopback=self._loopback)
        ]
        if not allowed:
            raise ProviderMisconfigured(
                "The authorization server's host has no address on the public internet, and no other is connected to: "
                "check the endpoints of the registration."
            )
        return allowed
