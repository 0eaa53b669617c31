"""`gatehouse export`: hands out grants, encrypted to a public key."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import exits
from gatehouse.cli.command import FILE, sure
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import Failure
from gatehouse.cli.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.command import Call


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
    """
    public_key = _public_key(key_file)
    whose = f"owner {options['owner']}" if options["owner"] else "all owners"
    sure(call, f"Hand out the grants of {whose}, encrypted to {key_file}?", yes=yes)
    request = {"public_key": public_key, **{name: value for name, value in options.items() if value}}
    exported, left_out, key = 0, [], None
    with _new_or_none(file) as written, call.out.waiting("Reading all connections ..."):
        for answer in call.account.pass_of("export", request):
            exported += answer["exported"]
            left_out += answer["left_out"]
            key = answer["key"]
            if "jwe" in answer:
                written.write(answer["jwe"] + "\n")
    if call.out.answer({"file": str(file), "exported": exported, "left_out": left_out, "key": key}):
        return
    are = "is" if exported == 1 else "are"
    call.out.say(f"{counted(exported, 'grant')} {are} in {file}, for the key {key}.", "green")
    for each in left_out:
        call.out.say(f"  left out: {each['connection_id']}  {each['reason']}")


def _public_key(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Failure("unreadable", f"{path}: {error.strerror}.", code=exits.USAGE) from None
    except UnicodeDecodeError:
        raise Failure("unreadable", f"{path}: not PEM.", code=exits.USAGE) from None
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
        raise Failure("file_exists", f"{path} is there already. It was left as it is.", code=exits.USAGE) from None
    except OSError as error:
        raise Failure("unwritable", f"{path}: {error.strerror}.", code=exits.USAGE) from None
