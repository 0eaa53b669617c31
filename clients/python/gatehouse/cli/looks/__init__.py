"""What `gatehouse doctor` looks at. Each module looks at one thing, and gives findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatehouse.cli.failures import failure_of

from . import deployment, parts, registrations, where
from .finding import of_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gatehouse.cli.account import Account

    from .finding import Finding


def everything(account: Account, providers: Sequence[str]) -> Iterator[Finding]:
    """Look at all there is, in the order in which one thing depends on another. Without a stack there is nothing."""
    found = [*where.findings(account)]
    yield from found
    if any(each.state != "ok" for each in found):
        return
    areas = (
        ("functions", "the functions answer", lambda: parts.functions(account)),
        ("deployment", "what is deployed", lambda: deployment.findings(account)),
        ("tables", "the tables", lambda: parts.tables(account)),
        ("keys", "the keys", lambda: parts.keys(account)),
        ("queues", "the queues", lambda: parts.queues(account)),
        ("base URL", "browsers reach it", lambda: parts.base_url(account)),
        ("registrations", "the registrations", lambda: registrations.findings(account, providers)),
    )
    for area, what, look in areas:
        yield from guarded(account, area, what, look)


def guarded(account: Account, area: str, what: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Give what a look finds. If it fails, that is a finding, and hides none of the others."""
    try:
        yield from look()
    except Exception as error:
        failure = failure_of(error, account.options)
        if failure is None:
            raise
        yield of_failure(area, what, failure)
