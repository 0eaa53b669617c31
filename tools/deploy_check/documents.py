"""The commands and policies of the documents, so that what is tried here is what is read there."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

from tools.deploy_check.report import Wrong

if TYPE_CHECKING:
    from pathlib import Path


def commands(page: Path, heading: str, containing: str) -> str:
    """Return the first fenced shell block below a heading that has this text in it. Raises ``Wrong``.

    A block may belong to a numbered step, and be indented with it.
    """
    for block in _blocks(page, heading, "sh"):
        if containing in block:
            return block
    raise Wrong(f"{page.name} has no shell block with {containing!r} below the heading {heading!r}.")


def policy(page: Path, heading: str) -> str:
    """Return the JSON below a heading. Raises ``Wrong`` unless there is one block of it."""
    blocks = _blocks(page, heading, "json")
    if len(blocks) != 1:
        raise Wrong(f"{page.name} has {len(blocks)} policies below the heading {heading!r}.")
    return blocks[0]


def _blocks(page: Path, heading: str, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    section = re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], flags=re.MULTILINE)[0] if found else ""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", section, re.MULTILINE | re.DOTALL)
    return [dedent(block) for _, block in blocks]
