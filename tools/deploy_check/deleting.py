"""What is left of a stack is named, and taken away by the commands of docs/deploying.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.deploy_check.deployed import Deployed
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from tools.deploy_check.account import Account
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

_PAGE, _HEADING = "docs/deploying.md", "Deleting"
_LEFT = "left.txt"


def failed_first_deployment(report: Report, project: Project, account: Account, settings: dict[str, str]) -> None:
    """Let a first deployment fail, and take away what is left."""
    environment, stack = "broken", "gatehouse-broken"
    before = account.inventory()
    with report.step("a first deployment fails when what has to be kept was made") as seen:
        project.add_environment(environment, stack)
        project.edit({**settings, "SecretPrefix": f"{stack}/providers/"}, environment)
        with project.failing_last():
            ran = project.shell.run(f"sam deploy --config-env {environment}", typed="y\n", timeout=400)
        expect(ran.code, "The deployment should fail, and succeeds.")
        seen.append(Deployed(account, stack).status)
    left = account.inventory() - before
    with report.step("what it leaves is named, and taken away by the documented commands") as seen:
        _name(project, stack)
        seen.append(f"{len(left)} left: {_kinds(left)}" if left else "nothing is left")
        expect(not _unnamed(project, left), f"Left, but not named: {', '.join(sorted(_unnamed(project, left)))}")
        _take_away(project)
        _expect_as_before(account, before)


def deletion(report: Report, project: Project, deployed: Deployed, before: AbstractSet[str]) -> None:
    """Delete the stack; ``before`` is what there was in the account before it was made."""
    account = deployed.account
    with report.step("sam delete, as documented, names what stays") as seen:
        _name(project, deployed.stack_name)
        left = account.inventory() - before
        seen.append(f"{len(left)} left: {_kinds(left)}")
        expect(not _unnamed(project, left), f"Left, but not named: {', '.join(sorted(_unnamed(project, left)))}")
    with report.step("what is left is taken away by the documented commands") as seen:
        _take_away(project)
        _expect_as_before(account, before)
        seen.append("the account is as it was before")


def _name(project: Project, stack: str) -> None:
    """Delete the stack, say yes to both questions, and have written down what stays."""
    block = project.command(_PAGE, _HEADING, "DELETE_SKIPPED")
    project.shell.run(_of(block, stack), typed="y\ny\n", timeout=400).ok()


def _take_away(project: Project) -> None:
    project.documented(_PAGE, _HEADING, "schedule-key-deletion")


def _of(block: str, stack: str) -> str:
    """Return a block for another stack: in the documents it is named `gatehouse`."""
    if stack == "gatehouse":
        return block
    named = block.replace("--stack-name gatehouse ", f"--stack-name {stack} ")
    return named.replace("sam delete", f"sam delete --stack-name {stack}")


def _unnamed(project: Project, left: AbstractSet[str]) -> set[str]:
    """Return what of the inventory is not in the list that the commands wrote."""
    named = (project.folder / _LEFT).read_text(encoding="utf-8").split()
    # The inventory has a key's ARN, and CloudFormation its id.
    return {each for each in left if not any(_name_of(each) == name or each.endswith(f"/{name}") for name in named)}


def _name_of(item: str) -> str:
    return item.partition(" ")[2]


def _kinds(left: AbstractSet[str]) -> str:
    kinds = [item.partition(" ")[0] for item in left]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))


def _expect_as_before(account: Account, before: AbstractSet[str]) -> None:
    stays = account.inventory() - before
    expect(not stays, f"Still there: {', '.join(sorted(stays))}")
