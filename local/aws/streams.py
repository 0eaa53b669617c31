"""Where moto's streams keep everything for ever: all images, and a place in the stream for each time that it is read.

A stack may run for days, and is read twice a second. To go when moto keeps a stream for a day, as DynamoDB does.
"""

from __future__ import annotations

from typing import Any

KEPT = 2000
"""Writes that a stream keeps."""


def mend() -> None:
    """Have moto keep the latest writes, and no further place while there is nothing new; twice does no more."""
    from moto.dynamodb.models.table import StreamShard  # noqa: PLC0415 - with moto, half of a start
    from moto.dynamodbstreams.models import DynamoDBStreamsBackend, ShardIterator  # noqa: PLC0415

    add = StreamShard.add
    if getattr(add, "keeps_the_latest", False):
        return

    def add_and_forget(shard: Any, old: Any, new: Any) -> None:
        add(shard, old, new)
        gone = len(shard.items) - KEPT
        if gone >= KEPT:
            del shard.items[:gone]
            shard.starting_sequence_number += gone

    add_and_forget.keeps_the_latest = True  # type: ignore[attr-defined]

    def get_records(backend: Any, iterator_arn: str, limit: int) -> dict[str, Any]:
        place = backend.shard_iterators[iterator_arn]
        shard = place.stream_shard
        place.sequence_number = max(int(place.sequence_number), shard.starting_sequence_number)
        records = shard.get(place.sequence_number, limit or 1000)
        if not records:
            return {"NextShardIterator": iterator_arn, "Records": []}
        del backend.shard_iterators[iterator_arn]
        last = int(records[-1]["dynamodb"]["SequenceNumber"])
        following = ShardIterator(backend, shard, "AFTER_SEQUENCE_NUMBER", last)
        backend.shard_iterators[following.arn] = following
        return {"NextShardIterator": following.arn, "Records": records}

    StreamShard.add = add_and_forget  # type: ignore[method-assign,assignment]
    DynamoDBStreamsBackend.get_records = get_records  # type: ignore[method-assign,assignment]
