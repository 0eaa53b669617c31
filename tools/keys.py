"""Says what still needs each key of the tokens, and from when on it may be retired; or seals again under the new one.

    python -m tools.keys [--stack NAME]
    python -m tools.keys reseal [--per-second N] [--stack NAME]

The first reads, and puts one tag on a key that nothing is sealed under any more: since when that is so. The second
invokes `reseal` until all connections were read, and then does what the first does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tools.operating import moment, physical_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    ClientOf = Callable[[Any], Any]

UNUSED_SINCE = "gatehouse:unused-since"
"""The tag on a key that says since when nothing was sealed under it."""

BACKUP_DAYS = 35
"""Days that point-in-time recovery of the table goes back."""

ALIAS = "live"
_LONGEST_CALL = timedelta(minutes=10)
"""Longer than any function runs."""

_RESEAL = '`make keys ARGS="reseal"` seals them again'
_WAITS = {
    "pending": "wait until their account is known, or for a confirmation: minutes",
    "revoking": "wait until their provider confirms that they are revoked: see docs/operations.md",
}
_QUEUES = {"RescueQueue": "the rescue queue", "RescueDeadLetters": "its dead letters"}
_QUEUED = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
_UNKNOWN = "unknown"


class Failed(Exception):
    """`reseal` has answered with an error that another call does not mend."""


class Stack:
    """A deployed stack, as far as its keys go."""

    def __init__(self, name: str, client_of: ClientOf, now: datetime) -> None:
        self.name = name
        self._client_of = client_of
        self._now = now
        (described,) = client_of("cloudformation").describe_stacks(StackName=name)["Stacks"]
        self._outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}
        self._parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}

    def reseal(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Invoke `reseal` until a pass is whole, and give each answer. Raises `Failed`."""
        cursor: dict[str, str] = {}
        while True:
            answer = self._invoke({**request, **cursor})
            if answer.get("retryable"):
                time.sleep(answer.get("retry_after", 1))
                continue
            if "error" in answer or "errorMessage" in answer:
                raise Failed(answer.get("error_description") or answer.get("errorMessage"))
            yield answer
            if "cursor" not in answer:
                return
            cursor = {"cursor": answer["cursor"]}

    def _invoke(self, request: Mapping[str, Any]) -> dict[str, Any]:
        function = {"FunctionName": f"{self.name}-reseal", "Qualifier": ALIAS}
        called = self._client_of("lambda").invoke(**function, Payload=json.dumps(request))
        answer: dict[str, Any] = json.load(called["Payload"])
        return answer

    def report(self, counted: Mapping[str, Any]) -> Iterator[str]:
        """Give what there is to say of each key, given what a whole pass has counted."""
        seals, of_each = counted["key"], dict(counted["keys"])
        yield f"{seals} seals: {of_each.pop(seals, 0):,d} token sets"
        unknown = of_each.pop(_UNKNOWN, 0)
        if unknown:
            yield f"{unknown:,d} token sets of an early release do not say their key: {_RESEAL}"
        if other := self._outputs.get("OtherTokensKeyArn"):
            of_each.setdefault(other, 0)
        for key, number in sorted(of_each.items()):
            yield f"{key} does not seal any more"
            needed = [*self._needed_for(key, number + unknown, counted)]
            yield from (f"    {each}" for each in needed or self._until(key))

    def _needed_for(self, key: str, number: int, counted: Mapping[str, Any]) -> Iterator[str]:
        """Give what needs a key now, and nothing if nothing does.

        Once nothing was sealed under it, no token response that waits in a queue can be.
        """
        if number:
            yield f"needed for {number:,d} token sets: {_RESEAL}"
            for what, waiting in counted["waiting"].items():
                if waiting:
                    yield f"{waiting:,d} of what is left {_WAITS[what]}"
            if counted["unopened"]:
                yield f"{counted['unopened']:,d} did not open: the log of {self.name}-reseal says which"
        sealing = [each for each, (seals, _) in self._live().items() if seals == key]
        for function in sealing:
            yield f"{function} still seals under it: its alias `{ALIAS}` is on an earlier version"
        if number or sealing:
            self._forget(key)
        elif self._unused_since(key) is None:
            if max(since for _, since in self._live().values()) > self._now - _LONGEST_CALL:
                yield "needed for some minutes more: calls from before the last deployment may still seal under it"
            for queue, held in self._queued():
                yield f"{queue} has {held:,d} token responses, which may be sealed under it: see docs/operations.md"

    def _live(self) -> dict[str, tuple[str, datetime]]:
        """Return the functions that seal: under which key, and since when they are as they are."""
        found = {}
        for function in physical_ids(self._client_of("cloudformation"), self.name, "AWS::Lambda::Function"):
            live = self._client_of("lambda").get_function_configuration(FunctionName=function, Qualifier=ALIAS)
            seals = live.get("Environment", {}).get("Variables", {}).get("GATEHOUSE_KEY_ID")
            if seals:
                found[function] = seals, moment(live["LastModified"])
        return found

    def _queued(self) -> Iterator[tuple[str, int]]:
        for logical_id, said in _QUEUES.items():
            found = self._client_of("cloudformation").describe_stack_resource(
                StackName=self.name, LogicalResourceId=logical_id
            )
            url = found["StackResourceDetail"]["PhysicalResourceId"]
            counts = self._client_of("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_QUEUED))
            held = sum(int(number) for number in counts["Attributes"].values())
            if held:
                yield said, held

    def _until(self, key: str) -> Iterator[str]:
        """Give until when a key is needed that nothing is sealed under; note since when that is so."""
        since = self._unused_since(key) or self._note(key)
        of_log = int(self._parameters.get("LogRetentionDays", "90"))
        backups, log = since + timedelta(days=BACKUP_DAYS), since + timedelta(days=of_log)
        yield f"nothing is sealed under it since {since:%Y-%m-%d}"
        if self._now >= max(backups, log):
            yield "may be retired"
            return
        yield f"needed until {backups:%Y-%m-%d} to restore the table ({BACKUP_DAYS} days)"
        yield f"needed until {log:%Y-%m-%d} for token responses in the log ({of_log} days)"
        yield f"may be retired from {max(backups, log):%Y-%m-%d} on"

    def _unused_since(self, key: str) -> datetime | None:
        tags = self._client_of("kms").list_resource_tags(KeyId=key).get("Tags", [])
        return next((moment(each["TagValue"]) for each in tags if each["TagKey"] == UNUSED_SINCE), None)

    def _note(self, key: str) -> datetime:
        tag = {"TagKey": UNUSED_SINCE, "TagValue": f"{self._now:%Y-%m-%dT%H:%M:%SZ}"}
        self._client_of("kms").tag_resource(KeyId=key, Tags=[tag])
        return self._now

    def _forget(self, key: str) -> None:
        if self._unused_since(key) is not None:
            self._client_of("kms").untag_resource(KeyId=key, TagKeys=[UNUSED_SINCE])


def client_of(service: Any) -> Any:
    """Return a client that waits for as long as `reseal` may take, and makes no call twice."""
    return boto3.client(service, config=Config(read_timeout=90, retries={"total_max_attempts": 1}))


def main(arguments: list[str], clients: ClientOf = client_of, now: datetime | None = None) -> int:
    """Seal again if that is asked for, and print what there is to say of each key; return 1 if AWS did not let it."""
    parser = argparse.ArgumentParser(prog="keys", description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("report", "reseal"), default="report")
    parser.add_argument("--per-second", type=int, default=20, help="token sets sealed again in a second, at most")
    parser.add_argument("--stack", default="gatehouse", help="the name of the stack (default: gatehouse)")
    options = parser.parse_args(arguments)
    try:
        stack = Stack(options.stack, clients, now or datetime.now(UTC))
        is_reseal = options.what == "reseal"
        request = {"per_second": options.per_second} if is_reseal else {"only_count": True}
        answer: dict[str, Any] = {}
        for answer in stack.reseal(**request):
            if is_reseal:
                print(f"{answer['connections']:,d} connections read, {answer['resealed']:,d} token sets sealed again")
        for line in stack.report(answer):
            print(line)
    except (BotoCoreError, ClientError, Failed) as error:
        print(f"{options.stack}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
