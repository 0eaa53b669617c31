"""The two tables: what is written comes back, and nothing is written over what was not read."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.vault.base.errors import (
    ConnectionNotFound,
    ProviderError,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from functions.vault.grant.connection import Connection, RefreshedFrom, Status
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.tokens import TokenSet
from functions.vault.oauth.authorization import MOST_EXCHANGES, MOST_PUSHES, BrowserBinding, Phase, ticket_hash
from functions.vault.storage.authorizations import KEEP_REQUESTS, Authorizations
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.connection_item import summary_of
from functions.vault.storage.connections import Connections
from functions.vault.storage.due import Due
from functions.vault.storage.table import Conflict
from functions.vault.usecases.listing import view
from tests.unit.samples import (
    BROWSER,
    FAILED,
    NOW,
    authorization_request,
    connection,
    sealed_tokens,
    token_response,
    validated_response,
)

SAID = ProviderError("invalid_grant", None, 400)
DENIED = LastAttempt(BROWSER.request_id, NOW, "denied", "access_denied", ProviderError("no", "The user said no", None))


def leased(was: Connection, holder: str = "holder-1") -> Connection:
    """Return the connection with a lease."""
    return was.leased(holder, NOW + 60, NOW + 1)


def refreshed(was: Connection) -> Connection:
    """Return the connection with its next token set."""
    attempt = was.lease.attempt if was.lease else 0
    holder = was.lease.holder if was.lease else "holder-0"
    tokens = sealed_tokens(sealed=b"sealed-%d" % (was.version + 1), version=was.version + 1)
    source = RefreshedFrom(f"sealed-{was.version}", attempt)
    return was.refreshed(tokens, source, holder, NOW + 2)


def returned(was: Connection) -> Connection:
    """Return the connection after an attempt that sent nothing."""
    return was.lease_given_back(NOW + 2)


def told(was: Connection) -> Connection:
    """Return the connection after the server has heard of one of its tokens."""
    claimed = was.to_revoke[0].claimed("holder-3", NOW + 30, NOW + 1, revokes=True)
    heard = claimed.answered("refresh_token", "revoked", NOW + 2)
    return was.revocation_failed(heard, NOW + 2)


def untold(was: Connection) -> Connection:
    """Return the connection after an attempt to tell the server that failed."""
    error = ProviderUnavailable("Down.", outcome_unknown=True, provider_error=SAID)
    return was.revocation_failed(was.to_revoke[0].attempt_failed(error, NOW + 2, 0.5), NOW + 2)


def came_late(was: Connection) -> Connection:
    """Return the connection with tokens that came back after it was revoked."""
    return was.came_after_revocation(sealed_tokens(sealed=b"sealed-late", version=2), None, "request-1", NOW + 2)


def came_beside(was: Connection) -> Connection:
    """Return the connection with tokens that came back after something newer."""
    late = sealed_tokens(sealed=b"sealed-beside", version=2)
    return was.came_late(late, None, "request-1", NOW + 2, RefreshedFrom("sealed-0", 2))


def anew(was: Connection) -> Connection:
    """Return the connection after another consent."""
    tokens = sealed_tokens(sealed=b"sealed-anew-%d" % was.changes)
    return connection(tokens=tokens, version=was.version + 1, before=was, authorized_by="request-2")


def failed(was: Connection) -> Connection:
    """Return the connection after an attempt that failed."""
    return was.refresh_failed(ProviderUnavailable("Down.", provider_error=SAID), NOW + 2, 0.5)


def dead(was: Connection) -> Connection:
    """Return the connection with a dead grant."""
    return was.died(ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 2)


def revoking(was: Connection) -> Connection:
    """Return the connection ended here."""
    return was.revoking(NOW + 2)


def revoked(was: Connection) -> Connection:
    """Return the connection ended at the server too: it was told of the first token set that it had not heard of."""
    was = was if was.to_revoke else was.revoking(NOW + 2)
    return was.revocation_confirmed(was.to_revoke[0].answered("access_token", "revoked", NOW + 2), NOW + 2)


STEPS: list[list[Callable[[Connection], Connection]]] = [
    [],
    [leased],
    [leased, refreshed],
    [leased, refreshed, leased, refreshed],
    [leased, failed],
    [leased, failed, leased, failed],
    [leased, failed, leased, refreshed],
    [leased, lambda was: leased(was, "holder-2")],
    [leased, dead],
    [revoking],
    [leased, revoking],
    [revoking, revoked],
    [leased, failed, revoking, revoked],
    [leased, returned],
    [leased, lambda was: leased(was, "holder-2"), returned],
    [leased, dead, refreshed],
    [leased, dead, revoking],
    [revoking, came_late],
    [revoking, came_late, untold, revoked, revoked],
    [revoking, revoked, came_late, revoked],
    [leased, refreshed, revoking, untold],
    [revoking, told, revoked],
    [revoking, untold, anew, untold, leased, refreshed, revoked],
    [revoking, anew, came_late, revoking, revoked, revoked, revoked],
    [leased, anew, anew, came_beside, leased, refreshed, revoking, revoked, revoked],
]


def id_of(steps: list[Callable[[Connection], Connection]]) -> str:
    """Name a life by its steps."""
    return "-".join(step.__name__ for step in steps) or "authorized"


class _Repeated:
    """A client whose writes are answered 500 and take effect, so that botocore sends each once more."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with contextlib.suppress(ClientError):
                getattr(self._client, operation)(**arguments)
            return getattr(self._client, operation)(**arguments)

        return call


def repeated(engine: ClientOf) -> ClientOf:
    """Return clients that repeat each write."""
    return lambda service: _Repeated(engine(service))


class TestConnections:
    """The table of connections."""

    @pytest.mark.parametrize("steps", STEPS, ids=id_of)
    def test_a_life_is_stored_step_by_step(
        self, connections: Connections, steps: list[Callable[[Connection], Connection]]
    ) -> None:
        """After each step the stored record is that record, to the last field."""
        now = connection(token_response(subject="acct", metadata={"region": "eu"}))
        connections.create(now)
        assert connections.get("merchant-1") == now

        for step in steps:
            was, now = now, step(now)
            connections.change(was, now)
            assert connections.get("merchant-1") == now

    @pytest.mark.parametrize(
        "fields",
        [
            {"owner": None, "parameters": {}, "tags": {}},
            {"response": token_response(expires_at=None, scope=None)},
            {"response": token_response(tokens=TokenSet("AT-1"))},
            {"tokens": sealed_tokens(sealed=bytes(range(256)) * 1000)},
            {"parameters": {"empty": "", "ünï": "🛒"}},
            {"connection_id": "A-Z.a_z:0@9" + "x" * 117},
        ],
    )
    def test_any_record_comes_back_as_it_was(self, connections: Connections, fields: dict[str, Any]) -> None:
        """What is None or empty is not stored, and is None or empty again when it is read."""
        made = connection(**fields)

        connections.create(made)

        assert connections.get(made.connection_id) == made

    def test_what_is_not_there_is_none_or_an_error(self, connections: Connections) -> None:
        """`get` for those who can go on without, `require` for the others."""
        assert connections.get("merchant-1") is None
        with pytest.raises(ConnectionNotFound) as caught:
            connections.require("merchant-1")
        assert caught.value.connection_id == "merchant-1"

    @pytest.mark.parametrize(
        "first",
        [leased, revoking, lambda was: refreshed(leased(was)), failed],
        ids=["leased", "revoked", "refreshed", "failed"],
    )
    @pytest.mark.parametrize("second", [leased, refreshed, failed, dead, revoking, revoked])
    def test_who_read_before_another_wrote_writes_nothing(
        self,
        connections: Connections,
        first: Callable[[Connection], Connection],
        second: Callable[[Connection], Connection],
    ) -> None:
        """Every write is conditional on what it was decided from."""
        read_by_both = connection()
        connections.create(read_by_both)
        connections.change(read_by_both, first(read_by_both))

        with pytest.raises(Conflict):
            connections.change(read_by_both, second(read_by_both))

        assert connections.get("merchant-1") == first(read_by_both)

    @pytest.mark.parametrize("engine", ["moto"], indirect=True)  # the other shows nobody what stood against a write
    def test_a_write_whose_answer_was_lost_is_done(self, connections: Connections, engine: ClientOf) -> None:
        """DynamoDB answered 500 and had written all the same: botocore's repetition meets the write itself."""
        repeating = Connections(repeated(engine), connections._name)  # noqa: SLF001 - its own table

        repeating.create(connection())
        repeating.change(connection(), revoking(connection()))

        assert connections.get("merchant-1") == revoking(connection())

    @pytest.mark.parametrize("engine", ["moto"], indirect=True)
    def test_the_very_same_write_of_another_is_a_conflict(self, connections: Connections, engine: ClientOf) -> None:
        """Two that revoke in the same second write the same, and one of them was first."""
        repeating = Connections(repeated(engine), connections._name)  # noqa: SLF001 - its own table
        connections.create(connection())
        connections.change(connection(), revoking(connection()))

        with pytest.raises(Conflict):
            repeating.create(connection())
        with pytest.raises(Conflict):
            repeating.change(connection(), revoking(connection()))

    def test_only_one_can_take_the_lease(self, connections: Connections) -> None:
        """Two that read the same record: the second is told."""
        read_by_both = connection()
        connections.create(read_by_both)
        connections.change(read_by_both, leased(read_by_both, "holder-1"))

        with pytest.raises(Conflict):
            connections.change(read_by_both, leased(read_by_both, "holder-2"))

        assert connections.require("merchant-1").lease == leased(read_by_both, "holder-1").lease

    @pytest.mark.parametrize("outcome", [refreshed, failed, dead])
    def test_a_holder_that_lost_its_lease_cannot_commit(
        self, connections: Connections, outcome: Callable[[Connection], Connection]
    ) -> None:
        """A stale holder never overwrites what a newer one is doing, or has done."""
        first = leased(connection(), "holder-1")
        second = leased(first, "holder-2")
        connections.create(connection())
        connections.change(connection(), first)
        connections.change(first, second)

        with pytest.raises(Conflict):
            connections.change(first, outcome(first))

        connections.change(second, refreshed(second))
        with pytest.raises(Conflict):
            connections.change(first, outcome(first))

    def test_a_record_that_is_gone_is_not_made_anew(self, connections: Connections) -> None:
        """A change of what does not exist is a conflict, not a half record."""
        with pytest.raises(Conflict):
            connections.change(connection(), leased(connection()))

        assert connections.get("merchant-1") is None

    def test_what_the_server_has_heard_is_written_with_the_end(self, connections: Connections) -> None:
        """A token that was told of, and the revocation's outcome, are one write."""
        ending = revoking(connection())
        connections.create(ending)

        after = ending.revocation_confirmed(ending.to_revoke[0].answered("refresh_token", "revoked", NOW + 2), NOW + 2)
        connections.change(ending, after)

        assert connections.get("merchant-1") == after
        assert after.revocation[0].answers == {"refresh_token": {"answer": "revoked", "at": NOW + 2}}

    def test_an_authorization_goes_over_any_state_of_its_version(self, connections: Connections) -> None:
        """A revoked connection lives again, with nothing left of its first life but when that began."""
        connections.create(connection(token_response(metadata={"old": "1"}, subject="old", refresh_expires_at=NOW)))
        was = connections.require("merchant-1")
        connections.change(was, failed(leased(was)))
        was = connections.require("merchant-1")
        again = sealed_tokens(token_response(scope=None), b"sealed-2", at=NOW + 1000)
        anew = connection(tokens=again, version=2, now=NOW + 1000, before=was, owner=None, tags={})

        connections.change(was, anew)

        assert connections.get("merchant-1") == anew
        assert anew.created_at == NOW

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_a_first_authorization_over_any_other_is_a_conflict(self, connections: Connections, version: int) -> None:
        """Tokens that were stored in the meantime are not lost unseen."""
        connections.create(connection())

        with pytest.raises(Conflict):
            connections.create(connection(tokens=sealed_tokens(sealed=b"other"), version=version))

        assert connections.get("merchant-1") == connection()

    def test_an_authorization_over_another_version_is_a_conflict(self, connections: Connections) -> None:
        """Nor are those of a refresh that came in between."""
        connections.create(connection())
        connections.change(connection(), refreshed(connection()))

        with pytest.raises(Conflict):
            connections.change(
                connection(), connection(tokens=sealed_tokens(sealed=b"other"), version=2, before=connection())
            )

        assert connections.get("merchant-1") == refreshed(connection())

    def test_an_authorization_over_nothing_is_a_first_record(self, connections: Connections) -> None:
        """Over what never was nothing can be changed."""
        with pytest.raises(Conflict):
            connections.change(connection(), connection(version=2, before=connection()))

        assert connections.get("merchant-1") is None

    def test_a_revoked_connection_keeps_no_ciphertext(self, connections: Connections, engine: ClientOf) -> None:
        """Looked at from outside: the attribute is gone, and so is the record's place among what is due."""
        made = connection()
        connections.create(made)
        connections.change(made, revoking(made))
        connections.change(revoking(made), revoked(revoking(made)))

        (item,) = engine("dynamodb").scan(TableName=connections._name)["Items"]  # noqa: SLF001 - its own table

        gone = {"sets", "due_at", "due_shard", "tell_at", "upkeep_at"}
        assert not item.keys() & gone
        assert not item["summary"]["M"].keys() & {"expires_at", "failure"}

    def test_a_list_has_pages(self, connections: Connections) -> None:
        """Every connection is on exactly one page, and the last page says that it is the last."""
        for number in range(7):
            connections.create(connection(connection_id=f"merchant-{number}"))

        found, start, pages = [], None, 0
        while pages == 0 or start is not None:
            page, start = connections.page({}, 3, start)
            assert len(page) <= 3
            found += page
            pages += 1

        assert sorted(each["connection_id"] for each in found) == [f"merchant-{number}" for number in range(7)]

    def test_a_list_can_be_narrowed(self, connections: Connections) -> None:
        """By owner, provider, status, and all of them."""
        mine = connection(connection_id="a", owner="me")
        for made in (
            mine,
            connection(connection_id="b", owner="me", provider="other"),
            connection(connection_id="c", owner="you"),
            connection(connection_id="d", owner=None),
        ):
            connections.create(made)
        connections.change(mine, revoking(mine))

        def ids(**where: str) -> list[str]:
            page, last = connections.page(where, 50, None)
            assert last is None
            return sorted(each["connection_id"] for each in page)

        assert ids() == ["a", "b", "c", "d"]
        assert ids(owner="me") == ["a", "b"]
        assert ids(owner="nobody") == []
        assert ids(provider="other") == ["b"]
        assert ids(status=Status.REVOKING) == ["a"]
        assert ids(owner="me", status="active") == ["b"]
        assert ids(owner="me", provider="acme", status="revoking") == ["a"]

    @pytest.mark.parametrize("where", [{}, {"owner": "owner-1"}])
    def test_a_list_shows_what_there_is_to_know_and_no_ciphertext(
        self, connections: Connections, where: dict[str, str]
    ) -> None:
        """From the index as from the table."""
        made = connection(token_response(subject="acct", metadata={"region": "eu"}, refresh_expires_at=NOW + 9))
        connections.create(made)
        connections.change(made, failed(leased(made)))
        stored = connections.require("merchant-1")

        (listed,), _ = connections.page(where, 50, None)

        assert view("merchant-1", listed, NOW) == view("merchant-1", summary_of(stored), NOW)
        assert "sealed-1" not in str(listed)

    def test_what_needs_a_person_is_listed_by_that(self, connections: Connections) -> None:
        """Whoever's it is, and still among its owner's: each connection is in the index once."""
        for number in range(12):
            owner = (None, "me", "you")[number % 3]
            made = connection(connection_id=f"merchant-{number:02d}", owner=owner)
            connections.create(dead(made) if number % 2 else made)

        def ids(limit: int = 50, **where: str) -> list[str]:
            found, start, reads = [], None, 0
            while reads == 0 or start is not None:
                page, start = connections.page(where, limit, start)
                found += [each["connection_id"] for each in page]
                reads += 1
                assert len(page) <= limit
            return sorted(found)

        needing = [f"merchant-{number:02d}" for number in range(1, 12, 2)]
        mine = [f"merchant-{number:02d}" for number in range(1, 12, 3)]
        assert ids(needs="reauthorization") == ids(1, needs="reauthorization") == needing
        assert ids(needs="confirmation") == []
        assert ids(owner="me") == ids(1, owner="me") == ids(3, owner="me") == mine
        assert ids(owner="me", needs="reauthorization") == sorted({*mine} & {*needing})
        assert ids(owner="me", needs="reauthorization", provider="other") == []
        assert ids(owner="nobody", needs="reauthorization") == []

    def test_what_ends_soon_needs_a_person_from_its_next_write_on(self, connections: Connections) -> None:
        """A list is of what was written; what is shown of a connection is of now."""
        made = connection(token_response(tokens=TokenSet("AT-1")))
        connections.create(made)
        needing: dict[str, str] = {"needs": "reauthorization"}

        before, _ = connections.page(needing, 50, None)
        shown = [view("merchant-1", summary_of(made), now)["needs"] for now in (NOW + 2699, NOW + 2700)]
        connections.change(made, made.ends_soon(NOW + 2700))

        assert (before, shown) == ([], [None, "reauthorization"])
        assert [each["connection_id"] for each in connections.page(needing, 50, None)[0]] == ["merchant-1"]

    def test_a_list_forgets_who_needs_nobody_any_more(self, connections: Connections) -> None:
        """Connected anew, it is in the place where it was before."""
        made = connection()
        connections.create(dead(made))
        read = connections.require("merchant-1")

        connections.change(read, anew(read))

        assert connections.page({"needs": "reauthorization"}, 50, None)[0] == []
        (mine,) = connections.page({"owner": "owner-1"}, 50, None)[0]
        assert (mine["connection_id"], mine["version"]) == ("merchant-1", 2)

    @pytest.mark.parametrize("owner", ["🛒" * 256, "a b", "a", "owner a"])
    def test_an_owner_may_be_called_anything(self, connections: Connections, owner: str) -> None:
        """However long, and like whatever: each is found under its own name alone."""
        connections.create(connection(owner=owner))
        connections.create(dead(connection(connection_id="merchant-2", owner=owner)))

        found, _ = connections.page({"owner": owner}, 50, None)
        others, _ = connections.page({"owner": owner[:-1] or "x"}, 50, None)

        assert sorted(each["connection_id"] for each in found) == ["merchant-1", "merchant-2"]
        assert others == []

    def test_a_rare_match_gives_a_short_page_and_a_way_on(self, connections: Connections) -> None:
        """A filter that matches little costs a bounded number of reads, and loses nothing."""
        for number in range(15):
            connections.create(connection(connection_id=f"merchant-{number}", provider="acme"))
        connections.create(connection(connection_id="the-one", provider="rare"))

        found, start, pages = [], None, 0
        while pages == 0 or start is not None:
            page, start = connections.page({"provider": "rare"}, 1, start)
            found += page
            pages += 1
            assert pages < 10

        assert [each["connection_id"] for each in found] == ["the-one"]


class TestLastAttempt:
    """How the latest attempt to connect ended."""

    def test_an_attempt_in_vain_is_written_beside_what_else_happens(self, connections: Connections) -> None:
        """Whoever has read the record before writes on: what he decided by is as it was."""
        made = connection()
        connections.create(made)

        connections.note_attempt(made.connection_id, DENIED)
        connections.change(made, leased(made))

        assert connections.get(made.connection_id) == replace(leased(made), last_attempt=DENIED)

    def test_a_consent_ends_it(self, connections: Connections) -> None:
        """Then the latest attempt is the one that connected."""
        made = connection()
        connections.create(made)
        connections.note_attempt(made.connection_id, DENIED)
        denied = connections.require(made.connection_id)

        connections.change(denied, anew(denied))

        assert connections.require(made.connection_id).last_attempt is None

    def test_an_attempt_makes_no_connection(self, connections: Connections) -> None:
        """Where none was ever made, the request alone has it."""
        with pytest.raises(Conflict):
            connections.note_attempt("nobody", DENIED)

        assert connections.get("nobody") is None


class TestDue:
    """The index of what is due."""

    def test_what_is_due_is_found_and_nothing_else(self, connections: Connections) -> None:
        """In its shard, when its time has come: what is due later, or never, costs nothing."""
        alive = connection(tokens=replace(sealed_tokens(), due_at=NOW + 100))
        connections.create(alive)
        connections.create(replace(alive, connection_id="later", due_at=NOW + 101))
        connections.create(replace(alive, connection_id="never", due_at=None, due_shard=None))
        connections.create(replace(alive, connection_id="elsewhere", due_shard="other"))
        connections.create(replace(alive, connection_id="ending", due_at=NOW, tell_at=NOW, version=7))
        assert alive.due_shard is not None

        assert list(connections.due(alive.due_shard, NOW - 1, 10)) == [[]]
        (page,) = connections.due(alive.due_shard, NOW + 100, 10)

        assert page == [
            Due("ending", "acme", 7, NOW, NOW),
            Due("merchant-1", "acme", 1, NOW + 100),
        ]
        assert [due.is_revocation for due in page] == [True, False]

    def test_what_is_due_comes_in_pages(self, connections: Connections) -> None:
        """None is too long, and each connection is on one of them."""
        for number in range(7):
            connections.create(replace(connection(), connection_id=f"merchant-{number}", due_shard="3", due_at=NOW))

        pages = list(connections.due("3", NOW, 3))

        assert max(len(page) for page in pages) <= 3
        assert sorted(due.connection_id for page in pages for due in page) == [f"merchant-{n}" for n in range(7)]

    def test_work_that_was_handed_on_is_due_later(self, connections: Connections) -> None:
        """Only that changes."""
        made = replace(connection(), due_at=NOW, upkeep_at=NOW)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        assert connections.get("merchant-1") == replace(made, due_at=NOW + 3600, upkeep_at=NOW + 3600, changes=2)

    def test_to_tell_a_server_later_does_not_put_off_a_refresh(self, connections: Connections) -> None:
        """Nor the other way round."""
        tells = replace(connection(), due_at=NOW, upkeep_at=NOW + 10, tell_at=NOW)
        refreshes = replace(tells, connection_id="merchant-2", upkeep_at=NOW, tell_at=NOW + 3700)
        for made in (tells, refreshes):
            connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW, NOW), NOW + 3600)
        connections.postpone(Due("merchant-2", "acme", 1, NOW, NOW + 3700), NOW + 7200)

        assert connections.get("merchant-1") == replace(tells, due_at=NOW + 3600, changes=2)
        then = {"due_at": NOW + 3700, "upkeep_at": NOW + 7200, "changes": 2}
        assert connections.get("merchant-2") == replace(refreshes, **then)  # type: ignore[arg-type]

    @pytest.mark.parametrize("upkeep_at", [NOW + 10, None])
    def test_to_ask_for_an_account_later_does_not_put_off_a_refresh(
        self, connections: Connections, upkeep_at: int | None
    ) -> None:
        """Nor bring one on: the record knows what of it was due."""
        made = replace(connection(), due_at=NOW, upkeep_at=upkeep_at)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        assert connections.get("merchant-1") == replace(made, due_at=NOW + 3600, changes=2)

    def test_who_has_read_before_work_was_handed_on_reads_again(self, connections: Connections) -> None:
        """Every write counts, also one that knows nothing of the rest."""
        made = replace(connection(), due_at=NOW, upkeep_at=NOW)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        with pytest.raises(Conflict):
            connections.change(made, leased(made))

    @pytest.mark.parametrize(
        "seen", [{"version": 2}, {"tell_at": NOW}, {"due_at": NOW - 1}, {"connection_id": "merchant-2"}]
    )
    def test_what_has_moved_on_is_not_postponed(self, connections: Connections, seen: dict[str, Any]) -> None:
        """A refresh, or another sweep, was first: its time stands. What is gone is not made anew."""
        made = replace(connection(), due_at=NOW)
        connections.create(made)

        with pytest.raises(Conflict):
            connections.postpone(replace(Due("merchant-1", "acme", 1, NOW), **seen), NOW + 3600)

        assert connections.get("merchant-1") == made
        assert connections.get("merchant-2") is None


class TestAuthorizations:
    """The table of authorization requests."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {
                "issuer": "https://acme.example",
                "iss_required": True,
                "scope": "read write",
                "return_to": "https://app.example/?x=1",
                "owner": "owner-1",
                "parameters": {"shop": ""},
                "tags": {"tier": "gold"},
                "pkce": False,
                "connection_version": 7,
            },
        ],
    )
    def test_a_request_comes_back_as_it_was(self, authorizations: Authorizations, fields: dict[str, Any]) -> None:
        """To the last field."""
        request = authorization_request(**fields)

        authorizations.create(request)

        assert authorizations.get(request.request_id) == request
        assert authorizations.get("x" * 22) is None

    def test_a_request_is_stored_with_its_end(self, authorizations: Authorizations, engine: ClientOf) -> None:
        """TTL cleans up a day after; the ticket and what the browser holds are nowhere in it."""
        authorizations.create(authorization_request())

        (item,) = engine("dynamodb").scan(TableName=authorizations._name)["Items"]  # noqa: SLF001 - its own table

        assert item["ttl"] == {"N": str(NOW + 600 + KEEP_REQUESTS)}
        for secret in (BROWSER.ticket_secret, BROWSER.nonce, BROWSER.state, BROWSER.code_verifier):
            assert secret not in str(item)

    def test_a_write_that_was_repeated_is_no_defect(self, authorizations: Authorizations) -> None:
        """The first answer was lost, and the AWS SDK sent it again: `start` goes on, and the request is as it was."""
        authorizations.create(authorization_request())

        authorizations.create(authorization_request())

        assert authorizations.get(BROWSER.request_id) == authorization_request()

    def test_a_request_is_consumed_once(self, authorizations: Authorizations) -> None:
        """The first response gets the request as it was stored; the second, whoever brings it, gets nothing."""
        authorizations.create(authorization_request())
        response = validated_response()

        taken = authorizations.consume(response, "holder-1", NOW + 1)

        assert taken == authorization_request(
            phase=Phase.CONSUMED,
            consumed_by="holder-1",
            consumed_at=NOW + 1,
            used_states=frozenset({response.state_hash}),
            exchanges=1,
        )
        with pytest.raises(Conflict):
            authorizations.consume(response, "holder-2", NOW + 1)
        assert authorizations.get(BROWSER.request_id) == taken

    def test_only_the_hash_of_a_state_is_kept(self, authorizations: Authorizations, engine: ClientOf) -> None:
        """What is stored of a response lets nobody repeat it."""
        authorizations.create(authorization_request())
        authorizations.consume(validated_response(iss="https://acme.example"), "holder-1", NOW)

        item = str(engine("dynamodb").scan(TableName=authorizations._name)["Items"])  # noqa: SLF001 - its own table

        assert validated_response().state_hash in item
        for secret in (BROWSER.state, BROWSER.state[23:], BROWSER.ticket_secret, BROWSER.nonce, "CODE-1"):
            assert secret not in item

    @pytest.mark.parametrize(
        ("stored", "brought", "now"),
        [
            ({}, {}, NOW + 2400),
            ({}, {}, NOW + 10_000),
            ({"ticket_hash": ticket_hash("T" * 43)}, {}, NOW),
            ({"provider": "other"}, {}, NOW),
            ({"phase": Phase.CONSUMED}, {}, NOW),
            ({"used_states": frozenset({validated_response().state_hash}), "phase": Phase.FAILED}, {}, NOW),
            ({"exchanges": MOST_EXCHANGES, "phase": Phase.FAILED}, {}, NOW),
            ({"issuer": "https://acme.example"}, {"iss": "https://evil.example"}, NOW),
            ({"issuer": "https://acme.example"}, {"iss": "https://acme.example/"}, NOW),
            ({"issuer": "https://acme.example", "iss_required": True}, {}, NOW),
            ({"issuer": "https://acme.example", "iss_required": True}, {"iss": "https://evil.example"}, NOW),
        ],
        ids=[
            "expired",
            "long expired",
            "another ticket",
            "another provider",
            "consumed",
            "state used before",
            "five codes exchanged",
            "another issuer",
            "almost the issuer",
            "issuer missing",
            "issuer required and another",
        ],
    )
    def test_what_does_not_fit_consumes_nothing(
        self, authorizations: Authorizations, stored: dict[str, Any], brought: dict[str, Any], now: float
    ) -> None:
        """The user's own response can still come."""
        request = authorization_request(**stored)
        authorizations.create(request)

        with pytest.raises(Conflict):
            authorizations.consume(validated_response(**brought), "holder-1", now)

        assert authorizations.get(BROWSER.request_id) == request

    @pytest.mark.parametrize(
        ("stored", "brought"),
        [
            ({}, {"iss": "https://acme.example"}),
            ({"issuer": "https://acme.example"}, {}),
            ({"issuer": "https://acme.example"}, {"iss": "https://acme.example"}),
            ({"issuer": "https://acme.example", "iss_required": True}, {"iss": "https://acme.example"}),
        ],
        ids=["issuer not configured", "issuer not sent", "issuer fits", "required issuer fits"],
    )
    def test_an_issuer_that_fits_is_let_through(
        self, authorizations: Authorizations, stored: dict[str, Any], brought: dict[str, Any]
    ) -> None:
        """RFC 9207 section 2.4."""
        authorizations.create(authorization_request(**stored))

        taken = authorizations.consume(validated_response(**brought), "holder-1", NOW + 2399.9)

        assert taken.phase is Phase.CONSUMED

    def test_a_request_that_is_not_there_is_not_consumed(self, authorizations: Authorizations) -> None:
        """And not made by trying."""
        with pytest.raises(Conflict):
            authorizations.consume(validated_response(), "holder-1", NOW)

        assert authorizations.get(BROWSER.request_id) is None

    def test_a_failure_opens_the_request_for_another_state_alone(self, authorizations: Authorizations) -> None:
        """The user may try again, with a new nonce; the response that failed stays used."""
        authorizations.create(authorization_request())
        first, again = validated_response(), validated_response(BrowserBinding(BROWSER.request_id, "t" * 43, "N" * 43))
        taken = authorizations.consume(first, "holder-1", NOW)

        authorizations.reopen(taken, FAILED)

        reopened = authorizations.get(BROWSER.request_id)
        assert reopened == replace(taken, phase=Phase.FAILED, outcome=FAILED.error, last_attempt=FAILED)
        with pytest.raises(Conflict):
            authorizations.consume(first, "holder-2", NOW)
        second = authorizations.consume(again, "holder-3", NOW)
        states = frozenset({first.state_hash, again.state_hash})
        assert second == replace(
            reopened, phase=Phase.CONSUMED, consumed_by="holder-3", used_states=states, exchanges=2, outcome=None
        )

    @pytest.mark.parametrize("exchanges", [0, MOST_EXCHANGES])
    def test_a_no_uses_nothing_up(self, authorizations: Authorizations, exchanges: int) -> None:
        """Who declines costs the server nothing, and may think better of it: the same state may bring a code yet."""
        authorizations.create(authorization_request(exchanges=exchanges))

        response = validated_response(code=None, error="access_denied")
        declined = [authorizations.fail(response, DENIED, NOW) for _ in range(2)]

        stored = authorization_request(
            exchanges=exchanges, phase=Phase.FAILED, outcome="access_denied", last_attempt=DENIED
        )
        assert [*declined, authorizations.get(BROWSER.request_id)] == [stored] * 3
        if exchanges < MOST_EXCHANGES:
            assert authorizations.consume(validated_response(), "holder-1", NOW).exchanges == 1

    def test_a_no_does_not_undo_what_a_code_does(self, authorizations: Authorizations) -> None:
        """Neither while it is exchanged, nor with a state that brought one."""
        authorizations.create(authorization_request())
        taken = authorizations.consume(validated_response(), "holder-1", NOW)

        with pytest.raises(Conflict):
            authorizations.fail(validated_response(code=None), DENIED, NOW)
        assert authorizations.get(BROWSER.request_id) == taken
        reopened = authorizations.reopen(taken, FAILED)
        with pytest.raises(Conflict):
            authorizations.fail(validated_response(code=None), DENIED, NOW)
        assert authorizations.get(BROWSER.request_id) == reopened

    def test_a_request_is_pushed_a_few_times(self, authorizations: Authorizations) -> None:
        """Each is counted before it is sent, and changes nothing else."""
        authorizations.create(authorization_request())

        for _ in range(MOST_PUSHES):
            authorizations.count_push(authorization_request())

        with pytest.raises(Conflict):
            authorizations.count_push(authorization_request())
        assert authorizations.get(BROWSER.request_id) == authorization_request(pushes=MOST_PUSHES)

    def test_what_was_refused_is_noted_and_changes_nothing_else(self, authorizations: Authorizations) -> None:
        """Its words are kept for who operates this; the true answer may come as before."""
        authorizations.create(authorization_request())

        authorizations.note_attempt(authorization_request(), DENIED)

        assert authorizations.get(BROWSER.request_id) == authorization_request(last_attempt=DENIED)
        with pytest.raises(Conflict):
            authorizations.note_attempt(authorization_request(ticket_hash=ticket_hash("T" * 43)), FAILED)

    def test_a_request_from_before_exchanges_were_counted_has_none(
        self, authorizations: Authorizations, engine: ClientOf
    ) -> None:
        """Its link was opened before this version was deployed."""
        authorizations.create(authorization_request())
        engine("dynamodb").update_item(
            TableName=authorizations._name,  # noqa: SLF001 - its own table
            Key={"request_id": {"S": BROWSER.request_id}},
            UpdateExpression="REMOVE exchanges",
        )

        assert authorizations.consume(validated_response(), "holder-1", NOW).exchanges == 1

    def test_only_who_consumed_a_request_can_reopen_it(self, authorizations: Authorizations) -> None:
        """A latecomer does not undo what another is doing."""
        authorizations.create(authorization_request())
        taken = authorizations.consume(validated_response(), "holder-1", NOW)

        with pytest.raises(Conflict):
            authorizations.reopen(replace(taken, consumed_by="holder-2"), FAILED)

        assert authorizations.get(BROWSER.request_id) == taken


class _Failing:
    """A DynamoDB that answers every call with one error."""

    def __init__(self, code: str, status: int) -> None:
        answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        self._error = ClientError(answer, "GetItem")

    def get_item(self, **_arguments: Any) -> Any:
        """Fail."""
        raise self._error


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("ProvisionedThroughputExceededException", 400),
        ("InternalServerError", 500),
        ("New", 503),
    ],
)
def test_an_outage_of_dynamodb_is_temporary(code: str, status: int) -> None:
    """The caller may try again."""
    with pytest.raises(TemporarilyUnavailable, match="DynamoDB") as caught:
        Connections(lambda _service: _Failing(code, status), "connections").get("merchant-1")

    assert caught.value.retry_after == 1


def test_any_other_error_of_dynamodb_is_a_defect() -> None:
    """A missing table or right is nothing that waiting helps against."""
    with pytest.raises(ClientError):
        Connections(lambda _service: _Failing("ResourceNotFoundException", 400), "connections").get("merchant-1")


class _Noting:
    """A DynamoDB without any items, which notes how it is asked for them."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """Find nothing."""
        self.asked.append(arguments)
        return {}


def test_every_read_of_a_record_is_consistent() -> None:
    """No decision is made from an old record. Emulated engines cannot show that, so the request is looked at."""
    dynamodb = _Noting()

    Connections(lambda _service: dynamodb, "connections").get("merchant-1")
    Authorizations(lambda _service: dynamodb, "authorizations").get("r" * 22)

    assert [asked["ConsistentRead"] for asked in dynamodb.asked] == [True, True]
