"""Runs the whole check: `python -m tools.deploy_check`. Exits with 1 where something does not hold."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.demo import DemoServer
from tools.build import ROOT
from tools.deploy_check import carrying, changing, deleting, limits, neighbour, restoring, walk
from tools.deploy_check.account import Account
from tools.deploy_check.deployed import Deployed
from tools.deploy_check.emulator import Emulator
from tools.deploy_check.front import Front
from tools.deploy_check.installation import Installation
from tools.deploy_check.project import PYTHON, Project
from tools.deploy_check.report import Report, Wrong, expect

if TYPE_CHECKING:
    from types import FrameType

FOLDER = ROOT / ".cache" / "deploy-check"
STACK = "gatehouse"
_PREFIX = "gatehouse/providers/"


@dataclass
class Check:
    """What the parts of a run share."""

    report: Report
    project: Project
    emulator: Emulator
    account: Account
    front: Front
    demo: DemoServer
    limits: list[str]
    left: list[deleting.Row]

    @property
    def settings(self) -> dict[str, str]:
        """Return the parameters of each first deployment: providers on this machine want a base URL on it."""
        return {"BaseUrl": self.front.url}


def main(arguments: list[str]) -> int:
    """Run the check and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy_check", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=30, help="end the check after so many (default: 30)")
    minutes: int = parser.parse_args(arguments).minutes
    for each in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(each, _ended)
    signal.alarm(60 * minutes)
    report, found = Report(), list[str]()
    began = time.monotonic()
    try:
        with ExitStack() as cleanup:
            _run(_begin(report, found, cleanup))
    except Wrong as wrong:
        report.failures.append(str(wrong))
    signal.alarm(0)
    _tell(report, found, time.monotonic() - began)
    return 1 if report.failures else 0


def _begin(report: Report, found: list[str], cleanup: ExitStack) -> Check:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with report.step("the emulator starts, with IAM and TLS") as seen:
        emulator = cleanup.enter_context(Emulator(PYTHON, FOLDER))
        seen.append(emulator.endpoint)
    account = Account.of(emulator)
    demo = cleanup.enter_context(DemoServer(time.time))
    front = cleanup.enter_context(Front(emulator))
    return Check(report, Project(FOLDER, account), emulator, account, front, demo, found, [])


def _run(check: Check) -> None:
    started_at, before = time.time(), check.account.inventory()
    report = check.report
    with report.part("A first deployment that fails"):
        _build(check)
        deleting.failed_first_deployment(report, check.project, check.account, check.settings)
    installation: Installation | None = None
    with report.part("Deployed"):
        installation = _deploy(check)
    if installation is None:
        return
    with report.part("The life of a connection"):
        _walk(check, installation)
        check.limits += limits.of_the_stack(installation, started_at)
    with report.part("A parameter is changed"):
        changing.change(report, check.project, installation)
        changing.too_long_for_a_description(report, check.project, installation)
    with report.part("A rollback"):
        changing.roll_back(report, check.project, installation)
    with report.part("A table is restored into the running stack"):
        check.left.append(restoring.NEW_TABLE)
        restoring.restore(report, check.project, installation, check.limits)
    with report.part("A second stack"):
        check.left += neighbour.second_stack(report, check.project, installation, check.emulator)
    with report.part("Deleted, and gone on with"):
        check.limits += limits.of_the_api(installation)
        installation.leave()
        left = deleting.deletion(report, check.project, check.account, before, check.left)
        check.left += left
        (key,) = (row.name for row in left if row.logical_id == "TokensKey")
        restoring.take_over(report, check.project, lambda: _installation(check), key).leave()
    with report.part("Deleted again, taken away, and made again"):
        check.left += deleting.deletion(report, check.project, check.account, before, check.left)
        deleting.take_away(report, check.project, check.account, before, check.left)
        _deployed_again(check)


def _build(check: Check) -> None:
    adapted = check.project.adapt()
    check.limits += [*limits.of_the_template(adapted)]
    with check.report.step("sam build") as seen:
        check.project.build()
        seen.append("Build Succeeded")


def _deploy(check: Check) -> Installation:
    deployed = Deployed(check.account, STACK)
    with check.report.step("sam deploy, as README says") as seen:
        check.project.deploy_first(check.settings)
        seen.append(f"{deployed.status}, {len(deployed.resources())} resources, {len(deployed.outputs)} outputs")
    with check.report.step("make check-deployment") as seen:
        seen.append(changing.checked(check.project))
    return _installation(check)


def _installation(check: Check) -> Installation:
    return Installation.of(Deployed(check.account, STACK), check.front, check.demo, _PREFIX)


def _walk(check: Check, installation: Installation) -> None:
    report = check.report
    walk.providers(installation)
    walk.iam_is_on(report, installation)
    walk.first_merchant(report, check.project, installation)
    walk.tokens(report, installation)
    walk.narrowed(report, installation)
    walk.roles(report, installation)
    walk.key(report, installation)
    carrying.carried(report, installation)
    walk.background(report, installation)
    walk.revocation(report, installation)
    installation.connected("shop-kept")


def _deployed_again(check: Check) -> None:
    with check.report.step("plain `sam deploy` makes the same stack again, with a table and a key of its own") as seen:
        check.project.edit({"ConnectionsTableName": "", "ConnectionsStreamArn": "", "TokensKeyId": ""})
        check.project.deploy()
        again = _installation(check)
        old = again.token("shop-kept")
        expect(old.get("error") == "connection_not_found", f"Nothing of the old one was expected: {old}")
        again.connected("shop-again")
        expect("access_token" in again.token("shop-again"), "The new stack should vend.")
        seen.append(f"{again.deployed.status}; a customer connects, and token vends")


def _tell(report: Report, found: list[str], seconds: float) -> None:
    print("\nWhat this emulator does not do, so that it was not seen here")
    for each in (*found, *limits.BY_ITS_MAKING):
        print(f"  - {each}")
    where = FOLDER.relative_to(ROOT)
    print(f"\nEvery command and what it printed: {where}/transcript.txt; the emulator's log: {where}/emulator.log")
    for failure in report.failures:
        print(f"\nDOES NOT HOLD  {failure}")
    print(f"\n{'NOT ALL HOLDS' if report.failures else 'All holds'}, after {seconds / 60:.1f} minutes.")


def _ended(number: int, _frame: FrameType | None) -> None:
    """End the check, with all that it has begun."""
    why = "It has taken too long: --minutes says how long it may." if number == signal.SIGALRM else "It was ended."
    sys.exit(f"\nNOT ALL WAS SEEN  {why}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
