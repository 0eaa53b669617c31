"""`gatehouse show ID`: one connection, or one attempt to connect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import facts
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.failures import Failure

if TYPE_CHECKING:
    from gatehouse.cli.command import Call

_ATTEMPT = r"[A-Za-z0-9_-]{22}"
_VISIT = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""Both are references at the end of a page, and could be ids of connections, too."""


@cli_command("show")
@click.argument("connection_id", metavar="ID")
def command(call: Call, connection_id: str) -> None:
    """Show all that is known of the connection ID. Its tokens are not among it.

    ID may also be the reference of 22 characters at the end of a customer's page, the request_id: how that attempt to
    connect ended is shown then.
    """
    from gatehouse.errors import ConnectionNotFound  # noqa: PLC0415 - those who only read the help need none of it

    gatehouse = call.account.gatehouse
    try:
        found: dict[str, Any] = {"connection": gatehouse.connection(connection_id)}
    except ConnectionNotFound:
        if re.fullmatch(_VISIT, connection_id):
            raise _no_visit() from None
        if not re.fullmatch(_ATTEMPT, connection_id):
            raise
        try:
            found = {"attempt": gatehouse.attempt(connection_id)}
        except ConnectionNotFound:
            raise _neither() from None
    if call.out.answer(found):
        return
    (known,) = found.values()
    if known is None:
        call.out.say("Nothing has come back from the provider yet that belongs to this attempt.")
    else:
        call.out.facts(facts.in_words(known, call.account.now()))


def _no_visit() -> Failure:
    return Failure(
        "connection_not_found",
        "No connection has this id. If a page ends with it, it is the reference of one visit, which only the log has.",
        advice="docs/does-not-connect.md, under Read the log, has the command.",
    )


def _neither() -> Failure:
    return Failure(
        "connection_not_found",
        "No connection has this id, and no attempt of the last day.",
        advice="docs/does-not-connect.md, under Read the log, has the command that finds older ones.",
    )
