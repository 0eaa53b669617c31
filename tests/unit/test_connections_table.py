"""The table of connections: what is written is read again, and nothing overwrites what was not read."""

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
)
from functions.vault.grant import late_answers, refreshes, revocations
from functions.vault.grant.connection import Connection
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.life import Status
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.storage.aws import ClientOf
from functions.vault.storage.connection_item import connection_item, summary_of
from functions.vault.storage.connections import Connections
from functions.vault.storage.due import Due
from functions.vault.storage.table import Conflict
from functions.vault.usecases.listing import view
from tests.breadth import combinations
from tests.unit.samples import (
    BROWSER,
    NOW,
    connection,
    sealed_tokens,
    token_response,
)

REFUSAL = ProviderError("invalid_grant", None, 400)
DENIED = LastAttempt(BROWSER.request_id, NOW, "denied", "access_denied", ProviderError("no", "The user said no", None))


def leased(was: Connection, holder: str = "holder-1") -> Connection:
    """Return the connection with a lease."""
    return refreshes.leased(was, holder, NOW + 60, NOW + 1)


def refreshed(was: Connection) -> Connection:
    """Return the connection with its next token set."""
    attempt = was.lease.attempt if was.lease else 0
    holder = was.lease.holder if was.lease else "holder-0"
    tokens = sealed_tokens(sealed=b"sealed-%d" % (was.version + 1), version=was.version + 1)
    source = RefreshedFrom(f"sealed-{was.version}", attempt)
    return refreshes.refreshed(was, tokens, source, holder, NOW + 2)


def lease_given_back(was: Connection) -> Connection:
    """Return the connection after an attempt that sent nothing."""
    return refreshes.lease_given_back(was, NOW + 2)


def partly_revoked(was: Connection) -> Connection:
    """Return the connection after the server has revoked one of its tokens."""
    claimed = was.to_revoke[0].claimed("holder-3", NOW + 30, NOW + 1, revokes=True)
    answered = claimed.answered("refresh_token", "revoked", NOW + 2)
    return revocations.revocation_failed(was, answered, NOW + 2)


def revocation_failed(was: Connection) -> Connection:
    """Return the connection after an attempt to revoke its tokens that failed."""
    error = ProviderUnavailable("Down.", outcome_unknown=True, provider_error=REFUSAL)
    return revocations.revocation_failed(was, was.to_revoke[0].attempt_failed(error, NOW + 2, 0.5), NOW + 2)


def came_late(was: Connection) -> Connection:
    """Return the connection with tokens that came back after it was revoked."""
    return late_answers.came_after_revocation(
        was, sealed_tokens(sealed=b"sealed-late", version=2), None, "request-1", NOW + 2
    )


def came_beside(was: Connection) -> Connection:
    """Return the connection with tokens that came back after newer ones."""
    late = sealed_tokens(sealed=b"sealed-beside", version=2)
    return late_answers.came_late(was, late, None, "request-1", NOW + 2, RefreshedFrom("sealed-0", 2))


def reconnected(was: Connection) -> Connection:
    """Return the connection after another consent."""
    tokens = sealed_tokens(sealed=b"sealed-again-%d" % was.changes)
    return connection(tokens=tokens, version=was.version + 1, before=was, authorized_by="request-2")


def failed(was: Connection) -> Connection:
    """Return the connection after an attempt that failed."""
    return refreshes.refresh_failed(was, ProviderUnavailable("Down.", provider_error=REFUSAL), NOW + 2, 0.5)


def dead(was: Connection) -> Connection:
    """Return the connection with a dead grant."""
    return refreshes.refused(was, ReauthorizationRequired("Gone.", provider_error=REFUSAL), NOW + 2)


def revoking(was: Connection) -> Connection:
    """Return the connection revoked at Gatehouse."""
    return revocations.revoked(was, NOW + 2)


def revoked(was: Connection) -> Connection:
    """Return the connection after the server has revoked the first token set that was left."""
    was = was if was.to_revoke else revocations.revoked(was, NOW + 2)
    return revocations.revocation_confirmed(was, was.to_revoke[0].answered("access_token", "revoked", NOW + 2), NOW + 2)


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
    [leased, lease_given_back],
    [leased, lambda was: leased(was, "holder-2"), lease_given_back],
    [leased, dead, refreshed],
    [leased, dead, revoking],
    [revoking, came_late],
    [revoking, came_late, revocation_failed, revoked, revoked],
    [revoking, revoked, came_late, revoked],
    [leased, refreshed, revoking, revocation_failed],
    [revoking, partly_revoked, revoked],
    [revoking, revocation_failed, reconnected, revocation_failed, leased, refreshed, revoked],
    [revoking, reconnected, came_late, revoking, revoked, revoked, revoked],
    [leased, reconnected, reconnected, came_beside, leased, refreshed, revoking, revoked, revoked],
]


def id_of(steps: list[Callable[[Connection], Connection]]) -> str:
    """Name a sequence of steps."""
    return "-".join(step.__name__ for step in steps) or "authorized"


class _Repeated:
    """A client whose writes take effect but are answered with 500, so that botocore sends each of them twice."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with contextlib.suppress(ClientError):
                getattr(self._client, operation)(**arguments)
            return getattr(self._client, operation)(**arguments)

        return call


def repeated(engine: ClientOf) -> ClientOf:
    """Return clients that send each write twice."""
    return lambda service: _Repeated(engine(service))


class TestConnections:
    """The table of connections."""

    @pytest.mark.parametrize("steps", STEPS, ids=id_of)
    def test_each_step_of_a_connections_life_is_stored(
        self, connections: Connections, steps: list[Callable[[Connection], Connection]]
    ) -> None:
        """After each step the stored connection equals the one in memory, in every field."""
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
    def test_any_connection_is_read_as_it_was_written(self, connections: Connections, fields: dict[str, Any]) -> None:
        """What is None or empty is not stored, and is None or empty again when it is read."""
        made = connection(**fields)

        connections.create(made)

        assert connections.get(made.connection_id) == made

    def test_a_connection_that_does_not_exist_is_none_or_an_error(self, connections: Connections) -> None:
        """`get` is for callers that can go on without it, `require` for all others."""
        assert connections.get("merchant-1") is None
        with pytest.raises(ConnectionNotFound) as caught:
            connections.require("merchant-1")
        assert caught.value.connection_id == "merchant-1"

    @pytest.mark.parametrize(
        ("second", "first"),
        combinations(
            [leased, refreshed, failed, dead, revoking, revoked],
            [leased, revoking, lambda was: refreshed(leased(was)), failed],
        ),
    )
    def test_a_write_based_on_an_old_read_is_a_conflict(
        self,
        connections: Connections,
        first: Callable[[Connection], Connection],
        second: Callable[[Connection], Connection],
    ) -> None:
        """Every write is conditional on the state that it was decided from."""
        read_by_both = connection()
        connections.create(read_by_both)
        connections.change(read_by_both, first(read_by_both))

        with pytest.raises(Conflict):
            connections.change(read_by_both, second(read_by_both))

        assert connections.get("merchant-1") == first(read_by_both)

    @pytest.mark.parametrize("engine", ["moto"], indirect=True)  # dynalite does not return the failed item
    def test_a_write_whose_answer_was_lost_counts_as_done(self, connections: Connections, engine: ClientOf) -> None:
        """DynamoDB wrote, but answered 500: what makes botocore's second try fail is the first one."""
        repeating = Connections(repeated(engine), connections._name)  # noqa: SLF001 - its own table

        repeating.create(connection())
        repeating.change(connection(), revoking(connection()))

        assert connections.get("merchant-1") == revoking(connection())

    @pytest.mark.parametrize("engine", ["moto"], indirect=True)
    def test_an_identical_write_by_another_call_is_a_conflict(self, connections: Connections, engine: ClientOf) -> None:
        """Two calls that revoke in the same second write the same attributes. Only the first succeeds."""
        repeating = Connections(repeated(engine), connections._name)  # noqa: SLF001 - its own table
        connections.create(connection())
        connections.change(connection(), revoking(connection()))

        with pytest.raises(Conflict):
            repeating.create(connection())
        with pytest.raises(Conflict):
            repeating.change(connection(), revoking(connection()))

    def test_only_one_call_can_take_the_lease(self, connections: Connections) -> None:
        """If two calls read the same record, the second to write gets a conflict."""
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
        """It never overwrites what a newer holder is doing or has done."""
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

    def test_a_change_does_not_create_a_record(self, connections: Connections) -> None:
        """Changing a connection that does not exist is a conflict, and leaves no partial item."""
        with pytest.raises(Conflict):
            connections.change(connection(), leased(connection()))

        assert connections.get("merchant-1") is None

    def test_the_servers_answers_are_stored_with_the_end_of_the_revocation(self, connections: Connections) -> None:
        """What the server answered for a token and the outcome of the revocation are one write."""
        ending = revoking(connection())
        connections.create(ending)

        after = revocations.revocation_confirmed(
            ending, ending.to_revoke[0].answered("refresh_token", "revoked", NOW + 2), NOW + 2
        )
        connections.change(ending, after)

        assert connections.get("merchant-1") == after
        assert after.revocation[0].answers == {"refresh_token": {"answer": "revoked", "at": NOW + 2}}

    def test_a_new_consent_replaces_any_state(self, connections: Connections) -> None:
        """Nothing is left of the connection's earlier state, except when it was created."""
        connections.create(connection(token_response(metadata={"old": "1"}, subject="old", refresh_expires_at=NOW)))
        was = connections.require("merchant-1")
        connections.change(was, failed(leased(was)))
        was = connections.require("merchant-1")
        again = sealed_tokens(token_response(scope=None), b"sealed-2", at=NOW + 1000)
        now = connection(tokens=again, version=2, now=NOW + 1000, before=was, owner=None, tags={})

        connections.change(was, now)

        assert connections.get("merchant-1") == now
        assert now.created_at == NOW

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_creating_a_connection_that_exists_is_a_conflict(self, connections: Connections, version: int) -> None:
        """Tokens that were stored in the meantime are not overwritten."""
        connections.create(connection())

        with pytest.raises(Conflict):
            connections.create(connection(tokens=sealed_tokens(sealed=b"other"), version=version))

        assert connections.get("merchant-1") == connection()

    def test_a_consent_based_on_an_old_version_is_a_conflict(self, connections: Connections) -> None:
        """The tokens of a refresh in the meantime are not overwritten."""
        connections.create(connection())
        connections.change(connection(), refreshed(connection()))

        with pytest.raises(Conflict):
            connections.change(
                connection(), connection(tokens=sealed_tokens(sealed=b"other"), version=2, before=connection())
            )

        assert connections.get("merchant-1") == refreshed(connection())

    def test_a_consent_over_a_connection_that_does_not_exist_is_a_conflict(self, connections: Connections) -> None:
        """It has to be created."""
        with pytest.raises(Conflict):
            connections.change(connection(), connection(version=2, before=connection()))

        assert connections.get("merchant-1") is None

    def test_a_revoked_connection_keeps_no_ciphertext(self, connections: Connections, engine: ClientOf) -> None:
        """The attribute is gone from the item, and so are its keys in the index of due work."""
        made = connection()
        connections.create(made)
        connections.change(made, revoking(made))
        connections.change(revoking(made), revoked(revoking(made)))

        (item,) = engine("dynamodb").scan(TableName=connections._name)["Items"]  # noqa: SLF001 - its own table

        gone = {"sets", "due_at", "due_shard", "tell_at", "upkeep_at"}
        assert not item.keys() & gone
        assert not item["summary"]["M"].keys() & {"expires_at", "failure"}

    def test_a_list_comes_in_pages(self, connections: Connections) -> None:
        """Every connection is on exactly one page, and the last page has no cursor."""
        for number in range(7):
            connections.create(connection(connection_id=f"merchant-{number}"))

        found, start, pages = [], None, 0
        while pages == 0 or start is not None:
            page, start = connections.page({}, 3, start)
            assert len(page) <= 3
            found += page
            pages += 1

        assert sorted(each["connection_id"] for each in found) == [f"merchant-{number}" for number in range(7)]

    def test_a_list_can_be_filtered(self, connections: Connections) -> None:
        """By owner, provider, status, and any combination."""
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

    @pytest.mark.parametrize("owner", [None, "me"])
    def test_a_list_can_be_filtered_by_tags(self, connections: Connections, owner: str | None) -> None:
        """A connection has to have all of them, each with its value, however they are called."""
        for name, tags in {
            "a": {"plan": "gold", "eu.west:1": ""},
            "b": {"plan": "gold"},
            "c": {"plan": "silver", "size": "gold"},
            "d": {},
        }.items():
            connections.create(connection(connection_id=name, owner=owner, tags=tags))

        def ids(**tags: str) -> list[str]:
            where = {"tag": tags} | ({"owner": owner} if owner else {})
            return sorted(each["connection_id"] for each in connections.page(where, 50, None)[0])

        assert ids(plan="gold") == ["a", "b"]
        assert ids(plan="gold", **{"eu.west:1": ""}) == ["a"]
        assert ids(plan="gold", size="gold") == ids(plan="go") == ids(gold="plan") == ids(eu="west:1") == []

    @pytest.mark.parametrize("owner", [None, "me"])
    def test_a_list_has_what_ends_before_a_time(self, connections: Connections, owner: str | None) -> None:
        """It ends with its refresh token, or with its access token if nothing refreshes that; not if it has ended."""
        ends = NOW + 1000
        by_refresh_token = token_response(expires_at=NOW + 3600, refresh_expires_at=ends)
        by_access_token = token_response(tokens=TokenSet("AT-1"), expires_at=ends)
        for name, response in {
            "refresh": by_refresh_token,
            "access": by_access_token,
            "goes-on": token_response(expires_at=ends),
            "nobody-knows": token_response(tokens=TokenSet("AT-1"), expires_at=None),
        }.items():
            connections.create(connection(response, connection_id=name, owner=owner))
        for number, response in enumerate((by_refresh_token, by_access_token)):
            connections.create(dead(connection(response, connection_id=f"dead-{number}", owner=owner)))
            connections.create(revoking(connection(response, connection_id=f"revoking-{number}", owner=owner)))

        def ids(at: int) -> list[str]:
            where = {"expiring_before": at} | ({"owner": owner} if owner else {})
            return sorted(each["connection_id"] for each in connections.page(where, 50, None)[0])

        assert (ids(ends), ids(ends + 1)) == ([], ["access", "refresh"])

    def test_what_a_kept_refresh_token_refreshes_ends_with_that(self, connections: Connections) -> None:
        """The access token beside it is refreshed as long as the kept one lives."""
        before = connection(token_response(subject="account", refresh_expires_at=NOW + 9000))
        without = sealed_tokens(token_response(tokens=TokenSet("AT-2"), subject="account"), b"sealed-2", version=2)
        connections.create(connection(tokens=without, version=2, before=before))

        ends = [connections.page({"expiring_before": at}, 50, None)[0] for at in (NOW + 9000, NOW + 9001)]

        assert [[each["connection_id"] for each in found] for found in ends] == [[], ["merchant-1"]]

    @pytest.mark.parametrize("owner", [None, "me"])
    def test_a_read_that_finds_more_than_the_page_takes_loses_none(
        self, connections: Connections, owner: str | None
    ) -> None:
        """If few match, later reads look at more, and may find many at once."""
        kinds = [*("common",) * 12, *("rare",) * 3] * 3
        for number, provider in enumerate(kinds):
            made = connection(connection_id=f"merchant-{number:02d}", provider=provider, owner=owner)
            connections.create(dead(made) if number % 7 == 0 else made)
        where = {"provider": "rare"} | ({"owner": owner} if owner else {})

        for limit in (1, 2, 5, 100):
            found, start, pages = [], None, 0
            while pages == 0 or start is not None:
                page, start = connections.page(where, limit, start)
                assert len(page) <= limit
                found += [each["connection_id"] for each in page]
                pages += 1

            assert sorted(found) == [f"merchant-{number:02d}" for number, kind in enumerate(kinds) if kind == "rare"]

    @pytest.mark.parametrize("where", [{}, {"owner": "owner-1"}])
    def test_a_list_shows_everything_but_the_ciphertext(self, connections: Connections, where: dict[str, str]) -> None:
        """Whether it is read from the index or from the table."""
        made = connection(token_response(subject="acct", metadata={"region": "eu"}, refresh_expires_at=NOW + 9))
        connections.create(made)
        connections.change(made, failed(leased(made)))
        stored = connections.require("merchant-1")

        (listed,), _ = connections.page(where, 50, None)

        assert view("merchant-1", listed, NOW) == view("merchant-1", summary_of(stored), NOW)
        assert "sealed-1" not in str(listed)

    def test_connections_that_need_a_person_have_lists_of_their_own(self, connections: Connections) -> None:
        """Their owners' lists have them, too, although the index has each connection once."""
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
        assert ids(status="reauthorization_required") == ids(1, status="reauthorization_required") == needing
        assert ids(owner="me", status="reauthorization_required") == sorted({*mine} & {*needing})
        assert ids(needs="confirmation", status="reauthorization_required") == []

    def test_a_connection_that_ends_soon_is_listed_after_its_next_write(self, connections: Connections) -> None:
        """A list is as of the last write, but what is shown of a connection is as of now."""
        made = connection(token_response(tokens=TokenSet("AT-1")))
        connections.create(made)
        needing: dict[str, str] = {"needs": "reauthorization"}

        before, _ = connections.page(needing, 50, None)
        shown = [view("merchant-1", summary_of(made), now)["needs"] for now in (NOW + 2699, NOW + 2700)]
        connections.change(made, refreshes.ends_soon(made, NOW + 2700))

        assert (before, shown) == ([], [None, "reauthorization"])
        assert [each["connection_id"] for each in connections.page(needing, 50, None)[0]] == ["merchant-1"]

    def test_a_connection_that_is_reconnected_leaves_the_list(self, connections: Connections) -> None:
        """It returns to its owner's list."""
        made = connection()
        connections.create(dead(made))
        read = connections.require("merchant-1")

        connections.change(read, reconnected(read))

        assert connections.page({"needs": "reauthorization"}, 50, None)[0] == []
        (mine,) = connections.page({"owner": "owner-1"}, 50, None)[0]
        assert (mine["connection_id"], mine["version"]) == ("merchant-1", 2)

    @pytest.mark.parametrize(
        "was", [connection(), dead(connection()), failed(leased(connection())), revoking(connection())]
    )
    def test_a_lease_is_no_write_to_the_index(self, was: Connection) -> None:
        """DynamoDB writes an entry of an index only if that changes; a refresh takes a lease, and then has a result."""
        later = NOW + 500
        if was.to_revoke:
            (token_set,) = was.to_revoke
            claimed = token_set.claimed("holder-1", later + 60, later, revokes=True)
            began = revocations.revocation_began(was, claimed)
            after = [began, refreshes.lease_ended_aside(began, token_set)]
        else:
            waiting = refreshes.leased(was, "holder-1", later + 60, later, waiting=True)
            begun = refreshes.got_slot(waiting, later + 90)
            ended = [refreshes.lease_given_back(begun, later + 2), refreshes.lease_ended(begun)]
            after = [waiting, begun, *ended]

        projected = ("summary", "listed_in", "listed_as")
        as_listed = [{name: connection_item(each)[name] for name in projected} for each in (was, *after)]

        assert as_listed == [as_listed[0]] * len(as_listed)
        assert [each.changes for each in after[:2]] == [was.changes + 1, was.changes + 2]

    @pytest.mark.parametrize("owner", ["🛒" * 256, "a b", "a", "owner a"])
    def test_an_owner_can_have_any_name(self, connections: Connections, owner: str) -> None:
        """However long it is, and whatever it looks like, it finds only its own connections."""
        connections.create(connection(owner=owner))
        connections.create(dead(connection(connection_id="merchant-2", owner=owner)))

        found, _ = connections.page({"owner": owner}, 50, None)
        others, _ = connections.page({"owner": owner[:-1] or "x"}, 50, None)

        assert sorted(each["connection_id"] for each in found) == ["merchant-1", "merchant-2"]
        assert others == []

    def test_a_rare_match_gives_a_short_page_and_a_cursor(self, connections: Connections) -> None:
        """A filter that matches few connections costs a bounded number of reads for a page, and misses none."""
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
    """How the last attempt to connect ended."""

    def test_a_failed_attempt_does_not_disturb_other_writes(self, connections: Connections) -> None:
        """A call that read the record before can still write, because nothing that it decided by has changed."""
        made = connection()
        connections.create(made)

        connections.note_attempt(made.connection_id, DENIED)
        connections.change(made, leased(made))

        assert connections.get(made.connection_id) == replace(leased(made), last_attempt=DENIED)

    def test_a_consent_removes_the_failed_attempt(self, connections: Connections) -> None:
        """The last attempt is then the one that connected."""
        made = connection()
        connections.create(made)
        connections.note_attempt(made.connection_id, DENIED)
        denied = connections.require(made.connection_id)

        connections.change(denied, reconnected(denied))

        assert connections.require(made.connection_id).last_attempt is None

    def test_a_failed_attempt_creates_no_connection(self, connections: Connections) -> None:
        """If there is none yet, only the authorization request has the attempt."""
        with pytest.raises(Conflict):
            connections.note_attempt("nobody", DENIED)

        assert connections.get("nobody") is None


class TestDue:
    """The index of due work."""

    def test_only_due_work_is_found(self, connections: Connections) -> None:
        """In its shard, once its time has come. Connections that are due later or never cost nothing."""
        alive = connection(tokens=replace(sealed_tokens(), due_at=NOW + 100))
        connections.create(alive)
        connections.create(replace(alive, connection_id="later", due_at=NOW + 101))
        connections.create(replace(alive, connection_id="never", due_at=None, due_shard=None))
        connections.create(replace(alive, connection_id="elsewhere", due_shard="other"))
        connections.create(replace(alive, connection_id="ending", due_at=NOW, revocation_due_at=NOW, version=7))
        assert alive.due_shard is not None

        assert list(connections.due(alive.due_shard, NOW - 1, 10)) == [[]]
        (page,) = connections.due(alive.due_shard, NOW + 100, 10)

        assert page == [
            Due("ending", "acme", 7, NOW, NOW),
            Due("merchant-1", "acme", 1, NOW + 100),
        ]
        assert [due.is_revocation for due in page] == [True, False]

    def test_due_work_comes_in_pages(self, connections: Connections) -> None:
        """No page is too long, and each connection is on one of them."""
        for number in range(7):
            connections.create(replace(connection(), connection_id=f"merchant-{number}", due_shard="3", due_at=NOW))

        pages = list(connections.due("3", NOW, 3))

        assert max(len(page) for page in pages) <= 3
        assert sorted(due.connection_id for page in pages for due in page) == [f"merchant-{n}" for n in range(7)]

    def test_queued_work_is_due_again_later(self, connections: Connections) -> None:
        """Nothing else changes."""
        made = replace(connection(), due_at=NOW, upkeep_at=NOW)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        assert connections.get("merchant-1") == replace(made, due_at=NOW + 3600, upkeep_at=NOW + 3600, changes=2)

    def test_postponing_a_revocation_does_not_postpone_a_refresh(self, connections: Connections) -> None:
        """Nor does postponing a refresh postpone a revocation."""
        revokes = replace(connection(), due_at=NOW, upkeep_at=NOW + 10, revocation_due_at=NOW)
        refreshes = replace(revokes, connection_id="merchant-2", upkeep_at=NOW, revocation_due_at=NOW + 3700)
        for made in (revokes, refreshes):
            connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW, NOW), NOW + 3600)
        connections.postpone(Due("merchant-2", "acme", 1, NOW, NOW + 3700), NOW + 7200)

        assert connections.get("merchant-1") == replace(revokes, due_at=NOW + 3600, changes=2)
        then = {"due_at": NOW + 3700, "upkeep_at": NOW + 7200, "changes": 2}
        assert connections.get("merchant-2") == replace(refreshes, **then)  # type: ignore[arg-type]

    @pytest.mark.parametrize("upkeep_at", [NOW + 10, None])
    def test_postponing_a_question_about_the_account_does_not_postpone_a_refresh(
        self, connections: Connections, upkeep_at: int | None
    ) -> None:
        """Nor does it cause one: the record says which of the two was due."""
        made = replace(connection(), due_at=NOW, upkeep_at=upkeep_at)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        assert connections.get("merchant-1") == replace(made, due_at=NOW + 3600, changes=2)

    def test_postponing_counts_as_a_change(self, connections: Connections) -> None:
        """A call that read the record before it has to read it again."""
        made = replace(connection(), due_at=NOW, upkeep_at=NOW)
        connections.create(made)

        connections.postpone(Due("merchant-1", "acme", 1, NOW), NOW + 3600)

        with pytest.raises(Conflict):
            connections.change(made, leased(made))

    @pytest.mark.parametrize(
        "seen", [{"version": 2}, {"revocation_due_at": NOW}, {"due_at": NOW - 1}, {"connection_id": "merchant-2"}]
    )
    def test_work_that_has_changed_is_not_postponed(self, connections: Connections, seen: dict[str, Any]) -> None:
        """If a refresh or another sweep was first, its time stands. A connection that is gone is not created again."""
        made = replace(connection(), due_at=NOW)
        connections.create(made)

        with pytest.raises(Conflict):
            connections.postpone(replace(Due("merchant-1", "acme", 1, NOW), **seen), NOW + 3600)

        assert connections.get("merchant-1") == made
        assert connections.get("merchant-2") is None
