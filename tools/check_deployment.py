"""Looks at a deployed stack: does each alias run what was deployed, and is nothing switched off that has to be on?

`python -m tools.check_deployment STACK` reads, with the credentials and the region of the AWS CLI, and changes nothing.
One line for each finding; the exit code is 1 where something is wrong, and then the line says what to do.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools import key_policy
from tools.operating import physical_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Found = tuple[str, list["Problem"]]
    """What was looked at, and what is wrong with it."""

# What a version keeps of its function.
_KEPT = ("CodeSha256", "Handler", "MemorySize", "Timeout", "Role", "Runtime")
_INDEXES = {"due", "listed"}
_MEND_KEY = {
    "Disabled": ("aws kms enable-key --key-id {key}",),
    "PendingDeletion": ("aws kms cancel-key-deletion --key-id {key}", "aws kms enable-key --key-id {key}"),
}
"""The commands that mend a key's state."""
_REVISION = "Give Revision another value in samconfig.toml, so that there is something to deploy"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a thing that was looked at, and the steps that mend it, one after another."""

    said: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.said}: {', and then '.join(map(_quoted, self.steps))}"


def _quoted(step: str) -> str:
    """Return a step in a sentence: a command between backticks, and words as they are."""
    return f"`{step}`" if step.startswith(("aws ", "sam ")) else step[0].lower() + step[1:]


class Stack:
    """A deployed stack, as CloudFormation and the services describe it."""

    def __init__(
        self,
        name: str,
        client_of: Callable[[Any], Any] = boto3.client,
        wanted_key_policy: Callable[[], key_policy.Policy | None] = key_policy.of_the_template,
    ) -> None:
        """`wanted_key_policy` returns the policy that the key should have, as the template has it; None: unknown."""
        self.name = name
        self._client_of = client_of
        self._wanted_key_policy = wanted_key_policy
        (described,) = client_of("cloudformation").describe_stacks(StackName=name)["Stacks"]
        self._outputs = {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}

    def findings(self) -> Iterator[Found]:
        """Give what was looked at, each with what is wrong with it: nothing where it is well."""
        for _, look in self.looks():
            yield from look()

    def looks(self) -> Iterator[tuple[str, Callable[[], Iterable[Found]]]]:
        """Give what is looked at, and how: each by itself, so that one that cannot be read hides none of the others.

        A look gives findings, and raises what AWS's SDK raises.
        """
        for function in self._physical("AWS::Lambda::Function"):
            yield function, partial(self._aliases, function)
        for mapping in self._physical("AWS::Lambda::EventSourceMapping"):
            yield mapping, partial(self._mapping, mapping)
        for rule in self._physical("AWS::Events::Rule"):
            yield rule, partial(self._rule, rule)
        yield "the proxy", self._proxy
        table = self._outputs["ConnectionsTableName"]
        yield table, partial(self._table, table)
        for output in ("TokensKeyArn", "OtherTokensKeyArn"):
            if output in self._outputs:
                yield self._outputs[output].rpartition("/")[2], partial(self._key, self._outputs[output])

    def _aliases(self, function: str) -> Iterator[Found]:
        for alias in self._client_of("lambda").list_aliases(FunctionName=function)["Aliases"]:
            name = alias["Name"]
            yield f"{function}: the alias {name} runs what was deployed", self._alias_problems(function, name)

    def _rule(self, rule: str) -> Iterator[Found]:
        state = self._client_of("events").describe_rule(Name=rule)["State"]
        problem = Problem(f"it is {state}", (f"aws events enable-rule --name {rule}",))
        yield f"{rule}: the schedule is on", [] if state == "ENABLED" else [problem]

    def _physical(self, kind: str) -> list[str]:
        return physical_ids(self._client_of("cloudformation"), self.name, kind)

    def _alias_problems(self, function: str, alias: str) -> list[Problem]:
        configuration = self._client_of("lambda").get_function_configuration
        newest = _kept(configuration(FunctionName=function))
        runs = _kept(configuration(FunctionName=function, Qualifier=alias))
        stale = sorted(name for name in newest.keys() | runs.keys() if newest.get(name) != runs.get(name))
        said = f"it still runs with another {', '.join(stale)}"
        return [Problem(said, (_REVISION, "sam deploy"))] if stale else []

    def _proxy(self) -> Iterator[Found]:
        """Give, for each public function that asks for a proxy's header, whether browsers are sent to the proxy."""
        for function in self._physical("AWS::Lambda::Function"):
            configuration = self._client_of("lambda").get_function_configuration(FunctionName=function)
            variables: dict[str, str] = configuration.get("Environment", {}).get("Variables", {})
            if variables.get("GATEHOUSE_ORIGIN_VERIFY_SHA256"):
                is_own = variables.get("GATEHOUSE_BASE_URL") == self._outputs.get("ApiUrl")
                problem = Problem(
                    "BaseUrl is the API's own URL, where everybody gets 403",
                    ("Set BaseUrl in samconfig.toml to your distribution's URL", "sam deploy"),
                )
                what = f"{function}: browsers are sent to the proxy whose header it asks for"
                yield what, [problem] if is_own else []

    def _mapping(self, mapping: str) -> Iterator[Found]:
        found = self._client_of("lambda").get_event_source_mapping(UUID=mapping)
        source, state = found["EventSourceArn"].split(":", 5)[5], found["State"]
        is_on = state in {"Enabled", "Enabling", "Creating", "Updating"}
        problem = Problem(f"it is {state}", (f"aws lambda update-event-source-mapping --uuid {mapping} --enabled",))
        # A stream is named after the time at which it was turned on.
        table, _, is_stream = source.removeprefix("table/").partition("/stream/")
        what = f"the stream of {table}: it is read" if is_stream else f"{source}: its messages are worked off"
        yield what, [] if is_on else [problem]

    def _table(self, name: str) -> Iterator[Found]:
        dynamodb = self._client_of("dynamodb")
        table = dynamodb.describe_table(TableName=name)["Table"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        indexes = {each["IndexName"] for each in table.get("GlobalSecondaryIndexes", [])}
        problems = []
        if missing := sorted(_INDEXES - indexes):
            another = "Set ConnectionsTableName in samconfig.toml to a table that Gatehouse has made"
            problems.append(Problem(f"it has no index {' and no index '.join(missing)}", (another, "sam deploy")))
        if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
            switch = "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
            command = f"aws dynamodb update-continuous-backups --table-name {name} {switch}"
            problems.append(Problem("nothing can be restored", (command,)))
        if not table.get("DeletionProtectionEnabled"):
            command = f"aws dynamodb update-table --table-name {name} --deletion-protection-enabled"
            problems.append(Problem("anybody may delete it", (command,)))
        yield f"{name}: the table is protected and can be restored", problems

    def _key(self, arn: str) -> Iterator[Found]:
        kms, key = self._client_of("kms"), arn.rpartition("/")[2]
        state = kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
        problems = []
        if state != "Enabled":
            commands = _MEND_KEY.get(state, ("aws kms describe-key --key-id {key}",))
            steps = tuple(command.format(key=key) for command in commands)
            problems.append(Problem(f"it is {state}, and no token opens", steps))
        template_policy = self._wanted_key_policy()
        if template_policy is not None:
            policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
            wanted = key_policy.needed(self.name, self._client_of, template_policy)
            wrong = [*key_policy.problems(policy, wanted)]
            if wrong:
                put = f"aws kms put-key-policy --key-id {key} --policy-name default"
                command = f'{put} --policy "$(make -s key-policy STACK={self.name})"'
                problems.append(Problem(", and ".join(wrong), (command,)))
        yield f"{key}: the key is enabled, and for the functions alone", problems


def _kept(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what a version keeps, by names that say which parameter it is about."""
    kept = {name: configuration.get(name) for name in _KEPT}
    kept["LogLevel"] = configuration.get("LoggingConfig", {}).get("ApplicationLogLevel")
    kept["SnapStart"] = configuration.get("SnapStart", {}).get("ApplyOn", "None")
    variables: dict[str, Any] = configuration.get("Environment", {}).get("Variables", {})
    return kept | variables


def main(arguments: list[str]) -> int:
    """Print the findings; return 0 where all is well, 1 where something is wrong or cannot be read."""
    parser = argparse.ArgumentParser(prog="check_deployment", description=__doc__.partition("\n")[0])
    parser.add_argument("stack", nargs="?", default="gatehouse", help="the name of the stack (default: gatehouse)")
    stack: str = parser.parse_args(arguments).stack
    try:
        findings = list(Stack(stack).findings())
    except (BotoCoreError, ClientError, key_policy.NotDeployed) as error:
        print(f"{stack} cannot be looked at: {error}", file=sys.stderr)
        return 1
    for what, problems in findings:
        print(f"NOT  {what}\n     {'; '.join(map(str, problems))}" if problems else f"ok   {what}")
    wrong = sum(1 for _, problems in findings if problems)
    need = "needs" if wrong == 1 else "need"
    print(f"{wrong} of {len(findings)} {need} you." if wrong else f"All {len(findings)} are as they should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
