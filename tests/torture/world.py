"""Gatehouse in a world of its own: the real use cases and stores, with every edge in the scheduler's hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError, ReadTimeoutError

from functions.vault.authorization import BrowserBinding, ValidatedResponse, new_secret
from functions.vault.cipher import Cipher
from functions.vault.client import Client
from functions.vault.committing import Committing
from functions.vault.completing import Completing
from functions.vault.errors import ProviderUnavailable
from functions.vault.queues import Queue
from functions.vault.registrations import Registrations
from functions.vault.rescuing import Rescuing
from functions.vault.responses import Answer
from functions.vault.revoking import Revoking
from functions.vault.starting import Starting
from functions.vault.store import Authorizations, Connections
from functions.vault.sweeping import Sweeping
from functions.vault.timing import CALL, NEVER, Deadline, SharedClock, Timing
from functions.vault.vending import Vending
from tests.torture import records
from tests.torture.dynamo import Dynamo
from tests.torture.scheduler import Fault, Message, Point
from tests.torture.server import Refusal, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.outcome import Outcome
    from functions.vault.tokens import TokenSet
    from tests.torture.scheduler import Actor, Scheduler
    from tests.torture.server import Profile

CONNECTIONS, AUTHORIZATIONS = "connections", "authorizations"
CONNECTION = "c"
PROVIDER = "as"
HTTP_TIMEOUT = 10

_BEFORE_ANY = (Fault.CRASH, Fault.CRASH_SENT, Fault.THROTTLED, Fault.LATE_REQUEST)
_BEFORE_READ = (Fault.CRASH, Fault.THROTTLED)
_BEFORE_HTTP = (Fault.CRASH, Fault.CRASH_SENT, Fault.LOST_REQUEST, Fault.LATE_REQUEST, Fault.REFUSED, Fault.SLOW)
_ONE_SIDED = (Fault.CRASH, Fault.THROTTLED, Fault.LOST_ANSWER, Fault.RETRIED)
_ONE_SIDED_READ = (Fault.CRASH, Fault.THROTTLED)
_ONE_SIDED_HTTP = (Fault.CRASH, Fault.LOST_REQUEST)
_read: Any = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Parts:
    """What a process is put together from. A mutation proof passes a broken part here."""

    connections: type[Connections] = Connections
    authorizations: type[Authorizations] = Authorizations
    committing: type[Committing] = Committing
    vending: type[Vending] = Vending
    revoking: type[Revoking] = Revoking
    completing: type[Completing] = Completing


@dataclass(eq=False)
class TokenRequest:
    """One request to the token endpoint, and what became of its answer."""

    actor: Actor
    token: str
    since: float
    is_refresh: bool
    effect_at: float | None = None
    settled_at: float = 0.0
    arrived_at: float = 0.0
    """By the clock of the process that got it."""
    fate: str = "under way"
    overlapped: bool = False
    lease_until: float | None = None


class Observer:
    """What the world tells of itself; `invariants.Watch` is the one that judges it."""

    def wrote(self, actor: Actor | None, table: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Hear of a write that took effect."""

    def queued(self, queue: str, body: str) -> None:
        """Hear of a message that a queue took, or a line that the log did."""

    def asked(self, request: TokenRequest) -> None:
        """Hear of a token request on its way."""


class World:
    """One deployment: tables, key, queues, log, authorization server, and processes made as they are needed."""

    def __init__(
        self, scheduler: Scheduler, profile: Profile, parts: Parts | None = None, dynamo: Dynamo | None = None
    ) -> None:
        self.scheduler = scheduler
        self.profile = profile
        self.parts = parts or Parts()
        self.server = Server(profile)
        self.dynamo = dynamo or Dynamo({CONNECTIONS: "connection_id", AUTHORIZATIONS: "request_id"})
        self.keys: dict[bytes, tuple[bytes, dict[str, str]]] = {}
        self.requests: list[TokenRequest] = []
        self.log: list[str] = []
        self.observer = Observer()
        self.registrations = _registrations(profile)
        self.truth = Cipher(lambda _service: _Keys(self), "key")
        self.is_set_up = False
        self._sent: set[tuple[str, str]] = set()
        self._numbers = count(1)

    def item(self, connection_id: str = CONNECTION) -> dict[str, Any]:
        """Return the attributes of a connection as they are stored, as plain values; empty where there is none."""
        return records.plain(self.dynamo.items[CONNECTIONS].get(connection_id, {}))

    def opened(self, connection_id: str, stored: Mapping[str, Any]) -> TokenSet:
        """Return what a stored token set holds, with no call noticed by anybody."""
        return self.truth.open(connection_id, records.sealed(stored))

    def send_message(self, queue: str, body: str, group: str, deduplication: str) -> None:
        """Put a message into a queue; a FIFO queue takes one deduplication id once."""
        self.observer.queued(queue, body)
        if queue == "refresh" and (queue, deduplication) in self._sent:
            return
        self._sent.add((queue, deduplication))
        self.scheduler.messages.append(Message(queue, body, group, next(self._numbers), self.scheduler.now))


def _registrations(profile: Profile) -> Registrations:
    """Return the one registration of this world. Reading it is no step: it is in every warm process's memory."""
    document: dict[str, Any] = {
        "client_id": "client",
        "authorization_endpoint": "https://as.test/authorize",
        "token_endpoint": "https://as.test/token",
        "revocation_endpoint": "https://as.test/revoke",
        "request_timeout": HTTP_TIMEOUT,
        "max_concurrency": 1,
    }
    if profile.replay_seconds and profile.replay_is_known:
        document["refresh_token_replay_seconds"] = profile.replay_seconds
    if profile.revokes_by_access:
        document["revocation_tokens"] = ["access_token"]
    if profile.revokes_all:
        document |= {"revocation_ends_authorization": True, "revocation_success": "successful"}
    return _kept_registrations(json.dumps(document))


class _Secrets:
    def __init__(self, document: str) -> None:
        self._document = document

    def get_secret_value(self, **_arguments: Any) -> dict[str, str]:
        return {"SecretString": self._document}


class _NoTransport:
    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        raise NotImplementedError


_REGISTRATIONS: dict[str, Registrations] = {}


def _kept_registrations(document: str) -> Registrations:
    if document not in _REGISTRATIONS:
        secrets = _Secrets(document)
        _REGISTRATIONS[document] = Registrations(
            lambda _service: secrets, "", _NoTransport(), lambda: 0.0, loopback_http=False
        )
    return _REGISTRATIONS[document]


# The edges


def _aws_failure(fault: Fault) -> Exception:
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

    def _call(self, operation: str, arguments: dict[str, Any], faults: tuple[tuple[Fault, ...], ...]) -> Any:
        world, scheduler = self._world, self._world.scheduler
        if world.is_set_up:
            point = Point(
                "dynamodb",
                operation,
                faults=faults[0] if scheduler.two_sided else faults[1],
                time_limit=CALL,
                detail=lambda: _shown(arguments),
                told=_told,
            )
            actor = scheduler.running
            answer = scheduler.call(point, lambda: self._effect(actor, operation, arguments), _aws_failure)
            date = formatdate(scheduler.now, usegmt=True)
            return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
        return self._effect(None, operation, arguments)

    def _effect(self, actor: Actor | None, operation: str, arguments: dict[str, Any]) -> Any:
        world = self._world
        if operation == "query":
            return world.dynamo.query(stale=world.scheduler.is_stale, **arguments)
        table = arguments["TableName"]
        key = next(
            iter((arguments.get("Key") or {"key": arguments.get("Item", {}).get(world.dynamo.keys[table])}).values())
        )
        before = world.dynamo.items[table].get(key["S"], {})
        if actor is not None and operation == "get_item":
            actor.notes["read at"] = world.scheduler.step
        if actor is not None and table == CONNECTIONS:
            actor.notes["knows of"] = world.scheduler.step
        answer = getattr(world.dynamo, operation)(**arguments)
        if operation != "get_item":
            world.observer.wrote(actor, table, before, world.dynamo.items[table][key["S"]])
        return answer


class _Keys:
    """KMS itself: data keys by their wrapped form, each bound to its encryption context."""

    def __init__(self, world: World) -> None:
        self._world = world

    def generate_data_key(self, **arguments: Any) -> dict[str, bytes]:
        wrapped = f"wrapped-{len(self._world.keys)}".encode()
        key = sha256(wrapped).digest()
        self._world.keys[wrapped] = key, arguments["EncryptionContext"]
        return {"Plaintext": key, "CiphertextBlob": wrapped}

    def decrypt(self, **arguments: Any) -> dict[str, bytes]:
        key, context = self._world.keys[arguments["CiphertextBlob"]]
        if context != arguments["EncryptionContext"]:
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
        return world.scheduler.call(point, lambda: getattr(keys, operation)(**arguments), _aws_failure)


class _QueuesEdge:
    def __init__(self, world: World) -> None:
        self._world = world

    def get_queue_attributes(self, **arguments: Any) -> Any:
        world, queue = self._world, arguments["QueueUrl"]
        point = Point("sqs", "get_queue_attributes", faults=_BEFORE_READ, time_limit=CALL, detail=lambda: queue)

        def effect() -> Any:
            waiting = sum(message.queue == queue for message in world.scheduler.messages)
            return {"Attributes": {"ApproximateNumberOfMessages": str(waiting)}}

        return world.scheduler.call(point, effect, _aws_failure)

    def send_message(self, **arguments: Any) -> None:
        world, queue = self._world, arguments["QueueUrl"].removesuffix(".fifo")
        faults = _BEFORE_ANY if world.scheduler.two_sided else _ONE_SIDED
        group = arguments.get("MessageGroupId", "")
        deduplication = arguments.get("MessageDeduplicationId", "")
        body = arguments["MessageBody"]
        point = Point("sqs", "send_message", faults=faults, time_limit=CALL, detail=lambda: queue)
        world.scheduler.call(point, lambda: world.send_message(queue, body, group, deduplication), _aws_failure)


class _Answered(Exception):
    """An answer that stands in the way of the server's own: a gateway's."""


class _HttpEdge:
    """The transport to the authorization server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:  # noqa: ARG002 - as `Transport`
        world, path, form = self._world, urlsplit(url).path, dict(parse_qsl(body or ""))
        if not world.is_set_up:
            return _json(world.server.exchange(form["code"], world.scheduler.now, None))
        scheduler = world.scheduler
        point = Point(
            "http",
            path.removeprefix("/"),
            faults=_BEFORE_HTTP if scheduler.two_sided else _ONE_SIDED_HTTP,
            time_limit=timeout,
            detail=lambda: form.get("refresh_token") or form.get("code") or form.get("token") or "",
            told=lambda answer: f"{answer.status} {answer.body.decode()}",
        )
        request = None
        if path == "/token":
            request = self._request(scheduler.running, form)
        try:
            answer = scheduler.call(point, lambda: self._effect(form, request), _http_failure)
        except _Answered:
            _settle(request, "lost on the wire", scheduler.now)
            return Answer(503, {}, b"")
        except ProviderUnavailable:
            _settle(request, "lost on the wire", scheduler.now)
            raise
        except BaseException:
            _settle(request, "lost in a crash", scheduler.now)
            raise
        _settle(request, "delivered", scheduler.now)
        assert isinstance(answer, Answer)
        return answer

    def _request(self, actor: Actor, form: Mapping[str, str]) -> TokenRequest:
        world = self._world
        is_refresh = form["grant_type"] == "refresh_token"
        request = TokenRequest(
            actor,
            form["refresh_token"] if is_refresh else form["code"],
            world.scheduler.now,
            is_refresh,
            lease_until=actor.notes.get("lease until"),
        )
        world.observer.asked(request)
        world.requests.append(request)
        return request

    def _effect(self, form: Mapping[str, str], request: TokenRequest | None) -> Answer:
        world = self._world
        if request is not None:
            request.effect_at = world.scheduler.now
        try:
            if request is None:
                return _json(world.server.revoke(form["token"], world.scheduler.running))
            if request.is_refresh:
                return _json(world.server.refresh(request.token, world.scheduler.now, request))
            return _json(world.server.exchange(request.token, world.scheduler.now, request))
        except Refusal as refusal:
            return Answer(400, {"content-type": "application/json"}, json.dumps({"error": str(refusal)}).encode())


def _settle(request: TokenRequest | None, fate: str, now: float) -> None:
    if request is not None:
        request.fate, request.settled_at = fate, now
        request.arrived_at = request.actor.notes["clock"]()


def _json(document: Mapping[str, Any]) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(document).encode())


def _http_failure(fault: Fault) -> Exception:
    if fault is Fault.OUTAGE:
        return _Answered()
    return ProviderUnavailable("The authorization server did not answer.", outcome_unknown=fault is not Fault.REFUSED)


# A process


class Process:
    """One cold start: the use cases, put together as `settings.House` does."""

    def __init__(self, world: World, actor: Actor | None) -> None:
        self.world = world
        self.actor = actor
        scheduler, parts = world.scheduler, world.parts
        skew = actor.skew if actor else 0.0
        edges = {"dynamodb": _DynamoEdge(world), "kms": _KeysEdge(world), "sqs": _QueuesEdge(world)}
        clock = SharedClock(lambda: scheduler.now + skew)
        self.timing = Timing(clock.now, scheduler.sleep, scheduler.strategy.jitter)
        if actor is not None:
            actor.notes["clock"] = clock.now
        self.connections = parts.connections(edges.__getitem__, CONNECTIONS, clock.hear)
        self.authorizations = parts.authorizations(edges.__getitem__, AUTHORIZATIONS, clock.hear)
        self.cipher = Cipher(edges.__getitem__, "key")
        self.client = Client(_HttpEdge(world), self.timing.now)
        self.committing = parts.committing(
            self.connections, Queue(edges.__getitem__, "rescue"), self._last_resort, self.timing
        )
        common = (self.registrations, self.cipher, self.client, self.committing, self.timing)
        self.vending = parts.vending(self.connections, *common)
        self.completing = parts.completing(self.connections, self.authorizations, *common)
        self.revoking = parts.revoking(self.connections, self.registrations, self.cipher, self.client, self.timing)
        self.rescuing = Rescuing(self.cipher, self.committing)
        self.sweeping = Sweeping(
            self.connections,
            self.registrations,
            Queue(edges.__getitem__, "refresh.fifo"),
            Queue(edges.__getitem__, "revoke"),
            self.timing,
        )
        self.starting = Starting(
            "https://gatehouse.test", self.connections, self.authorizations, self.registrations, self.timing
        )

    @property
    def registrations(self) -> Registrations:
        """Return the registrations of this world."""
        return self.world.registrations

    @property
    def deadline(self) -> Deadline:
        """Return when this process's time is up."""
        actor, scheduler = self.actor, self.world.scheduler
        if actor is None:
            return Deadline(lambda: 1000.0)
        return Deadline(lambda: actor.deadline - scheduler.now)

    def consent(self, connection_id: str = CONNECTION) -> ValidatedResponse:
        """Start an authorization, and let the user say yes: the response that the browser brings to the callback."""
        started = self.starting.start({"provider": PROVIDER, "connection_id": connection_id}, NEVER)
        request_id, _, secret = started["authorize_url"].rpartition("/")[2].partition(".")
        code = self.world.server.consent(connection_id, request_id)
        return ValidatedResponse(PROVIDER, BrowserBinding(request_id, secret, new_secret()), None, code)

    def complete(self, response: ValidatedResponse) -> Outcome:
        """Be the callback that the browser calls."""
        return self.completing.complete(response, self.deadline)

    def _last_resort(self, document: str) -> None:
        world = self.world

        def write() -> None:
            world.log.append(document)
            world.observer.queued("log", document)

        world.scheduler.call(Point("log", "write", faults=(Fault.CRASH,)), write, _aws_failure)


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


def _told(answer: Any) -> str:
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
