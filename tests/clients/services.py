"""What the client talks to in tests: a Lambda with prepared answers, an API that takes one token, and a clock."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from gatehouse.timing import Timing

if TYPE_CHECKING:
    from types import TracebackType

NOW = 1_800_000_000
SECRETS = ("an-access-token-of-the-tests", "a-refresh-token-of-the-tests", "a-confirmation-of-the-tests")


def token(version: int = 1, **fields: Any) -> dict[str, Any]:
    """Return an answer of `token` whose access token says which version it is of."""
    return {
        "connection_id": "shop-1",
        "provider": "ultracart",
        "access_token": f"{SECRETS[0]}-{version}",
        "token_type": "Bearer",
        "expires_at": NOW + 3600,
        "scope": None,
        "version": version,
        "subject": "DEMO",
        "metadata": {"host": "api.example.com"},
        **fields,
    }


def failure(error: str, *, retryable: bool = True, **facts: Any) -> dict[str, Any]:
    """Return a failure answer."""
    return {"error": error, "error_description": f"It is {error}.", "retryable": retryable, **facts}


@dataclass(frozen=True)
class Lambda:
    """How Lambda itself answers: with a status, or with an error of the function; or it hangs up."""

    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    function_error: str | None = None
    hangs_up: bool = False


HANGS_UP = Lambda(hangs_up=True)
THROTTLES = Lambda(429, {"Type": "User", "message": "Rate Exceeded."})
FAILS = Lambda(503, {"Type": "Service", "message": "Service unavailable."})


class _Server(ThreadingHTTPServer):
    """A server on a port of its own, that stops at the end of a `with`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.changes = threading.Condition()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that has gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        """Read the request's body, of a length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Answer with JSON."""
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class LambdaService(_Server):
    """The Invoke API. It gives the answers in turn, and the last one from then on; `holds` keeps them back."""

    def __init__(self, *answers: dict[str, Any] | Lambda) -> None:
        super().__init__(_Invoked)
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any]]]
        self.connections: list[tuple[str, int]]
        """By which connection each call has come."""
        self.released = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Answer at once, and forget what was called."""
        self.released.set()
        self.calls, self.connections = [], []

    def next_answer(self, function: str, request: dict[str, Any]) -> dict[str, Any] | Lambda:
        """Note a call, and return its answer once it is released."""
        with self.changes:
            self.calls.append((function, request))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.changes.notify_all()
        self.released.wait(10)
        return answer

    def wait_for_calls(self, count: int) -> None:
        """Wait until so many calls have come."""
        with self.changes:
            assert self.changes.wait_for(lambda: len(self.calls) >= count, 10)

    @property
    def functions(self) -> list[str]:
        """The functions that were called, in turn."""
        return [function for function, _ in self.calls]


class _Invoked(_Handler):
    server: LambdaService

    def do_POST(self) -> None:
        self.server.connections.append(self.client_address)
        found = re.fullmatch(r"/2015-03-31/functions/gatehouse-(\w+)%3Alive/invocations", self.path)
        by_api = re.fullmatch(r"/v1/(?:.+/)?(\w+)", self.path)
        name = found or by_api
        assert name, self.path
        answer = self.server.next_answer(name[1], json.loads(self.body()))
        if not isinstance(answer, Lambda):
            status = {"invalid_request": 400}.get(answer.get("error", ""), 503) if "error" in answer else 200
            self.answer(200 if found else status, answer)
        elif answer.hangs_up:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            error = {"X-Amz-Function-Error": answer.function_error} if answer.function_error else {}
            self.answer(answer.status, answer.body, **error)


@dataclass(frozen=True)
class Seen:
    """A request that an API got."""

    method: str
    path: str
    authorization: str | None
    body: bytes


class Api(_Server):
    """An API of a provider: `/data` takes tokens of one version alone, `/to?URL` redirects there."""

    def __init__(self, takes: int | None = 1) -> None:
        super().__init__(_Api)
        self.takes = takes
        self.refuses = 0
        """How many requests get a 401 before."""
        self.seen: list[Seen] = []

    @property
    def authorizations(self) -> list[str | None]:
        """The `Authorization` of each request."""
        return [seen.authorization for seen in self.seen]


class _Api(_Handler):
    server: Api

    def do_GET(self) -> None:
        server, authorization = self.server, self.headers.get("Authorization")
        with server.changes:
            server.seen.append(Seen(self.command, self.path, authorization, self.body()))
        path, _, location = self.path.partition("?")
        if path == "/to":
            self.answer(302, {}, Location=location)
        elif server.refuses:
            server.refuses -= 1
            self.answer(401, {"error": "invalid_token"})
        elif server.takes is not None and authorization == f"Bearer {SECRETS[0]}-{server.takes}":
            self.answer(200, {"orders": 3})
        else:
            self.answer(401, {"error": "invalid_token"})

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()


class Time:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.pauses: list[float] = []
        self.timing = Timing(lambda: NOW + self.passed, lambda: self.passed, self.sleep)

    def sleep(self, seconds: float) -> None:
        """Note a pause, and let it pass at once."""
        self.pauses.append(seconds)
        self.passed += seconds
