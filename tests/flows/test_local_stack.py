"""The stack on one machine, as its user meets it: landing page, clock, Invoke, HTTP API, isolation."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from functions.vault.grant.connection import JUST_OBTAINED
from local.base.clock import Clock
from local.pages.landing import Landing, Sources
from local.stack import Stack
from tests.browser import Browser, invoke
from tests.built import running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.call import AwsCall
    from local.demo import DemoServer


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: the landing page reads all connections, and other tests make a thousand."""
    with running_stack() as running:
        yield running


def test_landing_page_connects_a_merchant_and_shows_the_connection(stack: Stack, browser: Browser) -> None:
    """A newcomer presses one button, consents, sees the result page, and finds the connection on the landing page."""
    # given
    assert browser.open("/").status_code == 200

    # when
    redirect = browser.post("/_local/connect", {"provider": "ultracart", "connection_id": "landing-1"})
    result = browser.visit(redirect.headers["Location"])

    # then
    assert redirect.status_code == 303
    assert urlsplit(redirect.headers["Location"]).path.startswith("/authorize/")
    assert result.status_code == 200
    assert "landing-1" in browser.open("/").text
    assert invoke(stack, "connections", {"connection_id": "landing-1"})["connection"]["status"] == "active"


def test_landing_page_shows_tokens_masked_and_nowhere_else(stack: Stack, browser: Browser) -> None:
    """The token and refresh buttons answer with a redirect that carries no token, to a page that masks it."""
    # given
    connection_id = browser.connect()

    # when
    posts = [browser.post(f"/_local/{name}", {"connection_id": connection_id}) for name in ("token", "refresh")]
    pages = [browser.open(post.headers["Location"]) for post in posts]

    # then
    secret_values = [value for values in stack.demo.secrets().values() for value in values]
    assert [post.status_code for post in posts] == [303, 303]
    assert all(
        f"gatehouse-{name} answered" in page.text for name, page in zip(("token", "refresh"), pages, strict=True)
    )
    seen = "".join(str(post.headers) + page.text for post, page in zip(posts, pages, strict=True))
    assert [value for value in secret_values if len(value) > 8 and value in seen] == []


def test_landing_page_revokes(stack: Stack, browser: Browser) -> None:
    """The revoke button ends the connection."""
    # given
    connection_id = browser.connect()

    # when
    page = browser.open(browser.post("/_local/revoke", {"connection_id": connection_id}).headers["Location"])

    # then
    assert "gatehouse-revoke answered" in page.text
    assert invoke(stack, "connections", {"connection_id": connection_id})["connection"]["status"] == "revoked"


def test_landing_page_shows_what_a_function_refused(browser: Browser) -> None:
    """An error of a function is shown with its code, and a reload of the page does nothing again."""
    # when
    answer = browser.post("/_local/token", {"connection_id": "never-existed"})
    page = browser.open(answer.headers["Location"])

    # then
    assert answer.status_code == 303
    assert "connection_not_found" in page.text


def test_landing_page_shows_the_newest_first_of_however_many() -> None:
    """What was just connected is at the top, also on a stack on which hundreds were connected before."""
    # given
    created_at = [number * 7919 % 251 for number in range(250)]
    known = [
        {"connection_id": f"c-{moment}", "provider": "demo", "status": "revoked", "created_at": moment}
        for moment in created_at
    ]

    def connections(_function: str, payload: dict[str, Any]) -> dict[str, Any]:
        start = int(payload.get("cursor", 0))
        end = start + payload["limit"]
        return {"connections": known[start:end], **({"cursor": str(end)} if end < len(known) else {})}

    links = {"base_url": "http://localhost", "aws_endpoint": "", "demo_url": ""}
    landing = Landing(connections, Clock(), Sources(links, {"demo": {}}))

    # when
    page = landing.answer(Request(EnvironBuilder().get_environ()))

    # then
    assert page is not None
    text = page.get_data(as_text=True)
    newest = sorted(created_at, reverse=True)[:200]
    assert re.findall(r"<h3[^>]*>(c-\d+)</h3>", text) == [f"c-{moment}" for moment in newest]
    assert "The newest 200 are shown, 50 older ones are not" in text


@pytest.mark.parametrize("seconds", ["", "-1", "1.5", "ten", "9" * 400])
def test_landing_page_refuses_a_strange_step_of_the_clock(stack: Stack, browser: Browser, seconds: str) -> None:
    """The clock's form says what it takes, and the clock stays."""
    # given
    before = stack.clock.offset

    # when
    page = browser.open(browser.post("/_local/advance", {"advance_seconds": seconds}).headers["Location"])

    # then
    assert "The clock moves forward by" in page.text
    assert stack.clock.offset == before


def test_clock_moves_for_functions_and_demo_server_alike(stack: Stack, browser: Browser, demo: DemoServer) -> None:
    """An hour forward, and the token that lives an hour is refreshed, at a server that agrees that it is over."""
    # given
    connection_id = browser.connect()
    before = invoke(stack, "token", {"connection_id": connection_id})
    clock = requests.get(f"{stack.base_url}/_local/clock", timeout=10).json()

    # when
    moved = requests.post(f"{stack.base_url}/_local/clock", json={"advance_seconds": 3600}, timeout=10).json()
    after = invoke(stack, "token", {"connection_id": connection_id})

    # then
    assert moved["offset_seconds"] == clock["offset_seconds"] + 3600
    assert moved["now"] >= clock["now"] + 3600
    assert after["version"] == before["version"] + 1
    assert after["expires_at"] > moved["now"]
    assert [seen["grant_type"] for seen in demo.requests("token")] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("{}", "advance_seconds"),
        ('{"advance_seconds": "3600"}', "advance_seconds"),
        ('{"advance_seconds": true}', "advance_seconds"),
        ('{"advance_seconds": null}', "advance_seconds"),
        ('{"advance_seconds": -1}', "advance_seconds"),
        ('{"advance_seconds": NaN}', "advance_seconds"),
        ('{"advance_seconds": 1e400}', "advance_seconds"),
        ('{"advance_seconds": 1, "seconds": 1}', "seconds"),
    ],
)
def test_clock_refuses_what_is_not_a_step_forward(stack: Stack, body: str, named: str) -> None:
    """A bad clock request names the field, and the clock stays."""
    # given
    before = stack.clock.offset

    # when
    answer = requests.post(f"{stack.base_url}/_local/clock", data=body, timeout=10)

    # then
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert named in answer.json()["error_description"]
    assert stack.clock.offset == before


def test_stack_says_what_runs(stack: Stack) -> None:
    """`GET /_local` names the URLs, functions, tables and providers."""
    # when
    info = requests.get(f"{stack.base_url}/_local", timeout=10).json()

    # then
    assert info["base_url"] == stack.base_url
    assert info["demo_url"] == stack.demo.url
    assert info["aws_endpoint"] == stack.aws_endpoint
    assert {"gatehouse-start", "gatehouse-token", "gatehouse-connections"} <= set(info["functions"])
    assert len(info["tables"]) == 3
    assert info["providers"][:2] == ["ultracart", "demo"]
    assert info["clock"]["now"] >= 0


def test_lambda_client_invokes_by_name_and_by_arn(stack: Stack) -> None:
    """boto3's Lambda client, with nothing but `endpoint_url`, gets the function's own answer."""
    # given
    client = stack.lambda_client()
    arn = stack.deployment.functions["gatehouse-token"].arn

    # when
    answers = [
        json.load(client.invoke(FunctionName=name, Payload=b'{"connection_id": "nobody"}')["Payload"])
        for name in ("gatehouse-token", "gatehouse-token:$LATEST", arn, f"{arn}:$LATEST", arn.split(":", 4)[-1])
    ]

    # then
    assert {answer["error"] for answer in answers} == {"connection_not_found"}


def test_lambda_client_invokes_a_version_or_an_alias(stack: Stack) -> None:
    """As deployed: `live` by name, by ARN and by `Qualifier`, and what was not published is not there."""
    # given
    client = stack.lambda_client()
    arn = stack.deployment.functions["gatehouse-token"].arn
    names: list[dict[str, Any]] = [
        {"FunctionName": "gatehouse-token:live"},
        {"FunctionName": f"{arn}:live"},
        {"FunctionName": arn.split(":", 4)[-1] + ":live"},
        {"FunctionName": "gatehouse-token", "Qualifier": "live"},
        {"FunctionName": arn, "Qualifier": "1"},
    ]

    # when
    answers = [client.invoke(**name, Payload=b'{"connection_id": "nobody"}') for name in names]
    latest = client.invoke(FunctionName="gatehouse-token", Qualifier="$LATEST", Payload=b"{}")

    # then
    assert [json.load(answer["Payload"])["error"] for answer in answers] == ["connection_not_found"] * len(names)
    assert {answer["ExecutedVersion"] for answer in answers} == {"1"}
    assert latest["ExecutedVersion"] == "$LATEST"
    for name, qualifier in (("gatehouse-token", "nonsense"), ("gatehouse-sweep", "2")):
        with pytest.raises(client.exceptions.ResourceNotFoundException, match=rf"arn:\S+:{name}:{qualifier}$"):
            client.invoke(FunctionName=name, Qualifier=qualifier)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="does not match the specified"):
        client.invoke(FunctionName="gatehouse-token:live", Qualifier="1")


def test_http_api_answers_as_invoke_does(stack: Stack) -> None:
    """`POST /v1/token` carries the same answer with the error's status."""
    # when
    answer = requests.post(f"{stack.base_url}/v1/token", json={"connection_id": "nobody"}, timeout=10)

    # then
    assert answer.status_code == 404
    assert answer.json() == invoke(stack, "token", {"connection_id": "nobody"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/v1/token"),
        ("POST", "/authorize/x"),
        ("GET", "/authorize"),
        ("GET", "/authorize/a/b"),
    ],
)
def test_unknown_route_is_not_found(stack: Stack, method: str, path: str) -> None:
    """A route that the template does not have is API Gateway's 404."""
    # when
    answer = requests.request(method, stack.base_url + path, timeout=10)

    # then
    assert answer.status_code == 404
    assert answer.json() == {"message": "Not Found"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/_local/clock", "/_local/revoke", "/v1/token", "/2015-03-31/functions/gatehouse-token/invocations"]
)
def test_web_pages_cannot_drive_the_stack(
    stack: Stack, aws_calls: list[AwsCall], path: str, headers: dict[str, str]
) -> None:
    """A page of another origin, or one that plays with DNS, is refused before any function runs."""
    # when
    answer = requests.post(stack.base_url + path, json={"advance_seconds": 1}, headers=headers, timeout=10)

    # then
    assert answer.status_code == 403
    assert aws_calls == []


def test_web_pages_cannot_reach_the_emulated_account(stack: Stack, browser: Browser) -> None:
    """Moto grants no origin anything, so no page reads the secrets in it."""
    # when
    foreign = browser.post(stack.aws_endpoint, {"Action": "ListUsers"}, Origin="https://evil.example")
    plain = browser.open(f"{stack.aws_endpoint}/moto-api/data.json", Origin="https://evil.example")

    # then
    assert foreign.status_code == 403
    assert "Access-Control-Allow-Origin" not in plain.headers


def test_the_environment_leads_to_no_real_account(stack: Stack) -> None:
    """While the stack runs boto3 has made-up credentials, and every client of it ends at the stack."""
    # when
    session = boto3.Session()
    credentials: Any = session.get_credentials()
    endpoints = {session.client(service).meta.endpoint_url for service in ("sts", "s3", "kms")}

    # then
    assert credentials.access_key == "local"
    assert "AWS_PROFILE" not in os.environ
    assert endpoints == {stack.aws_endpoint}


def test_calls_to_aws_are_noted_by_name(stack: Stack, aws_calls: list[AwsCall]) -> None:
    """The list of calls holds what a function asked of AWS, and nothing else."""
    # when
    invoke(stack, "token", {"connection_id": "nobody"})

    # then
    assert aws_calls == [("dynamodb", "GetItem")]


def test_tables_are_those_of_the_template(stack: Stack) -> None:
    """The tables have the template's keys and indexes."""
    # given
    client = boto3.client("dynamodb")

    # when
    tables = [client.describe_table(TableName=name)["Table"] for name in stack.deployment.tables.values()]

    # then
    keys = {table["KeySchema"][0]["AttributeName"]: table for table in tables}
    assert set(keys) == {"connection_id", "request_id", "about"}
    assert {index["IndexName"] for index in keys["connection_id"]["GlobalSecondaryIndexes"]} == {"due", "listed"}


@pytest.mark.usefixtures("stack")
def test_further_registrations_are_offered() -> None:
    """A registration beside the demo's is a provider like any other, also in a second stack of one process."""
    # given
    acme = {"client_id": "a", "authorization_endpoint": "https://acme.example/authorize"}

    # when
    with Stack(registrations={"acme": acme}) as own:
        page = requests.get(own.base_url, timeout=10).text
        answer = invoke(own, "start", {"provider": "nobody"})

    # then
    assert re.search(r"\bacme\b", page)
    assert list(own.registrations) == ["ultracart", "demo", "acme"]
    assert answer["error"] == "unknown_provider"


@pytest.mark.needs_node
def test_tables_can_live_in_another_engine(dynalite: str) -> None:
    """With dynalite for DynamoDB the whole flow runs on the template's tables there, and moto's stay empty."""
    # given
    with Stack(dynamodb_endpoint=dynalite) as own:
        # when
        connection_id = Browser(own).connect("demo")
        own.clock.advance(JUST_OBTAINED)
        answer = invoke(own, "refresh", {"connection_id": connection_id})

        # then
        assert answer["version"] == 2
        assert "dynamodb" not in {call.service for call in own.aws_calls}
        pages = boto3.client("dynamodb").get_paginator("list_tables").paginate()
        kept = {name for page in pages for name in page["TableNames"]}
        assert set(own.deployment.tables.values()) <= kept
