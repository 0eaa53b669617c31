"""The commands, by their names. Each is loaded when it is called: help and completion load none of them."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from . import exits, options
from .failures import Failure
from .output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "doctor": ("doctor", "Look at a deployment: what is wrong, and what to do about it."),
    "providers": ("providers", "List the providers that Gatehouse knows."),
    "provider": ("provider", "What is known of a provider, and what to enter at its console."),
    "register": ("register", "Register your application at a provider: asks, checks, stores."),
    "check": ("check", "Check a registration in a file, or whether a connection would vend."),
    "connect": ("connect", "Connect an account: opens the browser and waits."),
    "connections": ("connections", "List connections."),
    "show": ("show", "All about one connection, without its tokens."),
    "token": ("token", "Print an access token, after asking."),
    "revoke": ("revoke", "End a connection, here and at the provider."),
    "events": ("events", "What has happened to connections."),
    "import": ("import_grants", "Take over grants from a file."),
    "export": ("export", "Hand out grants, encrypted to a public key."),
    "reseal": ("reseal", "Seal tokens again under the key that seals now."),
    "completion": ("completion", "Print what lets your shell complete this command."),
}
"""Each with its module in `commands`, and what the list says of it."""


class Commands(click.Group):
    """Loads a command when it is called, and ends with an exit code of ours, however it ended."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command. What is wrong with the call is said in JSON, too, if it asks for JSON."""
        given = sys.argv[1:] if args is None else list(args)
        out = Output(as_json="--json" in given)
        code: object = exits.DONE
        try:
            code = super().main(given, prog_name, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            code = _refused(out, error)
        except click.Abort as aborted:
            if aborted.__cause__ is None and not out.as_json:
                # At a question: the cursor is behind it still.
                out.note("")
            code = _ended(out, is_interrupted=not isinstance(aborted.__context__, EOFError))
        except Exception as error:  # noqa: BLE001 - whatever it is: the exit code says so, and JSON stays JSON
            out.failed(_defect(error))
            code = exits.DEFECT
        sys.exit(code if isinstance(code, int) else exits.DONE)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. If nobody reads what it writes, click's own exit code would mean something else here."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _write_nowhere()
            ctx.exit(exits.NOT_READ)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names, as the list shows them."""
        _ = ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one, or None."""
        _ = ctx
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f".commands.{COMMANDS[cmd_name][0]}", __package__).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        _ = ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so. The one of click loads each of them."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; if there is none, name the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - names are seldom wrong

            nearest = get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


def _refused(out: Output, error: click.ClickException) -> int:
    if out.as_json:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "gatehouse"
        out.failed(Failure("usage", error.format_message(), advice=f"See {command} --help", code=error.exit_code))
    else:
        error.show()
    return error.exit_code


def _defect(error: Exception) -> Failure:
    """Return the failure that an exception is which no part of the command expects. Its text could have a secret."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
    advice = "The command itself has failed. Report this line with the command that you ran, and no secret."
    return Failure("defect", f"{where}.", advice=advice, code=exits.DEFECT)


def _ended(out: Output, *, is_interrupted: bool) -> int:
    """Return the exit code after Ctrl-C, or after the end of input in place of an answer, which is a no."""
    code = exits.INTERRUPTED if is_interrupted else exits.FOUND
    text = "Interrupted." if is_interrupted else "Nothing was done."
    if out.as_json:
        out.failed(Failure("interrupted", text, advice="Run the command again.", code=code))
    else:
        out.note(text)
    return code


def _write_nowhere() -> None:
    """Let nothing more be written to a pipe that nobody reads: Python would try, and say so, at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.command(cls=Commands, name="gatehouse", context_settings=_SETTINGS, params=[*options.COMMON])
@click.version_option(package_name="gatehouse-client")
def app(**_common: object) -> None:
    """Connect your customers' accounts, and look after them.

    The options below may stand before the command or after it. Every failure says what to do. Exit codes are stable:
    clients/python/docs/command.md in Gatehouse's repository lists them.
    """
