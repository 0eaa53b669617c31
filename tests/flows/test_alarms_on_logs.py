"""Alarms that read the functions' logs, tried on lines that the functions wrote: a failure is staged, its alarm fires.

The other alarms, on what AWS's services count, are in ../test_alarms.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from functions import start, sweep
from local.demo import Faults
from local.stack import Stack
from tests.browser import invoke
from tests.cloudwatch import Metrics, alarms, count
from tests.expressions import translated
from tests.flows.application import Context, fresh, with_services
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.demo import DemoServer
    from tests.browser import Browser
    from tests.flows.application import Application

LONGER_THAN_A_TOKEN_LIVES = 3700
LONGER_THAN_A_GRANT_IS_LEFT_ALONE = 14 * 86400
HOURS = 4 * 60


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: its sweeps find all that is due."""
    with Stack() as running:
        lift_the_limit(running)
        yield running


@pytest.fixture(autouse=True)
def healthy(stack: Stack, demo: DemoServer) -> Iterator[None]:
    """Begin with nothing broken, and leave nothing broken."""
    demo.reset()
    yield
    stack.aws_faults.clear()


@pytest.fixture
def expired(stack: Stack, browser: Browser) -> str:
    """Connect a merchant whose access token has expired since."""
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    return connection_id


def fired(function: str, log: str, every: int = HOURS, begins: int = 0) -> dict[str, int]:
    """Return the alarms that fire, with the minute, if these lines are written again ``every`` so many minutes."""
    metrics = Metrics()
    for minute in range(begins, HOURS, every):
        count(metrics, function, log.splitlines(), minute)
    found = {name: alarm.fires_within(metrics, HOURS, begins=begins + 1) for name, alarm in alarms().items()}
    return {name: minute for name, minute in found.items() if minute is not None}


def test_tokens_that_the_log_alone_has_fire_an_alarm_at_once(
    stack: Stack, application: Application, expired: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the table nor the queue takes a token response."""
    # given
    stack.aws_faults.fail("dynamodb", "UpdateItem", error="AccessDeniedException", after=1)
    stack.aws_faults.fail("sqs", "SendMessage", error="AccessDeniedException")
    capsys.readouterr()

    # when
    application.call("token", connection_id=expired)

    # then
    assert fired("token", capsys.readouterr().out, begins=60).get("LastResortAlarm", HOURS) <= 62


@pytest.mark.parametrize("function", ["token", "refresh"])
def test_a_server_that_refuses_our_credentials_fires_an_alarm(
    application: Application, expired: str, demo: DemoServer, function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The connection is unharmed, and only the operator can do something about it."""
    # given
    demo.put_faults(Faults(endpoint="token", error="invalid_client"))
    capsys.readouterr()

    # when
    answer = application.call(function, connection_id=expired)

    # then
    found = fired(function, capsys.readouterr().out, begins=60)
    assert answer["error"] == "provider_misconfigured"
    assert found["OperatorFaultsAlarm"] <= 66
    assert found.keys() == {"OperatorFaultsAlarm", "SweepMissingAlarm"}


def test_a_defect_fires_an_alarm(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that the deployment forgot: the function says so at level ERROR."""
    # given
    broken = with_services(stack, start.handler, GATEHOUSE_AUTHORIZATIONS_TABLE="")
    capsys.readouterr()

    # when
    with pytest.raises(Exception, match="defect"):
        broken({"provider": "ultracart"}, Context())

    # then
    assert fired("start", capsys.readouterr().out, begins=60)["DefectsAlarm"] <= 66


def test_an_outage_of_a_server_wakes_nobody(
    application: Application, expired: str, demo: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no fault of the operator's, and passes."""
    # given
    demo.put_faults(Faults(endpoint="token", status=503))
    capsys.readouterr()

    # when
    application.call("token", connection_id=expired)

    # then
    assert fired("token", capsys.readouterr().out, begins=60).keys() == {"SweepMissingAlarm"}


def test_grants_that_end_in_numbers_fire_an_alarm(
    application: Application, expired: str, demo: DemoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A grant that ends is counted once, and not each time that somebody asks for its token afterwards."""
    # given
    usual = int(translated()["Parameters"]["EndedGrantsAnHour"]["Default"])
    demo.put_faults(Faults(endpoint="token", error="invalid_grant"))
    capsys.readouterr()

    # when
    for _ in range(usual + 5):
        application.call("token", connection_id=expired)

    # then
    lines = capsys.readouterr().out.splitlines()
    alarm, (metric,) = alarms()["GrantsEndedAlarm"], alarms()["GrantsEndedAlarm"].metrics
    one = Metrics()
    count(one, "token", lines, 60)
    assert one.statistic(metric, "Sum", 0, HOURS) == 1
    assert alarm.fires_within(one, HOURS) is None
    count(one, "token", lines * (usual - 1), 70)
    assert alarm.fires_within(one, HOURS) is None
    count(one, "refresh", lines, 80)
    assert alarm.fires_within(one, HOURS) == 81


@pytest.mark.parametrize(("status", "kind", "fires"), [(503, "INTEGRATION_FAILURE", True), (503, "-", False)])
def test_errors_of_the_api_itself_fire_an_alarm(status: int, kind: str, *, fires: bool) -> None:
    """It could not call a function. An answer 503 of a function's own, for a provider that is down, wakes nobody."""
    (stage,) = (each for each in translated()["Resources"].values() if each["Type"] == "AWS::ApiGatewayV2::Stage")
    known = {"status": str(status), "error.responseType": kind}

    line = re.sub(
        r"\$context\.([\w.]+)",
        lambda match: known.get(match[1], "-"),
        stage["Properties"]["AccessLogSettings"]["Format"],
    )

    assert ("ApiErrorsAlarm" in fired("access", line, begins=60)) is fires


def test_sweeps_that_do_not_come_fire_an_alarm_within_the_hour(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """The schedule is switched off for a while, and forgotten."""
    # given
    capsys.readouterr()
    stack.background.run_schedules()
    line = capsys.readouterr().out

    # when
    metrics = Metrics()
    for minute in range(0, 120, 5):
        count(metrics, "sweep", line.splitlines(), minute)
    alarm = alarms()["SweepMissingAlarm"]

    # then
    assert alarm.fires_within(metrics, 60, begins=60) is None
    found = alarm.fires_within(metrics, HOURS, begins=120)
    assert found is not None
    assert 150 < found <= 180


def test_sweeps_that_fail_are_as_good_as_none(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """They come, and the table is out of reach: only a sweep that ended well is a heartbeat."""
    # given
    stack.aws_faults.fail("dynamodb", "Query", error="ProvisionedThroughputExceededException")
    capsys.readouterr()

    # when
    answer = stack.invoke("sweep", {})

    # then
    found = fired("sweep", capsys.readouterr().out, every=5, begins=60)
    assert (answer or {}).get("error", "server_error") in {"temporarily_unavailable", "server_error"}
    assert found["SweepMissingAlarm"] <= 120


@pytest.mark.parametrize("every", [1, 5, 30])
def test_a_healthy_schedule_wakes_nobody(stack: Stack, capsys: pytest.CaptureFixture[str], every: int) -> None:
    """Each rate that the template takes is often enough."""
    # given
    capsys.readouterr()

    # when
    stack.background.run_schedules()

    # then
    line = capsys.readouterr().out
    metrics = Metrics()
    for minute in range(0, HOURS, every):
        count(metrics, "sweep", line.splitlines(), minute)
    assert {name for name, alarm in alarms().items() if alarm.fires_within(metrics, HOURS - 60, begins=60)} == set()


def test_sweeps_that_do_not_keep_up_fire_an_alarm(
    stack: Stack, browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each runs out of time before all that is due is queued; one of them is nothing to wake anybody for."""
    # given
    browser.connect(connection_id=fresh())
    stack.clock.advance(LONGER_THAN_A_GRANT_IS_LEFT_ALONE)
    capsys.readouterr()

    # when
    answer = with_services(stack, sweep.handler)({}, Context(remaining_seconds=5))

    # then
    line = capsys.readouterr().out
    assert answer["complete"] is False
    assert 60 < fired("sweep", line, every=5, begins=60)["SweepBehindAlarm"] <= 130
    once = fired("sweep", line, begins=60)
    assert "SweepBehindAlarm" not in once


def test_a_sweep_says_how_much_it_has_queued(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a sweep has what its caller would get: nobody reads the answer."""
    capsys.readouterr()

    answer: Any = invoke(stack, "sweep", {})

    assert f'"queued":{answer["queued"]},"complete":true' in capsys.readouterr().out
