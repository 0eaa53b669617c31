"""The catalogue: provider files that say where they were read, and the table that is made of them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from functions.vault.providers import Provider
from tools import catalogue

ROOT = Path(__file__).parent.parent
FILES = catalogue.FILES

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_the_table_of_providers_is_current() -> None:
    """It is made of the files; `python -m tools.catalogue` makes it anew."""
    written = catalogue.DOCUMENT.read_text(encoding="utf-8")

    assert catalogue.document(written) == written
    assert len(FILES) > 40


@each_file
def test_a_file_says_where_its_facts_were_read(path: Path) -> None:
    """A person who doubts one of them knows where to look."""
    text = path.read_text(encoding="utf-8")

    assert text.startswith("# ")
    assert catalogue.known_from(text)


@each_file
def test_a_file_says_nothing_that_goes_without_saying(path: Path) -> None:
    """A default that is repeated looks like a fact about the provider."""
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    defaults = {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(Provider)
        if each.name != "name"
    }

    repeated = [key for key, value in written.items() if json.dumps(value) == json.dumps(defaults[key])]

    assert repeated == []


@each_file
def test_a_file_has_what_a_connection_needs(path: Path) -> None:
    """Both endpoints, or a word to the owner that one of them is theirs to name."""
    written = tomllib.loads(path.read_text(encoding="utf-8"))

    assert {"authorization_endpoint", "token_endpoint"} <= written.keys() | set(written.get("required", ()))
