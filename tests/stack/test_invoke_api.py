"""The Lambda Invoke API of the stack, with functions made for the test."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from local.aws.cloudformation import Function
from local.gateway.invoke_api import PAYLOAD_LIMIT, InvokeApi
from local.gateway.invoker import Invoker

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response

ARN = "arn:aws:lambda:us-east-1:100000000001:function"
ECHO = Function("echo", f"{ARN}:echo", "echo", 10, 512, {"NAME": "value"}, {"1": "1", "live": "1"})
PLAIN = Function("plain", f"{ARN}:plain", "plain", 10, 512, {"NAME": "value"})
"""A function without a published version."""


class FakeHandler:
    """A handler around a plain function of event and context."""

    def __init__(self, use: Callable[[Any, Any], Any]) -> None:
        self._use = use

    def with_services(self, services: Any) -> Callable[[Any, Any], Any]:
        """Return the function, which needs no services."""
        assert services == {"NAME": "value"}
        return self._use


def api(use: Callable[[Any, Any], Any]) -> InvokeApi:
    """Return the API over two functions, `echo` and `plain`, that do `use`."""
    return InvokeApi(Invoker({"echo": ECHO, "plain": PLAIN}, dict, lambda _handler: FakeHandler(use)))


def post(
    target: InvokeApi,
    body: bytes = b"{}",
    name: str = "echo",
    kind: str = "RequestResponse",
    qualifier: str | None = None,
) -> Response:
    """Send one request of the invocation type ``kind`` to the API."""
    query = {} if qualifier is None else {"Qualifier": qualifier}
    headers = [("X-Amz-Invocation-Type", kind)]
    builder = EnvironBuilder(method="POST", data=body, headers=headers, query_string=query)
    return target.answer(Request(builder.get_environ()), name)


def answer_and_context(name: str, qualifier: str | None = None) -> tuple[Response, Any]:
    """Invoke by a name, and return the answer and the context that the function saw."""
    seen: list[Any] = []
    response = post(api(lambda _event, context: seen.append(context)), name=name, qualifier=qualifier)
    assert response.status_code == 200, response.get_data(as_text=True)
    (context,) = seen
    return response, context


def refusal(name: str, qualifier: str | None = None) -> tuple[int, str, str]:
    """Invoke by a name that leads nowhere, and return status, type and message of the error; no function runs."""
    seen: list[Any] = []
    response = post(api(lambda event, _context: seen.append(event)), name=name, qualifier=qualifier)
    assert seen == []
    return response.status_code, response.headers["x-amzn-ErrorType"], response.get_json()["Message"]


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
    ["other", "other:live", f"{ARN}:other", "echo:", "echo:live:live", "..", "", "echo%00"],
)
def test_unknown_function_is_not_found(name: str) -> None:
    """A name that does not exist is a ResourceNotFoundException."""
    # when
    status, kind, message = refusal(name)

    # then
    assert (status, kind) == (404, "ResourceNotFoundException")
    assert message.startswith("Function not found: ")


@pytest.mark.parametrize(
    "form", ["echo", "function:echo", "100000000001:function:echo", f"{ARN}:echo", f"{ARN}:echo".replace(":", "%3A")]
)
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("qualifier", "version"), [("live", "1"), ("1", "1"), ("$LATEST", "$LATEST")])
def test_a_version_or_an_alias_is_invoked(form: str, qualifier: str, version: str, *, beside: bool) -> None:
    """It stands behind any form of the name, or in the query; caller and function learn which version it is."""
    # when
    named, of_its_own = (form, qualifier) if beside else (f"{form}:{qualifier}", None)
    response, context = answer_and_context(named, of_its_own)

    # then
    assert response.headers["X-Amz-Executed-Version"] == version
    assert context.function_version == version
    assert context.function_name == "echo"
    assert context.invoked_function_arn == f"{ARN}:echo:{qualifier}"


@pytest.mark.parametrize("qualifier", [None, ""])
def test_without_a_qualifier_the_latest_version_is_invoked(qualifier: str | None) -> None:
    """And the ARN that the function sees has no version either: that is how it was called."""
    # when
    response, context = answer_and_context("echo", qualifier)

    # then
    assert response.headers["X-Amz-Executed-Version"] == context.function_version == "$LATEST"
    assert context.invoked_function_arn == f"{ARN}:echo"


def test_the_same_qualifier_twice_is_one() -> None:
    """In the name and beside it."""
    # when
    response, _ = answer_and_context("echo:live", "live")

    # then
    assert response.headers["X-Amz-Executed-Version"] == "1"


@pytest.mark.parametrize(
    ("name", "qualifier"),
    [("echo", "nonsense"), ("echo", "2"), ("echo", "LIVE"), ("echo", "a b"), ("plain", "live"), ("plain", "1")],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_unknown_version_or_alias_is_not_found(name: str, qualifier: str, kind: str) -> None:
    """The message has the whole ARN that was looked for; also where nothing is to run, or not yet."""
    # when
    response = post(api(lambda event, _context: event), name=name, qualifier=qualifier, kind=kind)

    # then
    assert response.status_code == 404
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
    assert response.get_json()["Message"] == f"Function not found: {ARN}:{name}:{qualifier}"


@pytest.mark.parametrize("name", ["echo:live", f"{ARN}:echo:live", "echo:nonsense", "other:live"])
def test_two_different_qualifiers_are_refused(name: str) -> None:
    """Which of them is meant nobody can tell, not even where both exist."""
    # when
    status, kind, message = refusal(name, "1")

    # then
    assert (status, kind) == (400, "InvalidParameterValueException")
    assert message == "The derived qualifier from the function name does not match the specified qualifier."


@pytest.mark.parametrize("qualifier", ["", ":live"])
def test_function_of_another_region_is_out_of_reach(qualifier: str) -> None:
    """An ARN that was copied from elsewhere is not taken for the function of that name here."""
    # when
    status, kind, message = refusal(f"arn:aws:lambda:eu-west-1:100000000001:function:echo{qualifier}")

    # then
    assert (status, kind) == (404, "ResourceNotFoundException")
    assert message == "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"


@pytest.mark.parametrize("prefix", ["arn:aws:lambda:us-east-1:999999999999:function:", "999999999999:function:"])
@pytest.mark.parametrize("name", ["echo", "other", "echo:live", "echo:nonsense"])
def test_function_of_another_account_is_refused(prefix: str, name: str) -> None:
    """Nobody learns whether that account has such a function."""
    # when
    status, kind, message = refusal(prefix + name)

    # then
    assert (status, kind) == (403, "AccessDeniedException")
    assert "lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:999999999999:function:" + name in message


def test_a_failure_tells_which_version_failed() -> None:
    """An alias is resolved for the caller of a function that raised, too."""

    # given
    def use(_event: Any, _context: Any) -> Any:
        raise KeyError("gone")

    # when
    response = post(api(use), qualifier="live")

    # then
    assert response.headers["X-Amz-Function-Error"] == "Unhandled"
    assert response.headers["X-Amz-Executed-Version"] == "1"


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
