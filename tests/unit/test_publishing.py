"""What is published of a batch of writes, and what has to wait, with a bus and a queue that answer as a test has it."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.timing import Deadline, Timing
from functions.vault.storage.bus import AT_ONCE, LARGEST_REQUEST, Bus
from functions.vault.storage.queues import Queue
from functions.vault.usecases.publishing import WAITS_FOR_BUS, Publishing
from tests.unit.samples import NOW, connection
from tests.unit.services import aws_error
from tests.unit.test_announced import image_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.connection import Connection


@dataclass
class Account:
    """EventBridge and SQS. `refuse` says why an event is not taken, when it is offered for so many times already."""

    refuse: Callable[[str, int], str | None] = lambda _connection_id, _times: None
    bus_error: Exception | None = None
    queue_error: Exception | None = None
    requests: list[list[Any]] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    queued: list[Any] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    offered: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - as boto3 calls it
        """Answer as EventBridge does: for each event an id, or why it was not taken."""
        self.requests.append(Entries)
        if self.bus_error is not None:
            raise self.bus_error
        answers = []
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            code = self.refuse(detail["connection_id"], self.offered[detail["id"]])
            self.offered[detail["id"]] += 1
            if code is None:
                self.arrived.append(f"{detail['connection_id']} {entry['DetailType'].removeprefix('connection.')}")
            answers.append({"EventId": "made-here"} if code is None else {"ErrorCode": code, "ErrorMessage": "no"})
        return {"Entries": answers}

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - as above
        """Keep a message."""
        assert QueueUrl == "unpublished"
        if self.queue_error is not None:
            raise self.queue_error
        self.queued.append(json.loads(MessageBody))


@pytest.fixture
def account() -> Account:
    """Give an account in which everything works."""
    return Account()


def publishing(account: Account, *, now: float = NOW, refreshes: bool = False) -> Publishing:
    """Return the use case, at some time."""
    timing = Timing(lambda: now, account.slept.append, lambda: 0.25)
    return Publishing(
        Bus(lambda _service: account, "the-bus"),
        Queue(lambda _service: account, "unpublished"),
        timing,
        "stack",
        refreshes,
    )


def of(connection_id: str, *events: str) -> dict[str, Any]:
    """Return the image of a write that brings these events."""
    made: Connection = replace(
        connection(), connection_id=connection_id, events=tuple((1, event) for event in events or ("authorized",))
    )
    return image_of(made)


def publish(
    account: Account, *images: dict[str, Any], now: float = NOW, remaining: float = 60, refreshes: bool = False
) -> int:
    """Publish a batch of writes, in which nothing is a defect."""

    def on_defect(defect: Exception) -> None:
        raise AssertionError from defect

    return publishing(account, now=now, refreshes=refreshes).publish(images, Deadline(lambda: remaining), on_defect)


def test_an_event_goes_to_the_bus_of_the_stack_with_what_rules_match(account: Account) -> None:
    """Its source, its type and its time; the detail is JSON."""
    done = publish(account, of("shop-1"))

    (((entry,),), detail) = account.requests, json.loads(account.requests[0][0]["Detail"])
    assert done == 1
    assert {name: value for name, value in entry.items() if name != "Detail"} == {
        "Source": "gatehouse",
        "DetailType": "connection.authorized",
        "Time": NOW,
        "EventBusName": "the-bus",
    }
    assert (detail["connection_id"], detail["at"], detail["deployment"]) == ("shop-1", NOW, "stack")


def test_refreshes_are_published_if_they_are_asked_for(account: Account) -> None:
    """And everything else with or without."""
    publish(account, of("shop-1", "recovered", "refreshed"))
    publish(account, of("shop-2", "recovered", "refreshed"), refreshes=True)

    assert account.arrived == ["shop-1 recovered", "shop-2 recovered", "shop-2 refreshed"]


def test_events_of_one_connection_are_never_in_one_request(account: Account) -> None:
    """The bus could take the second alone. Those of others are, up to what a request takes."""
    others = [of(f"shop-{number}") for number in range(AT_ONCE + 1)]

    assert publish(account, of("same"), of("other"), of("same"), *others) == 3 + len(others)
    assert [len(each) for each in account.requests] == [2, AT_ONCE, 2]
    assert account.arrived[:3] == ["same authorized", "other authorized", "same authorized"]


def test_large_events_are_divided_into_requests_that_the_bus_takes(account: Account) -> None:
    """By what their details have in bytes, together."""
    large = [of(f"shop-{number}") for number in range(3)]
    for image in large:
        image["summary"]["M"]["tags"] = {"M": {"tier": {"S": "x" * (LARGEST_REQUEST * 2 // 5)}}}

    publish(account, *large)

    sizes = [[len(entry["Detail"]) for entry in each] for each in account.requests]
    assert [len(each) for each in sizes] == [2, 1]
    assert sum(sizes[0]) <= LARGEST_REQUEST < sum(sizes[0]) + sizes[1][0]


@pytest.mark.parametrize(("over", "requests"), [(0, [2]), (1, [1, 1])])
def test_a_request_may_have_exactly_what_the_bus_takes(account: Account, over: int, requests: list[int]) -> None:
    """Not a byte more."""
    first, second = of("shop-1"), of("shop-2")
    publish(account, first, second)
    (both,) = account.requests
    size = sum(len(entry["Detail"]) for entry in both)
    second["summary"]["M"]["scope"]["S"] += "x" * (LARGEST_REQUEST - size + over)

    account.requests.clear()
    publish(account, first, second)
    publish(account, first, first, second)

    # The second time the first goes twice: what it has in a request of its own does not count in the next.
    assert [len(each) for each in account.requests] == [*requests, 1, *requests]


def test_what_the_bus_throttles_is_offered_once_more_in_a_moment(account: Account) -> None:
    """That alone, and not what it has taken."""
    account.refuse = lambda connection_id, times: "ThrottlingException" if (connection_id, times) == ("b", 0) else None

    assert publish(account, of("a"), of("b"), of("c")) == 3
    assert account.arrived == ["a authorized", "c authorized", "b authorized"]
    assert [len(each) for each in account.requests] == [3, 1]
    assert account.slept == [pytest.approx(0.075)]


def test_what_it_throttles_again_waits_in_its_place_in_the_stream(account: Account) -> None:
    """All writes from there on come again: how many are done is said."""
    account.refuse = lambda connection_id, _times: "ThrottlingException" if connection_id == "b" else None

    assert publish(account, of("a"), of("b"), of("c")) == 1
    assert [len(each) for each in account.requests] == [3, 1]
    assert account.queued == []


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException"),
        aws_error("AccessDeniedException"),
        aws_error("ResourceNotFoundException"),
        EndpointConnectionError(endpoint_url="https://events.example"),
    ],
    ids=["throttled", "no right", "no bus", "out of reach"],
)
def test_a_bus_that_answers_nothing_is_asked_once_and_everything_waits(account: Account, error: Exception) -> None:
    """In order, in the stream. Nothing is asked for twice in vain: botocore has tried again already."""
    account.bus_error = error

    assert publish(account, of("a"), of("b")) == 0
    assert len(account.requests) == 1
    assert (account.slept, account.queued) == ([], [])


def test_what_has_waited_for_long_goes_whole_into_its_queue(account: Account) -> None:
    """And what comes after it goes on."""
    account.bus_error = aws_error("ThrottlingException")

    waits = publish(account, of("a"), now=NOW + WAITS_FOR_BUS - 1)
    goes = publish(account, of("a"), now=NOW + WAITS_FOR_BUS)

    (document,) = account.queued
    assert (waits, goes) == (0, 1)
    assert (document["detail_type"], document["at"]) == ("connection.authorized", NOW)
    assert document["detail"] == json.loads(account.requests[0][0]["Detail"])


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", "ValidationException", "ValidationError"])
def test_an_event_that_the_bus_never_takes_goes_there_at_once(account: Account, code: str) -> None:
    """It is not offered again, and the others are published."""
    account.refuse = lambda connection_id, _times: code if connection_id == "b" else None

    assert publish(account, of("a"), of("b"), of("c")) == 3
    assert account.arrived == ["a authorized", "c authorized"]
    assert [each["detail"]["connection_id"] for each in account.queued] == ["b"]
    assert len(account.requests) == 1


def test_without_a_queue_it_waits_in_the_stream(account: Account) -> None:
    """Nothing is lost because two services are out at once."""
    account.refuse = lambda connection_id, _times: "MalformedDetail" if connection_id == "b" else None
    account.queue_error = aws_error("ThrottlingException")

    assert publish(account, of("a"), of("b"), of("c")) == 1


@pytest.mark.parametrize(("remaining", "done"), [(19.9, 0), (20.0, 1)])
def test_nothing_is_begun_that_could_not_be_ended(account: Account, remaining: float, done: int) -> None:
    """A function that Lambda ends in the middle has published, and does not know it."""
    assert publish(account, of("a"), remaining=remaining) == done
    assert len(account.requests) == done


def test_with_its_time_used_up_it_says_how_far_it_came(account: Account) -> None:
    """The rest comes again."""
    left = iter([60.0, 10.0])

    done = publishing(account).publish([of("a"), of("a"), of("a")], Deadline(lambda: next(left)), lambda _defect: None)

    assert done == 1


def test_a_write_that_we_cannot_read_is_reported_and_kept_and_holds_up_no_other(account: Account) -> None:
    """What its events are made from goes into the queue, and is published once the defect is mended."""
    broken = of("b")
    whole = broken.pop("provider")
    defects: list[Exception] = []

    done = publishing(account).publish([of("a"), broken, of("c")], Deadline(lambda: 60), defects.append)

    assert done == 3
    assert account.arrived == ["a authorized", "c authorized"]
    assert [type(each) for each in defects] == [KeyError]
    ((name, image),) = account.queued[0].items()
    assert (name, image["connection_id"], "sets" in image) == ("image", {"S": "b"}, False)
    answer = publishing(account).publish_image(image | {"provider": whole})
    assert account.arrived[2:] == ["b authorized"]
    assert len(answer["published"]) == 1


def test_what_waited_is_published_one_after_the_other(account: Account) -> None:
    """If the bus refuses the second, the first is out, and both come again: the message stays in its queue."""
    account.refuse = lambda _connection_id, _times: "ThrottlingException" if len(account.requests) == 2 else None

    with pytest.raises(
        TemporarilyUnavailable, match=r"^The bus has not taken the event: ThrottlingException\. Try again\.$"
    ) as raised:
        publishing(account).publish_image(of("a", "authorized", "scope_missing"))

    assert account.arrived == ["a authorized"]
    assert raised.value.retry_after == 60


def test_what_the_bus_never_takes_is_the_fault_of_who_brings_it(account: Account) -> None:
    """And so is what is too large for it, which is not even sent."""
    account.refuse = lambda _connection_id, _times: "MalformedDetail"
    detail = {"id": "1", "connection_id": "a"}
    room = LARGEST_REQUEST - len(json.dumps(detail | {"more": ""}))

    for more, said in (
        ("", "does not take it: MalformedDetail. See .*"),
        ("x" * (room + 1), "expected at most 200000 bytes"),
    ):
        with pytest.raises(InvalidRequest, match=f"^detail: .*{said}.$"):
            publishing(account).publish_one(
                {"detail_type": "connection.revoked", "detail": detail | {"more": more}, "at": NOW}
            )
    account.refuse = lambda _connection_id, _times: None
    largest = {"detail_type": "connection.revoked", "detail": detail | {"more": "x" * room}, "at": NOW}

    assert publishing(account).publish_one(largest) == {"published": ["1"]}
    assert len(account.requests) == 2


def test_an_operator_publishes_one_and_gets_its_id(account: Account) -> None:
    """With the source that all have."""
    publish(account, of("a"))
    (entry,) = account.requests.pop()
    detail = json.loads(entry["Detail"])

    answer = publishing(account).publish_one({"detail_type": entry["DetailType"], "detail": detail, "at": NOW})

    assert answer == {"published": [detail["id"]]}
    assert account.requests == [[entry]]
