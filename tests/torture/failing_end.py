"""An end of AWS that fails on order: it stands before an engine, and passes on what it does not fail."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import urllib3
from werkzeug.wrappers import Request, Response

from local.base.serving import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

THROTTLED = (400, "ThrottlingException")
FAILING = (500, "InternalServerError")
DENIED = (400, "AccessDeniedException")

WRITES = frozenset({"PutItem", "UpdateItem"})

_OF_THE_CONNECTION = frozenset({"host", "content-length", "connection", "transfer-encoding", "date", "server"})


@dataclass
class _Outage:
    operations: frozenset[str]
    error: tuple[int, str]
    times: int | None
    act: bool
    when: Callable[[], bool]


@dataclass
class FailingEnd:
    """Listens on a loopback port in the place of ``target``; its answers are of the time that ``now`` gives."""

    target: str
    now: Callable[[], float] = time.time
    failed: int = 0
    _outages: list[_Outage] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _server: LoopbackServer = field(default_factory=LoopbackServer)
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=16, retries=False))

    @property
    def url(self) -> str:
        """The endpoint URL for boto3."""
        return self._server.url

    def __enter__(self) -> Self:
        """Start to listen."""
        self._server.serve(self._answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.close()
        self._pool.clear()

    def fail(
        self,
        operations: Iterable[str],
        error: tuple[int, str] = FAILING,
        *,
        times: int | None = None,
        act: bool = False,
        when: Callable[[], bool] = lambda: True,
    ) -> None:
        """Fail the next ``times`` requests (None: all) of these operations, from when ``when`` says so.

        With ``act`` the request takes effect, and only its answer is lost.
        """
        self._outages.append(_Outage(frozenset(operations), error, times, act, when))

    def recover(self) -> None:
        """Work again."""
        self._outages.clear()
        self.failed = 0

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        outage = self._outage(request.headers.get("X-Amz-Target", "").rpartition(".")[2])
        if outage is None:
            answer = self._passed_on(request)
            answer.headers["Date"] = formatdate(self.now(), usegmt=True)
            return answer(environ, start_response)
        if outage.act:
            self._passed_on(request)
        status, code = outage.error
        body = json.dumps({"__type": code, "message": "on order"})
        return Response(body, status, content_type="application/x-amz-json-1.0")(environ, start_response)

    def _outage(self, operation: str) -> _Outage | None:
        with self._lock:
            for outage in self._outages:
                if operation in outage.operations and outage.times != 0 and outage.when():
                    outage.times = None if outage.times is None else outage.times - 1
                    self.failed += 1
                    return outage
        return None

    def _passed_on(self, request: Request) -> Response:
        headers: Any = {name: value for name, value in request.headers if name.lower() not in _OF_THE_CONNECTION}
        answer = self._pool.request(
            request.method, f"{self.target}{request.full_path.rstrip('?')}", body=request.get_data(), headers=headers
        )
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        return Response(answer.data, answer.status, kept)
