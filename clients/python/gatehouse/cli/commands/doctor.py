"""`gatehouse doctor`: what is wrong with a deployment, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatehouse.cli import exits
from gatehouse.cli.catalogue import complete_provider
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.looks import everything

if TYPE_CHECKING:
    from gatehouse.cli.command import Call
    from gatehouse.cli.looks.finding import Finding

_MARKS = {"ok": ("ok ", "green"), "problem": ("NOT", "red"), "unknown": ("?  ", "yellow")}


@cli_command("doctor")
@click.argument("providers", nargs=-1, shell_complete=complete_provider)
def command(call: Call, providers: tuple[str, ...]) -> None:
    """Look at the account, the stack, its key, tables and queues, and at each registration.

    With PROVIDERS, only their registrations. It changes nothing. What is wrong comes with what to do; the exit code is
    1 if anything is wrong, or could not be looked at.
    """
    found: list[Finding] = []
    for finding in everything(call.account, providers):
        found.append(finding)
        if not call.out.as_json:
            _show(call, finding)
    counted = {state: sum(each.state == state for each in found) for state in _MARKS}
    answer = {"findings": [each.as_json() for each in found], "counted": counted}
    if not call.out.answer(answer):
        call.out.say(_summary(counted), "bold")
    if counted["problem"] or counted["unknown"]:
        click.get_current_context().exit(exits.FOUND)


def _show(call: Call, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    call.out.say(f"{mark}  {finding.what}", style)
    if finding.said:
        call.out.say(f"     {finding.said}")
    for step in finding.do:
        call.out.say(f"     -> {step}", "bold" if finding.state == "problem" else None)


def _summary(counted: dict[str, int]) -> str:
    number = sum(counted.values())
    if counted["ok"] == number:
        return f"All {number} are as they should be." if number > 1 else "It is as it should be."
    unknown = f", {counted['unknown']} could not be looked at" if counted["unknown"] else ""
    return f"{counted['problem']} of {number} need{'s' if counted['problem'] == 1 else ''} you{unknown}."
