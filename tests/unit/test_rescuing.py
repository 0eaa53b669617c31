"""The rescue: a token response from the queue, or from a line of the log, comes into the record after all."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.grant import refreshes
from functions.vault.grant.life import Place, Status
from functions.vault.grant.seal import PENDING, Whose
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import BROWSER, authorization_request, validated_response, with_current
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def services() -> MemoryServices:
    """Give services with a connection at version 1."""
    made = MemoryServices()
    made.connect()
    return made


def interrupted_refresh(services: MemoryServices) -> dict[str, Any]:
    """Refresh while the table takes no tokens, and return what the queue got: AT-2 and RT-2, sealed for version 2."""
    services.events.before["change"] = [None, *(down() for _ in range(1000))]
    services.pass_time(3600)()
    assert services.token()["error"] == "temporarily_unavailable"
    services.events.before.clear()
    services.events.calls.clear()
    document: dict[str, Any] = json.loads(services.rescue_queue.messages.pop()["body"])
    return document


def interrupted_consent(services: MemoryServices, **fields: Any) -> dict[str, Any]:
    """Complete an authorization while the table takes no tokens, and return what the queue got."""
    stored = services.connections.get("merchant-1")
    version, revocations = (stored.version, stored.revocations) if stored else (0, 0)
    request = authorization_request(
        created_at=int(services.now),
        expires_at=int(services.now) + 600,
        connection_version=version,
        connection_revocations=revocations,
        **{"owner": "owner-1", **fields},
    )
    services.authorizations.create(request)
    services.events.before |= {call: [down() for _ in range(1000)] for call in ("change", "create")}
    assert services.completing.complete(validated_response(), services.deadline()).page == "unfinished"
    services.events.before.clear()
    services.events.calls.clear()
    document: dict[str, Any] = json.loads(services.rescue_queue.messages[-1]["body"])
    return document


def rescue(services: MemoryServices, document: dict[str, Any]) -> dict[str, Any]:
    """Rescue what a document holds."""
    return services.rescuing.rescue(document, services.deadline(300))


def test_a_refresh_comes_into_the_record(services: MemoryServices) -> None:
    """By one read and one write, once it has been opened; the next caller gets the new token."""
    document = interrupted_refresh(services)

    result = rescue(services, document)

    assert result == {"connection_id": "merchant-1", "status": "active", "version": 2}
    assert services.events.calls == ["decrypt", "get", "change"]
    assert services.tokens() == TokenSet("AT-2", "RT-2")
    assert (services.token()["access_token"], services.server.refresh_tokens) == ("AT-2", ["RT-1"])


@pytest.mark.parametrize("exists", [True, False])
def test_a_consent_comes_into_the_record(services: MemoryServices, *, exists: bool) -> None:
    """Of a connection that was, and of one that never was; its browser's reload then says that it is connected."""
    if not exists:
        services.connections.records.clear()
    document = interrupted_consent(services, tags={"tier": "gold"})

    result = rescue(services, document)

    assert result["status"] == "active"
    assert (services.stored().authorized_by, services.stored().tags) == (BROWSER.request_id, {"tier": "gold"})
    assert services.tokens() == TokenSet("AT-2", "RT-2")
    assert services.completing.complete(validated_response(), services.deadline()).page == "connected"
    assert services.server.codes == ["CODE-1"]


@pytest.mark.parametrize("obtain", [interrupted_refresh, interrupted_consent])
def test_a_message_that_comes_twice_is_committed_once(
    services: MemoryServices, obtain: Callable[[MemoryServices], dict[str, Any]]
) -> None:
    """SQS delivers at least once, and an operator may replay a line of the log over and over."""
    document = obtain(services)
    first = rescue(services, document)
    stored = services.stored()

    again = [rescue(services, document) for _ in range(3)]

    assert again == [first] * 3
    assert services.stored() == stored


def test_a_message_that_comes_after_the_next_refresh_changes_nothing(services: MemoryServices) -> None:
    """It was committed, and its refresh token has been used since."""
    document = interrupted_refresh(services)
    rescue(services, document)
    services.pass_time(3600)()
    assert services.token()["version"] == 3
    stored = services.stored()

    result = rescue(services, document)

    assert (result["version"], services.stored()) == (3, stored)


def test_a_message_goes_over_what_an_earlier_attempt_left(services: MemoryServices) -> None:
    """Two attempts were answered, the earlier one's came in first: the later one follows, sealed for its version."""
    first = interrupted_refresh(services)
    services.pass_time(60)()
    second = interrupted_refresh(services)
    assert [each["refreshed_from"] for each in (first, second)] == [
        {"set_id": "set-1", "attempt": attempt} for attempt in (1, 2)
    ]

    results = [rescue(services, first)["version"], rescue(services, second)["version"]]

    assert results == [2, 3]
    assert services.tokens() == TokenSet("AT-3", "RT-3")


def test_a_message_does_not_go_over_what_a_later_attempt_left(services: MemoryServices) -> None:
    """The other way round the earlier one is vended to nobody; it is kept to be revoked when the connection is."""
    first = interrupted_refresh(services)
    services.pass_time(60)()
    second = interrupted_refresh(services)

    results = [rescue(services, second)["version"], rescue(services, first)["version"]]

    assert results == [2, 2]
    assert services.tokens() == TokenSet("AT-3", "RT-3")
    assert [each.id for each in services.stored().in_place(Place.SUPERSEDED)] == [first["tokens"]["id"]]
    services.revoke()
    assert services.server.revoked == ["RT-3", "AT-3", "RT-2", "AT-2"]


@pytest.mark.parametrize("obtain", [interrupted_refresh, interrupted_consent])
def test_a_message_that_comes_after_a_revocation_brings_nothing_back(
    services: MemoryServices, obtain: Callable[[MemoryServices], dict[str, Any]]
) -> None:
    """Its tokens are held for the server, and the next `revoke` shows them to it. What it came from waits."""
    document = obtain(services)
    services.revoke()
    assert services.stored().status is (Status.REVOKING if document["refreshed_from"] else Status.REVOKED)

    result = rescue(services, document)

    assert result["status"] == "revoking"
    assert services.token()["error"] == "connection_revoked"
    assert services.revoke() == "revoked"
    assert {"AT-2", "RT-2"} <= set(services.server.revoked)


def test_a_dead_connection_comes_back_to_life(services: MemoryServices) -> None:
    """Another attempt used the same refresh token meanwhile and was refused; what was issued is alive."""
    document = interrupted_refresh(services)
    services.connections.records["merchant-1"] = replace(
        with_current(services.stored(), lease=None), status=Status.REAUTHORIZATION_REQUIRED, due_at=None, due_shard=None
    )

    result = rescue(services, document)

    assert result == {"connection_id": "merchant-1", "status": "active", "version": 2}


@pytest.mark.parametrize("call", ["get", "change"])
def test_an_outage_is_waited_for_and_then_left_to_the_queue(services: MemoryServices, call: str) -> None:
    """The message stays where it is; nothing is queued a second time."""
    document = interrupted_refresh(services)
    services.events.before[call] = [down() for _ in range(10_000)]
    with pytest.raises(TemporarilyUnavailable):
        rescue(services, document)
    assert (services.rescue_queue.messages, services.logged) == ([], [])

    services.events.before[call] = [down() for _ in range(10)]

    assert rescue(services, document)["version"] == 2


def test_a_message_of_before_takes_format_2_on_if_it_is_sealed_again(services: MemoryServices) -> None:
    """Whose it is nobody noted then, and that is what its new seal says."""
    document = interrupted_consent(services)
    tokens = document["tokens"]
    was = refreshes.leased(services.stored(), "holder-9", services.now + 30, services.now)
    after = refreshes.refreshed(
        was, services.sealed(TokenSet("AT-9", "RT-9"), 2), RefreshedFrom("set-1", 1), "holder-9", services.now
    )
    services.connections.records["merchant-1"] = after
    tokens["sealed"] = b64encode(services.sealed_before(TokenSet("AT-2", "RT-2"), 2).ciphertext).decode()
    for name in ("id", "seal", "whose"):
        del tokens[name]
    for name in ("refreshed_from", "request_id"):
        del document[name]

    result = rescue(services, document | {"provider": "acme", "version": 2, "origin": None, "parameters": {}})

    current = services.stored().current
    assert current
    assert (result["version"], services.tokens()) == (3, TokenSet("AT-2", "RT-2"))
    assert (current.seal.format, current.whose) == (2, Whose("acme"))


def changed_ciphertext(tokens: dict[str, Any]) -> None:
    """Change one octet of the ciphertext."""
    ciphertext = bytearray(b64decode(tokens["seal"]["ciphertext"]))
    ciphertext[-1] ^= 1
    tokens["seal"]["ciphertext"] = b64encode(ciphertext).decode()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ciphertext": changed_ciphertext,
    "version": lambda tokens: tokens["seal"].update(version=7),
    "format": lambda tokens: tokens["seal"].update(format=1),
    "key": lambda tokens: tokens["seal"].update(key="another"),
    "set": lambda tokens: tokens.update(id="another"),
    "client": lambda tokens: tokens["whose"].update(client_id="client-2"),
    "origin": lambda tokens: tokens["whose"].update(origins={"token": "https://evil.example"}),
}


@pytest.mark.parametrize("obtain", [interrupted_refresh, interrupted_consent])
@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_open_takes_no_place(
    services: MemoryServices,
    obtain: Callable[[MemoryServices], dict[str, Any]],
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A document that was changed on its way replaces no good tokens. It is answered for, and an alarm fires."""
    document = obtain(services)
    stored, queued = services.stored(), [*services.rescue_queue.messages]
    CHANGES[change](document["tokens"])
    services.events.calls.clear()

    with pytest.raises(InvalidRequest, match="tokens: expected a token response that opens"):
        rescue(services, document)

    assert (services.stored(), services.rescue_queue.messages) == (stored, queued)
    assert set(services.events.calls) <= {"decrypt"}
    assert [(line.levelname, line.__dict__["connection_id"]) for line in caplog.records] == [("ERROR", "merchant-1")]


def test_what_was_sealed_to_wait_is_not_stored_as_what_is_used(services: MemoryServices) -> None:
    """Nor the other way round: a document cannot claim another purpose."""
    document = interrupted_refresh(services)

    with pytest.raises(InvalidRequest, match="does not"):
        rescue(services, document | {"purpose": PENDING})


def test_an_outage_of_kms_is_waited_for(services: MemoryServices) -> None:
    """As one of the table: the message must not be hidden for minutes."""
    document = interrupted_refresh(services)
    services.events.before["decrypt"] = [down() for _ in range(10)]

    assert rescue(services, document)["version"] == 2


@pytest.mark.parametrize(
    ("name", "value"), [("version", "2"), ("version", True), ("version", 0), ("format", None), ("key", 7)]
)
def test_what_cannot_have_been_sealed_is_refused(services: MemoryServices, name: str, value: Any) -> None:
    """It is no such document, whatever else is in it."""
    document = interrupted_refresh(services)
    document["tokens"]["seal"][name] = value

    with pytest.raises(InvalidRequest, match="not a token response"):
        rescue(services, document)


@pytest.mark.parametrize("document", [{}, {"connection_id": "merchant-1"}, {"obtained": {}}])
def test_what_is_no_such_document_is_refused(services: MemoryServices, document: dict[str, Any]) -> None:
    """Before anything is read; it goes to the dead letters, or back to the operator."""
    with pytest.raises(InvalidRequest, match="not a token response"):
        rescue(services, document)

    assert services.events.calls == []


@pytest.mark.parametrize(
    ("way", "value", "named"),
    [
        (("connection_id",), 7, "document.connection_id: expected a text"),
        (("connection_id",), "", "expected a connection_id"),
        (("connection_id",), "a b", "expected a connection_id"),
        (("holder",), "\ud800", "document.holder: expected a text"),
        (("revocations",), True, "document.revocations: expected a whole number"),
        (("purpose",), "other", "purpose: expected gatehouse/tokens or gatehouse/pending"),
        (("refreshed_from",), None, "expected one of refreshed_from and authorized"),
        (("refreshed_from",), {"set_id": "s"}, "refreshed_from.attempt: required"),
        (("refreshed_from",), [7], "refreshed_from: expected an object"),
        (("tokens", "expires_at"), "soon", "tokens.expires_at: expected a whole number from 0, or null"),
        (("tokens", "expires_at"), -1, "tokens.expires_at: expected a whole number"),
        (("tokens", "expires_at"), 1.5, "tokens.expires_at: expected a whole number"),
        (("tokens", "refreshable"), None, "tokens.refreshable: expected true or false"),
        (("tokens", "scope_missing"), [1], "tokens.scope_missing: expected a list of texts"),
        (("tokens", "metadata"), {"a": []}, "tokens.metadata: expected an object of texts, whole numbers and flags"),
        (("tokens", "new"), 1, "tokens.new: unknown field"),
        (("tokens", "scop"), "read", r"tokens.scop: unknown field \(did you mean scope\?\)"),
        (("tokens", "seal", "ciphertext"), "?", "tokens.seal.ciphertext: expected base64"),
        (("tokens", "seal", "version"), None, "tokens.seal.version: expected a whole number from 0"),
        (("tokens", "seal", "version"), 0, "expected version and format of the seal from 1 on"),
        (("tokens", "seal", "format"), 256, "expected version and format of the seal from 1 on"),
        (("tokens", "seal", "key"), "<script>", "tokens.seal.key: expected the name of a KMS key, or null"),
        (("tokens", "whose"), "acme", "tokens.whose: expected an object"),
        (("tokens", "whose", "provider"), "", "expected a connection_id and a provider"),
        (("tokens", "whose", "parameters"), {"shop": 1}, "tokens.whose.parameters: expected an object of texts"),
    ],
)
def test_a_document_with_a_wrong_value_is_refused_by_its_name(
    services: MemoryServices, way: tuple[str, ...], value: Any, named: str
) -> None:
    """It is no defect of ours, and nothing is read or written for it."""
    document = interrupted_refresh(services)
    holder = document
    for name in way[:-1]:
        holder = holder[name]
    holder[way[-1]] = value

    with pytest.raises(InvalidRequest, match=named):
        rescue(services, document)

    assert services.events.calls == []


def test_a_right_that_is_missing_is_a_defect(services: MemoryServices) -> None:
    """It is not passed over: the message has to come again."""
    document = interrupted_refresh(services)
    services.events.before["change"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        rescue(services, document)
