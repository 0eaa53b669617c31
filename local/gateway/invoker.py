"""Runs the functions in this process, as Lambda would run them each in its own."""

from __future__ import annotations

import importlib
import json
import threading
import time
import traceback
import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from local.aws.marked_calls import calls_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from local.aws.cloudformation import Function

    Inside = Callable[[dict[str, Any], "Context"], Any]


class Handler(Protocol):
    """What a function's ``handler`` must be."""

    def with_services(self, services: Any) -> Inside:
        """Return the function at work in ``services``."""


@dataclass(frozen=True)
class Invocation:
    """The outcome of one invocation: ``payload`` is the JSON text of the answer or of the error.

    ``version`` is the version of the function that ran: an alias is none.
    """

    request_id: str
    version: str
    payload: str
    unhandled: bool = False


class Context:
    """The context object of one invocation. The time that remains is real time: the movable clock does not touch it."""

    def __init__(self, function: Function, request_id: str, qualifier: str | None = None) -> None:
        """``qualifier`` is what the caller named behind the function: a version or an alias."""
        self.function_name = function.name
        self.function_version = function.version(qualifier)
        # As it was called, and so without a qualifier where the caller named none.
        self.invoked_function_arn = function.arn if qualifier is None else f"{function.arn}:{qualifier}"
        self.memory_limit_in_mb = function.memory
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = "local"
        self._deadline = time.monotonic() + function.timeout

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the template's ``Timeout`` is over."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def alias_for(event: Any) -> str:
    """Return the alias that is called with such an event: the HTTP API calls `http`, and everybody else `live`."""
    return "http" if isinstance(event, dict) and "requestContext" in event else "live"


def load_handler(handler: str) -> Handler:
    """Import ``functions.NAME.handler``."""
    module, _, name = handler.rpartition(".")
    return cast("Handler", getattr(importlib.import_module(module), name))


class Invoker:
    """The functions of a deployment, each set up at its first invocation and kept, as in a warm Lambda environment.

    All versions of a function are the same code and settings here, and share what was set up.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        make_services: Callable[[Mapping[str, str]], Any],
        load: Callable[[str], Handler] = load_handler,
        source: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """``make_services`` turns a function's environment into its Services.

        What is logged inside what ``source`` returns for a function's name is that function's.
        """
        self.functions = functions
        self._make_services = make_services
        self._load = load
        self._source = source
        self._warm: dict[str, Inside] = {}
        self._lock = threading.Lock()

    def invoke(self, name: str, event: Any) -> Invocation:
        """Invoke a function with a JSON value.

        ``name`` is the function's, alone or with a version or an alias behind it: ``gatehouse-token:live``. Raises
        ``KeyError`` where there is none of that name.
        """
        plain, _, named = name.partition(":")
        function, qualifier = self.functions[plain], named or None
        version = function.version(qualifier)
        if version is None:
            raise KeyError(name)
        request_id = str(uuid.uuid4())
        try:
            inside = self._inside(function)
            with self._source(function.name):
                payload = json.dumps(inside(event, Context(function, request_id, qualifier)))
        except Exception as error:  # noqa: BLE001 - as Lambda does
            document = self._unhandled(function, request_id, error)
            return Invocation(request_id, version, json.dumps(document), unhandled=True)
        return Invocation(request_id, version, payload)

    def warm_up(self) -> None:
        """Set up every function now, so that a broken one is found at the start."""
        for function in self.functions.values():
            self._inside(function)

    def _inside(self, function: Function) -> Inside:
        with self._lock:
            if function.name not in self._warm:
                handler = self._load(function.handler)
                with calls_of(function.handler):
                    self._warm[function.name] = handler.with_services(self._make_services(function.environment))
            return self._warm[function.name]

    @staticmethod
    def _unhandled(function: Function, request_id: str, error: Exception) -> dict[str, Any]:
        """Log an exception that a function let out, and return what its caller gets of it."""
        document = {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "requestId": request_id,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
        # Lambda's runtime writes the same to the function's log.
        print(json.dumps({"level": "ERROR", "function_name": function.name, **document}), flush=True)
        return document
