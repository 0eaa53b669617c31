"""The catalogue: provider files that name their sources, and the table that is made from them."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from functions.vault.provider.provider import Provider
from tools import catalogue

ROOT = Path(__file__).parent.parent
FILES = catalogue.FILES
ACCOUNT = ROOT / "docs" / "catalogue.md"

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)

BECAME = ("file: ", "comment", "built in: ", "not used: ")
_COUNTED = (
    "airtable 11, amazon-sp-api 12, asana 7, atlassian-jira 10, bigcommerce 7, bitbucket 10, box 6, calendly 8, "
    "clickup 7, discord 11, docusign 9, dropbox 8, ebay 9, etsy 9, facebook 7, figma 7, github 12, gitlab 8, "
    "google 7, hubspot 22, instagram 14, intercom 11, linear 16, linkedin 15, mailchimp 9, microsoft 21, monday 17, "
    "notion 12, pipedrive 11, quickbooks 15, reddit 13, salesforce 19, shopify 11, slack 12, spotify 6, square 9, "
    "stripe 7, stripe-app 6, tiktok-ads 9, x-twitter 9, xero 7, zendesk 8, zoho 13, zoom 9"
)
FACTS = {name: int(number) for name, number in (each.split() for each in _COUNTED.split(","))}
"""How many facts were gathered about each provider; docs/catalogue.md says what became of each."""


def facts_of(provider: str) -> list[list[str]]:
    """Return a provider's rows in docs/catalogue.md: number, what the fact is about, what became of it."""
    _, _, section = ACCOUNT.read_text(encoding="utf-8").partition(f"\n## {provider}\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [row.strip("| ").split(" | ") for row in rows[1:]]


def test_the_table_of_providers_is_current() -> None:
    """It is made from the files; `python -m tools.catalogue` writes it."""
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
    """Both endpoints, unless the owner has to name one of them."""
    written = tomllib.loads(path.read_text(encoding="utf-8"))

    assert {"authorization_endpoint", "token_endpoint"} <= written.keys() | set(written.get("required", ()))


@pytest.mark.parametrize("provider", FACTS)
def test_every_fact_has_its_result(provider: str) -> None:
    """None is forgotten, and a key that is said to be used is in the file."""
    written = catalogue.written(ROOT / "functions" / "providers" / f"{provider}.toml")

    facts = facts_of(provider)

    assert [number for number, _, _ in facts] == [str(number) for number in range(1, FACTS[provider] + 1)]
    for _, _, became in facts:
        assert became.startswith(BECAME), became
        keys = re.findall(r"`([a-z_]+)`", became.partition(";")[0]) if became.startswith("file: ") else []
        assert written.keys() >= set(keys), became
        assert keys or not became.startswith("file: "), became


def test_the_account_of_the_facts_is_whole() -> None:
    """It names every provider but UltraCart, whose file was recorded, and as many facts as there were."""
    account = ACCOUNT.read_text(encoding="utf-8")

    assert {path.stem for path in FILES} - FACTS.keys() == {"ultracart"}
    assert f": {sum(FACTS.values())} facts," in account
