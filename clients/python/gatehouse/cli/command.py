"""What all commands have in common: their options, how they fail, and what they are called with."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from . import exits, failures, options
from .account import Account
from .output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

PORT = options.PORT
FILE = click.Path(path_type=Path, dir_okay=False)
"""A file that an option or an argument names."""


class Call:
    """One call of a command: what it works with, and what it writes to."""

    def __init__(self, account: Account, out: Output) -> None:
        self.account = account
        self.out = out


class Command(click.Command):
    """A command with the options that all have. What went wrong at its stack becomes a text and an exit code."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params += options.COMMON

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        _refuse_empty(ctx)
        given = options.taken(ctx)
        out = Output(as_json=bool(given["as_json"]))
        port = given["port"] or (options.LOCAL_PORT if given["local"] else None)
        account = Account(given["stack"], given["region"], given["profile"], port)
        ctx.obj = Call(account, out)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            # What is the same for all, whether a command was found or not, `app` sees to.
            raise
        except Exception as error:
            named = ctx.params.get("provider") or ctx.params.get("name")
            provider = partial(account.provider_of, error) if named is None else lambda: str(named)
            failure = failures.failure_of(error, account.options, provider)
            if failure is None:
                raise
            out.failed(failure)
            ctx.exit(failure.code)


def _refuse_empty(ctx: click.Context) -> None:
    """Refuse what was given and is empty, mostly an unset variable of the shell: it would mean all, or none."""
    for context in filter(None, (ctx.parent, ctx)):
        for param in context.command.params:
            is_given = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
            value = context.params.get(str(param.name))
            values = value if isinstance(value, tuple) else (value,)
            if is_given and any(each == "" or each == Path() for each in values):
                raise click.BadParameter("expected a value, and it is empty", ctx=context, param=param)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    r"""Make a function a command. Its first argument is the `Call`; its docstring is the help.

    A docstring has `\b` in it as it is read, two characters. To click, a paragraph after a backspace stays as it is.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        text = (inspect.getdoc(function) or "").replace("\\b\n", "\b\n")
        return click.command(name, cls=Command, help=text)(click.pass_obj(function))

    return decorate


def pairs(_context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read options like `--tag region=eu`, as a callback of click."""
    for each in given:
        if "=" not in each:
            raise click.BadParameter(f"expected NAME=VALUE, like region=eu, and not {each!r}", param=option)
    return dict(each.split("=", 1) for each in given)


def is_interactive() -> bool:
    """Return whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def sure(call: Call, question: str, *, yes: bool) -> None:
    """Ask before something is done that cannot be undone. Where nobody can answer, `--yes` has to say so."""
    if yes:
        return
    if call.out.as_json or not is_interactive():
        raise click.UsageError("Nobody can be asked here: add --yes if you mean it.")
    if not click.confirm(question, err=True):
        call.out.note("Nothing was done.")
        click.get_current_context().exit(exits.FOUND)
