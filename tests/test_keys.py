"""What still needs a key is named, and from when on it may be retired: not before the log and the backups let it go."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.deployed import deploy
from tools.keys import UNUSED_SINCE, main

if TYPE_CHECKING:
    from local.stack import Stack

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
NONE_LEFT = {"unopened": 0, "waiting": {"pending": 0, "revoking": 0}}


class Deployment:
    """A deployed stack with two keys, whose `reseal` answers as a test has it."""

    def __init__(self, stack: Stack) -> None:
        self.new, self.old = (boto3.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
        self.name = deploy(stack, keys=(self.new, self.old))
        self.begin_again()

    def begin_again(self) -> None:
        """Be as if nobody had asked yet, and nothing had come into the queues."""
        self.answers: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.is_sealing_with, self.deployed_at = self.new, NOW - timedelta(hours=1)
        boto3.client("kms").untag_resource(KeyId=self.old, TagKeys=[UNUSED_SINCE])
        for queue in ("RescueQueue", "RescueDeadLetters"):
            empty(deployment_queue(self, queue))

    def client_of(self, service: str) -> Any:
        """Return the client of a service: moto's, but for the function, which moto does not run."""
        return self if service == "lambda" else boto3.client(service)  # type: ignore[call-overload]

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        """Be `reseal`."""
        assert (arguments["FunctionName"], arguments["Qualifier"]) == (f"{self.name}-reseal", "live")
        self.requests.append(json.loads(arguments["Payload"]))
        return {"Payload": io.BytesIO(json.dumps(self.answers.pop(0)).encode())}

    def get_function_configuration(self, **_arguments: Any) -> dict[str, Any]:
        """Say which key a version seals under, and since when there is that version."""
        variables = {"GATEHOUSE_KEY_ID": self.is_sealing_with}
        return {
            "Environment": {"Variables": variables},
            "LastModified": f"{self.deployed_at:%Y-%m-%dT%H:%M:%S}.000+0000",
        }

    def counted(self, old: int, **more: Any) -> dict[str, Any]:
        """Return the answer after a whole pass over 100 token sets."""
        keys = {self.new: 100 - old, self.old: old} if old else {self.new: 100}
        return {"key": self.new, "connections": 100, "resealed": 0, "left": old, "keys": keys, **NONE_LEFT, **more}

    def said(self, capsys: pytest.CaptureFixture[str], *arguments: str, now: datetime = NOW) -> str:
        """Run the command, and return what it prints."""
        assert main([*arguments, "--stack", self.name], self.client_of, now) == 0
        return capsys.readouterr().out.replace(self.new, "NEW").replace(self.old, "OLD")

    @property
    def unused_since(self) -> str | None:
        """Return what the tag on the old key says."""
        tags = boto3.client("kms").list_resource_tags(KeyId=self.old)["Tags"]
        return next((each["TagValue"] for each in tags if each["TagKey"] == UNUSED_SINCE), None)


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> Deployment:
    """Give a deployed stack, one for this module."""
    return Deployment(stack)


@pytest.fixture
def deployment(deployed: Deployment) -> Deployment:
    """Give that stack, as it was deployed."""
    deployed.begin_again()
    return deployed


def test_a_key_that_seals_token_sets_is_needed(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """The report says for how many, and what they wait for; no date is given, and no tag is put on."""
    deployment.answers = [deployment.counted(7, waiting={"pending": 1, "revoking": 2}, unopened=3)]

    said = deployment.said(capsys)

    assert said.splitlines() == [
        "NEW seals: 93 token sets",
        "OLD does not seal any more",
        '    needed for 7 token sets: `make keys ARGS="reseal"` seals them again',
        "    1 of what is left wait until their account is known, or for a confirmation: minutes",
        "    2 of what is left wait until their provider confirms that they are revoked: see docs/operations.md",
        f"    3 did not open: the log of {deployment.name}-reseal says which",
    ]
    assert deployment.requests == [{"only_count": True}]
    assert deployment.unused_since is None


def test_a_key_may_be_retired_when_log_and_backups_let_it_go(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """The day is counted from when it was first seen that nothing is sealed under it, whenever it is asked again."""
    deployment.answers = [deployment.counted(0) for _ in range(3)]

    first = deployment.said(capsys)
    later = deployment.said(capsys, now=NOW + timedelta(days=50))
    at_last = deployment.said(capsys, now=NOW + timedelta(days=90))

    assert first.splitlines() == [
        "NEW seals: 100 token sets",
        "OLD does not seal any more",
        "    nothing is sealed under it since 2026-11-29",
        "    needed until 2027-01-03 to restore the table (35 days)",
        "    needed until 2027-02-27 for token responses in the log (90 days)",
        "    may be retired from 2027-02-27 on",
    ]
    assert later == first
    assert at_last.splitlines()[-2:] == ["    nothing is sealed under it since 2026-11-29", "    may be retired"]
    assert deployment.unused_since == "2026-11-29T12:00:00Z"


def test_the_days_of_a_key_that_is_used_again_begin_again(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records of a restored table, or functions that were rolled back, are under it: the earlier date is void."""
    deployment.answers = [deployment.counted(0), deployment.counted(5), deployment.counted(0)]
    deployment.said(capsys)

    again = deployment.said(capsys, now=NOW + timedelta(days=80))
    was_unused_since = deployment.unused_since
    last = deployment.said(capsys, now=NOW + timedelta(days=90))

    assert "needed for 5 token sets" in again
    assert was_unused_since is None
    assert "may be retired from 2027-05-28 on" in last


@pytest.mark.parametrize("queue", ["RescueQueue", "RescueDeadLetters"])
def test_what_waits_in_a_queue_may_be_sealed_under_the_old_key(
    deployment: Deployment, queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until the queue was empty once, the key is needed; after that, nothing in it can be of the old key."""
    url = deployment_queue(deployment, queue)
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="sealed")
    deployment.answers = [deployment.counted(0) for _ in range(3)]

    waiting = deployment.said(capsys)
    empty(url)
    when_empty = deployment.said(capsys)
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody="sealed under the new key")
    later = deployment.said(capsys)

    assert "1 token responses, which may be sealed under it" in waiting
    assert "may be retired" not in waiting
    assert "may be retired from 2027-02-27 on" in when_empty
    assert later == when_empty


def empty(url: str) -> None:
    """Take out of a queue what is in it."""
    sqs = boto3.client("sqs")
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def deployment_queue(deployment: Deployment, logical_id: str) -> str:
    """Return the URL of a queue of the stack."""
    found = boto3.client("cloudformation").describe_stack_resource(
        StackName=deployment.name, LogicalResourceId=logical_id
    )
    return found["StackResourceDetail"]["PhysicalResourceId"]


def test_a_function_that_still_seals_under_it_is_named(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its alias was moved back, or never moved on."""
    deployment.is_sealing_with = deployment.old
    deployment.answers = [deployment.counted(0)]

    said = deployment.said(capsys)

    assert f"    {deployment.name}-token still seals under it" in said
    assert "may be retired" not in said


def test_a_deployment_of_a_moment_ago_may_not_be_everywhere(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call that began before it still has the old key: the day is not counted from now."""
    deployment.deployed_at = NOW - timedelta(minutes=2)
    deployment.answers = [deployment.counted(0) for _ in range(2)]

    at_once = deployment.said(capsys)
    later = deployment.said(capsys, now=NOW + timedelta(minutes=10))

    assert at_once.splitlines()[-1] == (
        "    needed for some minutes more: calls from before the last deployment may still seal under it"
    )
    assert "may be retired from 2027-02-27 on" in later


def test_token_sets_that_do_not_say_their_key_need_every_key(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """An early release did not write it down."""
    counted = deployment.counted(0)
    deployment.answers = [counted | {"keys": {deployment.new: 98, "unknown": 2}, "left": 2}]

    said = deployment.said(capsys)

    assert "2 token sets of an early release do not say their key" in said
    assert "    needed for 2 token sets" in said


def test_resealing_goes_on_until_all_is_read(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """With the cursor of each answer, past an outage, at the pace that was asked for; then the report."""
    deployment.answers = [
        deployment.counted(60, connections=40, resealed=40, cursor="c1"),
        {"error": "temporarily_unavailable", "retryable": True, "retry_after": 0, "error_description": "Down."},
        deployment.counted(0, resealed=100),
    ]

    said = deployment.said(capsys, "reseal", "--per-second", "50")

    assert deployment.requests == [
        {"per_second": 50},
        {"per_second": 50, "cursor": "c1"},
        {"per_second": 50, "cursor": "c1"},
    ]
    assert said.splitlines()[:3] == [
        "40 connections read, 40 token sets sealed again",
        "100 connections read, 100 token sets sealed again",
        "NEW seals: 100 token sets",
    ]


def test_what_reseal_refuses_is_said(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    """A defect, or a bad request, ends the command with its text."""
    for answer in (
        {"error": "invalid_request", "error_description": "per_second: expected an integer.", "retryable": False},
        {"errorMessage": "per_second: expected an integer.", "errorType": "ServerError"},
    ):
        deployment.answers = [answer]

        assert main(["--stack", deployment.name], deployment.client_of, NOW) == 1
        assert "per_second: expected an integer." in capsys.readouterr().err
