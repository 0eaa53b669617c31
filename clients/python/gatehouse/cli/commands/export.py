"""`gatehouse export`: hands out grants, encrypted to a public key."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits
from gatehouse.cli.command import FILE, sure
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import Failure, unusable
from gatehouse.cli.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.command import Call


_ALIVE = {"unsettled", "unproved", "unopened"}
"""Reasons for which a grant that still works may have been left out."""


@cli_command("export")
@click.argument("file", type=FILE)
@click.option(
    "--key", "key_file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The public key (PEM)."
)
@click.option("--owner", metavar="OWNER", help="Only the grants of this owner.")
@click.option("--per-second", type=click.IntRange(1, 100), metavar="N", help="How many connections a second at most.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(call: Call, file: Path, *, key_file: Path, yes: bool, **options: Any) -> None:
    """Write the grants of one owner, or of all, into FILE: a JWE (RFC 7516) on each line.

    Only the holder of the private key can open them; docs/export.md has the program for it. Whoever opens them can
    use the customers' accounts. Nothing changes here, so that from then on two may refresh the same grants.
    The exit code is 1 if a grant that is alive had to be left out: the same command gets it later.
    """
    public_key = _public_key(key_file)
    whose = f"owner {options['owner']}" if options["owner"] is not None else "all owners"
    sure(call, f"Hand out the grants of {whose}, encrypted to {key_file}?", yes=yes)
    request = {"public_key": public_key, **{name: value for name, value in options.items() if value is not None}}
    exported, left_out, key = 0, [], None
    sets_left: Counter[str] = Counter()
    with _new_or_none(file) as written, call.out.waiting("Reading all connections ..."):
        for answer in call.account.pass_of("export", request):
            exported += answer["exported"]
            left_out += answer["left_out"]
            sets_left.update(answer["token_sets_left"])
            key = answer["key"]
            if "jwe" in answer:
                written.write(answer["jwe"] + "\n")
    left_out.sort(key=lambda each: each["reason"] not in _ALIVE)
    answer = {"file": str(file), "exported": exported, "left_out": left_out, "token_sets_left": sets_left, "key": key}
    if not call.out.answer(answer):
        _say(call, answer)
    if any(each["reason"] in _ALIVE for each in left_out):
        click.get_current_context().exit(exits.FOUND)


def _say(call: Call, answer: dict[str, Any]) -> None:
    exported, left_out = answer["exported"], answer["left_out"]
    are = "is" if exported == 1 else "are"
    call.out.say(f"{counted(exported, 'grant')} {are} in {answer['file']}, for the key {answer['key']}.", "green")
    for each in left_out:
        alive = "  and may be alive" if each["reason"] in _ALIVE else ""
        call.out.say(f"  left out: {each['connection_id']}  {each['reason']}{alive}", "red" if alive else None)
    if any(each["reason"] in _ALIVE for each in left_out):
        call.out.note("docs/export.md has what to do for each reason. Then export to another file.")


def _public_key(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise unusable("unreadable", path, error) from None
    except UnicodeDecodeError:
        how = "Name a public key in PEM: openssl pkey -in KEY.pem -pubout"
        raise Failure("unreadable", f"{path}: not PEM.", advice=how, code=exits.USAGE) from None
    if "PRIVATE KEY" in text:
        raise Failure(
            "private_key",
            f"{path} is a private key. It was not sent anywhere.",
            advice=f"Make the public one of it: openssl pkey -in {path} -pubout",
            code=exits.USAGE,
        )
    return text


@contextmanager
def _new_or_none(path: Path) -> Iterator[Any]:
    """Give a new file. If what is to be written does not come to its end, no part of it stays."""
    with _new(path) as file:
        try:
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _new(path: Path) -> Any:
    """Open a file that was not there, and that nobody else may read."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except FileExistsError:
        said = f"{path} is there already. It was left as it is."
        raise Failure("file_exists", said, advice="Name a file that is not there yet.", code=exits.USAGE) from None
    except OSError as error:
        raise unusable("unwritable", path, error) from None
