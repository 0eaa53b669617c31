"""The documents as tests read them: their sections, tables and programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.requirements import ROOT


def page(name: str) -> str:
    """Return the text of a document, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(document: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one that is not below it."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", document, re.MULTILINE)
    assert found, heading
    return re.split(rf"^#{{1,{len(found[1])}}} ", document[found.end() :], flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, without their headings and without code marks."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    headings = {index - 1 for index, line in enumerate(lines) if line.startswith("|---")}
    cells = [line.strip("|").split("|") for index, line in enumerate(lines) if index not in headings]
    return [[cell.strip().strip("`") for cell in row] for row in cells if not row[0].startswith("---")]


def programs(document: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)


def run(program: str, **environment: str) -> str:
    """Run a program in an interpreter of its own, as somebody does who copied it, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        # What a document imports is what its reader has installed: the client among it.
        env={**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python"), "AWS_REGION": "us-east-1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
