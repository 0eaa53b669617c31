"""The short versions of `python -m tests.torture.scale` and `python -m tests.torture.lists`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scale import bills, due_times, idle_mean, plot, quotas, rates
from functions.vault.grant.connection import DUE_SHARDS
from local.stack import Stack
from tests.requirements import ROOT
from tests.torture.costs import counted, lines
from tests.torture.lists import BY_INDEX, BY_TABLE, MANY, NEEDING, is_cheap, lists_among, rows
from tests.torture.scale import is_flat, peak, same_requests, swept
from tests.unlimited import lift_the_limit


@pytest.mark.needs_node
def test_a_sweep_costs_what_is_due_and_not_what_there_is() -> None:
    """200 due among 200 and among 2,000: the same requests, one write for each and a page or two for each shard."""
    few, many = swept(200, 200), swept(200, 2_000)

    same_requests(few, many)
    assert few.queued == 200
    assert few.requests["UpdateItem"] == 200
    assert DUE_SHARDS <= few.requests["Query"] <= 2 * DUE_SHARDS
    assert set(few.requests) == {"Query", "UpdateItem"}


@pytest.mark.needs_node
def test_a_list_of_what_needs_a_person_costs_what_is_in_it() -> None:
    """50 among 100 and among 300: the same requests, and those that the document shows for 100,000."""
    with lists_among(NEEDING, 100) as among_few:
        few = among_few(BY_INDEX)
    with lists_among(NEEDING, 300) as among_more:
        more, by_table = among_more(BY_INDEX), among_more(BY_TABLE)

    is_cheap(few, more, by_table)
    (row,) = rows(("by the index", replace(more, among=MANY)))[2:]
    shown = row.rpartition("|")[0].rpartition("|")[0]  # without the milliseconds
    assert any(line.startswith(shown) for line in (ROOT / "docs" / "scale.md").read_text("utf-8").splitlines())


def test_a_sweep_takes_no_more_memory_if_more_is_due() -> None:
    """8,000 due take what 1,600 take: a page at a time."""
    is_flat(peak(1_600), peak(8_000))


def test_the_document_says_what_is_counted() -> None:
    """Every line of the tables that the stack's counted calls make is in docs/scale.md."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()

    with Stack() as stack:
        lift_the_limit(stack)
        found = counted(stack)

    tables = [*lines(found), *bills(found), *quotas(found)]
    assert [line for line in tables if line not in page] == []


def test_ten_million_of_one_day_do_not_come_due_in_one_day() -> None:
    """Their refreshes spread, further with each; the document shows the weeks that were simulated, as they come out."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()

    due = due_times()

    weeks = rates(due)
    assert [row for row in weeks if row not in page] == []
    assert (ROOT / "docs" / "scale.svg").read_text(encoding="utf-8") == plot(due)
    busiest_hour = max(sum(due[start : start + 12]) for start in range(len(due) - 12)) / 3600
    assert busiest_hour < 2 * idle_mean()
    assert float(weeks[-1].split("|")[-2]) < 1.05
