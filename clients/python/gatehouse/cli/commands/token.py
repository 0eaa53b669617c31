"""`gatehouse token ID`: an access token, printed after asking."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gatehouse.cli import times
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import sure

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


@cli_command("token")
@click.argument("connection_id", metavar="ID")
@click.option("--min-ttl", type=click.IntRange(0), metavar="SECONDS", help="How long it has to be valid at least.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(call: Call, connection_id: str, *, min_ttl: int | None, yes: bool) -> None:
    """Print an access token of the connection ID.

    Whoever sees it can use the customer's account until it expires, so the command asks first. To see whether there
    would be one: gatehouse check ID.
    """
    sure(call, f"Print an access token of {connection_id} here?", yes=yes)
    token = call.account.gatehouse.token(connection_id, min_ttl=min_ttl)
    if call.out.answer(asdict(token)):
        return
    call.out.plain(token.access_token)
    expires = times.shown(token.expires_at, call.account.now())
    call.out.note(
        f"{token.token_type}, version {token.version}, {f'expires {expires}' if expires else 'expiry unknown'}"
    )
