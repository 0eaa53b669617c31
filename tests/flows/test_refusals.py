"""What a server refuses, as callers see it: a dead grant, the operator's fault, or nothing that is known yet."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Response

from tests.flows.scripted import CODE, TOKENS, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Received, Scripted

    Connect = Callable[[str], str]


@pytest.fixture
def connected(application: Application, browser: Browser, scripted: Scripted, stack: Stack) -> Connect:
    """Connect at a provider, and let the access token run out."""

    def at(provider: str) -> str:
        scripted.answers["/token"] = TOKENS
        started, page = connect(application, browser, provider)
        assert page.status_code == 200
        stack.clock.advance(3601)
        return str(started["connection_id"])

    return at


def refusal(status: int, body: Any) -> Response:
    """Return an answer; `body` is JSON, or text as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(text, status, content_type="application/json")


def status_of(application: Application, connection_id: str) -> str:
    """Return a connection's status, as it is listed."""
    return str(application.call("connections", connection_id=connection_id)["connection"]["status"])


# What the catalogue says of its servers

IN_WORK = {"error": "invalid_grant", "error_description": "token request is already being processed"}
DEAD = {"error": "invalid_grant", "error_description": "expired access/refresh token"}


def test_salesforce_at_work_on_another_request_has_ended_nothing(
    application: Application, owner: Owner, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """It says so in the words of a dead grant; the next call has a token."""
    # given
    owner.registers("salesforce", **scripted.endpoints)
    connection_id = connected("salesforce")
    scripted.answers["/token"] = refusal(400, IN_WORK)

    # when
    busy = application.call("token", connection_id=connection_id)
    scripted.answers["/token"] = TOKENS
    stack.clock.advance(busy["retry_after"])
    after = application.call("token", connection_id=connection_id)

    # then
    assert (busy["error"], busy["retryable"]) == ("provider_unavailable", True)
    assert busy["provider_error"]["error_description"] == IN_WORK["error_description"]
    assert after["version"] == 2


def test_no_second_request_of_ours_meets_a_first_one_at_work(
    application: Application, owner: Owner, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """Salesforce is slow once: callers meanwhile are asked to come again, and then there is a token."""
    # given
    owner.registers("salesforce", **scripted.endpoints, request_timeout=1)
    connection_id = connected("salesforce")
    answered, before = threading.Event(), len(scripted.received)

    def slow(_received: Received) -> Any:
        answered.wait(60)
        return TOKENS

    scripted.answers["/token"] = slow

    # when
    first = application.call("token", connection_id=connection_id)
    scripted.answers["/token"] = refusal(400, IN_WORK)
    meanwhile = [application.call(each, connection_id=connection_id) for each in ("token", "refresh")]
    asked = len(scripted.received) - before
    answered.set()
    scripted.answers["/token"] = TOKENS
    stack.clock.advance(first["retry_after"])
    after = application.call("token", connection_id=connection_id)

    # then
    assert [(each["error"], each["retryable"]) for each in (first, *meanwhile)] == [("provider_unavailable", True)] * 3
    assert "did not answer in time" in first["error_description"]
    assert (asked, after["version"]) == (1, 2)


def test_salesforce_ends_a_grant_in_its_other_words(
    application: Application, owner: Owner, scripted: Scripted, connected: Connect
) -> None:
    """The code is the same."""
    # given
    owner.registers("salesforce", **scripted.endpoints)
    connection_id = connected("salesforce")
    scripted.answers["/token"] = refusal(400, DEAD)

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == "reauthorization_required"


def test_spotify_has_said_of_good_tokens_that_they_were_revoked(
    application: Application, owner: Owner, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """So its word is looked at again, where the same words of another server are beyond doubt.

    https://github.com/metabrainz/listenbrainz-server/issues/1921
    """
    # given
    owner.registers("spotify", **scripted.endpoints)
    connection_id = connected("spotify")
    granted = scripted.answers["/token"]
    scripted.answers["/token"] = refusal(400, {"error": "invalid_grant", "error_description": "Refresh token revoked"})
    refused = application.call("token", connection_id=connection_id)

    # when
    scripted.answers["/token"] = granted
    stack.clock.advance(90)
    answer = application.call("refresh", connection_id=connection_id)

    # then
    assert refused["error"] == "reauthorization_required"
    assert answer.get("access_token") == granted["access_token"]
    assert status_of(application, connection_id) == "active"


@pytest.mark.parametrize(
    ("words", "error", "status"),
    [
        ("refresh_token is invalid", "reauthorization_required", "reauthorization_required"),
        ("The client is not allowed to do this", "provider_misconfigured", "active"),
        (None, "provider_misconfigured", "active"),
    ],
)
def test_jira_says_two_things_with_one_code(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    owner: Owner,
    scripted: Scripted,
    connected: Connect,
    words: str | None,
    error: str,
    status: str,
) -> None:
    """The words distinguish a dead refresh token from a client that may not refresh."""
    # given
    owner.registers("atlassian-jira", **scripted.endpoints)
    connection_id = connected("atlassian-jira")
    scripted.answers["/token"] = refusal(403, {"error": "unauthorized_client", "error_description": words})

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == error
    assert status_of(application, connection_id) == status


def test_rules_of_a_registration_come_on_top_of_the_files(
    application: Application, owner: Owner, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """Who explains one code more loses nothing of what the file explains."""
    # given
    codes = {"error_codes": {"unauthorized_client": "temporarily_unavailable"}}
    owner.registers("atlassian-jira", **scripted.endpoints, **codes)
    connection_id = connected("atlassian-jira")

    # when
    scripted.answers["/token"] = refusal(403, {"error": "unauthorized_client"})
    passing = application.call("token", connection_id=connection_id)
    stack.clock.advance(passing["retry_after"])
    dead = {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}
    scripted.answers["/token"] = refusal(403, dead)
    lasting = application.call("token", connection_id=connection_id)

    # then
    assert (passing["error"], lasting["error"]) == ("provider_unavailable", "reauthorization_required")


# What a registration says

ITEMS = {
    "refusals": [
        {"contains": {"errors": {"resource": "RefreshToken", "code": "invalid"}}, "means": "invalid_grant"},
        {"contains": {"errors": {"resource": "Application", "code": "invalid"}}, "means": "invalid_client"},
    ]
}


@pytest.mark.parametrize(
    ("resource", "error"),
    [("RefreshToken", "reauthorization_required"), ("Application", "provider_misconfigured")],
)
def test_members_of_a_list_show_whose_fault_it_is(
    application: Application, scripted: Scripted, connected: Connect, resource: str, error: str
) -> None:
    """Strava's errors have one code for all that is invalid, and say beside it what that is."""
    # given
    connection_id = connected(application.register(scripted.registration | ITEMS))
    errors = [{"resource": resource, "field": "x", "code": "invalid"}]
    scripted.answers["/token"] = refusal(400, {"message": "Bad Request", "errors": errors})

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == error


@pytest.mark.parametrize(
    "says",
    [
        {"error_codes": {"http_400": "invalid_grant"}},
        {"refusals": [{"endpoint": "refresh", "status": 400, "means": "invalid_grant"}]},
    ],
)
def test_an_answer_without_a_body_means_what_the_data_says(
    application: Application, scripted: Scripted, connected: Connect, stack: Stack, says: dict[str, Any]
) -> None:
    """If a server has nothing else to say of a dead grant, its status is enough; a firewall's page never is."""
    # given
    connection_id = connected(application.register(scripted.registration | says))

    # when
    scripted.answers["/token"] = Response("<html>Blocked.</html>", 400, content_type="text/html")
    blocked = application.call("token", connection_id=connection_id)
    stack.clock.advance(blocked["retry_after"])
    scripted.answers["/token"] = Response(b"", 400)
    dead = application.call("token", connection_id=connection_id)

    # then
    assert (blocked["error"], blocked["retryable"]) == ("provider_unavailable", True)
    assert dead["error"] == "reauthorization_required"


def test_a_rule_that_is_badly_written_is_named(application: Application, scripted: Scripted) -> None:
    """Which rule, which key, what was expected there: before any customer is sent anywhere."""
    # given
    rules = [{"code": "E-1", "means": "invalid_grant"}, {"code": "E-2", "means": "dead"}]
    provider = application.register(scripted.registration | {"refusals": rules})

    # when
    answer = application.call("start", provider=provider)

    # then
    assert answer["error"] == "provider_misconfigured"
    assert (
        "refusals: expected means of rule 2 to be one of invalid_grant, revoked, invalid_client"
        in answer["error_description"]
    )


# What nobody has explained


@pytest.mark.parametrize(
    "unknown",
    [
        refusal(400, {"error": "unknown_error", "error_description": "retry your request"}),
        refusal(400, {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}),
        refusal(403, {"message": "Forbidden"}),
        Response(b"", 400),
    ],
    ids=["asks to try again", "invalid_request", "no code", "no body"],
)
def test_a_refresh_that_is_refused_for_an_unknown_reason_is_tried_again(
    application: Application, scripted: Scripted, connected: Connect, stack: Stack, unknown: Response
) -> None:
    """It may pass, so it ends nothing; the caller gets the server's words, and the next call a token."""
    # given
    connection_id = connected(application.register(scripted.registration))
    scripted.answers["/token"] = unknown

    # when
    first = application.call("token", connection_id=connection_id)
    scripted.answers["/token"] = TOKENS
    stack.clock.advance(first["retry_after"])
    after = application.call("token", connection_id=connection_id)

    # then
    assert (first["error"], first["retryable"]) == ("provider_unavailable", True)
    assert first["provider_error"]["status"] == unknown.status_code
    assert after["version"] == 2


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (
            refusal(400, {"fault": {"faultstring": "hush-Hush", "detail": {"errorcode": "hush"}}, "hush-7f0b2c9d": 1}),
            "Of the answer: its fields are fault, fault.faultstring, fault.detail, and 1 more.",
        ),
        (Response("<html>hush</html>", 403, content_type="text/html"), "Of the answer: it is text/html of 17 octets."),
        (refusal(400, {"error": "hush_hour", "hint": "hush"}), "refusals of the registration."),
    ],
    ids=["no field that is known", "a page", "a code"],
)
def test_the_fields_of_a_refusal_that_nobody_knows_are_named(
    application: Application, scripted: Scripted, connected: Connect, unknown: Response, said: str
) -> None:
    """Whoever explains it in `refusals` needs them. A code or words of the server are in `provider_error`."""
    # given
    connection_id = connected(application.register(scripted.registration))
    scripted.answers["/token"] = unknown

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error_description"].startswith("Refreshing at 127.0.0.1:")
    assert answer["error_description"].endswith(said)
    assert "hush" not in answer["error_description"]


@pytest.mark.parametrize(
    ("others_work", "error", "status"),
    [(True, "reauthorization_required", "reauthorization_required"), (False, "provider_misconfigured", "active")],
)
def test_a_refusal_that_nobody_knows_is_understood_in_the_end(  # noqa: PLR0913 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    connected: Connect,
    stack: Stack,
    *,
    others_work: bool,
    error: str,
    status: str,
) -> None:
    """A server says invalid_request to one dead refresh token for days: the customer is asked, or a person is."""
    # given
    provider = application.register(scripted.registration)
    other, scripted.answers["/token"] = connected(provider), TOKENS | {"refresh_token": "dead"}
    started, _ = connect(application, browser, provider)
    dead = started["connection_id"]
    stack.clock.advance(3601)

    def answer(received: Received) -> Any:
        is_dead = dict(received.form)["refresh_token"] == "dead" or not others_work
        return refusal(400, {"error": "invalid_request"}) if is_dead else TOKENS

    scripted.answers["/token"] = answer

    # when
    answers = []
    for _ in range(10):
        answers.append(application.call("token", connection_id=dead)["error"])
        stack.clock.advance(9000)
        application.call("token", connection_id=other)
    answers.append(application.call("token", connection_id=dead)["error"])

    # then
    listed = application.call("connections", connection_id=dead)["connection"]
    assert answers == ["provider_unavailable"] * 10 + [error]
    assert (listed["status"], listed["needs"]) == (status, "reauthorization")


# Another registration than the tokens were issued under


def another_client(scripted: Scripted, **more: Any) -> dict[str, Any]:
    """Return the registration with another client in it."""
    return {**scripted.registration, "client_id": "another-client", **more}


def test_a_client_id_that_was_changed_by_mistake_ends_no_grant(
    application: Application, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """Nothing is sent as another client, to refresh or to revoke, for any connection; with the right one all live."""
    # given
    provider = application.register(scripted.registration)
    connections = [connected(provider) for _ in range(3)]
    application.register_again(provider, another_client(scripted))
    stack.clock.advance(400)
    scripted.answers["/token"], sent = refusal(400, {"error": "invalid_grant"}), len(scripted.received)

    # when
    answers = [application.call("token", connection_id=each) for each in connections for _ in range(2)]
    revoked = application.call("revoke", connection_id=connections[2])
    sent_as_another = len(scripted.received) - sent
    application.register_again(provider, scripted.registration)
    scripted.answers |= {"/token": TOKENS, "/revoke": {}}
    stack.clock.advance(400)
    after = [application.call("token", connection_id=each) for each in connections[:2]]

    # then
    assert {each["error"] for each in answers} == {"provider_misconfigured"}
    assert "'scripted-client', and the registration names 'another-client'" in answers[0]["error_description"]
    assert (sent_as_another, revoked["status"]) == (0, "revoking")
    assert [each["version"] for each in after] == [2, 2]
    assert application.call("revoke", connection_id=connections[2])["status"] == "revoked"


def test_a_previous_client_is_used_for_what_was_issued_to_it(
    application: Application, browser: Browser, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """With its own id, while new connections are made with the new one; its grants are revoked with it, too."""
    # given
    provider = application.register(scripted.registration)
    old = connected(provider)
    application.register_again(provider, another_client(scripted, previous_clients=[{"client_id": "scripted-client"}]))
    stack.clock.advance(400)
    scripted.answers["/revoke"] = {}

    # when
    refreshed = application.call("token", connection_id=old)
    connect(application, browser, provider)
    revoked = application.call("revoke", connection_id=old)

    # then
    clients = [dict(received.form)["client_id"] for received in scripted.received[1:]]
    assert (refreshed["version"], revoked["status"]) == (2, "revoked")
    assert clients == ["scripted-client", "another-client", "scripted-client", "scripted-client"]


def test_customers_connect_again_if_that_is_meant(
    application: Application, scripted: Scripted, connected: Connect, stack: Stack
) -> None:
    """Nothing is sent; their grants are left at the server."""
    # given
    provider = application.register(scripted.registration)
    connection_id = connected(provider)
    application.register_again(provider, another_client(scripted, reauthorize_previous=True))
    stack.clock.advance(400)
    sent = len(scripted.received)

    # when
    answer = application.call("token", connection_id=connection_id)
    revoked = application.call("revoke", connection_id=connection_id)

    # then
    assert answer["error"] == "reauthorization_required"
    assert (revoked["status"], revoked["grant"], len(scripted.received) - sent) == ("revoked", "left at the server", 0)


# Two live secrets


def two_secrets(scripted: Scripted) -> dict[str, Any]:
    """Return a registration in the middle of a rotation."""
    method = {"token_endpoint_auth_method": "client_secret_post"}
    return {**scripted.registration, **method, "client_secrets": ["new-secret", "old-secret"]}


def knowing_the_old_secret_alone(refused: Response) -> Callable[[Received], Any]:
    """Return a token endpoint that answers every other secret with a refusal."""

    def answer(received: Received) -> Any:
        return TOKENS if dict(received.form)["client_secret"] == "old-secret" else refused

    return answer


@pytest.mark.parametrize(
    "refused",
    [
        refusal(401, {"error": "unauthorized_client"}),
        refusal(401, {"error": "something_new"}),
        refusal(401, ""),
        refusal(403, {"error": "unauthorized_client"}),
    ],
    ids=["401", "401 with a code of its own", "401 and nothing else", "403"],
)
def test_the_older_secret_is_tried_at_a_refresh(
    application: Application, scripted: Scripted, connected: Connect, refused: Response
) -> None:
    """Whatever a server calls a secret that it does not know yet."""
    # given
    connection_id = connected(application.register(two_secrets(scripted)))
    scripted.answers["/token"] = knowing_the_old_secret_alone(refused)

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["version"] == 2
    listed = application.call("connections", connection_id=connection_id)["connection"]
    assert listed["client_secret_used"] == "previous"


@pytest.mark.parametrize(("status", "codes"), [(401, 2), (403, 1)])
def test_a_code_goes_out_once_more_if_the_server_has_not_looked_at_it(
    application: Application, browser: Browser, scripted: Scripted, status: int, codes: int
) -> None:
    """After a 401, that is, and after no 403: the server may have known the client."""
    # given
    provider = application.register(two_secrets(scripted))
    scripted.answers["/token"] = knowing_the_old_secret_alone(refusal(status, {"error": "unauthorized_client"}))

    # when
    _, page = connect(application, browser, provider)

    # then
    assert [dict(received.form)["code"] for received in scripted.received] == [CODE] * codes
    assert page.status_code == (200 if codes > 1 else 502)
