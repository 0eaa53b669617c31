"""A stack as CloudFormation and Lambda describe it: found by logical ids and outputs, whatever its names are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.deploy_check.account import Account

# What a call meets, of a function's configuration.
_CONFIGURATION = ("CodeSha256", "Environment", "Handler", "LoggingConfig", "MemorySize", "Role", "Runtime", "Timeout")


@dataclass(frozen=True)
class Deployed:
    """One stack of the account. Nothing is kept: each question is asked again, since deployments change the answers."""

    account: Account
    stack_name: str

    @property
    def stack_id(self) -> str:
        """Return its id, which is its own even when another stack has taken the name."""
        return str(self._stack()["StackId"])

    @property
    def status(self) -> str:
        """Return CloudFormation's word for how it stands."""
        return str(self._stack()["StackStatus"])

    @property
    def outputs(self) -> dict[str, str]:
        """Return its outputs."""
        return {output["OutputKey"]: output["OutputValue"] for output in self._stack()["Outputs"]}

    def resources(self, kind: str = "") -> dict[str, str]:
        """Return physical ids by logical ids, of one kind of resource or of all."""
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
            if kind in {"", each["ResourceType"]}
        }

    def physical(self, logical_id: str) -> str:
        """Return the name of one resource."""
        described = self._cloudformation.describe_stack_resource(
            StackName=self.stack_name, LogicalResourceId=logical_id
        )
        return str(described["StackResourceDetail"]["PhysicalResourceId"])

    def function(self, logical_id: str, qualifier: str = "$LATEST") -> dict[str, Any]:
        """Return a function's configuration, of the version that a qualifier leads to."""
        name = self.physical(logical_id)
        found: dict[str, Any] = self._lambda.get_function_configuration(FunctionName=name, Qualifier=qualifier)
        return found

    def aliased(self) -> list[str]:
        """Return the logical ids of the functions that have an alias `live`, which is what their callers call."""
        functions = {name: logical_id for logical_id, name in self.resources("AWS::Lambda::Function").items()}
        # The alias's physical id is its ARN: arn:aws:lambda:REGION:ACCOUNT:function:NAME:live.
        aliases = self.resources("AWS::Lambda::Alias").values()
        return sorted(functions[arn.split(":")[6]] for arn in aliases if arn.endswith(":live"))

    def behind(self) -> list[str]:
        """Return what of the newest configuration has not reached `live`, as `FUNCTION SETTING`."""
        return [
            f"{function} {setting}"
            for function in self.aliased()
            for newest, live in [(self.function(function), self.function(function, "live"))]
            for setting in _CONFIGURATION
            if newest.get(setting) != live.get(setting)
        ]

    def versions(self) -> dict[str, str]:
        """Return the version that `live` leads to, by function."""
        return {function: str(self.function(function, "live")["Version"]) for function in self.aliased()}

    def _stack(self) -> dict[str, Any]:
        (stack,) = self._cloudformation.describe_stacks(StackName=self.stack_name)["Stacks"]
        found: dict[str, Any] = stack
        return found

    @cached_property
    def _cloudformation(self) -> Any:
        return self.account.client("cloudformation")

    @cached_property
    def _lambda(self) -> Any:
        return self.account.client("lambda")
