"""`gatehouse revoke ID`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatehouse.cli import one_account
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import sure

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


@cli_command("revoke")
@click.argument("connection_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(call: Call, connection_id: str, *, yes: bool) -> None:
    """End the connection ID: here at once, and at the provider until it confirms that.

    Some providers, like UltraCart, then end whatever the same account has authorized: other connections to it lose
    their tokens, too. They are named before that, and after it with what connects them again.
    """
    account = call.account
    before = one_account.others_of(account, connection_id)
    question = f"End {connection_id}? Nothing gets a token of it any more."
    sure(call, "\n".join(filter(None, (before.warning(), question))), yes=yes)
    ended = account.gatehouse.revoke(connection_id)
    others = before.after(ended)
    if call.out.answer({**ended, "same_account": others.as_json()}):
        return
    if ended["status"] == "revoking":
        call.out.say("Ended here. Gatehouse keeps asking the provider to end it, too.")
    elif "grant" in ended:
        call.out.say(f"Ended here. At the provider: {ended['grant']}.")
    else:
        call.out.say("Ended, here and at the provider.")
    for line in others.advice(ended, account.options):
        call.out.say(line)
