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

    def aliases(self) -> list[tuple[str, str]]:
        """Return each alias as the logical id of its function and its name: `http` is the API's, `live` all others'."""
        functions = {name: logical_id for logical_id, name in self.resources("AWS::Lambda::Function").items()}
        # The alias's physical id is its ARN: arn:aws:lambda:REGION:ACCOUNT:function:NAME:live.
        parts = [arn.split(":") for arn in self.resources("AWS::Lambda::Alias").values()]
        return sorted((functions[each[6]], each[7]) for each in parts)

    def behind(self) -> list[str]:
        """Return what of the newest configuration has not reached an alias, as `FUNCTION:ALIAS SETTING`."""
        return [
            f"{function}:{alias} {setting}"
            for function, alias in self.aliases()
            for newest, called in [(self.function(function), self.function(function, alias))]
            for setting in _CONFIGURATION
            if newest.get(setting) != called.get(setting)
        ]

    def versions(self) -> dict[str, str]:
        """Return the version that each alias leads to, by `FUNCTION:ALIAS`."""
        return {
            f"{function}:{alias}": str(self.function(function, alias)["Version"]) for function, alias in self.aliases()
        }

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
