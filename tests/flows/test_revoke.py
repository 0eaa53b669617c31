"""`revoke`: the end of a grant, here at once, at the authorization server as soon as it listens."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from werkzeug.wrappers import Response

from functions.revoke import handler as revoke
from local.demo import Faults
from tests.flows.application import FAILURE_KEYS, Context, fresh, with_services, writes
from tests.flows.scripted import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Received, Scripted


ENDED_WITH_ALL = {"grant": "ended with all of its account"}
LONGER_THAN_A_TOKEN_LIVES = 3700


def _issued(number: str) -> dict[str, Any]:
    return {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "expires_in": 3600}


@pytest.fixture
def merchant() -> str:
    """Name a merchant of this test's own: UltraCart ends all that one granted."""
    return fresh("merchant")


@pytest.fixture
def connection_id(new_browser: Callable[..., Browser], demo: DemoServer, merchant: str) -> str:
    """Connect the merchant, and give the demo server's record an empty page."""
    connected = new_browser(merchant).connect(connection_id=fresh())
    demo.reset()
    return connected


def test_ends_the_grant_here_and_there(
    application: Application, connection_id: str, demo: DemoServer, merchant: str
) -> None:
    """The server is asked once, nothing is vended any more, and no ciphertext stays."""
    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoked", **ENDED_WITH_ALL}
    assert [grant["revoked"] for grant in demo.grants() if grant["merchant_id"] == merchant] == [True]
    assert len(demo.requests("revoke")) == 1
    item = application.connection_item(connection_id)
    assert item is not None
    assert item.keys().isdisjoint({"sets", "due_shard", "due_at"})
    for function in ("token", "refresh"):
        failure = application.call(function, connection_id=connection_id)
        assert failure.keys() == FAILURE_KEYS | {"connection_id"}
        assert (failure["error"], failure["retryable"]) == ("connection_revoked", False)


def test_again_is_as_good_as_once(
    application: Application, connection_id: str, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """A revoked connection is revoked: nothing is sent, nothing is written."""
    # given
    first = application.call("revoke", connection_id=connection_id)
    demo.reset()
    aws_calls.clear()

    # when
    again = application.call("revoke", connection_id=connection_id)

    # then
    assert again == first
    assert (demo.requests("revoke"), writes(aws_calls)) == ([], [])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Faults(endpoint="revoke", status=500), "provider_unavailable"),
        (Faults(endpoint="revoke", status=429), "provider_throttled"),
        (Faults(endpoint="revoke", drop_answer=True), "provider_unavailable"),
        (Faults(endpoint="revoke", html=True), "provider_unavailable"),
        (Faults(endpoint="revoke", error="invalid_client"), "provider_misconfigured"),
        (Faults(endpoint="revoke", redirect_to="http://127.0.0.1:9/"), "provider_misconfigured"),
    ],
)
def test_ends_here_even_if_the_server_fails(
    application: Application, connection_id: str, demo: DemoServer, fault: Faults, code: str
) -> None:
    """`revoking` vends nothing at once, keeps what it needs to try again, and says why it still has to."""
    # given
    demo.put_faults(fault)

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoking"}
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"
    assert application.call("refresh", connection_id=connection_id)["error"] == "connection_revoked"
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["status"], connection["failure"]["code"]) == ("revoking", code)
    item = application.connection_item(connection_id)
    assert item is not None
    assert item.keys() >= {"due_shard", "due_at"}
    assert [each["M"]["place"]["S"] for each in item["sets"]["L"]] == ["revoking"]


def test_a_write_whose_answer_was_lost_is_no_interruption(
    application: Application, connection_id: str, demo: DemoServer, stack: Stack
) -> None:
    """DynamoDB ends it here and answers 500; then a gateway answers for the server, once asked: that confirms nothing.

    https://github.com/aws/aws-sdk-java/issues/2667
    """
    # given
    demo.put_faults(Faults(endpoint="revoke", status=400, html=True))
    stack.aws_faults.fail("dynamodb", "UpdateItem", times=1, act=True)

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoking"}
    assert len(demo.requests("revoke")) == 1
    demo.reset()
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoked"


def test_second_revoke_finishes_what_the_first_could_not(
    application: Application, connection_id: str, demo: DemoServer
) -> None:
    """The server is back: it confirms the end, and the ciphertext goes."""
    # given
    demo.put_faults(Faults(endpoint="revoke", status=500))
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoking"
    demo.reset()

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoked", **ENDED_WITH_ALL}
    assert len(demo.requests("revoke")) == 1
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["status"], connection["failure"]) == ("revoked", None)
    assert "sets" not in (application.connection_item(connection_id) or {})


def test_a_refresh_token_ends_it_when_the_access_token_has_run_out(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer, merchant: str
) -> None:
    """UltraCart takes either token: one request, and the grant is not refreshed for it."""
    # given
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoked", **ENDED_WITH_ALL}
    assert [seen["outcome"] for seen in demo.requests("revoke")] == ["revoked"]
    assert demo.requests("token") == []
    assert [grant["revoked"] for grant in demo.grants() if grant["merchant_id"] == merchant] == [True]


@pytest.mark.parametrize("has_run_out", [False, True])
def test_where_the_refresh_token_is_refused_a_live_access_token_ends_it(  # noqa: PLR0913 - pytest passes them by name
    stack: Stack,
    application: Application,
    connection_id: str,
    demo: DemoServer,
    merchant: str,
    *,
    has_run_out: bool,
) -> None:
    """As older servers took it. One that has expired is not sent: nobody knows what a yes to that means."""
    # given
    demo.put_faults(Faults(endpoint="revoke", revokes_by="access_token"))
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES if has_run_out else 0)

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoked", **ENDED_WITH_ALL}
    refused = ["not_revoked"] * (2 if has_run_out else 1)
    assert [seen["outcome"] for seen in demo.requests("revoke")] == [*refused, "revoked"]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed"] * has_run_out
    assert [grant["revoked"] for grant in demo.grants() if grant["merchant_id"] == merchant] == [True]


def test_200_that_says_unsuccessful_is_a_failure(
    application: Application, connection_id: str, demo: DemoServer, merchant: str
) -> None:
    """UltraCart answers 200 with `successful: false`; for a grant that was alive here that confirms nothing.

    When it has refused the refresh token twice, nothing is left of the grant.
    """
    # given
    demo.withdraw(merchant)

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert answer["status"] == connection["status"] == "revoking"
    assert connection["failure"]["provider_error"]["error"] == "invalid_grant"
    assert demo.requests("revoke")[0]["answer"] == 200
    assert application.call("revoke", connection_id=connection_id)["status"] == "revoked"


def test_dead_grant_is_revoked_though_the_server_has_nothing_to_revoke(
    application: Application, connection_id: str, demo: DemoServer, merchant: str
) -> None:
    """The server had refused the refresh token; it is tried once more, and refused again."""
    # given
    demo.withdraw(merchant)
    assert application.refresh_later(connection_id)["error"] == "reauthorization_required"

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer == {"connection_id": connection_id, "status": "revoked"}
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"


def test_standards_server_is_asked_to_revoke_both_tokens(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """RFC 7009: the refresh token first, then the access token, each with its hint; an unknown token is no failure."""
    # given
    connection_id = new_browser().connect("demo", connection_id=fresh())
    demo.reset()

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    seen = demo.requests("revoke")
    assert answer["status"] == "revoked"
    assert [request["outcome"] for request in seen] == ["revoked", "not_revoked"]
    assert [request["client_auth"] for request in seen] == ["client_secret_basic"] * 2
    assert all(set(request["parameter_names"]) == {"token", "token_type_hint"} for request in seen)


def test_server_without_revocation_endpoint_is_not_asked(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """If there is nobody to ask, what is here ends here; and the answer says that this is all."""
    # given
    registration = scripted.registration
    del registration["revocation_endpoint"]
    scripted.answers["/token"] = {"access_token": "access", "refresh_token": "refresh", "expires_in": 3600}
    started, _ = connect(application, browser, application.register(registration))

    # when
    answer = application.call("revoke", connection_id=started["connection_id"])

    # then
    assert (answer["status"], answer["grant"]) == ("revoked", "left at the server")
    assert scripted.paths() == ["/token"]


def test_missing_registration_keeps_nobody_from_revoking(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """The operator removed the provider first: the connection ends here, and the revocation at the server waits."""
    # given
    provider = application.register(demo.standard_registration("standard"))
    connection_id = new_browser().connect(provider, connection_id=fresh())
    boto3.client("secretsmanager").delete_secret(
        SecretId=f"gatehouse/providers/{provider}", ForceDeleteWithoutRecovery=True
    )

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert answer["status"] == "revoking"
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"


@pytest.mark.parametrize("endpoint", ["revocation_endpoint", None])
def test_refresh_in_flight_cannot_bring_a_revoked_connection_back(
    application: Application, browser: Browser, scripted: Scripted, endpoint: str | None
) -> None:
    """The tokens that arrive late are vended to nobody: they go the way of the first ones, and no ciphertext stays."""
    # given
    registration = scripted.registration
    if endpoint is None:
        del registration["revocation_endpoint"]
    scripted.answers |= {"/token": _issued("1"), "/revoke": {}}
    started, _ = connect(application, browser, application.register(registration))
    connection_id = started["connection_id"]
    scripted.answers["/token"] = _issued("2")
    scripted.open.clear()

    # when
    with ThreadPoolExecutor(2) as pool:
        refresh = pool.submit(application.refresh_later, connection_id)
        while scripted.paths() != ["/token", "/token"]:
            time.sleep(0.01)
        revoke = pool.submit(application.call, "revoke", connection_id=connection_id)
        while application.call("token", connection_id=connection_id).get("error") != "connection_revoked":
            time.sleep(0.01)
        scripted.open.set()
    again = application.call("revoke", connection_id=connection_id)

    # then
    assert revoke.result()["status"] in {"revoking", "revoked"}
    assert refresh.result()["error"] == "connection_revoked"
    assert again["status"] == "revoked"
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"
    item = application.connection_item(connection_id) or {}
    assert (item["summary"]["M"]["status"]["S"], "sets" in item) == ("revoked", False)
    sent = {dict(seen.form)["token"] for seen in scripted.received if seen.path == "/revoke"}
    assert {"refresh-2", "access-2"} <= sent if endpoint else sent == set()


# With a server that takes nothing but a live access token


def live_token(scripted: Scripted, dead: Any, done: Any) -> None:
    """Let the server end the grant with its newest access token, and say something else of any other.

    The token is in a header, or in the body.
    """

    def revoke(received: Received) -> Any:
        newest = scripted.answers["/token"]["access_token"]
        return done if newest in (received.headers.get("authorization", "") + received.body) else dead

    scripted.answers["/revoke"] = revoke


def slack(number: str) -> dict[str, Any]:
    """Return what Slack issues, with token rotation."""
    return {"ok": True, "team": {"id": "T1"}, **_issued(number), "expires_in": 43200}


SLACK_SAYS = {"ok": False, "error": "token_expired"}, {"ok": True, "revoked": True}
GITHUB_SAYS = Response('{"message":"Validation Failed"}', 422, content_type="application/json"), Response("", 204)
LINEAR_SAYS = Response("", 401), Response("", 200)
DROPBOX_SAYS = (
    Response('{"error":{".tag":"expired_access_token"}}', 401, content_type="application/json"),
    Response("null", 200, content_type="application/json"),
)


@pytest.mark.parametrize(
    ("provider", "issued", "says"),
    [
        ("slack", slack, SLACK_SAYS),
        ("github", _issued, GITHUB_SAYS),
        ("linear", _issued, LINEAR_SAYS),
        ("dropbox", _issued, DROPBOX_SAYS),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_grant_whose_access_token_has_run_out_is_refreshed_before_it_is_revoked(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    owner: Owner,
    stack: Stack,
    provider: str,
    issued: Callable[[str], dict[str, Any]],
    says: tuple[Any, Any],
    *,
    is_known: bool,
) -> None:
    """After a day idle. Slack says 200 to an expired token, GitHub 422, others 401; none ends anything by that.

    https://github.com/cronofy/pycronofy/issues/59, https://github.com/Kilo-Org/cloud/pull/3638
    """
    # given
    owner.registers(provider, **scripted.endpoints)
    scripted.answers["/token"] = {**issued("1"), **({} if is_known else {"expires_in": None})}
    started, page = connect(application, browser, provider)
    assert page.status_code == 200
    connection_id = started["connection_id"]
    stack.clock.advance(86400)
    scripted.answers["/token"] = issued("2")
    live_token(scripted, *says)
    scripted.received.clear()

    # when
    answer = application.call("revoke", connection_id=connection_id)

    # then
    ended_with = ENDED_WITH_ALL if provider == "github" else {}
    assert answer == {"connection_id": connection_id, "status": "revoked", **ended_with}
    assert scripted.paths() == ["/token", "/revoke"] if is_known else ["/revoke", "/token", "/revoke"]
    assert "access-2" in scripted.received[-1].headers.get("authorization", "") + scripted.received[-1].body
    assert "sets" not in (application.connection_item(connection_id) or {})
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"


@pytest.mark.usefixtures("empty_queues")
def test_what_came_of_such_a_refresh_is_not_lost_with_its_write(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner, stack: Stack
) -> None:
    """DynamoDB takes no write after the answer: it goes to the rescue queue, and from there into its place."""
    # given
    owner.registers("slack", **scripted.endpoints)
    scripted.answers["/token"] = slack("1")
    started, _ = connect(application, browser, "slack")
    connection_id = started["connection_id"]
    stack.clock.advance(86400)
    scripted.answers["/token"] = slack("2")
    live_token(scripted, *SLACK_SAYS)
    scripted.received.clear()

    # when
    stack.aws_faults.fail("dynamodb", "UpdateItem", after=2)
    failed = with_services(stack, revoke)({"connection_id": connection_id}, Context(remaining_seconds=22))
    stack.aws_faults.clear()
    waits = application.call("revoke", connection_id=connection_id)["status"]
    asked = scripted.paths()
    stack.background.poll()
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert (failed["error"], waits, asked) == ("temporarily_unavailable", "revoking", ["/token"])
    assert (answer["status"], scripted.paths()) == ("revoked", ["/token", "/revoke"])


def test_what_the_customer_has_revoked_at_quickbooks_is_over(
    application: Application, browser: Browser, scripted: Scripted, owner: Owner
) -> None:
    """It says so with a 400 that has no body. https://github.com/intuit/oauth-jsclient/issues/71."""
    # given
    owner.registers("quickbooks", client_secret="secret", **scripted.endpoints)
    scripted.answers["/token"] = _issued("1")
    started, _ = connect(application, browser, "quickbooks")
    scripted.answers["/revoke"] = Response(b"", 400)

    # when
    answer = application.call("revoke", connection_id=started["connection_id"])

    # then
    assert answer == {"connection_id": started["connection_id"], "status": "revoked"}
    assert asked_to_revoke(scripted)[0] == "refresh-1"


def test_the_end_of_the_refresh_token_is_enough(application: Application, browser: Browser, scripted: Scripted) -> None:
    """It has ended the access token: some servers then say that the request is not valid."""
    # given
    provider = application.register(scripted.registration)
    scripted.answers["/token"] = _issued("1")
    started, _ = connect(application, browser, provider)
    refused = Response('{"error":"invalid_request"}', 400, content_type="application/json")
    scripted.answers["/revoke"] = lambda received: {} if "refresh-1" in received.body else refused

    # when
    answer = application.call("revoke", connection_id=started["connection_id"])

    # then
    assert answer["status"] == "revoked"
    assert asked_to_revoke(scripted) == ["refresh-1", "access-1"]


@pytest.mark.parametrize(
    ("published", "registered", "takes_it", "answer", "tokens"),
    [
        (["client_secret_basic"], {}, False, "left", ["refresh-1"]),
        (["client_secret_basic"], {}, True, "revoked", ["refresh-1", "access-1"]),
        (["client_secret_basic", "none"], {}, False, "revoking", ["refresh-1"]),
        (["client_secret_basic"], {"revocation_endpoint_auth_method": "none"}, False, "revoking", ["refresh-1"]),
        (["client_secret_basic"], {"revocation_endpoint": ""}, False, "left", []),
    ],
)
def test_a_discovered_endpoint_that_takes_nothing_of_a_public_client_is_left_alone(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    published: list[str],
    registered: dict[str, Any],
    answer: str,
    tokens: list[str],
    *,
    takes_it: bool,
) -> None:
    """Its refusal of the client is final, if the issuer's metadata has said so before; servers take more than they say.

    A word of the registration leaves it alone at once, and another has it asked until it takes the client.
    """
    # given
    scripted.answers["/.well-known/oauth-authorization-server"] = {
        "issuer": scripted.url,
        **scripted.endpoints,
        "revocation_endpoint_auth_methods_supported": published,
    }
    refused = Response('{"error":"invalid_client"}', 401, content_type="application/json")
    scripted.answers |= {"/token": _issued("1"), "/revoke": {} if takes_it else refused}
    provider = application.register({"client_id": "public", "issuer": scripted.url, **registered})
    started, _ = connect(application, browser, provider)

    # when
    result = application.call("revoke", connection_id=started["connection_id"])

    # then
    assert result["status"] == ("revoking" if answer == "revoking" else "revoked")
    assert result.get("grant") == ("left at the server" if answer == "left" else None)
    assert asked_to_revoke(scripted) == tokens


def asked_to_revoke(scripted: Scripted) -> list[str]:
    """Return the tokens that the server was asked to revoke, in order."""
    return [dict(seen.form)["token"] for seen in scripted.received if seen.path == "/revoke"]


def work_off(application: Application, connection_id: str) -> None:
    """Let the queue deliver what the sweep has put into it."""
    message = {"eventSource": "aws:sqs", "messageId": "1", "body": json.dumps({"connection_id": connection_id})}
    assert application.invoke("revoke", {"Records": [message]}) == {"batchItemFailures": []}


@pytest.mark.parametrize("ends_all", [None, True, False])
def test_both_grants_of_a_connection_that_was_connected_twice_end(
    application: Application, browser: Browser, scripted: Scripted, *, ends_all: bool | None
) -> None:
    """The first at once if that is known to end nothing else, and with the second if it is not.

    https://github.com/xorbitsai/xagent/issues/1491
    """
    # given
    said = {} if ends_all is None else {"revocation_ends_authorization": ends_all}
    provider = application.register(scripted.registration | said)
    connection_id = fresh()
    scripted.answers |= {"/token": _issued("1"), "/revoke": {}}
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = _issued("2")
    connect(application, browser, provider, connection_id=connection_id)

    # when
    work_off(application, connection_id)
    at_once = asked_to_revoke(scripted)
    vended = application.call("token", connection_id=connection_id)["access_token"]
    answer = application.call("revoke", connection_id=connection_id)

    # then
    assert at_once == (["refresh-1", "access-1"] if ends_all is False else [])
    assert vended == "access-2"
    assert answer["status"] == "revoked"
    assert sorted(asked_to_revoke(scripted)) == ["access-1", "access-2", "refresh-1", "refresh-2"]
    assert "sets" not in (application.connection_item(connection_id) or {})


def test_tokens_of_another_account_are_revoked_if_that_ends_nothing_else(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Kept, sealed and vended to nobody, until the server confirms their end: also if it was down at first."""
    # given
    separate = {"subject": "account", "revocation_ends_authorization": False}
    provider = application.register(scripted.registration | separate)
    connection_id = fresh()
    scripted.answers["/token"] = _issued("1") | {"account": "mine"}
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = _issued("2") | {"account": "another"}
    connect(application, browser, provider, connection_id=connection_id)

    # when
    scripted.answers["/revoke"] = Response("", 503)
    work_off(application, connection_id)
    scripted.answers["/revoke"] = {}
    work_off(application, connection_id)

    # then
    assert asked_to_revoke(scripted) == ["refresh-2", "refresh-2", "access-2"]
    assert application.call("token", connection_id=connection_id)["access_token"] == "access-1"


@pytest.mark.parametrize(
    ("field", "value"),
    [("connection_id", None), ("connection_id", ""), ("connection_id", 1), ("connection_id", "a b"), ("force", True)],
)
def test_bad_field_is_named(application: Application, aws_calls: list[AwsCall], field: str, value: object) -> None:
    """Bad, missing and unknown fields are named, and nothing is touched."""
    # when
    answer = application.call("revoke", **{"connection_id": "some", field: value})

    # then
    assert answer.keys() == FAILURE_KEYS
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []


def test_unknown_connection(application: Application, aws_calls: list[AwsCall]) -> None:
    """What does not exist cannot be revoked, and is not made by trying."""
    # when
    answer = application.call("revoke", connection_id=fresh())

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id"}
    assert answer["error"] == "connection_not_found"
    assert writes(aws_calls) == []
