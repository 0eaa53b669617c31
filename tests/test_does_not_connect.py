"""docs/does-not-connect.md leads from what a customer sees to the cause: it quotes the pages and knows all reasons."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from functions.web.languages import en
from tests.requirements import ROOT

PAGE = (ROOT / "docs" / "does-not-connect.md").read_text(encoding="utf-8")
FUNCTIONS = ROOT / "functions"
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in sorted(FUNCTIONS.rglob("*.py")))

UNNAMED = {form: without for form, (_, without) in en.APPLICATION.items()}
SHOWN = Template(Path(en.__file__).read_text(encoding="utf-8")).safe_substitute(UNNAMED)

API_GATEWAY = {"Too Many Requests", "Service Unavailable", "Internal Server Error"}
"""Quoted, too, and no text of Gatehouse's."""


def test_what_the_page_quotes_is_what_a_customer_reads() -> None:
    """Each heading and sentence in italics is one of the pages that a browser is shown."""
    quoted = {" ".join(each.split()) for each in re.findall(r"(?<!\*)\*([A-Za-z][^*]+)\*(?!\*)", PAGE)} - API_GATEWAY

    assert "Please start again" in quoted
    assert [each for each in sorted(quoted) if each not in SHOWN] == []


def test_every_page_that_a_customer_can_end_at_is_named() -> None:
    """Whatever they read at the top of the page, it is there to be searched for."""
    titles = [Template(heading).substitute(UNNAMED) for heading, *_ in en.PAGES.values()]

    assert [title for title in titles if title not in PAGE] == []


def test_every_reason_that_the_log_has_for_a_visit_is_explained() -> None:
    """A person who has found `reason` in the log finds it on the page, with what to do."""
    refused = set(re.findall(r'(?:Refused\(|reason=|_MISMATCH = )"([a-z_]+)"', SOURCES))

    assert {"browser_unknown", "issuer_mismatch", "pushed_too_often"} <= refused
    assert [reason for reason in sorted(refused | en.REASONS.keys()) if f"`{reason}`" not in PAGE] == []
