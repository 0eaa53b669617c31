"""Authentication for requests and httpx: a token on each request, and another one after a 401, once.

Nothing here imports either of them: what runs was called by the one that is used.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from .client import Gatehouse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import TypeGuard

    import httpx
    import httpx2
    from requests import PreparedRequest, Response
    from requests.auth import AuthBase

    from .answers import Token
    from .base import Client

    class _Base(httpx.Auth, httpx2.Auth, AuthBase):  # type: ignore[misc]  # their methods differ in whose Request it is
        """For type checkers, what `auth_for` returns is what either package takes."""

else:
    _Base = object

_UNAUTHORIZED = 401


class Auth(_Base):
    """Puts the access token of a connection on each request. Made by `auth_for`.

    After a 401 it asks Gatehouse for another token, and sends the request once more: if its body can be sent again, and
    if it carried the first token, which a redirect to another host has taken off. A second 401 is the caller's. Then,
    for five minutes, no 401 to that token makes this process ask for another refresh, unless an API takes the token.
    """

    def __init__(self, client: Client, connection_id: str, scheme: str) -> None:
        self._client = client
        self._threads = Gatehouse.like(client)
        self._connection_id = connection_id
        self._scheme = scheme

    def __repr__(self) -> str:
        return f"Auth({self._connection_id!r})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put a token on, and look at the response: what requests calls."""
        if not hasattr(request, "register_hook"):
            raise TypeError("For httpx, import httpx before you call auth_for: this one was made without it.")
        token = self._threads.token(self._connection_id)
        self._put_on(request, token)
        request.register_hook("response", partial(self._after, token))  # type: ignore[no-untyped-call]
        return request

    def _after(self, token: Token, response: Response, **options: Any) -> Response:
        """Return the response; after a 401, the one to the same request with another token."""
        request = response.request
        if not self._is_refused(response, token):
            return response
        try:
            another = self._threads.another(token)
        except BaseException:
            # Nobody else closes a response that its hook does not return.
            response.close()
            raise
        adapter: Any = getattr(response, "connection", None)
        if not self._is_repeated(another, token, can_be_sent=bool(adapter) and _rewound(request)):
            return response
        # Read to its end, a connection can be used again.
        _ = response.content
        response.close()
        repeated = request.copy()
        self._put_on(repeated, another)
        second: Response = adapter.send(repeated, **options)
        second.history.append(response)
        second.request = repeated
        self._look_at_second(second, token, another)
        return second

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Put a token on, send, and after a 401 send once more with another: what httpx.Client calls."""
        token = self._threads.token(self._connection_id)
        self._put_on(request, token)
        response = yield request
        if self._is_refused(response, token):
            another = self._threads.another(token)
            if self._is_repeated(another, token, can_be_sent=_is_in_memory(response.request)):
                self._put_on(response.request, another)
                self._look_at_second((yield response.request), token, another)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Do the same without blocking the event loop: what httpx.AsyncClient calls."""
        from .aio import AsyncGatehouse  # noqa: PLC0415 - it needs asyncio, which others do not

        coroutines = AsyncGatehouse.like(self._client)
        token = await coroutines.token(self._connection_id)
        self._put_on(request, token)
        response = yield request
        if self._is_refused(response, token):
            another = await coroutines.another(token)
            if self._is_repeated(another, token, can_be_sent=_is_in_memory(response.request)):
                self._put_on(response.request, another)
                self._look_at_second((yield response.request), token, another)

    def _put_on(self, request: Any, token: Token) -> None:
        request.headers["Authorization"] = self._header(token)

    def _header(self, token: Token) -> str:
        return f"{self._scheme} {token.access_token}"

    def _is_refused(self, response: Any, token: Token) -> bool:
        """Return whether it is a 401 to this token. A host that a redirect has led to did not get it, and must not."""
        if response.request.headers.get("Authorization") != self._header(token):
            return False
        if response.status_code == _UNAUTHORIZED:
            return True
        if not response.is_redirect:
            self._client.core.refusals.accept(token)
        return False

    def _is_repeated(self, another: Token | None, refused: Token, *, can_be_sent: bool) -> TypeGuard[Token]:
        """Return whether there is a token for a repeat, and a body."""
        if another is not None and another.version == refused.version and not can_be_sent:
            # There is no second answer to wait for.
            self._client.core.refusals.refuse(refused, another)
        return another is not None and can_be_sent

    def _look_at_second(self, response: Any, first: Token, second: Token) -> None:
        """Remember whether the repeat has helped."""
        if self._is_refused(response, second):
            self._client.core.refusals.refuse(first, second)


def _rewound(request: PreparedRequest) -> bool:
    """Return whether the body can be sent again, and is at its beginning. That of a generator cannot."""
    body: Any = request.body
    position = getattr(request, "_body_position", None)
    if body is None or isinstance(body, (bytes, str)):
        return True
    seek = getattr(body, "seek", None)
    if seek is None or not isinstance(position, int):
        return False
    try:
        seek(position)
    except OSError:
        return False
    return True


def _is_in_memory(request: Any) -> bool:
    """Return whether httpx has the whole body. A file or a generator has been read to its end."""
    return any(isinstance(request.stream, package.ByteStream) for package in _loaded())


def _loaded() -> list[Any]:
    """Return what there is of httpx in this process. A request may be of a class of the caller's own."""
    found = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return [package for package in found if hasattr(package, "ByteStream")]


def auth_for(client: Client, connection_id: str, scheme: str) -> Auth:
    """Return an `Auth` that is also an Auth of httpx, if that has been imported.

    httpx takes anything else that can be called for a function without a second half, and would never repeat a request.
    """
    return _kind(tuple(package.Auth for package in _loaded()))(client, connection_id, scheme)


@cache
def _kind(bases: tuple[type, ...]) -> type[Auth]:
    return type("Auth", (Auth, *bases), {}) if bases else Auth
