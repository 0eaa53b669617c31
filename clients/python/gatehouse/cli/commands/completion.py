"""`gatehouse completion SHELL`: what lets a shell complete the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from gatehouse.cli.command import command as cli_command

if TYPE_CHECKING:
    from gatehouse.cli.command import Call

_VARIABLE = "_GATEHOUSE_COMPLETE"


@cli_command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(call: Call, shell: str) -> None:
    """Print the script for SHELL.

    bash: eval "$(gatehouse completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc; fish: gatehouse completion fish
    > ~/.config/fish/completions/gatehouse.fish
    """
    from gatehouse.cli.app import app  # noqa: PLC0415 - it is what loads this module

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has these three
    script = kind(app, {}, "gatehouse", _VARIABLE).source()
    if not call.out.answer({"shell": shell, "script": script}):
        call.out.plain(script)
