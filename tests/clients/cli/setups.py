"""Set-ups that are broken: what `gatehouse doctor` says of each, and whether doing what it says mends it.

python -m tests.clients.cli.setups      prints a table of all of them
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore import xform_name

from tests.clients import installed
from tests.clients.cli.conftest import run
from tests.commands import aws_cli
from tests.deployed import deploy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.stack import Stack

    Finding = dict[str, Any]

_LONGER_THAN_KEPT = 301
_SECRET = "demo-ultracart-client-secret"
_ELSEWHERE = "https://elsewhere.example.org/callback/ultracart"


class Workplace:
    """A stack on this machine, and a small one as it is deployed, which has what the first has not."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        ultracart = stack.registrations["ultracart"]
        # Slack's file says that a client there has a secret, and UltraCart's does not.
        slack = {key: value for key, value in ultracart.items() if key != "account_endpoint"}
        self.documents = {
            "ultracart": ultracart,
            "slack": {**slack, "client_secret": _SECRET, "scopes": ["order_read"]},
        }
        text = json.dumps(slack)
        self.aws("secretsmanager").create_secret(Name="gatehouse/providers/slack", SecretString=text)
        self.port = stack.local_url.rpartition(":")[2]
        self.faults = stack.aws_faults
        self.options: tuple[str, ...] = ()
        """What whoever follows the advice adds to each call from then on."""

    @cached_property
    def deployed(self) -> str:
        """The name of the small stack."""
        return deploy(self.stack)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Its outputs."""
        (found,) = self.aws("cloudformation").describe_stacks(StackName=self.deployed)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}

    def aws(self, service: Any) -> Any:
        """Return a client for the emulated account."""
        return boto3.client(service)

    def physical(self, logical_id: str) -> str:
        """Return the name of a resource of the stack on this machine."""
        return self.stack.deployment.physical[logical_id]

    def register(self, name: str, **document: Any) -> None:
        """Put a document into the secret of a provider, as somebody does by hand."""
        self.put(name, json.dumps(document))

    def put(self, name: str, text: str) -> None:
        """Put a text there."""
        self.aws("secretsmanager").put_secret_value(SecretId=f"gatehouse/providers/{name}", SecretString=text)

    def doctor(self, *arguments: str) -> list[Finding]:
        """Return what `gatehouse doctor` finds, once what the functions keep has run out."""
        self.stack.clock.advance(_LONGER_THAN_KEPT)
        found: list[Finding] = run("doctor", "--json", *arguments, *self.options).json["findings"]
        return found

    def follow(self, step: str, *more: str, typed: str | None = None) -> None:
        """Run the command that a step has, as somebody does who copies it."""
        command = shlex.split(step[step.index(next(each for each in ("gatehouse ", "aws ") if each in step)) :])
        if command[0] == "gatehouse":
            ran = run(*command[1:], *more, typed=typed)
            assert ran.code == 0, ran.err
        else:
            call = aws_cli.parse(command[1:], lambda _: b"{}")
            getattr(self.aws(call.service), xform_name(call.operation))(**call.parameters)


@dataclass(frozen=True)
class Setup:
    """One way in which a set-up is broken. `says` has to stand in what the doctor says of it."""

    name: str
    broken: Callable[[Workplace], None]
    says: str
    mended: Callable[[Workplace, list[str]], None]
    """Does what the steps say, given to it."""
    of: str = "local"
    """Which stack is looked at: `local`, or the one that is `deployed`."""
    arguments: tuple[str, ...] = ()
    looks_at: str = ""
    """A part of what the finding is about, where the rest of that stack is not as a real one."""


def _registered(place: Workplace, steps: list[str]) -> None:
    """Register by the command that is among the steps, with what stands at the provider's console."""
    step = next(each for each in steps if each.startswith("gatehouse register"))
    document = place.documents[shlex.split(step)[2]]
    options = [f"--set={key}={value}" for key, value in document.items() if not key.startswith(("client_", "scopes"))]
    options += [f"--scope={each}" for each in document.get("scopes", ())]
    secret = document.get("client_secret")
    options += ["--client-id", document["client_id"], "--secret-stdin" if secret else "--public"]
    place.follow(step, *options, typed=secret)


def _each(place: Workplace, steps: list[str]) -> None:
    for step in steps:
        place.follow(step)


def _with_option(place: Workplace, steps: list[str]) -> None:
    (found,) = {match[0] for step in steps if (match := re.search(r"--(region|stack) \S+", step))}
    place.options = tuple(found.split())


def _faults_cleared(place: Workplace, _steps: list[str]) -> None:
    place.faults.clear()


def _without_credentials(_place: Workplace) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.pop(name, None)


def _with_credentials(_place: Workplace, _steps: list[str]) -> None:
    os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local")


def _key(place: Workplace) -> str:
    return place.outputs["TokensKeyArn"].rpartition("/")[2]


def _last_message_moved(place: Workplace, steps: list[str]) -> None:
    """Do what the last step says. moto cannot move messages: the call is read, and carried out here."""
    command = shlex.split(steps[-1][steps[-1].index("aws ") :])
    call = aws_cli.parse(command[1:], lambda _: b"{}")
    assert call.operation == "StartMessageMoveTask"
    url = place.physical("RevokeDeadLetters")
    assert str(call.parameters["SourceArn"]).endswith(url.rpartition("/")[2])
    place.aws("sqs").purge_queue(QueueUrl=url)


def _table_restored(place: Workplace, steps: list[str]) -> None:
    """Restore the table under its name, as the step says: moto has no backups, so that it is made by its definition."""
    from local.aws import cloudformation, tables  # noqa: PLC0415 - moto is not loaded before it is needed
    from local.stack import TEMPLATE  # noqa: PLC0415 - as above

    logical_id = "AuthorizationsTable"
    name = place.stack.deployment.tables[logical_id]
    assert any(f"--table-name {name}" in step for step in steps)
    definition = cloudformation.table_definitions(cloudformation.load(TEMPLATE))[logical_id]
    tables.create_tables(place.stack.aws_endpoint, {logical_id: definition}, {logical_id: name})


def _table_deleted(place: Workplace) -> None:
    name = place.stack.deployment.tables["AuthorizationsTable"]
    dynamodb = place.aws("dynamodb")
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)


def _base_url(place: Workplace, url: str) -> None:
    """Deploy the small stack with another BaseUrl."""
    cloudformation = place.aws("cloudformation")
    template = cloudformation.get_template(StackName=place.deployed)["TemplateBody"]
    document = json.loads(template) if isinstance(template, str) else json.loads(json.dumps(template))
    document["Outputs"]["BaseUrl"] = {"Value": url}
    cloudformation.update_stack(StackName=place.deployed, TemplateBody=json.dumps(document))


def _forgotten(place: Workplace) -> None:
    for name in place.documents.keys() | place.stack.registrations.keys():
        secret = f"gatehouse/providers/{name}"
        place.aws("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def _all_registered(place: Workplace, steps: list[str]) -> None:
    for name in place.documents:
        _registered(place, [each.replace("NAME", name) for each in steps])


SETUPS = (
    Setup(
        "no credentials",
        _without_credentials,
        "There are no AWS credentials here",
        _with_credentials,
        of="deployed",
        looks_at="account",
    ),
    Setup(
        "another region than the stack's",
        lambda place: setattr(place, "options", ("--region", "eu-west-1")),
        "in eu-west-1",
        _with_option,
        of="deployed",
        looks_at="the stack",
    ),
    Setup(
        "no stack of that name",
        lambda place: setattr(place, "options", ("--stack", "gatehose")),
        "There is no stack gatehose",
        _with_option,
        of="deployed",
        looks_at="the stack",
    ),
    Setup(
        "no right to read the key",
        lambda place: place.faults.fail("kms", "DescribeKey", error="AccessDeniedException"),
        "AWS does not let you call DescribeKey",
        _faults_cleared,
        of="deployed",
        looks_at="KEY",
    ),
    Setup(
        "the key is disabled",
        lambda place: place.aws("kms").disable_key(KeyId=_key(place)),
        "it is Disabled, and no token opens",
        _each,
        of="deployed",
        looks_at="KEY",
    ),
    Setup(
        "the key is to be deleted",
        lambda place: place.aws("kms").schedule_key_deletion(KeyId=_key(place), PendingWindowInDays=7),
        "it is PendingDeletion, and no token opens",
        _each,
        of="deployed",
        looks_at="KEY",
    ),
    Setup(
        "the base URL leads elsewhere",
        lambda place: _base_url(place, place.stack.demo.url),
        "Something else answers there",
        lambda place, _steps: _base_url(place, place.stack.base_url),
        of="deployed",
        looks_at="leads to Gatehouse",
    ),
    Setup(
        "nothing listens at the base URL",
        lambda place: _base_url(place, "http://localhost:1"),
        "It cannot be reached from here: Connection refused",
        lambda place, _steps: _base_url(place, place.stack.base_url),
        of="deployed",
        looks_at="leads to Gatehouse",
    ),
    Setup(
        "nothing is registered",
        _forgotten,
        "Secrets Manager has no secret that begins with gatehouse/providers/",
        _all_registered,
    ),
    Setup(
        "the registration is not JSON",
        lambda place: place.put("ultracart", "{client_id: 'x'}"),
        "does not hold a JSON document",
        _registered,
        arguments=("ultracart",),
    ),
    Setup(
        "a key that is not known",
        lambda place: place.register("ultracart", client_id="x", scops=["order_read"]),
        "scops: ",
        _registered,
        arguments=("ultracart",),
    ),
    Setup(
        "the secret is missing",
        lambda place: place.register(
            "slack", **{key: value for key, value in place.documents["slack"].items() if key != "client_secret"}
        ),
        "client_secret",
        _registered,
        arguments=("slack",),
    ),
    Setup(
        "the functions may not read the secret",
        lambda place: place.faults.fail("secretsmanager", "GetSecretValue", error="AccessDeniedException"),
        "the function's role lacks secretsmanager:GetSecretValue",
        _faults_cleared,
        arguments=("ultracart",),
    ),
    Setup(
        "an endpoint that nobody reaches",
        lambda place: place.register(
            "ultracart", **place.documents["ultracart"] | {"token_endpoint": "http://127.0.0.1:1/token"}
        ),
        "token_endpoint: Connection refused",
        _registered,
        arguments=("ultracart",),
    ),
    Setup(
        "a redirect URI that the provider does not know",
        lambda place: place.register("ultracart", **place.documents["ultracart"] | {"redirect_uri": _ELSEWHERE}),
        f"The provider refuses a request with this client id and {_ELSEWHERE}",
        _registered,
        arguments=("ultracart",),
    ),
    Setup("a table is gone", _table_deleted, "It is gone.", _table_restored, arguments=("ultracart",)),
    Setup(
        "dead letters",
        lambda place: place.aws("sqs").send_message(QueueUrl=place.physical("RevokeDeadLetters"), MessageBody="{}"),
        "Revocations have failed, so that grants may still live at the provider: 1 message.",
        _last_message_moved,
        arguments=("ultracart",),
    ),
)


@dataclass(frozen=True)
class Row:
    """What came of a set-up: what the doctor said of it, and what was still wrong after its steps were followed."""

    said: list[Finding]
    after: list[str]


def tried(place: Workplace, setup: Setup) -> Row:
    """Break a set-up, ask the doctor, do what it says, and ask again."""
    setup.broken(place)
    said = wrong(place, setup)
    setup.mended(place, [step for each in said for step in each["do"]])
    after = wrong(place, setup)
    place.options = ()
    return Row(said, [each["what"] for each in after])


def wrong(place: Workplace, setup: Setup) -> list[Finding]:
    """Return what the doctor finds that is not as it should be."""
    where = ("--port", place.port) if setup.of == "local" else ("--stack", place.deployed, "--region", "us-east-1")
    found = place.doctor(*setup.arguments, *where)
    about = setup.looks_at.replace("KEY", _key(place)) if "KEY" in setup.looks_at else setup.looks_at
    return [each for each in found if each["state"] != "ok" and about in f"{each['area']} {each['what']}"]


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Start a stack for all of them: they break it."""
    from local.stack import Stack  # noqa: PLC0415 - moto takes long to load

    with Stack() as stack:
        yield Workplace(stack)


def main() -> int:
    """Print the table; return 1 if something was not found or not mended."""
    # As for the tests, in tests/clients/conftest.py.
    sys.path.insert(0, str(installed.packages()))
    failed = 0
    with workplace() as place:
        for setup in SETUPS:
            row = tried(place, setup)
            is_found = any(setup.says in each["said"] for each in row.said)
            failed += not is_found or bool(row.after)
            sys.stdout.write(f"\n{setup.name}\n")
            for each in row.said:
                sys.stdout.write(f"  {each['state']}: {each['what']}\n    {each['said']}\n")
                sys.stdout.writelines(f"    -> {step}\n" for step in each["do"])
            sys.stdout.write(f"  found: {'yes' if is_found else 'NO'}; mended: {'no' if row.after else 'yes'}\n")
    sys.stdout.write(f"\n{len(SETUPS)} set-ups, {failed} not found or not mended\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
