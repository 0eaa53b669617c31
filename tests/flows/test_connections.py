"""`connections`: one connection, or pages of them; never a token and never the ciphertext."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from local.demo import Faults
from local.demo.clients import ULTRACART_CLIENT
from tests.flows.application import FAILURE_KEYS, Application, fresh, operations, writes
from tests.flows.scripted import connect, scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser

VIEW_KEYS = {
    "requested_scope",
    "scope_missing",
    "client_secret_used",
    "connection_id",
    "provider",
    "status",
    "version",
    "scope",
    "needs",
    "refreshable",
    "token_type",
    "expires_at",
    "refresh_expires_at",
    "subject",
    "owner",
    "metadata",
    "parameters",
    "tags",
    "created_at",
    "updated_at",
    "refreshed_at",
    "failure",
}
FAILURE_VIEW_KEYS = {"code", "description", "count", "at", "retry_at", "provider_error"}


@pytest.fixture(scope="module")
def shop(stack: Stack) -> dict[str, Any]:
    """Connect 25 accounts of one owner, at a provider of their own, and a foreign one; give names and ids."""
    from tests.browser import Browser  # noqa: PLC0415 - as a fixture of a module cannot have a test's browser

    application, owner = Application(stack), fresh("owner")
    with scripted() as server:
        server.answers["/token"] = {"access_token": "shop-access", "refresh_token": "shop-refresh", "expires_in": 3600}
        provider = application.register(server.registration)
        ids = []
        for _ in range(25):
            started, page = connect(application, Browser(stack), provider, owner=owner)
            assert page.status_code == 200
            ids.append(started["connection_id"])
        foreign, _ = connect(application, Browser(stack), provider, owner=fresh("owner"))
    return {"owner": owner, "provider": provider, "ids": sorted(ids), "foreign": foreign["connection_id"]}


def test_get_shows_all_there_is_but_secrets(application: Application, browser: Browser) -> None:
    """Exactly these fields, whatever the connection lacks; nothing of the seal, the lease or the background work."""
    # given
    connection_id = browser.connect(connection_id=fresh(), owner="alice", tags={"a": "b"})

    # when
    answer = application.call("connections", connection_id=connection_id)

    # then
    assert answer.keys() == {"connection"}
    connection = answer["connection"]
    assert connection.keys() == VIEW_KEYS | {"client_id", "left_alone", "last_attempt"}
    assert (connection["client_id"], connection["left_alone"]) == (ULTRACART_CLIENT.client_id, None)
    assert connection["last_attempt"].keys() == {"request_id", "at", "outcome"}
    assert connection["connection_id"] == connection_id
    assert (connection["provider"], connection["status"], connection["version"]) == ("ultracart", "active", 1)
    assert (connection["owner"], connection["tags"], connection["parameters"]) == ("alice", {"a": "b"}, {})
    assert (connection["subject"], connection["metadata"]) == ("DEMO", {"merchant_id": "DEMO"})
    assert (connection["refresh_expires_at"], connection["failure"]) == (None, None)
    times = [connection[name] for name in ("created_at", "updated_at", "refreshed_at", "expires_at")]
    assert all(isinstance(time, int) for time in times)


def test_get_shows_a_failure(application: Application, browser: Browser, demo: DemoServer) -> None:
    """What went wrong last, how often, and until when the server is left alone."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    demo.put_faults(Faults(endpoint="token", status=429, retry_after=90))
    application.refresh_later(connection_id)

    # when
    connection = application.call("connections", connection_id=connection_id)["connection"]
    failure = connection["failure"]

    # then
    assert connection["left_alone"] == {"asked_at": failure["at"], "next_at": failure["retry_at"]}
    assert failure.keys() == FAILURE_VIEW_KEYS
    assert (failure["code"], failure["count"]) == ("provider_throttled", 1)
    assert 90 <= failure["retry_at"] - failure["at"] <= 91
    assert failure["provider_error"]["status"] == 429


@pytest.mark.usefixtures("empty_queues")
def test_an_operator_has_a_provider_asked_that_is_left_alone(
    stack: Stack,
    application: Application,
    browser: Browser,
    demo: DemoServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It has named a quarter of an hour, and is back at once. The log says for which connection it was asked."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    demo.put_faults(Faults(endpoint="token", status=429, retry_after=900))
    application.refresh_later(connection_id)
    demo.reset()
    refused = application.call("refresh", connection_id=connection_id)
    capsys.readouterr()

    # when
    swept = application.call("sweep", connection_id=connection_id)
    stack.background.poll()

    # then
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert refused["error"] == "provider_throttled"
    assert (swept["queued"] >= 1, swept["complete"]) == (True, True)
    assert (connection["version"], connection["failure"], connection["left_alone"]) == (2, None, None)
    of_it = [(line["message"], line["outcome"]) for line in logged if line.get("connection_id") == connection_id]
    assert of_it == [("sweep", "ok"), ("refresh", "ok")]


def test_get_and_list_agree(application: Application, shop: dict[str, Any]) -> None:
    """A connection looks the same alone, in its owner's list, and in the list of all; alone it shows a little more."""
    # given
    connection_id = shop["foreign"]
    alone = application.call("connections", connection_id=connection_id)["connection"]
    del alone["client_id"], alone["left_alone"], alone["last_attempt"]

    # when
    by_owner = application.call("connections", owner=alone["owner"])["connections"]
    by_scan = [found for found in _pages(application, provider=shop["provider"]) if found["owner"] == alone["owner"]]

    # then
    assert by_owner == by_scan == [alone]


def test_reading_changes_nothing(application: Application, shop: dict[str, Any], aws_calls: list[AwsCall]) -> None:
    """Reading is reads alone; an owner's list is a query, not a scan, and KMS is never asked."""
    # when
    application.call("connections", connection_id=shop["ids"][0])
    application.call("connections", owner=shop["owner"])
    by_owner = operations(aws_calls)
    application.call("connections", limit=1)

    # then
    # The connection, and how its provider does; all that need nobody, then those that need a person.
    assert by_owner == ["GetItem", "GetItem", "Query", "Query", "Query"]
    assert writes(aws_calls) == []
    assert {call.service for call in aws_calls} == {"dynamodb"}


@pytest.mark.parametrize("by", ["owner", "provider"])
@pytest.mark.parametrize("limit", [1, 7, 10, 25, 100])
def test_pages_hold_every_connection_once(application: Application, shop: dict[str, Any], by: str, limit: int) -> None:
    """Whatever the size of the pages, all 25 come, each once; no page is larger than asked for."""
    # when
    found = list(_pages(application, limit=limit, **{by: shop[by]}))

    # then
    expected = shop["ids"] if by == "owner" else sorted([*shop["ids"], shop["foreign"]])
    assert sorted(connection["connection_id"] for connection in found) == expected
    assert all(connection.keys() == VIEW_KEYS for connection in found)


def test_page_has_a_cursor_only_if_more_may_follow(application: Application, shop: dict[str, Any]) -> None:
    """Two fields, or one."""
    # when
    first = application.call("connections", owner=shop["owner"], limit=20)
    last = application.call("connections", owner=shop["owner"], limit=20, cursor=first["cursor"])

    # then
    assert first.keys() == {"connections", "cursor"}
    assert last.keys() == {"connections"}
    assert (len(first["connections"]), len(last["connections"])) == (20, 5)


def test_usual_page_holds_fifty(application: Application, shop: dict[str, Any]) -> None:
    """Without a limit 25 fit into one page."""
    # when
    answer = application.call("connections", owner=shop["owner"])

    # then
    assert len(answer["connections"]) == 25


def test_filters_join(application: Application, shop: dict[str, Any], new_browser: Callable[..., Browser]) -> None:
    """Owner, provider and status narrow one another; what nothing matches is an empty page."""
    # given
    owner = fresh("owner")
    active, revoked = (new_browser(fresh("merchant")).connect(connection_id=fresh(), owner=owner) for _ in range(2))
    application.call("revoke", connection_id=revoked)

    # when
    def ids(**where: str) -> list[str]:
        return sorted(connection["connection_id"] for connection in _pages(application, **where))

    # then
    assert ids(owner=owner, status="active") == [active]
    assert ids(owner=owner, status="revoked") == [revoked]
    assert ids(owner=owner, provider="ultracart") == sorted([active, revoked])
    assert ids(owner=owner, provider=shop["provider"]) == []
    assert ids(provider=shop["provider"], status="active") == sorted([*shop["ids"], shop["foreign"]])
    assert ids(owner=shop["owner"], provider=shop["provider"], status="revoking") == []
    assert ids(owner="nobody") == ids(provider="nowhere") == []


def test_tags_and_the_end_narrow_a_list(
    application: Application, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """Like every other filter, and together with them; in an owner's list that reads no more than the list."""
    # given
    owner, gold = fresh("owner"), {"plan": "gold", "region": "eu"}
    with scripted() as server:
        server.answers["/token"] = {"access_token": "a", "refresh_token": "r", "refresh_token_expires_in": 86400}
        provider = application.register(server.registration)
        ending, _ = connect(application, new_browser(), provider, owner=owner, tags=gold)
    lasting = new_browser(fresh("merchant")).connect(connection_id=fresh(), owner=owner, tags={"plan": "gold"})
    soon = application.call("connections", connection_id=ending["connection_id"])["connection"]["refresh_expires_at"]
    aws_calls.clear()

    # when
    def ids(**where: Any) -> list[str]:
        return sorted(each["connection_id"] for each in _pages(application, owner=owner, **where))

    # then
    assert ids(tag={"plan": "gold"}) == sorted([ending["connection_id"], lasting])
    assert ids(tag=gold) == ids(expiring_before=soon + 1) == [ending["connection_id"]]
    assert ids(tag=gold, expiring_before=soon) == ids(tag={"region": "us"}) == []
    assert ids(tag={"plan": "gold"}, provider="ultracart", status="active") == [lasting]
    assert set(operations(aws_calls)) == {"Query"}


@pytest.mark.parametrize(
    "where", [{"needs": "reauthorization"}, {"needs": "confirmation"}, {"status": "reauthorization_required"}]
)
def test_what_needs_a_person_is_found_without_reading_the_table(
    application: Application, aws_calls: list[AwsCall], where: dict[str, str]
) -> None:
    """However many connections there are: its lists are read, in all of their parts."""
    # when
    found = list(_pages(application, limit=100, tag={"nobody": "has it"}, **where))

    # then
    assert found == []
    assert set(operations(aws_calls)) == {"Query"}
    assert len(aws_calls) in {16, 32}


def _cursor(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!",
        "ü",
        "e30=",
        _cursor([]),
        _cursor("id"),
        _cursor({"connection_id": 1, "owner": "{owner}"}),
        _cursor({"listed_in": "owner x"}),
        _cursor({"listed_in": "owner o", "listed_as": "x a", "connection_id": "a"}),
        _cursor({"listed_in": "owner o", "listed_as": "a"}),
        _cursor({"connection_id": ""}),
        _cursor({"connection_id": "x" * 2100}),
        _cursor({"connection_id": "\ud800"}),
        _cursor({"connection_id": "a", "sealed": "b"}),
        _cursor({"connection_id": {"S": "a"}}),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_cursor_that_no_page_gave_is_refused(application: Application, aws_calls: list[AwsCall], cursor: str) -> None:
    """A cursor is ours, and yet comes from outside."""
    # when
    answers = [
        application.call("connections", cursor=cursor),
        application.call("connections", owner="o", cursor=cursor),
    ]

    # then
    for answer in answers:
        assert answer.keys() == FAILURE_KEYS
        assert answer["error"] == "invalid_request"
        assert answer["error_description"].startswith("cursor: ")
    assert aws_calls == []


def test_cursor_of_another_list_is_refused(application: Application, shop: dict[str, Any]) -> None:
    """A page of one owner does not lead into another's."""
    # given
    owners = application.call("connections", owner=shop["owner"], limit=1)["cursor"]
    everybodys = application.call("connections", limit=1)["cursor"]

    # when
    answers = [
        application.call("connections", owner="somebody else", cursor=owners),
        application.call("connections", cursor=owners),
        application.call("connections", owner=shop["owner"], cursor=everybodys),
    ]

    # then
    assert [answer["error"] for answer in answers] == ["invalid_request"] * 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connection_id", ""),
        ("connection_id", "a b"),
        ("connection_id", ["a"]),
        ("owner", ""),
        ("owner", "x" * 257),
        ("owner", "\ud800"),
        ("provider", "../x"),
        ("status", "dead"),
        ("status", "ACTIVE"),
        ("status", ["active"]),
        ("needs", "money"),
        ("tag", "gold"),
        ("tag", {}),
        ("tag", {"plan": 1}),
        ("tag", {"a b": "c"}),
        ("tag", {"plan": "x" * 257}),
        ("tag", {str(number): "" for number in range(21)}),
        ("expiring_before", -1),
        ("expiring_before", "1767225600"),
        ("expiring_before", 1.5),
        ("limit", 0),
        ("limit", 101),
        ("limit", "10"),
        ("limit", 1.0),
        ("limit", False),
        ("cursor", ""),
        ("cursor", 7),
        ("cursor", "x" * 4097),
        ("fields", ["sealed"]),
    ],
)
def test_bad_field_is_named(application: Application, aws_calls: list[AwsCall], field: str, value: object) -> None:
    """Bad and unknown fields are named, and nothing is read."""
    # when
    answer = application.call("connections", **{field: value})

    # then
    assert answer.keys() == FAILURE_KEYS
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []


def test_one_connection_takes_no_filters(application: Application, aws_calls: list[AwsCall]) -> None:
    """Whether the id or the filter was meant cannot be known."""
    # when
    answer = application.call("connections", connection_id="a", owner="b", limit=5)

    # then
    assert answer["error"] == "invalid_request"
    assert "owner" in answer["error_description"]
    assert "limit" in answer["error_description"]
    assert aws_calls == []


def test_unknown_connection(application: Application) -> None:
    """A failure that names it."""
    # given
    connection_id = fresh()

    # when
    answer = application.call("connections", connection_id=connection_id)

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id"}
    assert (answer["error"], answer["connection_id"]) == ("connection_not_found", connection_id)


def _pages(application: Application, **where: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = application.call("connections", **where, **cursor)
        assert len(page["connections"]) <= where.get("limit", 50)
        found += page["connections"]
        if "cursor" not in page:
            return found
        cursor = {"cursor": page["cursor"]}
