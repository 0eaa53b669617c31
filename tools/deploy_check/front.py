"""Stands where a custom domain would: browsers come to http://localhost, and it passes them on to the HTTP API.

A provider on this machine is only asked by a deployment whose base URL is on this machine, too, and without TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import urllib3
from werkzeug.wrappers import Request, Response

from local.base.serving import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from tools.deploy_check.emulator import Emulator

_HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})
_TIMEOUT = 40
"""Seconds; a little more than a function may take."""


class Front:
    """A context manager that listens on a free port. It answers once it knows the API that it stands before."""

    def __init__(self, emulator: Emulator) -> None:
        """The API is on ``emulator``; which one it is, the deployment says."""
        self._server = LoopbackServer()
        self.url = f"http://localhost:{self._server.port}"
        self._pool = urllib3.HTTPSConnectionPool("localhost", emulator.port, ca_certs=str(emulator.certificate))
        self._port = emulator.port
        self._host = ""

    def lead_to(self, api_id: str) -> str:
        """Pass requests on to this API from now on, and return the host name that the emulator knows it by."""
        self._host = f"{api_id}.execute-api.localhost:{self._port}"
        return self._host

    def __enter__(self) -> Self:
        """Listen."""
        self._server.serve(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass one request on."""
        request = Request(environ)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        answer = self._pool.request(
            request.method,
            environ["RAW_URI"],
            headers={**headers, "Host": self._host},
            body=request.get_data(),
            redirect=False,
            retries=False,
            timeout=_TIMEOUT,
        )
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
        return Response(answer.data, answer.status, kept)(environ, start_response)
