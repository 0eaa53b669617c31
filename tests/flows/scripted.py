"""An authorization server of very few words: it answers as scripted and keeps what came, to the byte."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from werkzeug.wrappers import Request, Response

from local.base.serving import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import requests
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from tests.browser import Browser
    from tests.flows.application import Application

CODE = "scripted-code+/=& 1"

_PATHS = {"authorization": "authorize", "token": "token", "revocation": "revoke"}


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    path: str
    body: str
    headers: dict[str, str]
    query: dict[str, str]

    @property
    def form(self) -> list[tuple[str, str]]:
        """Return the names and values of the body, in order."""
        return parse_qsl(self.body, keep_blank_values=True)


@dataclass
class Scripted:
    """What each path answers (a document, a whole response, or what a function makes of the request), and what came."""

    url: str
    answers: dict[str, Any] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    """While it is cleared, requests arrive and are not answered."""

    def __post_init__(self) -> None:
        """Begin open."""
        self.open.set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        request = Request(environ)
        body = request.get_data(as_text=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, request.path, body, headers, request.args.to_dict())
        self.received.append(received)
        self.open.wait(60)
        answer = self.answers.get(request.path)
        # A response object can be called as well, but is an answer already.
        if callable(answer) and not isinstance(answer, Response):
            answer = answer(received)
        return self._response(answer)(environ, start_response)

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [received.path for received in self.received]

    @property
    def registration(self) -> dict[str, Any]:
        """Return this server's full metadata and a client, as an owner would register it."""
        return {"client_id": "scripted-client", **self.endpoints}

    @property
    def endpoints(self) -> dict[str, str]:
        """Return where this server is, to be put in the place of another."""
        return {f"{name}_endpoint": f"{self.url}/{path}" for name, path in _PATHS.items()}

    @staticmethod
    def _response(answer: Any) -> Response:
        if isinstance(answer, Response):
            # A copy: a response object is good for one answer.
            return Response(answer.get_data(), answer.status_code, answer.headers)
        if answer is None:
            return Response(b"", 404)
        return Response(json.dumps(answer), 200, content_type="application/json")


TOKENS = {"access_token": "scripted-access", "refresh_token": "scripted-refresh", "expires_in": 3600}
"""A token response that such a server may give."""


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Run such a server on a port of its own."""
    with LoopbackServer() as server:
        provider = Scripted(server.url)
        server.serve(provider)
        yield provider


def connect(
    application: Application, browser: Browser, provider: str, **fields: Any
) -> tuple[dict[str, Any], requests.Response]:
    """Go through a flow whose authorization endpoint approves unseen; return what `start` said, and the result page."""
    started = application.call("start", provider=provider, **fields)
    location = urlsplit(browser.authorize(started["authorize_url"]))
    query = parse_qs(location.query)
    answer = urlencode({"code": CODE, "state": query["state"][0]})
    return started, browser.open(f"{query['redirect_uri'][0]}?{answer}")
