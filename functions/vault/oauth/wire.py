"""urllib3 as `outbound` uses it: it connects to addresses that were looked at, and tells of every socket.

The address that is checked is the one that is connected to: between the two no name is looked up again, so that a name
which means another address a moment later (DNS rebinding) gains nothing.

urllib3 is what botocore speaks to AWS with, so that a provider costs no second HTTP library. At this level it reads
nothing of the environment: no proxy, no `.netrc` that adds to a request, no other list of authorities.
"""

from __future__ import annotations

import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import certifi
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from functions.vault.base.errors import ProviderMisconfigured

from .addresses import may_be_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from urllib3 import Timeout
    from urllib3.connection import HTTPConnection

    OnConnect = Callable[[socket.socket], None]
    Resolve = Callable[..., Sequence[tuple[Any, ...]]]


def pool_for(url: str, connector: Connector, trust: ssl.SSLContext | None = None) -> HTTPConnectionPool:
    """Return connections to the server of `url`, an http or https URL; else raise `LocationParseError`.

    `trust` says who may vouch for a server, by default the authorities that browsers trust.
    """
    target = parse_url(url)
    if target.scheme not in {"http", "https"} or not target.host:
        raise LocationParseError("an endpoint")
    if target.scheme == "http":
        pool = HTTPConnectionPool(target.host, target.port or 80)
    else:
        pool = HTTPSConnectionPool(target.host, target.port or 443, ssl_context=trust or _authorities())
    pool.ConnectionCls = _connected_by(connector, pool.ConnectionCls)
    return pool


def begin(
    pool: HTTPConnectionPool, request: tuple[str, str, Mapping[str, str], str | None], timeout: Timeout
) -> HTTPResponse:
    """Send one request (method, URL, headers, body) and return its answer, of which the body is still to be read.

    Nothing is sent twice.
    """
    method, url, headers, body = request
    response = pool.urlopen(
        method,
        parse_url(url).request_uri,
        body=None if body is None else body.encode(),
        headers={"Accept-Encoding": "gzip, deflate", **headers},
        retries=False,
        redirect=False,
        timeout=timeout,
        preload_content=False,
    )
    assert isinstance(response, HTTPResponse)  # noqa: S101 - what urllib3 declares is its base class
    return response


@cache
def _authorities() -> ssl.SSLContext:
    """Return the authorities that are trusted. Reading them takes longer than a handshake: once for a process."""
    return ssl.create_default_context(cafile=certifi.where())


def _connected_by(connector: Connector, kind: Any) -> Any:
    """Return a kind of connection whose sockets a connector makes."""

    class Connected(kind):  # type: ignore[misc]  # a class that is only known at run time
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
