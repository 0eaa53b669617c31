"""Compares what the functions ask of AWS with what their roles allow: nothing is refused, and nothing is left over."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.iam.account import ACCOUNT
from tests.iam.evaluator import ALLOWED, Case, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.iam.account import Account, Policy, Role
    from tests.iam.requests import Request


@dataclass(frozen=True)
class Right:
    """One action on one resource, under one value for each condition: a policy document of its own."""

    handler: str
    policy: Policy

    @property
    def action(self) -> str:
        """The action that it allows."""
        return str(self.policy["Statement"][0]["Action"])

    def __str__(self) -> str:
        statement = self.policy["Statement"][0]
        condition = f" if {statement['Condition']}" if "Condition" in statement else ""
        return f"{self.handler} may {statement['Action']} on {statement['Resource']}{condition}"


@dataclass(frozen=True)
class Findings:
    """What is wrong with the roles, in sentences, and how much was looked at."""

    refused: list[str]
    unneeded: list[str]
    requests: int
    rights: int


def judged(account: Account, requests: Iterable[Request], roles: Mapping[str, Role] | None = None) -> Findings:
    """Compare the requests with the roles: those of the account, or others in place of them.

    A right is needed if some request is allowed by it and by no other.
    """
    roles = account.roles if roles is None else roles
    asked = sorted(requests)
    rights = [right for role in roles.values() for right in rights_of(role)]
    tried = [(request, right) for request in asked for right in rights if _may_concern(right, request)]
    cases = [_case(account, request, roles[request.handler], roles[request.handler].policies) for request in asked]
    cases += [_case(account, request, roles[request.handler], [right.policy]) for request, right in tried]
    decisions = decide(cases)
    whole, single = decisions[: len(asked)], decisions[len(asked) :]

    allowing: dict[Request, list[Right]] = {request: [] for request in asked}
    for (request, right), decision in zip(tried, single, strict=True):
        if decision == ALLOWED:
            allowing[request].append(right)
    needed = {id(found[0]) for found in allowing.values() if len(found) == 1}
    return Findings(
        refused=[
            f"{request.handler} asks for {request.action} on {request.resource} {dict(request.context)}: {decision}"
            for request, decision in zip(asked, whole, strict=True)
            if decision != ALLOWED
        ],
        unneeded=[str(right) for right in rights if id(right) not in needed],
        requests=len(asked),
        rights=len(rights),
    )


def rights_of(role: Role) -> Iterator[Right]:
    """Take the policies of a role apart into rights. Together they allow what the policies allow."""
    for policy in role.policies:
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow", "a Deny is no right: it applies beside each of them"
            for action, resource, condition in product(
                _as_list(statement["Action"]), _as_list(statement["Resource"]), _conditions(statement)
            ):
                allowed = {"Effect": "Allow", "Action": action, "Resource": resource, **condition}
                yield Right(role.handler, {"Version": "2012-10-17", "Statement": [allowed]})


def _conditions(statement: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the condition of a statement once for each combination of values: a list of values means any of them."""
    tests = [
        (operator, key, _as_list(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    for chosen in product(*(values for _, _, values in tests)):
        condition: dict[str, dict[str, str]] = {}
        for (operator, key, _), value in zip(tests, chosen, strict=True):
            condition.setdefault(operator, {})[key] = value
        yield {"Condition": condition} if condition else {}


def _may_concern(right: Right, request: Request) -> bool:
    """Tell whether a right can allow a request at all; the evaluator need not be asked about another action."""
    is_same = right.action.lower() == request.action.lower()
    return right.handler == request.handler and (is_same or "*" in right.action or "?" in right.action)


def _case(account: Account, request: Request, role: Role, policies: Sequence[Policy]) -> Case:
    return Case(
        principal=role.session,
        action=request.action,
        resource=request.resource,
        policies=policies,
        resource_policy=account.resource_policies.get(request.resource) or _policy_of_other(request),
        context={
            **dict(request.context),
            "aws:PrincipalArn": role.arn,
            "aws:PrincipalAccount": ACCOUNT,
            "aws:SecureTransport": "true",
            "lambda:SourceFunctionArn": role.function_arn,
        },
    )


def _policy_of_other(request: Request) -> Policy | None:
    """Return the policy of a key that is not the stack's: the one that KMS gives a key if its owner gives none."""
    if not request.action.startswith("kms:"):
        return None
    account = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    statement = {"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
