"""What a template says of its functions by reference: which of them is called, and what is published of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.base.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class References:
    """Follows the references to functions in the resources of a translated template."""

    def __init__(self, resources: Mapping[str, Any], physical: Mapping[str, str]) -> None:
        """``physical`` maps the logical ids of what was created to the names that it has."""
        self._resources = resources
        self._physical = physical

    def function(self, expression: Any) -> str:
        """Return the name of the function that an expression refers to; an alias stands behind it: ``NAME:live``.

        Raises ``TemplateError`` if the expression is another than ``Ref`` and ``Fn::GetAtt``.
        """
        logical_id = _referred(expression)
        resource = self._resources[logical_id]
        if resource["Type"] != "AWS::Lambda::Alias":
            return self._physical[logical_id]
        properties = resource["Properties"]
        return f"{self.function(properties['FunctionName'])}:{properties['Name']}"

    def qualifiers(self) -> dict[str, dict[str, str]]:
        """Return, by the name of each function that publishes any, its versions and aliases, and the version of each.

        A new stack is the first deployment: the version that the template publishes of a function has the number 1.
        """
        versions: dict[str, str] = {}
        qualifiers: dict[str, dict[str, str]] = {}
        for logical_id, properties in self._of_type("AWS::Lambda::Version"):
            own = qualifiers.setdefault(self.function(properties["FunctionName"]), {})
            versions[logical_id] = str(len(own) + 1)
            own[versions[logical_id]] = versions[logical_id]
        for _, properties in self._of_type("AWS::Lambda::Alias"):
            own = qualifiers[self.function(properties["FunctionName"])]
            own[properties["Name"]] = versions[_referred(properties["FunctionVersion"])]
        return qualifiers

    def _of_type(self, kind: str) -> Iterator[tuple[str, Any]]:
        return ((name, each["Properties"]) for name, each in self._resources.items() if each["Type"] == kind)


def _referred(expression: Any) -> str:
    """Return the logical id that an expression refers to."""
    match expression:
        case {"Ref": str(logical_id)} | {"Fn::GetAtt": [str(logical_id), *_]}:
            return logical_id
        case _:
            raise TemplateError(
                f"the local stack follows Ref and Fn::GetAtt to a function, a version and an alias, not {expression!r}"
            )
