"""The resources of ``template.yaml`` itself, created in the emulated account.

SAM's own translator expands the template; moto's CloudFormation creates what it holds and resolves every intrinsic
function, also in what is read back from it here: the functions' environments and the functions behind the routes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3

from local.aws.event_patterns import matches
from local.aws.references import References
from local.base.environment import REGION
from local.base.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STACK_NAME = "gatehouse"

# What moto's CloudFormation cannot create, and who does its work here. A template parameter takes the place (and the
# name) of each, so that a Ref to it still resolves.
NOT_CREATED = {
    "AWS::ApiGatewayV2::Api": "the gateway of the stack serves its routes",
    "AWS::ApiGatewayV2::Stage": "the gateway is the one stage; throttling and access log have no part on one machine",
    "AWS::CloudWatch::Alarm": "nobody is to be woken by one machine",
    "AWS::CloudWatch::Dashboard": "nobody watches one machine",
    "AWS::Logs::QueryDefinition": "there is no CloudWatch on one machine: the logs go to the terminal",
    "AWS::Lambda::Alias": "the stack invokes functions by their aliases itself: see Function.qualifiers",
    "AWS::Lambda::EventSourceMapping": "the stack's own pollers read the queues (moto would start containers)",
    "AWS::Logs::MetricFilter": "the logs go to the terminal",
    "AWS::Lambda::Version": "as an alias",
    "AWS::Lambda::Permission": "there is no IAM on one machine, everything is permitted",
    "AWS::SQS::QueuePolicy": "there is no TLS on one machine, and no IAM",
}
_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_FUNCTION_NAME = re.compile(r":function:([A-Za-z0-9_-]+(?::[A-Za-z0-9$_-]+)?)")
LATEST = "$LATEST"
"""The version that every function has: what was deployed last."""


@dataclass(frozen=True)
class Function:
    """A Lambda function as CloudFormation created it; ``timeout`` in seconds, ``memory`` in MB.

    ``qualifiers`` are the versions and aliases that are published of it, each with the version that it means.
    """

    name: str
    arn: str
    handler: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    qualifiers: Mapping[str, str] = field(default_factory=dict)

    def version(self, qualifier: str | None) -> str | None:
        """Return the version that a qualifier means (none: the latest), or ``None`` if there is none of that name."""
        return LATEST if qualifier in {None, LATEST} else self.qualifiers.get(str(qualifier))


@dataclass(frozen=True)
class QueueMapping:
    """A queue, and the name of the function that works it off: `concurrency` batches at once.

    `visibility_timeout` in seconds.
    """

    queue_url: str
    queue_arn: str
    function: str
    batch_size: int
    concurrency: int
    visibility_timeout: int


@dataclass(frozen=True)
class StreamMapping:
    """A table's stream, and the name of the function that works it off: one batch at once, in order.

    ``patterns`` are its filters: what matches none of them is left out.
    """

    stream_arn: str
    function: str
    batch_size: int
    starting_position: str
    patterns: tuple[Any, ...]

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record of the stream is for the function."""
        return any(matches(pattern, record) for pattern in self.patterns)


@dataclass(frozen=True)
class Schedule:
    """A rate or cron expression, and the name of the function that it invokes with ``payload``."""

    expression: str
    function: str
    payload: Any


@dataclass(frozen=True)
class Deployment:
    """What the created stack consists of; ``routes`` maps keys like ``GET /authorize/{ticket}`` to function names.

    The name of a function that is called by an alias has that behind it, as in Lambda: ``gatehouse-token:live``.
    """

    functions: Mapping[str, Function]
    routes: Mapping[str, str]
    # Logical id -> physical name.
    tables: Mapping[str, str]
    physical: Mapping[str, str] = field(default_factory=dict)
    # Name of a function -> name of its log group.
    log_groups: Mapping[str, str] = field(default_factory=dict)
    queries: tuple[dict[str, Any], ...] = ()
    mappings: tuple[QueueMapping, ...] = ()
    streams: tuple[StreamMapping, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    # The keys of the routes that need no signature, since browsers come there: the template marks them.
    public: frozenset[str] = frozenset()


def read(path: Path) -> dict[str, Any]:
    """Return the SAM template at ``path`` as it is written. Raises ``TemplateError``."""
    try:
        return parsed(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from None


def parsed(text: str) -> dict[str, Any]:
    """Return a template as it is written, from its text; by libyaml where it is, in a tenth of the time."""
    import yaml  # noqa: PLC0415 - late, as in ``load``
    from samtranslator.yaml_helper import intrinsics_multi_constructor  # noqa: PLC0415 - as above

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # it is one of the two
        """A loader of its own: what a template is written in is no YAML that others expect."""

    Loader.add_multi_constructor("!", intrinsics_multi_constructor)
    return cast("dict[str, Any]", yaml.load(text, Loader))  # noqa: S506 - either is a safe loader


def load(path: Path) -> dict[str, Any]:
    """Translate the SAM template at ``path`` to plain CloudFormation. Raises ``TemplateError``."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror}") from None
    return cast("dict[str, Any]", json.loads(_translated(text, path)))


@cache
def _translated(text: str, path: Path) -> str:
    """Return a translated template as JSON, once for a process: it takes half a second. ``path`` is for messages."""
    # Late, for these imports are a good part of the start-up.
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    template = parsed(text)
    _leave_out_code(template)
    # The partition comes from the session. Without managed policies to look up nothing is called.
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        translated = translator.translate(template, {})
    except InvalidDocumentException as error:
        raise TemplateError(f"{path}: {'; '.join(str(cause.message) for cause in error.causes)}") from error
    # To nowhere; figures left unpublished end in a warning on the terminal.
    translator.metrics.publish()
    return json.dumps(translated)


def _leave_out_code(template: dict[str, Any]) -> None:
    """Put inline code where the template names a folder: the functions run in this process, nothing is uploaded."""
    template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"].pop("CodeUri", None)
            resource["Properties"]["InlineCode"] = "pass"


def create(template: Mapping[str, Any], parameters: Mapping[str, str]) -> Deployment:
    """Create the stack ``gatehouse`` from a translated template. Raises ``TemplateError``."""
    routes = _routes(template)
    creatable = _creatable(template, _expressions(template, routes))
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName=STACK_NAME,
        TemplateBody=json.dumps(creatable),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    physical = _physical_names(creatable)
    values = _outputs()
    references = References(template["Resources"], physical)
    functions = _functions(references.qualifiers())
    return Deployment(
        functions=functions,
        routes={key: called(key, values[_route_output(number)], functions) for number, key in enumerate(routes)},
        tables={
            name: physical[name] for name, r in creatable["Resources"].items() if r["Type"] == "AWS::DynamoDB::Table"
        },
        physical=physical,
        log_groups=dict(_log_groups(template, physical)),
        queries=tuple(_queries(template, physical)),
        mappings=tuple(_mappings(template, physical, references, values)),
        streams=tuple(_streams(template, references, values)),
        schedules=tuple(_schedules(template, physical, references)),
        public=frozenset(key for key, each in _operations(template).items() if each.get("security") == []),
    )


def _log_groups(template: Mapping[str, Any], physical: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, resource in template["Resources"].items():
        group = resource["Properties"].get("LoggingConfig", {}).get("LogGroup", {})
        if resource["Type"] == "AWS::Lambda::Function" and "Ref" in group:
            yield physical[name], physical[group["Ref"]]


def _queries(template: Mapping[str, Any], physical: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the saved queries, which moto does not create."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            properties = resource["Properties"]
            groups = [physical[group["Ref"]] for group in properties["LogGroupNames"]]
            title = properties["Name"]["Fn::Sub"] if isinstance(properties["Name"], dict) else properties["Name"]
            yield {
                "queryDefinitionId": name,
                "name": title.replace("${AWS::StackName}", STACK_NAME),
                "queryString": properties["QueryString"],
                "logGroupNames": groups,
            }


def _mappings(
    template: Mapping[str, Any], physical: Mapping[str, str], references: References, values: Mapping[str, str]
) -> Iterator[QueueMapping]:
    sqs = boto3.client("sqs")
    for name, properties in _event_source_mappings(template, of_streams=False):
        url = physical[properties["EventSourceArn"]["Fn::GetAtt"][0]]
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "VisibilityTimeout"])["Attributes"]
        if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            raise TemplateError(
                f"the local pollers only know mappings that report partial failures, unlike that of {url}"
            )
        yield QueueMapping(
            url,
            queue["QueueArn"],
            references.function(properties["FunctionName"]),
            properties["BatchSize"],
            int(values[_concurrency_output(name)]),
            int(queue["VisibilityTimeout"]),
        )


def _streams(template: Mapping[str, Any], references: References, values: Mapping[str, str]) -> Iterator[StreamMapping]:
    for name, properties in _event_source_mappings(template, of_streams=True):
        if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            raise TemplateError(f"the local poller of streams only knows mappings that report failures, unlike {name}")
        yield StreamMapping(
            values[_stream_output(name)],
            references.function(properties["FunctionName"]),
            properties["BatchSize"],
            properties["StartingPosition"],
            tuple(
                json.loads(values[_pattern_output(name, number)])
                for number, _ in enumerate(properties["FilterCriteria"]["Filters"])
            ),
        )


def _schedules(template: Mapping[str, Any], physical: Mapping[str, str], references: References) -> Iterator[Schedule]:
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Events::Rule":
            continue
        expression = boto3.client("events").describe_rule(Name=physical[name])["ScheduleExpression"]
        for target in resource["Properties"]["Targets"]:
            yield Schedule(expression, references.function(target["Arn"]), json.loads(target.get("Input", "{}")))


def _event_source_mappings(template: Mapping[str, Any], *, of_streams: bool) -> Iterator[tuple[str, Any]]:
    """Yield the mappings of streams, or those of queues: a stream has a position to start from."""
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Lambda::EventSourceMapping":
            continue
        if ("StartingPosition" in resource["Properties"]) is of_streams:
            yield name, resource["Properties"]


def table_definitions(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the properties of the tables in a translated template, by logical id."""
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::DynamoDB::Table"
    }


def _routes(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return route key -> integration URI (an expression of the template) of the HTTP API."""
    return {key: each["x-amazon-apigateway-integration"]["uri"] for key, each in _operations(template).items()}


def _operations(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operations of the HTTP API's OpenAPI document by their route keys."""
    bodies = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Api"]
    operations = {
        f"{method.upper()} {path}": operation
        for properties in bodies
        for path, methods in properties.get("Body", {}).get("paths", {}).items()
        for method, operation in methods.items()
        if method in _METHODS
    }
    if not operations:
        raise TemplateError(
            "the template has no HTTP API with an OpenAPI body; the local gateway reads its routes there"
        )
    return operations


def _expressions(template: Mapping[str, Any], routes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the expressions of the template that are used here, for moto to work out: output name -> expression."""
    uris = {_route_output(number): uri for number, uri in enumerate(routes.values())}
    queues = _event_source_mappings(template, of_streams=False)
    found = uris | {_concurrency_output(name): each["ScalingConfig"]["MaximumConcurrency"] for name, each in queues}
    for name, each in _event_source_mappings(template, of_streams=True):
        found[_stream_output(name)] = each["EventSourceArn"]
        for number, one in enumerate(each["FilterCriteria"]["Filters"]):
            found[_pattern_output(name, number)] = one["Pattern"]
    return found


def _creatable(template: Mapping[str, Any], expressions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template as moto can create it, with ``expressions`` for its only outputs."""
    resources = template["Resources"]
    absent = {name for name, resource in resources.items() if resource["Type"] in NOT_CREATED}
    stand_ins = {name: {"Type": "String", "Default": _stand_in(name, resources[name]["Type"])} for name in absent}
    return {
        **template,
        "Parameters": {name: _as_text(each) for name, each in template.get("Parameters", {}).items()} | stand_ins,
        "Resources": {name: resource for name, resource in resources.items() if name not in absent},
        # The template's own outputs are for the person who deploys, and speak of what is not created here.
        "Outputs": {
            name: {"Value": str(value) if isinstance(value, int) else value} for name, value in expressions.items()
        },
    }


def _as_text(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter with its default as text, which CloudFormation takes it for: moto compares it as it stands."""
    return {**parameter, "Default": str(parameter["Default"])} if "Default" in parameter else dict(parameter)


def _stand_in(name: str, kind: str) -> str:
    """Return what a Ref resolves to: a policy, which may speak of an alias, is only created with ARNs."""
    prefix = f"arn:aws:lambda:{REGION}:000000000000:function:" if kind == "AWS::Lambda::Alias" else ""
    return prefix + name.lower()


def _route_output(number: int) -> str:
    return f"LocalRoute{number}"


def _concurrency_output(mapping: str) -> str:
    return f"LocalConcurrencyOf{mapping}"


def _stream_output(mapping: str) -> str:
    return f"LocalStreamOf{mapping}"


def _pattern_output(mapping: str, number: int) -> str:
    return f"LocalPattern{number}Of{mapping}"


def _physical_names(template: Mapping[str, Any]) -> dict[str, str]:
    """Return logical id -> physical id. moto passes over what it does not know, with a warning at most: not here."""
    described = boto3.client("cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in described if "PhysicalResourceId" in r}
    for name, resource in template["Resources"].items():
        if name not in names and "Condition" not in resource:
            raise TemplateError(
                f"moto cannot create {name} ({resource['Type']}); add the type to NOT_CREATED in {__name__}"
            )
    return names


def _outputs() -> dict[str, str]:
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def called(route_key: str, uri: str, functions: Mapping[str, Function]) -> str:
    """Return the name of the function that a route calls, with its qualifier. Raises ``TemplateError``."""
    match = _FUNCTION_NAME.search(uri)
    if match is None:
        raise TemplateError(f"the integration of {route_key} names no Lambda function: {uri}")
    name, _, qualifier = match[1].partition(":")
    if name not in functions or functions[name].version(qualifier or None) is None:
        raise TemplateError(f"the integration of {route_key} names {match[1]}, which the template does not make")
    return match[1]


def _functions(qualifiers: Mapping[str, Mapping[str, str]]) -> dict[str, Function]:
    pages = boto3.client("lambda").get_paginator("list_functions").paginate()
    return {
        found["FunctionName"]: Function(
            name=found["FunctionName"],
            arn=found["FunctionArn"],
            handler=found["Handler"],
            timeout=found["Timeout"],
            memory=found["MemorySize"],
            environment=found.get("Environment", {}).get("Variables", {}),
            qualifiers=dict(qualifiers.get(found["FunctionName"], {})),
        )
        for page in pages
        for found in page["Functions"]
    }
