"""The commands of the documents, so that what is run here is what is read there."""

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
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    section = re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], flags=re.MULTILINE)[0] if found else ""
    for _, block in re.findall(r"^( *)```sh\n(.*?)^\1```$", section, re.MULTILINE | re.DOTALL):
        if containing in block:
            return dedent(str(block))
    raise Wrong(f"{page.name} has no shell block with {containing!r} below the heading {heading!r}.")
