"""Serves built functions to `tests.built`, in a process that has only the built folder and the standard library.

Each connection is one invocation: a line of JSON comes in, and a line of JSON goes back, with what was written to
standard output in between.
"""

from __future__ import annotations

import importlib
import io
import json
import runpy
import socketserver
import sys
import threading
import time
import traceback
from typing import Any


class Output(io.TextIOBase):
    """Standard output, collected separately for each invocation."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def begin(self) -> None:
        """Discard what this thread has written."""
        self._thread.text = ""

    def write(self, text: str) -> int:
        """Collect a text."""
        self._thread.text = self.written + text
        return len(text)

    @property
    def written(self) -> str:
        """Return what this thread has written."""
        return getattr(self._thread, "text", "")


class Context:
    """The context object of an invocation."""

    def __init__(self, fields: dict[str, str], remaining_ms: int) -> None:
        self.aws_request_id = fields["aws_request_id"]
        self.function_name = fields["function_name"]
        self.function_version = fields["function_version"]
        self.invoked_function_arn = fields["invoked_function_arn"]
        self._ends = time.monotonic() + remaining_ms / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left."""
        return max(0, int((self._ends - time.monotonic()) * 1000))


class Functions:
    """The functions. Each is set up at its first invocation."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._warm: dict[str, Any] = {}
        self._lock = threading.Lock()

    def invoke(self, call: dict[str, Any]) -> Any:
        """Return a function's answer. Its clock is as far ahead as the caller's."""
        self.ahead = call["ahead"]
        key = json.dumps([call["handler"], call["environment"]], sort_keys=True)
        with self._lock:
            if key not in self._warm:
                self._warm[key] = self._load(call["handler"], call["environment"])
        return self._warm[key](call["event"], Context(call["context"], call["remaining_ms"]))

    def _load(self, handler: str, environment: dict[str, str]) -> Any:
        module, _, name = handler.rpartition(".")
        function = getattr(importlib.import_module(module), name)
        services = importlib.import_module("functions.vault.services").Services
        with calls_of(handler):
            return function.with_services(services.from_environ(environment, clock=lambda: time.time() + self.ahead))


class Invocation(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Answer it."""
        line = self.rfile.readline()
        if not line:
            return
        output.begin()
        result: dict[str, Any] = {}
        try:
            result["answer"] = functions.invoke(json.loads(line))
        except Exception as error:  # noqa: BLE001 - as Lambda does: the caller gets it
            traceback.print_exc()
            result["raised"] = [type(error).__name__, str(error)]
        self.wfile.write(json.dumps(result | {"log": output.written}).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    """A port of the loopback interface."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    calls_of = runpy.run_path(sys.argv[2])["calls_of"]
    output, functions = Output(), Functions()
    with Server(("127.0.0.1", 0), Invocation) as server:
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdout = output
        server.serve_forever()
