"""What a process has of AWS: clients of DynamoDB, KMS and SQS, each of whose calls is a step of the scheduler."""

from __future__ import annotations

from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.vault.base.timing import CALL
from tests.torture import records
from tests.torture.scheduler import Fault, Point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.scheduler import Actor
    from tests.torture.world import World

CONNECTIONS, AUTHORIZATIONS, SHARED = "connections", "authorizations", "shared"

_BEFORE_ANY = (Fault.CRASH, Fault.CRASH_SENT, Fault.THROTTLED, Fault.LATE_REQUEST)
_BEFORE_READ = (Fault.CRASH, Fault.THROTTLED)
_ONE_SIDED = (Fault.CRASH, Fault.THROTTLED, Fault.LOST_ANSWER, Fault.RETRIED)
_ONE_SIDED_READ = (Fault.CRASH, Fault.THROTTLED)
_NOTHING: Mapping[str, Any] = {}
_read: Any = TypeDeserializer().deserialize


def aws_failure(fault: Fault) -> Exception:
    """Return what a client of AWS raises."""
    if fault is Fault.THROTTLED:
        error: Any = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return ClientError(error, "Operation")
    return ReadTimeoutError(endpoint_url="https://aws.test")


class _DynamoEdge:
    """The client of DynamoDB that the stores get."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_item(self, **arguments: Any) -> Any:
        return self._call("get_item", arguments, (_BEFORE_READ, _ONE_SIDED_READ))

    def put_item(self, **arguments: Any) -> Any:
        return self._call("put_item", arguments, (_BEFORE_ANY, _ONE_SIDED))

    def update_item(self, **arguments: Any) -> Any:
        return self._call("update_item", arguments, (_BEFORE_ANY, _ONE_SIDED))

    def query(self, **arguments: Any) -> Any:
        world = self._world
        if not world.dynamo.query(**arguments)["Items"] and not world.dynamo.query(stale=True, **arguments)["Items"]:
            return {"Items": []}  # an empty shard of the index is no step: nothing can depend on when it is read
        return self._call("query", arguments, ((*_BEFORE_READ, Fault.STALE), (*_ONE_SIDED_READ, Fault.STALE)))

    def scan(self, **arguments: Any) -> Any:
        return self._call("scan", arguments, (_BEFORE_READ, _ONE_SIDED_READ))

    def _call(self, operation: str, arguments: dict[str, Any], faults: tuple[tuple[Fault, ...], ...]) -> Any:
        world, scheduler = self._world, self._world.scheduler
        if world.is_set_up and not _is_note(arguments):
            point = Point(
                "dynamodb",
                operation,
                faults=faults[0] if scheduler.two_sided else faults[1],
                time_limit=CALL,
                detail=lambda: _shown(arguments),
                answered=_answered,
            )
            actor, begun = scheduler.running, scheduler.now

            def effect() -> Any:
                actor.notes["call begun"] = begun  # what takes effect may be an earlier call, which was given up
                return self._effect(actor, operation, arguments)

            answer = scheduler.call(point, effect, aws_failure)
            date = formatdate(scheduler.now, usegmt=True)
            return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
        return self._effect(None, operation, arguments)

    def _effect(self, actor: Actor | None, operation: str, arguments: dict[str, Any]) -> Any:
        world = self._world
        if operation == "query":
            return world.dynamo.query(stale=world.scheduler.is_stale, **arguments)
        if operation == "scan":
            return world.dynamo.scan(**arguments)
        table = arguments["TableName"]
        if table == SHARED:
            return getattr(world.shared, operation)(**arguments)
        key = next(
            iter((arguments.get("Key") or {"key": arguments.get("Item", {}).get(world.dynamo.keys[table])}).values())
        )
        before = world.dynamo.items[table].get(key["S"], _NOTHING)
        if actor is not None and operation == "get_item":
            actor.notes["read at"] = world.scheduler.step
        if actor is not None and table == CONNECTIONS:
            actor.notes["knows of"] = world.scheduler.step
        answer = getattr(world.dynamo, operation)(**arguments)
        if operation != "get_item":
            world.observer.wrote(actor, table, before, world.dynamo.items[table][key["S"]])
        return answer


def _is_note(arguments: Mapping[str, Any]) -> bool:
    """Return whether a call is about a note: nothing can be lost by when it is written, or whether it is."""
    return arguments["TableName"] == SHARED and not arguments["Key"]["about"]["S"].startswith("provider ")


class _Keys:
    """KMS itself: data keys by their wrapped form, each of one key, and bound to its encryption context."""

    def __init__(self, world: World) -> None:
        self._world = world

    def generate_data_key(self, **arguments: Any) -> dict[str, bytes]:
        wrapped = f"wrapped-{len(self._world.keys)} {arguments['KeyId']}".encode()
        key = sha256(wrapped).digest()
        self._world.keys[wrapped] = key, arguments["EncryptionContext"]
        return {"Plaintext": key, "CiphertextBlob": wrapped}

    def decrypt(self, **arguments: Any) -> dict[str, bytes]:
        key, context = self._world.keys[arguments["CiphertextBlob"]]
        is_its_key = arguments["CiphertextBlob"].endswith(f" {arguments['KeyId']}".encode())
        if context != arguments["EncryptionContext"] or not is_its_key:
            error: Any = {"Error": {"Code": "InvalidCiphertextException"}}
            raise ClientError(error, "Decrypt")
        return {"Plaintext": key}


class _KeysEdge:
    def __init__(self, world: World) -> None:
        self._world = world

    def generate_data_key(self, **arguments: Any) -> Any:
        return self._call("generate_data_key", arguments)

    def decrypt(self, **arguments: Any) -> Any:
        return self._call("decrypt", arguments)

    def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        world, keys = self._world, _Keys(self._world)
        if not world.is_set_up:
            return getattr(keys, operation)(**arguments)
        point = Point("kms", operation, faults=_BEFORE_READ, time_limit=CALL)
        return world.scheduler.call(point, lambda: getattr(keys, operation)(**arguments), aws_failure)


class _QueuesEdge:
    def __init__(self, world: World) -> None:
        self._world = world

    def get_queue_attributes(self, **arguments: Any) -> Any:
        world, queue = self._world, arguments["QueueUrl"]
        point = Point("sqs", "get_queue_attributes", faults=_BEFORE_READ, time_limit=CALL, detail=lambda: queue)

        def effect() -> Any:
            waiting = sum(message.queue == queue for message in world.scheduler.messages)
            return {"Attributes": {"ApproximateNumberOfMessages": str(waiting)}}

        return world.scheduler.call(point, effect, aws_failure)

    def send_message(self, **arguments: Any) -> None:
        world, queue = self._world, arguments["QueueUrl"].removesuffix(".fifo")
        faults = _BEFORE_ANY if world.scheduler.two_sided else _ONE_SIDED
        group = arguments.get("MessageGroupId", "")
        deduplication = arguments.get("MessageDeduplicationId", "")
        body = arguments["MessageBody"]
        point = Point("sqs", "send_message", faults=faults, time_limit=CALL, detail=lambda: queue)
        world.scheduler.call(point, lambda: world.send_message(queue, body, group, deduplication), aws_failure)


def clients(world: World) -> dict[str, Any]:
    """Return the clients of one process, by their services."""
    return {"dynamodb": _DynamoEdge(world), "kms": _KeysEdge(world), "sqs": _QueuesEdge(world)}


def keys(world: World) -> Any:
    """Return a client of KMS whose calls are no step, for an observer."""
    return _Keys(world)


def _shown(arguments: Mapping[str, Any]) -> str:
    """Return a call's arguments in few words, for the timeline."""
    names = arguments.get("ExpressionAttributeNames", {})
    values = arguments.get("ExpressionAttributeValues", {})
    update = str(arguments.get("UpdateExpression", ""))
    for short, name in sorted(names.items(), reverse=True):
        update = update.replace(short, name)
    for short, value in sorted(values.items(), reverse=True):
        update = update.replace(short, _brief(value))
    return f"{arguments['TableName']} {update}".rstrip()


def _answered(answer: Any) -> str:
    item = (answer or {}).get("Item")
    if item is None:
        return "ok" if not (answer or {}).get("Items") else f"{len(answer['Items'])} due"
    wanted = ("version", "status", "phase", "failure", "expires_at", "revocations", "changes")
    values = records.plain(item)
    places = ",".join(f"{each['id'][:4]}:{each['place']}" for each in values.get("sets", ()))
    return " ".join([*(f"{name}={_brief_value(values[name])}" for name in wanted if name in values), places])


def _brief(value: Any) -> str:
    return _brief_value(_read(value) if not (isinstance(value, dict) and "B" in value) else "(sealed)")


def _brief_value(plain: Any) -> str:
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {_short(entry)}" for key, entry in sorted(plain.items())) + "}"
    return _short(plain)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 24 else text[:8] + "~"
