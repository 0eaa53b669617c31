"""The account that the documented commands are sent to: the local stack's, as a deployed one looks to an operator.

What moto does not have is here, each with what it stands for. What AWS does beyond that, `make deploy-check` and the
first hour on AWS show.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.browser import Browser
from tests.commands import aws_cli
from tests.commands.terminal import Answer
from tests.deployed import put_key_policy
from tests.expressions import translated
from tests.filter_patterns import matches
from tests.functions import FUNCTIONS, logical_name
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from local.stack import Stack
    from tests.commands.aws_cli import Call, Read

CONNECTION = "shop-1"
_STACK = "gatehouse"
# The types of boto3's clients go by the name of the service, and here a command has it.
_client_of: Any = boto3.client


class Account:
    """A stack that was deployed twice, with a connection, an attempt in the log, and what an older stack has left."""

    def __init__(self, stack: Stack) -> None:
        """Make it look so."""
        self.stack = stack
        self.names = _physical_names()
        self._log: dict[str, list[str]] = {}
        self._left: list[list[str]] = []
        lift_the_limit(stack)
        self._deploy_again()
        self.request_id = self._connect()
        self._protect_table()

    def answer(self, arguments: Sequence[str], read: Read) -> Answer:
        """Do what a command of `aws` says."""
        try:
            return self._run(aws_cli.parse(arguments, read))
        except aws_cli.UsageError as error:
            return Answer(252, error=f"aws {' '.join(arguments)}: {error}\n")
        except (BotoCoreError, ClientError) as error:
            return Answer(254, error=f"aws {' '.join(arguments)}: {error}\n")

    def as_deployed(self) -> None:
        """Put back what a page may have had changed: the functions' timeouts."""
        client = boto3.client("lambda")
        now = {each["FunctionName"]: each["Timeout"] for each in client.list_functions(MaxItems=1000)["Functions"]}
        for logical_id, each in translated()["Resources"].items():
            if each["Type"] == "AWS::Lambda::Function":
                name, timeout = self.names[logical_id], each["Properties"]["Timeout"]
                if now[name] != timeout:
                    client.update_function_configuration(FunctionName=name, Timeout=timeout)

    def have_secret(self, name: str, *, there: bool) -> None:
        """See to it that there is a secret of a name, or that there is none."""
        client = boto3.client("secretsmanager")
        with contextlib.suppress(
            client.exceptions.ResourceExistsException, client.exceptions.ResourceNotFoundException
        ):
            if there:
                client.create_secret(Name=name, SecretString="{}")
            else:
                client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    def connect(self, connection_id: str) -> None:
        """Connect a customer with an account of its own: what ends all of that account ends nothing else."""
        with contextlib.redirect_stdout(io.StringIO()):
            Browser(self.stack, connection_id).connect(connection_id=connection_id)

    def is_there(self, connection_id: str) -> bool:
        """Return whether anything in the tables still says that there was a connection of this id."""
        client = boto3.client("dynamodb")
        tables = (client.scan(TableName=self.names[name])["Items"] for name in ("ConnectionsTable", "SharedTable"))
        return any(connection_id in str(item) for items in tables for item in items)

    def lose_a_commit(self) -> None:
        """Have a refresh whose tokens neither the table nor the queue takes: the log of `token` has them."""
        self.stack.clock.advance(3700)
        self.stack.aws_faults.fail("dynamodb", "UpdateItem", error="AccessDeniedException", after=1)
        self.stack.aws_faults.fail("sqs", "SendMessage", error="AccessDeniedException")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.stack.invoke("token", {"connection_id": CONNECTION})
        self.stack.aws_faults.clear()
        self._log["token"] = [line for line in printed.getvalue().splitlines() if '"CRITICAL"' in line]
        assert self._log["token"], printed.getvalue()

    def wait_in(self, logical_id: str, body: str) -> None:
        """Put a message into a queue of the stack."""
        boto3.client("sqs").send_message(QueueUrl=self.names[logical_id], MessageBody=body)

    def bodies(self, url: str) -> list[str]:
        """Return what waits in a queue, and take it out."""
        sqs = boto3.client("sqs")
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for each in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        return [each["Body"] for each in found]

    def leave(self, message: str) -> str:
        """Make what an older stack has left, and return the URL of its rescue queue, with a message in it."""
        sqs, name = boto3.client("sqs"), "old-RescueQueue"
        queue: str = sqs.create_queue(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody=message)
        boto3.client("dynamodb").create_table(
            TableName="old-ConnectionsTable",
            KeySchema=[{"AttributeName": "connection_id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "connection_id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=True,
        )
        boto3.client("logs").create_log_group(logGroupName="old-TokenLogGroup")
        key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
        self._left = [
            ["AWS::DynamoDB::Table", "ConnectionsTable", "old-ConnectionsTable"],
            ["AWS::SQS::Queue", "RescueDeadLetters", sqs.create_queue(QueueName="old-RescueDeadLetters")["QueueUrl"]],
            ["AWS::Logs::LogGroup", "TokenLogGroup", "old-TokenLogGroup"],
            ["AWS::KMS::Key", "TokensKey", key],
        ]
        return queue

    def still_left(self) -> list[str]:
        """Return what is still there of what `leave` has made, by its name in `left.txt`."""
        there = {
            *boto3.client("dynamodb").list_tables()["TableNames"],
            *boto3.client("sqs").list_queues()["QueueUrls"],
            *(group["logGroupName"] for group in boto3.client("logs").describe_log_groups()["logGroups"]),
            *(key for kind, _, key in self._left if kind == "AWS::KMS::Key" and _is_enabled(key)),
        }
        return [name for _, _, name in self._left if name in there]

    # How it is made to look

    def _deploy_again(self) -> None:
        """Have a deployment behind the stack, a second after the first one: an alias can go back to what was before."""
        self._publish("the first deployment")
        time.sleep(1 - time.time() % 1)
        self._note_deployment()
        self._publish("the latest deployment")

    def _note_deployment(self) -> None:
        """Have CloudFormation tell of it, and of the outputs that are asked for: the local stack makes none."""
        from moto.cloudformation.models import cloudformation_backends  # noqa: PLC0415 - moto is loaded by the stack

        account = next(iter(self.stack.deployment.functions.values())).arn.split(":")[4]
        (made,) = cloudformation_backends[account]["us-east-1"].stacks.values()
        # moto can describe no key that its CloudFormation has made.
        key = boto3.client("kms").create_key()["KeyMetadata"]
        put_key_policy(_STACK, key["Arn"])
        made.template_dict["Outputs"] |= {
            "ApiUrl": {"Value": self.stack.base_url},
            "ApiId": {"Value": "local"},
            "ConnectionsTableName": {"Value": self.names["ConnectionsTable"]},
            "TokensKeyArn": {"Value": key["Arn"]},
        }
        made.creation_time = datetime.now(UTC).replace(tzinfo=None)

    def _publish(self, description: str) -> None:
        """Publish a version of each function, and have its aliases lead there."""
        client = boto3.client("lambda")
        for name, function in self.stack.deployment.functions.items():
            client.update_function_configuration(FunctionName=name, Description=description)
            version = client.publish_version(FunctionName=name)["Version"]
            lead = client.update_alias if version != "1" else client.create_alias
            for alias in (each for each in function.qualifiers if not each.isdigit()):
                lead(FunctionName=name, Name=alias, FunctionVersion=version)

    def _connect(self) -> str:
        """Connect a customer, with the lines of the log that the visits leave."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            browser = Browser(self.stack)
            started = browser.start(connection_id=CONNECTION)
            browser.visit(started["authorize_url"])
        for line in printed.getvalue().splitlines():
            if line.startswith("{"):
                self._log.setdefault(json.loads(line)["message"], []).append(line)
        return str(started["request_id"])

    def _protect_table(self) -> None:
        # moto's CloudFormation passes over it.
        boto3.client("dynamodb").update_continuous_backups(
            TableName=self.names["ConnectionsTable"],
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        )

    # What a call does

    def _run(self, call: Call) -> Answer:
        if call.waiter is not None:
            _client_of(call.service).get_waiter(call.waiter.replace("-", "_")).wait(**call.parameters)
            return Answer()
        pages = list(self._pages(call))
        stream = pages[0].pop("Payload").read().decode() if call.outfile is not None else ""
        if call.output != "text":
            pages = [_joined(pages)]
        return Answer(
            output="".join(aws_cli.printed(page, call) for page in pages), outfile=call.outfile, stream=stream
        )

    def _pages(self, call: Call) -> Iterable[dict[str, Any]]:
        lacking: dict[str, Callable[..., dict[str, Any]]] = {
            "DescribeStackEvents": self._stack_events,
            "FilterLogEvents": self._filter_log_events,
            "GetFunctionConfiguration": self._function_configuration,
            "GetRoutes": self._routes,
            "ListStacks": self._deleted_stacks,
            "StartMessageMoveTask": self._move_messages,
            "TestMetricFilter": _test_metric_filter,
        }
        if call.operation in lacking:
            return [lacking[call.operation](**call.parameters)]
        client: Any = self.stack.lambda_client() if call.operation == "Invoke" else _client_of(call.service)
        (name,) = (each for each, api in client.meta.method_to_api_mapping.items() if api == call.operation)
        if client.can_paginate(name):
            return map(_plain, client.get_paginator(name).paginate(**call.parameters))
        return [_plain(getattr(client, name)(**call.parameters))]

    def _function_configuration(self, **parameters: Any) -> dict[str, Any]:
        """Return moto's, with the log group: moto has no `LoggingConfig`."""
        found = _plain(boto3.client("lambda").get_function_configuration(**parameters))
        function = found["FunctionName"].removeprefix(f"{_STACK}-")
        return found | {"LoggingConfig": {"LogGroup": self.names[_log_group(function)]}}

    def _filter_log_events(self, **parameters: Any) -> dict[str, Any]:
        """Return the lines that a pattern takes: the functions here log to the terminal, and moto reads no pattern."""
        (function,) = (each for each in FUNCTIONS if self.names[_log_group(each)] == parameters["logGroupName"])
        assert parameters.get("startTime", 0) < time.time() * 1000
        lines = [line for line in self._log.get(function, []) if matches(parameters["filterPattern"], line)]
        return {"events": [{"message": line, "timestamp": int(time.time() * 1000)} for line in lines]}

    def _move_messages(self, **parameters: Any) -> dict[str, Any]:
        """Move what is in dead letters to where it came from: moto has no such task."""
        sqs = boto3.client("sqs")
        for url in sqs.list_queues()["QueueUrls"]:
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            target = json.loads(attributes.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
            if target == parameters["SourceArn"]:
                for body in self.bodies(sqs.get_queue_url(QueueName=target.rpartition(":")[2])["QueueUrl"]):
                    sqs.send_message(QueueUrl=url, MessageBody=body)
        return {"TaskHandle": "moved"}

    def _routes(self, **_: Any) -> dict[str, Any]:
        """Return the routes that the gateway serves: the local stack has no API in moto."""
        deployment = self.stack.deployment
        kinds = {key: "NONE" if key in deployment.public else "AWS_IAM" for key in deployment.routes}
        return {"Items": [{"RouteKey": key, "AuthorizationType": kind} for key, kind in kinds.items()]}

    def _deleted_stacks(self, **parameters: Any) -> dict[str, Any]:
        """Return a deleted stack of the same name, which moto cannot have beside the one that there is."""
        assert "DELETE_COMPLETE" in parameters["StackStatusFilter"]
        return {"StackSummaries": [{"StackName": _STACK, "StackId": "the deleted one"}]}

    def _stack_events(self, **parameters: Any) -> dict[str, Any]:
        """Return what was left when that one was deleted."""
        assert parameters["StackName"] == "the deleted one"
        names = ("ResourceType", "LogicalResourceId", "PhysicalResourceId")
        rows = [dict(zip(names, row, strict=True)) | {"ResourceStatus": "DELETE_SKIPPED"} for row in self._left]
        return {"StackEvents": rows}


def _test_metric_filter(**parameters: Any) -> dict[str, Any]:
    """Return the matches of a pattern, by what the tests of the alarms know of patterns: moto does not try them."""
    lines = parameters["logEventMessages"]
    return {"matches": [{"eventMessage": line} for line in lines if matches(parameters["filterPattern"], line)]}


def _log_group(function: str) -> str:
    return f"{logical_name(function)}LogGroup"


def _is_enabled(key: str) -> bool:
    return boto3.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]


def _physical_names() -> dict[str, str]:
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=_STACK)
    found = (each for page in pages for each in page["StackResourceSummaries"])
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}


def _plain(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _joined(pages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one answer of all its pages, as the outputs `json` and `table` have it."""
    joined: dict[str, Any] = {}
    for page in pages:
        for name, value in page.items():
            joined[name] = joined[name] + value if isinstance(value, list) and name in joined else value
    return joined
