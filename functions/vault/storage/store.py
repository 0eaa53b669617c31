"""Connections and authorization requests, each in a table.

Every write is conditional: on the state that it was decided from, or on being the first.

A record becomes attributes in one place, and `None` and empty containers are never stored. What lists show of a
connection is in one attribute, `summary`, and nowhere else in its item: the index `listed` projects that alone, so that
no list ever wants another index.
"""

from __future__ import annotations

from dataclasses import fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from zlib import crc32

from functions.vault.base.errors import ConnectionNotFound, ProviderError
from functions.vault.base.record import plain, record
from functions.vault.grant.connection import NEEDS, Connection
from functions.vault.grant.failure import Failure
from functions.vault.grant.life import Place, Status
from functions.vault.grant.stored_set import Lease, Pending, RefreshedFrom, Revocation, Revoked, Seal, StoredSet, Whose

from . import attributes as attribute
from .aws import ClientError, code_of, outages_are_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from functions.vault.grant.belief import Belief
    from functions.vault.grant.last_attempt import LastAttempt
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse

    from .aws import ClientOf

Item = dict[str, Any]

KEEP_REQUESTS = 86400
"""Seconds after its expiry until a request may be cleaned up: long enough to tell a latecomer what happened."""


_LAST_WRITE = "last_write"
"""The attribute with the mark of the write that made a connection what it is."""


class Conflict(Exception):
    """The record is not as it was read: somebody else was first. Read again and decide again.

    `found` are the attributes that stood against the write, where they were asked for.
    """

    def __init__(self, found: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.found = found or {}


def _item(record: Any) -> Item:
    """Return a record's attributes, without what is None or empty."""
    return _filled(plain(record))


def _connection_item(connection: Connection) -> Item:
    """Return a connection's attributes: what lists show in `summary`, and all else beside it."""
    item = _item(connection)
    if "sets" in item:
        item["sets"] = [_filled(each) for each in item["sets"]]
    summary = {name: item.pop(name) for name in _IN_SUMMARY if name in item}
    return {**item, "summary": {**summary, **_copied(connection)}, **_listed(connection)}


_IN_SUMMARY = (
    "status",
    "scope",
    "scope_missing",
    "requested_scope",
    "subject",
    "owner",
    "metadata",
    "parameters",
    "tags",
    "created_at",
    "updated_at",
    "refreshed_at",
    "failure",
)
"""The fields of a connection that lists show."""


def summary_of(connection: Connection) -> Item:
    """Return what lists show of a connection, as the index has it."""
    summary: Item = _connection_item(connection)["summary"]
    return summary


def _copied(connection: Connection) -> Item:
    """Return what a summary has of what is in the item as well: few and small."""
    current = connection.current
    copied = {"provider": connection.provider, "version": connection.version}
    copied |= {name: getattr(connection, name) for name in ("refreshable", "needs", "needs_from")}
    if current is not None:
        copied |= {name: getattr(current, name) for name in _OF_CURRENT}
    return _filled(copied)


_OF_CURRENT = ("token_type", "expires_at", "refresh_expires_at", "client_secret_used")

_LIST_SHARDS = 16


def _listed(connection: Connection) -> dict[str, str]:
    """Return where the index `listed` has a connection: with what needs a person, else with its owner, else nowhere.

    The sort key has a digest of the owner: an owner may be longer than a sort key can be.
    """
    owner, needs = connection.owner, connection.needs
    if needs is not None:
        shard = crc32((owner or connection.connection_id).encode()) % _LIST_SHARDS
        listed_in = f"{needs} {shard}"
    elif owner is not None:
        listed_in = f"owner {owner}"
    else:
        return {}
    return {"listed_in": listed_in, "listed_as": listed_as(owner, connection.connection_id)}


def listed_as(owner: str | None, connection_id: str) -> str:
    """Return the sort key of a connection in a list."""
    return (sha256(owner.encode()).hexdigest()[:32] if owner is not None else "-") + f" {connection_id}"


def lists_for(where: Mapping[str, str]) -> list[str]:
    """Return the lists of the index in which all is that matches `where`; none where the table has to be read."""
    needs = [where["needs"]] if "needs" in where else list(NEEDS)
    if "owner" in where:
        shard = crc32(where["owner"].encode()) % _LIST_SHARDS
        return [*([] if "needs" in where else [f"owner {where['owner']}"]), *(f"{each} {shard}" for each in needs)]
    if "needs" in where:
        return [f"{where['needs']} {shard}" for shard in range(_LIST_SHARDS)]
    return []


def _filled(values: Mapping[str, Any]) -> Item:
    return {name: value for name, value in values.items() if value is not None and value not in ({}, frozenset(), ())}


def _new_mark() -> str:
    """Return the mark of one write."""
    return uuid4().hex[:16]


def _marshalled(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attribute.write(value) for name, value in item.items()}


def _unmarshalled(attributes: Mapping[str, Any], known: Container[str] | None = None) -> Item:
    """Return the attributes that are known: what a later version adds may be of a type that this one cannot read."""
    return {name: attribute.read(value) for name, value in attributes.items() if known is None or name in known}


_CONNECTION_FIELDS = frozenset(entry.name for entry in fields(Connection))
_SET_FIELDS = frozenset(entry.name for entry in fields(StoredSet))


def _connection(attributes: Mapping[str, Any]) -> Connection:
    if "changes" in attributes:
        item = _unmarshalled(attributes, _CONNECTION_FIELDS)
        summary = attribute.read(attributes["summary"])
        item |= {name: summary[name] for name in _IN_SUMMARY if name in summary}
    else:
        from functions.vault.grant.earlier import record_in_todays_form  # noqa: PLC0415 - none is written any more

        item = record_in_todays_form(_unmarshalled(attributes))
    failure, sets, revocation = item.pop("failure", None), item.pop("sets", ()), item.pop("revocation", ())
    last_attempt = item.pop("last_attempt", None)
    return Connection(
        **{**item, "status": Status(item["status"])},
        failure=_failure(failure),
        last_attempt=_last_attempt(last_attempt),
        sets=tuple(_stored_set(each) for each in sets),
        revocation=tuple(Revoked(**each) for each in revocation),
    )


def _stored_set(item: Mapping[str, Any]) -> StoredSet:
    known = {name: value for name, value in item.items() if name in _SET_FIELDS}
    records = ("lease", "refreshed_from", "revocation", "pending")
    lease, source, revocation, pending = (known.pop(name, None) for name in records)
    belief = known.pop("belief", None)
    return StoredSet(
        **{
            **known,
            "place": Place(item["place"]),
            "seal": Seal(**item["seal"]),
            "whose": Whose(**item["whose"]),
            "lease": Lease(**lease) if lease else None,
            "refreshed_from": RefreshedFrom(**source) if source else None,
            "belief": _belief(belief) if belief else None,
            "revocation": _revocation(revocation),
            "pending": Pending(**pending) if pending else None,
        }
    )


def _belief(stored: Item) -> Belief:
    from functions.vault.grant.belief import Belief  # noqa: PLC0415 - few grants are believed dead

    return Belief(**stored)


def _revocation(stored: Item | None) -> Revocation | None:
    return Revocation(**{**stored, "failure": _failure(stored.get("failure"))}) if stored else None


def _failure(stored: Item | None) -> Failure | None:
    if stored is None:
        return None
    said = stored.get("provider_error")
    error = ProviderError(said["error"], said.get("error_description"), said.get("status")) if said else None
    return Failure(**{**stored, "provider_error": error})


def _last_attempt(stored: Item | None) -> LastAttempt | None:
    if stored is None:
        return None
    from functions.vault.grant.last_attempt import LastAttempt  # noqa: PLC0415 - few attempts come to nothing

    return LastAttempt.from_item(stored)


def _request(attributes: Mapping[str, Any]) -> AuthorizationRequest:
    from functions.vault.oauth.authorization import AuthorizationRequest, Phase  # noqa: PLC0415 - most functions never meet a request

    known = frozenset(entry.name for entry in fields(AuthorizationRequest))
    item = _unmarshalled(attributes, known)
    return AuthorizationRequest(
        **{
            **item,
            "phase": Phase(item["phase"]),
            "used_states": frozenset(item.get("used_states", ())),
            "last_attempt": _last_attempt(item.get("last_attempt")),
        }
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

    def assignment(self, item: Mapping[str, Any], was: Mapping[str, Any], also_gone: Iterable[str] = ()) -> str:
        """Return the update from one set of attributes to another, naming only what changes, and what goes beside."""
        changed = [
            f"{self.name(name)} = {self.value(name, value)}" for name, value in item.items() if was.get(name) != value
        ]
        gone = [self.name(name) for name in (*was, *also_gone) if name not in item]
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

    @property
    def tells(self) -> bool:
        """Tell whether the work is to tell a server of a revocation; else it is upkeep."""
        return self.tell_at is not None and self.tell_at <= self.due_at

    def postponed(self, until: int, *, is_refresh: bool) -> dict[str, int]:
        """Return the times to write while this work is in a queue; what else is due of the connection stays so."""
        due_at = until if self.tells or self.tell_at is None else min(until, self.tell_at)
        return {"due_at": due_at, "upkeep_at": until} if is_refresh else {"due_at": due_at}


def _due(attributes: Mapping[str, Any]) -> Due:
    item = _unmarshalled(attributes)
    return Due(item["connection_id"], item["provider"], item["version"], item["due_at"], item.get("tell_at"))


class Table:
    """What every table needs: the client, the name, and the reading of a failed condition."""

    def __init__(self, client_of: ClientOf, name: str, on_date: Callable[[str | None], None] | None = None) -> None:
        """Make the table; `on_date` gets the `Date` of each of its answers: the clock that all functions share."""
        self._client_of = client_of
        self._name = name
        self._on_date = on_date

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            with outages_are_temporary("DynamoDB"):
                answer = getattr(self._client_of("dynamodb"), operation)(TableName=self._name, **arguments)
        except ClientError as error:
            if code_of(error) == "ConditionalCheckFailedException":
                told: Any = error.response
                raise Conflict(told.get("Item")) from None
            raise
        if self._on_date is not None:
            self._on_date(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
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
        before, after = _connection_item(was), _connection_item(now)
        also_gone: tuple[str, ...] = ()
        if not was.changes:
            from functions.vault.grant.earlier import ONLY_EARLIER  # noqa: PLC0415 - few records are from before

            before, also_gone = {"connection_id": was.connection_id}, (*ONLY_EARLIER, *_IN_SUMMARY)
        before.pop("connection_id"), after.pop("connection_id")
        mark = _new_mark()
        update = expression.assignment({**after, _LAST_WRITE: mark}, before, also_gone)
        self._write_once(
            mark,
            "update_item",
            Key={"connection_id": {"S": now.connection_id}},
            UpdateExpression=update,
            ConditionExpression=unchanged,
            **expression.arguments(),
        )

    def _as_read(self, was: Connection, expression: _Expression) -> str:
        return expression.has_seen(was.changes)

    def create(self, new: Connection) -> None:
        """Store a connection that never was; raise `Conflict` where there is one."""
        mark = _new_mark()
        self._write_once(
            mark,
            "put_item",
            Item=_marshalled({**_connection_item(new), _LAST_WRITE: mark}),
            ConditionExpression="attribute_not_exists(#connection_id)",
            ExpressionAttributeNames={"#connection_id": "connection_id"},
        )

    def _write_once(self, mark: str, operation: str, **arguments: Any) -> None:
        """Write under a condition; raise `Conflict` where it fails because of somebody else's write.

        A write can take effect although its answer is lost. botocore repeats it then, and the repetition fails the
        condition because of the write itself, whose mark the record has. Where others have written over that since, it
        is a conflict like any other: what is decided anew finds its lease, or its token set, in the record.
        """
        try:
            self._call(operation, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)
        except Conflict as conflict:
            if conflict.found.get(_LAST_WRITE) != attribute.write(mark):
                raise

    def postpone(self, due: Due, until: int) -> None:
        """Set when background work is due, if it still is due as `due` says; else raise `Conflict`.

        This write alone does not know `changes`: in the index that would be one more write with every refresh. It
        touches the times that it has read and nothing else, and it counts: whoever has read the record before reads it
        again. A record of before has no `changes` to count, and is left until its work is done.

        The index does not tell a refresh that is due from a question whose account something is for, which is rare: the
        record does, and the time of its refresh stays then.
        """
        if due.tells:
            self._postpone(due, until, is_refresh=None)
            return
        try:
            self._postpone(due, until, is_refresh=True)
        except Conflict:
            self._postpone(due, until, is_refresh=False)

    def _postpone(self, due: Due, until: int, *, is_refresh: bool | None) -> None:
        expression = _Expression()
        unchanged = [
            expression.is_("version", due.version),
            expression.is_("due_at", due.due_at),
            expression.is_("tell_at", due.tell_at),
            f"attribute_exists({expression.name('changes')})",
        ]
        if is_refresh:
            unchanged.append(expression.is_("upkeep_at", due.due_at))
        elif is_refresh is not None:
            unchanged.append(f"NOT {expression.is_('upkeep_at', due.due_at)}")
        counted = f"ADD {expression.name('changes')} {expression.value('one', 1)}"
        update = f"{expression.assignment(due.postponed(until, is_refresh=bool(is_refresh)), {})} {counted}"
        self._call(
            "update_item",
            Key={"connection_id": {"S": due.connection_id}},
            UpdateExpression=update,
            ConditionExpression=" AND ".join(unchanged),
            **expression.arguments(),
        )

    def note_attempt(self, connection_id: str, attempt: LastAttempt) -> None:
        """Write how an attempt to authorize ended that changes nothing else; raise `Conflict` where there is no record.

        It touches one attribute, which no other write decides by, and does not count: whoever has a link could make
        others read their record again and again. A consent takes it away.
        """
        expression = _Expression()
        exists = f"attribute_exists({expression.name('changes')})"
        self._call(
            "update_item",
            Key={"connection_id": {"S": connection_id}},
            UpdateExpression=expression.assignment({"last_attempt": plain(attempt)}, {}),
            ConditionExpression=exists,
            **expression.arguments(),
        )

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

    def page(
        self, where: Mapping[str, str], limit: int, start: dict[str, str] | None
    ) -> tuple[list[Item], dict[str, str] | None]:
        """Return the summaries of up to `limit` connections that match `where`, and where to go on from.

        `where` has any of owner, needs, provider and status. With one of the first two this reads lists of the index
        `listed`, one after the other; without, it reads the table. No ciphertext is ever read.
        """
        lists, following = lists_for(where), start
        found: list[Item] = []
        for _ in range(_MOST_READS):
            operation, arguments = self._read_of(where, lists, following, limit - len(found))
            answer = self._call(operation, **arguments)
            found += [_summary(item) for item in answer.get("Items", [])]
            following = _following(lists, following, answer.get("LastEvaluatedKey"))
            if following is None or len(found) >= limit:
                break
        return found, following

    def _read_of(
        self, where: Mapping[str, str], lists: list[str], start: dict[str, str] | None, limit: int
    ) -> tuple[str, dict[str, Any]]:
        """Return the next read of a page, as operation and arguments."""
        expression = _Expression()
        arguments: dict[str, Any] = {"Limit": limit}
        names: tuple[str, ...] = ("connection_id", "summary")
        key = start or {}
        rest = {name: value for name, value in where.items() if name in {"provider", "status"}}
        if lists:
            condition = expression.is_("listed_in", key.get("listed_in", lists[0]))
            if "owner" in where:
                mine = expression.value("mine", listed_as(where["owner"], ""))
                condition += f" AND begins_with({expression.name('listed_as')}, {mine})"
            arguments |= {"IndexName": "listed", "KeyConditionExpression": condition}
        else:
            names = (*names, *_IN_SUMMARY, *_OF_CURRENT, "provider", "version", "refreshable")
        filters = [self._is_in_either(name, value, expression) for name, value in rest.items()]
        arguments |= {"FilterExpression": " AND ".join(filters)} if filters else {}
        arguments |= {"ExclusiveStartKey": _marshalled(key)} if "connection_id" in key else {}
        arguments |= {"ProjectionExpression": ", ".join(expression.name(name) for name in names)}
        return "query" if lists else "scan", {**arguments, **expression.arguments()}

    def _is_in_either(self, name: str, value: str, expression: _Expression) -> str:
        """Return the condition that a summary has a value; records of before have it beside that."""
        return f"({expression.is_(f'summary.{name}', value)} OR {expression.is_(name, value)})"


def _summary(item: Mapping[str, Any]) -> Item:
    """Return a connection's summary with its id; a record of before has it spread over its attributes."""
    values = _unmarshalled(item)
    return {**values.pop("summary", values), "connection_id": values["connection_id"]}


def _following(lists: list[str], at: dict[str, str] | None, last: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return where a list goes on after what was read: behind the last item, or with the next list."""
    if last is not None:
        return _unmarshalled(last)
    number = lists.index((at or {}).get("listed_in", lists[0])) if lists else 0
    return {"listed_in": lists[number + 1]} if number + 1 < len(lists) else None


_MOST_READS = 20
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

    def consume(
        self, response: ValidatedResponse, holder: str, now: float, *, in_slot: bool = False
    ) -> AuthorizationRequest:
        """Take the request for this response's code, once, in one conditional write, and return what was stored.

        The response fits (see `_fits`), and fewer than five codes were exchanged: else `Conflict`, and nothing has
        changed. A code counts with this write, whatever becomes of it: who is killed before its exchange cannot say
        whether it was sent. Where the provider has slots, the request is taken by one who has a slot alone.
        """
        from functions.vault.oauth.authorization import MOST_EXCHANGES, Phase  # noqa: PLC0415 - as above

        expression = _Expression()
        phase, states, exchanges = map(expression.name, ("phase", "used_states", "exchanges"))
        conditions = [
            *_fits(response, now, expression),
            f"(attribute_not_exists({exchanges}) OR {exchanges} < {expression.value('most', MOST_EXCHANGES)})",
        ]
        if not in_slot:
            conditions.append(expression.is_("has_slots", None))
        consumed, by = expression.value("consumed", Phase.CONSUMED), expression.value("holder", holder)
        at = f"{expression.name('consumed_at')} = {expression.value('at', int(now))}"
        update = (
            f"SET {phase} = {consumed}, {expression.name('consumed_by')} = {by}, {at}"
            f" REMOVE {expression.name('outcome')}"
            f" ADD {states} {expression.value('states', frozenset({response.state_hash}))}"
            f", {exchanges} {expression.value('exchanges', 1)}"
        )
        return self._update(response.browser.request_id, update, conditions, expression)

    def count_push(self, request: AuthorizationRequest) -> None:
        """Count that a request is about to be pushed; raise `Conflict` where it was as often as it may be."""
        from functions.vault.oauth.authorization import MOST_PUSHES  # noqa: PLC0415 - as above

        expression = _Expression()
        pushes, most = expression.name("pushes"), expression.value("most", MOST_PUSHES)
        conditions = [
            expression.is_("ticket_hash", request.ticket_hash),
            f"(attribute_not_exists({pushes}) OR {pushes} < {most})",
        ]
        self._update(request.request_id, f"ADD {pushes} {expression.value('one', 1)}", conditions, expression)

    def fail(self, response: ValidatedResponse, attempt: LastAttempt, now: float) -> AuthorizationRequest:
        """Store the no that a response brings, and return the request: it waits for another answer.

        The response fits, as for `consume`, else `Conflict`. Its state is not used up: who goes back in this tab and
        consents comes with the same one.
        """
        from functions.vault.oauth.authorization import Phase  # noqa: PLC0415 - as above

        expression = _Expression()
        failed = {"phase": Phase.FAILED, "outcome": attempt.error, "last_attempt": plain(attempt)}
        update = expression.assignment(failed, {})
        return self._update(response.browser.request_id, update, _fits(response, now, expression), expression)

    def note_attempt(self, request: AuthorizationRequest, attempt: LastAttempt) -> None:
        """Write what an answer said that was refused, and changes nothing else."""
        expression = _Expression()
        conditions = [expression.is_("ticket_hash", request.ticket_hash)]
        update = expression.assignment({"last_attempt": plain(attempt)}, {})
        self._update(request.request_id, update, conditions, expression)

    def reopen(self, request: AuthorizationRequest, attempt: LastAttempt) -> AuthorizationRequest:
        """Store that a consumed request failed before any token came back; return it so: the user may try again."""
        from functions.vault.oauth.authorization import Phase  # noqa: PLC0415 - as above

        expression = _Expression()
        failed = {"phase": Phase.FAILED, "outcome": attempt.error, "last_attempt": plain(attempt)}
        was = {"phase": request.phase, "outcome": request.outcome}
        conditions = [expression.is_("consumed_by", request.consumed_by)]
        return self._update(request.request_id, expression.assignment(failed, was), conditions, expression)

    def _update(
        self, request_id: str, update: str, conditions: list[str], expression: _Expression
    ) -> AuthorizationRequest:
        answer = self._call(
            "update_item",
            Key={"request_id": {"S": request_id}},
            UpdateExpression=update,
            ConditionExpression=" AND ".join(conditions),
            ReturnValues="ALL_NEW",
            **expression.arguments(),
        )
        return _request(answer["Attributes"])


def _fits(response: ValidatedResponse, now: float, expression: _Expression) -> list[str]:
    """Return the conditions under which a response is one to its request as it is stored.

    Not too late, this ticket, this provider, this issuer (RFC 9207 section 2.4), open or failed, and no code was
    brought with this state before.
    """
    from functions.vault.oauth.authorization import LIFETIME, Phase, ticket_hash  # noqa: PLC0415 - most functions never meet a request

    states = expression.name("used_states")
    waits = (expression.value("open", Phase.OPEN), expression.value("failed", Phase.FAILED))
    return [
        f"{expression.name('created_at')} > {expression.value('too_old', int(now) - LIFETIME)}",
        expression.is_("ticket_hash", ticket_hash(response.browser.ticket_secret)),
        expression.is_("provider", response.provider),
        f"{expression.name('phase')} IN ({', '.join(waits)})",
        f"NOT contains({states}, {expression.value('state', response.state_hash)})",
        _issuer_matches(response.iss, expression),
    ]


def _issuer_matches(iss: str | None, expression: _Expression) -> str:
    """Return the condition of RFC 9207: an `iss` that came is the stored issuer's, and one that must come has come."""
    if iss is None:
        return f"{expression.name('iss_required')} = {expression.value('not_required', value=False)}"
    issuer = expression.name("issuer")
    return f"(attribute_not_exists({issuer}) OR {issuer} = {expression.value('iss', iss)})"
