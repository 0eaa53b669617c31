"""`gatehouse reseal`: seals again under the key that seals now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli.command import command as cli_command

if TYPE_CHECKING:
    from gatehouse.cli.command import Call


@cli_command("reseal")
@click.option("--count", "only_count", is_flag=True, help="Only count what is sealed under which key.")
@click.option("--per-second", type=click.IntRange(1, 100), metavar="N", help="How many connections a second at most.")
def command(call: Call, *, only_count: bool, per_second: int | None) -> None:
    """Seal tokens again that another key has sealed, until none is left. It can be interrupted and begun again.

    `make keys` in Gatehouse's repository says when a key may be retired.
    """
    request: dict[str, Any] = {"only_count": True} if only_count else {}
    if per_second and not only_count:
        request["per_second"] = per_second
    totals: dict[str, Any] = {}
    with call.out.waiting("Reading all connections ..."):
        for answer in call.account.pass_of("reseal", request):
            _add(totals, answer)
    if call.out.answer(totals):
        return
    call.out.facts({name.replace("_", " "): value for name, value in totals.items()})


def _add(totals: dict[str, Any], answer: dict[str, Any]) -> None:
    """Add the numbers of an answer to those before it, also within objects."""
    for name, value in answer.items():
        if name == "cursor":
            continue
        if isinstance(value, dict):
            _add(totals.setdefault(name, {}), value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            totals[name] = totals.get(name, 0) + value
        else:
            totals[name] = value
