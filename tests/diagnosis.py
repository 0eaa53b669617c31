"""`python -m tests.diagnosis`: stages each way not to connect, and follows docs/does-not-connect.md to its cause.

For each it says what the customer or the application reports, the saved query that the page names for that, the row
that it finds among the lines of others, and the seconds from the complaint to that row. They are this machine's: how
long CloudWatch takes, and a person who reads, is not measured. What a person has to do is counted. Returns 1 if the
page leads to no cause, or not within a minute.
"""

from __future__ import annotations

import io
import re
import sys
import time
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from typing import Any

from tests.browser import Browser
from tests.built import running_stack
from tests.flows.application import Application
from tests.flows.scripted import TOKENS, scripted
from tests.flows.test_saved_queries import CAUSES, PAGE, QUERIES, Log, Staged

OTHERS = 20_000
"""Lines of customers who connect, among which the cause is looked for."""

AT_MOST = 60
STEPS = ("find what is reported in the table of the page", "run the saved query", "read the row of the linked section")
_SAYS = ("reason", "ended", "step", "failure", "outcome", "message")


@dataclass(frozen=True)
class Direction:
    """A row of the page's table of saved queries: what is reported, and what explains the answer, there and below."""

    reported: str
    explained: str

    @classmethod
    def to(cls, query: str) -> Direction:
        """Return the row that names a query."""
        name = QUERIES[query]["Name"].rpartition("/")[2]
        (row,) = (line for line in PAGE.splitlines() if line.startswith("|") and f"**{name}**" in line)
        reported, _, seen = (cell.strip() for cell in row.strip("|").split("|"))
        return cls(reported, "\n".join([seen, *map(_section, re.findall(r"\]\(#([a-z-]+)\)", seen))]))

    def explains(self, row: dict[str, Any]) -> str | None:
        """Return the word of a query's row that is explained there; None if none is."""
        words = [str(row[name]) for name in _SAYS if row.get(name)]
        return next((word for word in words if f"`{word}`" in self.explained), None)


def _section(anchor: str) -> str:
    """Return the part of the page below a heading."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    headed = {title.lower().replace(" ", "-"): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}
    return headed[anchor]


def main() -> int:
    """Return 0 if each cause is found."""
    late, began = 0, time.monotonic()
    with ExitStack() as resources:
        written = io.StringIO()
        with redirect_stdout(written):
            stack, server = resources.enter_context(running_stack()), resources.enter_context(scripted())
            Browser(stack).connect("demo")
        healthy = written.getvalue()
        others = healthy * (OTHERS // 2 // len(healthy.splitlines()))
        print(f"{len(CAUSES)} causes, each among {2 * len(others.splitlines()):,} lines of others")
        for cause, (stage, query, expected) in CAUSES.items():
            server.answers["/token"] = TOKENS
            with redirect_stdout(io.StringIO()) as written:
                stage(Staged(stack, Application(stack), server, lambda: Browser(stack)))
                stack.aws_faults.clear()
            complained = time.monotonic()
            direction = Direction.to(query)
            rows = Log(others + written.getvalue() + others).ask(query)
            taken = time.monotonic() - complained
            word = direction.explains(rows[0]) if rows else None
            is_found = len(rows) == 1 and expected.items() <= rows[0].items() and word is not None and taken < AT_MOST
            late += not is_found
            print(f"{'found' if is_found else 'NOT FOUND'} in {taken:4.1f} s  {cause}")
            print(f"    reported: {direction.reported}; query: {QUERIES[query]['Name']}; {len(rows)} row: {word}")
            sys.stdout.flush()
    print(f"A person has {len(STEPS)} steps: {'; '.join(STEPS)}. That is not in these seconds.")
    print(f"{len(CAUSES) - late} of {len(CAUSES)} found; {time.monotonic() - began:.0f} s with all that was staged")
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
