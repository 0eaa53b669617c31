"""Prints the policy that the key of the tokens needs, for a key that the stack uses and does not own.

`python -m tools.key_policy STACK` reads, with the credentials and the region of the AWS CLI, which roles of the stack
have rights on the key, and changes nothing. A key that the stack has made has this policy by the template.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.operating import physical_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Users = Mapping[str, Collection[str]]
    """The ARNs of the roles that may do what the functions do with the key, by the action."""

OPEN, SEAL = "kms:Decrypt", "kms:GenerateDataKey"
"""What functions do with the key."""

FOR_NOBODY = (
    "kms:CreateGrant",
    "kms:Encrypt",
    "kms:GenerateDataKeyPair*",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncrypt*",
)
"""Other ways to a data key, which no function needs."""

_RIGHTS = "tokens-key"
"""The name of the policy that gives a role its rights on the key: the resources KeyRights of the template."""


def users_of(stack: str, client_of: Callable[[Any], Any] = boto3.client) -> Users:
    """Return which roles of a deployed stack have rights on the key, by what they may do with it."""
    iam, configuration = client_of("iam"), client_of("lambda").get_function_configuration
    functions = physical_ids(client_of("cloudformation"), stack, "AWS::Lambda::Function")
    found: dict[str, set[str]] = defaultdict(set)
    for role in {configuration(FunctionName=function)["Role"] for function in functions}:
        try:
            rights = iam.get_role_policy(RoleName=role.rpartition("/")[2], PolicyName=_RIGHTS)["PolicyDocument"]
        except iam.exceptions.NoSuchEntityException:
            continue
        for statement in rights["Statement"]:
            for action in _as_list(statement["Action"]):
                found[action].add(role)
    return found


def document(users: Users) -> dict[str, Any]:
    """Return the key policy that lets these roles use the key and nobody else, and leaves it to the account otherwise.

    Raises `ValueError` if there are none: nobody could use the key.
    """
    if not users.get(OPEN) or not users.get(SEAL):
        raise ValueError("No role of the stack has rights on the key: is it a stack of Gatehouse?")
    account = ":".join(min(users[OPEN]).split(":")[:5])
    administration = {
        "Sid": "AccountAdministersAndIamDecides",
        "Effect": "Allow",
        "Principal": {"AWS": f"{account}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    for_nobody = {
        "Sid": "NobodyAtAll",
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(FOR_NOBODY),
        "Resource": "*",
    }
    fence = [_only(OPEN, "NobodyElseOpens", users), _only(SEAL, "NobodyElseSeals", users)]
    return {"Version": "2012-10-17", "Statement": [administration, *fence, for_nobody]}


def _only(action: str, sid: str, users: Users) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": "*",
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": sorted(users[action])}},
    }


def problems(policy: Mapping[str, Any], users: Users) -> Iterator[str]:
    """Give what is wrong with a key policy for a stack in which these roles use the key."""
    everybody = ("*", {"AWS": "*"})
    denials = [each for each in policy["Statement"] if each["Effect"] == "Deny" and each.get("Principal") in everybody]
    shut_out, others = set[str](), set[str]()
    has_gap = not set(FOR_NOBODY) <= {action for each in denials if "Condition" not in each for action in _denied(each)}
    for action in (OPEN, SEAL):
        excepted = [_excepted(each) for each in denials if action in _denied(each)]
        has_gap = has_gap or not any(each is not None for each in excepted)
        for each in excepted:
            shut_out |= set(users.get(action, ())) - (each or set())
            others |= (each or set()) - set(users.get(action, ()))
    if shut_out:
        yield f"its policy shuts {_named(shut_out)} out"
    if others:
        yield f"its policy lets {_named(others)} use it, too"
    if has_gap:
        yield "whoever has rights on all keys can open tokens, because its policy does not deny that"


def _denied(statement: Mapping[str, Any]) -> set[str]:
    return set(_as_list(statement.get("Action", ())))


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
        print(json.dumps(document(users_of(stack)), indent=2))
    except (BotoCoreError, ClientError, ValueError) as error:
        print(f"{stack}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
