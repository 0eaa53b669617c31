"""docs/comparison.md: each statement has a source, and what is named of Gatehouse is there."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.requirements import ROOT
from tools.catalogue import FILES

TABLES, _, SOURCES = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8").partition("\n## Sources\n")


def test_every_source_is_listed_once_and_every_listed_one_is_used() -> None:
    """A reader who doubts a cell finds where it is from."""
    cited = set(re.findall(r"\[([A-Z]\d+)\]", TABLES))

    listed = Counter(re.findall(r"\b([GOANRWMCT]\d+)\b(?!\])", SOURCES))

    assert cited == set(listed)
    assert [name for name, times in listed.items() if times > 1] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:vault|web|providers)/[\w/.]*)`", SOURCES))))
def test_the_code_that_is_named_is_there(name: str) -> None:
    """A module that has moved has moved in the document, too."""
    assert (ROOT / "functions" / name).exists()


def test_the_catalogue_has_as_many_files_as_is_said() -> None:
    """In each place that counts them."""
    assert TABLES.count(f"our {len(FILES)} ") == 1
    assert TABLES.count(f"| {len(FILES)} [G9] |") == 1
    assert TABLES.count(f"| {len(FILES)} files [G9] |") == 1
