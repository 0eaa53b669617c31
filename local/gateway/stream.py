"""What Lambda does with a DynamoDB stream: it reads, filters, hands on in order, and goes on from what failed."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.aws.account import LAMBDA_SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.aws.cloudformation import StreamMapping
    from local.gateway.invoker import Invoker


class StreamPoller:
    """Reads one stream from its beginning. moto's streams have one shard, so there is one order for all."""

    def __init__(self, mapping: StreamMapping, invoker: Invoker) -> None:
        self.function = mapping.function
        self._mapping = mapping
        self._invoker = invoker
        self._streams = boto3.client("dynamodbstreams", config=Config(user_agent_extra=LAMBDA_SERVICE))
        self._place: str | None = None
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def is_behind(self) -> bool:
        """Whether something that was read has to come again."""
        return bool(self._waiting)

    def poll(self) -> int:
        """Hand on what is new and what has to come again, once; return how many writes were worked off."""
        with self._lock:
            self._waiting += [record for record in self._read() if self._mapping.takes(record)]
            worked = 0
            while batch := self._waiting[: self._mapping.batch_size]:
                done = self._work(batch)
                del self._waiting[:done]
                worked += done
                if done < len(batch):
                    break
            return worked

    def skip(self) -> None:
        """Leave out what is in the stream by now."""
        with self._lock:
            self._read()
            self._waiting.clear()

    def again(self) -> None:
        """Begin again, as a mapping that was made again: what was handed on comes twice."""
        with self._lock:
            self._place = None

    def _read(self) -> list[dict[str, Any]]:
        found, self._place = self._read_from(self._place or self._beginning())
        return found

    def _read_from(self, place: str) -> tuple[list[dict[str, Any]], str]:
        """Return the records from a place of the stream on, and the place after them."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self._streams.get_records(ShardIterator=place)
            place = str(answer["NextShardIterator"])
            if not answer["Records"]:
                return found, place
            found += [_as_in_lambda(record, self._mapping.stream_arn) for record in answer["Records"]]

    def records(self) -> list[dict[str, Any]]:
        """Return all that is in the stream, whatever was handed on."""
        return self._read_from(self._beginning())[0]

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record passes the filters of the mapping."""
        return self._mapping.takes(record)

    def _beginning(self) -> str:
        arn = self._mapping.stream_arn
        (shard,) = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        kind = self._mapping.starting_position
        place = self._streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind)
        return str(place["ShardIterator"])

    def _work(self, batch: list[dict[str, Any]]) -> int:
        """Hand on a batch; return how many of its writes are done: those before the first that failed."""
        invocation = self._invoker.invoke(self.function, {"Records": batch})
        if invocation.unhandled:
            return 0
        failures = (json.loads(invocation.payload) or {}).get("batchItemFailures") or []
        failed = {failure["itemIdentifier"] for failure in failures}
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        # A number that is none of the batch fails all of it, as in Lambda.
        if not failed.issubset(numbers):
            return 0
        return min((numbers.index(number) for number in failed), default=len(batch))


def _as_in_lambda(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    """Return a record of a stream as it is in an event: times as numbers, binary values in base64."""
    write = dict(record["dynamodb"])
    write["ApproximateCreationDateTime"] = write["ApproximateCreationDateTime"].timestamp()
    kept = {name: record[name] for name in ("eventID", "eventName", "eventSource", "eventVersion", "awsRegion")}
    return {**kept, "dynamodb": _without_bytes(write), "eventSourceARN": stream_arn}


def _without_bytes(value: Any) -> Any:
    match value:
        case bytes():
            return b64encode(value).decode()
        case dict():
            return {name: _without_bytes(each) for name, each in value.items()}
        case list():
            return [_without_bytes(each) for each in value]
    return value
