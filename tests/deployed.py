"""A small deployed stack in the emulated account, with the parts that tools for operators look at."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import boto3

from tests.expressions import translated
from tests.functions import logical_name
from tools import key_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.stack import Stack

_TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def deploy(stack: Stack, functions: Sequence[str] = ("token",), keys: Sequence[str] = ()) -> str:
    """Make functions with their aliases, a schedule, a table and a key; return the name of the stack.

    `keys` are the key that seals and the one that does not any more, by their ARNs.
    """
    name = f"deployed-{uuid.uuid4().hex[:8]}"
    own = translated()["Resources"]
    policy = {"Version": "2012-10-17", "Statement": [_TRUST]}
    roles = [name for name, each in own.items() if each["Type"] == "AWS::IAM::Role"]
    resources: dict[str, Any] = {
        **{each: {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": policy}} for each in roles},
        "SweepRule": {"Type": "AWS::Events::Rule", "Properties": {"ScheduleExpression": "rate(5 minutes)"}},
        "ConnectionsTable": {"Type": "AWS::DynamoDB::Table", "Properties": own["ConnectionsTable"]["Properties"]},
        "RescueQueue": {"Type": "AWS::SQS::Queue"},
        "RescueDeadLetters": {"Type": "AWS::SQS::Queue"},
    }
    for each in functions:
        properties = {
            "FunctionName": f"{name}-{each}",
            "Runtime": "python3.13",
            "Handler": f"functions.{each}.handler",
            "Role": {"Fn::GetAtt": [f"{logical_name(each)}Role", "Arn"]},
            "Code": {"ZipFile": "pass"},
            "MemorySize": 512,
            "Environment": {"Variables": {"GATEHOUSE_REVISION": "1", "GATEHOUSE_RETURN_TO_ORIGINS": ""}},
        }
        resources[f"{logical_name(each)}Function"] = {"Type": "AWS::Lambda::Function", "Properties": properties}
    # moto can describe no key that its CloudFormation has made.
    keys = keys or [boto3.client("kms").create_key()["KeyMetadata"]["Arn"]]
    named = zip(("TokensKeyArn", "OtherTokensKeyArn"), keys, strict=False)
    outputs = {
        "ConnectionsTableName": {"Value": {"Ref": "ConnectionsTable"}},
        "ApiUrl": {"Value": "https://api.example"},
        **{output: {"Value": key} for output, key in named},
    }
    cloudformation = boto3.client("cloudformation", endpoint_url=stack.aws_endpoint)
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, "Outputs": outputs}))
    for each in functions:
        version = publish(f"{name}-{each}")
        for alias in ("live", "http"):
            boto3.client("lambda").create_alias(FunctionName=f"{name}-{each}", Name=alias, FunctionVersion=version)
    for key in keys:
        put_key_policy(name, key)
    # moto's CloudFormation passes over it.
    boto3.client("dynamodb").update_continuous_backups(
        TableName=physical(name, "ConnectionsTable"),
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    return name


def put_key_policy(stack_name: str, key: str) -> None:
    """Give a key the policy that the stack's own key has by the template."""
    policy = json.dumps(key_policy.needed(stack_name))
    boto3.client("kms").put_key_policy(KeyId=key.rpartition("/")[2], PolicyName="default", Policy=policy)


def publish(function: str) -> str:
    """Publish a version of a function, and return its number."""
    return boto3.client("lambda").publish_version(FunctionName=function)["Version"]


def physical(stack_name: str, logical_id: str) -> str:
    """Return the name that a resource was given."""
    found = boto3.client("cloudformation").describe_stack_resource(StackName=stack_name, LogicalResourceId=logical_id)
    return found["StackResourceDetail"]["PhysicalResourceId"]
