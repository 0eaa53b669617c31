"""The two tables. Every write is conditional: on the state that it was decided from, or on being the first.

A record becomes attributes in one place, and `None` and empty containers are never stored.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from . import attributes as attribute
from .aws import ClientError, code_of, outages_are_temporary
from .connection import Connection, Lease, Origin, Status
from .errors import ConnectionNotFound, ProviderError
from .failure import Failure
from .record import record
from .withdrawal import Told, Withdrawal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

    from .authorization import AuthorizationRequest, ValidatedResponse
    from .aws import ClientOf

Item = dict[str, Any]

KEEP_REQUESTS = 86400
"""Seconds after its expiry until a request may be cleaned up: long enough to tell a latecomer what happened."""


class Conflict(Exception):
    """The record is not as it was read: somebody else was first. Read again and decide again."""


def _item(record: Any) -> Item:
    """Return a record's attributes, without what is None or empty."""
    return {
        name: value
        for name, value in asdict(record).items()
        if value is not None and value not in ({}, frozenset(), ())
    }


def _marshalled(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attribute.write(value) for name, value in item.items()}


def _unmarshalled(attributes: Mapping[str, Any], known: Container[str] | None = None) -> Item:
    """Return the attributes that are known: what a later version adds may be of a type that this one cannot read."""
    return {name: attribute.read(value) for name, value in attributes.items() if known is None or name in known}


_CONNECTION_FIELDS = frozenset(entry.name for entry in fields(Connection))


def _connection(attributes: Mapping[str, Any]) -> Connection:
    item = _unmarshalled(attributes, _CONNECTION_FIELDS)
    failure, lease, origin = (item.pop(name, None) for name in ("failure", "lease", "origin"))
    withdrawals, revocation = (item.pop(name, ()) for name in ("withdrawals", "revocation"))
    return Connection(
        **{**item, "status": Status(item["status"])},
        failure=_failure(failure),
        lease=Lease(**lease) if lease else None,
        origin=Origin(**origin) if origin else None,
        withdrawals=tuple(Withdrawal(**{**each, "failure": _failure(each.get("failure"))}) for each in withdrawals),
        revocation=tuple(Told(**each) for each in revocation),
    )


def _failure(stored: Item | None) -> Failure | None:
    if stored is None:
        return None
    said = stored.get("provider_error")
    error = ProviderError(said["error"], said.get("error_description"), said.get("status")) if said else None
    return Failure(**{**stored, "provider_error": error})


def _request(attributes: Mapping[str, Any]) -> AuthorizationRequest:
    from .authorization import AuthorizationRequest, Phase  # noqa: PLC0415 - most functions never meet a request

    known = frozenset(entry.name for entry in fields(AuthorizationRequest))
    item = _unmarshalled(attributes, known)
    return AuthorizationRequest(
        **{**item, "phase": Phase(item["phase"]), "used_states": frozenset(item.get("used_states", ()))}
    )


class _Expression:
    """Collects the names and values of a DynamoDB expression, so that no attribute name meets a reserved word."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, path: str) -> str:
        parts = []
        for part in path.split("."):
            self.names[f"#{part}"] = part
            parts.append(f"#{part}")
        return ".".join(parts)

    def value(self, name: str, value: Any) -> str:
        self.values[f":{name}"] = attribute.write(value)
        return f":{name}"

    def is_(self, path: str, value: Any) -> str:
        """Return the condition that an attribute has a value; None means that it is absent."""
        if value is None:
            return f"attribute_not_exists({self.name(path)})"
        return f"{self.name(path)} = {self.value('was_' + path.replace('.', '_'), value)}"

    def has_seen(self, changes: int) -> str:
        """Return the condition that a record is as it was read; none of those from before `changes` has that."""
        if not changes:
            return f"{self.is_('changes', None)} AND attribute_exists({self.name('connection_id')})"
        return self.is_("changes", changes)

    def assignment(self, item: Mapping[str, Any], was: Mapping[str, Any]) -> str:
        """Return the update from one set of attributes to another, naming only what changes."""
        changed = [
            f"{self.name(name)} = {self.value(name, value)}" for name, value in item.items() if was.get(name) != value
        ]
        gone = [self.name(name) for name in was if name not in item]
        clauses = (("SET", changed), ("REMOVE", gone))
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)

    def arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"ExpressionAttributeNames": self.names}
        if self.values:
            arguments["ExpressionAttributeValues"] = self.values
        return arguments


@record
class Due:
    """What the `due` index tells of a connection with background work to be done."""

    connection_id: str
    provider: str
    version: int
    due_at: int
    tell_at: int | None = None
    changes: int = 0

    @property
    def tells(self) -> bool:
        """Tell whether the work is to tell a server of a revocation; else it is a refresh."""
        return self.tell_at is not None and self.tell_at <= self.due_at

    def postponed(self, until: int) -> dict[str, int]:
        """Return the times to write while this work is in a queue; what else is due of the connection stays so."""
        if self.tells:
            return {"due_at": until}
        return {"due_at": until if self.tell_at is None else min(until, self.tell_at), "upkeep_at": until}


def _due(attributes: Mapping[str, Any]) -> Due:
    item = _unmarshalled(attributes)
    return Due(
        item["connection_id"],
        item["provider"],
        item["version"],
        item["due_at"],
        item.get("tell_at"),
        item.get("changes", 0),
    )


class Table:
    """What both tables share: the client, the name, and the reading of a failed condition."""

    def __init__(self, client_of: ClientOf, name: str, hear: Callable[[str | None], None] | None = None) -> None:
        """Make the table; `hear` gets the `Date` of each of its answers: the clock that all functions share."""
        self._client_of = client_of
        self._name = name
        self._hear = hear

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            with outages_are_temporary("DynamoDB"):
                answer = getattr(self._client_of("dynamodb"), operation)(TableName=self._name, **arguments)
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                raise Conflict from None
            raise
        if self._hear is not None:
            self._hear(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
        return answer


class Connections(Table):
    """The table of connections."""

    def get(self, connection_id: str) -> Connection | None:
        """Return the connection as it is now (a consistent read), or None."""
        item = self._call("get_item", Key={"connection_id": {"S": connection_id}}, ConsistentRead=True).get("Item")
        return _connection(item) if item else None

    def require(self, connection_id: str) -> Connection:
        """Return the connection as it is now; raise `ConnectionNotFound` where there is none."""
        connection = self.get(connection_id)
        if connection is None:
            raise ConnectionNotFound(
                "No connection has this id: it was never authorized, or the id is wrong.", connection_id=connection_id
            )
        return connection

    def change(self, was: Connection, now: Connection) -> None:
        """Write `now` over `was`, if the record still is what `was` says; else raise `Conflict`.

        That is one number: every write raises `changes`, so nobody writes over what he has not read. Weaker conditions
        (on the version, the lease) let two who work on different parts of a record write each other's away.
        """
        assert now.changes > was.changes  # noqa: S101 - who changes a record without counting that breaks every other's
        expression = _Expression()
        unchanged = self._as_read(was, expression)
        before, after = _item(was), _item(now)
        before.pop("connection_id"), after.pop("connection_id")
        self._update(now.connection_id, expression.assignment(after, before), unchanged, expression)

    def _as_read(self, was: Connection, expression: _Expression) -> str:
        return expression.has_seen(was.changes)

    def create(self, new: Connection) -> None:
        """Store a connection that never was; raise `Conflict` where there is one."""
        self._call(
            "put_item",
            Item=_marshalled(_item(new)),
            ConditionExpression="attribute_not_exists(#connection_id)",
            ExpressionAttributeNames={"#connection_id": "connection_id"},
        )

    def postpone(self, due: Due, until: int) -> None:
        """Set when background work is due, if it still is due as `due` says; else raise `Conflict`."""
        expression = _Expression()
        unchanged = f"{expression.is_('due_at', due.due_at)} AND {expression.has_seen(due.changes)}"
        update = expression.assignment({**due.postponed(until), "changes": due.changes + 1}, {})
        self._update(due.connection_id, update, unchanged, expression)

    def due(self, shard: str, now: int, limit: int) -> Iterator[list[Due]]:
        """Yield what is due in one shard of the `due` index in pages of at most `limit`, the longest due first."""
        key = None
        while True:
            answer = self._call(
                "query",
                IndexName="due",
                Limit=limit,
                KeyConditionExpression="#due_shard = :shard AND #due_at <= :now",
                ExpressionAttributeNames={"#due_shard": "due_shard", "#due_at": "due_at"},
                ExpressionAttributeValues={":shard": attribute.write(shard), ":now": attribute.write(now)},
                **({"ExclusiveStartKey": key} if key else {}),
            )
            yield [_due(item) for item in answer.get("Items", [])]
            key = answer.get("LastEvaluatedKey")
            if key is None:
                return

    def _update(self, connection_id: str, update: str, condition: str, expression: _Expression) -> None:
        self._call(
            "update_item",
            Key={"connection_id": {"S": connection_id}},
            UpdateExpression=update,
            ConditionExpression=condition,
            **expression.arguments(),
        )

    def page(
        self, where: Mapping[str, str], limit: int, start: dict[str, str] | None
    ) -> tuple[list[Connection], dict[str, str] | None]:
        """Return up to `limit` connections that match `where` (owner, provider, status), and the key to go on from.

        With an owner this reads the `owner` index; without one it reads the table. `sealed` is never read.
        """
        expression = _Expression()
        wanted = sorted(_CONNECTION_FIELDS - _NOT_LISTED)
        query = dict(where)
        arguments: dict[str, Any] = {"ProjectionExpression": ", ".join(expression.name(name) for name in wanted)}
        operation = "scan"
        if "owner" in query:
            operation, owner = "query", query.pop("owner")
            arguments |= {"IndexName": "owner", "KeyConditionExpression": expression.is_("owner", owner)}
        if query:
            arguments["FilterExpression"] = " AND ".join(expression.is_(name, value) for name, value in query.items())
        found: list[Connection] = []
        key = _marshalled(start) if start else None
        for _ in range(_MOST_READS):
            more = {"ExclusiveStartKey": key} if key else {}
            answer = self._call(operation, Limit=limit - len(found), **arguments, **more, **expression.arguments())
            found += [_connection(item) for item in answer.get("Items", [])]
            key = answer.get("LastEvaluatedKey")
            if key is None or len(found) >= limit:
                break
        return found, (_unmarshalled(key) if key else None)


_NOT_LISTED = frozenset(
    {
        "sealed",
        "lease",
        "refreshable",
        "refresh_at",
        "due_shard",
        "due_at",
        "upkeep_at",
        "tell_at",
        "authorized_by",
        "authorized_at",
        "attempts",
        "origin",
        "revocations",
        "revocation",
        "withdrawals",
        "changes",
    }
)
"""What the `owner` index does not project, and no list needs."""

_MOST_READS = 10
"""Reads behind one page of a filtered list: a sparse filter gives short pages with a cursor rather than a time-out."""


class Authorizations(Table):
    """The table of authorization requests. TTL only cleans up; expiry is always checked."""

    def create(self, request: AuthorizationRequest) -> None:
        """Store a new request; its id is 128 random bits, so there is none to run into."""
        self._call("put_item", Item=_marshalled(_item(request) | {"ttl": request.expires_at + KEEP_REQUESTS}))

    def get(self, request_id: str) -> AuthorizationRequest | None:
        """Return the request as it is now (a consistent read), or None."""
        item = self._call("get_item", Key={"request_id": {"S": request_id}}, ConsistentRead=True).get("Item")
        return _request(item) if item else None

    def consume(self, response: ValidatedResponse, holder: str, now: float) -> AuthorizationRequest:
        """Take the request for this response, once, in one conditional write, and return what was stored.

        Not expired, this ticket, this provider, this issuer (RFC 9207 section 2.4), open or failed, and this state
        never used before: else `Conflict`, and nothing has changed.
        """
        from .authorization import Phase, ticket_hash  # noqa: PLC0415 - as above

        expression = _Expression()
        phase, states = expression.name("phase"), expression.name("used_states")
        may_be_answered = (
            f"{phase} IN ({expression.value('open', Phase.OPEN)}, {expression.value('failed', Phase.FAILED)})"
        )
        not_expired = f"{expression.name('expires_at')} > {expression.value('now', int(now))}"
        state_unused = f"NOT contains({states}, {expression.value('state', response.state_hash)})"
        conditions = [
            not_expired,
            expression.is_("ticket_hash", ticket_hash(response.browser.ticket_secret)),
            expression.is_("provider", response.provider),
            may_be_answered,
            state_unused,
            _issuer_matches(response.iss, expression),
        ]
        consumed, by = expression.value("consumed", Phase.CONSUMED), expression.value("holder", holder)
        at = f"{expression.name('consumed_at')} = {expression.value('at', int(now))}"
        update = (
            f"SET {phase} = {consumed}, {expression.name('consumed_by')} = {by}, {at}"
            f" REMOVE {expression.name('outcome')}"
            f" ADD {states} {expression.value('states', frozenset({response.state_hash}))}"
        )
        answer = self._call(
            "update_item",
            Key={"request_id": {"S": response.browser.request_id}},
            UpdateExpression=update,
            ConditionExpression=" AND ".join(conditions),
            ReturnValues="ALL_NEW",
            **expression.arguments(),
        )
        return _request(answer["Attributes"])

    def reopen(self, request: AuthorizationRequest, outcome: str) -> AuthorizationRequest:
        """Store that a consumed request failed before any token came back; return it so: the user may try again."""
        from .authorization import Phase  # noqa: PLC0415 - as above

        expression = _Expression()
        mine = expression.is_("consumed_by", request.consumed_by)
        failed = replace(request, phase=Phase.FAILED, outcome=outcome)
        update = expression.assignment(
            {"phase": failed.phase, "outcome": failed.outcome}, {"phase": request.phase, "outcome": request.outcome}
        )
        self._call(
            "update_item",
            Key={"request_id": {"S": request.request_id}},
            UpdateExpression=update,
            ConditionExpression=mine,
            **expression.arguments(),
        )
        return failed


def _issuer_matches(iss: str | None, expression: _Expression) -> str:
    """Return the condition of RFC 9207: an `iss` that came is the stored issuer's, and one that must come has come."""
    if iss is None:
        return f"{expression.name('iss_required')} = {expression.value('not_required', value=False)}"
    issuer = expression.name("issuer")
    return f"(attribute_not_exists({issuer}) OR {issuer} = {expression.value('iss', iss)})"
