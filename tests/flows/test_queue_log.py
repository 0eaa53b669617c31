"""What the log says of work from the queues: alarms read it, for nobody waits for an answer there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Response

from functions.vault.grant.connection import JUST_OBTAINED
from tests.flows.application import fresh
from tests.flows.scripted import connect

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

TOKENS = {"access_token": "at-1-of-the-scripted-server", "refresh_token": "rt-1", "expires_in": 3600}
REFUSED = Response('{"error": "invalid_client"}', 401, content_type="application/json")
OUTAGE = Response("", 503)
DONE: dict[str, Any] = {"batchItemFailures": []}


class Lines:
    """What the functions log of their outcomes, as it would reach CloudWatch."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def new(self) -> list[dict[str, Any]]:
        """Return the lines since this was last asked."""
        lines = [json.loads(line) for line in self._captured.readouterr().out.splitlines() if line.startswith("{")]
        return [{name: line.get(name) for name in ("message", "outcome", "connection_id")} for line in lines]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Read along with what the functions log."""
    return Lines(capsys)


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants at first."""
    scripted.answers["/token"] = TOKENS
    return scripted


@pytest.fixture
def connection_id(stack: Stack, application: Application, browser: Browser, scripted: Scripted) -> str:
    """Connect an account at that server, a while ago."""
    started, _ = connect(application, browser, application.register(scripted.registration), connection_id=fresh())
    stack.clock.advance(JUST_OBTAINED)
    return str(started["connection_id"])


def deliver(application: Application, function: str, connection_id: str) -> Any:
    """Hand a function one message of its queue, as Lambda does, and return what it answers."""
    body = json.dumps({"connection_id": connection_id, "version": 1})
    record = {"eventSource": "aws:sqs", "messageId": "m-1", "body": body}
    return application.invoke(function, {"Records": [record]})


@pytest.mark.parametrize(
    "said", [(TOKENS, "ok"), (REFUSED, "provider_misconfigured"), (OUTAGE, "provider_unavailable")]
)
def test_a_refresh_in_the_background_logs_how_it_ended(
    application: Application, scripted: Scripted, connection_id: str, log: Lines, said: tuple[Any, str]
) -> None:
    """The record has taken care of a failure, so that the message is done with; the line in the log names it."""
    # given
    scripted.answers["/token"], outcome = said
    log.new()

    # when
    answered = deliver(application, "refresh", connection_id)

    # then
    assert answered == DONE
    assert log.new() == [{"message": "refresh", "outcome": outcome, "connection_id": connection_id}]


@pytest.mark.parametrize("said", [({}, "ok"), (REFUSED, "provider_misconfigured"), (OUTAGE, "provider_unavailable")])
def test_a_revocation_from_the_queue_logs_how_it_ended(
    application: Application, scripted: Scripted, connection_id: str, log: Lines, said: tuple[Any, str]
) -> None:
    """A server that refuses our credentials concerns the operator, and not only the connection."""
    # given
    scripted.answers["/revoke"] = OUTAGE
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoking"
    scripted.answers["/revoke"], outcome = said
    log.new()

    # when
    answered = deliver(application, "revoke", connection_id)

    # then
    assert answered == DONE
    assert log.new() == [{"message": "revoke", "outcome": outcome, "connection_id": connection_id}]


@pytest.mark.parametrize("function", ["refresh", "revoke"])
@pytest.mark.parametrize("dots", [".", ".."])
def test_a_message_may_name_what_no_caller_may(application: Application, function: str, dots: str) -> None:
    """A connection that got such an id earlier is looked after: no message of it becomes a dead letter."""
    assert deliver(application, function, dots) == DONE
