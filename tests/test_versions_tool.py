"""The tool for versions: it undoes the last deployment by moving the aliases back, and clears old versions away."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.deployed import deploy, publish
from tools.versions import main

if TYPE_CHECKING:
    from local.stack import Stack


@pytest.fixture
def deployed(stack: Stack) -> str:
    """Deploy two functions, each at version 1."""
    return deploy(stack, ("token", "start"))


def release(function: str, memory: int) -> None:
    """Change a function, publish it and move its aliases, as a deployment does."""
    client = boto3.client("lambda")
    client.update_function_configuration(FunctionName=function, MemorySize=memory)
    version = publish(function)
    for alias in ("live", "http"):
        client.update_alias(FunctionName=function, Name=alias, FunctionVersion=version)


def called(function: str, alias: str = "live") -> str:
    """Return the version that an alias of a function leads to."""
    return boto3.client("lambda").get_alias(FunctionName=function, Name=alias)["FunctionVersion"]


def published(function: str) -> list[str]:
    """Return the versions that there are of a function."""
    versions = boto3.client("lambda").list_versions_by_function(FunctionName=function)["Versions"]
    return [each["Version"] for each in versions if each["Version"] != "$LATEST"]


def now() -> str:
    """Return the time, with nothing else in its second: AWS's times may have no fractions."""
    time.sleep(1 - time.time() % 1)
    return datetime.now(UTC).isoformat(timespec="seconds")


def test_a_deployment_is_undone_where_it_changed_something(deployed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a function that it left alone the alias stays: the version before that one is of an earlier deployment."""
    # given
    token, start = f"{deployed}-token", f"{deployed}-start"
    release(token, 600)
    release(start, 600)
    begun = now()
    release(token, 700)
    release(token, 800)

    # when
    code = main(["back", "--stack", deployed, "--since", begun])

    # then
    assert (code, called(token), called(token, "http"), called(start)) == (0, "2", "2", "2")
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"{token}: http goes from 4 back to 2",
        f"{token}: live goes from 4 back to 2",
    ]
    assert published(token) == ["1", "2", "3", "4"]


def test_there_is_nothing_before_the_first_deployment(deployed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The aliases stay, and it says why."""
    code = main(["back", "--stack", deployed])

    printed = capsys.readouterr().out
    assert code == 0
    assert f"{deployed}-token: live stays at 1, there is no version from before" in printed
    assert called(f"{deployed}-token") == "1"


def test_old_versions_are_deleted_and_one_is_kept_to_go_back_to(
    deployed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an alias leads to stays, and the version before it; how many before it is for the operator to say."""
    # given
    token = f"{deployed}-token"
    for memory in (600, 700, 800):
        release(token, memory)

    # when
    main(["prune", "--stack", deployed])
    after_one = published(token)
    main(["prune", "--stack", deployed, "--keep", "0"])

    # then
    assert after_one == ["3", "4"]
    assert published(token) == ["4"]
    assert published(f"{deployed}-start") == ["1"]
    assert capsys.readouterr().out.splitlines() == [
        f"{token}: version 1 is deleted",
        f"{token}: version 2 is deleted",
        f"{token}: version 3 is deleted",
    ]


def test_what_one_alias_still_leads_to_is_not_deleted(deployed: str) -> None:
    """The API may have been left at an earlier version than everybody else."""
    # given
    token = f"{deployed}-token"
    for memory in (600, 700, 800):
        release(token, memory)
    boto3.client("lambda").update_alias(FunctionName=token, Name="http", FunctionVersion="2")

    # when
    main(["prune", "--stack", deployed, "--keep", "0"])

    # then
    assert published(token) == ["2", "3", "4"]


def test_the_list_says_where_the_aliases_lead(deployed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By function, oldest first."""
    release(f"{deployed}-token", 600)
    boto3.client("lambda").update_alias(FunctionName=f"{deployed}-token", Name="http", FunctionVersion="1")

    main(["list", "--stack", deployed])

    printed = capsys.readouterr().out
    assert f"{deployed}-token: 1 (http), 2 (live)\n" in printed
    assert f"{deployed}-start: 1 (http, live)\n" in printed


@pytest.mark.usefixtures("stack")
def test_a_stack_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With AWS's own words."""
    assert main(["list", "--stack", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("nowhere: ")
