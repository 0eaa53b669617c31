"""`gatehouse show ID`: one connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import times
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.words import counted

if TYPE_CHECKING:
    from gatehouse.cli.command import Call

_TIMES = ("created_at", "updated_at", "refreshed_at", "expires_at", "refresh_expires_at")


@cli_command("show")
@click.argument("connection_id", metavar="ID")
def command(call: Call, connection_id: str) -> None:
    """Show all that is known of the connection ID. Its tokens are not among it."""
    found = call.account.gatehouse.connection(connection_id)
    if call.out.answer({"connection": found}):
        return
    now = call.account.now()
    facts = {name.replace("_", " "): _shown(name, value, now) for name, value in found.items()}
    call.out.facts(facts)


def _shown(name: str, value: Any, now: float) -> object:
    if name in _TIMES:
        return times.shown(value, now)
    if name == "failure" and value:
        often = counted(value["count"], "time")
        return f"{value['code']}: {value['description']} ({often}, last {times.shown(value['at'], now)})"
    if name == "last_attempt" and value:
        error = f": {value['error']}" if value.get("error") else ""
        return f"{value['outcome']}{error}, {times.shown(value['at'], now)}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) and value else value
