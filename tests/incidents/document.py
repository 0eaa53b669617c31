"""The stories as a table of docs/comparison.md."""

from __future__ import annotations

from tests.incidents import consents, disconnecting, races, refusals
from tests.incidents.story import Story
from tests.requirements import ROOT

DOCUMENT = ROOT / "docs" / "comparison.md"

STORIES = [
    each
    for kind in (disconnecting, refusals, consents, races)
    for each in vars(kind).values()
    if isinstance(each, Story)
]
"""All of them, kind by kind."""

_BEGIN = "<!-- what follows is made by `python -m tests.incidents --write` -->\n"
_END = "<!-- so far, the stories -->\n"


def table() -> str:
    """Return the table: what happened, where it was reported, and how it ends for either keeper."""
    lines = ["| what happened | reported in | naive keeper | Gatehouse |", "|---|---|---|---|"]
    lines += [
        f"| {story.title} | [{story.report}]({story.url}) | {story.ends_naively} | {story.ends} |" for story in STORIES
    ]
    return "".join(f"{line}\n" for line in lines)


def document(before: str) -> str:
    """Return the document with the table as it is now."""
    head, _, rest = before.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}{table()}{_END}{tail}"
