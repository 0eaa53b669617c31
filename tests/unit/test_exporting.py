"""What one call of `export` takes, and where it ends: room, time, outages, and tokens that do not open."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwe as another
from joserfc.jwk import ECKey

from functions.vault.base.errors import InvalidRequest, ReauthorizationRequired, TemporarilyUnavailable
from functions.vault.base.timing import RESERVE
from functions.vault.grant import consents, refreshes, revocations
from functions.vault.grant.life import Place, Status
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage import jwe
from functions.vault.storage.connections import Connections
from functions.vault.usecases.exporting import MOST_CHARACTERS
from tests.unit.samples import NOW, WHOSE, current, sealed_tokens, token_response, with_current
from tests.unit.services import MemoryServices, down

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.connection import Connection

LAMBDA_TAKES = 6_291_556
"""Bytes of an answer that Lambda hands on."""

LARGE = another.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
LARGE.max_ciphertext_length = LAMBDA_TAKES
KEY = ec.generate_private_key(ec.SECP256R1())
TO = jwe.recipient(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


class _EndlessTable(Connections):
    """A table that has one more page of the same connections, whose ids are as long as ids may be."""

    def __init__(self, connection: Connection) -> None:
        self._page = [replace(connection, connection_id=f"{number:0128d}") for number in range(25)]

    def after(self, _connection_id: str | None, limit: int, _owner: str | None = None) -> Any:
        """Return a page."""
        return self._page[:limit], self._page[-1].connection_id


@pytest.fixture
def services() -> MemoryServices:
    """Give services that have no connections yet."""
    return MemoryServices()


def connected(services: MemoryServices, *connection_ids: str, **fields: Any) -> None:
    """Have these connections."""
    for each in connection_ids:
        services.connect(TokenSet(f"AT of {each}", f"RT of {each}"), connection_id=each, **fields)


def export(services: MemoryServices, seconds: float = 60.0, **how: Any) -> dict[str, Any]:
    """Make one call."""
    return services.exporting.export(TO, services.deadline(seconds), **how)


def opened(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what an answer exports."""
    if "jwe" not in answer:
        return []
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sealed = another.decrypt_compact(answer["jwe"], ECKey.import_key(pem), registry=LARGE)
    assert sealed.plaintext is not None
    document = json.loads(sealed.plaintext)
    assert document.keys() == {"exported_at", "connections"}
    assert isinstance(document["exported_at"], int)
    connections: list[dict[str, Any]] = document["connections"]
    return connections


def dead(was: Connection) -> Connection:
    """Return a connection whose grant was refused."""
    return refreshes.refused(was, ReauthorizationRequired("Gone."), NOW)


def interrupted(was: Connection) -> Connection:
    """Return a connection with a refresh under way that follows an interrupted one."""
    return refreshes.leased(refreshes.leased(was, "holder-1", NOW + 30, NOW), "holder-2", NOW + 70, NOW + 40)


def until_whole(services: MemoryServices, seconds: float = 60.0, **how: Any) -> list[dict[str, Any]]:
    """Make calls until all connections were read, and return their answers."""
    answers = [export(services, seconds, **how)]
    while "cursor" in answers[-1]:
        answers.append(export(services, seconds, cursor=answers[-1]["cursor"], **how))
    return answers


def test_a_call_holds_the_rate(services: MemoryServices) -> None:
    """KMS serves callers at the same time."""
    connected(services, *(f"shop-{number}" for number in range(40)))

    export(services, per_second=10)

    assert services.now - NOW == pytest.approx(3.9, abs=0.5)


def test_a_call_ends_when_its_time_is_up(services: MemoryServices) -> None:
    """It keeps what it has, and the next one goes on after it: each connection is exported once."""
    ids = [f"shop-{number:02d}" for number in range(60)]
    connected(services, *ids)

    answers = until_whole(services, RESERVE + 2, per_second=10)

    assert [each["connection_id"] for answer in answers for each in opened(answer)] == ids
    assert len(answers) == 3
    assert {answer["exported"] for answer in answers[:-1]} <= {20, 21, 22}


def test_an_answer_is_never_larger_than_lambda_takes(services: MemoryServices) -> None:
    """However much of a connection there is: DynamoDB holds 400 KB of each."""
    ids = [f"shop-{number:02d}" for number in range(14)]
    connected(services, *ids)
    for each in ids:
        large = replace(services.stored(each), metadata={"notes": "x" * 350_000})
        services.connections.records[each] = large

    answers = until_whole(services, per_second=100)

    assert [each["connection_id"] for answer in answers for each in opened(answer)] == ids
    sizes = [len(json.dumps(answer)) for answer in answers]
    assert all(MOST_CHARACTERS * 0.9 < size < LAMBDA_TAKES for size in sizes[:-1])
    assert sizes[-1] < LAMBDA_TAKES


def test_what_is_left_out_takes_room_too(services: MemoryServices) -> None:
    """A table of dead connections is not answered at once either."""
    connected(services, "shop")
    endless = _EndlessTable(replace(services.stored("shop"), status=Status.REAUTHORIZATION_REQUIRED))
    exporting = replace(services.exporting, connections=endless)

    first = exporting.export(TO, services.deadline(60))

    assert "cursor" in first
    assert MOST_CHARACTERS * 0.9 < len(json.dumps(first)) < LAMBDA_TAKES


@pytest.mark.parametrize(("call", "is_first"), [("after", True), ("decrypt", True), ("decrypt", False)])
def test_an_outage_takes_nothing_from_what_was_exported(services: MemoryServices, call: str, *, is_first: bool) -> None:
    """If there is nothing yet, the same call is to be made again; else the answer has a cursor."""
    connected(services, "shop-1", "shop-2", "shop-3")
    services.events.before[call] = [down()] if is_first else [None, down()]

    if is_first:
        with pytest.raises(TemporarilyUnavailable):
            export(services)
        answers = until_whole(services)
    else:
        answers = until_whole(services)

    found = [each["connection_id"] for answer in answers for each in opened(answer)]
    assert found == ["shop-1", "shop-2", "shop-3"]
    assert len(answers) == (1 if is_first else 2)


def test_without_time_for_anything_nothing_is_answered(services: MemoryServices) -> None:
    """An answer without a cursor would say that all were read."""
    connected(services, "shop")

    with pytest.raises(TemporarilyUnavailable, match="no time for any connection: make the same call again") as late:
        export(services, RESERVE - 1)

    assert late.value.retry_after == 1


def test_tokens_that_do_not_open_are_named(services: MemoryServices) -> None:
    """One such record does not keep the others back."""
    connected(services, "shop-1", "shop-2")
    broken = services.stored("shop-1")
    seal = replace(current(broken).seal, ciphertext=current(services.stored("shop-2")).seal.ciphertext)
    services.connections.records["shop-1"] = with_current(broken, seal=seal)

    answer = export(services)

    assert answer["left_out"] == [{"connection_id": "shop-1", "reason": "unopened"}]
    assert [each["refresh_token"] for each in opened(answer)] == ["RT of shop-2"]


@pytest.mark.parametrize(
    ("make", "seconds", "reason"),
    [
        (lambda was: refreshes.leased(was, "holder", NOW + 30, NOW), 0, "unsettled"),
        (lambda was: refreshes.leased(was, "holder", NOW + 30, NOW), 40, "unsettled"),
        (lambda was: refreshes.leased(was, "holder", NOW + 30, NOW, waiting=True), 0, "unsettled"),
        (lambda was: refreshes.leased(was, "holder", NOW + 30, NOW, waiting=True), 40, None),
        (lambda was: refreshes.lease_given_back(interrupted(was), NOW + 41), 42, "unsettled"),
        (lambda was: refreshes.lease_ended(interrupted(was)), 42, None),
        (lambda was: replace(was, status=Status.UNCONFIRMED), 0, "unproved"),
        (dead, 0, "reauthorization_required"),
        (lambda was: revocations.revoked(was, NOW), 0, "revoking"),
        (lambda was: with_current(was, refreshable=False), 3599, None),
        (lambda was: with_current(was, refreshable=False), 3600, "expired"),
    ],
    ids=[
        "a refresh is under way",
        "it was interrupted",
        "it waits for a slot",
        "it has waited for one",
        "nothing was sent since an interruption",
        "its outcome was found",
        "imported and not proved",
        "refused",
        "being revoked",
        "not refreshable, alive",
        "not refreshable, expired",
    ],
)
def test_what_may_be_used_up_or_is_of_no_use_is_not_exported(
    services: MemoryServices, make: Callable[[Connection], Connection], seconds: int, reason: str | None
) -> None:
    """While a refresh is under way, or was interrupted, nobody knows whether the server has another token by now."""
    connected(services, "shop")
    services.connections.records["shop"] = make(services.stored("shop"))
    services.pass_time(seconds)()

    answer = export(services)

    assert answer["left_out"] == ([] if reason is None else [{"connection_id": "shop", "reason": reason}])
    assert answer["exported"] == int(reason is None)
    place = "revoking" if reason == "revoking" else "current"
    assert answer["token_sets_left"] == ({} if reason is None else {place: 1})


def test_an_access_token_that_has_run_out_is_left_behind(services: MemoryServices) -> None:
    """The refresh token is what the grant goes on with."""
    connected(services, "shop")
    (before,) = opened(export(services))
    services.pass_time(3601)()

    (exported,) = opened(export(services))

    assert before["access_token"] == "AT of shop"
    assert exported == {name: value for name, value in before.items() if name not in {"access_token", "expires_at"}}


@pytest.mark.parametrize("cursor", ["", "?", "Li4vLi4v", "\u00e4", "c2hvcA"])
def test_a_cursor_that_is_none_is_refused(services: MemoryServices, cursor: str) -> None:
    """Nothing is read for it."""
    connected(services, "shop")

    with pytest.raises(InvalidRequest, match="cursor: expected the cursor of an earlier answer"):
        export(services, cursor=cursor)

    assert services.events.calls == []


def test_a_connection_is_exported_as_an_import_takes_it(
    services: MemoryServices, caplog: pytest.LogCaptureFixture
) -> None:
    """Without what it does not have; and a line in the log names it, its provider and the key."""
    # given
    connected(services, "shop-1", owner="owner-1", parameters={}, tags={})
    connected(services, "shop-2", owner="owner-2")
    account: dict[str, Any] = {"subject": "account-2", "metadata": {"region": "eu"}}
    services.connections.records["shop-2"] = replace(services.stored("shop-2"), **account)

    # when
    with caplog.at_level("INFO", "gatehouse"):
        answer = export(services)

    # then
    about = {"provider": "acme", "expires_at": NOW + 3600, "scope": "read"}
    tokens = [{"access_token": f"AT of {each}", "refresh_token": f"RT of {each}"} for each in ("shop-1", "shop-2")]
    more = {"owner": "owner-2", "parameters": {"shop": "1"}, "tags": {"tier": "gold"}, **account}
    assert opened(answer) == [
        {"connection_id": "shop-1", "owner": "owner-1", **about, **tokens[0]},
        {"connection_id": "shop-2", **about, **tokens[1], **more},
    ]
    del answer["jwe"]
    assert answer == {"exported": 2, "left_out": [], "token_sets_left": {}, "key": TO.thumbprint}
    lines = [vars(line) for line in caplog.records]
    assert [(line["message"], line["connection_id"], line["provider"], line["key"]) for line in lines] == [
        ("exported", each, "acme", TO.thumbprint) for each in ("shop-1", "shop-2")
    ]


def test_with_nothing_to_export_nothing_is_encrypted(services: MemoryServices) -> None:
    """What would be opened has nothing in it."""
    assert export(services) == {"exported": 0, "left_out": [], "token_sets_left": {}, "key": TO.thumbprint}


def test_a_kept_refresh_token_is_exported_beside_the_newer_access_token(services: MemoryServices) -> None:
    """A later consent of the same account has brought none; what an earlier one has left is counted, by its place."""
    # given
    connected(services, "shop")
    before = replace(services.stored("shop"), subject="account-1")
    sealer = services.new_cipher().prepare("shop", 2, WHOSE, "set-2")
    online = sealed_tokens(token_response(tokens=TokenSet("AT-2"), subject="account-1"), sealer)
    about: dict[str, Any] = {"authorized_by": "request-2", "owner": "owner-1", "parameters": {"shop": "1"}, "tags": {}}
    keeping = consents.consented("shop", "acme", online, NOW, before=before, **about)
    left = replace(sealed_tokens(sealed=b"left").stored("request-0"), place=Place.SUPERSEDED)
    services.connections.records["shop"] = replace(keeping, sets=(*keeping.sets, left))

    # when
    answer = export(services)

    # then
    (exported,) = opened(answer)
    assert (exported["access_token"], exported["refresh_token"]) == ("AT-2", "RT of shop")
    assert answer["token_sets_left"] == {"superseded": 1}


@pytest.mark.parametrize(("owner", "reads"), [(None, 3), ("owner-1", 1)])
def test_one_owners_connections_are_looked_for_in_larger_pages(
    services: MemoryServices, owner: str | None, reads: int
) -> None:
    """Most of a page may be others': those are read for nothing."""
    connected(services, *(f"shop-{number}" for number in range(30)), owner="owner-2")
    connected(services, *(f"shop-{number}" for number in range(30, 60)), owner="owner-1")

    answer = export(services, owner=owner, per_second=100)

    assert services.events.calls.count("after") == reads
    assert {each.get("owner") for each in opened(answer)} == ({owner} if owner else {"owner-1", "owner-2"})
    assert answer["exported"] == (30 if owner else 60)


def test_a_seal_that_does_not_open_is_said_in_the_log(
    services: MemoryServices, caplog: pytest.LogCaptureFixture
) -> None:
    """Which connection it is, and why."""
    connected(services, "shop")
    services.connections.records["shop"] = replace(services.stored("shop"), version=2)

    export(services)

    (line,) = [vars(line) for line in caplog.records]
    assert (line["name"], line["levelname"]) == ("gatehouse", "WARNING")
    assert (line["message"], line["connection_id"]) == ("a token set does not open", "shop")
    assert line["description"] == "The current token set is of another version or provider than the connection."
