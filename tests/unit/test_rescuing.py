"""The rescue: a token response from the queue, or from a line of the log, comes into the record after all."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.connection import Status
from functions.vault.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.life import Place
from functions.vault.sealing import SealBroken
from functions.vault.stored_set import RefreshedFrom, Whose
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse, aws_error, down
from tests.unit.samples import BROWSER, authorization_request, validated_response, with_current

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house with a connection at version 1."""
    made = MemoryHouse()
    made.connect()
    return made


def interrupted_refresh(house: MemoryHouse) -> dict[str, Any]:
    """Refresh while the table takes no tokens, and return what the queue got: AT-2 and RT-2, sealed for version 2."""
    house.events.before["change"] = [None, *(down() for _ in range(1000))]
    house.pass_time(3600)()
    assert house.token()["error"] == "temporarily_unavailable"
    house.events.before.clear()
    house.events.calls.clear()
    document: dict[str, Any] = json.loads(house.rescue_queue.messages.pop()["body"])
    return document


def interrupted_consent(house: MemoryHouse, **fields: Any) -> dict[str, Any]:
    """Complete an authorization while the table takes no tokens, and return what the queue got."""
    stored = house.connections.get("merchant-1")
    version, revocations = (stored.version, stored.revocations) if stored else (0, 0)
    request = authorization_request(
        created_at=int(house.now),
        expires_at=int(house.now) + 600,
        connection_version=version,
        connection_revocations=revocations,
        **{"owner": "owner-1", **fields},
    )
    house.authorizations.create(request)
    house.events.before |= {call: [down() for _ in range(1000)] for call in ("change", "create")}
    assert house.completing.complete(validated_response(), house.deadline()).page == "unfinished"
    house.events.before.clear()
    house.events.calls.clear()
    document: dict[str, Any] = json.loads(house.rescue_queue.messages[-1]["body"])
    return document


def rescue(house: MemoryHouse, document: dict[str, Any]) -> dict[str, Any]:
    """Rescue what a document holds."""
    return house.rescuing.rescue(document, house.deadline(300))


def test_a_refresh_comes_into_the_record(house: MemoryHouse) -> None:
    """By one read and one write; KMS is not asked, nobody opens it, and the next caller gets the new token."""
    document = interrupted_refresh(house)

    result = rescue(house, document)

    assert result == {"connection_id": "merchant-1", "status": "active", "version": 2}
    assert house.events.calls == ["get", "change"]
    assert house.tokens() == TokenSet("AT-2", "RT-2")
    assert (house.token()["access_token"], house.server.refresh_tokens) == ("AT-2", ["RT-1"])


@pytest.mark.parametrize("exists", [True, False])
def test_a_consent_comes_into_the_record(house: MemoryHouse, *, exists: bool) -> None:
    """Of a connection that was, and of one that never was; its browser's reload then says that it is connected."""
    if not exists:
        house.connections.records.clear()
    document = interrupted_consent(house, tags={"tier": "gold"})

    result = rescue(house, document)

    assert result["status"] == "active"
    assert (house.stored().authorized_by, house.stored().tags) == (BROWSER.request_id, {"tier": "gold"})
    assert house.tokens() == TokenSet("AT-2", "RT-2")
    assert house.completing.complete(validated_response(), house.deadline()).page == "connected"
    assert house.server.codes == ["CODE-1"]


@pytest.mark.parametrize("obtain", [interrupted_refresh, interrupted_consent])
def test_a_message_that_comes_twice_is_committed_once(
    house: MemoryHouse, obtain: Callable[[MemoryHouse], dict[str, Any]]
) -> None:
    """SQS delivers at least once, and an operator may replay a line of the log over and over."""
    document = obtain(house)
    first = rescue(house, document)
    stored = house.stored()

    again = [rescue(house, document) for _ in range(3)]

    assert again == [first] * 3
    assert house.stored() == stored


def test_a_message_that_comes_after_the_next_refresh_changes_nothing(house: MemoryHouse) -> None:
    """It was committed, and its refresh token has been used since."""
    document = interrupted_refresh(house)
    rescue(house, document)
    house.pass_time(3600)()
    assert house.token()["version"] == 3
    stored = house.stored()

    result = rescue(house, document)

    assert (result["version"], house.stored()) == (3, stored)


def test_a_message_goes_over_what_an_earlier_attempt_left(house: MemoryHouse) -> None:
    """Two attempts were answered, the earlier one's came in first: the later one follows, sealed for its version."""
    first = interrupted_refresh(house)
    house.pass_time(60)()
    second = interrupted_refresh(house)
    assert [each["refreshed_from"] for each in (first, second)] == [
        {"set_id": "set-1", "attempt": attempt} for attempt in (1, 2)
    ]

    results = [rescue(house, first)["version"], rescue(house, second)["version"]]

    assert results == [2, 3]
    assert house.tokens() == TokenSet("AT-3", "RT-3")


def test_a_message_does_not_go_over_what_a_later_attempt_left(house: MemoryHouse) -> None:
    """The other way round the earlier one is vended to nobody; it is kept to be revoked when the connection is."""
    first = interrupted_refresh(house)
    house.pass_time(60)()
    second = interrupted_refresh(house)

    results = [rescue(house, second)["version"], rescue(house, first)["version"]]

    assert results == [2, 2]
    assert house.tokens() == TokenSet("AT-3", "RT-3")
    assert [each.id for each in house.stored().in_place(Place.SUPERSEDED)] == [first["tokens"]["id"]]
    house.revoke()
    assert house.server.revoked == ["RT-3", "AT-3", "RT-2", "AT-2"]


@pytest.mark.parametrize("obtain", [interrupted_refresh, interrupted_consent])
def test_a_message_that_comes_after_a_revocation_brings_nothing_back(
    house: MemoryHouse, obtain: Callable[[MemoryHouse], dict[str, Any]]
) -> None:
    """Its tokens are held for the server, and the next `revoke` shows them to it. What it came from waits."""
    document = obtain(house)
    house.revoke()
    assert house.stored().status is (Status.REVOKING if document["refreshed_from"] else Status.REVOKED)

    result = rescue(house, document)

    assert result["status"] == "revoking"
    assert house.token()["error"] == "connection_revoked"
    assert house.revoke() == "revoked"
    assert {"AT-2", "RT-2"} <= set(house.server.revoked)


def test_a_dead_connection_comes_back_to_life(house: MemoryHouse) -> None:
    """Another attempt used the same refresh token meanwhile and was told that it is dead; what was issued lives."""
    document = interrupted_refresh(house)
    house.connections.records["merchant-1"] = replace(
        with_current(house.stored(), lease=None), status=Status.REAUTHORIZATION_REQUIRED, due_at=None, due_shard=None
    )

    result = rescue(house, document)

    assert result == {"connection_id": "merchant-1", "status": "active", "version": 2}


@pytest.mark.parametrize("call", ["get", "change"])
def test_an_outage_is_waited_for_and_then_left_to_the_queue(house: MemoryHouse, call: str) -> None:
    """The message stays where it is; nothing is queued a second time."""
    document = interrupted_refresh(house)
    house.events.before[call] = [down() for _ in range(10_000)]
    with pytest.raises(TemporarilyUnavailable):
        rescue(house, document)
    assert (house.rescue_queue.messages, house.logged) == ([], [])

    house.events.before[call] = [down() for _ in range(10)]

    assert rescue(house, document)["version"] == 2


def test_a_message_of_before_takes_format_2_on_where_it_is_sealed_again(house: MemoryHouse) -> None:
    """Whose it is nobody noted then, and that is what its new seal says."""
    document = interrupted_consent(house)
    tokens = document["tokens"]
    was = house.stored().leased("holder-9", house.now + 30, house.now)
    after = was.refreshed(house.sealed(TokenSet("AT-9", "RT-9"), 2), RefreshedFrom("set-1", 1), "holder-9", house.now)
    house.connections.records["merchant-1"] = after
    tokens["sealed"] = b64encode(house.sealed_before(TokenSet("AT-2", "RT-2"), 2).ciphertext).decode()
    for name in ("id", "seal", "whose"):
        del tokens[name]
    for name in ("refreshed_from", "request_id"):
        del document[name]

    result = rescue(house, document | {"provider": "acme", "version": 2, "origin": None, "parameters": {}})

    current = house.stored().current
    assert current
    assert (result["version"], house.tokens()) == (3, TokenSet("AT-2", "RT-2"))
    assert (current.seal.format, current.whose) == (2, Whose("acme"))


def test_a_ciphertext_opens_for_its_own_version_only(house: MemoryHouse) -> None:
    """A document that names another asks for a new seal, and KMS refuses to open the old one: nothing is written."""
    document = interrupted_refresh(house)
    stored = house.stored()

    document["tokens"]["seal"]["version"] = 7

    with pytest.raises(SealBroken):
        rescue(house, document)

    assert house.stored() == stored


@pytest.mark.parametrize("document", [{}, {"connection_id": "merchant-1"}, {"obtained": {}}])
def test_what_is_no_such_document_is_refused(house: MemoryHouse, document: dict[str, Any]) -> None:
    """Before anything is read; it goes to the dead letters, or back to the operator."""
    with pytest.raises(InvalidRequest, match="not a token response"):
        rescue(house, document)

    assert house.events.calls == []


def test_a_right_that_is_missing_is_a_defect(house: MemoryHouse) -> None:
    """It is not passed over: the message has to come again."""
    document = interrupted_refresh(house)
    house.events.before["change"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        rescue(house, document)
