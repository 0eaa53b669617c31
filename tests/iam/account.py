"""The stack as IAM sees it: roles, their policies, and the policies of keys and queues, with whole ARNs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tests.expressions import PSEUDO, Deployed, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Policy = Mapping[str, Any]

ACCOUNT = PSEUDO["AWS::AccountId"]
REGION = PSEUDO["AWS::Region"]
_MADE_UP = "1A2B3C4D5E6F"
"""What CloudFormation puts behind the name of a resource."""

_POLICIES = {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}


@dataclass(frozen=True)
class Role:
    """A role of the template, and the function that has it."""

    handler: str
    arn: str
    function_arn: str
    policies: Sequence[Policy]

    @property
    def session(self) -> str:
        """The principal that the function is: a session of the role."""
        name = self.arn.rpartition("/")[2]
        return f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{self.function_arn.rpartition(':')[2]}"


class Account(Deployed):
    """What the template makes in an account, for values of its parameters."""

    def physical_id(self, logical_id: str) -> str:
        """Return what a Ref to a resource gives."""
        match self._kind(logical_id):
            case "AWS::Lambda::Alias":
                alias = self.properties(logical_id)
                return f"{_lambda(alias['FunctionName'])}:{alias['Name']}"
            case "AWS::IAM::Role":
                return str(self.properties(logical_id).get("RoleName") or self._made_up(logical_id))
            case "AWS::SQS::Queue":
                return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self._queue_name(logical_id)}"
            case "AWS::Logs::LogGroup":
                return str(self.properties(logical_id).get("LogGroupName") or self._made_up(logical_id))
        return super().physical_id(logical_id)

    def arn(self, logical_id: str) -> str:
        """Return a resource's ARN. Raises ``NotImplementedError`` for a kind that no policy has named so far."""
        here = f"{REGION}:{ACCOUNT}"
        match self._kind(logical_id):
            case "AWS::DynamoDB::Table":
                return f"arn:aws:dynamodb:{here}:table/{self.physical_id(logical_id)}"
            case "AWS::KMS::Key":
                return f"arn:aws:kms:{here}:key/{self.physical_id(logical_id)}"
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{here}:{self._queue_name(logical_id)}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{here}:log-group:{self.physical_id(logical_id)}:*"
            case "AWS::Lambda::Function":
                return _lambda(self.physical_id(logical_id))
            case "AWS::IAM::Role":
                path = self.properties(logical_id).get("Path", "/")
                return f"arn:aws:iam::{ACCOUNT}:role{path}{self.physical_id(logical_id)}"
            case kind:
                raise NotImplementedError(kind)

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """The functions' roles, by the functions' handlers."""
        return {
            each["Handler"]: self._role(each["Handler"], logical_id, _referred(each["Role"]))
            for logical_id, each in self.declared("AWS::Lambda::Function")
        }

    def managed_policy(self, logical_id: str) -> Policy:
        """Return the document of a managed policy."""
        document: Policy = self.properties(logical_id)["PolicyDocument"]
        return document

    @cached_property
    def resource_policies(self) -> Mapping[str, Policy]:
        """The policies of keys and queues, by the ARN that each is for."""
        keys = {self.arn(key): self.resolve(each["KeyPolicy"]) for key, each in self.declared("AWS::KMS::Key")}
        queues = {
            self.arn(_referred(queue)): self.resolve(each["PolicyDocument"])
            for _, each in self.declared("AWS::SQS::QueuePolicy")
            for queue in each["Queues"]
        }
        return keys | queues

    def declared(self, *kinds: str) -> Iterator[tuple[str, Any]]:
        """Yield the logical ids of the resources of some kinds, and their properties with all expressions in them."""
        for logical_id, resource in translated()["Resources"].items():
            if resource["Type"] in kinds and self.has(logical_id):
                yield logical_id, resource["Properties"]

    def _role(self, handler: str, function: str, role: str) -> Role:
        inline = [self.resolve(each["PolicyDocument"]) for each in self._resource(role)["Properties"]["Policies"]]
        attached = [
            self.resolve(each["PolicyDocument"])
            for _, each in self.declared(*_POLICIES)
            if {"Ref": role} in each.get("Roles", ())
        ]
        beside = [
            self.resolve(each["PolicyDocument"])
            for _, each in self.declared("AWS::IAM::RolePolicy")
            if each["RoleName"] == {"Ref": role}
        ]
        return Role(handler, self.arn(role), self.arn(function), [*inline, *attached, *beside])

    def _call(self, name: str, argument: Any) -> Any:
        if name == "GetAtt":
            logical_id, attribute = argument.split(".") if isinstance(argument, str) else argument
            if attribute == "Arn":
                return self.arn(logical_id)
            if attribute == "StreamArn":
                return f"{self.arn(logical_id)}/stream/2026-11-29T00:00:00.000"
        return super()._call(name, argument)

    def _queue_name(self, logical_id: str) -> str:
        return str(self.properties(logical_id).get("QueueName") or self._made_up(logical_id))

    def _made_up(self, logical_id: str) -> str:
        return f"{PSEUDO['AWS::StackName']}-{logical_id}-{_MADE_UP}"

    def _kind(self, logical_id: str) -> str:
        return str(self._resource(logical_id)["Type"])

    @staticmethod
    def _resource(logical_id: str) -> Any:
        return translated()["Resources"][logical_id]


def _lambda(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def _referred(expression: Any) -> str:
    """Return the logical id in a Ref or a GetAtt."""
    ((_, argument),) = expression.items()
    return str(argument if isinstance(argument, str) else argument[0])
