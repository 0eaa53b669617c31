"""The options that all commands have. They may stand before the command's name, or after it."""

from __future__ import annotations

from typing import Any

import click

LOCAL_PORT = 8787
PORT = click.IntRange(1, 65535)

COMMON = (
    click.Option(["--json", "as_json"], is_flag=True, help="Answer in JSON, and in nothing else."),
    click.Option(["--local"], is_flag=True, help="Work with the stack of `make run` on this machine."),
    click.Option(["--port"], type=PORT, metavar="N", help=f"The same, if it has another port than {LOCAL_PORT}."),
    click.Option(["--stack"], metavar="NAME", help="The stack's name; else GATEHOUSE_STACK, or gatehouse."),
    click.Option(["--region"], metavar="REGION", help="The AWS region; else that of your AWS settings."),
    click.Option(["--profile"], metavar="NAME", help="The AWS profile; else that of your AWS settings."),
)


def taken(ctx: click.Context) -> dict[str, Any]:
    """Take them out of what a command was called with. What stands after its name counts more."""
    before = ctx.parent.params if ctx.parent is not None else {}
    names = [str(each.name) for each in COMMON]
    return {name: ctx.params.pop(name) or before.get(name) for name in names}
