"""The look at a deployed stack: what is well is said to be, and what is not comes with what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.deployed import deploy, physical
from tools import key_policy
from tools.check_deployment import main

if TYPE_CHECKING:
    from local.stack import Stack


@pytest.fixture
def deployed(stack: Stack) -> str:
    """Deploy one function, with its alias, a schedule, a table and a key."""
    return deploy(stack)


def test_a_deployment_that_is_well_is_said_to_be(deployed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing that was looked at has its line, and the exit code is 0."""
    code = main([deployed])

    lines = capsys.readouterr().out.splitlines()
    assert (code, lines[-1]) == (0, "All 5 are as they should be.")
    assert [f"{deployed}-token: the alias {alias}" in "".join(lines) for alias in ("http", "live")] == [True, True]
    assert all(line.startswith("ok   ") for line in lines[:-1])


def more_origins(name: str) -> str:
    """Change what is too long for a version's description, as a deployment with the old `Revision` does."""
    variables = {"GATEHOUSE_REVISION": "1", "GATEHOUSE_RETURN_TO_ORIGINS": "https://app.example.com"}
    boto3.client("lambda").update_function_configuration(
        FunctionName=f"{name}-token", Environment={"Variables": variables}
    )
    return "still runs with another GATEHOUSE_RETURN_TO_ORIGINS"


def more_memory(name: str) -> str:
    """Change a setting of the function itself."""
    boto3.client("lambda").update_function_configuration(FunctionName=f"{name}-token", MemorySize=1024)
    return "MemorySize: give Revision another value in samconfig.toml"


def schedule_off(name: str) -> str:
    """Switch the schedule off, and forget it."""
    rule = physical(name, "SweepRule")
    boto3.client("events").disable_rule(Name=rule)
    return f"it is DISABLED: `aws events enable-rule --name {rule}`"


def no_backups(name: str) -> str:
    """Use a table as it is after a restoration: without its own backups."""
    table = physical(name, "ConnectionsTable")
    boto3.client("dynamodb").update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    return f"nothing can be restored: `aws dynamodb update-continuous-backups --table-name {table}"


def unprotected(name: str) -> str:
    """Let anybody delete the table."""
    table = physical(name, "ConnectionsTable")
    boto3.client("dynamodb").update_table(TableName=table, DeletionProtectionEnabled=False)
    return f"anybody may delete it: `aws dynamodb update-table --table-name {table} --deletion-protection-enabled`"


def key_of(name: str) -> str:
    """Return the id of the stack's key."""
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    (arn,) = (each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "TokensKeyArn")
    return arn.rpartition("/")[2]


def put(name: str, policy: object) -> str:
    """Give the key another policy, and return what is said to do about it."""
    key = key_of(name)
    boto3.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    command = f"aws kms put-key-policy --key-id {key} --policy-name default"
    return f': `{command} --policy "$(make -s key-policy STACK={name})"`'


def key_of_a_deleted_stack(name: str) -> str:
    """Use a key that another stack has left, whose roles its policy names."""
    old = key_policy.resolved(key_policy.of_the_template(), "aws", "123456789012", OldRoles())
    remedy = put(name, old)
    ours = ", ".join(sorted(physical(name, each) for each in USERS))
    theirs = ", ".join(sorted(f"old-{each}" for each in USERS))
    return f"its policy shuts {ours} out, and its policy lets {theirs} use it, too{remedy}"


USERS = ("CallbackRole", "ConfirmRole", "RefreshRole", "RescueRole", "ResealRole", "RevokeRole", "TokenRole")
"""The roles that the key's policy names."""


class OldRoles(dict[str, str]):
    """The names that a deleted stack has given its roles."""

    def __missing__(self, logical_id: str) -> str:
        return f"old-{logical_id}"


def key_for_everybody(name: str) -> str:
    """Use a key as it is made by hand: whoever IAM allows it uses it."""
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}
    remedy = put(name, {"Version": "2012-10-17", "Statement": [statement]})
    assert remedy
    return "its policy leaves to IAM who may do kms:CreateGrant, kms:Decrypt, kms:Encrypt, kms:GenerateDataKey, "


def no_index(name: str) -> str:
    """Use a table that has another index than Gatehouse's."""
    gone = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "due"}}]}
    boto3.client("dynamodb").update_table(TableName=physical(name, "ConnectionsTable"), **gone)  # type: ignore[arg-type]
    return "it has no index due: set ConnectionsTableName in samconfig.toml to a table that Gatehouse has made"


def key_going(name: str) -> str:
    """Schedule the key's deletion."""
    boto3.client("kms").schedule_key_deletion(KeyId=key_of(name), PendingWindowInDays=7)
    return "it is PendingDeletion, and no token opens"


HARMS = (
    # Both aliases are behind.
    (more_origins, 2),
    (more_memory, 2),
    (schedule_off, 3),
    (no_backups, 4),
    (unprotected, 4),
    (no_index, 4),
    (key_for_everybody, 5),
    (key_going, 5),
)
"""What goes wrong one after another, and with how many things something is wrong after it."""


def test_what_is_wrong_is_named_with_what_to_do(deployed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """More and more is wrong; each thing is said of what it is wrong with, and of nothing else, and the exit code is 1.

    One stack stands for all of them: to make one takes longer than to look at it.
    """
    said: list[str] = []
    for harm, things_wrong in HARMS:
        # given
        said.append(harm(deployed))

        # when
        code = main([deployed])

        # then
        printed = capsys.readouterr().out
        assert code == 1
        assert [each for each in said if each not in printed] == []
        assert printed.count("NOT  ") == things_wrong
        assert printed.splitlines()[-1].startswith(f"{things_wrong} of 5 need")


def test_a_function_that_asks_for_a_proxys_header_is_reached_by_the_proxy(
    deployed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a `BaseUrl` of its own every customer would be sent past it, and be refused."""
    printed = {}
    for base_url in ("https://api.example", "https://connect.example.com"):
        variables = {"GATEHOUSE_ORIGIN_VERIFY_SHA256": "a" * 64, "GATEHOUSE_BASE_URL": base_url}
        boto3.client("lambda").update_function_configuration(
            FunctionName=f"{deployed}-token", Environment={"Variables": {"GATEHOUSE_REVISION": "1", **variables}}
        )
        main([deployed])
        printed[base_url] = capsys.readouterr().out

    looked_at = f"{deployed}-token: browsers are sent to the proxy"
    assert f"NOT  {looked_at}" in printed["https://api.example"]
    assert f"ok   {looked_at}" in printed["https://connect.example.com"]
    # The new digest has not reached the alias.
    assert all("GATEHOUSE_ORIGIN_VERIFY_SHA256" in each for each in printed.values())


@pytest.mark.usefixtures("stack")
def test_a_stack_that_is_not_there_is_a_clear_message(capsys: pytest.CaptureFixture[str]) -> None:
    """The name and AWS's own words, no traceback."""
    code = main(["nowhere"])

    assert code == 1
    assert "nowhere cannot be looked at: " in capsys.readouterr().err


def test_both_keys_are_looked_at(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that does not seal any more still has to open."""
    seals, opens = (boto3.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    name = deploy(stack, keys=(seals, opens))
    assert main([name]) == 0
    boto3.client("kms").disable_key(KeyId=opens.rpartition("/")[2])
    capsys.readouterr()

    assert main([name]) == 1

    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("NOT", "     "))]
    assert [line.split()[1] for line in wrong[::2]] == [f"{opens.rpartition('/')[2]}:"]
    assert "it is Disabled, and no token opens" in wrong[1]
