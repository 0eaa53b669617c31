"""Whatever the stream of the table brings to `events`: published or kept, or it comes again, in order."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from functions.vault.grant.announced import KINDS, REFRESHED
from tests.flows.test_event_shapes import paths
from tests.properties.answers import check_log
from tests.properties.deployment import prepared as prepared_deployment
from tests.properties.effort import examples
from tests.properties.shapes import MARK, any_json
from tools import event_schemas

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

_ITEMS = prepared_deployment().account.dynamo.items["connections"]
_WORDS = [*sorted(KINDS), "authorized_unconfirmed"]
_QUEUE = "https://sqs.example/events"


def in_lambda(value: Any) -> Any:
    """Return a value of an item as it is in an event: binary values as text."""
    if isinstance(value, dict):
        return {name: in_lambda(each) for name, each in value.items()}
    if isinstance(value, list):
        return [in_lambda(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


@st.composite
def writes(draw: DrawFn) -> dict[str, Any]:
    """Give a write as the stream shows it: of a connection in any state, with events, or none, or without an image."""
    number = draw(st.integers(0, 2**40))
    write: dict[str, Any] = {"SequenceNumber": str(number), "Keys": {}}
    if draw(st.integers(0, 9)) > 0:
        image = in_lambda(_ITEMS[draw(st.sampled_from(sorted(_ITEMS)))])
        image.pop("events", None)
        if words := draw(st.lists(st.sampled_from(_WORDS), max_size=3, unique=True)):
            image["events"] = {"S": " ".join(words)}
        write["NewImage"] = image
    return {"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": write}


@st.composite
def batches(draw: DrawFn) -> list[dict[str, Any]]:
    """Give some writes in a row. Each has a number of its own."""
    return draw(st.lists(writes(), min_size=1, max_size=5, unique_by=lambda each: each["dynamodb"]["SequenceNumber"]))


@st.composite
def changed(draw: DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """Give a write with another value in it somewhere, which no stream has."""
    made = deepcopy(record)
    *way, last = draw(st.sampled_from(list(paths(made))))
    holder: Any = made
    for key in way:
        holder = holder[key]
    holder[last] = draw(any_json)
    return made


codes = st.lists(st.sampled_from((None, None, None, "InternalFailure", "ThrottlingException", "MalformedDetail")))


@examples(25)
@given(batches(), codes, st.sampled_from((59.0, 59.0, 21.0, 5.0)), st.sampled_from((0, 0, 901)))
def test_each_event_of_a_batch_is_published_or_kept_or_comes_again(
    batch: list[dict[str, Any]], refusals: list[str | None], seconds: float, late: int
) -> None:
    """What is done of a batch is what comes before the write that is named, and no event of that is missing."""
    deployment = prepared_deployment().copy()
    deployment.now += late
    left = list(refusals)
    deployment.account.refuse = lambda: left.pop(0) if left else None

    called = deployment.call("events", {"Records": batch}, seconds)

    assert called.raised is None
    check_log(called)
    published = [json.loads(each["Detail"]) | {"kind": each["DetailType"]} for each in deployment.account.published]
    kept = [json.loads(body) for queue, body in deployment.account.messages if queue == _QUEUE]
    out = Counter((each["connection_id"], each["kind"]) for each in published)
    out += Counter((each["detail"]["connection_id"], each["detail_type"]) for each in kept)
    numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
    again = [each["itemIdentifier"] for each in called.answer["batchItemFailures"]]
    done = batch[: numbers.index(again[0])] if again else batch
    assert len(again) <= 1
    assert announced(done) <= out
    assert announced(batch) >= Counter(dict.fromkeys(out, 1))
    for each in published:
        Draft202012Validator(event_schemas.schema(each.pop("kind"))).validate(each)
    assert not [word for word in ("ciphertext", "access-token-", "sealed") if word in json.dumps([published, kept])]


def announced(batch: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Return what writes announce, by the words that they bring."""
    found = Counter[tuple[str, str]]()
    for record in batch:
        image = record["dynamodb"].get("NewImage", {})
        for word in image.get("events", {"S": ""})["S"].split():
            found[image["connection_id"]["S"], f"connection.{word.removesuffix('_unconfirmed')}"] += 1
    del found["", REFRESHED]
    return Counter({each: times for each, times in found.items() if each[1] != REFRESHED})


@examples(40)
@given(batches(), st.data())
def test_what_is_no_write_of_ours_ends_nothing(batch: list[dict[str, Any]], data: st.DataObject) -> None:
    """A write in another form is refused as a request, or kept for when the defect is mended, or it comes again.

    Nothing raises, and what is wrong is in no line of the log.
    """
    deployment = prepared_deployment().copy()
    at = data.draw(st.integers(0, len(batch) - 1))
    batch[at] = data.draw(changed(batch[at]))

    called = deployment.call("events", {"Records": batch}, 59.0)

    assert called.raised is None
    assert called.answer.keys() == {"batchItemFailures"} or called.answer["error"] == "invalid_request"
    assert MARK not in called.log
