"""Records and messages of earlier releases are read as what they were, and written in today's form."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.grant import obtained_document, revocations
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.earlier import ONLY_EARLIER
from functions.vault.grant.failure import Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.revocation import Revocation
from functions.vault.grant.revoked import Revoked
from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.stored_set import RefreshedFrom, StoredSet
from functions.vault.grant.tokens import SealedTokens
from functions.vault.storage.connection_item import connection_of, summary_of
from functions.vault.storage.due import Due
from functions.vault.storage.table import Conflict
from functions.vault.usecases.listing import view
from tests.unit.earlier_items import MESSAGES, RECORDS
from tests.unit.samples import NOW

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.storage.aws import ClientOf
    from functions.vault.storage.connections import Connections

every_record = pytest.mark.parametrize("kind", RECORDS)

ACTIVE, DEAD, ENDING = Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED, Status.REVOKING
CURRENT, REVOKING = Place.CURRENT, Place.REVOKING

STATES: dict[str, tuple[Status, int, list[tuple[Place, bytes, int]]]] = {
    "active": (ACTIVE, 1, [(CURRENT, b"sealed-1", 1)]),
    "bare": (ACTIVE, 1, [(CURRENT, b"sealed-1", 1)]),
    "leased": (ACTIVE, 1, [(CURRENT, b"sealed-1", 1)]),
    "interrupted": (ACTIVE, 1, [(CURRENT, b"sealed-1", 1)]),
    "refreshed": (ACTIVE, 2, [(CURRENT, b"sealed-2", 2)]),
    "failed": (ACTIVE, 1, [(CURRENT, b"sealed-1", 1)]),
    "reauthorization_required": (DEAD, 1, [(CURRENT, b"sealed-1", 1)]),
    "unconfirmed": (Status.UNCONFIRMED, 1, [(CURRENT, b"sealed-1", 1)]),
    "revoking": (ENDING, 1, [(REVOKING, b"sealed-1", 1)]),
    "revoking several": (ENDING, 1, [(REVOKING, b"sealed-1", 1), (REVOKING, b"sealed-late", 2)]),
    "revoking what was dead": (ENDING, 1, [(REVOKING, b"sealed-1", 1)]),
    "revoked": (Status.REVOKED, 1, []),
    "authorized again beside a revocation": (
        ACTIVE,
        2,
        [(CURRENT, b"sealed-9", 2), (REVOKING, b"sealed-1", 1), (REVOKING, b"sealed-late", 2)],
    ),
}
"""Status, version, and each token set's place, ciphertext and version."""


def stored(connections: Connections, engine: ClientOf, kind: str) -> Connection:
    """Put an earlier record into the table, and read it."""
    engine("dynamodb").put_item(TableName=connections._name, Item=RECORDS[kind])  # noqa: SLF001 - its own table
    return connections.require("merchant-1")


def read_as(kind: str) -> Connection:
    """Return an earlier record as it is read."""
    return connection_of(RECORDS[kind])


def written(connections: Connections, read: Connection) -> Connection:
    """Return the record after its next write, whatever that is for."""
    after = replace(read, updated_at=NOW + 100, changes=read.changes + 1)
    connections.change(read, after)
    return after


@every_record
def test_an_earlier_record_is_read_as_what_it_was(kind: str) -> None:
    """One of each kind, as the code of that time wrote it."""
    read = read_as(kind)

    sets = [(each.place, each.seal.ciphertext, each.seal.version) for each in read.sets]
    assert (read.status, read.version, sets) == STATES[kind]
    assert {each.seal.format for each in read.sets} <= {1}
    assert all((each.whose.provider, each.whose.client_id) == ("acme", None) for each in read.sets)
    assert len({each.id for each in read.sets}) == len(read.sets)
    item = RECORDS[kind]
    assert read.updated_at == int(item["updated_at"]["N"])
    assert (read.due_at, read.due_shard) == (int(item["due_at"]["N"]) if "due_at" in item else None, read.due_shard)
    assert view("merchant-1", summary_of(read), NOW)["status"] == item["status"]["S"]


UNKNOWN_CLIENT = Whose("acme", None, {"shop": "1"})
IN_USE = StoredSet(
    "v1",
    CURRENT,
    Seal(b"sealed-1", 1, 1),
    UNKNOWN_CLIENT,
    refreshable=True,
    expires_at=NOW + 3600,
    refresh_at=NOW + 3300,
    refresh_expires_at=NOW + 86400,
    request_id="request-1",
)
"""The token set of an active record: all that was known of it is in it, and everything else is as in a new one."""

DOWN = Failure("provider_unavailable", 1, NOW + 13, NOW + 18, "", "Down.")


def to_be_revoked(ciphertext: bytes, version: int, revocation: Revocation) -> StoredSet:
    """Return a token set that was to be revoked; its id is the beginning of its ciphertext's hash."""
    set_id = sha256(ciphertext).hexdigest()[:16]
    return StoredSet(set_id, REVOKING, Seal(ciphertext, 1, version), UNKNOWN_CLIENT, revocation=revocation)


HELD = {
    "active": [IN_USE],
    "bare": [
        StoredSet("v1", CURRENT, Seal(b"sealed-1", 1, 1), Whose("acme"), refreshable=True, request_id="request-1")
    ],
    "leased": [replace(IN_USE, attempts=1, lease=Lease("holder-1", 1, NOW + 30))],
    "interrupted": [replace(IN_USE, attempts=2, lease=Lease("holder-2", 2, NOW + 90, NOW + 60))],
    "refreshed": [
        replace(IN_USE, id="v2", seal=Seal(b"sealed-2", 1, 2), refreshed_from=RefreshedFrom("v1", 1)),
    ],
    "reauthorization_required": [replace(IN_USE, refresh_at=None, attempts=1, was_refused=True)],
    "revoking several": [
        to_be_revoked(b"sealed-1", 1, Revocation(NOW + 10, failure=DOWN)),
        to_be_revoked(b"sealed-late", 2, Revocation(NOW + 12)),
    ],
    "revoking what was dead": [
        to_be_revoked(b"sealed-1", 1, Revocation(NOW + 10, 1, {"grant": {"answer": "dead", "at": NOW + 10}})),
    ],
    "revoked": [],
}


@pytest.mark.parametrize("kind", HELD)
def test_nothing_is_lost_of_the_token_sets(kind: str) -> None:
    """Their times, their lease and its number, the source of their tokens, the state of their revocation."""
    assert list(read_as(kind).sets) == HELD[kind]


def test_nothing_is_lost_of_the_rest() -> None:
    """Whose connection it is, how its last refresh failed, what a server has answered to a revocation."""
    read, failed = read_as("active"), read_as("failed")
    assert (read.connection_id, read.provider, read.scope, read.subject) == ("merchant-1", "acme", "read", "acct")
    assert (read.owner, read.tags, read.metadata) == ("owner-1", {"tier": "gold"}, {"region": "eu"})
    assert (read.authorized_by, read.authorized_at, read.changes) == ("request-1", NOW, 0)
    assert failed.failure
    assert (failed.failure.code, failed.failure.outcome_unknown) == ("provider_unavailable", True)
    dead = read_as("reauthorization_required")
    assert dead.failure
    assert dead.failure.provider_error
    assert (dead.failure.provider_error.error_description, dead.needs) == ("expired", "reauthorization")
    answered = {"refresh_token": {"answer": "revoked", "at": NOW + 11}}
    assert read_as("revoked").revocation == (Revoked("acme", 1, answered, {"shop": "1"}),)


def test_the_secret_that_was_used_is_known() -> None:
    """During a rotation of the client's secrets each token set is refreshed with its own."""
    read = connection_of(RECORDS["active"] | {"client_secret_used": {"S": "previous"}})

    assert read.sets == (replace(IN_USE, client_secret_used="previous"),)


def test_what_was_refused_or_dead_is_known_to_be_when_it_is_revoked() -> None:
    """As it is of a record of today."""
    for ending in (revocations.revoked(read_as("reauthorization_required"), NOW), read_as("revoking what was dead")):
        assert [each.was_dead for each in ending.to_revoke] == [True]
    assert not revocations.revoked(read_as("active"), NOW).to_revoke[0].was_dead


def test_what_an_earlier_record_does_not_say_is_empty() -> None:
    """A withdrawal, or the record of one, need not have a tenant or answers."""
    withdrawn = {"sealed": {"B": b"sealed-1"}, "provider": {"S": "acme"}, "version": {"N": "1"}, "at": {"N": "7"}}
    ended = {"provider": {"S": "acme"}, "version": {"N": "1"}}
    record = {**RECORDS["revoking"], "withdrawals": {"L": [{"M": withdrawn}]}, "revocation": {"L": [{"M": ended}]}}

    read = connection_of(record)

    assert read.sets == (replace(to_be_revoked(b"sealed-1", 1, Revocation(7)), whose=Whose("acme")),)
    assert read.revocation == (Revoked("acme", 1),)


def test_missing_scopes_are_found_by_comparing_the_texts() -> None:
    """Earlier records say what was asked for, and not what is missing."""
    read = connection_of(RECORDS["active"] | {"requested_scope": {"S": "read write"}})

    assert (read.requested_scope, read.scope, read.scope_missing) == ("read write", "read", ("write",))


def test_missing_scopes_are_shown_and_stay(connections: Connections, engine: ClientOf) -> None:
    """In the list, and through its next write; the next refresh knows more."""
    asked = RECORDS["active"] | {"requested_scope": {"S": "read write"}}
    engine("dynamodb").put_item(TableName=connections._name, Item=asked)  # noqa: SLF001 - its own table

    read = connections.require("merchant-1")

    assert (read.scope, read.scope_missing) == ("read", ("write",))
    assert view("merchant-1", summary_of(read), NOW)["scope_missing"] == ["write"]
    assert connections.require("merchant-1") == read
    assert written(connections, read) == connections.require("merchant-1")


@every_record
def test_its_next_write_puts_it_into_todays_form(connections: Connections, engine: ClientOf, kind: str) -> None:
    """As a whole, if nobody has done so before: the old attributes are gone, and it is read as it was written."""
    read = stored(connections, engine, kind)

    after = written(connections, read)

    assert connections.require("merchant-1") == after
    (item,) = engine("dynamodb").scan(TableName=connections._name)["Items"]  # noqa: SLF001 - its own table
    assert item.keys() & {*ONLY_EARLIER, "status", "scope", "tags", "failure"} == set()
    assert item["changes"] == {"N": "1"}
    with pytest.raises(Conflict):
        written(connections, read)


def test_an_earlier_record_that_is_gone_is_not_written(connections: Connections, engine: ClientOf) -> None:
    """To change a record that does not exist is a conflict."""
    read = stored(connections, engine, "active")
    key = {"connection_id": {"S": "merchant-1"}}
    engine("dynamodb").delete_item(TableName=connections._name, Key=key)  # noqa: SLF001 - its own table

    with pytest.raises(Conflict):
        written(connections, read)

    assert connections.get("merchant-1") is None


def test_its_work_is_found_and_stays_due_until_it_is_done(connections: Connections, engine: ClientOf) -> None:
    """A sweep that wrote only its times would leave half a record of today's form."""
    read = stored(connections, engine, "active")
    assert read.due_shard is not None
    assert read.due_at is not None
    (page,) = connections.due(read.due_shard, read.due_at, 10)
    assert page == [Due("merchant-1", "acme", 1, read.due_at)]

    with pytest.raises(Conflict):
        connections.postpone(page[0], read.due_at + 3600)

    assert connections.require("merchant-1") == read
    connections.postpone(Due("merchant-1", "acme", 1, written(connections, read).due_at or 0), read.due_at + 3600)


def test_it_is_in_the_list_of_all(connections: Connections, engine: ClientOf) -> None:
    """Each filter that reads the table finds it; an owner's list has it from its next write on."""
    read = stored(connections, engine, "active")

    everybody, provider = (
        [view(each["connection_id"], each, NOW) for each in connections.page(where, 10, None)[0]]
        for where in ({}, {"provider": "acme", "status": "active"})
    )
    owners_before, _ = connections.page({"owner": "owner-1"}, 10, None)
    written(connections, read)
    owners, _ = connections.page({"owner": "owner-1"}, 10, None)

    assert everybody == provider == [view("merchant-1", summary_of(read), NOW)]
    assert owners_before == []
    assert [each["connection_id"] for each in owners] == ["merchant-1"]
    assert connections.page({"status": "revoked"}, 10, None)[0] == []


# Messages


def message(kind: str) -> Obtained:
    """Return an answer that an earlier release has put into the rescue queue, or the log."""
    return obtained_document.from_document(json.loads(MESSAGES[kind]))


def test_an_earlier_message_is_read_as_what_it_was() -> None:
    """In every field that an answer has today."""
    refresh, authorization = message("refresh"), message("authorization")

    for each in (refresh, authorization):
        assert each.tokens.seal == Seal(b"sealed-2", 1, 2)
        assert each.tokens.whose == Whose("acme", None, {"shop": "1"})
        assert (each.connection_id, each.version, each.tokens.scope) == ("merchant-1", 2, "read")
    assert (refresh.holder, refresh.refreshed_from) == ("holder-1", RefreshedFrom("v1", 1))
    assert authorization.authorized
    assert (authorization.request_id, authorization.authorized.tags) == ("request-2", {"tier": "gold"})


OF_THEN = SealedTokens(
    sha256(b"c2VhbGVkLTI=").hexdigest()[:16],
    Seal(b"sealed-2", 1, 2),
    UNKNOWN_CLIENT,
    refreshable=True,
    token_type="Bearer",
    obtained_at=NOW,
    expires_at=NOW + 3600,
    refresh_at=NOW + 3300,
    due_at=NOW + 665280,
    scope="read",
)


def test_nothing_is_lost_of_an_earlier_message() -> None:
    """Everything that it says has a place today; everything else is as in a new one."""
    assert message("refresh") == Obtained(
        "merchant-1", "holder-1", OF_THEN, refreshed_from=RefreshedFrom("v1", 1), request_id=None
    )
    assert message("authorization") == Obtained(
        "merchant-1",
        "request-2",
        replace(OF_THEN, obtained_at=NOW + 40, due_at=NOW + 665320),
        authorized=Authorized("request-2", "owner-1", {"tier": "gold"}, "read"),
        request_id="request-2",
    )


def test_missing_scopes_of_an_earlier_message_are_found_by_comparing_the_texts() -> None:
    """As those of an earlier record are. The answer to a refresh says nothing of what was asked for."""
    document = json.loads(MESSAGES["authorization"])
    document["authorized"]["requested_scope"] = "read write"

    assert obtained_document.from_document(document).tokens.scope_missing == ("write",)
    assert message("refresh").tokens.scope_missing == ()


def test_a_message_of_no_tenant_is_read() -> None:
    """It need not have parameters, nor an origin if it answers a code."""
    document = json.loads(MESSAGES["authorization"])
    del document["parameters"], document["origin"]

    read = obtained_document.from_document(document)

    assert (read.tokens.whose, read.refreshed_from) == (Whose("acme"), None)


@pytest.mark.parametrize("kind", MESSAGES)
def test_it_comes_into_an_earlier_record_once(kind: str) -> None:
    """By the rules of today."""
    read = read_as("leased")

    after = message(kind).decide(read, NOW + 60)

    assert not isinstance(after, Verdict)
    assert after.current
    assert (after.version, after.status, after.current.seal.ciphertext) == (2, Status.ACTIVE, b"sealed-2")
    assert message(kind).decide(after, NOW + 60) is Verdict.STORED


def test_it_is_recognised_in_an_earlier_record() -> None:
    """The code of that time has stored the same answer."""
    assert message("refresh").decide(read_as("refreshed"), NOW + 60) is Verdict.STORED


def test_it_is_revoked_if_the_record_was() -> None:
    """Like any answer to a request from before a revocation."""
    after: Any = message("refresh").decide(read_as("revoked"), NOW + 60)

    assert (after.status, [each.seal.version for each in after.to_revoke]) == (Status.REVOKING, [2])
