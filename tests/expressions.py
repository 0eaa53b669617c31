"""The intrinsic functions of CloudFormation, worked out as it does: what the template means for given values."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from local.aws import cloudformation
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "gatehouse",
    "AWS::URLSuffix": "amazonaws.com",
}
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
SECOND_KEY_ID = "9876fedc-98fe-76dc-54ba-9876543210fe"
_NOTHING = object()


@cache
def translated() -> Any:
    """Return the template, translated by SAM's own translator."""
    return cloudformation.load(ROOT / "template.yaml")


class Deployed:
    """The template with values for its parameters; what AWS names is made up, and the same each time."""

    def __init__(self, parameters: Mapping[str, Any] | None = None, stack_name: str = "gatehouse") -> None:
        declared = {name: parameter["Default"] for name, parameter in translated()["Parameters"].items()}
        given = declared | dict(parameters or {})
        assert given.keys() == declared.keys()
        self._values = {**PSEUDO, "AWS::StackName": stack_name, **{name: str(value) for name, value in given.items()}}

    def properties(self, logical_id: str) -> Any:
        """Return what CloudFormation would make a resource with."""
        return self.resolve(translated()["Resources"][logical_id].get("Properties", {}))

    def has(self, logical_id: str) -> bool:
        """Tell whether the resource is made at all."""
        return self._holds(translated()["Resources"][logical_id].get("Condition"))

    def physical_id(self, logical_id: str) -> str:
        """Return what a Ref to a resource gives."""
        resource = translated()["Resources"][logical_id]
        match resource["Type"]:
            case "AWS::Lambda::Function":
                return str(self.resolve(resource["Properties"]["FunctionName"]))
            case "AWS::KMS::Key":
                return KEY_ID if logical_id == "TokensKey" else SECOND_KEY_ID
            case "AWS::ApiGatewayV2::Api":
                return "a1b2c3d4e5"
            case "AWS::DynamoDB::Table":
                return f"{self._values['AWS::StackName']}-{logical_id}-1A2B3C4D5E6F7"
        return logical_id

    def resolve(self, part: Any) -> Any:
        """Return a part of the template without expressions. Raises ``NotImplementedError`` for an unknown one."""
        if isinstance(part, list):
            return [found for each in part if (found := self.resolve(each)) is not _NOTHING]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            ((name, argument),) = part.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        resolved = {name: self.resolve(each) for name, each in part.items()}
        return {name: each for name, each in resolved.items() if each is not _NOTHING}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        return self._values[name] if name in self._values else self.physical_id(name)

    def _call(self, name: str, argument: Any) -> Any:
        match name:
            case "If":
                condition, then, otherwise = argument
                return self.resolve(then if self._holds(condition) else otherwise)
            case "Sub":
                return self._sub(*([argument] if isinstance(argument, str) else argument))
            case "GetAtt":
                logical_id, _, attribute = (
                    argument.partition(".") if isinstance(argument, str) else (*argument[:1], "", argument[1])
                )
                return f"{self.physical_id(logical_id)}.{attribute}"
            case "Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "Split":
                return self.resolve(argument[1]).split(argument[0])
            case "FindInMap":
                named, first, second = (self.resolve(each) for each in argument)
                return translated()["Mappings"][named][first][second]
        raise NotImplementedError(name)

    def _sub(self, text: str, variables: Mapping[str, Any] | None = None) -> str:
        own = {name: self.resolve(value) for name, value in (variables or {}).items()}

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(own[name])
            return str(self._call("GetAtt", name) if "." in name else self._ref(name))

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", value, text)

    def _holds(self, condition: Any) -> bool:
        if condition is None:
            return True
        if isinstance(condition, str):
            return self._holds(translated()["Conditions"][condition])
        ((name, argument),) = condition.items()
        match name:
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(map(self._holds, argument))
            case "Fn::Or":
                return any(map(self._holds, argument))
            case "Fn::Equals":
                left, right = (str(self.resolve(each)) for each in argument)
                return left == right
        raise NotImplementedError(name)
