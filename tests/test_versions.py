"""A parameter that is changed reaches the alias: a version is published for it, and never for nothing.

SAM makes a version's logical id of the text of the function's properties, in which a parameter's value is not. What
moves the version is its description, which holds the values: CloudFormation replaces a version whose description
changes.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.expressions import Deployed, translated

# Each parameter with a value that is not its default.
CHANGED = {
    "BaseUrl": "https://connect.example.com",
    "ReturnToOrigins": "https://app.example.com,https://www.example.com",
    "ApplicationUrl": "https://app.example.com/connect",
    "OriginVerifySha256": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
    "ApplicationName": "Acme Orders",
    "LogoUrl": "https://static.example.com/logo.svg",
    "Color": "#0b5c4a",
    "Support": "help@example.com",
    "DefaultLanguage": "de",
    "Confirm": "required",
    "SecretPrefix": "gatehouse-staging/providers/",
    "PushedRequests": "true",
    "ThrottlingRateLimit": "50",
    "ThrottlingBurstLimit": "70",
    "MemorySize": "1024",
    "SnapStart": "PublishedVersions",
    "BackgroundConcurrency": "100",
    "ReservedConcurrency": "7",
    "LogLevel": "DEBUG",
    "LogRetentionDays": "30",
    "SweepSchedule": "rate(1 minute)",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
    "EndedGrantsAnHour": "20",
    "Revision": "2",
    "EventBusName": "connections",
    "PublishRefreshes": "true",
    "ConnectionsTableName": "gatehouse-restored",
    "ConnectionsStreamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/2026-11-29T00:00:00.000",
    "TokensKeyId": "99999999-99ab-34cd-99ef-999999999999",
    "SecondTokensKeyId": "own",
    "SealingKey": "second",
}
# What has to be so for another parameter to be changed.
ALONG: dict[str, dict[str, str]] = {"SealingKey": {"SecondTokensKeyId": "own"}}
# What is too long for a description. `make check-deployment` says when a new Revision is due.
APPEARANCE = ("ApplicationName", "LogoUrl", "Color", "Support", "DefaultLanguage")
COUNTS_BY_REVISION = {
    *(("AuthorizeFunction", each) for each in APPEARANCE),
    *(("CallbackFunction", each) for each in APPEARANCE),
    ("StartFunction", "ReturnToOrigins"),
    ("CallbackFunction", "ApplicationUrl"),
    ("AuthorizeFunction", "OriginVerifySha256"),
    ("CallbackFunction", "OriginVerifySha256"),
}
# Of the function itself, whatever its version.
NOT_IN_A_VERSION = {"ReservedConcurrentExecutions", "Tags"}
FUNCTIONS = sorted(name for name, each in translated()["Resources"].items() if each["Type"] == "AWS::Lambda::Function")


def published(deployed: Deployed, function: str) -> tuple[str, Any]:
    """Return what CloudFormation tells a function's version by: where it differs, a new one is published."""
    versions = {n: r for n, r in translated()["Resources"].items() if r["Type"] == "AWS::Lambda::Version"}
    (logical_id,) = (n for n, r in versions.items() if r["Properties"]["FunctionName"] == {"Ref": function})
    return logical_id, deployed.properties(logical_id)


def configuration(deployed: Deployed, function: str) -> Any:
    """Return what a version of a function is made of."""
    return {name: each for name, each in deployed.properties(function).items() if name not in NOT_IN_A_VERSION}


def test_every_parameter_is_tried() -> None:
    """The table above has them all, each with a value that the template takes and that is another than its default."""
    declared = translated()["Parameters"]

    assert CHANGED.keys() == declared.keys()
    for name, value in CHANGED.items():
        assert str(declared[name]["Default"]) != value
        assert value in map(str, declared[name].get("AllowedValues", [value]))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("parameter", CHANGED)
def test_a_version_is_published_when_a_parameter_changes_the_function(function: str, parameter: str) -> None:
    """With the parameter changed the version's identity moves just where the function's configuration does.

    Where the configuration stays as it is, Lambda would publish nothing, and CloudFormation takes that for an error.
    """
    along = ALONG.get(parameter, {})
    before, after = Deployed(along), Deployed(along | {parameter: CHANGED[parameter]})

    is_changed = configuration(before, function) != configuration(after, function)
    is_published = published(before, function) != published(after, function)

    assert is_published == (is_changed and (function, parameter) not in COUNTS_BY_REVISION)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_new_revision_publishes_everything(function: str) -> None:
    """For what does not fit into a description: a new word is enough, whatever else is or is not changed."""
    before, after = Deployed({"Revision": "2026-11-28"}), Deployed({"Revision": "a1b2c3d"})

    assert configuration(before, function) != configuration(after, function)
    assert published(before, function) != published(after, function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_writing_out_what_holds_anyway_publishes_nothing(function: str) -> None:
    """The API's own URL as `BaseUrl` changes no function, so that no version may be asked for."""
    own = "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com"

    assert configuration(Deployed({"BaseUrl": own}), function) == configuration(Deployed(), function)
    assert published(Deployed({"BaseUrl": own}), function) == published(Deployed(), function)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("own_table", [True, False])
def test_a_description_has_room_for_the_longest_values(function: str, own_table: bool) -> None:  # noqa: FBT001 - a table of cases
    """Lambda takes 256 characters; each value is as long as the template lets it be."""
    longest = {
        "Revision": "r" * 12,
        "MemorySize": "10240",
        "LogLevel": "DEBUG",
        "SnapStart": "PublishedVersions",
        "BaseUrl": "https://".ljust(translated()["Parameters"]["BaseUrl"]["MaxLength"], "b"),
        "SecretPrefix": "s" * translated()["Parameters"]["SecretPrefix"]["MaxLength"],
        "PushedRequests": "true",
        "SecondTokensKeyId": "own",
        **({} if own_table else {"ConnectionsTableName": "t" * 84}),
    }

    _, properties = published(Deployed(longest, stack_name="g" * 52), function)

    assert len(properties["Description"]) <= 256


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_version_before_stays_for_a_rollback(function: str) -> None:
    """Neither new code (another logical id) nor a new value (a replacement) deletes what the alias led to before."""
    logical_id, _ = published(Deployed(), function)
    version = translated()["Resources"][logical_id]

    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("Retain", "Retain")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_is_called_by_its_alias(function: str) -> None:
    """The API calls `http`, the queues and the schedule `live`: moving both back undoes a deployment of everything.

    Both lead to the same version. The API may call no other alias, and nobody but the API may call `http`.
    """
    resources = translated()["Resources"]
    aliases = {
        name: each["Properties"]
        for name, each in resources.items()
        if each["Type"] == "AWS::Lambda::Alias" and each["Properties"]["FunctionName"] == {"Ref": function}
    }
    logical_id, _ = published(Deployed(), function)
    by_api = [each for each in callers(resources) if each["Principal"] == "apigateway.amazonaws.com"]
    by_others = [each for each in callers(resources) if each["Principal"] != "apigateway.amazonaws.com"]

    for alias in aliases.values():
        assert alias["FunctionName"] == {"Ref": function}
        assert alias["FunctionVersion"] == {"Fn::GetAtt": [logical_id, "Version"]}
    for name, alias in aliases.items():
        called = {"api": {"Ref": name} in called_of(by_api), "others": {"Ref": name} in called_of(by_others)}
        assert alias["Name"] in {"http", "live"}
        assert called["api"] is (alias["Name"] == "http")
        assert not (called["others"] and alias["Name"] == "http")
    for each in ({"Ref": function}, {"Fn::GetAtt": [function, "Arn"]}):
        assert each not in called_of(by_api + by_others)


def callers(resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what lets a service call a function, or has it called: its principal, and what of the function."""
    kinds = {"AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"}
    found = [each["Properties"] for each in resources.values() if each["Type"] in kinds]
    targets = [target for each in resources.values() for target in each.get("Properties", {}).get("Targets", [])]
    return [
        *({"Principal": each.get("Principal", "lambda"), "FunctionName": each["FunctionName"]} for each in found),
        *({"Principal": "events", "FunctionName": target["Arn"]} for target in targets),
    ]


def called_of(found: list[dict[str, Any]]) -> list[Any]:
    """Return what they call."""
    return [each["FunctionName"] for each in found]


@pytest.mark.parametrize("policy", ["UseTokensPolicy", "ManageConnectionsPolicy"])
def test_no_policy_lets_anybody_invoke_the_alias_of_the_api(policy: str) -> None:
    """Whoever could would write the name of another caller into the log, and call in place of anybody."""
    made = {name: each for name, each in translated()["Resources"].items() if each["Type"] == "AWS::Lambda::Alias"}
    aliases = {name for name, each in made.items() if each["Properties"]["Name"] == "http"}
    allowed = json.dumps(translated()["Resources"][policy]["Properties"])

    assert aliases
    assert [name for name in aliases if name in allowed] == []
    assert ":http" not in allowed
