"""Sealing again: what the old key sealed comes under the new one, whoever works with it meanwhile."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import InvalidRequest, TemporarilyUnavailable
from functions.vault.base.timing import RESERVE
from functions.vault.grant import refreshes, revocations
from functions.vault.grant.life import Place, Status
from functions.vault.grant.obtained import Obtained, Verdict
from functions.vault.grant.seal import PENDING, Whose
from functions.vault.grant.stored_set import Pending, RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage.cipher import Cipher
from tests.unit.samples import NOW, WHOSE, current, sealed_tokens, with_current
from tests.unit.services import MemoryServices, down

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import StoredSet

OLD, NEW = "key-1", "key-2"


@pytest.fixture
def services() -> MemoryServices:
    """Give services whose key was changed: the new one seals, and the old one opens."""
    return MemoryServices(NEW, OLD)


def old_cipher(services: MemoryServices) -> Cipher:
    """Return the cipher of the functions as they were before the key was changed."""
    return Cipher(lambda _service: services.kms, OLD, NEW)


def under_old_key(services: MemoryServices, connection_id: str = "merchant-1") -> Connection:
    """Have a stored connection as the old key sealed it."""
    was, cipher = services.stored(connection_id), old_cipher(services)
    sets = tuple(cipher.seal_again(connection_id, each) for each in was.sets)
    services.connections.records[connection_id] = replace(was, sets=sets)
    services.events.calls.clear()
    return services.stored(connection_id)


def connected(services: MemoryServices, *connection_ids: str) -> None:
    """Have connections that the old key sealed."""
    for connection_id in connection_ids:
        services.connect(TokenSet(f"AT of {connection_id}", f"RT of {connection_id}"), connection_id=connection_id)
        under_old_key(services, connection_id)


def reseal(services: MemoryServices, cursor: str | None = None, seconds: float = 60.0, **how: Any) -> dict[str, Any]:
    """Make one call."""
    return services.resealing.reseal(services.deadline(seconds), cursor, **how)


def opened(services: MemoryServices, connection_id: str, held: StoredSet) -> TokenSet:
    """Return the tokens of a set, by the new key alone."""
    return Cipher(lambda _service: services.kms, NEW).open(connection_id, held)


def test_what_the_old_key_sealed_comes_under_the_new_one(services: MemoryServices) -> None:
    """The tokens, the version and the id stay what they are; the old key opens nothing that is left."""
    connected(services, "a", "b", "c")
    before = services.stored("b")

    answer = reseal(services)

    after = services.stored("b")
    assert answer == {
        "key": NEW,
        "connections": 3,
        "resealed": 3,
        "left": 0,
        "unopened": 0,
        "waiting": {"pending": 0, "revoking": 0},
        "keys": {NEW: 3},
    }
    assert opened(services, "b", current(after)) == TokenSet("AT of b", "RT of b")
    assert with_current(after, seal=current(before).seal) == replace(before, changes=before.changes + 1)
    assert current(after).seal.version == current(before).seal.version


def test_what_is_sealed_already_costs_nothing(services: MemoryServices) -> None:
    """A second pass reads, and neither asks KMS nor writes."""
    connected(services, "a", "b")
    reseal(services)
    services.events.calls.clear()

    answer = reseal(services)

    assert (answer["resealed"], answer["left"], answer["keys"]) == (0, 0, {NEW: 2})
    assert services.events.calls == ["after"]


def test_counting_seals_nothing(services: MemoryServices) -> None:
    """It says how many token sets each key still seals, and reads only."""
    connected(services, "a", "b")
    services.connect(connection_id="c")

    answer = services.resealing.count(services.deadline(60))

    assert (answer["connections"], answer["left"], answer["keys"]) == (3, 2, {NEW: 1, OLD: 2})
    assert services.events.calls == ["after"]


def test_every_place_is_sealed_again_and_what_waits_is_counted(services: MemoryServices) -> None:
    """Current, superseded and what is to be revoked; what is sealed to wait this function has no right to open."""
    services.connect()
    was = services.stored()
    sets = {
        "superseded": replace(current(was), id="s", place=Place.SUPERSEDED),
        "revoking": replace(current(was), id="r", place=Place.REVOKING).to_be_revoked(NOW),
    }
    sealed = {name: _sealed(services, each, TokenSet(f"AT-{name}", f"RT-{name}")) for name, each in sets.items()}
    waits = _sealed(services, replace(current(was), id="w"), TokenSet("AT-w"), PENDING)
    pending = replace(waits, place=Place.PENDING, pending=Pending(NOW + 120, NOW, 0))
    ending = replace(waits, id="e", place=Place.REVOKING, pending=Pending(NOW + 120, NOW, 0)).to_be_revoked(NOW)
    services.connections.records["merchant-1"] = replace(
        was, sets=(_sealed(services, current(was), TokenSet("AT-1", "RT-1")), *sealed.values(), pending, ending)
    )

    answer = reseal(services)

    after = services.stored()
    assert (answer["resealed"], answer["left"]) == (3, 2)
    assert answer["waiting"] == {"pending": 1, "revoking": 1}
    assert answer["keys"] == {NEW: 3, OLD: 2}
    assert [each for each in after.sets if each.pending is not None] == [pending, ending]
    for name in sets:
        (held,) = (each for each in after.sets if each.id == name[0])
        assert opened(services, "merchant-1", held) == TokenSet(f"AT-{name}", f"RT-{name}")


def _sealed(
    services: MemoryServices, held: StoredSet, tokens: TokenSet, purpose: str = "gatehouse/tokens"
) -> StoredSet:
    """Return a token set with other tokens, sealed by the old key."""
    sealer = old_cipher(services).prepare("merchant-1", held.seal.version, held.whose, held.id, purpose)
    return replace(held, seal=sealer.seal(tokens))


def test_a_lease_stays_with_its_holder(services: MemoryServices) -> None:
    """A refresh that is under way commits its tokens, sealed again or not: nothing is sent twice, nothing is lost."""
    services.connect()
    under_old_key(services)
    services.pass_time(3600)()
    services.events.before["http"] = [lambda: reseal(services)]

    vended = services.token()

    assert (vended["access_token"], vended["version"]) == ("AT-2", 2)
    assert services.server.refresh_tokens == ["RT-1"]
    assert services.tokens() == TokenSet("AT-2", "RT-2")
    assert current(services.stored()).lease is None


def test_a_lease_and_its_attempts_are_as_they_were(services: MemoryServices) -> None:
    """Whoever comes next knows of the interrupted attempt what its record has said all along."""
    services.connect()
    leased = refreshes.leased(under_old_key(services), "holder-1", NOW + 30, NOW)
    services.connections.records["merchant-1"] = leased

    reseal(services)

    after = current(services.stored())
    assert replace(after, seal=current(leased).seal) == current(leased)


def test_a_write_that_lost_a_race_is_decided_again(services: MemoryServices) -> None:
    """What came first stays, and its token set is sealed again as it is then: with the new lease."""
    services.connect()
    was = under_old_key(services)
    leased = refreshes.leased(was, "holder-1", NOW + 30, NOW)
    services.events.before["change"] = [lambda: services.connections.records.update({"merchant-1": leased})]

    answer = reseal(services)

    after = services.stored()
    assert (answer["resealed"], after.changes) == (1, was.changes + 2)
    assert current(after).lease == current(leased).lease
    assert opened(services, "merchant-1", current(after)) == TokenSet("AT-1", "RT-1")
    assert services.events.calls.count("data_key") == 1, "the seal was good for the second try, too"


def test_what_was_sealed_meanwhile_is_opened_as_it_is_then(services: MemoryServices) -> None:
    """The first try's seal is of other tokens, for another version: it is not used."""
    services.connect()
    was = under_old_key(services)
    sealer = old_cipher(services).prepare("merchant-1", 2, current(was).whose, current(was).id)
    newer = with_current(replace(was, version=2, changes=was.changes + 1), seal=sealer.seal(TokenSet("AT-2", "RT-2")))
    services.events.before["change"] = [lambda: services.connections.records.update({"merchant-1": newer})]

    reseal(services)

    assert current(services.stored()).seal.version == 2
    assert services.tokens() == TokenSet("AT-2", "RT-2")


def test_a_token_set_that_went_meanwhile_is_not_brought_back(services: MemoryServices) -> None:
    """A refresh has replaced it, and sealed its own under the new key."""
    services.connect()
    under_old_key(services)
    services.events.before["change"] = [lambda: (services.pass_time(3600)(), services.token())]

    answer = reseal(services, seconds=9000)

    assert (answer["resealed"], answer["left"], answer["keys"]) == (0, 0, {NEW: 1})
    assert services.tokens() == TokenSet("AT-2", "RT-2")


def test_a_revocation_meanwhile_stays_one(services: MemoryServices) -> None:
    """The token set is sealed again where it is then, and nothing becomes active."""
    services.connect()
    was = under_old_key(services)
    ending = revocations.revoked(was, NOW)
    services.events.before["change"] = [lambda: services.connections.records.update({"merchant-1": ending})]

    reseal(services)

    after = services.stored()
    assert (after.status, [each.place for each in after.sets]) == (Status.REVOKING, [Place.REVOKING])
    assert after.sets[0].seal.key == NEW


@pytest.mark.parametrize("call", ["after", "decrypt", "data_key", "change"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_an_interruption_anywhere_loses_nothing(services: MemoryServices, call: str, side: str) -> None:
    """The pass is made again from its beginning, without a cursor, and ends."""
    connected(services, "a", "b", "c")
    getattr(services.events, side)[call] = [None, down()] if call != "after" else [down()]

    with pytest.raises(TemporarilyUnavailable):
        reseal(services)
    for connection_id in "abc":
        assert services.tokens(connection_id) == TokenSet(f"AT of {connection_id}", f"RT of {connection_id}")
    answer = reseal(services)

    assert (answer["left"], answer["keys"]) == (0, {NEW: 3})
    for connection_id in "abc":
        assert services.tokens(connection_id) == TokenSet(f"AT of {connection_id}", f"RT of {connection_id}")


def test_a_pass_goes_on_where_the_time_was_up(services: MemoryServices) -> None:
    """Each call says what its pass has come to so far, and the last one has no cursor."""
    connected(services, *(f"shop-{number:02d}" for number in range(60)))
    answers = [reseal(services, seconds=20.0, per_second=5)]
    while "cursor" in answers[-1]:
        answers.append(reseal(services, answers[-1]["cursor"], seconds=20.0, per_second=5))

    assert len(answers) > 1
    assert [answer["resealed"] for answer in answers] == sorted(answer["resealed"] for answer in answers)
    assert (answers[-1]["connections"], answers[-1]["resealed"], answers[-1]["left"]) == (60, 60, 0)
    assert answers[-1]["keys"] == {NEW: 60}


def test_no_more_than_so_many_are_sealed_in_a_second(services: MemoryServices) -> None:
    """The pauses are between token sets, and none is longer than a second."""
    connected(services, *"abcdefgh")

    reseal(services, per_second=2)

    assert services.now == NOW + 3.5
    assert max(services.slept) <= 1


def test_a_connection_with_many_token_sets_is_sealed_again_call_by_call(services: MemoryServices) -> None:
    """However slow the pace and short the time: each call gets further."""
    services.connect()
    was = services.stored()
    many = [replace(current(was), id=f"s{n}", place=Place.SUPERSEDED) for n in range(8)]
    sets = [_sealed(services, each, TokenSet(f"AT-{each.id}")) for each in [current(was), *many]]
    services.connections.records["merchant-1"] = replace(was, sets=tuple(sets))
    answer, ended = reseal(services, seconds=17.0, per_second=1), [NOW, services.now]

    while "cursor" in answer:
        answer = reseal(services, answer["cursor"], seconds=17.0, per_second=1)
        ended.append(services.now)

    assert max(after - before for before, after in pairwise(ended)) <= 17 - RESERVE + 1
    assert (answer["connections"], answer["resealed"], answer["keys"]) == (1, 9, {NEW: 9})


def test_a_token_set_that_does_not_open_stops_nothing(
    services: MemoryServices, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and its line in the log says which it is. A key that nobody knows any more is one reason."""
    connected(services, "a", "b", "c")
    strange = replace(current(services.stored("b")).seal, key="key-0")
    services.connections.records["b"] = with_current(services.stored("b"), seal=strange)

    answer = reseal(services)

    assert (answer["resealed"], answer["left"], answer["unopened"]) == (2, 1, 1)
    assert answer["keys"] == {NEW: 2, "key-0": 1}
    (line,) = (record for record in caplog.records if record.message == "a token set does not open")
    assert (line.__dict__["connection_id"], line.__dict__["set_id"]) == ("b", "set-1")


def test_format_1_becomes_format_2_of_nobody_known(services: MemoryServices) -> None:
    """It is compared with no registration, as before, and refreshes as before."""
    services.connect()
    unknown = Whose("acme", None, WHOSE.parameters)
    was = with_current(services.stored(), seal=services.sealed_before(TokenSet("AT-1", "RT-1")), whose=unknown)
    services.connections.records["merchant-1"] = was
    assert services.resealing.count(services.deadline(60))["keys"] == {"unknown": 1}

    answer = reseal(services)

    held = current(services.stored())
    assert answer["keys"] == {NEW: 1}
    assert (held.seal.format, held.seal.key, held.whose) == (2, NEW, unknown)
    services.pass_time(3600)()
    assert services.token()["access_token"] == "AT-2"


def test_an_answer_of_an_earlier_release_is_known_again(services: MemoryServices) -> None:
    """It waits in the queue, although its write took effect, and was sealed again since: it is not stored once more."""
    services.connect(version=2)
    unknown, source = Whose("acme", None, WHOSE.parameters), RefreshedFrom("v1", 1)
    seal = services.sealed_before(TokenSet("AT-2", "RT-2"), version=2)
    was = with_current(services.stored(), id="v2", seal=seal, whose=unknown, refreshed_from=source)
    services.connections.records["merchant-1"] = was
    tokens = replace(sealed_tokens(version=2), id="of its ciphertext", seal=seal, whose=unknown)
    answer = Obtained("merchant-1", "holder-1", tokens, refreshed_from=source, request_id="request-1")
    assert answer.decide(was, NOW) is Verdict.STORED

    reseal(services)

    after = services.stored()
    assert answer.decide(after, NOW) is Verdict.STORED
    another = replace(answer, refreshed_from=RefreshedFrom("v1", 2))
    assert another.decide(after, NOW) is not Verdict.STORED


def test_what_is_read_from_the_record_is_what_the_seal_is_bound_to(services: MemoryServices) -> None:
    """A set that was sealed again and moved to another connection does not open there."""
    connected(services, "a", "b")
    reseal(services)
    moved = with_current(services.stored("b"), seal=current(services.stored("a")).seal)
    services.connections.records["b"] = moved

    services.connections.records["b"] = with_current(moved, seal=replace(current(moved).seal, key=OLD))
    answer = reseal(services)

    assert (answer["unopened"], answer["left"]) == (1, 1)


def test_a_connection_that_waits_for_nothing_keeps_its_times(services: MemoryServices) -> None:
    """When it is due, and for what, does not change."""
    services.connect()
    was = under_old_key(services)

    reseal(services)

    after = services.stored()
    assert (after.due_at, after.due_shard, after.upkeep_at) == (was.due_at, was.due_shard, was.upkeep_at)


@pytest.mark.parametrize(
    "counted",
    [
        "no cursor",
        {},
        {"after": 1, "numbers": {}, "keys": {}},
        {"after": "a b", "numbers": {}, "keys": {}},
        {"after": None, "numbers": {"left": -1}, "keys": {}},
        {"after": None, "numbers": {"left": True}, "keys": {}},
        {"after": None, "numbers": {"left": "1"}, "keys": {}},
        {"after": None, "numbers": {"other": 1}, "keys": {}},
        {"after": None, "numbers": ["left"], "keys": {}},
        {"after": None, "numbers": {}, "keys": {"": 1}},
        {"after": None, "numbers": {}, "keys": {f"key-{n}": 1 for n in range(21)}},
    ],
    ids=str,
)
def test_a_cursor_that_is_none_is_refused(services: MemoryServices, counted: Any) -> None:
    """The error names the field, and nothing is read."""
    connected(services, "a")
    cursor = counted if isinstance(counted, str) else urlsafe_b64encode(json.dumps(counted).encode()).decode()

    with pytest.raises(InvalidRequest, match=r"^cursor: expected"):
        reseal(services, cursor)

    assert services.events.calls == []


def test_a_cursor_holds_no_secret(services: MemoryServices) -> None:
    """It has ids of connections and keys, and numbers."""
    connected(services, *(f"shop-{number:02d}" for number in range(60)))

    cursor = json.loads(urlsafe_b64decode(reseal(services, seconds=20.0, per_second=5)["cursor"]))

    assert cursor.keys() == {"after", "numbers", "keys"}
    assert cursor["after"] in services.connections.records
    assert cursor["keys"].keys() == {NEW}
