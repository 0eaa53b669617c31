"""What the emulator cannot create is taken out of the copied template, or said in other words, and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_LACKING = {"AWS::Logs::QueryDefinition"}
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


@dataclass(frozen=True)
class Adapted:
    """A template that the emulator takes, and what became of the original's."""

    text: str
    left_out: tuple[str, ...]
    """Logical ids of alarms that add up several metrics, and of saved queries."""
    routes: tuple[str, ...]
    """Route keys (`GET /authorize/{ticket}`), which the emulator does not read in an OpenAPI document."""


def adapt(text: str) -> Adapted:
    """Return the template without what the emulator does not make, and with the HTTP API's routes as resources."""
    resources = _mapping(_mapping(yaml.compose(text, Loader=yaml.SafeLoader))["Resources"])
    lines = text.splitlines(keepends=True)
    left_out = [name for name, resource in resources.items() if _is_not_made(resource)]
    routes = [route for name, resource in resources.items() for route in _routes(name, resource)]
    end = max(resource.end_mark.line for resource in resources.values())
    lines.insert(end, "".join(_resource(number, route) for number, route in enumerate(routes)))
    for resource in reversed([resources[name] for name in left_out]):
        # The key's line is the one before its value's.
        del lines[resource.start_mark.line - 1 : resource.end_mark.line]
    return Adapted("".join(lines), tuple(left_out), tuple(route.key for route in routes))


@dataclass(frozen=True)
class _Route:
    api: str
    key: str
    needs_iam: bool
    uri: str


def _is_not_made(resource: yaml.Node) -> bool:
    """Return whether the resource fails the stack: an alarm of several metrics, or a type that the emulator lacks."""
    content = _mapping(resource)
    if content["Type"].value == "AWS::CloudWatch::Alarm":
        return "Metrics" in _mapping(content["Properties"])
    return content["Type"].value in _LACKING


def _routes(name: str, resource: yaml.Node) -> Iterator[_Route]:
    content = _mapping(resource)
    if content["Type"].value != "AWS::Serverless::HttpApi":
        return
    body = _mapping(_mapping(content["Properties"])["DefinitionBody"])
    for path, operations in _mapping(body["paths"]).items():
        for method, operation in _mapping(operations).items():
            if method in _METHODS:
                found = _mapping(operation)
                uri = _mapping(found["x-amazon-apigateway-integration"])["uri"].value
                yield _Route(name, f"{method.upper()} {path}", bool(found["security"].value), uri)


def _resource(number: int, route: _Route) -> str:
    return f"""
  EmulatorsIntegration{number}:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref {route.api}
      IntegrationType: AWS_PROXY
      PayloadFormatVersion: "2.0"
      IntegrationUri: !Sub {route.uri}
  EmulatorsRoute{number}:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref {route.api}
      RouteKey: {route.key}
      AuthorizationType: {"AWS_IAM" if route.needs_iam else "NONE"}
      Target: !Sub integrations/${{EmulatorsIntegration{number}}}
"""


def _mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return a mapping's values by their keys. Raises ``TypeError`` where it is none."""
    if not isinstance(node, yaml.MappingNode):
        raise TypeError(f"A mapping was expected in the template, not {node!r}.")
    return {key.value: value for key, value in node.value}
