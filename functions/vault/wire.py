"""`requests` as `outbound` uses it: it connects to addresses that were looked at, and tells of every socket.

The address that is checked is the one that is connected to: between the two no name is looked up again, so that a name
which means another address a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from .addresses import may_be_asked
from .errors import ProviderMisconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    OnConnect = Callable[[socket.socket], None]
    Resolve = Callable[..., Sequence[tuple[Any, ...]]]


def session(on_connect: OnConnect, resolve: Resolve = socket.getaddrinfo, *, loopback: bool) -> Session:
    """Return a session for one request. It reads nothing of the environment: no proxy, no `.netrc` that adds to it.

    `on_connect` gets a handle on each connection to shut it down with, and closes it: TLS takes the socket itself away.
    `resolve` looks names up, as `getaddrinfo` does. With `loopback` this machine may be asked, too.
    """
    made = Session()
    made.trust_env = False
    adapter = _Adapter(_Connector(on_connect, resolve, loopback=loopback))
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class _Adapter(HTTPAdapter):
    def __init__(self, connector: _Connector) -> None:
        self._connector = connector
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        connector = self._connector

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return connector.connect(self, self._dns_host)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return connector.connect(self, self._dns_host)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class _Connector:
    """Looks a host up, looks at what comes of it, and connects to just that."""

    def __init__(self, on_connect: OnConnect, resolve: Resolve, *, loopback: bool) -> None:
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
