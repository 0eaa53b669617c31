"""What people read of a connection, of an attempt to connect, and of a list: words, and no Unix seconds."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.clients.cli.conftest import Gatehouse

NOW = 1796036820
FAILURE = (
    "provider_unavailable: It is down; the provider said: 503 (2 times, last 2026-11-30 11:07:00 UTC (now), "
    "tried again 2026-11-30 11:07:02 UTC (in 2 seconds))"
)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "left_alone",
            {"asked_at": NOW - 10, "next_at": NOW + 600},
            "asked last 2026-11-30 11:06:50 UTC (10 seconds ago), asked again 2026-11-30 11:17:00 UTC (in 10 minutes)",
        ),
        (
            "failure",
            {
                "code": "provider_unavailable",
                "description": "It is down.",
                "count": 2,
                "at": NOW,
                "retry_at": NOW + 2,
                "provider_error": {"error": None, "status": 503},
            },
            FAILURE,
        ),
        (
            "last_attempt",
            {"request_id": "r", "at": NOW, "outcome": "denied", "error": "access_denied"},
            "denied: access_denied, 2026-11-30 11:07:00 UTC (now)",
        ),
        ("tags", {"plan": "gold", "sent_at": "1796036820"}, "plan=gold, sent_at=1796036820"),
        ("of_tomorrow", {"seen_at": NOW, "is_new": True}, "seen_at=2026-11-30 11:07:00 UTC (now), is_new=yes"),
        ("at", NOW, "2026-11-30 11:07:00 UTC (now)"),
        ("expires_at", None, None),
        ("scope_missing", ["a", "b"], "a, b"),
        ("left_alone", None, None),
        ("version", 3, 3),
    ],
)
def test_a_fact_is_shown_in_words(name: str, value: object, words: object) -> None:
    """Nested ones, too, and those that a newer Gatehouse adds."""
    from gatehouse.cli import facts  # noqa: PLC0415 - see conftest.py

    assert facts.in_words({name: value}, NOW) == {name.replace("_", " "): words}


def test_the_reference_of_a_page_leads_to_the_attempt(gatehouse: Gatehouse, browser: Browser) -> None:
    """Its connection may never have come to be. What is neither says where to go on."""
    # given
    link = gatehouse("connect", "ultracart", "--id", "cli-reference", "--no-wait", "--json").json
    before = gatehouse("show", link["request_id"])
    browser.visit(link["authorize_url"])

    # when
    found, in_json = gatehouse("show", link["request_id"]), gatehouse("show", link["request_id"], "--json")
    neither, wrong = gatehouse("show", "A" * 22, "--json"), gatehouse("show", "cli-no-reference", "--json")
    visit = gatehouse("show", "123e4567-e89b-42d3-a456-426614174000", "--json")

    # then
    assert (before.code, "Nothing has come back" in before.out) == (0, True)
    assert "outcome\tconnected\n" in found.out
    assert " UTC (" in found.out
    assert in_json.json["attempt"]["request_id"] == link["request_id"]
    refused = [json.loads(each.err) for each in (neither, wrong, visit)]
    assert [each.code for each in (neither, wrong, visit)] == [4, 4, 4]
    assert {each["error"] for each in refused} == {"connection_not_found"}
    assert ["Read the log" in each["advice"] for each in refused] == [True, False, True]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


def test_a_list_has_its_last_column_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 100 columns, however long the ids are."""
    from gatehouse.cli import times  # noqa: PLC0415 - see conftest.py
    from gatehouse.cli.output import Output  # noqa: PLC0415 - see conftest.py

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    row: tuple[Any, ...] = ("c" * 36, "ultracart", "reauthorization_required", "reauthorization", "o" * 36)

    Output(as_json=False).table(
        (*"ABCDE", "TOKEN EXPIRES"), [(*row, times.until(NOW + 3540, NOW))], whole="TOKEN EXPIRES"
    )

    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.rstrip().endswith("in 59 minutes") for line in lines[:3]] == [False, True, False]
