"""The edge: batches of a queue, defects that tell nothing, and logs that hold no secret at any level."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from functions.vault.services import Services
from functions.vault.settings import SettingMissing
from functions.web.events import is_queue
from functions.web.handlers import BrowserHandler, InvokeHandler
from functions.web.responses import Reply
from tests.unit.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from functions.vault.base.errors import GatehouseError
    from functions.vault.storage.aws import ClientOf
    from functions.web.handlers import Handler

SECRET = "hunter2-and-more"
FIELDS = Fields(required={"connection_id": fields.connection_id})
BARE = Services({}, clock=lambda: NOW)
"""A services without any setting: whatever is asked of it is missing by name."""


@dataclass
class Context:
    """What Lambda tells of an invocation."""

    aws_request_id: str = "invocation-1"
    function_name: str = "gatehouse-test"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Leave the usual time."""
        return 29_000


def call(handler: Handler, event: Any) -> Any:
    """Invoke a function."""
    context: Any = Context()
    return handler.with_services(BARE)(event, context)


def batch(*bodies: Any) -> dict[str, Any]:
    """Return a batch of messages, numbered from 1; a body that is no text is written as JSON."""
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


def again(*numbers: int) -> dict[str, Any]:
    """Return the answer that has these messages come again."""
    return {"batchItemFailures": [{"itemIdentifier": str(number)} for number in numbers]}


class Worker:
    """A function's work on messages: what it got, and what it makes of each."""

    def __init__(self, outcomes: dict[str, Any] | None = None) -> None:
        self.got: list[str] = []
        self._outcomes = outcomes or {}

    def handler(self) -> InvokeHandler:
        """Return a function that calls it for messages."""
        return InvokeHandler(
            "test", lambda _services: FIELDS, lambda _services, request, _deadline: request, self._consume
        )

    def _consume(self, _services: Services, message: dict[str, Any], _deadline: Any) -> GatehouseError | None:
        self.got.append(message["connection_id"])
        outcome = self._outcomes.get(message["connection_id"])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome() if outcome else None


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Read what the function has logged since it was last asked, with all its fields."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


MESSAGES = [{"connection_id": name} for name in ("a", "b", "c")]


# Queues


def test_a_batch_is_worked_off_in_order() -> None:
    """And nothing of it comes again."""
    worker = Worker()

    assert call(worker.handler(), batch(*MESSAGES)) == again()

    assert worker.got == ["a", "b", "c"]


@pytest.mark.parametrize("failure", [TemporarilyUnavailable("AWS is down."), RuntimeError(SECRET), KeyError(SECRET)])
def test_what_failed_comes_again_with_all_that_follows(failure: Exception) -> None:
    """In a FIFO queue nothing may overtake it; what was done before is not done twice."""
    worker = Worker({"b": failure})

    assert call(worker.handler(), batch(*MESSAGES)) == again(2, 3)

    assert worker.got == ["a", "b"]


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "{}", '{"connection_id":7}'])
def test_a_message_that_is_none_comes_again_and_ends_with_the_dead_letters(body: str) -> None:
    """It is not taken for done; what stood before it in the batch is."""
    got: list[str] = []

    def strict(_services: Services, message: dict[str, Any], _deadline: Any) -> None:
        got.append(FIELDS.read(message)["connection_id"])

    handler = InvokeHandler("test", lambda _services: FIELDS, lambda _services, request, _deadline: request, strict)

    assert call(handler, batch(MESSAGES[0], body)) == again(2)

    assert got == ["a"]


def test_a_failure_that_is_in_the_record_does_not_come_again(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """The record says when it is due; here it is only logged, for the alarms."""
    about_b = TemporarilyUnavailable("Down.", connection_id="b")
    worker = Worker({"b": lambda: about_b})

    assert call(worker.handler(), batch(*MESSAGES)) == again()

    assert worker.got == ["a", "b", "c"]
    assert [line["outcome"] for line in lines()] == ["ok", "temporarily_unavailable", "ok"]


def test_an_empty_batch_is_done() -> None:
    """SQS never sends one; it is no defect all the same."""
    assert call(Worker().handler(), {"Records": []}) == again()


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
def test_what_is_no_batch_is_a_request(event: Any) -> None:
    """And refused as one: nobody gets to the queue's side of a function by something like a batch."""
    worker = Worker()

    assert not is_queue(event)
    assert call(worker.handler(), event)["error"] == "invalid_request"

    assert worker.got == []


def test_a_function_without_a_queue_takes_no_batch() -> None:
    """To `start` a batch is a request with an unknown field."""
    answered = call(start.handler, batch(*MESSAGES))

    assert answered["error"] == "invalid_request"
    assert "Records: unknown field" in answered["error_description"]


def test_the_log_of_a_batch_names_connections_and_no_bodies(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """One line for each message; what is in it beside the connection stays there."""
    worker = Worker({"b": RuntimeError(SECRET)})

    call(worker.handler(), batch(*[message | {"sealed": SECRET} for message in MESSAGES]))

    logged = lines()
    assert [(line["message"], line["outcome"]) for line in logged] == [("test", "ok"), ("test", "server_error")]
    assert logged[0]["connection_id"] == "a"
    assert SECRET not in str(logged)


@pytest.mark.parametrize("function", [rescue.handler, revoke.handler])
def test_a_queue_whose_function_is_not_set_up_keeps_its_messages(
    function: Handler, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """The deployment's fault is named in the log."""
    assert call(function, batch(*MESSAGES)) == again(1, 2, 3)

    assert "is not set" in lines()[0]["setting"]


# Defects


def test_a_defect_is_raised_without_what_it_says(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Its text may repeat what it choked on: the caller and the log get where it was, and its type."""

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


def test_a_defect_by_http_is_an_answer() -> None:
    """Status 500, and the same words."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    handler = InvokeHandler("test", lambda _services: FIELDS, defective)
    event = {"version": "2.0", "requestContext": {}, "body": '{"connection_id":"a"}'}

    answered = call(handler, event)

    assert (answered["statusCode"], SECRET in str(answered)) == (500, False)
    assert json.loads(answered["body"])["error"] == "server_error"


def test_a_person_gets_a_page_for_a_defect() -> None:
    """With a reference, and nothing else of it."""

    def defective(*_arguments: Any) -> Any:
        raise RuntimeError(SECRET)

    answered = call(BrowserHandler("test", defective), {"version": "2.0", "requestContext": {}})

    assert answered["statusCode"] == 500
    assert "invocation-1" in answered["body"]
    assert SECRET not in str(answered)


def test_an_operator_finds_what_the_server_said_in_the_log(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """The person's page has our own words for it alone."""
    failure = ProviderMisconfigured("It refuses us.", provider_error=ProviderError("invalid_client", "said so", 401))

    def refused(*arguments: Any) -> Reply:
        arguments[-1]["authorization_request_id"] = "request-1"
        values = {"provider": "acme", "reason": "Its owner has to correct this."}
        return Reply("failed", 502, values, reason=failure.code, failure=failure)

    answered = call(BrowserHandler("test", refused), {"version": "2.0", "requestContext": {}})

    (line,) = lines()
    assert (line["reason"], line["description"]) == ("provider_misconfigured", "It refuses us.")
    said = (line["provider_error"], line["provider_error_description"], line["provider_status"])
    assert (said, line["authorization_request_id"]) == (("invalid_client", "said so", 401), "request-1")
    assert [word for word in ("refuses us", "invalid_client", "said so") if word in str(answered)] == []


def test_every_line_of_a_call_has_what_is_known_of_it_by_then(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """A warning from deep inside and a defect, too; and the next call begins with nothing."""

    def warns_and_fails(_services: Any, _event: Any, _deadline: Any, about: dict[str, Any]) -> Any:
        about["authorization_request_id"] = "request-1"
        logging.getLogger("gatehouse").warning("mind this", extra={"provider": "acme"})
        about |= {"provider": "other", "connection_id": "merchant-1"}
        raise RuntimeError

    event = {"version": "2.0", "requestContext": {}}
    call(BrowserHandler("first", warns_and_fails), event)
    call(BrowserHandler("next", lambda *_arguments: Reply("refused", 400)), event)

    names = ("message", "authorization_request_id", "provider", "connection_id")
    assert [tuple(line.get(name) for name in names) for line in lines()] == [
        ("mind this", "request-1", "acme", None),
        *[("first", "request-1", "other", "merchant-1")] * 2,
        ("next", None, None, None),
    ]


def test_a_browsers_function_answers_no_invocation() -> None:
    """The caller gets a result, not a page."""

    def never(*_arguments: Any) -> Any:
        raise AssertionError

    assert call(BrowserHandler("test", never), {"code": "x"})["error"] == InvalidRequest.code


def test_a_function_without_its_key_is_found_out_before_anything_is_used_up() -> None:
    """A callback whose KMS key is not configured takes no request and sends no code: it is not put together at all."""
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


# Logs


@pytest.fixture
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Turn the root logger up to DEBUG, as Lambda's runtime does for `LogLevel: DEBUG`."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def ask_for_secrets(aws: ClientOf) -> list[str]:
    """Have AWS answer with a client secret and a data key, and return how each of them can be spelled in a log."""
    name = f"gatehouse/providers/{uuid.uuid4().hex}"
    document = json.dumps({"client_id": "c-1", "client_secret": f'{SECRET}"/+'})
    aws("secretsmanager").create_secret(Name=name, SecretString=document)
    aws("secretsmanager").get_secret_value(SecretId=name)
    key_id = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    key = aws("kms").generate_data_key(KeyId=key_id, KeySpec="AES_256")["Plaintext"]
    return [SECRET, base64.b64encode(key).decode(), repr(key)[2:-1], key.hex()]


def shown(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that was logged."""
    return "\n".join(f"{record.name} {record.getMessage()} {record.args}" for record in caplog.records)


def test_no_level_of_the_log_shows_what_aws_answers(
    aws: ClientOf, everything_is_logged: pytest.LogCaptureFixture
) -> None:
    """The libraries write whole answers at DEBUG: client secrets and data keys among them. Here they are held back."""
    secrets = ask_for_secrets(aws)

    assert [secret for secret in secrets if secret in shown(everything_is_logged)] == []


def test_without_being_held_back_they_would_be_shown(
    aws: ClientOf, everything_is_logged: pytest.LogCaptureFixture
) -> None:
    """The test above looks at the right place: this is what it would find."""
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
def test_libraries_warn_and_say_no_more(
    everything_is_logged: pytest.LogCaptureFixture, library: str, module: str
) -> None:
    """Whichever part of them it is."""
    logging.getLogger(library + module).debug("Response body: %s", SECRET)
    logging.getLogger(library + module).info(SECRET)
    logging.getLogger(library + module).warning("a warning")

    assert [record.getMessage() for record in everything_is_logged.records] == ["a warning"]
