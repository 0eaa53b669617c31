"""The emulated AWS account: moto's server, one request at a time, every call noted."""

from __future__ import annotations

import itertools
import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from local.aws import conditions, repeats, signatures, streams
from local.aws.bus import EventBus
from local.aws.call import AwsCall, FunctionCall
from local.aws.faults import AwsFaults
from local.aws.logs import LogGroups
from local.base.guard import Guard
from local.base.serving import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Two stacks in one process (tests) share moto's memory: each gets an account of its own in it.
_ACCOUNTS = itertools.count(100000000001)

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"})

LAMBDA_SERVICE = "gatehouse-lambda-service"
"""What marks a client (user agent) as Lambda's own: it polls queues, which is no function's doing."""


class EmulatedAws:
    """moto's server on a port of its own.

    moto checks a condition and writes in two steps, so requests that run side by side could both win a conditional
    write. One lock around the application makes each request atomic, as DynamoDB's are.
    """

    def __init__(self) -> None:
        self.account = str(next(_ACCOUNTS))
        self.calls: list[AwsCall] = []
        self.writes = 0
        """Requests that may have changed what is in a table."""
        self.watchers: list[Callable[[FunctionCall], None]] = []
        self.faults = AwsFaults()
        self.bus = EventBus(self.account)
        self.logs = LogGroups()
        self._guard = Guard()
        self._lock = threading.Lock()
        self._server = LoopbackServer()
        self._application: WSGIApplication | None = None

    @property
    def url(self) -> str:
        """The endpoint URL for boto3."""
        return self._server.url

    def start(self) -> None:
        """Import moto (which takes its time) and answer."""
        # Half of the start-up.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

        signatures.mend()
        conditions.mend()
        streams.mend()
        repeats.mend()
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server.serve(self._answer)

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        call = AwsCall.of(environ)
        # AWS takes no unsigned request for what is used here; in moto they would reach its dashboard, which shows all.
        refusal = self._guard.refusal(environ) or (None if call.service else "The request is not signed.")
        if refusal:
            return Response(refusal, HTTPStatus.FORBIDDEN)(environ, start_response)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self.account
        if LAMBDA_SERVICE in environ.get("HTTP_USER_AGENT", ""):
            with self._lock:
                return self._emulate(call, environ, start_response)
        return self._answer_function(call, environ, start_response)

    def _answer_function(
        self, call: AwsCall, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer what a function or a test asks: noted, and failing where that is asked for."""
        if self.watchers and (made := FunctionCall.of(call, environ)):
            for watch in self.watchers:
                watch(made)
        fault = self.faults.take(call)
        with self._lock:
            self.calls.append(call)
            if fault is None:
                return self._emulate(call, environ, start_response)
            if fault.act:
                self._emulate(call, environ, _discarded)
        return fault.answer()(environ, start_response)

    def _emulate(self, call: AwsCall, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert self._application is not None  # noqa: S101 - start() sets it before it serves
        self.writes += call.service == "dynamodb" and call.operation in _WRITES
        if call == ("events", "PutEvents"):
            return self.bus.answer(environ)(environ, start_response)
        if call.service == "logs" and self.logs.takes(call.operation):
            return self.logs.answer(call.operation, environ)(environ, start_response)
        try:
            if group := self.logs.group_asked_for(call):
                answer = Response.from_app(self._application, environ, buffered=True)
                answer.set_data(json.dumps({**json.loads(answer.get_data()), "LoggingConfig": {"LogGroup": group}}))
                return answer(environ, start_response)
            return list(self._application(environ, start_response))
        except Exception as error:  # noqa: BLE001 - a defect of moto, seen by boto3 as AWS having one
            print(f"gatehouse: moto failed with {type(error).__name__} on {call.service} {call.operation}", flush=True)
            return Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)(environ, start_response)


def _discarded(_status: str, _headers: object, _error: object = None) -> Any:
    """Take the beginning of an answer that nobody gets."""
