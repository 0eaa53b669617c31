"""Looks at a deployed stack: does each alias run what was deployed, and is nothing switched off that has to be on?

`python -m tools.check_deployment STACK` reads, with the credentials and the region of the AWS CLI, and changes nothing.
One line for each finding; the exit code is 1 where something is wrong, and then the line says what to do.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools import key_policy
from tools.operating import physical_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# What a version keeps of its function.
_KEPT = ("CodeSha256", "Handler", "MemorySize", "Timeout", "Role", "Runtime")
_INDEXES = {"due", "listed"}
_MEND_KEY = {
    "Disabled": "`aws kms enable-key --key-id {key}`",
    "PendingDeletion": "`aws kms cancel-key-deletion --key-id {key}`, and then `aws kms enable-key --key-id {key}`",
}
"""What to do about a key's state."""
_REVISION = "give Revision another value in samconfig.toml, and run `sam deploy` again"


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

    def findings(self) -> Iterator[tuple[str, str]]:
        """Give what was looked at, each with what is wrong with it: empty where nothing is."""
        for _, look in self.looks():
            yield from look()

    def looks(self) -> Iterator[tuple[str, Callable[[], Iterable[tuple[str, str]]]]]:
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

    def _aliases(self, function: str) -> Iterator[tuple[str, str]]:
        for alias in self._client_of("lambda").list_aliases(FunctionName=function)["Aliases"]:
            name = alias["Name"]
            yield f"{function}: the alias `{name}` runs what was deployed", self._alias_problem(function, name)

    def _rule(self, rule: str) -> Iterator[tuple[str, str]]:
        state = self._client_of("events").describe_rule(Name=rule)["State"]
        problem = "" if state == "ENABLED" else f"it is {state}: `aws events enable-rule --name {rule}`"
        yield f"{rule}: the schedule is on", problem

    def _physical(self, kind: str) -> list[str]:
        return physical_ids(self._client_of("cloudformation"), self.name, kind)

    def _alias_problem(self, function: str, alias: str) -> str:
        configuration = self._client_of("lambda").get_function_configuration
        newest = _kept(configuration(FunctionName=function))
        runs = _kept(configuration(FunctionName=function, Qualifier=alias))
        stale = sorted(name for name in newest.keys() | runs.keys() if newest.get(name) != runs.get(name))
        return f"it still runs with another {', '.join(stale)}: {_REVISION}" if stale else ""

    def _proxy(self) -> Iterator[tuple[str, str]]:
        """Give, for each public function that asks for a proxy's header, whether browsers are sent to the proxy."""
        for function in self._physical("AWS::Lambda::Function"):
            configuration = self._client_of("lambda").get_function_configuration(FunctionName=function)
            variables: dict[str, str] = configuration.get("Environment", {}).get("Variables", {})
            if variables.get("GATEHOUSE_ORIGIN_VERIFY_SHA256"):
                is_own = variables.get("GATEHOUSE_BASE_URL") == self._outputs.get("ApiUrl")
                problem = "BaseUrl is the API's own URL, where everybody gets 403: set it to your distribution's"
                yield f"{function}: browsers are sent to the proxy whose header it asks for", problem if is_own else ""

    def _mapping(self, mapping: str) -> Iterator[tuple[str, str]]:
        found = self._client_of("lambda").get_event_source_mapping(UUID=mapping)
        source, state = found["EventSourceArn"].split(":", 5)[5], found["State"]
        is_on = state in {"Enabled", "Enabling", "Creating", "Updating"}
        remedy = f"it is {state}: `aws lambda update-event-source-mapping --uuid {mapping} --enabled`"
        # A stream is named after the time at which it was turned on.
        table, _, is_stream = source.removeprefix("table/").partition("/stream/")
        what = f"the stream of {table}: it is read" if is_stream else f"{source}: its messages are worked off"
        yield what, "" if is_on else remedy

    def _table(self, name: str) -> Iterator[tuple[str, str]]:
        dynamodb = self._client_of("dynamodb")
        table = dynamodb.describe_table(TableName=name)["Table"]
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        indexes = {each["IndexName"] for each in table.get("GlobalSecondaryIndexes", [])}
        update = f"`aws dynamodb update-table --table-name {name}"
        problems = [f"it has no index `{index}`: it is no table of Gatehouse's" for index in sorted(_INDEXES - indexes)]
        if backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
            switch = "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
            problems.append(
                f"nothing can be restored: `aws dynamodb update-continuous-backups --table-name {name} {switch}`"
            )
        if not table.get("DeletionProtectionEnabled"):
            problems.append(f"anybody may delete it: {update} --deletion-protection-enabled`")
        yield f"{name}: the table is protected and can be restored", "; ".join(problems)

    def _key(self, arn: str) -> Iterator[tuple[str, str]]:
        kms, key = self._client_of("kms"), arn.rpartition("/")[2]
        state = kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
        problems = []
        if state != "Enabled":
            problems.append(f"it is {state}, and no token opens: {_MEND_KEY.get(state, 'see AWS').format(key=key)}")
        template_policy = self._wanted_key_policy()
        if template_policy is not None:
            policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
            wanted = key_policy.needed(self.name, self._client_of, template_policy)
            wrong = [*key_policy.problems(policy, wanted)]
            if wrong:
                put = f"aws kms put-key-policy --key-id {key} --policy-name default"
                problems.append(f'{", and ".join(wrong)}: `{put} --policy "$(make -s key-policy STACK={self.name})"`')
        yield f"{key}: the key is enabled, and for the functions alone", "; ".join(problems)


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
    for what, problem in findings:
        print(f"NOT  {what}\n     {problem}" if problem else f"ok   {what}")
    wrong = sum(1 for _, problem in findings if problem)
    need = "needs" if wrong == 1 else "need"
    print(f"{wrong} of {len(findings)} {need} you." if wrong else f"All {len(findings)} are as they should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
