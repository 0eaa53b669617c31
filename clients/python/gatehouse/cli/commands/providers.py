"""`gatehouse providers`: the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatehouse.cli import repository
from gatehouse.cli.command import command as cli_command

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


@cli_command("providers")
@click.argument("words", nargs=-1)
def command(call: Call, words: tuple[str, ...]) -> None:
    """List the providers that Gatehouse knows; with WORDS, those whose names have one of them.

    Others work, too: `gatehouse register` asks for what it does not know.
    """
    described = repository.module("tools.catalogue").described
    found = [described(path) for path in sorted(repository.provider_files().glob("*.toml"))]
    if words:
        found = [
            each for each in found if any(word.lower() in f"{each['name']} {each['title']}".lower() for word in words)
        ]
    if call.out.answer({"providers": found}):
        return
    rows = [(each["name"], each["title"], each["known_from"], ", ".join(each["required"])) for each in found]
    call.out.table(("NAME", "PROVIDER", "KNOWN FROM", "YOU ADD"), rows)
    call.out.note("More about one: gatehouse provider NAME" if found else "None is called so: gatehouse providers")
