"""`requests` as `outbound` uses it: it tells of every socket that it connects, so that a deadline can end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def session(on_connect: Callable[[socket.socket], None]) -> Session:
    """Return a session for one request. It reads nothing of the environment: no proxy, no `.netrc` that adds to it.

    `on_connect` gets a handle on each connection to shut it down with, and closes it: TLS takes the socket itself away.
    """
    made = Session()
    made.trust_env = False
    adapter = _Adapter(on_connect)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class _Adapter(HTTPAdapter):
    def __init__(self, on_connect: Callable[[socket.socket], None]) -> None:
        self._on_connect = on_connect
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        on_connect = self._on_connect

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                connected = super()._new_conn()
                on_connect(connected.dup())
                return connected

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connected = super()._new_conn()
                on_connect(connected.dup())
                return connected

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
