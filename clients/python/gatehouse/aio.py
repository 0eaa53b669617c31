"""`AsyncGatehouse`: the functions of Gatehouse for asyncio. boto3 has no such calls, so that each runs in a thread."""

from __future__ import annotations

import asyncio
import contextvars
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial, update_wrapper
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from . import calls
from .base import Client
from .client import Gatehouse
from .core import DEFAULT_MIN_TTL, without_nulls
from .errors import GatehouseError, NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator

    from .answers import Token
    from .auth import Auth
    from .timing import Deadline

_P = ParamSpec("_P")
_Result = TypeVar("_Result")

_A_LITTLE = 1.0
"""Seconds by which a call under way may end before the caller's own time, to be shared with it."""
_MOST_THREADS = 50
"""As many as a transport keeps connections."""
_NO_THREAD = "No thread was free to make the call before the time was over."


@cache
def _threads(_process: int) -> ThreadPoolExecutor:
    """Return the threads of a process for its calls.

    asyncio's own are few, five on a small machine, and the names of hosts are looked up in them: a call that waits for
    a provider would keep them from the rest of the program. And the end of its event loop waits for them.
    """
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="gatehouse")


async def _in_thread(call: Callable[..., _Result], *arguments: Any) -> _Result:
    """Return what a call returns that blocks. It sees the context variables of its caller."""
    run = partial(contextvars.copy_context().run, call, *arguments)
    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), run)


async def _in_thread_by(until: Deadline, call: Callable[[], _Result]) -> _Result:
    """Return what a call returns that blocks, if a thread is free before the time is over.

    Else it is never made. Nor is it if its caller is cancelled before: a late `revoke` would end another connection.
    """
    waiting = _threads(os.getpid()).submit(contextvars.copy_context().run, call)
    answer = asyncio.wrap_future(waiting)
    try:
        await asyncio.wait([answer], timeout=until.left)
        if not answer.done() and waiting.cancel():
            raise NoAnswer(_NO_THREAD, may_have_run=False)
        # What has begun ends when the time is over.
        return await answer
    finally:
        answer.cancel()


def _threaded(
    method: Callable[Concatenate[Gatehouse, _P], _Result],
) -> Callable[Concatenate[AsyncGatehouse, _P], Coroutine[Any, Any, _Result]]:
    names = signature(method)

    async def call(self: AsyncGatehouse, /, *args: _P.args, **fields: _P.kwargs) -> _Result:
        until = self._allowance.begin()
        hurried = Gatehouse.like(self).within(until.left)
        try:
            return await _in_thread_by(until, partial(method, hurried, *args, **fields))
        except GatehouseError as error:
            if error.connection_id is None:
                given = names.bind(hurried, *args, **fields).arguments
                error.connection_id = given.get("request", given).get("connection_id")
            raise

    update_wrapper(call, method)
    return call


def _threaded_iterator(
    method: Callable[Concatenate[Gatehouse, _P], Iterator[_Result]],
) -> Callable[Concatenate[AsyncGatehouse, _P], AsyncIterator[_Result]]:
    async def iterate(self: AsyncGatehouse, /, *args: _P.args, **fields: _P.kwargs) -> AsyncIterator[_Result]:
        hurried = Gatehouse.like(self)
        found = method(hurried, *args, **fields)
        while True:
            until = self._allowance.begin()
            hurried._allowance = self._allowance.within(until.left)  # noqa: SLF001 - of this one iteration alone
            each = await _in_thread_by(until, partial(next, found, None))
            if each is None:
                return
            yield each

    update_wrapper(iterate, method)
    return iterate


class AsyncGatehouse(Client):
    """The functions of Gatehouse, for coroutines. Make one for your process.

    However many coroutines ask for the token of a connection, one thread asks Gatehouse. If a caller is cancelled, the
    call goes on, and the others get its outcome.
    """

    start = _threaded(Gatehouse.start)
    confirm = _threaded(Gatehouse.confirm)
    revoke = _threaded(Gatehouse.revoke)
    import_connection = _threaded(Gatehouse.import_connection)
    connection = _threaded(Gatehouse.connection)
    attempt = _threaded(Gatehouse.attempt)
    connections = _threaded_iterator(Gatehouse.connections)
    call = _threaded(Gatehouse.call)

    async def token(self, connection_id: str, *, min_ttl: int | None = None) -> Token:
        """Return an access token that is valid for at least `min_ttl` seconds (60, if not named)."""
        core = self.core
        kept = core.kept.get(connection_id, DEFAULT_MIN_TTL if min_ttl is None else min_ttl)
        if kept is not None:
            return kept
        request = without_nulls(connection_id=connection_id, min_ttl=min_ttl)
        return await self._shared("token", request, partial(core.token, connection_id, min_ttl))

    async def refresh(self, connection_id: str, *, if_version: int | None = None) -> Token:
        """Return another token, because an API has rejected the one with this version. Always name the version."""
        request = without_nulls(connection_id=connection_id, if_version=if_version)
        return await self._shared("refresh", request, partial(self.core.refresh, connection_id, if_version))

    async def another(self, refused: Token) -> Token | None:
        """Return the token for a repeat of a request that an API refused, or None if no repeat would help."""
        request = {"connection_id": refused.connection_id, "if_version": refused.version}
        return await self._shared("refresh", request, partial(self.core.another, refused))

    def auth_for(self, connection_id: str, *, scheme: str = "Bearer") -> Auth:
        """Return what `auth=` of httpx takes: it puts a token on, and after a 401 another, once."""
        from .auth import auth_for  # noqa: PLC0415 - it looks for httpx among what the caller has loaded

        return auth_for(self, connection_id, scheme)

    async def _shared(self, function: str, request: dict[str, Any], call: partial[_Result]) -> _Result:
        """Return the outcome of the call of the same method under way for this request, or else make it.

        A call that would end much before the caller's own time is not shared here. In their threads both are one again.
        """
        until = self._allowance.begin()
        loop = asyncio.get_running_loop()
        under_way, key = _under_way.setdefault(loop, {}), (call.func, *sorted(request.items()))
        found = under_way.get(key)
        if found is None or found[0].left < until.left - _A_LITTLE:
            task = loop.create_task(_in_thread(call, until))
            task.add_done_callback(partial(_ended, under_way, key))
            under_way[key] = found = until, task
        try:
            result: _Result = await asyncio.wait_for(asyncio.shield(found[1]), until.left + _A_LITTLE)
        except asyncio.TimeoutError:  # not yet the builtin one in Python 3.10
            late = NoAnswer(_NO_THREAD)
            calls.say_of(late, function, request)
            raise late from None
        return result


_under_way: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, tuple[Deadline, asyncio.Task[Any]]]] = (
    WeakKeyDictionary()
)
"""The calls under way in each event loop, with the deadline of each."""


def _ended(calls: dict[Hashable, tuple[Deadline, asyncio.Task[Any]]], key: Hashable, task: asyncio.Task[Any]) -> None:
    if key in calls and calls[key][1] is task:
        del calls[key]
    if not task.cancelled():
        # Nobody may be left to whom it could be raised.
        task.exception()
