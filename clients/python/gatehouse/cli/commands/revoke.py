"""`gatehouse revoke ID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import sure

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


@cli_command("revoke")
@click.argument("connection_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(call: Call, connection_id: str, *, yes: bool) -> None:
    """End the connection ID: here at once, and at the provider until it confirms that."""
    sure(call, f"End {connection_id}? Nothing gets a token of it any more.", yes=yes)
    ended = call.account.gatehouse.revoke(connection_id)
    if call.out.answer(ended):
        return
    if ended["status"] == "revoking":
        call.out.say("Ended here. Gatehouse keeps asking the provider to end it, too.")
    elif "grant" in ended:
        call.out.say(f"Ended here. At the provider: {ended['grant']}.")
    else:
        call.out.say("Ended, here and at the provider.")
