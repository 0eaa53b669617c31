"""Each alarm fires for its cause, in time, and not on an ordinary day: tried against what AWS's services count.

What is read from the functions' logs is in flows/test_alarms_on_logs.py, with lines that the functions wrote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cloudwatch import Alarm, Metric, Metrics, alarms, lambda_metric
from tests.expressions import Deployed, translated

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS = sorted(name for name, each in translated()["Resources"].items() if each["Type"] == "AWS::Lambda::Function")
IN_THE_BACKGROUND = {"SweepFunction", "RescueFunction", "ResealFunction", "ExportFunction", "EventsFunction"}
ROOM_IN_AN_EXPRESSION = 10
LONG = 6 * 60 + 30


def queue_metric(queue: str, name: str) -> Metric:
    """Return a metric of a queue of the template."""
    return Metric("AWS/SQS", name, frozenset({("QueueName", f"{queue}.QueueName")}))


@dataclass
class Message:
    """A message of a queue: the minutes in which it came and until which it is hidden."""

    came: float
    hidden_until: float = 0.0
    received: int = 0


def queue_metrics(  # noqa: PLR0913 - a small world, described in full
    queue: str,
    arrivals: list[int],
    minutes: int,
    *,
    at_once: int,
    is_done: Callable[[Message, int], bool],
    per_minute: int = 20,
) -> Metrics:
    """Return what SQS counts of a queue: ``at_once`` messages are in work, and each is done or comes again.

    A message that has been received three times and is still there is left out of the age of the oldest.
    """
    hidden_for = Deployed().properties(queue)["VisibilityTimeout"] / 60
    metrics, waiting = Metrics(), [Message(minute) for minute in arrivals]
    for minute in range(minutes):
        # What was received in vain goes to the back.
        here = sorted((each for each in waiting if each.came <= minute), key=lambda each: each.hidden_until)
        free = at_once - sum(message.hidden_until > minute for message in here)
        for message in [each for each in here if each.hidden_until <= minute][: max(0, min(free, per_minute))]:
            message.received += 1
            if is_done(message, minute):
                waiting.remove(message)
                here.remove(message)
            else:
                message.hidden_until = minute + hidden_for
        if here:
            hidden = sum(message.hidden_until > minute for message in here)
            metrics.put(queue_metric(queue, "ApproximateNumberOfMessagesVisible"), minute, len(here) - hidden)
            metrics.put(queue_metric(queue, "ApproximateNumberOfMessagesNotVisible"), minute, hidden)
            ages = [(minute - each.came) * 60 for each in here if each.received < 3]
            metrics.put(queue_metric(queue, "ApproximateAgeOfOldestMessage"), minute, max(ages, default=0))
    return metrics


@pytest.mark.parametrize("queue", ["RescueQueue", "UnpublishedQueue"])
def test_what_is_stuck_raises_an_alarm_in_time(queue: str) -> None:
    """Three answers or events that nothing takes raise it within 20 minutes, and for as long as they are there."""
    stuck = queue_metrics(queue, [0, 1, 2], LONG, at_once=2, is_done=lambda _message, _minute: False)
    alarm = alarms()[f"{queue.removesuffix('Queue')}DelayedAlarm"]

    fired = alarm.fires_within(stuck, LONG)

    assert fired is not None
    assert 10 < fired <= 20
    assert all(alarm.is_firing(stuck, minute) for minute in range(20, LONG))


def test_the_age_of_the_oldest_message_would_raise_no_alarm() -> None:
    """That is why messages are counted: after their third receipt, SQS leaves them out of the age."""
    stuck = queue_metrics("RescueQueue", [0, 1, 2], LONG, at_once=2, is_done=lambda _message, _minute: False)
    by_age = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": "RescueQueue.QueueName"}],
        "Statistic": "Maximum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 900,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }

    assert Alarm("by age", by_age).fires_within(stuck, LONG) is None


def test_a_successful_rescue_raises_no_alarm() -> None:
    """After a short outage the messages come again within three minutes, and are stored."""
    short = queue_metrics(
        "RescueQueue", [0, 1, 2, 3], LONG, at_once=2, is_done=lambda message, _minute: message.received == 2
    )

    assert alarms()["RescueDelayedAlarm"].fires_within(short, LONG) is None


@pytest.mark.parametrize("queue", ["RefreshQueue", "RevokeQueue"])
def test_a_backlog_raises_an_alarm_when_its_oldest_message_is_an_hour_old(queue: str) -> None:
    """Four come each minute, and two are done. After an hour the sweep would queue the same connection again."""
    arrivals = [minute for minute in range(LONG) for _ in range(4)]
    grows = queue_metrics(queue, arrivals, 300, at_once=2, per_minute=2, is_done=lambda _message, _minute: True)

    fired = alarms()[f"{queue.removesuffix('Queue')}DelayedAlarm"].fires_within(grows, 300)

    assert fired is not None
    assert 60 < fired < 150


@pytest.mark.parametrize("queue", ["RefreshQueue", "RevokeQueue"])
def test_a_sweep_with_much_work_is_not_a_backlog(queue: str) -> None:
    """The work of one sweep is done half an hour later."""
    burst = queue_metrics(queue, [0] * 60, LONG, at_once=2, per_minute=2, is_done=lambda _message, _minute: True)

    assert alarms()[f"{queue.removesuffix('Queue')}DelayedAlarm"].fires_within(burst, LONG) is None


@pytest.mark.parametrize(
    "queue", ["RescueDeadLetters", "RefreshDeadLetters", "RevokeDeadLetters", "UnpublishedDeadLetters"]
)
def test_a_dead_letter_keeps_its_alarm_until_it_is_gone(queue: str) -> None:
    """When SQS stops sending metrics of an idle queue, the alarm keeps its state."""
    metrics, alarm = Metrics(), alarms()[f"{queue}Alarm"]
    for minute in range(10, 370):
        metrics.put(queue_metric(queue, "ApproximateNumberOfMessagesVisible"), minute, 1)
    silent = [alarm.is_firing(metrics, minute) for minute in range(LONG)]
    for minute in range(LONG, LONG + 360):
        metrics.put(queue_metric(queue, "ApproximateNumberOfMessagesVisible"), minute, 0)

    assert silent.index(True) <= 15
    assert all(silent[15:])
    assert not alarm.is_firing(metrics, LONG + 10)


@pytest.mark.parametrize("kind", ["Errors", "Throttles"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_errors_and_throttles_of_every_function_raise_an_alarm(function: str, kind: str) -> None:
    """They do so within ten minutes if somebody waits for the function. In the background, throttles have to last."""
    metrics = Metrics()
    for minute in range(60, 120):
        metrics.put(lambda_metric(function, kind), minute)
    quiet = Metrics({lambda_metric(function, kind): {minute: [0.0] for minute in range(120)}})
    in_background = function in IN_THE_BACKGROUND

    fired = {
        name: at for name, alarm in alarms().items() if (at := alarm.fires_within(metrics, 120, begins=60)) is not None
    }
    false = [name for name, alarm in alarms().items() if name.startswith(kind) and alarm.fires_within(quiet, 120)]

    named = f"{kind}{'InBackground' if in_background else ''}Alarm"
    assert {name for name in fired if name.startswith(kind)} == {named}
    assert fired[named] <= 60 + (20 if in_background and kind == "Throttles" else 10)
    assert false == []


def test_every_export_raises_an_alarm() -> None:
    """Nobody invokes `export` on an ordinary day: it hands out grants."""
    metrics = Metrics()
    metrics.put(lambda_metric("ExportFunction", "Invocations"), 60)

    fired = alarms()["GrantsExportedAlarm"].fires_within(metrics, 120)

    assert fired is not None
    assert fired <= 65


def test_a_throttle_or_two_in_the_background_raise_no_alarm() -> None:
    """Throttled work is tried again. That is no reason to wake anybody."""
    metrics = Metrics()
    metrics.put(lambda_metric("SweepFunction", "Throttles"), 30)
    metrics.put(lambda_metric("SweepFunction", "Throttles"), 45)

    assert alarms()["ThrottlesInBackgroundAlarm"].fires_within(metrics, LONG) is None


def test_no_alarm_has_more_metrics_than_an_expression_allows() -> None:
    """CloudWatch allows ten, and later functions need room, too."""
    assert all(len(alarm.metrics) <= ROOM_IN_AN_EXPRESSION for alarm in alarms().values())
    assert all(
        len(alarm.metrics) < ROOM_IN_AN_EXPRESSION for name, alarm in alarms().items() if name.startswith("Errors")
    )


def test_every_metric_has_one_alarm() -> None:
    """Two alarms for one thing wake twice. That each metric is counted by something is in test_dashboard.py."""
    watched = Counter(metric for alarm in alarms().values() for metric in alarm.metrics)

    assert set(watched.values()) == {1}
