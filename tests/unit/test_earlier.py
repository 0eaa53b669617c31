"""Records and messages of earlier releases are read as what they were, and written in today's form."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.grant import obtained_document, revocations
from functions.vault.grant.earlier import ONLY_EARLIER
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.storage.connection_item import summary_of
from functions.vault.storage.due import Due
from functions.vault.storage.table import Conflict
from functions.vault.usecases.listing import view
from tests.unit.earlier_items import MESSAGES, RECORDS
from tests.unit.samples import NOW

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.obtained import Obtained
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


def written(connections: Connections, read: Connection) -> Connection:
    """Return the record after its next write, whatever that is for."""
    after = replace(read, updated_at=NOW + 100, changes=read.changes + 1)
    connections.change(read, after)
    return after


@every_record
def test_an_earlier_record_is_read_as_what_it_was(connections: Connections, engine: ClientOf, kind: str) -> None:
    """One of each kind, as the code of that time wrote it."""
    read = stored(connections, engine, kind)

    sets = [(each.place, each.seal.ciphertext, each.seal.version) for each in read.sets]
    assert (read.status, read.version, sets) == STATES[kind]
    assert {each.seal.format for each in read.sets} <= {1}
    assert all((each.whose.provider, each.whose.client_id) == ("acme", None) for each in read.sets)
    assert len({each.id for each in read.sets}) == len(read.sets)
    item = RECORDS[kind]
    assert read.updated_at == int(item["updated_at"]["N"])
    assert (read.due_at, read.due_shard) == (int(item["due_at"]["N"]) if "due_at" in item else None, read.due_shard)
    assert view("merchant-1", summary_of(read), NOW)["status"] == item["status"]["S"]


def test_nothing_of_it_is_lost(connections: Connections, engine: ClientOf) -> None:
    """The lease and its number, the source of its tokens, its failure, what a server has answered."""
    interrupted = stored(connections, engine, "interrupted").current
    assert interrupted
    assert (interrupted.lease, interrupted.attempts) == (Lease("holder-2", 2, NOW + 90, NOW + 60), 2)
    refreshed = stored(connections, engine, "refreshed").current
    assert refreshed
    assert (refreshed.refreshed_from, refreshed.request_id) == (RefreshedFrom("v1", 1), "request-1")
    failed = stored(connections, engine, "failed")
    assert failed.failure
    assert (failed.failure.code, failed.failure.outcome_unknown) == ("provider_unavailable", True)
    dead = stored(connections, engine, "reauthorization_required")
    assert dead.failure
    assert dead.failure.provider_error
    assert (dead.failure.provider_error.error_description, dead.needs) == ("expired", "reauthorization")
    assert revocations.revoked(dead, NOW).to_revoke[0].was_dead
    assert stored(connections, engine, "revoking what was dead").to_revoke[0].was_dead
    first, late = stored(connections, engine, "revoking several").to_revoke
    assert first.revocation
    assert (first.revocation.open_attempts, first.revoke_at, late.revoke_at) == (0, NOW + 18, NOW + 12)
    assert stored(connections, engine, "revoking").to_revoke[0].revocation != first.revocation
    (end,) = stored(connections, engine, "revoked").revocation
    assert (end.ended_the_grant, end.answers["refresh_token"]["at"]) == (True, NOW + 11)


def test_missing_scopes_are_found_by_comparing_the_texts(connections: Connections, engine: ClientOf) -> None:
    """Earlier records say what was asked for, and not what is missing; the next refresh knows more."""
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


@pytest.mark.parametrize("kind", MESSAGES)
def test_it_comes_into_an_earlier_record_once(connections: Connections, engine: ClientOf, kind: str) -> None:
    """By the rules of today."""
    read = stored(connections, engine, "leased")

    after = message(kind).decide(read, NOW + 60)

    assert not isinstance(after, Verdict)
    assert after.current
    assert (after.version, after.status, after.current.seal.ciphertext) == (2, Status.ACTIVE, b"sealed-2")
    assert message(kind).decide(after, NOW + 60) is Verdict.STORED


@pytest.mark.parametrize("kind", ["refreshed"])
def test_it_is_recognised_in_an_earlier_record(connections: Connections, engine: ClientOf, kind: str) -> None:
    """The code of that time has stored the same answer."""
    assert message("refresh").decide(stored(connections, engine, kind), NOW + 60) is Verdict.STORED


def test_it_is_revoked_if_the_record_was(connections: Connections, engine: ClientOf) -> None:
    """Like any answer to a request from before a revocation."""
    after: Any = message("refresh").decide(stored(connections, engine, "revoked"), NOW + 60)

    assert (after.status, [each.seal.version for each in after.to_revoke]) == (Status.REVOKING, [2])
