"""A gate in front of the demo server's endpoints: it holds answers back while a test makes other things happen."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import requests
from werkzeug.wrappers import Request, Response

from local.base.serving import LoopbackServer
from local.demo.wire_faults import hang_up

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Only a failing test ever waits this long.
_PATIENCE = 60.0

_PASSED_ON = ("Accept", "Authorization", "Content-Type", "X-UltraCart-Api-Version")
_PASSED_BACK = ("Content-Type", "Retry-After", "UC-REST-ERROR")


@dataclass(frozen=True)
class _Held:
    release: threading.Event = field(default_factory=threading.Event)


class Gate:
    """Forwards every request at once, so the server acts on it. While the gate is closed, the answers wait here."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        self._server = LoopbackServer()
        self._changed = threading.Condition()
        self._holding: str | None = None
        self._held: list[_Held] = []

    def __enter__(self) -> Self:
        """Start to listen."""
        self._server.serve(self._application)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Open the gate and stop."""
        self.open()
        self._server.close()

    def before(self, name: str, endpoint: str) -> str:
        """Put the gate in front of an endpoint, and return the URL to register instead."""
        self._targets[f"/{name}"] = endpoint
        return f"{self._server.url}/{name}"

    def hold(self, kind: str) -> None:
        """Hold the answers to requests of this kind from now on: a grant type, or the name of an endpoint."""
        with self._changed:
            self._holding, self._held = kind, []

    def open(self) -> None:
        """Release all answers, in no particular order, and hold no more."""
        with self._changed:
            self._holding = None
            for held in self._held:
                held.release.set()

    def wait_for(self, count: int) -> None:
        """Wait until this many answers are held."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._held) >= count, _PATIENCE), f"held {len(self._held)}"

    def release(self, number: int) -> None:
        """Release one answer, by the order in which they came (the first is 0)."""
        self._held[number].release.set()

    @property
    def _application(self) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return self._passed(Request(environ))(environ, start_response)

        return answer

    def _passed(self, request: Request) -> Response:
        body = request.get_data(cache=True, parse_form_data=False)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        try:
            answer = requests.post(
                self._targets[request.path], body, headers=headers, allow_redirects=False, timeout=_PATIENCE
            )
        except requests.ConnectionError:
            hang_up(request)
        self._wait_at(request.form.get("grant_type") or request.path.strip("/"))
        passed_back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return Response(answer.content, answer.status_code, passed_back)

    def _wait_at(self, kind: str) -> None:
        with self._changed:
            if kind != self._holding:
                return
            held = _Held()
            self._held.append(held)
            self._changed.notify_all()
        held.release.wait(_PATIENCE)
