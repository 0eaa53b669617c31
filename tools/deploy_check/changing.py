"""A parameter that is changed in samconfig.toml arrives where callers meet it, and stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.deploy_check.installation import waited
from tools.deploy_check.report import Wrong, expect

if TYPE_CHECKING:
    from tools.deploy_check.deployed import Deployed
    from tools.deploy_check.installation import Installation
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

ORIGIN = "https://app.example.com"
MEMORY = 640
_CHANGES = {
    "ReturnToOrigins": ORIGIN,
    "MemorySize": str(MEMORY),
    "LogLevel": "DEBUG",
    "SweepSchedule": "rate(1 minute)",
}
_REVISION = "Revision"
"""A parameter for changes that a version does not show by itself, where the template has one."""
_NAMED = 6
_SWEPT_WITHIN = 100


def change(report: Report, project: Project, installation: Installation) -> None:
    """Change four parameters and deploy with the plain command; then deploy once more."""
    deployed = installation.deployed
    with report.step("before: return_to is refused") as seen:
        answer = _started_with_return_to(installation)
        expect(answer.get("error") == "invalid_request", f"invalid_request was expected: {answer}")
        seen.append(answer["error_description"])
    before = deployed.versions()
    _deploy_changes(report, project, deployed)
    _see_them_live(report, installation, before)
    _deploy_again(report, project, deployed)
    with report.step("the sweep keeps to its new schedule") as seen:
        logs = deployed.account.client("logs")
        group = deployed.physical("SweepLogGroup")
        since = _lines(logs, group)
        seconds = waited(lambda: _lines(logs, group) > since, _SWEPT_WITHIN, "No sweep by itself, once a minute.")
        seen.append(f"swept by itself after {seconds:.0f} s")


def _deploy_changes(report: Report, project: Project, deployed: Deployed) -> None:
    changes = dict(_CHANGES)
    if _REVISION in project.parameters():
        changes[_REVISION] = "deploy-check-2"
    with report.step("parameter_overrides in samconfig.toml edited, and plain `sam deploy`") as seen:
        project.edit(changes)
        project.deploy()
        seen.append(f"{', '.join(changes)}: {deployed.status}")


def _see_them_live(report: Report, installation: Installation, before: dict[str, str]) -> None:
    deployed = installation.deployed
    with report.step("the alias `live` has them") as seen:
        _none_behind(deployed)
        moved = [function for function, version in deployed.versions().items() if version != before[function]]
        expect(len(moved) == len(before), f"A new version of each was expected, there is one of {', '.join(moved)}.")
        found = {deployed.function(function, "live")["MemorySize"] for function in before}
        expect(found == {MEMORY}, f"{MEMORY} MB were expected: {found}")
        seen.append(f"a new version each of {', '.join(moved)}")
    with report.step("a customer is sent back to the new origin") as seen:
        location = installation.connect("shop-back", return_to=f"{ORIGIN}/done")
        expect(location.startswith(f"{ORIGIN}/done?"), "The browser should be led to return_to, and is not.")
        seen.append(location)


def _deploy_again(report: Report, project: Project, deployed: Deployed) -> None:
    with report.step("plain `sam deploy` once more keeps them") as seen:
        versions, ran = deployed.versions(), project.deploy()
        _none_behind(deployed)
        memory = deployed.function("TokenFunction", "live")["MemorySize"]
        expect(memory == MEMORY, f"MemorySize is {memory} again.")
        expect(deployed.versions() == versions, "Versions moved although nothing was changed.")
        seen.append("No changes to deploy" if "No changes to deploy" in ran.output else deployed.status)


def _none_behind(deployed: Deployed) -> None:
    if behind := deployed.behind():
        more = f" and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
        raise Wrong(
            f"The deployment succeeded, and `live` has the old value of {', '.join(behind[:_NAMED])}{more}: "
            "no version was published."
        )


def _started_with_return_to(installation: Installation) -> dict[str, str]:
    request = {"provider": "demo", "connection_id": "shop-back", "return_to": f"{ORIGIN}/done"}
    return installation.manager.invoke("start", request)


def _lines(logs: object, group: str) -> int:
    found = logs.filter_log_events(logGroupName=group, filterPattern="START")  # type: ignore[attr-defined] # boto3's
    return len(found["events"])
