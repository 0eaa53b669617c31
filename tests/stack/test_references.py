"""What the stack reads from the template of versions, aliases and who is called by them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.yaml_helper import yaml_parse
from werkzeug.test import Client

from local.aws import cloudformation
from local.aws.references import References
from local.base.errors import TemplateError
from local.gateway.application import Gateway
from local.gateway.invoke_api import InvokeApi
from local.gateway.invoker import Invoker
from local.gateway.routes import Routes
from local.stack import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.stack import Stack

RESOURCES: dict[str, Any] = {
    "Worker": {"Type": "AWS::Lambda::Function", "Properties": {}},
    "Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Worker"}}},
    "Live": {
        "Type": "AWS::Lambda::Alias",
        "Properties": {
            "Name": "live",
            "FunctionName": {"Ref": "Worker"},
            "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]},
        },
    },
}
PHYSICAL = {"Worker": "gatehouse-worker"}
FUNCTION = "AWS::Serverless::Function"
RAW: dict[str, Any] = yaml_parse(TEMPLATE.read_text(encoding="utf-8"))
"""The template as it is written, untranslated."""


def aliases() -> dict[str, set[str]]:
    """Return the aliases that are written in the template for each function of the stack `gatehouse`."""
    shared = RAW["Globals"]["Function"]
    made = {name: shared | each["Properties"] for name, each in RAW["Resources"].items() if each["Type"] == FUNCTION}
    found = {name: {each["AutoPublishAlias"]} for name, each in made.items()}
    for each in RAW["Resources"].values():
        if each["Type"] == "AWS::Lambda::Alias":
            found[each["Properties"]["FunctionName"]["Ref"]].add(each["Properties"]["Name"])
    return {in_stack(each["FunctionName"]): found[name] for name, each in made.items()}


def callee(route: str) -> str:
    """Return what is written in the template for a route like `GET /authorize/{ticket}`: a function, or its alias."""
    method, path = route.split(" ")
    operation = RAW["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"][path][method.lower()]
    uri = in_stack(operation["x-amazon-apigateway-integration"]["uri"])
    return uri.rpartition(":function:")[2].removesuffix("/invocations")


def in_stack(expression: dict[str, str]) -> str:
    """Return the text of a `Fn::Sub` with the stack's name in it."""
    return expression["Fn::Sub"].replace("${AWS::StackName}", "gatehouse")


class Noting:
    """A handler that notes the context of each call."""

    def __init__(self, contexts: list[Any]) -> None:
        self._contexts = contexts

    def with_services(self, _services: Any) -> Callable[[Any, Any], Any]:
        """Return the function."""

        def note(_event: Any, context: Any) -> dict[str, Any]:
            self._contexts.append(context)
            return {}

        return note


def test_each_function_has_the_aliases_that_the_template_gives_it(stack: Stack) -> None:
    """No other function answers to one: whoever invokes such a thing would meet a 404 when deployed."""
    # when
    qualifiers = {name: function.qualifiers for name, function in stack.deployment.functions.items()}

    # then
    assert qualifiers == {name: dict.fromkeys(("1", *found), "1") for name, found in aliases().items()}
    assert qualifiers["gatehouse-token"] == {"1": "1", "live": "1", "http": "1"}
    assert qualifiers["gatehouse-authorize"] == {"1": "1", "http": "1"}
    assert qualifiers["gatehouse-sweep"] == {"1": "1", "live": "1"}


def test_the_gateway_calls_what_the_template_names(stack: Stack) -> None:
    """A function behind a route that leads to its alias finds that alias in its context."""
    # given
    contexts: list[Any] = []
    invoker = Invoker(stack.deployment.functions, dict, lambda _handler: Noting(contexts))
    gateway = Gateway(invoker, Routes(stack.deployment.routes), InvokeApi(invoker), lambda: 0, "1")
    browser = Client(gateway)
    routes = list(stack.deployment.routes)

    # when
    for route in routes:
        method, path = route.replace("{", "").replace("}", "").split(" ")
        assert browser.open(path, method=method, base_url="http://localhost").status_code == 200

    # then
    called = [each.invoked_function_arn.rpartition(":function:")[2] for each in contexts]
    assert called == [callee(route) for route in routes]
    assert {name.partition(":")[2] for name in called} == {"http"}
    assert {each.function_version for each in contexts} == {"1"}


def test_what_is_public_is_what_the_template_says_is(stack: Stack) -> None:
    """By a tunnel these are answered, and no others."""
    assert stack.deployment.public == {
        "GET /authorize/{ticket}",
        "GET /callback/{provider}",
        "POST /callback/{provider}",
    }


def test_a_route_to_nothing_stops_the_start(stack: Stack) -> None:
    """Better than at the first click; deployed it would be API Gateway's 500."""
    # given
    uri = "arn:aws:apigateway:us-east-1:lambda:path/functions/arn:aws:lambda:us-east-1:1:function:{}/invocations"
    functions = stack.deployment.functions

    # when / then
    assert cloudformation.called("GET /", uri.format("gatehouse-token:live"), functions) == "gatehouse-token:live"
    for name in ("gatehouse-sweep:2", "gatehouse-token:nonsense", "gatehouse-nobody"):
        with pytest.raises(TemplateError, match=f"names {name}, which the template does not make"):
            cloudformation.called("GET /", uri.format(name), functions)


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ({"Ref": "Worker"}, "gatehouse-worker"),
        ({"Fn::GetAtt": ["Worker", "Arn"]}, "gatehouse-worker"),
        ({"Ref": "Live"}, "gatehouse-worker:live"),
    ],
)
def test_queues_and_schedules_may_call_an_alias(expression: Any, name: str) -> None:
    """As the routes do."""
    assert References(RESOURCES, PHYSICAL).function(expression) == name


def test_a_reference_that_is_not_understood_stops_the_start() -> None:
    """It is named, and nothing is guessed."""
    # given
    resources = copy.deepcopy(RESOURCES)
    resources["Live"]["Properties"]["FunctionVersion"] = {"Fn::Sub": "1"}

    # when / then
    with pytest.raises(TemplateError, match=r"not \{'Fn::Sub': '1'\}"):
        References(resources, PHYSICAL).qualifiers()
