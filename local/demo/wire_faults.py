"""Faults on the wire: answers that are slow, too large, of the wrong kind, or never sent."""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from werkzeug.wrappers import Response

from local.demo.errors import OAuthError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from werkzeug.wrappers import Request

    from local.demo.dialect import Dialect
    from local.demo.faults import Faults

_HTML = "<!doctype html><html lang=en><title>We'll be right back</title><h1>We'll be right back</h1>"
_PADDING = b" " * 65536
# What UltraCart says in UC-REST-ERROR when it throttles.
_THROTTLED = "rate of 10000 per 86400 second(s) exceeded."


def replacement(dialect: Dialect, faults: Faults) -> Response:
    """Return the answer that stands in place of the true one."""
    if faults.html:
        answer = Response(_HTML, faults.status or HTTPStatus.OK, content_type="text/html; charset=utf-8")
    elif faults.redirect_to is not None:
        answer = Response(b"", faults.status or HTTPStatus.FOUND, {"Location": faults.redirect_to})
    elif faults.error is not None:
        answer = dialect.oauth_error(OAuthError(faults.error, status=faults.status or _usual(faults.error)), faults)
    else:
        status = faults.status or HTTPStatus.INTERNAL_SERVER_ERROR
        answer = dialect.failure(status, _message(status))
    if faults.retry_after is not None:
        answer.headers["Retry-After"] = str(faults.retry_after)
    return answer


def stretched(answer: Response, faults: Faults, stopping: threading.Event) -> Response:
    """Make the body slow or huge; ends early when the server stops."""
    if not faults.drip_seconds and not faults.huge_body_bytes:
        return answer
    body: Iterable[bytes] = [answer.get_data()]
    if faults.huge_body_bytes:
        body = _padded(answer.get_data(), faults.huge_body_bytes)
    if faults.drip_seconds:
        body = _dripping(b"".join(body), faults.drip_seconds, stopping)
    del answer.headers["Content-Length"]
    answer.response = body
    return answer


def hang_up(request: Request) -> NoReturn:
    """Close the connection without an answer."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError  # which the HTTP server takes for a client that went away


def _usual(error: str) -> int:
    return HTTPStatus.UNAUTHORIZED if error == "invalid_client" else HTTPStatus.BAD_REQUEST


def _message(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _THROTTLED
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Something is wrong."


def _padded(body: bytes, size: int) -> Iterator[bytes]:
    yield body
    for sent in range(0, size, len(_PADDING)):
        yield _PADDING[: size - sent]


def _dripping(body: bytes, seconds: float, stopping: threading.Event) -> Iterator[bytes]:
    pause = seconds / max(len(body), 1)
    for index in range(len(body)):
        if stopping.wait(pause):
            return
        yield body[index : index + 1]
