"""The handlers: batches of a queue, defects that reveal nothing, and logs that hold no secret at any level."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions import rescue, revoke, start
from functions.vault.base import fields
from functions.vault.base.errors import (
    InvalidRequest,
    ProviderError,
    ProviderMisconfigured,
    ServerError,
    TemporarilyUnavailable,
)
from functions.vault.base.fields import Fields
from functions.vault.base.noted import note
from functions.vault.services import Services
from functions.vault.settings import SettingMissing
from functions.web.events import is_queue
from functions.web.handlers import BrowserHandler, InvokeHandler
from functions.web.log import NOT_NAMED
from functions.web.responses import Reply
from tests.unit.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from functions.vault.base.errors import GatehouseError
    from functions.vault.storage.aws import ClientOf
    from functions.web.handlers import Handler

SECRET = "hunter2-and-more"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:gatehouse-test"
USER = "arn:aws:iam::1:user/jane"
FIELDS = Fields(required={"connection_id": fields.connection_id})
VISIT = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}}
"""A browser's request."""

WITHOUT_SETTINGS = Services({}, clock=lambda: NOW)
"""Services without any settings: each one that is needed is reported missing, by name."""


@dataclass
class Context:
    """The context object of an invocation."""

    aws_request_id: str = "invocation-1"
    function_name: str = "gatehouse-test"
    invoked_function_arn: str = f"{ARN}:live"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return the usual time."""
        return 29_000


def call(handler: Handler, event: Any, arn: str = f"{ARN}:live") -> Any:
    """Invoke a function by a name of it."""
    context: Any = Context(invoked_function_arn=arn)
    return handler.with_services(WITHOUT_SETTINGS)(event, context)


def open_page(handler: Handler) -> Any:
    """Call a function as the HTTP API does for a browser."""
    return call(handler, VISIT, f"{ARN}:http")


def signed(path: str, **more: Any) -> dict[str, Any]:
    """Return the HTTP API's event of a signed call of the function `test`, by a path without parameters."""
    return {
        "version": "2.0",
        "routeKey": f"POST {path}",
        "rawPath": path,
        "requestContext": {"requestId": "api-1", "authorizer": {"iam": {"userArn": USER, "accountId": "1"}}},
        **more,
    }


def batch(*bodies: Any) -> dict[str, Any]:
    """Return a batch of messages, numbered from 1. A body that is not a string is written as JSON."""
    return {
        "Records": [
            {
                "messageId": str(number),
                "eventSource": "aws:sqs",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for number, body in enumerate(bodies, 1)
        ]
    }


def to_repeat(*numbers: int) -> dict[str, Any]:
    """Return the answer that makes SQS deliver these messages again."""
    return {"batchItemFailures": [{"itemIdentifier": str(number)} for number in numbers]}


class Worker:
    """What a function does with messages: those that it received, and an outcome for each."""

    def __init__(self, outcomes: dict[str, Any] | None = None) -> None:
        self.received: list[str] = []
        self._outcomes = outcomes or {}

    def handler(self) -> InvokeHandler:
        """Return a function that passes its messages here."""
        return InvokeHandler(
            "test", lambda _services: FIELDS, lambda _services, request, _deadline: request, self._consume
        )

    def _consume(self, _services: Services, message: dict[str, Any], _deadline: Any) -> GatehouseError | None:
        self.received.append(message["connection_id"])
        outcome = self._outcomes.get(message["connection_id"])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome() if outcome else None


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return the lines that were logged since the last call, with all fields."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


MESSAGES = [{"connection_id": name} for name in ("a", "b", "c")]


# Queues


def test_a_batch_is_processed_in_order() -> None:
    """No message comes again."""
    worker = Worker()

    assert call(worker.handler(), batch(*MESSAGES)) == to_repeat()

    assert worker.received == ["a", "b", "c"]


@pytest.mark.parametrize("failure", [TemporarilyUnavailable("AWS is down."), RuntimeError(SECRET), KeyError(SECRET)])
def test_a_failed_message_comes_again_with_all_that_follow(failure: Exception) -> None:
    """In a FIFO queue nothing may overtake it. The messages before it are done, and do not come again."""
    worker = Worker({"b": failure})

    assert call(worker.handler(), batch(*MESSAGES)) == to_repeat(2, 3)

    assert worker.received == ["a", "b"]


def test_what_is_noted_of_a_message_is_in_its_own_line_alone(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A grant that ended is counted for its own connection, and not again for those that come after it in the batch."""
    worker = Worker({"b": lambda: note(status="reauthorization_required", failure=None)})

    call(worker.handler(), batch(*MESSAGES))

    logged = lines()
    assert [line.get("status") for line in logged] == [None, "reauthorization_required", None]
    assert not any("failure" in line for line in logged)


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "{}", '{"connection_id":7}'])
def test_a_malformed_message_comes_again_until_it_is_a_dead_letter(body: str) -> None:
    """It does not count as done. The messages before it in the batch do."""
    got: list[str] = []

    def strict(_services: Services, message: dict[str, Any], _deadline: Any) -> None:
        got.append(FIELDS.read(message)["connection_id"])

    handler = InvokeHandler("test", lambda _services: FIELDS, lambda _services, request, _deadline: request, strict)

    assert call(handler, batch(MESSAGES[0], body)) == to_repeat(2)

    assert got == ["a"]


def test_a_failure_that_the_record_accounts_for_does_not_come_again(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """The record says when to try next. The failure is only logged, for the alarms."""
    about_b = TemporarilyUnavailable("Down.", connection_id="b")
    worker = Worker({"b": lambda: about_b})

    assert call(worker.handler(), batch(*MESSAGES)) == to_repeat()

    assert worker.received == ["a", "b", "c"]
    assert [line["outcome"] for line in lines()] == ["ok", "temporarily_unavailable", "ok"]


def test_an_empty_batch_is_done() -> None:
    """SQS never sends one, but it would not be a defect."""
    assert call(Worker().handler(), {"Records": []}) == to_repeat()


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:s3", "messageId": "1", "body": "{}"}]},
        {"Records": [{"messageId": "1", "body": "{}"}]},
        {"Records": "all"},
        {"Records": None},
        {"records": []},
        [],
        None,
    ],
)
def test_anything_but_a_batch_is_a_request(event: Any) -> None:
    """It is refused as a request: nothing that only resembles a batch reaches the code for queues."""
    worker = Worker()

    assert not is_queue(event)
    assert call(worker.handler(), event)["error"] == "invalid_request"

    assert worker.received == []


def test_a_function_without_a_queue_accepts_no_batch() -> None:
    """For `start`, a batch is a request with an unknown field."""
    answered = call(start.handler, batch(*MESSAGES))

    assert answered["error"] == "invalid_request"
    assert "Records: unknown field" in answered["error_description"]


def test_the_log_of_a_batch_names_connections_and_no_bodies(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """It has one line for each message, and nothing of the body except the connection."""
    worker = Worker({"b": RuntimeError(SECRET)})

    call(worker.handler(), batch(*[message | {"sealed": SECRET} for message in MESSAGES]))

    logged = lines()
    assert [(line["message"], line["outcome"]) for line in logged] == [("test", "ok"), ("test", "server_error")]
    assert logged[0]["connection_id"] == "a"
    assert SECRET not in str(logged)


@pytest.mark.parametrize("function", [rescue.handler, revoke.handler])
def test_a_queue_keeps_its_messages_if_its_function_lacks_a_setting(
    function: Handler, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """The log names the setting."""
    assert call(function, batch(*MESSAGES)) == to_repeat(1, 2, 3)

    assert "is not set" in lines()[0]["setting"]


# Defects


def test_a_defect_is_raised_without_its_text(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Its text may repeat the input that caused it. The log has its type and place, and the caller a reference."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    handler = InvokeHandler("test", lambda _services: FIELDS, defective)

    with pytest.raises(ServerError, match="under request invocation-1") as caught:
        call(handler, {"connection_id": "a"})

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    (line,) = lines()
    assert (line["outcome"], line["type"], SECRET in str(line)) == ("server_error", "RuntimeError", False)
    assert any("defective" in frame for frame in line["at"])


def test_a_defect_by_http_is_answered() -> None:
    """With status 500, and the same text."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    handler = InvokeHandler("test", lambda _services: FIELDS, defective)
    event = signed("/v1/test", body='{"connection_id":"a"}')

    answered = call(handler, event, f"{ARN}:http")

    assert (answered["statusCode"], SECRET in str(answered)) == (500, False)
    assert json.loads(answered["body"])["error"] == "server_error"


def test_a_person_gets_a_page_for_a_defect() -> None:
    """The page has a reference and no details."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    answered = open_page(BrowserHandler("test", defective))

    assert answered["statusCode"] == 500
    assert "invocation-1" in answered["body"]
    assert SECRET not in str(answered)


def test_a_bad_look_of_the_pages_is_refused_before_anything_is_done(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """The person gets a plain page, and the log says which variable it is. What it holds is shown nowhere."""
    called: list[Any] = []

    def use(*arguments: Any) -> Reply:
        called.append(arguments)
        return Reply("refused", 400)

    handler = BrowserHandler("test", use)
    misspelled = Services({"GATEHOUSE_COLOR": "red;}", "GATEHOUSE_APPLICATION_NAME": "Acme"}, clock=lambda: NOW)

    answered = handler.with_services(misspelled)(VISIT, cast("Any", Context(invoked_function_arn=f"{ARN}:http")))

    assert (answered["statusCode"], called, "invocation-1" in answered["body"]) == (500, [], True)
    assert lines()[0]["setting"] == "GATEHOUSE_COLOR must be empty, or a color like #0b5c4a."
    assert "red;" not in str(answered)


def test_a_page_of_a_request_has_its_id_as_the_reference() -> None:
    """With it, more is found than with the id of a visit, which is there if no request is known."""
    values = {"provider": "acme", "error": "provider_unavailable"}

    answered = open_page(
        BrowserHandler("test", lambda *_arguments: Reply("failed", 502, values, reference="request-1"))
    )
    unknown = open_page(BrowserHandler("test", lambda *_arguments: Reply("failed", 502, values)))

    assert ("request-1" in answered["body"], "invocation-1" in answered["body"]) == (True, False)
    assert "invocation-1" in unknown["body"]


@pytest.mark.parametrize(
    ("headers", "chosen"),
    [
        ({"accept-language": "de-CH, en;q=0.5"}, "de"),
        ({"accept-language": "es"}, "es"),
        ({"accept-language": "fr"}, "en"),
        ({}, "en"),
        (None, "en"),
    ],
)
def test_a_page_is_in_the_language_of_the_browser(headers: Any, chosen: str) -> None:
    """Also the page of a defect. Its headers say which language it is, and that it depends on the request."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    for handler in (BrowserHandler("t", defective), BrowserHandler("t", lambda *_arguments: Reply("refused", 400))):
        page = call(handler, VISIT | {"headers": headers}, f"{ARN}:http")

        assert f'<html lang="{chosen}">' in page["body"]
        assert (page["headers"]["Content-Language"], page["headers"]["Vary"]) == (chosen, "Accept-Language")


def test_the_log_has_what_the_server_said(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """The person's page has only our own words."""
    failure = ProviderMisconfigured("It refuses us.", provider_error=ProviderError("invalid_client", "said so", 401))

    def refused(*arguments: Any) -> Reply:
        arguments[-1]["authorization_request_id"] = "request-1"
        values = {"provider": "acme", "error": "provider_misconfigured"}
        return Reply("failed", 502, values, reason=failure.code, failure=failure)

    answered = open_page(BrowserHandler("test", refused))

    (line,) = lines()
    assert (line["reason"], line["description"]) == ("provider_misconfigured", "It refuses us.")
    said = (line["provider_error"], line["provider_error_description"], line["provider_status"])
    assert (said, line["authorization_request_id"]) == (("invalid_client", "said so", 401), "request-1")
    assert [word for word in ("refuses us", "invalid_client", "said so") if word in str(answered)] == []


def test_every_line_of_a_call_has_what_is_known_about_it(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Warnings from use cases and defects have it, too. The next call starts without it."""

    def warns_and_fails(_services: Any, _event: Any, _deadline: Any, about: dict[str, Any]) -> Any:
        about["authorization_request_id"] = "request-1"
        logging.getLogger("gatehouse").warning("mind this", extra={"provider": "acme"})
        about |= {"provider": "other", "connection_id": "merchant-1"}
        raise RuntimeError

    open_page(BrowserHandler("first", warns_and_fails))
    open_page(BrowserHandler("next", lambda *_arguments: Reply("refused", 400)))

    names = ("message", "authorization_request_id", "provider", "connection_id")
    assert [tuple(line.get(name) for name in names) for line in lines()] == [
        ("mind this", "request-1", "acme", None),
        *[("first", "request-1", "other", "merchant-1")] * 2,
        ("next", None, None, None),
    ]


def test_a_function_for_browsers_refuses_an_invoke() -> None:
    """The caller gets a result, not a page."""

    def never(*_arguments: Any) -> Any:
        raise AssertionError

    assert call(BrowserHandler("test", never), {"code": "x"})["error"] == InvalidRequest.code


def test_a_missing_key_is_reported_before_anything_is_used_up() -> None:
    """A callback without a KMS key consumes no request and sends no code: its use case cannot be made."""
    services = Services(
        {
            "GATEHOUSE_BASE_URL": "https://gate.example",
            "GATEHOUSE_CONNECTIONS_TABLE": "connections",
            "GATEHOUSE_AUTHORIZATIONS_TABLE": "authorizations",
            "GATEHOUSE_KEY_ID": "",
        },
        clock=lambda: NOW,
    )

    for use_case in ("completing", "vending", "revoking", "rescuing"):
        with pytest.raises(SettingMissing, match="GATEHOUSE_KEY_ID"):
            getattr(services, use_case)


# By which alias


BY_HTTP = signed("/v1/test", body='{"connection_id":"a"}')


def echo() -> InvokeHandler:
    """Return a function that answers with its request, and has a queue."""
    return InvokeHandler(
        "test",
        lambda _services: FIELDS,
        lambda _services, request, _deadline: request,
        lambda *_arguments: None,
    )


def test_only_the_apis_alias_takes_the_apis_events() -> None:
    """By any other name a function can be called with, such an event is an Invoke with fields that nobody knows."""
    others = ["", ":live", ":1", ":$LATEST", ":HTTP", ":http2", ":https"]

    by_api = call(echo(), BY_HTTP, f"{ARN}:http")
    by_others = [call(echo(), BY_HTTP, f"{ARN}{each}") for each in others]

    assert (by_api["statusCode"], json.loads(by_api["body"])) == (200, {"connection_id": "a"})
    for answered in by_others:
        assert answered["error"] == "invalid_request"
        assert "requestContext: unknown field" in answered["error_description"]


def test_a_function_named_http_has_no_such_alias() -> None:
    """The alias is what stands behind the function's name, and a name is no alias."""
    answered = call(echo(), BY_HTTP, "arn:aws:lambda:us-east-1:000000000000:function:http")

    assert answered["error"] == "invalid_request"


@pytest.mark.parametrize(
    "event", [{"connection_id": "a"}, {}, None, [], batch(MESSAGES[0]), BY_HTTP | {"version": "1.0"}]
)
def test_the_apis_alias_takes_nothing_else(event: Any) -> None:
    """Neither the payload of an Invoke nor a batch: what comes there is an event of the API."""
    answered = call(echo(), event, f"{ARN}:http")

    assert answered["statusCode"] == 400
    assert "Invoke the alias live" in json.loads(answered["body"])["error_description"]


def test_a_line_says_who_asked(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """By HTTP it has what the AWS_IAM authorizer says; by Invoke, that AWS names nobody. Nobody calls in a queue."""
    call(echo(), BY_HTTP, f"{ARN}:http")
    call(echo(), {"connection_id": "a"})
    call(echo(), batch(MESSAGES[0]))

    names = ("principal", "principal_account", "api_request_id", "route", "request_id")
    assert [tuple(line.get(name) for name in names) for line in lines()] == [
        (USER, "1", "api-1", "POST /v1/test", "invocation-1"),
        (NOT_NAMED, None, None, None, "invocation-1"),
        (None, None, None, None, "invocation-1"),
    ]


@pytest.mark.parametrize(
    "authorizer",
    [
        *(
            None,
            {},
            "iam",
            [USER],
            {"jwt": {"userArn": USER}},
            {"lambda": {"userArn": USER}},
            {"IAM": {"userArn": USER}},
        ),
        *({"iam": None}, {"iam": []}, {"iam": {}}, {"iam": {"userArn": None}}, {"iam": {"userArn": 7}}, {"iam": USER}),
    ],
)
def test_a_call_that_nobody_signed_is_refused(authorizer: Any) -> None:
    """If the API's authorizer were lost by a change of the template, no token would be."""
    event = BY_HTTP | {"requestContext": {"authorizer": authorizer}}

    answered = call(echo(), event, f"{ARN}:http")

    assert answered["statusCode"] == 404
    assert json.loads(answered["body"])["error"] == "connection_not_found"


# Logs


@pytest.fixture
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Set the root logger to DEBUG, as Lambda's runtime does for `LogLevel: DEBUG`."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def ask_for_secrets(aws: ClientOf) -> list[str]:
    """Make AWS answer with a client secret and a data key, and return how a log could spell each of them."""
    name = f"gatehouse/providers/{uuid.uuid4().hex}"
    document = json.dumps({"client_id": "c-1", "client_secret": f'{SECRET}"/+'})
    aws("secretsmanager").create_secret(Name=name, SecretString=document)
    aws("secretsmanager").get_secret_value(SecretId=name)
    key_id = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    key = aws("kms").generate_data_key(KeyId=key_id, KeySpec="AES_256")["Plaintext"]
    return [SECRET, base64.b64encode(key).decode(), repr(key)[2:-1], key.hex()]


def shown(caplog: pytest.LogCaptureFixture) -> str:
    """Return everything that was logged."""
    return "\n".join(f"{record.name} {record.getMessage()} {record.args}" for record in caplog.records)


def test_the_log_shows_no_answers_of_aws_at_any_level(
    aws: ClientOf, everything_is_logged: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, the libraries log whole answers, with client secrets and data keys. Gatehouse limits their level."""
    secrets = ask_for_secrets(aws)

    assert [secret for secret in secrets if secret in shown(everything_is_logged)] == []


def test_without_that_limit_the_log_would_show_them(
    aws: ClientOf, everything_is_logged: pytest.LogCaptureFixture
) -> None:
    """This shows that the test above looks in the right place."""
    library = logging.getLogger("botocore")
    held_at = library.level
    library.setLevel(logging.NOTSET)
    try:
        secrets = ask_for_secrets(aws)
    finally:
        library.setLevel(held_at)

    assert secrets[0] in shown(everything_is_logged)
    assert secrets[1] in shown(everything_is_logged)


@pytest.mark.parametrize("library", ["boto3", "botocore", "requests", "urllib3"])
@pytest.mark.parametrize("module", ["", ".parsers", ".endpoint", ".connectionpool"])
def test_libraries_log_warnings_and_no_more(
    everything_is_logged: pytest.LogCaptureFixture, library: str, module: str
) -> None:
    """That holds for every part of them."""
    logging.getLogger(library + module).debug("Response body: %s", SECRET)
    logging.getLogger(library + module).info(SECRET)
    logging.getLogger(library + module).warning("a warning")

    assert [record.getMessage() for record in everything_is_logged.records] == ["a warning"]
