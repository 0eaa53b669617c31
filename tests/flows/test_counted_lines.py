"""What the dashboard counts, tried on lines that the functions wrote: what happened once is counted once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Response

from functions.vault.grant.connection import JUST_OBTAINED
from tests.cloudwatch import Metric, Metrics, count
from tests.flows.application import fresh
from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

NAMESPACE = "Gatehouse/gatehouse"
LONGER_THAN_A_TOKEN_LIVES = 3700
IN_ITS_SOFT_MARGIN = 3400
MINUTE = 1


class Counted:
    """What the metric filters count in the log of a function while something is done."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def of(self, function: str) -> dict[Any, float]:
        """Return the sums by metric, or by metric and dimensions, in the lines since this was last asked."""
        metrics = Metrics()
        count(metrics, function, self._captured.readouterr().out.splitlines(), MINUTE)
        sums = {metric: metrics.statistic(metric, "Sum", MINUTE, 1) or 0.0 for metric in metrics.values}
        assert {metric.namespace for metric in sums} <= {NAMESPACE}
        return {_short(metric): value for metric, value in sums.items()}


def _short(metric: Metric) -> Any:
    return (metric.name, *(value for _, value in sorted(metric.dimensions))) if metric.dimensions else metric.name


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Counted:
    """Count along with what the functions log."""
    return Counted(capsys)


@dataclass(frozen=True)
class Account:
    """A connected account at a server that answers as scripted."""

    server: Scripted
    provider: str
    connection_id: str


@pytest.fixture
def account(application: Application, browser: Browser, scripted: Scripted) -> Account:
    """Connect an account."""
    scripted.answers["/token"] = TOKENS
    provider = application.register(scripted.registration)
    started, _ = connect(application, browser, provider, connection_id=fresh())
    return Account(scripted, provider, str(started["connection_id"]))


def test_a_customer_who_connects_is_one_status_change(
    application: Application, browser: Browser, account: Account, counted: Counted
) -> None:
    """However often the page is loaded again."""
    counted.of("callback")

    _, page = connect(application, browser, account.provider, connection_id=fresh())
    browser.open(page.url)

    assert counted.of("callback") == {("StatusChanges", "active"): 1}


def test_vends_are_counted_and_refreshes_apart(
    stack: Stack, application: Application, account: Account, counted: Counted
) -> None:
    """A refresh that a caller needs is both; one from the queue vends nothing."""
    counted.of("token")
    application.call("token", connection_id=account.connection_id)
    assert counted.of("token") == {"Vends": 1}

    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    application.call("token", connection_id=account.connection_id)
    assert counted.of("token") == {"Vends": 1, "Refreshes": 1}

    stack.clock.advance(JUST_OBTAINED)
    application.call("refresh", connection_id=account.connection_id)
    assert counted.of("refresh") == {"Vends": 1, "Refreshes": 1}

    stack.clock.advance(JUST_OBTAINED)
    body = json.dumps({"connection_id": account.connection_id, "version": 3, "provider": "any"})
    application.invoke("refresh", {"Records": [{"eventSource": "aws:sqs", "messageId": "m-1", "body": body}]})
    assert counted.of("refresh") == {"Refreshes": 1}


def test_a_refresh_that_fails_is_counted_although_its_caller_gets_a_token(
    stack: Stack, application: Application, account: Account, counted: Counted
) -> None:
    """The old token is still good: nobody but the log says that the provider is failing."""
    # given
    account.server.answers["/token"] = Response("", 503)
    stack.clock.advance(IN_ITS_SOFT_MARGIN)
    counted.of("token")

    # when
    answers = [application.call("token", connection_id=account.connection_id) for _ in range(3)]

    # then
    assert all("access_token" in answer for answer in answers)
    assert counted.of("token") == {"Vends": 3, ("Failures", "provider_unavailable", account.provider): 1}


def test_a_grant_that_ends_is_counted_once(
    stack: Stack, application: Application, account: Account, counted: Counted
) -> None:
    """By what became of the connection, and by its provider."""
    # given
    account.server.answers["/token"] = Response('{"error": "invalid_grant"}', 400, content_type="application/json")
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    counted.of("token")

    # when
    for _ in range(3):
        application.call("token", connection_id=account.connection_id)

    # then
    assert counted.of("token") == {
        "GrantsEnded": 1,
        ("StatusChanges", "reauthorization_required"): 1,
        ("Failures", "reauthorization_required", account.provider): 1,
    }


def test_a_cold_start_is_counted_from_lambdas_own_line() -> None:
    """In the form that AWS documents for logs of JSON. Only the first call of an environment has the duration."""
    metrics = Metrics()
    measured = {"durationMs": 2.1, "billedDurationMs": 3, "memorySizeMB": 512, "maxMemoryUsedMB": 90}
    lines = [
        json.dumps({"time": "2026-11-29T10:00:00.000Z", "type": "platform.report", "record": {"metrics": each}})
        for each in (measured | {"initDurationMs": 420.5}, measured, measured | {"restoreDurationMs": 210.0})
    ]

    count(metrics, "token", lines, MINUTE)

    assert metrics.values == {Metric(NAMESPACE, "ColdStarts"): {MINUTE: [1.0, 1.0]}}
