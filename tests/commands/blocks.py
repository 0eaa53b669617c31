"""Finds the shell commands of a document: in blocks fenced as `sh`, and in indented ones that begin like a command."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}.*\n)+)")
_SHELL = {"sh", "bash", "shell", "console"}
_BEGINS_LIKE_ONE = re.compile(
    r"(?:[A-Z_]+=\$\(|(?:[A-Z_]+=\S+ )*)"
    r"(?:aws|bash|cat|curl|docker|echo|export|git|make|npm|npx|pip|python3?|sam|\.venv/bin/python)\b"
)
_COMMENT = re.compile(r"  +# [^\n]*$")
_SPAN = re.compile(r"`(aws [a-z0-9-]+ [a-z-]+ [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A block of a document, by the line that it begins at; `commands` as a shell reads them."""

    line: int
    commands: tuple[str, ...]


def of(page: Path) -> list[Block]:
    """Return the shell blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = [(each.start(3), dedent(each[3])) for each in _FENCED.finditer(text) if each[2] in _SHELL]
    # What is fenced is blanked out, line by line, for the other kind.
    rest = _FENCED.sub(lambda each: "\n" * each[0].count("\n"), text)
    for each in _INDENTED.finditer(rest):
        content = dedent(each[1])
        if _BEGINS_LIKE_ONE.match(content):
            at = text.find(each[1])
            found.append((at, content))
    return [Block(text.count("\n", 0, at) + 1, tuple(commands(content))) for at, content in sorted(found)]


def spans(page: Path) -> list[str]:
    """Return the commands of the AWS CLI that stand in a sentence, with their arguments."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(each.split()) for each in _SPAN.findall(text) if "--" in each and "..." not in each]


def commands(text: str) -> Iterator[str]:
    """Give the commands of a script as a shell reads them: a loop, a function or a continued line is one.

    Raises ``AssertionError`` if its end is not one of a command.
    """
    lines: list[str] = []
    for line in text.splitlines():
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        lines.append(line)
        if not line.endswith("\\") and _is_whole("\n".join(lines)):
            yield _COMMENT.sub("", "\n".join(lines))
            lines = []
    assert not lines, f"this is no whole command: {lines}"


@cache
def _is_whole(text: str) -> bool:
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False).returncode == 0  # noqa: S607
