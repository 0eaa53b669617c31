"""`gatehouse connections`: lists."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import click

from gatehouse.cli import times
from gatehouse.cli.catalogue import complete_provider, near
from gatehouse.cli.command import command as cli_command
from gatehouse.cli.command import pairs

if TYPE_CHECKING:
    from gatehouse.cli.command import Call

_STATUSES = ("active", "unconfirmed", "reauthorization_required", "revoking", "revoked")


@cli_command("connections")
@click.option("--owner", metavar="OWNER", help="Only those of this owner.")
@click.option("--provider", metavar="NAME", shell_complete=complete_provider, help="Only those to this provider.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those with this status.")
@click.option("--needs", type=click.Choice(["reauthorization", "confirmation"]), help="Only those that need a person.")
@click.option("--tag", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Only those with this tag.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at the most.")
def command(call: Call, limit: int, **filters: Any) -> None:
    """List connections, without their tokens."""
    given = {name: value for name, value in filters.items() if value}
    found = call.account.gatehouse.connections(**given, limit=min(limit + 1, 100))
    listed = list(itertools.islice(found, limit + 1))
    more, listed = len(listed) > limit, listed[:limit]
    if call.out.answer({"connections": listed, "more": more}):
        return
    now = call.account.now()
    # A terminal has no room for the time itself beside the ids. `show` has it.
    end = times.until if call.out.is_drawn else times.shown
    rows = [
        (
            each["connection_id"],
            each["provider"],
            each["status"],
            each.get("needs") or "",
            each.get("owner") or "",
            end(each.get("expires_at"), now),
        )
        for each in listed
    ]
    call.out.table(("CONNECTION", "PROVIDER", "STATUS", "NEEDS", "OWNER", "TOKEN EXPIRES"), rows, whole="TOKEN EXPIRES")
    if not listed:
        options = call.account.options
        yet = f" yet. With the name of a provider: gatehouse connect NAME{options}"
        call.out.note(f"None{' that match' if given else yet}.{_nearest(filters['provider'])}")
    if more:
        call.out.note(f"There are more than {limit}: --limit, or narrow the list.")


def _nearest(provider: str | None) -> str:
    """Return a question after the name that may have been meant, if the catalogue has none that is so called."""
    nearest = near(provider) if provider is not None else None
    return f" Did you mean {nearest}?" if nearest else ""
