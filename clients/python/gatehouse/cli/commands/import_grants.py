"""`gatehouse import FILE`: takes over grants that were obtained elsewhere."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits, grants, repository
from gatehouse.cli.catalogue import complete_provider, described
from gatehouse.cli.command import FILE
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import failure_of, unusable
from gatehouse.cli.grant_file import GrantFile
from gatehouse.cli.import_report import Report
from gatehouse.cli.importing import AT_ONCE, Import
from gatehouse.cli.looks import registrations
from gatehouse.cli.words import counted
from gatehouse.errors import NotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatehouse.cli.command import Call
    from gatehouse.cli.pace import Stop

_RATE = click.FloatRange(min=0, min_open=True)
_SHOWN = 10
_TENTHS = 10
_MOST_UNREGISTERED = 20

_NEEDS_START = (
    "An import also calls start, which opens nothing, to see whether each provider is registered: let somebody give "
    "your credentials that right, too, or use others (--profile)."
)
_BEFORE_THE_REST = {
    "provider_misconfigured": "Correct the registration (gatehouse doctor {name}{where}), and wait five minutes.",
    "reauthorization_required": "See whether the registration has the client that these tokens were issued to, and "
    "whether the file has the newest refresh tokens and the right subject. If it is the registration, correct it, and "
    "wait five minutes.",
}
"""What to do about what has ended a provider's rows, by its error code, before the same command goes on."""


@cli_command("import")
@click.argument("file", type=FILE)
@click.option("--csv", "is_csv", is_flag=True, help="FILE is CSV, whatever it is called.")
@click.option(
    "--provider", metavar="NAME", shell_complete=complete_provider, help="The provider of rows that name none."
)
@click.option(
    "--per-second",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="At most N calls a second to each provider.",
)
@click.option("--no-prove", is_flag=True, help="Do not refresh each grant once: the tokens are taken as they are.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write what failed to this file (JSON Lines)."
)
@click.option("--check", "only_checks", is_flag=True, help="Check the file, and import nothing.")
def command(call: Call, file: Path, *, is_csv: bool, only_checks: bool, report: Path | None, **options: Any) -> None:
    r"""Take over the grants of FILE: JSON Lines, or CSV with names in the first line (FILE ends in .csv).

    FILE may be a pipe, or - for standard input: then no grant has to lie in a file.

    \b
    {"provider": "slack", "connection_id": "shop-1", "refresh_token": "..."}

    The other fields are those of import_connection: access_token, expires_at, scope, owner, subject, and the objects
    parameters, tags and metadata (in CSV: tags.plan). The whole file is checked before anything is written. Each
    grant is proved by one refresh. Interrupted, it is begun again with the same command: what was done sends nothing.
    A provider's rows end early if they cannot succeed, or if it wants to be left alone for longer than five minutes.
    The exit code is 1 if anything is left over, or is not proved yet.
    """
    grant_file = GrantFile(file, is_csv=is_csv)
    if report is not None and grant_file.is_same(report):
        raise click.UsageError(f"--report {report}: the report would take the place of the grants.")
    found = grants.checked(grant_file, options["provider"], call.account.now())
    _check_registrations(call, found)
    if found.mistakes:
        raise grants.refused(file, found.problems)
    if only_checks:
        if not call.out.answer({"total": found.total, "providers": dict(found.providers), "valid": True}):
            call.out.say(f"{counted(found.total, 'grant')}, none with a mistake.", "green")
        return
    if report is not None:
        # Before the first grant: the last is too late to find out that it cannot be written.
        _write(report, Report(0))
    outcome = Report(found.total)
    try:
        is_interrupted = _run(call, grant_file, options, outcome, list(found.providers))
    except Exception:
        _write(report, outcome)
        call.out.note(f"{outcome.done} of {outcome.total} were done before this. The same command goes on.")
        raise
    _write(report, outcome)
    _report(call, outcome, is_interrupted=is_interrupted)


def _check_registrations(call: Call, found: grants.Checked) -> None:
    """Add what is wrong with the registrations of the file's providers, each at the first line that names it.

    Raises `Failure` if one of them cannot be looked at, and the file has no mistake.
    """
    wrong = 0
    for name, line in found.first_lines.items():
        try:
            look = registrations.as_read(call.account, name)
        except Exception as error:
            failure = failure_of(error, call.account.options)
            if failure is None:
                raise
            if not found.mistakes:
                # It is none of the file: nothing in that has to be corrected.
                if isinstance(error, NotAllowed):
                    failure.advice = _NEEDS_START
                raise failure from None
            found.mistakes.append((line, f"provider: its registration cannot be looked at: {failure.description}"))
            return
        if look.state == "ok":
            continue
        rows = f" ({counted(found.providers[name], 'row')})" if found.providers[name] > 1 else ""
        found.mistakes.append((line, f"provider{rows}: {look.said} -> {look.do[0]}"))
        wrong += 1
        if wrong == _MOST_UNREGISTERED:
            # The column is another one, most likely. Each look is a call.
            return


def _run(call: Call, file: GrantFile, options: dict[str, Any], outcome: Report, providers: list[str]) -> bool:
    """Import, and return whether that was interrupted."""
    with call.out.progress() as bar:
        task = bar.add_task("Importing", total=outcome.total)
        in_words = _in_words(call, outcome)

        def progress(report: Report) -> None:
            bar.update(task, completed=report.done)
            in_words(report)

        work = Import(
            call.account.gatehouse_by,
            outcome,
            bears=partial(_bears, call),
            per_second=options["per_second"],
            proves=not options["no_prove"],
            progress=progress,
            note=call.out.note,
            now=call.account.now,
        )
        try:
            work.run(file, options["provider"], providers)
        except KeyboardInterrupt:
            return True
    return False


def _in_words(call: Call, outcome: Report) -> Callable[[Report], None]:
    """Return what says how far it is, ten times in all, where nobody sees a bar."""
    if call.out.is_watched:
        return lambda _report: None
    step = max(1, outcome.total // _TENTHS)

    def say(report: Report) -> None:
        if report.done % step == 0:
            call.out.note(f"{report.done} of {report.total}")

    return say


def _bears(call: Call, name: str) -> int:
    """Return how many calls at a time a provider bears: by its registration, or its file if that may not be read."""
    try:
        most = registrations.merged(call.account, name).provider.max_concurrency
    except Exception as error:
        if failure_of(error, "") is None:
            raise
        is_known = name in repository.provider_names()
        most = described(name)["max_concurrency"] if is_known else None
    return int(most or AT_ONCE)


def _report(call: Call, outcome: Report, *, is_interrupted: bool) -> None:
    stopped = {
        name: {"error": stop.error, "error_description": stop.description, "advice": _advice(call, name, stop)}
        for name, stop in outcome.stopped.items()
    }
    if not call.out.answer({**outcome.as_json(), "stopped": stopped, "interrupted": is_interrupted}):
        _say(call, outcome)
    if is_interrupted:
        call.out.note("Interrupted. The same command goes on: what was imported is known, and sends nothing.")
        click.get_current_context().exit(exits.INTERRUPTED)
    if outcome.failed or outcome.unproved or outcome.done < outcome.total:
        click.get_current_context().exit(exits.FOUND)


def _advice(call: Call, name: str, stop: Stop) -> str:
    """Return what to do about what has ended a provider's rows."""
    before = _BEFORE_THE_REST.get(stop.error, "Wait until then.").format(name=name, where=call.account.options)
    return f"{before} Then run the same command: it goes on with the rest."


def _say(call: Call, outcome: Report) -> None:
    call.out.say(f"{outcome.imported} imported and proved", "green" if outcome.imported else None)
    if outcome.taken_as_is:
        call.out.say(f"{outcome.taken_as_is} taken as they are, not proved")
    if outcome.unproved:
        call.out.say(f"{outcome.unproved} imported, to be proved in the background")
        call.out.note(f"Which: gatehouse connections --status unconfirmed{call.account.options}")
    for kind, failed in outcome.by_what_is_stored().items():
        call.out.say(f"{len(failed)} {kind}", "red")
    for each in outcome.failed[:_SHOWN]:
        call.out.say(f"  line {each['line']}  {each['connection_id']}  {each['error']}: {each['error_description']}")
    if len(outcome.failed) > _SHOWN:
        call.out.say(f"  and {len(outcome.failed) - _SHOWN} more: --report FILE, or --json, has all of them")
    if outcome.total > outcome.done:
        call.out.say(f"{outcome.total - outcome.done} not tried", "red" if outcome.stopped else None)
    for name, stop in outcome.stopped.items():
        call.out.say(f"  {name}: {stop.description}")
        call.out.note(f"  {_advice(call, name, stop)}")


def _write(path: Path | None, outcome: Report) -> None:
    if path is None:
        return
    try:
        lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in outcome.failed]
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise unusable("unwritable", path, error) from None
