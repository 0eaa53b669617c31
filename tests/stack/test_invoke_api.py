"""The Lambda Invoke API of the stack, with functions made for the test."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from local.cloudformation import Function
from local.invoke_api import PAYLOAD_LIMIT, InvokeApi
from local.invoker import Invoker

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response

ECHO = Function("echo", "arn:aws:lambda:us-east-1:100000000001:function:echo", "echo", 10, 512, {"NAME": "value"})


class FakeDoor:
    """A handler around a plain function of event and context."""

    def __init__(self, use: Callable[[Any, Any], Any]) -> None:
        self._use = use

    def inside(self, house: Any) -> Callable[[Any, Any], Any]:
        """Return the function; the house is of no use to it."""
        assert house == {"NAME": "value"}
        return self._use


def api(use: Callable[[Any, Any], Any]) -> InvokeApi:
    """Return the API over one function, `echo`, that does `use`."""
    return InvokeApi(Invoker({"echo": ECHO}, dict, lambda _handler: FakeDoor(use)))


def post(target: InvokeApi, body: bytes = b"{}", name: str = "echo", kind: str = "RequestResponse") -> Response:
    """Send one request of the invocation type ``kind`` to the API."""
    headers = [("X-Amz-Invocation-Type", kind)]
    return target.answer(Request(EnvironBuilder(method="POST", data=body, headers=headers).get_environ()), name)


def test_function_sees_its_context() -> None:
    """The context names the function and the request, and its time runs out by the template's timeout."""
    # given
    seen: list[Any] = []

    def use(event: Any, context: Any) -> Any:
        seen.append(context)
        return event

    # when
    response = post(api(use), b'{"a": [1]}')

    # then
    assert response.get_json() == {"a": [1]}
    (context,) = seen
    assert context.function_name == "echo"
    assert context.invoked_function_arn == ECHO.arn
    assert context.memory_limit_in_mb == 512
    assert context.aws_request_id == response.headers["x-amzn-RequestId"]
    assert 0 < context.get_remaining_time_in_millis() <= 10_000


@pytest.mark.parametrize(
    "name",
    ["other", "echo:1", "echo:live", "arn:aws:lambda:us-east-1:100000000001:function:other", "..", "", "echo%00"],
)
def test_unknown_function_is_not_found(name: str) -> None:
    """A name, version or alias that does not exist is a ResourceNotFoundException."""
    # when
    response = post(api(lambda event, _context: event), name=name)

    # then
    assert response.status_code == 404
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"


def test_body_that_is_not_json_is_refused() -> None:
    """Lambda parses the payload before any function sees it."""
    # when
    response = post(api(lambda event, _context: event), b"{nope")

    # then
    assert response.status_code == 400
    assert response.headers["x-amzn-ErrorType"] == "InvalidRequestContentException"


def test_payload_over_six_megabytes_is_refused() -> None:
    """The limit of a synchronous invocation holds."""
    # when
    response = post(api(lambda event, _context: event), b" " * PAYLOAD_LIMIT + b"{}")

    # then
    assert response.status_code == 413
    assert response.headers["x-amzn-ErrorType"] == "RequestTooLargeException"


def test_handler_that_raises_is_an_unhandled_function_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The caller gets Lambda's error document with a 200, and the log has it too."""

    # given
    def use(_event: Any, _context: Any) -> Any:
        raise KeyError("gone")

    # when
    response = post(api(use))

    # then
    document = response.get_json()
    assert response.status_code == 200
    assert response.headers["X-Amz-Function-Error"] == "Unhandled"
    assert (document["errorType"], document["errorMessage"]) == ("KeyError", "'gone'")
    assert document["stackTrace"]
    assert json.loads(capsys.readouterr().out)["errorType"] == "KeyError"


def test_answer_that_json_cannot_hold_is_an_unhandled_function_error() -> None:
    """A function that returns bytes fails here as it would in Lambda."""
    # when
    response = post(api(lambda _event, _context: b"bytes"))

    # then
    assert response.headers["X-Amz-Function-Error"] == "Unhandled"


def test_event_invocation_answers_first_and_runs_then() -> None:
    """The caller of an asynchronous invocation does not wait for the function."""
    # given
    may_run, ran = threading.Event(), threading.Event()

    def use(_event: Any, _context: Any) -> None:
        may_run.wait(10)
        ran.set()

    # when
    response = post(api(use), kind="Event")
    may_run.set()

    # then
    assert (response.status_code, response.get_data()) == (202, b"")
    assert ran.wait(10)


def test_dry_run_runs_nothing() -> None:
    """A dry run says that the function could be invoked, and leaves it alone."""
    # given
    seen: list[Any] = []

    # when
    response = post(api(lambda event, _context: seen.append(event)), kind="DryRun")

    # then
    assert response.status_code == 204
    assert seen == []


def test_unknown_invocation_type_is_refused() -> None:
    """Only Lambda's own three types exist."""
    # when
    response = post(api(lambda event, _context: event), kind="Later")

    # then
    assert response.status_code == 400
    assert response.headers["x-amzn-ErrorType"] == "InvalidParameterValueException"
