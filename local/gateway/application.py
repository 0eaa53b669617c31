"""The one port of the stack: the HTTP API's routes, the Lambda Invoke API, the landing page and the console."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from local.base.guard import Guard
from local.gateway import payload
from local.gateway.invoke_api import PATH as INVOKE_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from local.gateway.invoke_api import InvokeApi
    from local.gateway.invoker import Invoker
    from local.gateway.routes import Routes

# An HTTP API's quota for a request's payload.
PAYLOAD_LIMIT = 10 * 1024 * 1024


class Desk(Protocol):
    """What else the port serves: it answers the requests that are its own, and ``None`` to the others."""

    def answer(self, request: Request) -> Response | None:
        """Answer ``request``, or leave it to the HTTP API."""


class Gateway:
    """The WSGI application on the stack's port.

    ``POST /v1/...`` has the AWS_IAM authorizer when deployed. There is no IAM on one machine: signed or not, a request
    is let through, and ``guard`` keeps web pages and visitors of a tunnel out instead.
    """

    def __init__(
        self, invoker: Invoker, routes: Routes, invoke_api: InvokeApi, now: Callable[[], float], account: str
    ) -> None:
        """``now`` is the shared clock, ``account`` the number of the emulated AWS account."""
        self._invoker = invoker
        self._routes = routes
        self._invoke_api = invoke_api
        self._now = now
        self._account = account
        self.guard = Guard(routes.is_public)
        self.desks: list[Desk] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; a defect of the stack is a 500, and the terminal learns its kind alone."""
        request = Request(environ)
        request.max_content_length = PAYLOAD_LIMIT
        try:
            response = self._answer(request)
        except HTTPException as error:
            response = _message(HTTPStatus(error.code or 500), error.name)
        except Exception as error:  # noqa: BLE001 - the last line
            print(f"gatehouse: the local stack failed with {type(error).__name__} on {request.method}", flush=True)
            response = _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        refusal = self.guard.refusal(request.environ)
        if refusal:
            return _message(HTTPStatus.FORBIDDEN, refusal)
        raw_path = request.environ["REQUEST_URI"].partition("?")[0]
        invoked = INVOKE_PATH.fullmatch(raw_path)
        if invoked and request.method == "POST":
            return self._invoke_api.answer(request, invoked[1])
        for desk in self.desks:
            answered = desk.answer(request)
            if answered is not None:
                return answered
        return self._http_api(request, raw_path)

    def _http_api(self, request: Request, raw_path: str) -> Response:
        found = self._routes.find(request.method, raw_path)
        if found is None:
            return _message(HTTPStatus.NOT_FOUND, "Not Found")
        function, match = found
        invocation = self._invoker.invoke(function, payload.event(request, match, self._now(), self._account))
        if invocation.unhandled:
            return _message(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
        response = payload.response(json.loads(invocation.payload))
        response.headers["apigw-requestid"] = uuid.uuid4().hex
        return response


def _message(status: HTTPStatus, message: str) -> Response:
    return Response(json.dumps({"message": message}), status, content_type="application/json")
