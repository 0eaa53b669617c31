"""Prints the policy that the key of the tokens needs, for a key that a stack uses and does not own.

`python -m tools.key_policy STACK` asks, with the credentials and the region of the AWS CLI, what the roles of the stack
are called, and changes nothing. The policy is that of `TokensKey` in `template.yaml`, which a stack gives to a key of
its own. The stack has to be deployed from this checkout.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Policy = Mapping[str, Any]

_TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"


class NotDeployed(Exception):
    """The stack lacks a role that the template's key policy names. The text says which."""


def needed(stack: str, client_of: Callable[[Any], Any] = boto3.client, template_policy: Policy | None = None) -> Policy:
    """Return the policy for the key of a deployed stack, by that of the template. Raises `NotDeployed`."""
    cloudformation = client_of("cloudformation")
    (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    _, partition, _, _, account, _ = described["StackId"].split(":", 5)
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    names = {
        each["LogicalResourceId"]: each["PhysicalResourceId"]
        for page in pages
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::IAM::Role"
    }
    try:
        policy: Policy = resolved(template_policy or of_the_template(), partition, account, names)
    except KeyError as missing:
        raise NotDeployed(f"it has no {missing.args[0]}: deploy it from this checkout first") from None
    return policy


def of_the_template() -> Policy:
    """Return the policy of the stack's own key, as the template has it."""
    from local.aws.cloudformation import read  # noqa: PLC0415 - it takes long to load, and checks need it late

    template = read(_TEMPLATE)
    policy: Policy = template["Resources"]["TokensKey"]["Properties"]["KeyPolicy"]
    return policy


def resolved(part: Any, partition: str, account: str, roles: Mapping[str, str]) -> Any:
    """Return a part of a policy with ARNs for its references; `roles` has the roles' names by their logical ids."""
    match part:
        case list():
            return [resolved(each, partition, account, roles) for each in part]
        case {"Fn::GetAtt": [logical_id, "Arn"]}:
            return f"arn:{partition}:iam::{account}:role/{roles[logical_id]}"
        case {"Fn::Sub": str(text)}:
            return text.replace("${AWS::Partition}", partition).replace("${AWS::AccountId}", account)
        case dict():
            return {name: resolved(each, partition, account, roles) for name, each in part.items()}
    return part


def problems(policy: Policy, wanted: Policy) -> Iterator[str]:
    """Give what is wrong with the policy of a key, by the one that it should have."""
    shut_out, others, gaps = set[str](), set[str](), set[str]()
    denials = [each for each in policy["Statement"] if _denies_everybody(each)]
    for statement in filter(_denies_everybody, wanted["Statement"]):
        users = _excepted(statement) or set()
        for action in _as_list(statement["Action"]):
            excepted = [_excepted(each) for each in denials if action in _as_list(each.get("Action", ()))]
            found = [each for each in excepted if each is not None]
            if not found:
                gaps.add(action)
            for each in found:
                shut_out |= users - each
                others |= each - users
    if shut_out:
        yield f"its policy shuts {_named(shut_out)} out"
    if others:
        yield f"its policy lets {_named(others)} use it, too"
    if gaps:
        yield f"its policy leaves to IAM who may do {', '.join(sorted(gaps))}, so that an administrator can open tokens"


def _denies_everybody(statement: Mapping[str, Any]) -> bool:
    return statement["Effect"] == "Deny" and statement.get("Principal") in ("*", {"AWS": "*"})


def _excepted(statement: Mapping[str, Any]) -> set[str] | None:
    """Return the roles to which a denial does not apply; None if it is under a condition that says something else."""
    condition = statement.get("Condition", {})
    if not condition:
        return set()
    named = condition.get("ArnNotEquals", {}).get("aws:PrincipalArn")
    return set(_as_list(named)) if len(condition) == 1 and named is not None else None


def _named(roles: Collection[str]) -> str:
    return ", ".join(sorted(role.rpartition("/")[2] for role in roles))


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def main(arguments: list[str]) -> int:
    """Print the policy; return 1 if the stack cannot be read."""
    parser = argparse.ArgumentParser(prog="key_policy", description=__doc__.partition("\n")[0])
    parser.add_argument("stack", nargs="?", default="gatehouse", help="the name of the stack (default: gatehouse)")
    stack: str = parser.parse_args(arguments).stack
    try:
        print(json.dumps(needed(stack), indent=2))
    except (BotoCoreError, ClientError, NotDeployed) as error:
        print(f"{stack}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
