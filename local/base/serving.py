"""An HTTP server on the loopback interface that keeps its mouth shut."""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import WSGIRequestHandler, make_server

from local.base.errors import PortTakenError

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication

LOOPBACK = "127.0.0.1"
# The listen queue; 64 callers at once must not meet a refused connection.
BACKLOG = 256


class _SilentHandler(WSGIRequestHandler):
    """Writes no access log: a request line holds tickets, codes and states."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the overridden method's
        """Drop the line."""

    # An application that goes by a clock of its own dates its answers itself.

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response, without a date."""
        self._is_dated = False
        self.send_response_only(code, message)
        self.send_header("Server", self.version_string())

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header."""
        self._is_dated |= keyword.lower() == "date"
        super().send_header(keyword, value)

    def end_headers(self) -> None:
        """Add the date where there is none yet."""
        if not self._is_dated:
            self.send_header("Date", self.date_time_string())
        super().end_headers()


class LoopbackServer:
    """A port bound at once, so that its URL is known, and served when the application is there."""

    def __init__(self, port: int = 0) -> None:
        """Bind ``port`` of 127.0.0.1 (0: any free one). Raises ``PortTakenError``."""
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._stop = self._socket.close

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}"

    def serve(self, application: WSGIApplication) -> None:
        """Answer requests from now on, each in a thread of its own."""
        server = make_server(
            LOOPBACK, self.port, application, threaded=True, request_handler=_SilentHandler, fd=self._socket.fileno()
        )
        # The server works on a duplicate of the descriptor.
        self._socket.close()
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, name=f"http-{self.port}", daemon=True
        )
        thread.start()

        def stop() -> None:
            server.shutdown()
            thread.join()

        self._stop = stop

    def close(self) -> None:
        """Stop listening. Requests under way are left to end by themselves."""
        self._stop()

    def __enter__(self) -> Self:
        """Return the bound server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self.close()


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            raise PortTakenError(port) from None
        raise
    listener.listen(BACKLOG)
    return listener
