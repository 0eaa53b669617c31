"""A table takes the place of another: restored into the running stack, or left by a stack that was deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tools.deploy_check.changing import checked
from tools.deploy_check.deleting import Row
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.deploy_check.account import Account
    from tools.deploy_check.installation import Installation
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

_PAGE, _HEADING = "docs/runbooks.md", "Restore the table"
RESTORED = "gatehouse-restored"
NEW_TABLE = Row("AWS::DynamoDB::Table", "Restored", RESTORED)
"""No stack's: whoever restores a table owns it."""


def restore(report: Report, project: Project, installation: Installation, limits: list[str]) -> None:
    """Restore the table into the running stack by the documented commands."""
    deployed = installation.deployed
    account, old = deployed.account, deployed.outputs["ConnectionsTableName"]
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with report.step("the schedule is switched off, and the table restored into a new one") as seen:
        project.documented(_PAGE, _HEADING, "disable-rule")
        seen.append(_restored(project, account, old, limits))
    with report.step("a connection goes on meanwhile in the old table") as seen:
        installation.refresh("shop-kept")
        newer = installation.connection("shop-kept")["version"]
        seen.append(f"version {newer}")
    with report.step("samconfig.toml names the new table, and plain `sam deploy`") as seen:
        project.edit(_as_parameters(account))
        rule = project.command(_PAGE, _HEADING, "disable-rule")
        project.documented(_PAGE, _HEADING, "enable-rule", before=rule, typed="y\n")
        expect(deployed.outputs["ConnectionsTableName"] == RESTORED, "The stack does not use the new table.")
        expect(not deployed.behind(), f"Behind: {deployed.behind()}")
        seen.append(f"{deployed.status}; {checked(project)}")
    with report.step("what is newer is taken over from the old table, as documented") as seen:
        earlier = installation.connection("shop-kept")["version"]
        project.documented(_PAGE, _HEADING, "make take-over", before=f"old={old}\nthen={began}")
        found = installation.connection("shop-kept")["version"]
        expect(found == newer, f"Version {newer} was expected, not {found}.")
        expect("access_token" in installation.token("shop-kept"), "The record should open in its new table.")
        seen.append(f"version {earlier} was restored, {found} is taken over, and token vends")


def take_over(report: Report, project: Project, again: Callable[[], Installation], key_id: str) -> Installation:
    """Make the stack again with the table and the key of the deleted one, and return it as ``again`` gives it."""
    with report.step("a new stack goes on with the table and the key of the deleted one") as seen:
        parameters = {**_as_parameters(project.account), "TokensKeyId": key_id}
        project.edit(parameters)
        project.deploy()
        # The rest of the block: the key's policy, which still names the roles of the deleted stack.
        block = project.command(_PAGE, "Take over what a deleted stack left", "put-key-policy")
        project.shell.run(block.partition("sam deploy\n")[2]).ok()
        installation = again()
        vended = installation.token("shop-kept")
        expect("access_token" in vended, f"The connection should live on: {vended}")
        refreshed = installation.refresh("shop-kept", if_version=vended["version"])
        expect(refreshed.get("version", 0) > vended["version"], f"A refresh should be stored: {refreshed}")
        seen.append(f"version {vended['version']} vends, and is refreshed to {refreshed['version']}")
        is_read = "EventsStreamMapping" in installation.deployed.resources()
        expect(is_read == bool(parameters["ConnectionsStreamArn"]), "A stream is read if the table has one.")
        seen.append(f"its stream is {'read' if is_read else 'not there'}")
    with report.step("make check-deployment") as seen:
        seen.append(checked(project))
    return installation


def _as_parameters(account: Account) -> dict[str, str]:
    """Return the parameters that lead to the restored table, and to its stream, if it has one."""
    table = account.client("dynamodb").describe_table(TableName=RESTORED)["Table"]
    return {"ConnectionsTableName": RESTORED, "ConnectionsStreamArn": table.get("LatestStreamArn", "")}


def _restored(project: Project, account: Account, old: str, limits: list[str]) -> str:
    """Restore as documented; where the emulator does not, copy the table, and say so."""
    block = project.command(_PAGE, _HEADING, "restore-table-to-point-in-time")
    ran = project.shell.run(block)
    if ran.code == 0:
        return "restored to the latest moment"
    limits.append("It restores no table to a point in time: a copy of the table stood in for it.")
    _copy(account.client("dynamodb"), old, RESTORED)
    # The rest of the block: what a restored table does not come with.
    lines = block.replace("\\\n", " ").splitlines()
    protect = [line for line in lines if " update-table " in line or " update-continuous-backups " in line]
    project.shell.run("\n".join(protect)).ok()
    return "copied, for the emulator restores none"


def _copy(dynamodb: Any, old: str, new: str) -> None:
    described = dynamodb.describe_table(TableName=old)["Table"]
    indexes = [
        {name: each[name] for name in ("IndexName", "KeySchema", "Projection")}
        for each in described["GlobalSecondaryIndexes"]
    ]
    keys = {name: described[name] for name in ("KeySchema", "AttributeDefinitions")}
    dynamodb.create_table(TableName=new, BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=indexes, **keys)
    for page in dynamodb.get_paginator("scan").paginate(TableName=old):
        for item in page["Items"]:
            dynamodb.put_item(TableName=new, Item=item)
