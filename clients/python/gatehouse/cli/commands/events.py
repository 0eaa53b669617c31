"""`gatehouse events`: what has happened to connections."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import following
from gatehouse.cli.command import command as cli_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatehouse.cli.command import Call


@cli_command("events")
@click.option("--follow", is_flag=True, help="Wait for what happens from now on, until Ctrl-C.")
@click.option("--connection", "connection_id", metavar="ID", help="Only what happens to this connection.")
def command(call: Call, *, follow: bool, connection_id: str | None) -> None:
    """Show events as they are published on EventBridge.

    EventBridge keeps no events: on AWS, use --follow. It makes a rule and a queue for that, and takes both away at the
    end: you need the rights for it. With --json, each event is a line (JSON Lines).
    """
    account = call.account
    if not follow and not account.is_local:
        raise click.UsageError("EventBridge keeps no events. To see those that come: --follow")
    found: Iterable[dict[str, Any]]
    if not follow:
        found = following.published(account)
    elif account.is_local:
        found = following.followed_locally(account)
    else:
        found = following.followed(account)
    if follow:
        call.out.note("Waiting for events. Ctrl-C ends it.")
    with ExitStack() as at_the_end:
        if isinstance(found, Generator):
            # Now, and not when Python comes to it: it takes away what it has made.
            at_the_end.callback(found.close)
        for event in found:
            if connection_id is None or event["detail"].get("connection_id") == connection_id:
                _show(call, event)


def _show(call: Call, event: dict[str, Any]) -> None:
    if call.out.as_json:
        call.out.line_of_json(event)
        return
    detail = event["detail"]
    failure = detail.get("failure") or {}
    why = f"  {failure['code']}" if failure.get("code") else ""
    about = f"{detail.get('connection_id', '')}  {detail.get('provider', '')}  {detail.get('status', '')}{why}"
    call.out.say(f"{event['time']}  {event['detail-type'].removeprefix('connection.'):<24}  {about}")
