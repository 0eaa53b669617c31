"""Where a browser comes back to, on this machine, with what confirms a connection."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from . import exits
from .failures import Failure

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_PATH = "/connected"
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Gatehouse</title>
<p>You can close this page. What came of it is in your terminal.</p></html>"""


class WayBack:
    """Listens on this machine, if it is to, for one browser's return from Gatehouse."""

    def __init__(self, port: int, *, listens: bool) -> None:
        self._port = port
        self._listens = listens
        self._server: ThreadingHTTPServer | None = None
        self._returned: dict[str, dict[str, Any]] = {}
        self._came = threading.Event()

    @property
    def origin(self) -> str:
        """The origin that a deployment has to allow."""
        return f"http://localhost:{self._port}"

    @property
    def url(self) -> str:
        """Where the browser is to be sent."""
        return self.origin + _PATH

    def returned(self, request_id: str) -> dict[str, Any] | None:
        """Return what a browser has brought back for a request, or None if none has."""
        return self._returned.get(request_id)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a browser comes."""
        self._came.wait(seconds)
        self._came.clear()

    def __enter__(self) -> Self:
        if self._listens:
            try:
                self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
            except OSError as error:
                raise Failure(
                    "port_taken",
                    f"Nothing can listen on port {self._port}: {error.strerror}.",
                    advice="Choose another one that ReturnToOrigins allows: --return-port",
                    code=exits.USAGE,
                ) from None
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        returned, came = self._returned, self._came

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                fields = dict(parse_qsl(url.query))
                is_ours = url.path == _PATH and "request_id" in fields
                if is_ours:
                    status = fields.get("status") or "failed"
                    returned[fields["request_id"]] = {**fields, "outcome": status}
                self.send_response(200 if is_ours else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Referrer-Policy", "no-referrer")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(_PAGE if is_ours else b"")
                if is_ours:
                    # Only now: the command may end as soon as it knows.
                    came.set()

            def log_message(self, *_args: object) -> None:
                """Log nothing: the query has the confirmation in it."""

        return Handler
