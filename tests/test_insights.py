"""The evaluator of saved queries reads them as AWS documents their language, and refuses what it does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.insights import lines_of, run

LOG = [
    json.dumps({"message": "start", "outcome": "ok", "id": "a"}),
    json.dumps({"message": "callback", "outcome": "failed", "id": "a", "inner": {"list": [{"deep": "x"}]}}),
    json.dumps({"message": "start", "outcome": "ok", "id": "b"}),
    "START RequestId: no JSON",
]


def found(query: str) -> list[dict[str, Any]]:
    """Run a query over the lines above."""
    return run(query, lines_of(LOG))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('filter id = "a" and message = "start" | display id', [{"id": "a"}]),
        ('filter id = "b" or id = "a" and message = "callback" | display id', [{"id": "a"}, {"id": "b"}]),
        ('filter (id = "b" or id = "a") and message = "callback" | display id', [{"id": "a"}]),
        ('filter outcome in ["failed", "denied"] | display id', [{"id": "a"}]),
        ('filter ispresent(outcome) and not (outcome = "ok") | display id', [{"id": "a"}]),
        ("filter message like /^st/ | display id | limit 1", [{"id": "a"}]),
        ("filter ispresent(inner.list.0.deep) | display id", [{"id": "a"}]),
        (
            'fields coalesce(inner.list.0.deep, id, "none") as what | display what | limit 2',
            [{"what": "a"}, {"what": "x"}],
        ),
        (
            "filter ispresent(id) | stats count(*) as n, latest(outcome) as ended by id | sort n desc",
            [{"id": "a", "n": 2, "ended": "failed"}, {"id": "b", "n": 1, "ended": "ok"}],
        ),
        ("filter ispresent(id) | sort @timestamp desc | display @timestamp | limit 1", [{"@timestamp": 2}]),
        ("filter id = missing_quotes", ValueError),
        ("filter strcontains(id, 1)", ValueError),
        ("dedup id", ValueError),
        ('filter id != "a"', KeyError),
        ("stats count(*) as n by id", KeyError),
    ],
)
def test_a_query_finds_what_the_documentation_says(query: str, expected: Any) -> None:
    """A field that a line does not have is never compared by `!=`, nor grouped by: nothing is documented of that."""
    if isinstance(expected, list):
        assert found(query) == expected
        return
    with pytest.raises(expected):
        found(query)
