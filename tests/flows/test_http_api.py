"""`POST /v1/{function}`: the same contracts by HTTP, with the statuses of the error table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from functions.token import handler as token
from functions.vault.grant.connection import JUST_OBTAINED
from functions.vault.grant.life import CONFIRM_WITHIN
from local.demo import Faults
from tests.flows.application import (
    FAILURE_KEYS,
    TIMEOUT,
    TOKEN_KEYS,
    Context,
    browser_event,
    fresh,
    table_name,
    with_services,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import (
        Application,
    )

FUNCTIONS = ("start", "confirm", "token", "refresh", "revoke", "connections", "import_connection")


def brought_back(stack: Stack, application: Application, browser: Browser) -> dict[str, str]:
    """Let a customer consent, and return what the application confirms with what their browser brings it."""
    fields = {"provider": "ultracart", "connection_id": fresh(), "confirm": True}
    started = application.call("start", **fields, return_to=f"{stack.base_url}/app")
    answer = browser.open(browser.consent(browser.authorize(started["authorize_url"])))
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {"connection_id": started["connection_id"], "confirmation": query["confirmation"][0]}


def test_success_is_200_json_that_nobody_may_keep(
    stack: Stack, application: Application, new_browser: Callable[..., Browser]
) -> None:
    """Every function answers by HTTP as by Invoke."""
    # given
    connection_id = new_browser(fresh("merchant")).connect(connection_id=fresh())
    unconfirmed = brought_back(stack, application, new_browser(fresh("merchant")))

    brought = {"provider": "ultracart", "connection_id": fresh(), "access_token": "issued-elsewhere"}

    # when
    answers = {
        "start": application.post("start", {"provider": "ultracart"}),
        "confirm": application.post("confirm", unconfirmed),
        "token": application.post("token", {"connection_id": connection_id}),
        "connections": application.post("connections", {"connection_id": connection_id}),
        "refresh": application.post("refresh", {"connection_id": connection_id}),
        "revoke": application.post("revoke", {"connection_id": connection_id}),
        "import_connection": application.post("import_connection", brought),
    }

    # then
    assert answers["start"].json().keys() == {"connection_id", "request_id", "authorize_url", "expires_at"}
    assert answers["token"].json().keys() == answers["refresh"].json().keys() == TOKEN_KEYS
    assert answers["confirm"].json() == {
        "connection_id": unconfirmed["connection_id"],
        "status": "active",
        "version": 1,
    }
    assert answers["connections"].json().keys() == {"connection"}
    assert answers["import_connection"].json() == {
        "connection_id": brought["connection_id"],
        "status": "active",
        "version": 1,
    }
    ended = {"status": "revoked", "grant": "ended with all of its account"}
    assert answers["revoke"].json() == {"connection_id": connection_id, **ended}
    assert answers.keys() == set(FUNCTIONS)
    for answer in answers.values():
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "7", '"text"', "provider=ultracart", b"\xff\xfe", "[" * 100_000, "1" * 10_000, "NaN"],
)
def test_body_that_is_no_json_object_is_a_400(
    application: Application, aws_calls: list[AwsCall], function: str, body: str | bytes
) -> None:
    """Whatever is posted, the answer is JSON that says what is expected, and nothing happens."""
    # when
    answer = application.post(function, body)

    # then
    assert answer.status_code == 400
    assert answer.json().keys() == FAILURE_KEYS
    assert answer.json()["error"] == "invalid_request"
    assert "JSON object" in answer.json()["error_description"]
    assert aws_calls == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "it is empty."),
        ('{"provider": "hush-hush",}', "line 1, column 26: Expecting property name enclosed in double quotes (names "),
        ("provider=hush-hush", "line 1, column 1: Expecting value (names and texts stand in double quotation marks"),
        ("[" * 100_000, "it is nested too deeply."),
    ],
)
def test_a_body_that_is_not_json_is_named_by_its_place(application: Application, body: str | bytes, said: str) -> None:
    """With an example, and nothing of the body."""
    # when
    answer = application.post("start", body).json()["error_description"]

    # then
    assert answer.startswith(f'body: expected a JSON object, like {{"connection_id": "shop-1"}}: {said}')
    assert "hush" not in answer


@pytest.mark.parametrize("function", FUNCTIONS)
def test_unknown_field_is_a_400_that_names_it(application: Application, function: str) -> None:
    """A misspelt field is not silently ignored; a name that could do harm in a log is not repeated."""
    # when
    plain = application.post(function, {"conection_id": "x"})
    odd = application.post(function, {"<script>\n": "x"})

    # then
    assert (plain.status_code, odd.status_code) == (400, 400)
    assert "conection_id: unknown field" in plain.json()["error_description"]
    assert "<script" not in odd.text


def test_form_encoded_body_is_refused(stack: Stack) -> None:
    """A form is not JSON, though the HTTP API hands it over in base64."""
    # when
    answer = requests.post(f"{stack.base_url}/v1/start", data={"provider": "ultracart"}, timeout=TIMEOUT)

    # then
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


def test_every_error_has_its_status(
    stack: Stack, application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """The error table of the design, row by row; Retry-After is there if `retry_after` is, with its value."""
    # given
    merchant = fresh("merchant")
    names = ("dead", "revoked", "misconfigured", "throttled", "unavailable")
    ids = dict(zip(names, [new_browser(merchant + name).connect(connection_id=fresh()) for name in names], strict=True))
    demo.withdraw(merchant + "dead")
    application.call("revoke", connection_id=ids["revoked"])
    late = brought_back(stack, application, new_browser(merchant + "late"))
    stack.clock.advance(CONFIRM_WITHIN)
    unconfirmed = brought_back(stack, application, new_browser(merchant + "unconfirmed"))

    def refresh(name: str, fault: Faults | None = None) -> requests.Response:
        if fault:
            demo.put_faults(fault)
        stack.clock.advance(JUST_OBTAINED)
        answer = application.post("refresh", {"connection_id": ids[name]})
        demo.reset()
        return answer

    # when
    answers = {
        "invalid_request": (400, application.post("token", {})),
        "unknown_provider": (404, application.post("start", {"provider": "nowhere"})),
        "connection_not_found": (404, application.post("token", {"connection_id": fresh()})),
        "confirmation_required": (409, application.post("token", {"connection_id": unconfirmed["connection_id"]})),
        "confirmation_invalid": (409, application.post("confirm", unconfirmed | {"confirmation": "A" * 43})),
        "confirmation_expired": (409, application.post("confirm", late)),
        "reauthorization_required": (409, refresh("dead")),
        "connection_revoked": (410, refresh("revoked")),
        "provider_misconfigured": (502, refresh("misconfigured", Faults(endpoint="token", error="invalid_client"))),
        "provider_throttled": (503, refresh("throttled", Faults(endpoint="token", status=429, retry_after=33))),
        "provider_unavailable": (503, refresh("unavailable", Faults(endpoint="token", status=500))),
    }

    # then
    for code, (status, answer) in answers.items():
        document = answer.json()
        assert (answer.status_code, document["error"]) == (status, code)
        assert document["retryable"] is (status == 503 or code == "confirmation_required")
        assert answer.headers.get("Retry-After") == (str(document["retry_after"]) if status == 503 else None)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert document.keys() <= FAILURE_KEYS | {"retry_after", "asked_at", "connection_id", "provider_error"}
        assert document["error_description"]


def test_too_little_time_is_a_503(stack: Stack, browser: Browser) -> None:
    """`temporarily_unavailable` says by Retry-After when to come back."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    stack.clock.advance(3600)
    body = json.dumps({"connection_id": connection_id})
    environ = EnvironBuilder(method="POST", path="/v1/token", data=body, content_type="application/json").get_environ()

    # when
    answer = with_services(stack, token)(
        browser_event(Request(environ), "POST /v1/token"), Context(remaining_seconds=3.5, alias="http")
    )

    # then
    assert (answer["statusCode"], answer["headers"]["Retry-After"]) == (503, "1")
    assert json.loads(answer["body"])["error"] == "temporarily_unavailable"


def test_defect_is_a_500_without_details(stack: Stack, application: Application, browser: Browser) -> None:
    """By HTTP `server_error` with a reference to the log, by Invoke an exception; neither reveals what caused it."""
    # given
    connection_id = browser.connect(connection_id=fresh())
    _damage(stack, connection_id)

    # when
    by_http = application.post("token", {"connection_id": connection_id})
    by_invoke = stack.lambda_client().invoke(
        FunctionName="gatehouse-token", Payload=json.dumps({"connection_id": connection_id})
    )

    # then
    document = by_http.json()
    assert (by_http.status_code, document.keys()) == (500, FAILURE_KEYS)
    assert (document["error"], document["retryable"]) == ("server_error", False)
    raised = json.load(by_invoke["Payload"])
    assert by_invoke["FunctionError"] == "Unhandled"
    assert raised["errorType"] == "ServerError"
    for text in (document["error_description"], raised["errorMessage"]):
        assert "log under request" in text
        assert "Seal" not in text


@pytest.mark.parametrize("function", ["authorize", "callback", "sweep", "", "token/", "Token", "token/x"])
def test_nothing_else_is_under_v1(stack: Stack, aws_calls: list[AwsCall], function: str) -> None:
    """Browsers' functions have their own addresses, and unknown ones none."""
    # when
    answer = requests.post(f"{stack.base_url}/v1/{function}", json={}, timeout=TIMEOUT)

    # then
    assert (answer.status_code, aws_calls) == (404, [])


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_functions_answer_to_post_alone(stack: Stack, method: str, function: str) -> None:
    """A link or an image in a page can call nothing."""
    # when
    answer = requests.request(method, f"{stack.base_url}/v1/{function}", timeout=TIMEOUT)

    # then
    assert answer.status_code == 404


def test_unmodified_lambda_client_invokes_every_function(stack: Stack) -> None:
    """boto3 with nothing but an `endpoint_url`; each function is there under its deployed name."""
    # given
    client: Any = boto3.client("lambda", endpoint_url=stack.base_url)

    # when
    answers = {
        name: json.load(client.invoke(FunctionName=f"gatehouse-{name}", Payload=b'{"x": 1}')["Payload"])
        for name in (*FUNCTIONS, "authorize", "callback")
    }

    # then
    assert {answer["error"] for answer in answers.values()} == {"invalid_request"}


def _damage(stack: Stack, connection_id: str) -> None:
    """Put another connection's kind of bytes where the ciphertext is: what no function of ours would do."""
    boto3.client("dynamodb").update_item(
        TableName=table_name(stack, "connections"),
        Key={"connection_id": {"S": connection_id}},
        UpdateExpression="SET #sets[0].seal.ciphertext = :sealed",
        ExpressionAttributeNames={"#sets": "sets"},
        ExpressionAttributeValues={":sealed": {"B": b"\x01 not what was sealed"}},
    )
