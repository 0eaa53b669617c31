"""A Lambda Runtime API on this machine, and functions that run against it under AWS's own runtime client.

The client is the package `awslambdaric`: what Lambda's managed runtime starts a Python function with, hooks of
SnapStart included. So a function runs here as it is deployed: from its built folder, in a process of its own, with its
handler named as in the template.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local.gateway.invoker import alias_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_PATIENCE = 60.0
_VERSION = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Moment:
    """Something that the runtime client said, and when (`time.perf_counter`)."""

    what: str
    document: Any
    at: float


class RuntimeApi:
    """The Runtime API of one function. What the client says comes in order; it waits at `next` until it is let on."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[str, Any, float]] = queue.Queue()
        self._restored = threading.Event()
        self.said: queue.Queue[Moment] = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Two small writes for one answer would otherwise wait for each other's acknowledgement.
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                api._get(self)

            def do_POST(self) -> None:
                api._post(self)

            def log_message(self, *_arguments: Any) -> None:
                """Keep quiet: the tests say what they saw."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, event: Any, seconds: float) -> None:
        """Let the client's next question for work be answered with an event, for which it has so many seconds."""
        self._events.put((str(uuid.uuid4()), event, time.time() + seconds))

    def restore(self) -> None:
        """Let a client go on that waits between its snapshot and its restoration."""
        self._restored.set()

    def received(self, what: str) -> Moment:
        """Wait for the next thing that the client says; it has to be this. Raises ``AssertionError`` otherwise."""
        moment = self.said.get(timeout=_PATIENCE)
        assert moment.what == what, f"expected {what} of the runtime client, and it said {moment}"
        return moment

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.said.put(Moment(path.removeprefix(f"{_VERSION}/"), None, time.perf_counter()))
        if path == f"{_VERSION}/restore/next":
            self._restored.wait()
            _answer(handler, 200)
            return
        request_id, event, deadline = self._events.get()
        function = f"arn:aws:lambda:us-east-1:000000000000:function:here:{alias_for(event)}"
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": function,
            "Content-Type": "application/json",
        }
        _answer(handler, 200, json.dumps(event).encode(), headers)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        length = handler.headers.get("Content-Length")
        body = handler.rfile.read(int(length)) if length else _chunks(handler)
        at = time.perf_counter()
        _answer(handler, 202, b"{}")
        self.said.put(Moment(handler.path.rpartition("/")[2], json.loads(body or b"null"), at))


def _chunks(handler: BaseHTTPRequestHandler) -> bytes:
    """Read a body that comes in chunks, as the client sends its answers."""
    parts = []
    while size := int(handler.rfile.readline(), 16):
        parts.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(parts)


def _answer(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def runtime_client(folder: Path) -> Path:
    """Fill a folder with the runtime client and what it needs, as it is installed here, and return it."""
    for name in ("awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client"):
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed"
        assert spec.origin is not None
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


@dataclass(frozen=True)
class Answer:
    """What an invocation came to: its document (`failed` where the function raised), and its seconds."""

    document: Any
    failed: bool
    seconds: float


class RunningFunction:
    """One execution environment: a process with the runtime client and a function; a context manager ends it."""

    def __init__(
        self,
        handler: str,
        env: Mapping[str, str],
        *folders: Path,
        command: Sequence[str] | None = None,
        snap_start: bool = False,
    ) -> None:
        """``folders`` are what can be imported, beside the standard library: the function's own first, a client's last.

        ``command`` is another runtime client than Lambda's for Python.
        """
        self.api = RuntimeApi()
        self._env = {
            **env,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "AWS_LAMBDA_FUNCTION_NAME": handler,
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "LAMBDA_TASK_ROOT": str(folders[0]),
            "_HANDLER": handler,
        }
        if snap_start:
            self._env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
        self._command = command or [sys.executable, "-S", "-B", "-m", "awslambdaric", handler]
        self._folder = folders[0]
        self.started = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        # A file, so that nobody has to read along while the function works.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it

    def __enter__(self) -> Self:
        """Start the process."""
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, env=self._env, stdout=self._output, stderr=subprocess.STDOUT
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._output.close()
        self.api.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the function has written to its standard output so far."""
        self._output.seek(0)
        return self._output.read().decode()

    def initialized(self) -> float:
        """Wait until the client asks for its first event, and return the seconds since the process was started."""
        return self.api.received("invocation/next").at - self.started

    def invoke(self, event: Any, seconds: float = 30) -> Answer:
        """Invoke it once more. The client has to be waiting for work: see `initialized`."""
        began = time.perf_counter()
        self.api.put(event, seconds)
        moment = self.api.said.get(timeout=_PATIENCE)
        assert moment.what in {"response", "error"}, f"{moment}\n{self.log}"
        self.api.received("invocation/next")
        return Answer(moment.document, moment.what == "error", moment.at - began)
