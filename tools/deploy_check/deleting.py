"""What is left of a stack is named, and taken away by the commands of docs/runbooks.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.deploy_check.deployed import Deployed
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from tools.deploy_check.account import Account
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

_PAGE, _HEADING = "docs/runbooks.md", "Name what a stack left, and take it away"
_LEFT = "left.txt"


@dataclass(frozen=True)
class Row:
    """What a stack left: a line of the list that the documented command writes."""

    kind: str
    logical_id: str
    name: str


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
        rows = what_is_left(project, stack)
        project.delete(environment)
        seen.append(f"{len(left)} left: {_kinds(left)}" if left else "nothing is left")
        _expect_named(rows, left)
        _take_away(project, rows)
        _expect_as_before(account, before)


def deletion(
    report: Report, project: Project, account: Account, before: AbstractSet[str], known: Sequence[Row]
) -> list[Row]:
    """Delete the stack, and return what it leaves.

    ``before`` is what there was before anything was deployed, and ``known`` what was left since.
    """
    with report.step("sam delete, and what it leaves is named by the documented command") as seen:
        project.delete()
        rows = what_is_left(project, "gatehouse")
        left = account.inventory() - before
        seen.append(f"{len(rows)} left: {', '.join(sorted(row.logical_id for row in rows))}")
        _expect_named([*known, *rows], left)
    return rows


def take_away(
    report: Report, project: Project, account: Account, before: AbstractSet[str], rows: Sequence[Row]
) -> None:
    """Take away what these rows of the lists name; then the account is as it was ``before``."""
    with report.step("what is left is taken away by the documented commands") as seen:
        _take_away(project, rows)
        _expect_as_before(account, before)
        seen.append("the account is as it was before")


def what_is_left(project: Project, stack: str) -> list[Row]:
    """Return the rows of the list that the documented command writes for a stack."""
    block = project.command(_PAGE, _HEADING, "DELETE_SKIPPED").replace("'gatehouse'", f"'{stack}'")
    project.shell.run(block).ok()
    lines = (project.folder / _LEFT).read_text(encoding="utf-8").splitlines()
    return [Row(*line.split()) for line in lines]


def _take_away(project: Project, rows: Sequence[Row]) -> None:
    # The emulator gives the same stack the same names each time.
    text = "".join(f"{row.kind} {row.logical_id} {row.name}\n" for row in dict.fromkeys(rows))
    (project.folder / _LEFT).write_text(text, encoding="utf-8")
    project.documented(_PAGE, _HEADING, "schedule-key-deletion")


def _expect_named(rows: Sequence[Row], left: AbstractSet[str]) -> None:
    unnamed = _unnamed([row.name for row in rows], left)
    expect(not unnamed, f"Left, but not named: {', '.join(sorted(unnamed))}")


def _unnamed(named: Sequence[str], left: AbstractSet[str]) -> set[str]:
    """Return what of the inventory is not in the list that the commands wrote."""
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
