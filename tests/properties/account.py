"""An AWS account in memory, as strict as AWS about what it is sent.

DynamoDB, KMS, SQS, EventBridge and Secrets Manager.
"""

from __future__ import annotations

import json
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from tests.torture import expressions
from tests.torture.dynamo import Dynamo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONNECTIONS, AUTHORIZATIONS, SHARED = "connections", "authorizations", "shared"

_LONGEST_KEY, _LONGEST_SORT_KEY, _LARGEST_ITEM = 2048, 1024, 400 * 1024
_LARGEST_PUT, _YEAR_10000 = 256 * 1024, 253_402_300_800
_INDEXED = {"due_shard": "S", "due_at": "N", "listed_in": "S", "listed_as": "S"}
_LISTED = ("connection_id", "listed_in", "listed_as")


def refused(code: str, operation: str) -> ClientError:
    """Return the error by which AWS refuses a call."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)


def _check_value(value: Mapping[str, Any]) -> None:
    """Raise if DynamoDB would refuse a value: half a surrogate pair, an empty set, a number with too many digits."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            content.encode()
        case "N" if len(Decimal(content).as_tuple().digits) > 38:
            raise ValueError
        case "M":
            for name, each in content.items():
                name.encode()
                _check_value(each)
        case "L":
            for each in content:
                _check_value(each)
        case "SS" if not content:
            raise ValueError


def _size_of(value: Any) -> int:
    return len(value) if isinstance(value, bytes) else len(json.dumps(value, default=lambda octets: octets.hex()))


def _is_detail(text: str) -> bool:
    """Return whether EventBridge takes a text as the detail of an event: an object, in JSON by the standard."""

    def no_json(name: str) -> None:
        raise ValueError(name)

    try:
        return isinstance(json.loads(text, parse_constant=no_json), dict)
    except (ValueError, RecursionError):
        return False


class StrictDynamo(Dynamo):
    """A DynamoDB that refuses what the real one refuses, and reads the index `listed` and whole tables too.

    While `throttles` is true, it takes no connection.
    """

    throttles = False

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """Return an item; its key has to be one."""
        self._check_key(arguments["Key"])
        return super().get_item(**arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        """Change an item; its key has to be one."""
        self._check_key(arguments["Key"])
        return super().update_item(**arguments)

    def query(self, *, stale: bool = False, **arguments: Any) -> dict[str, Any]:
        """Return a page of an index."""
        if arguments["IndexName"] != "listed":
            return super().query(stale=stale, **arguments)
        values = arguments["ExpressionAttributeValues"]
        listed_in, mine = values[":was_listed_in"], values.get(":mine", {"S": ""})["S"]
        self._check_key({"listed_in": listed_in})
        start = arguments.get("ExclusiveStartKey")
        if start is not None and (
            start.keys() != set(_LISTED)
            or start["listed_in"] != listed_in
            or not start["listed_as"]["S"].startswith(mine)
        ):
            raise refused("ValidationException", "Query")
        found = [
            item
            for item in self.items[arguments["TableName"]].values()
            if item.get("listed_in") == listed_in and item["listed_as"]["S"].startswith(mine)
        ]
        return self._page(found, arguments, lambda item: (item["listed_as"]["S"], item["connection_id"]["S"]), _LISTED)

    def scan(self, **arguments: Any) -> dict[str, Any]:
        """Return a page of a whole table."""
        start = arguments.get("ExclusiveStartKey")
        if start is not None:
            if start.keys() != {"connection_id"}:
                raise refused("ValidationException", "Scan")
            self._check_key(start)
        found = list(self.items[arguments["TableName"]].values())
        return self._page(found, arguments, lambda item: (item["connection_id"]["S"],), ("connection_id",))

    @staticmethod
    def _page(found: list[Any], arguments: Mapping[str, Any], order: Any, key: tuple[str, ...]) -> dict[str, Any]:
        start = arguments.get("ExclusiveStartKey")
        after = [item for item in sorted(found, key=order) if start is None or order(item) > order(start)]
        read = after[: arguments["Limit"]]
        expression = arguments.get("FilterExpression")
        names, values = arguments.get("ExpressionAttributeNames", {}), arguments.get("ExpressionAttributeValues", {})
        items = [item for item in read if not expression or expressions.condition(expression)(item, names, values)]
        last = {"LastEvaluatedKey": {name: read[-1][name] for name in key}} if len(after) > len(read) else {}
        return {"Items": items, **last}

    @staticmethod
    def _check_key(key: Mapping[str, Any]) -> None:
        for value in key.values():
            if not 0 < len(value["S"].encode()) <= _LONGEST_KEY:
                raise refused("ValidationException", "GetItem")

    def _store(self, table: str, item: expressions.Item) -> None:
        if self.throttles and table == CONNECTIONS:
            raise refused("ThrottlingException", "PutItem")
        self._check_key({"key": item[self.keys[table]]})
        for value in item.values():
            _check_value(value)
        for name, kind in _INDEXED.items():
            if name in item and (item[name].keys() != {kind} or not item[name][kind]):
                raise refused("ValidationException", "PutItem")
        if "listed_as" in item and len(item["listed_as"]["S"].encode()) > _LONGEST_SORT_KEY:
            raise refused("ValidationException", "PutItem")
        if _size_of(item) > _LARGEST_ITEM:
            raise refused("ValidationException", "PutItem")
        super()._store(table, item)


class Account:
    """Everything that the functions have of AWS, and each call of it in `calls`."""

    def __init__(self, registrations: Mapping[str, str]) -> None:
        self.dynamo = StrictDynamo({CONNECTIONS: "connection_id", AUTHORIZATIONS: "request_id", SHARED: "about"})
        self.registrations = dict(registrations)
        self.data_keys: dict[bytes, tuple[bytes, Mapping[str, str]]] = {}
        self.messages: list[tuple[str, str]] = []
        self.published: list[dict[str, Any]] = []
        self.refuse: Callable[[], str | None] = lambda: None
        self.calls: list[str] = []

    def copy(self) -> Account:
        """Return an account with the same in it. What is stored is replaced, and never changed."""
        copied = Account(self.registrations)
        copied.dynamo.items = {name: dict(items) for name, items in self.dynamo.items.items()}
        copied.data_keys = dict(self.data_keys)
        return copied

    def stored(self) -> dict[str, dict[str, Any]]:
        """Return what is stored, to compare it with what is stored later."""
        return {name: dict(items) for name, items in self.dynamo.items.items()}

    def client_of(self, service: str) -> _Client:
        """Return the client of a service."""
        return _Client(self, service)

    # KMS

    def generate_data_key(self, **arguments: Any) -> dict[str, bytes]:
        """Return a new key, bound to its context."""
        wrapped = sha256(f"wrapped {len(self.data_keys)}".encode()).digest()
        self.data_keys[wrapped] = sha256(wrapped).digest(), arguments["EncryptionContext"]
        return {"Plaintext": self.data_keys[wrapped][0], "CiphertextBlob": wrapped}

    def decrypt(self, **arguments: Any) -> dict[str, bytes]:
        """Decrypt a key under its context."""
        if not 0 < len(arguments["CiphertextBlob"]) <= 6144:
            raise refused("ValidationException", "Decrypt")
        key, context = self.data_keys.get(arguments["CiphertextBlob"], (b"", {}))
        if not key or context != arguments["EncryptionContext"]:
            raise refused("InvalidCiphertextException", "Decrypt")
        return {"Plaintext": key}

    # SQS

    def send_message(self, **arguments: Any) -> dict[str, Any]:
        """Take a message."""
        self.messages.append((arguments["QueueUrl"], arguments["MessageBody"]))
        return {}

    def get_queue_attributes(self, **arguments: Any) -> dict[str, Any]:
        """Say that a queue is empty."""
        return {"Attributes": dict.fromkeys(arguments["AttributeNames"], "0")}

    # EventBridge

    def put_events(self, **arguments: Any) -> dict[str, Any]:
        """Take what EventBridge takes, unless a test has it refused: each event, or the whole request."""
        entries = arguments["Entries"]
        if any(not isinstance(each["Time"], int) or not 0 <= each["Time"] < _YEAR_10000 for each in entries):
            raise ParamValidationError(report="Invalid type for parameter Entries[0].Time")
        size = sum(
            len(each["Detail"].encode()) + len(each["Source"]) + len(each["DetailType"]) + 14 for each in entries
        )
        if not 0 < len(entries) <= 10 or size > _LARGEST_PUT:
            raise refused("ValidationException", "PutEvents")
        answers = []
        for each in entries:
            code = self.refuse()
            if code == "ThrottlingException":
                raise refused(code, "PutEvents")
            code = code or (None if _is_detail(each["Detail"]) else "MalformedDetail")
            answers.append({"ErrorCode": code} if code else {"EventId": "made-here"})
            self.published += [] if code else [each]
        return {"Entries": answers}

    # Secrets Manager

    def get_secret_value(self, **arguments: Any) -> dict[str, str]:
        """Return a registration."""
        name = arguments["SecretId"].removeprefix("gatehouse/providers/")
        if name not in self.registrations:
            raise refused("ResourceNotFoundException", "GetSecretValue")
        return {"SecretString": self.registrations[name]}


class _Client:
    """A client of one service: each call is noted, and made."""

    def __init__(self, account: Account, service: str) -> None:
        self._account = account
        self._of = account.dynamo if service == "dynamodb" else account

    def __getattr__(self, operation: str) -> Any:
        self._account.calls.append(operation)
        return getattr(self._of, operation)
