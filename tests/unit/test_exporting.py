"""What one call of `export` takes, and where it ends: room, time, outages, and tokens that do not open."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwe as another
from joserfc.jwk import ECKey

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.timing import RESERVE
from functions.vault.grant import refreshes
from functions.vault.grant.life import Status
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage import jwe
from functions.vault.storage.connections import Connections
from functions.vault.usecases.exporting import MOST_CHARACTERS
from tests.unit.samples import NOW, current, with_current
from tests.unit.services import MemoryServices, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection

LAMBDA_TAKES = 6_291_556
"""Bytes of an answer that Lambda hands on."""

LARGE = another.JWERegistry(algorithms=["ECDH-ES", "A256GCM"])
LARGE.max_ciphertext_length = LAMBDA_TAKES
KEY = ec.generate_private_key(ec.SECP256R1())
TO = jwe.recipient(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


class _EndlessTable(Connections):
    """A table that has one more page of the same connection, under other ids."""

    def __init__(self, connection: Connection) -> None:
        self._pages = itertools.count()
        self._connection = connection

    def after(self, _connection_id: str | None, limit: int, _owner: str | None = None) -> Any:
        """Return a page."""
        page = next(self._pages)
        ids = [f"{page:06d}-{number:0121d}" for number in range(limit)]
        return [replace(self._connection, connection_id=each) for each in ids], ids[-1]


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
    connections: list[dict[str, Any]] = document["connections"]
    return connections


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
    ids = [f"shop-{number:02d}" for number in range(30)]
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

    with pytest.raises(TemporarilyUnavailable):
        export(services, RESERVE - 1)


def test_tokens_that_do_not_open_are_named(services: MemoryServices) -> None:
    """One such record does not keep the others back."""
    connected(services, "shop-1", "shop-2")
    broken = services.stored("shop-1")
    seal = replace(current(broken).seal, ciphertext=current(services.stored("shop-2")).seal.ciphertext)
    services.connections.records["shop-1"] = with_current(broken, seal=seal)

    answer = export(services)

    assert answer["left_out"] == [{"connection_id": "shop-1", "reason": "unopened"}]
    assert [each["refresh_token"] for each in opened(answer)] == ["RT of shop-2"]


@pytest.mark.parametrize("lapsed", [False, True])
def test_a_refresh_token_that_may_be_used_up_is_not_exported(services: MemoryServices, *, lapsed: bool) -> None:
    """A refresh is under way with it, or was interrupted, and nobody knows whether the server has another by now."""
    connected(services, "shop")
    leased = refreshes.leased(services.stored("shop"), "holder", NOW + 30, NOW)
    services.connections.records["shop"] = leased
    services.pass_time(40 if lapsed else 0)()

    answer = export(services)

    assert answer["left_out"] == [{"connection_id": "shop", "reason": "unsettled"}]


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
