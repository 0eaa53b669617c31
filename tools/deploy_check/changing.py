"""A parameter that is changed in samconfig.toml arrives where callers meet it, stays, and can be undone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tools.deploy_check.installation import waited
from tools.deploy_check.report import Wrong, expect

if TYPE_CHECKING:
    from tools.deploy_check.deployed import Deployed
    from tools.deploy_check.installation import Installation
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

ORIGIN = "https://app.example.com"
MEMORY = 640
_CHANGES = {"MemorySize": str(MEMORY), "LogLevel": "DEBUG", "SweepSchedule": "rate(1 minute)"}
_PAGE = "docs/runbooks.md"
_NAMED = 6
_SWEPT_WITHIN = 100


def change(report: Report, project: Project, installation: Installation) -> None:
    """Change three parameters and deploy with the plain command; then deploy once more."""
    deployed = installation.deployed
    before = deployed.versions()
    with report.step("parameter_overrides in samconfig.toml edited, and plain `sam deploy`") as seen:
        project.edit(_CHANGES)
        project.deploy()
        seen.append(f"{', '.join(_CHANGES)}: {deployed.status}")
    with report.step("the aliases have them") as seen:
        _none_behind(deployed)
        moved = [function for function, version in deployed.versions().items() if version != before[function]]
        expect(len(moved) == len(before), f"A new version for each was expected, there is one for {', '.join(moved)}.")
        _expect_memory(deployed, MEMORY)
        seen.append(f"a new version for all {len(moved)} aliases, {MEMORY} MB")
    with report.step("plain `sam deploy` once more keeps them") as seen:
        versions, ran = deployed.versions(), project.deploy()
        _none_behind(deployed)
        _expect_memory(deployed, MEMORY)
        expect(deployed.versions() == versions, "Versions moved although nothing was changed.")
        seen.append("No changes to deploy" if "No changes to deploy" in ran.output else deployed.status)
    with report.step("the sweep keeps to its new schedule") as seen:
        logs = deployed.account.client("logs")
        group = deployed.physical("SweepLogGroup")
        since = _lines(logs, group)
        seconds = waited(lambda: _lines(logs, group) > since, _SWEPT_WITHIN, "No sweep by itself, once a minute.")
        seen.append(f"swept by itself after {seconds:.0f} s")


def too_long_for_a_description(report: Report, project: Project, installation: Installation) -> None:
    """Change the list of origins without `Revision`, as somebody does who has not read on; then with it."""
    with report.step("ReturnToOrigins alone does not arrive, and `make check-deployment` says so") as seen:
        project.edit({"ReturnToOrigins": ORIGIN})
        project.deploy()
        ran = project.shell.run(project.command(_PAGE, "Upgrade", "make check-deployment").splitlines()[-1])
        expect(ran.code, "make check-deployment ends with 0 although an alias is behind.")
        said = [line.strip() for line in ran.output.splitlines() if "GATEHOUSE_RETURN_TO_ORIGINS" in line]
        expect(said, f"It does not name the setting:\n{ran.output}")
        seen.append(said[0])
    with report.step("with another Revision it does: a customer is sent back to the new origin") as seen:
        project.edit({"Revision": "2"})
        project.deploy()
        _none_behind(installation.deployed)
        location = installation.connect("shop-back", return_to=f"{ORIGIN}/done")
        expect(location.startswith(f"{ORIGIN}/done?"), "The browser should be led to return_to, and is not.")
        seen.append(location)
    with report.step("tokens wait until the application has confirmed them") as seen:
        location = installation.connect("shop-confirmed", return_to=f"{ORIGIN}/done", confirm=True)
        brought = dict(parse_qsl(urlsplit(location).query))
        before = installation.token("shop-confirmed")
        expect(before.get("error") == "confirmation_required", f"confirmation_required was expected: {before}")
        about = {"connection_id": "shop-confirmed", "confirmation": brought.get("confirmation", "")}
        answer = installation.manager.invoke("confirm", about)
        expect(answer.get("status") == "active", f"An active connection was expected: {answer}")
        expect("access_token" in installation.token("shop-confirmed"), "What is confirmed should be vended.")
        seen.append(f"{brought['status']}, then {answer['status']}")
    with report.step("make check-deployment") as seen:
        seen.append(checked(project))


def roll_back(report: Report, project: Project, installation: Installation) -> None:
    """Deploy something that is to be undone, move the aliases back as documented, and deploy what was before."""
    deployed = installation.deployed
    before = deployed.versions()
    with report.step("a deployment is undone by moving the aliases back") as seen:
        project.edit({"MemorySize": "1024"})
        project.deploy()
        _expect_memory(deployed, 1024)
        project.documented(_PAGE, "Roll back", 'ARGS="back"')
        expect(deployed.versions() == before, f"Not the versions from before: {deployed.versions()}, not {before}")
        _expect_memory(deployed, MEMORY)
        expect("access_token" in installation.token("shop-kept"), "Callers of the alias should be served as before.")
        seen.append(f"1024 MB, and {MEMORY} again; token vends")
    with report.step("what was before is deployed, and then nothing is behind") as seen:
        project.edit({"MemorySize": str(MEMORY)})
        project.deploy()
        _none_behind(deployed)
        seen.append(deployed.status)
    with report.step("versions that are too old to go back to are deleted") as seen:
        ran = project.documented(_PAGE, "Roll back", "prune")
        _expect_memory(deployed, MEMORY)
        expect("access_token" in installation.token("shop-kept"), "What is live should be there.")
        seen.append(f"{ran.output.count('is deleted')} versions")


def checked(project: Project) -> str:
    """Return the last line of `make check-deployment`. Raises ``Wrong`` where something needs a person.

    That a table cannot be restored is the emulator's doing: it does not switch recovery on. `limits` names it.
    """
    ran = project.shell.run("make check-deployment")
    lines = ran.output.splitlines()
    wrong = [(line, after.strip()) for line, after in pairwise(lines) if line.startswith("NOT")]
    ours = [f"{line}: {after}" for line, after in wrong if not after.startswith("nothing can be restored")]
    expect(not ours, "\n".join(ours))
    expect(wrong or ran.code == 0, f"make check-deployment ended with {ran.code}:\n{ran.output}")
    (summary,) = (line for line in lines if line.endswith((" you.", "as they should be.")))
    return summary + (" (recovery, which the emulator leaves off)" if wrong else "")


def _expect_memory(deployed: Deployed, megabytes: int) -> None:
    found = {deployed.function(function, alias)["MemorySize"] for function, alias in deployed.aliases()}
    expect(found == {megabytes}, f"{megabytes} MB were expected at each alias: {found}")


def _none_behind(deployed: Deployed) -> None:
    if behind := deployed.behind():
        more = f" and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
        raise Wrong(
            f"The deployment succeeded, and the old value is left in {', '.join(behind[:_NAMED])}{more}: "
            "no version was published."
        )


def _lines(logs: object, group: str) -> int:
    found = logs.filter_log_events(logGroupName=group, filterPattern="START")  # type: ignore[attr-defined] # boto3's
    return len(found["events"])
