"""`import_connection`: a grant that was obtained elsewhere is taken over, proved by a refresh, and then vended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from werkzeug.wrappers import Response

from tests.built import running_stack
from tests.flows.application import TIMEOUT, fresh, operations, writes
from tests.flows.scripted import TOKENS, connect
from tests.flows.test_background import queue_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Received, Scripted

BROUGHT = {"refresh_token": "brought-refresh-51e8a7c2", "access_token": "brought-access-9c4e7b20"}
"""What an import brings: never again in an answer, a log or a table."""
NEWER = {"access_token": "newer-access", "refresh_token": "newer-refresh", "expires_in": 3600}
REFUSED = Response('{"error": "invalid_grant"}', 400, content_type="application/json")
WRONG_CLIENT = Response('{"error": "invalid_client"}', 401, content_type="application/json")
DOWN = Response("down", 503)
OWNER = "customer-1"

Import = dict[str, Any]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: a sweep queues all that is due, and other tests leave much that is."""
    with running_stack() as running:
        yield running


@pytest.fixture
def provider(application: Application, scripted: Scripted) -> str:
    """Give a provider whose server answers each refresh with newer tokens."""
    scripted.answers["/token"] = NEWER
    return application.register(scripted.registration)


@pytest.fixture
def brought(provider: str) -> Import:
    """Give a whole import."""
    return {
        "provider": provider,
        "connection_id": fresh("imported"),
        "owner": OWNER,
        "subject": "account-1",
        "scope": "read write",
        "tags": {"from": "the old system"},
        "metadata": {"host": "api.example.com"},
        **BROUGHT,
    }


def shown(application: Application, brought: Import) -> dict[str, Any]:
    """Return the connection of an import, as `connections` shows it."""
    found: dict[str, Any] = application.call("connections", connection_id=brought["connection_id"])["connection"]
    return found


def status(application: Application, brought: Import) -> tuple[str, int]:
    """Return its status and version."""
    connection = shown(application, brought)
    return connection["status"], connection["version"]


def refreshes(server: Scripted) -> list[str]:
    """Return the refresh tokens that a server was sent, in order."""
    forms = [dict(each.form) for each in server.received if each.path == "/token"]
    return [form["refresh_token"] for form in forms if form["grant_type"] == "refresh_token"]


def result(brought: Import, state: str, version: int) -> dict[str, Any]:
    """Return what an import is answered."""
    return {"connection_id": brought["connection_id"], "status": state, "version": version}


def answered(stack: Stack, path: str, body: Any) -> requests.Response:
    """POST to a path of the API."""
    return requests.post(f"{stack.base_url}/v1/{path}", json=body, timeout=TIMEOUT)


def revokes_in_the_background(stack: Stack, brought: Import) -> None:
    """Work off the message with which a sweep asks for a revocation that is due."""
    message = {"connection_id": brought["connection_id"], "version": 1, "provider": brought["provider"]}
    boto3.client("sqs").send_message(QueueUrl=queue_url("RevokeQueue"), MessageBody=json.dumps(message))
    stack.background.poll()


# Proved


def test_an_import_is_proved_by_one_refresh_and_vended(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """Sealed first, in one write; then refreshed; and it opens nothing meanwhile."""
    # given
    stack.aws_calls.clear()

    # when
    answer = application.call("import_connection", **brought)
    calls = list(stack.aws_calls)

    # then
    assert answer == result(brought, "active", 2)
    assert refreshes(scripted) == [BROUGHT["refresh_token"]]
    assert "Decrypt" not in operations(calls)
    assert writes(calls)[:2] == ["PutItem", "UpdateItem"]
    vended = application.call("token", connection_id=brought["connection_id"])
    assert (vended["access_token"], vended["subject"], vended["metadata"]) == (
        NEWER["access_token"],
        "account-1",
        {"host": "api.example.com"},
    )
    connection = shown(application, brought)
    assert (connection["owner"], connection["tags"], connection["scope"]) == (
        OWNER,
        {"from": "the old system"},
        "read write",
    )
    assert connection["refreshable"] is True
    item = repr(application.connection_item(brought["connection_id"]))
    assert [value for value in BROUGHT.values() if value in item] == []


def test_over_http_the_answer_is_the_same(application: Application, brought: Import, scripted: Scripted) -> None:
    """`POST /v1/import_connection`, with the same object; repeated, too."""
    first = application.post("import_connection", brought)
    again = application.post("import_connection", brought)

    assert (first.status_code, first.json()) == (200, result(brought, "active", 2))
    assert (again.status_code, again.json()) == (200, result(brought, "active", 2))
    assert len(refreshes(scripted)) == 1


def test_a_repeated_call_sends_nothing_and_is_answered_by_the_record(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """However often, and in whatever order its fields come: one read, no write, no request."""
    # given
    application.call("import_connection", **brought)
    application.refresh_later(brought["connection_id"])
    sent = len(scripted.received)
    stack.aws_calls.clear()

    # when
    again = application.call("import_connection", **dict(reversed(brought.items())))
    calls = list(stack.aws_calls)

    # then
    assert again == result(brought, "active", 3)
    assert len(scripted.received) == sent
    assert operations(calls) == ["GetItem"]


@pytest.mark.parametrize("changed", [{"refresh_token": "another"}, {"tags": {}}, {"prove": False}, {"owner": "other"}])
def test_an_id_that_has_tokens_is_not_imported_over(
    application: Application, brought: Import, scripted: Scripted, changed: Import
) -> None:
    """Whatever else it brings, another import of the same id changes nothing: it says what to do instead."""
    # given
    application.call("import_connection", **brought)
    before, sent = application.connection_item(brought["connection_id"]), len(scripted.received)

    # when
    answer = application.call("import_connection", **{**brought, **changed})

    # then
    assert (answer["error"], answer["retryable"]) == ("invalid_request", False)
    assert "choose another connection_id" in answer["error_description"]
    assert application.connection_item(brought["connection_id"]) == before
    assert len(scripted.received) == sent


def test_a_key_in_kms_proves_it_too(application: Application, scripted: Scripted) -> None:
    """A client that authenticates with `private_key_jwt` signs the refresh."""
    kms = boto3.client("kms")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=fresh("alias/gatehouse-client"), TargetKeyId=arn)
    scripted.answers["/token"] = NEWER
    signs = {"client_signing_key": arn, "token_endpoint_auth_signing_alg": "ES256", "issuer": scripted.url}
    provider = application.register({**scripted.registration, **signs})

    answer = application.call("import_connection", provider=provider, connection_id=fresh(), **BROUGHT)

    assert answer.get("status") == "active", answer
    assert "client_assertion" in dict(scripted.received[-1].form)


# Not proved yet


def test_nothing_is_vended_before_it_is_proved(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """The server is down: the import is safe and `unconfirmed`, and needs nobody. Then who wants a token proves it."""
    # given
    scripted.answers["/token"] = DOWN

    # when
    answer = application.call("import_connection", **brought)
    repeated = application.call("import_connection", **brought)
    asked = [
        application.call("token", connection_id=brought["connection_id"], min_ttl=0),
        application.call("refresh", connection_id=brought["connection_id"], if_version=9),
    ]

    # then
    assert answer == repeated == result(brought, "unconfirmed", 1)
    assert {each["error"] for each in asked} == {"provider_unavailable"}
    assert BROUGHT["access_token"] not in json.dumps(asked)
    connection = shown(application, brought)
    assert (connection["needs"], connection["failure"]["code"]) == (None, "provider_unavailable")

    # when
    scripted.answers["/token"] = NEWER
    stack.clock.advance(60)
    vended = application.call("token", connection_id=brought["connection_id"])

    # then
    assert (vended["access_token"], vended["version"]) == (NEWER["access_token"], 2)
    assert status(application, brought) == ("active", 2)


def test_the_background_goes_on_with_a_proof_that_failed(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """Nobody has to call again: it is due when its lease has lapsed, and `refresh`, which can open it, proves it."""
    # given
    scripted.answers["/token"] = DOWN
    application.call("import_connection", **brought)
    due_at = int((application.connection_item(brought["connection_id"]) or {})["due_at"]["N"])
    scripted.answers["/token"] = NEWER

    # when
    application.call("sweep", connection_id=brought["connection_id"])
    stack.background.poll()

    # then
    assert due_at <= stack.clock.now() + 60
    assert status(application, brought) == ("active", 2)
    assert application.call("token", connection_id=brought["connection_id"])["access_token"] == NEWER["access_token"]


def test_tokens_that_the_table_does_not_take_come_back_by_the_queue(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """The proof was answered, and its tokens are stored by the rescue: the server is asked once."""
    # given
    stack.aws_faults.fail("dynamodb", "UpdateItem", error="AccessDeniedException")
    answer = application.call("import_connection", **brought)
    stack.aws_faults.clear()

    # when
    stack.background.poll()

    # then
    assert answer == result(brought, "unconfirmed", 1)
    assert status(application, brought) == ("active", 2)
    assert len(refreshes(scripted)) == 1


def test_it_takes_its_turn_at_a_provider_that_takes_one_request_at_a_time(
    application: Application, scripted: Scripted
) -> None:
    """In a slot, which it gives back: the next import gets it at once."""
    scripted.answers["/token"] = NEWER
    provider = application.register({**scripted.registration, "max_concurrency": 1})

    ids = [fresh(), fresh()]
    answers = [application.call("import_connection", provider=provider, connection_id=each, **BROUGHT) for each in ids]

    assert [each["status"] for each in answers] == ["active", "active"]


# Refused


def test_what_the_server_refuses_is_said_and_others_take_its_place(
    application: Application, brought: Import, scripted: Scripted
) -> None:
    """Typed, with the server's words. The same again sends nothing; other tokens for the id are taken."""
    # given
    scripted.answers["/token"] = REFUSED

    # when
    answer = application.call("import_connection", **brought)
    again = application.call("import_connection", **brought)

    # then
    assert answer["error"] == again["error"] == "reauthorization_required"
    assert answer["provider_error"]["error"] == again["provider_error"]["error"] == "invalid_grant"
    assert len(refreshes(scripted)) == 1
    assert status(application, brought) == ("reauthorization_required", 1)
    assert application.call("token", connection_id=brought["connection_id"])["error"] == "reauthorization_required"

    # when
    scripted.answers["/token"] = NEWER
    other = application.call("import_connection", **{**brought, "refresh_token": "the-right-one"})

    # then
    assert other == result(brought, "active", 3)
    assert refreshes(scripted) == [BROUGHT["refresh_token"], "the-right-one"]
    assert "/revoke" not in scripted.paths()


def test_a_refused_import_is_forgotten_and_not_revoked(
    stack: Stack, application: Application, scripted: Scripted
) -> None:
    """Even if grants are said to be separate: the earlier system may go on with the same grant."""
    # given
    scripted.answers |= {"/token": REFUSED, "/revoke": {}}
    provider = application.register({**scripted.registration, "revocation_ends_authorization": False})
    brought = {"provider": provider, "connection_id": fresh(), **BROUGHT}
    application.call("import_connection", **brought)

    # when
    scripted.answers["/token"] = NEWER
    application.call("import_connection", **{**brought, "refresh_token": "the-right-one"})
    revokes_in_the_background(stack, brought)

    # then
    assert status(application, brought) == ("active", 3)
    assert "/revoke" not in scripted.paths()
    item = application.connection_item(brought["connection_id"]) or {}
    assert [each["M"]["place"]["S"] for each in item["sets"]["L"]] == ["current"]


def test_a_client_that_is_refused_is_the_operators_fault_and_stays_known(
    application: Application, brought: Import, scripted: Scripted
) -> None:
    """It is said each time, nothing is sent again, and nothing is lost: the tokens wait for the registration."""
    scripted.answers["/token"] = WRONG_CLIENT

    answers = [application.call("import_connection", **brought) for _ in range(2)]

    assert [(each["error"], each["retryable"]) for each in answers] == [("provider_misconfigured", False)] * 2
    assert len(refreshes(scripted)) == 1
    assert status(application, brought) == ("unconfirmed", 1)


def test_tokens_of_another_account_than_the_named_one_are_not_used(
    application: Application, scripted: Scripted
) -> None:
    """The server names an account in its answer to the refresh, and the import has named another."""
    scripted.answers["/token"] = {**NEWER, "merchant": "account-2"}
    provider = application.register({**scripted.registration, "subject": "merchant"})
    brought = {"provider": provider, "connection_id": fresh(), "subject": "account-1", **BROUGHT}

    answer = application.call("import_connection", **brought)

    assert answer["error"] == "reauthorization_required"
    assert "another account than subject" in answer["error_description"]
    assert application.call("token", connection_id=brought["connection_id"])["error"] == "reauthorization_required"
    item = application.connection_item(brought["connection_id"]) or {}
    assert "sets" not in item


# Taken as it is


def test_without_a_proof_it_is_taken_as_it_is(application: Application, brought: Import, scripted: Scripted) -> None:
    """Nothing is sent; the access token is vended, and refreshed when somebody wants another."""
    answer = application.call("import_connection", **brought, prove=False)
    vended = application.call("token", connection_id=brought["connection_id"])

    assert answer == result(brought, "active", 1)
    assert (vended["access_token"], vended["expires_at"]) == (BROUGHT["access_token"], None)
    assert refreshes(scripted) == []


def test_a_refresh_token_without_a_proof_brings_an_access_token_when_one_is_wanted(
    application: Application, brought: Import, scripted: Scripted
) -> None:
    """There is no access token to vend: the first caller has it refreshed."""
    del brought["access_token"]
    answer = application.call("import_connection", **brought, prove=False)

    vended = application.call("token", connection_id=brought["connection_id"], min_ttl=0)

    assert answer == result(brought, "active", 1)
    assert (vended["access_token"], vended["version"]) == (NEWER["access_token"], 2)
    assert refreshes(scripted) == [BROUGHT["refresh_token"]]


def test_an_access_token_alone_is_taken_as_it_is_until_it_expires(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """Nothing can prove it. One that has expired is of no use, and is refused."""
    del brought["refresh_token"]
    now = int(stack.clock.now())

    answer = application.call("import_connection", **brought, expires_at=now + 3600)
    late = application.call("import_connection", **{**brought, "connection_id": fresh()}, expires_at=now - 1)

    assert answer == result(brought, "active", 1)
    vended = application.call("token", connection_id=brought["connection_id"])
    assert (vended["access_token"], vended["expires_at"]) == (BROUGHT["access_token"], now + 3600)
    assert shown(application, brought)["refreshable"] is False
    assert late["error_description"].startswith("expires_at: expected a time in the future")
    assert scripted.received == []


# Meanwhile


def test_revoked_before_it_is_proved_it_ends_at_the_server_too(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """The same import again does not bring it back; another one does."""
    # given
    scripted.answers |= {"/token": DOWN, "/revoke": {}}
    application.call("import_connection", **brought)

    # when
    stack.clock.advance(60)
    ended = application.call("revoke", connection_id=brought["connection_id"])
    scripted.answers["/token"] = NEWER
    same = application.call("import_connection", **brought)
    other = application.call("import_connection", **{**brought, "refresh_token": "another-one"})

    # then
    assert ended["status"] == "revoked"
    assert {dict(each.form)["token"] for each in scripted.received if each.path == "/revoke"} == {*BROUGHT.values()}
    assert same["error"] == "connection_revoked"
    assert other == result(brought, "active", 3)


def test_a_consent_takes_the_place_of_an_import_that_is_not_proved(
    application: Application, brought: Import, browser: Browser, scripted: Scripted
) -> None:
    """Who connects the account does not have to wait for it."""
    scripted.answers["/token"] = DOWN
    application.call("import_connection", **brought)
    scripted.answers["/token"] = TOKENS

    about = {"connection_id": brought["connection_id"], "owner": OWNER, "allow_new_subject": True}
    connect(application, browser, brought["provider"], **about)

    vended = application.call("token", connection_id=brought["connection_id"])
    assert (vended["access_token"], vended["version"]) == (TOKENS["access_token"], 2)
    places = [
        each["M"]["place"]["S"] for each in (application.connection_item(brought["connection_id"]) or {})["sets"]["L"]
    ]
    assert sorted(places) == ["current", "superseded"]


# Whose it is


def test_by_an_owners_path_the_owner_is_the_paths(stack: Stack, application: Application, brought: Import) -> None:
    """It may be left out of the body, and by the path of a connection, so may its id."""
    of_an_owner = {name: value for name, value in brought.items() if name != "owner"}
    of_a_connection = {**brought, "connection_id": fresh()}

    owned = answered(stack, f"owners/{OWNER}/import_connection", of_an_owner)
    path = f"connections/{of_a_connection.pop('connection_id')}/import_connection"
    named = answered(stack, path, of_a_connection)

    assert owned.json() == result(brought, "active", 2)
    assert shown(application, brought)["owner"] == OWNER
    assert named.json()["status"] == "active"


def test_by_an_owners_path_the_id_of_another_owner_is_not_imported(
    stack: Stack, application: Application, brought: Import
) -> None:
    """Not even if it is revoked, or the import is the very one that made it: whose it is the caller does not learn."""
    application.call("import_connection", **brought)
    theirs = {name: value for name, value in brought.items() if name != "owner"}

    taken = answered(stack, "owners/somebody-else/import_connection", theirs)
    application.call("revoke", connection_id=brought["connection_id"])
    revoked = answered(stack, "owners/somebody-else/import_connection", theirs)

    for each in (taken, revoked):
        assert (each.status_code, each.json()["error"]) == (400, "invalid_request")
        assert "choose another connection_id" in each.text
        assert OWNER not in each.text


# What it does not take


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"refresh_token": None, "access_token": None}, "refresh_token: required, unless there is an access_token"),
        ({"refresh_token": "line\nbreak-secret"}, "refresh_token: expected the token as the provider issued it"),
        ({"refresh_token": ["in-a-list-secret"]}, "refresh_token: expected the token as the provider issued it"),
        ({"access_token": "secret " * 4000}, "access_token: expected the token as the provider issued it"),
        ({"access_token": None, "expires_at": 1_900_000_000}, "expires_at: expected to be left out"),
        ({"expires_at": "2030-01-01"}, "expires_at: expected an integer"),
        ({"expires_at": 1_900_000_000_000}, "expires_at: expected an integer"),
        ({"scope": ["read"]}, "scope: expected scopes separated by single spaces"),
        ({"connection_id": None}, "connection_id: required"),
        ({"connection_id": ".."}, "connection_id: expected"),
        ({"metadata": {"a": 1}}, "metadata: expected an object"),
        ({"prove": "yes"}, "prove: expected true or false"),
        ({"parameters": {"tenant": 1}}, "parameters: expected an object"),
        ({"id_token": "planted-secret"}, "id_token: unknown field"),
    ],
)
def test_bad_input_is_named_changes_nothing_and_is_repeated_nowhere(  # noqa: PLR0913, PLR0917 - a case, and where it is looked for
    stack: Stack,
    application: Application,
    brought: Import,
    capsys: pytest.CaptureFixture[str],
    wrong: Import,
    named: str,
) -> None:
    """Neither in the answer nor in the log: a token may stand in any field."""
    given = {**brought, **wrong}
    stack.aws_calls.clear()

    answers = [application.call("import_connection", **given), application.post("import_connection", given).json()]

    for answer in answers:
        assert answer["error"] == "invalid_request"
        assert named in answer["error_description"]
    assert writes(stack.aws_calls) == []
    said = json.dumps(answers) + capsys.readouterr().out
    assert [value for value in (*BROUGHT.values(), "secret") if value in said] == []


def test_an_unknown_provider_and_one_that_cannot_refresh_store_nothing(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """What is wrong with a registration is said before anything is taken over."""
    without = {name: value for name, value in scripted.registration.items() if name != "token_endpoint"}
    stack.aws_calls.clear()

    answers = [
        application.call("import_connection", **{**brought, "provider": "nobody"}),
        application.call("import_connection", **{**brought, "provider": application.register(without)}),
    ]

    assert [each["error"] for each in answers] == ["unknown_provider", "provider_misconfigured"]
    assert application.connection_item(brought["connection_id"]) is None


def test_a_server_that_answers_after_its_connection_was_revoked_is_not_believed(
    stack: Stack, application: Application, brought: Import, scripted: Scripted
) -> None:
    """While it is proved it is revoked: what the proof brings is revoked, too."""

    def revoked_meanwhile(_received: Received) -> Response:
        application.call("revoke", connection_id=brought["connection_id"])
        return Response(json.dumps(NEWER), 200, content_type="application/json")

    scripted.answers |= {"/token": revoked_meanwhile, "/revoke": {}}

    answer = application.call("import_connection", **brought)
    stack.clock.advance(120)
    revokes_in_the_background(stack, brought)

    assert answer["error"] == "connection_revoked"
    assert status(application, brought)[0] == "revoked"
    revoked = [dict(each.form)["token"] for each in scripted.received if each.path == "/revoke"]
    assert NEWER["refresh_token"] in revoked
