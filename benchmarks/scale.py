"""``python -m benchmarks.scale``: what ten thousand to a hundred million connections cost and ask of AWS; due times.

The units are those that `tests.torture.costs` makes from counted calls. The tables go into docs/scale.md by hand, where
a test holds them; the plot is written to docs/scale.svg.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from benchmarks.environments import ROOT
from benchmarks.svg import line
from functions.vault.grant.upkeep import ASSUMED_IDLE_SECONDS, Upkeep
from local.stack import Stack
from tests.torture.costs import LARGER_TOKENS, MONTHS, PRICES, SECONDS, SECONDS_A_MONTH, counted, units
from tests.unlimited import lift_the_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.torture.costs import Counted, Month, Units

SIZES = {"10 thousand": 10_000, "1 million": 1_000_000, "100 million": 100_000_000}

FIXED = 1.0 + 0.40 + 47 * 0.10 + 0.30 + 3 * 0.40
"""Dollars a month whatever happens: the key, a secret, 47 metrics with alarms, the count of sweeps, polls of queues."""

PEAK = 2
"""How much the busiest minutes are above the month's mean, assumed."""

ANSWERS_A_SECOND = 10
"""Calls that one execution environment of Lambda takes in a second at the most, however short they are."""


@dataclass(frozen=True)
class Quota:
    """A default quota: what it limits, the most of it (a second, or at once), and what to do when it is met."""

    name: str
    most: int
    remedy: str


QUOTAS = (
    Quota("Lambda, environments at once", 1_000, "raise it"),
    Quota("KMS, requests", 10_000, "raise it; three regions have ten times as many"),
    Quota("DynamoDB, read units of a table", 40_000, "raise it"),
    Quota("DynamoDB, write units of a table", 40_000, "raise it"),
    Quota("SQS FIFO, messages of a group", 300, "more slots (`max_concurrency`): each is a group"),
    Quota("background refreshes, 3 at once", int(3 / SECONDS["refresh"]), "raise `BackgroundConcurrency`"),
)


def bills(found: Counted) -> list[str]:
    """Return the table of the bills."""
    of_each = units(found)
    rows = [f"| dollars a month | {' | '.join(SIZES)} |", "|---|--:|--:|--:|"]
    for month in MONTHS:
        each = _dollars(month, of_each) + _stored(found)
        rows.append(f"| {month.name} | {' | '.join(f'{FIXED + size * each:,.0f}' for size in SIZES.values())} |")
    return rows


def _dollars(month: Month, of_each: Mapping[str, Units]) -> float:
    """Return what one connection costs in a month."""
    return (
        month.tokens * of_each["token"].dollars()
        + month.refreshes * of_each["token that refreshes"].dollars()
        + month.background * of_each["refresh in the background"].dollars()
    )


def _stored(found: Counted) -> float:
    return (found.item_bytes + LARGER_TOKENS) / 1e9 * PRICES["dynamodb GB-month"]


def quotas(found: Counted) -> list[str]:
    """Return the table of the quotas, in percent, for connections that are used; over 100 they are met."""
    rows = [
        f"| in the busiest minutes, % of the default | {' | '.join(SIZES)} | then |",
        "|---|--:|--:|--:|---|",
    ]
    for quota in QUOTAS:
        shares = [f"{_asked(quota, size, found) / quota.most:,.0%}" for size in SIZES.values()]
        rows.append(f"| {quota.name}: {quota.most:,} | {' | '.join(shares)} | {quota.remedy} |")
    return rows


def _asked(quota: Quota, size: int, found: Counted) -> float:
    """Return how much of a quota so many connections take: used for an hour a day, or idle where those ask for more."""
    of_each = units(found)
    kept, used = MONTHS[0], MONTHS[1]
    tokens, refreshes = (PEAK * size * each / SECONDS_A_MONTH for each in (used.tokens, used.refreshes))
    background = PEAK * size * kept.background / SECONDS_A_MONTH
    token, refresh = of_each["token"], of_each["token that refreshes"]
    asked: dict[str, float] = {
        "Lambda, environments at once": tokens / ANSWERS_A_SECOND + refreshes * SECONDS["refresh"],
        "KMS, requests": refreshes * refresh.kms,
        "DynamoDB, read units of a table": tokens * token.reads + refreshes * refresh.reads,
        "DynamoDB, write units of a table": refreshes * refresh.writes,
        "SQS FIFO, messages of a group": background,
        "background refreshes, 3 at once": background,
    }
    return asked[quota.name]


SWEEP = 300
"""Seconds between two sweeps."""

DAY, WEEK = 86400 // SWEEP, 7 * 86400 // SWEEP
AUTHORIZED = 10_000_000
WEEKS = 4

DRAWS = 100_000
"""Random numbers that a sweep's connections draw: as many, evenly spread from 0 to 1."""


def due_times() -> list[float]:
    """Return how many refreshes each sweep finds due, of 10 million connections that were authorized in one day.

    Every consent and every refresh sets the next due time, as `Upkeep` does: whoever is authorized or refreshed between
    two sweeps draws evenly spread random numbers.
    """
    after_consent, after_refresh = (_sweeps_until_due(first=first) for first in (True, False))
    sweeps = WEEKS * WEEK
    due = [0.0] * sweeps
    for sweep in range(sweeps):
        consents = AUTHORIZED / DAY if sweep < DAY else 0.0
        for number, parts in ((consents, after_consent), (due[sweep], after_refresh)):
            for later, part in parts.items() if number else ():
                if sweep + later < sweeps:
                    due[sweep + later] += number * part
    return due


def _sweeps_until_due(*, first: bool) -> dict[int, float]:
    """Return what part of the connections is found due by which sweep, counted from the one that is next."""
    upkeep = Upkeep()
    drawn = ((draw + 0.5) / DRAWS for draw in range(DRAWS))
    dues = [upkeep.due_at(0, None, None, jitter, first=first) for jitter in drawn]
    return {sweeps: count / DRAWS for sweeps, count in Counter((due or 0) // SWEEP + 1 for due in dues).items()}


def rates(due: Sequence[float]) -> list[str]:
    """Return the table of the refreshes a second, by week: the mean, and the busiest hour."""
    rows = ["| week | refreshes a second, mean | busiest hour | busiest hour / mean |", "|---|--:|--:|--:|"]
    hour = 3600 // SWEEP
    for week in range(WEEKS):
        sweeps = due[week * WEEK : (week + 1) * WEEK]
        sums = list(accumulate(sweeps, initial=0.0))
        busiest = max(sums[i + hour] - sums[i] for i in range(len(sweeps) - hour + 1)) / 3600
        mean = sums[-1] / (7 * 86400)
        rows.append(f"| {week + 1} | {mean:.1f} | {busiest:.1f} | {busiest / mean:.2f} |")
    return rows


def plot(due: Sequence[float]) -> str:
    """Return the plot of the refreshes a second over the weeks, by the hour."""
    hour = 3600 // SWEEP
    by_hour = [sum(due[start : start + hour]) / 3600 for start in range(0, len(due), hour)]
    marks = [(week * 7 * 24, f"week {week + 1}") for week in range(WEEKS)]
    title = "Refreshes of 10 million connections that were all authorized on one day"
    return line(title, by_hour, ("time since that day", "refreshes a second"), marks)


def idle_mean() -> float:
    """Return the refreshes a second at which it all ends: each connection once in the mean of its due times."""
    return AUTHORIZED / (0.55 * ASSUMED_IDLE_SECONDS)


def main() -> int:
    """Print the tables, and write the plot."""
    logging.getLogger("gatehouse").setLevel(logging.CRITICAL)
    with Stack() as stack:
        lift_the_limit(stack)
        found = counted(stack)
    due = due_times()
    sys.stdout.write("\n".join([*bills(found), "", *quotas(found), "", *rates(due), "", f"{idle_mean():.2f}", ""]))
    (ROOT / "docs" / "scale.svg").write_text(plot(due), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
