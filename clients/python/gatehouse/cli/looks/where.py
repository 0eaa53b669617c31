"""Which account, region and stack it is, and whether the stack is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gatehouse.cli.failures import Failure, failure_of

from .finding import Finding, of_failure, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.account import Account

_WHOLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
_REGIONS_AT_ONCE = 16


def findings(account: Account) -> Iterator[Finding]:
    """Give what is found of them. If one of these is not well, nothing else can be looked at."""
    if account.is_local:
        yield from _local(account)
        return
    try:
        identity = account.client("sts").get_caller_identity()
        where = f"account {identity['Account']}, {account.region}, as {identity['Arn']}"
        yield Finding("account", where)
    except Exception as error:
        failure = failure_of(error, account.options)
        if failure is None:
            raise
        yield problem("account", "the AWS account", failure.description, failure.advice)
        return
    yield _stack(account)


def _local(account: Account) -> Iterator[Finding]:
    try:
        yield Finding("account", f"the stack on this machine, {account.local['local_url']}")
    except Failure as failure:
        yield problem("account", "the stack on this machine", failure.description, failure.advice)


def _stack(account: Account) -> Finding:
    what = f"the stack {account.stack}"
    try:
        status = account.described["StackStatus"]
    except Failure as failure:
        return problem("stack", what, failure.description, *_elsewhere(account))
    except Exception as error:
        failed = failure_of(error, account.options)
        if failed is None:
            raise
        return of_failure("stack", what, failed)
    if status.endswith("_IN_PROGRESS"):
        return problem("stack", what, f"It is being changed ({status}).", "Wait until that is done, and look again.")
    if status not in _WHOLE:
        return problem("stack", what, f"Its last change failed ({status}).", "Deploy it again: sam build && sam deploy")
    if "TokensKeyArn" not in account.outputs:
        return problem("stack", what, "It is not one of Gatehouse.", *_named(account, account.region))
    return Finding("stack", f"{what}: {status}")


def _elsewhere(account: Account) -> Iterator[str]:
    """Give where there are stacks of Gatehouse: in this region, or one of that name in another."""
    here = [*_named(account, account.region)]
    yield from here
    if here:
        return
    regions = [each for each in account.session.get_available_regions("cloudformation") if each != account.region]
    with ThreadPoolExecutor(_REGIONS_AT_ONCE) as pool:
        are_there = list(pool.map(lambda each: _is_in(account, each), regions))
    found = [region for region, is_there in zip(regions, are_there, strict=True) if is_there]
    yield from (f"There is one in {region}: --region {region}" for region in found)
    if not found:
        yield "Deploy it: sam build && sam deploy; or use the credentials of the account that has it: --profile"


def _named(account: Account, region: str | None) -> Iterator[str]:
    """Give the stacks of Gatehouse in a region, by an output that they have."""
    try:
        pages = account.client("cloudformation").get_paginator("describe_stacks").paginate()
        for page in pages:
            for each in page["Stacks"]:
                outputs = {output["OutputKey"] for output in each.get("Outputs", [])}
                if {"TokensKeyArn", "ConnectionsTableName"} <= outputs and each["StackName"] != account.stack:
                    yield f"In {region} there is one called {each['StackName']}: --stack {each['StackName']}"
    except Exception as error:
        if failure_of(error, "") is None:
            raise


def _is_in(account: Account, region: str) -> bool:
    from botocore.config import Config  # noqa: PLC0415 - it takes long to load

    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        client = account.session.client("cloudformation", region_name=region, config=config)
        return bool(client.describe_stacks(StackName=account.stack)["Stacks"])
    except Exception as error:
        # No such stack there; or a region that this account has not enabled.
        if failure_of(error, "") is None:
            raise
        return False
