"""`gatehouse check`: a registration in a file; or whether a connection would vend.

Which of them is meant can be seen by the argument alone, so that a script does the same in every folder: what has a
slash or ends in `.json` is a file, and `-` is standard input. No id has a slash. The options say it for the rest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from gatehouse.cli import exits, one_account, repository, times, vending
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import Failure, unusable

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


def _files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file: ids are in the stack, and not here."""
    return [CompletionItem(incomplete, type="file")]


@cli_command("check")
@click.argument("target", metavar="FILE|ID", shell_complete=_files)
@click.argument("name", required=False)
@click.option("--registration", "kind", flag_value="registration", help="FILE|ID is a file, whatever it is called.")
@click.option("--connection", "kind", flag_value="connection", help="FILE|ID is a connection, whatever it is called.")
def command(call: Call, target: str, name: str | None, kind: str | None) -> None:
    r"""Check a registration before it is stored, or whether a connection would vend now.

    \b
    gatehouse check ./shopify.json    a registration: has a slash or ends in .json; - is standard input
    gatehouse check shop-1            a connection: anything else

    For a registration, NAME is what it is registered as, if the file is not called so. For a connection nothing is
    vended and nothing is asked of the provider; the exit code is the one that `gatehouse token` would have.
    """
    if kind is None:
        kind = "registration" if target == "-" or "/" in target or target.endswith(".json") else "connection"
    if kind == "registration":
        _check_file(call, target, name)
        return
    if name is not None:
        raise click.UsageError("NAME belongs to a registration; for a file that has no slash: --registration")
    if Path(target).is_file():
        call.out.note(f"There is a file {target} here, too: gatehouse check ./{target}")
    _check_connection(call, target)


def _check_file(call: Call, target: str, name: str | None) -> None:
    found = [
        {"provider": each, "valid": is_valid, "report": report}
        for each, report, is_valid in _reports(call, target, name)
    ]
    are_valid = all(bool(each["valid"]) for each in found)
    if not call.out.answer({"registrations": found, "valid": are_valid}):
        for each in found:
            call.out.say(
                f"{'ok ' if each['valid'] else 'NOT'}  {each['provider']}: {each['report']}", _style(each["valid"])
            )
        if are_valid and call.out.is_drawn:
            options = call.account.options
            does = ", ".join(f"gatehouse register {each['provider']}{options}" for each in found)
            call.out.note(f"Nothing was stored. To store it: {does}")
    if not are_valid:
        click.get_current_context().exit(exits.FOUND)


def _reports(call: Call, target: str, name: str | None) -> list[tuple[str, str, bool]]:
    checks = repository.module("tools.check_registration")
    try:
        # Once: a pipe, like that of `<(...)`, has nothing for a second reader.
        text = checks.decoded(sys.stdin.buffer.read() if target == "-" else Path(target).read_bytes())
        texts = checks.documents_of(text, name or _own_name(Path(target), text))
    except OSError as error:
        raise unusable("unreadable", target, error) from None
    except checks.Unreadable as error:
        shape = "It has to be a registration in JSON: docs/providers.md, under Three examples."
        raise Failure("unreadable", f"{target}: {error}", advice=shape, code=exits.USAGE) from None
    base_url = str(call.account.local["base_url"]) if call.account.is_local else "https://YOUR-BASE-URL"
    return list(checks.findings(texts, base_url, local=call.account.is_local))


def _own_name(path: Path, text: str) -> str | None:
    """Return the file's name if it is one registration, None if it is `{NAME: registration}`, or no file."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_one = isinstance(document, dict) and not all(isinstance(each, dict) for each in document.values())
    return path.stem if is_one and path.is_file() else None


def _style(is_well: object) -> str:
    return "green" if is_well else "red"


def _check_connection(call: Call, connection_id: str) -> None:
    connection: dict[str, Any] = dict(call.account.gatehouse.connection(connection_id))
    now = call.account.now()
    verdict = vending.verdict(connection, now, call.account.options)
    ended = one_account.ended_since(call.account, connection) if verdict.vends and not verdict.refreshes else []
    if not call.out.answer({"connection_id": connection_id, **verdict.as_json(), "same_account_revoked": ended}):
        call.out.say(f"{'yes' if verdict.vends else 'NO '}  {verdict.reason}", _style(verdict.vends))
        if verdict.advice:
            call.out.say(f"     {verdict.advice}")
        if verdict.until is not None:
            call.out.say(f"     until {times.shown(verdict.until, now)}")
        if ended:
            call.out.say(f"     But {', '.join(ended)}, of the same account, was revoked since: the provider may have")
            call.out.say("     ended this token with it. A 401, or the next refresh, shows that.")
    if not verdict.vends:
        click.get_current_context().exit(exits.code_of(str(verdict.error)))
