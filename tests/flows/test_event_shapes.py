"""Whoever may invoke a function may send it anything, also what looks like an event of AWS's and is none."""

from __future__ import annotations

import copy
import importlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.breadth import EVERY_ONE
from tests.flows.application import Context, fresh, with_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack

    Answer = Callable[[Any], Any]
    Path = tuple[str | int, ...]

QUEUED = ("events", "refresh", "rescue", "revoke")
BROWSERS = ("authorize", "callback")
FUNCTIONS = (
    *(*QUEUED, *BROWSERS, "confirm", "connections", "export", "import_connection", "reseal"),
    *("start", "sweep", "token"),
)

MESSAGE = {
    "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "body": '{"connection_id": "nobody", "version": 1}',
    "attributes": {"ApproximateReceiveCount": "1"},
    "eventSource": "aws:sqs",
}
BATCH = {"Records": [MESSAGE]}
HTTP = {
    "version": "2.0",
    "routeKey": "POST /callback/{provider}",
    "rawPath": "/callback/demo",
    "rawQueryString": "state=x",
    "cookies": ["gatehouse-x=y"],
    "headers": {"content-type": "application/x-www-form-urlencoded", "host": "gatehouse.example.com"},
    "queryStringParameters": {"state": "x"},
    "pathParameters": {"provider": "demo", "ticket": "x"},
    "requestContext": {"accountId": "123456789012", "http": {"method": "POST", "path": "/callback/demo"}},
    "body": "state=x",
    "isBase64Encoded": False,
}
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2025-11-23T19:12:04Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/gatehouse-sweep"],
    "detail": {},
}
ODD: tuple[Any, ...] = (None, True, 0, 1.5, "", "x", "\ud800", "é", [], [None], ["x"], {}, {"x": None}, {"x": "y"})
ABSENT = object()


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Give the way to each value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from paths(each, (*path, key))


def changed(event: Any) -> Iterator[tuple[str, Any]]:
    """Give the event with one value at a time in place of another, or left out; and each with where that was."""
    for *way, last in paths(event):
        for odd in (*ODD, ABSENT):
            made = copy.deepcopy(event)
            holder = made
            for key in way:
                holder = holder[key]
            if odd is ABSENT:
                del holder[last]
            else:
                holder[last] = odd
            yield f"{'.'.join(map(str, (*way, last)))}: {'absent' if odd is ABSENT else odd!r}", made


def shapes(function: str, event: Any) -> list[tuple[str, Any]]:
    """Return every such event in `make fuzz`, and otherwise a quarter of them, another one for the next function."""
    every = list(changed(event))
    return every if EVERY_ONE else every[FUNCTIONS.index(function) % 4 :: 4]


@pytest.fixture(scope="module")
def functions(stack: Stack) -> dict[str, Answer]:
    """Give the handlers, at work on the stack's tables, called by the alias `live`."""
    return handlers(stack, "live")


@pytest.fixture(scope="module")
def by_http(stack: Stack) -> dict[str, Answer]:
    """Give the handlers, called by the API's alias."""
    return handlers(stack, "http")


def handlers(stack: Stack, alias: str) -> dict[str, Answer]:
    """Return what calls each function by an alias."""
    found = {name: importlib.import_module(f"functions.{name}").handler for name in FUNCTIONS}
    return {name: called(with_services(stack, handler), alias) for name, handler in found.items()}


def called(function: Callable[[Any, Context], Any], alias: str) -> Answer:
    """Return what calls a function with an event."""
    return lambda event: function(event, Context(alias=alias))


def is_answer(answer: Any) -> bool:
    """Return whether a function has answered by its contract: a result, a failure, a response, or what comes again."""
    return isinstance(answer, dict) and json.dumps(answer) != "" and "server_error" not in str(answer)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("event", [BATCH, HTTP], ids=["batch", "http"])
def test_nothing_that_looks_like_an_event_of_aws_is_a_defect(
    functions: dict[str, Answer],
    by_http: dict[str, Answer],
    capsys: pytest.CaptureFixture[str],
    function: str,
    event: dict[str, Any],
) -> None:
    """Every shape next to AWS's own is answered by the contract: nothing raises, and no line of the log is an alarm."""
    if event is HTTP and function == "authorize":
        # It answers GET alone, and looks at nothing of another request.
        event = HTTP | {"requestContext": {"http": {"method": "GET", "path": "/authorize/x"}}}
    for where, shape in shapes(function, event):
        assert is_answer(functions[function](shape)), where
        assert is_answer(by_http[function](shape)), where
        out = capsys.readouterr().out
        assert not [line for line in out.splitlines() if json.loads(line)["level"] == "ERROR"], (where, out)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "records",
    [
        [{"eventSource": "aws:sqs"}],
        [{"eventSource": "aws:sqs", "messageId": "m-1"}],
        [{"eventSource": "aws:sqs", "body": "{}"}],
        [{"eventSource": "aws:sqs", "messageId": 1, "body": "{}"}],
        [{"eventSource": "aws:sqs", "messageId": "m-1", "body": {"connection_id": "x", "version": 1}}],
        [MESSAGE, {"eventSource": "aws:sqs"}],
        [MESSAGE, MESSAGE | {"eventSource": "aws:s3"}],
        [MESSAGE, None],
        {"0": MESSAGE},
        "aws:sqs",
    ],
    ids=json.dumps,
)
def test_what_only_looks_like_a_batch_is_refused_by_name(
    functions: dict[str, Answer], function: str, records: Any
) -> None:
    """To any function it is a request with a field that none has; browsers' functions say where they are called."""
    # when
    answer = functions[function]({"Records": records})

    # then
    assert answer["error"] == "invalid_request"
    assert ("Records: unknown field" in answer["error_description"]) is (function not in BROWSERS)


@pytest.mark.parametrize("function", QUEUED)
def test_a_batch_with_anything_beside_it_is_none(functions: dict[str, Answer], function: str) -> None:
    """SQS sends `Records` alone: who adds a field means a request, and the answer says what it may hold."""
    # when
    answer = functions[function](BATCH | {"connection_id": "nobody"})

    # then
    assert answer["error"] == "invalid_request"
    assert "Records: unknown field" in answer["error_description"]


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name not in BROWSERS])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("requestContext", "x"),
        ("requestContext", {"http": []}),
        ("requestContext", {"http": {"method": 7}}),
        ("body", {"connection_id": "nobody"}),
        ("body", 7),
        ("isBase64Encoded", "false"),
        ("headers", []),
        ("headers", {"content-type": None}),
        ("cookies", "a=b"),
        ("cookies", [7]),
        ("pathParameters", "ticket"),
        ("pathParameters", {"ticket": 7}),
        ("rawQueryString", {}),
        ("rawQueryString", "\ud800"),
    ],
)
def test_what_only_looks_like_http_is_refused_by_name(
    functions: dict[str, Answer], by_http: dict[str, Answer], function: str, field: str, value: Any
) -> None:
    """To an Invoke it is a request with fields that no function has, and by the API's alias it is refused, too."""
    # when
    answer = functions[function](HTTP | {field: value})
    response = by_http[function](HTTP | {field: value})

    # then
    assert answer["error"] == "invalid_request"
    assert f"{field}: unknown field" in answer["error_description"]
    assert response["statusCode"] == 400
    assert "alias http" in response["body"]


@pytest.mark.parametrize("function", BROWSERS)
def test_a_request_that_lacks_what_it_may_lack_gets_a_page(by_http: dict[str, Answer], function: str) -> None:
    """Without path parameters, cookies, method or query there is nothing to open or to complete, and a page says so."""
    # when
    answers = [
        by_http[function](event)
        for event in (
            {"version": "2.0", "requestContext": {}},
            HTTP | dict.fromkeys(("cookies", "headers", "pathParameters", "body", "rawQueryString")),
        )
    ]

    # then
    assert [answer["statusCode"] for answer in answers] == [405, 405 if function == "authorize" else 303]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_event_of_the_api_that_somebody_else_sends_is_refused(functions: dict[str, Answer], function: str) -> None:
    """Whoever may invoke a function could otherwise write the caller's name and path themselves."""
    # given
    forged = HTTP | {
        "routeKey": f"POST /v1/{function}",
        "rawPath": f"/v1/{function}",
        "pathParameters": {},
        "requestContext": {"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/somebody-else"}}},
        "body": '{"connection_id": "nobody"}',
    }

    # when
    answer = functions[function](forged)

    # then
    assert answer["error"] == "invalid_request"
    assert ("requestContext: unknown field" in answer["error_description"]) is (function not in BROWSERS)


@pytest.mark.parametrize("function", QUEUED)
@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "7", '"x"', "{}", "[" * 100_000, "1" * 5000, '{"x": "\\ud800"}']
)
def test_a_malformed_message_goes_back_without_an_alarm_of_its_own(
    functions: dict[str, Answer], capsys: pytest.CaptureFixture[str], function: str, body: str
) -> None:
    """It ends with the dead letters, whose alarm it is; it is no defect of ours."""
    # when
    answer = functions[function]({"Records": [MESSAGE | {"body": body}]})

    # then
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answer == {"batchItemFailures": [{"itemIdentifier": MESSAGE["messageId"]}]}
    assert (line["level"], line["outcome"]) == ("INFO", "invalid_request")


def test_the_sweep_takes_what_a_schedule_sends(functions: dict[str, Answer]) -> None:
    """The template's own input, and the event that EventBridge sends if a rule has none; nothing else."""
    # when
    answers = [functions["sweep"](event) for event in ({}, SCHEDULED)]
    refused = functions["sweep"]({"provider": fresh()})

    # then
    assert [answer.keys() for answer in answers] == [answers[0].keys()] * 2
    assert "error" not in answers[0]
    assert "provider: unknown field" in refused["error_description"]
