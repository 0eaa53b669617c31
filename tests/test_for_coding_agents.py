"""The page for coding agents and llms.txt: their links lead somewhere, their programs run, and nothing is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from functions.vault.base.errors import BY_CODE
from functions.vault.grant.connection import JUST_OBTAINED
from local.demo.faults import Faults
from tests.documents import page, programs, rows, run, section
from tests.requirements import ROOT
from tools import contract_schemas

if TYPE_CHECKING:
    from local.stack import Stack

AGENTS = page("docs/for-coding-agents.md")
INDEX = page("llms.txt")


@pytest.mark.parametrize(("document", "folder"), [(INDEX, ""), (AGENTS, "docs/")])
def test_every_link_leads_to_something_here(document: str, folder: str) -> None:
    """An agent that follows it finds a file, or a folder."""
    links = [link for link in re.findall(r"\]\(([^)#]+)", document) if "://" not in link]

    assert links
    assert [link for link in links if not (ROOT / folder / link).exists()] == []


def test_the_index_has_the_form_that_agents_read() -> None:
    """As https://llmstxt.org has it: a title, a summary, and lists of links under headings."""
    assert re.match(r"# \w+\n\n> ", INDEX)
    lines = [line for line in section(INDEX, "Integrating").splitlines() if line]
    assert all(re.match(r"- [^\[]*\[[^\]]+\]\([^)]+\)", line) for line in lines)


def test_every_contract_is_linked() -> None:
    """Whoever integrates finds the schema of each function, and of the failures."""
    linked = set(re.findall(r"\(contracts/([\w.]+)\)", AGENTS))

    assert linked == contract_schemas.documents().keys()


def test_every_error_has_its_rule() -> None:
    """For no code an agent has to guess."""
    ruled = [code for row in rows(section(AGENTS, "Errors")) for code in re.findall(r"\w+", row[0]) if code != "error"]

    assert sorted(ruled) == sorted(BY_CODE)


def test_the_programs_connect_a_customer_and_call_an_api(stack: Stack) -> None:
    """Copied as they stand: `shop-1` is connected, and its API called; after a 401 with a token that was refreshed."""
    connecting, calling, reading = programs(AGENTS, "python")
    invoked = {"AWS_ENDPOINT_URL_LAMBDA": stack.base_url}
    asked = reading.replace("http://localhost:8787", stack.local_url)

    connected = run(connecting, **invoked)
    first = run(f"{calling}\n{asked}", **invoked)
    before = (stack.invoke("token", {"connection_id": "shop-1"}) or {})["version"]
    stack.demo.put_faults(Faults(endpoint="api", status=401, times=1))
    stack.clock.advance(JUST_OBTAINED)
    second = run(f"{calling}\n{asked}", **invoked)

    assert connected == "200"
    assert "DEMO-" in first
    assert second == first
    assert (stack.invoke("token", {"connection_id": "shop-1"}) or {})["version"] == before + 1
