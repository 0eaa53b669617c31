"""What docs/permissions.md says is so: its policies name paths that there are, and its fields are those of the log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from functions.token import handler as token
from local.aws import cloudformation
from tests.documents import page, programs, rows, section
from tests.flows.application import Context, with_services
from tests.requirements import ROOT

if TYPE_CHECKING:
    from local.stack import Stack

PAGE = page("docs/permissions.md")
API = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/$default/"
OPENS = {
    "One owner": {"POST /v1/owners/{owner}/token", "POST /v1/owners/{owner}/refresh"},
    "Ids with a prefix": {"POST /v1/connections/{connection_id}/token", "POST /v1/connections/{connection_id}/refresh"},
    "The owner in the caller's tag": {"POST /v1/owners/{owner}/token", "POST /v1/owners/{owner}/refresh"},
    "Reading without tokens": {"POST /v1/connections"},
}
"""The routes that each policy of the page opens, for the owner or the ids that it names."""


def signed_routes() -> set[str]:
    """Return the routes of the template that need a signature."""
    bodies = [
        each["Properties"]["Body"]
        for each in cloudformation.load(ROOT / "template.yaml")["Resources"].values()
        if each["Type"] == "AWS::ApiGatewayV2::Api"
    ]
    return {
        f"{method.upper()} {path}"
        for body in bodies
        for path, operations in body["paths"].items()
        for method, operation in operations.items()
        if operation["security"]
    }


@pytest.mark.parametrize("heading", OPENS)
def test_a_policy_of_the_page_names_paths_that_there_are(heading: str) -> None:
    """It allows, and nothing else, and each resource is the path of one route at the stage `$default`."""
    (text,) = programs(section(PAGE, heading), "json")
    policy: dict[str, Any] = json.loads(text)

    (statement,) = policy["Statement"]
    named = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    routes = {re.sub(r"/connections/[^/]+/", "/connections/{connection_id}/", each.removeprefix(API)) for each in named}
    routes = {re.sub(r"/owners/(\$\{.*\}|[^/]+)/", "/owners/{owner}/", each).replace("/", " /", 1) for each in routes}

    assert (policy["Version"], statement["Effect"], statement["Action"]) == (
        "2012-10-17",
        "Allow",
        "execute-api:Invoke",
    )
    assert all(each.startswith(API) for each in named)
    assert routes == OPENS[heading]
    assert routes <= signed_routes()


def test_the_page_has_these_four_policies_and_no_other() -> None:
    """What stands there is tried: here, and by an evaluator of IAM policies that is not ours."""
    assert len(programs(PAGE, "json")) == len(OPENS)


def test_the_fields_of_a_line_are_those_of_the_page(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever searches the log for who asked finds them under these names."""
    explained = {name.strip("` ") for row in rows(section(PAGE, "Who asked"))[:7] for name in row[0].split(",")}
    event = {
        "version": "2.0",
        "routeKey": "POST /v1/token",
        "rawPath": "/v1/token",
        "requestContext": {"requestId": "api-1", "authorizer": {"iam": {"userArn": "arn", "accountId": "1"}}},
        "body": '{"connection_id": "nobody"}',
    }
    capsys.readouterr()

    with_services(stack, token)(event, Context(alias="http"))

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert explained - {"provider", "version"} <= line.keys()
    assert {"principal", "route", "provider", "version", "outcome", "request_id", "api_request_id"} <= explained
