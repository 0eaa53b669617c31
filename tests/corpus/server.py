"""A token endpoint that always gives one answer, to the octet."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WITHOUT_BODY = {204, 205, 304}


class TokenEndpoint:
    """`answer` sets what every request gets from now on."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status, self.headers, self.body = 404, dict[str, str](), b""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Set the answer; without a content type of its own it is JSON, with an empty one it has none."""
        self.status, self.body = status, body
        self.headers = {"content-type": "application/json", **headers}


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """Run a token endpoint on this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name is the standard library's
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response_only(endpoint.status)
            for name, value in endpoint.headers.items():
                if value:
                    self.send_header(name, value)
            body = b"" if endpoint.status in _WITHOUT_BODY else endpoint.body
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint = TokenEndpoint(f"http://127.0.0.1:{server.server_port}/token")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
