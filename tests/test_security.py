"""SECURITY.md names a test that exists for each threat and each requirement, or says why there is none."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from functions.vault.grant.seal import PENDING, TOKENS
from tests.documents import section
from tests.functions import FUNCTIONS
from tests.requirements import ROOT
from tests.test_rights import ON_THE_KEY, OPEN, SEAL
from tests.test_template import READ_REGISTRATIONS, RIGHTS

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
REFERENCES = sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", TEXT)))
ATTACKERS = {"stranger", "customer", "provider", "insider", "code"}


@cache
def functions_in(path: str) -> set[str]:
    """Return the names of the tests in a file of this folder."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table in a section, row by row, without its head."""
    lines = [line for line in section(TEXT, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines[2:]]


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_test_that_is_named_exists(reference: str) -> None:
    """A test that was renamed has its new name here, too."""
    path, _, name = reference.partition("::")

    assert name in functions_in(path)


def test_the_rights_are_those_of_the_functions() -> None:
    """Who may seal and open which tokens, and who may read client secrets, is what the template allows."""
    shown = {row[0].strip("`"): row[1:] for row in rows("How it is protected")}

    def purposes(name: str, right: str) -> str:
        words = {TOKENS: "in use", PENDING: "waiting"}
        return ", ".join(word for purpose, word in words.items() if right in ON_THE_KEY.get(name, {}).get(purpose, ()))

    assert shown == {
        name: [purposes(name, SEAL), purposes(name, OPEN), "yes" if RIGHTS[name] >= READ_REGISTRATIONS else "no"]
        for name in FUNCTIONS
    }


def test_every_threat_has_a_test() -> None:
    """It also names an asset, attackers that the page describes, the attack and what stops it."""
    threats = rows("Threats")

    assert len(threats) > 30
    for threat in threats:
        asset, attackers, attack, stops, tests, _remains = threat
        assert all((asset, attack, stops)), threat
        assert set(attackers.split(", ")) <= ATTACKERS, threat
        assert re.search(r"`[\w/]+\.py::\w+`", tests), threat
    assert {attacker for threat in threats for attacker in threat[1].split(", ")} == ATTACKERS


def test_every_requirement_has_a_test_or_a_reason() -> None:
    """A requirement without a test does not apply or is not met, and the line says why."""
    requirements = rows("What the standards ask of a client")

    assert len(requirements) > 30
    for where, asks, shown in requirements:
        assert re.match(r"(BCP|2\.1|ISS|ASVS) ", where), where
        assert asks
        assert re.search(r"\.py::\w+`", shown) or re.match(r"(does not apply|not met)\b.*: ", shown), where


def test_what_remains_is_explained() -> None:
    """A reference from a table leads to a heading of this page."""
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }

    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings
