"""The versions behind the aliases of a deployed stack: lists them, moves the aliases back, deletes old versions.

    python -m tools.versions list  [--stack NAME]
    python -m tools.versions back  [--stack NAME] [--since TIME]
    python -m tools.versions prune [--stack NAME] [--keep N]

`back` undoes the last deployment, or all since a time: each alias goes to the newest version from before. `prune`
keeps, of each function, the versions that its aliases lead to and the N before them (1, if nothing else is said).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.operating import moment, physical_ids

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Versions:
    """The published versions of a function, by number, with the time of the change; and where its aliases lead."""

    function: str
    published: dict[int, datetime]
    aliases: dict[str, int]

    def before(self, time: datetime) -> int | None:
        """Return the newest version from before a time; None where there is none."""
        return max((number for number, made in self.published.items() if made < time), default=None)

    def older(self, keep: int) -> list[int]:
        """Return the versions that are older than what an alias leads to, and than ``keep`` others before that."""
        oldest = min(self.aliases.values(), default=0)
        earlier = sorted((number for number in self.published if number < oldest), reverse=True)
        return sorted(earlier[keep:])


class Stack:
    """A deployed stack, as far as its functions' versions go."""

    def __init__(self, name: str, client_of: Callable[[Any], Any] = boto3.client) -> None:
        self._lambda = client_of("lambda")
        cloudformation = client_of("cloudformation")
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        self._deployed_at: datetime = stack.get("LastUpdatedTime", stack["CreationTime"]).replace(microsecond=0)
        functions = physical_ids(cloudformation, name, "AWS::Lambda::Function")
        self.functions = [self._versions(each) for each in functions]

    def _versions(self, function: str) -> Versions:
        pages = self._lambda.get_paginator("list_versions_by_function").paginate(FunctionName=function)
        found = [each for page in pages for each in page["Versions"] if each["Version"] != "$LATEST"]
        aliases = self._lambda.list_aliases(FunctionName=function)["Aliases"]
        return Versions(
            function,
            {int(each["Version"]): _time(each["LastModified"]) for each in found},
            {
                name: int(version)
                for name, version in sorted((each["Name"], each["FunctionVersion"]) for each in aliases)
            },
        )

    def back(self, since: datetime | None = None) -> list[str]:
        """Move each alias to the newest version from before a time, if nothing else is said before the last deployment.

        Returns what was done, in words.
        """
        done = []
        for each in self.functions:
            before = each.before(since or self._deployed_at)
            for alias, version in each.aliases.items():
                if before is None:
                    done.append(f"{each.function}: {alias} stays at {version}, there is no version from before")
                elif before < version:
                    self._lambda.update_alias(FunctionName=each.function, Name=alias, FunctionVersion=str(before))
                    done.append(f"{each.function}: {alias} goes from {version} back to {before}")
        return done

    def prune(self, keep: int) -> list[str]:
        """Delete the versions that are too old to go back to; return what was done, in words."""
        done = []
        for each in self.functions:
            for number in each.older(keep):
                self._lambda.delete_function(FunctionName=each.function, Qualifier=str(number))
                done.append(f"{each.function}: version {number} is deleted")
        return done


def _time(text: str) -> datetime:
    """Return Lambda's time, like 2026-11-28T20:13:22.000+0000: always UTC, here to the second."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)


def _listed(stack: Stack) -> list[str]:
    return [
        f"{each.function}: {', '.join(_named(each, n) for n in sorted(each.published))}" for each in stack.functions
    ]


def _named(versions: Versions, number: int) -> str:
    aliases = [alias for alias, version in versions.aliases.items() if version == number]
    return f"{number} ({', '.join(aliases)})" if aliases else str(number)


def main(arguments: list[str]) -> int:
    """Do one of the three and print what was done; return 1 where AWS did not let it."""
    parser = argparse.ArgumentParser(prog="versions", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("list", "back", "prune"))
    parser.add_argument("--stack", default="gatehouse", help="the name of the stack (default: gatehouse)")
    parser.add_argument("--since", type=moment, metavar="TIME", help="back: like 2026-11-28T20:00:00Z")
    parser.add_argument("--keep", type=int, default=1, metavar="N", help="prune: how many before it (default: 1)")
    options = parser.parse_args(arguments)
    try:
        stack = Stack(options.stack)
        match options.what:
            case "back":
                done = stack.back(options.since)
            case "prune":
                done = stack.prune(max(options.keep, 0))
            case _:
                done = _listed(stack)
    except (BotoCoreError, ClientError) as error:
        print(f"{options.stack}: {error}", file=sys.stderr)
        return 1
    print("\n".join(done or ["Nothing to do."]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
