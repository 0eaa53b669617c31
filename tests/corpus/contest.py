"""The corpus before Gatehouse and before Authlib, counted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.corpus import authlib, gatehouse
from tests.corpus.accepted import ACCEPTED
from tests.corpus.case import VERDICTS
from tests.corpus.refused import REFUSED
from tests.corpus.server import token_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.corpus.case import Case
    from tests.corpus.server import TokenEndpoint
    from tests.corpus.verdict import Result

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "comparison.md"

_BEGIN = "<!-- what follows is made by `python -m tests.corpus --write` -->\n"
_END = "<!-- so far -->\n"


@dataclass(frozen=True)
class Round:
    """One answer, and what each of the two made of it; `*_whole` also compares every field."""

    case: Case
    ours: Result
    theirs: Result

    @property
    def ours_right(self) -> bool:
        """Tell whether Gatehouse took the answer for what it is."""
        return self.ours.verdict == self.case.verdict

    @property
    def ours_whole(self) -> bool:
        """Tell whether everything is as it should be, too."""
        return self.ours_right and self.ours.stored == self.case.stored

    @property
    def theirs_right(self) -> bool:
        """Tell whether Authlib took the answer for what it is."""
        return self.theirs.verdict == self.case.verdict

    @property
    def theirs_whole(self) -> bool:
        """Tell whether everything that can be compared is as it should be, too."""
        return self.theirs_right and authlib.agrees(self.theirs, self.case)


def rounds() -> list[Round]:
    """Return what both make of each answer, over real connections."""
    with token_endpoint() as endpoint:
        return [_round(case, endpoint) for case in [*ACCEPTED, *REFUSED]]


def _round(case: Case, endpoint: TokenEndpoint) -> Round:
    now = int(time.time())
    endpoint.answer(case.status, case.headers, case.octets(now))
    return Round(case, gatehouse.ask(case, endpoint.url, now), authlib.ask(case, endpoint.url, now))


def document(text: str, played: list[Round]) -> str:
    """Return docs/comparison.md with the score in it."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + table(played) + _END + after


def table(played: list[Round]) -> str:
    """Return the score as a table in Markdown."""
    plain = [one for one in played if not one.case.quirks]
    groups = [
        (f"{name}: {what}", [one for one in played if one.case.verdict == name]) for name, what in VERDICTS.items()
    ]
    groups += [("all", played), ("all that need no provider data", plain)]
    head = (
        "| what the answer means | answers | Gatehouse: told apart | with every field "
        "| Authlib: told apart | with every field |\n|---|---:|---:|---:|---:|---:|"
    )
    return "\n".join([head, *(_row(name, group) for name, group in groups)]) + "\n"


def _row(name: str, group: list[Round]) -> str:
    def count(flags: Iterable[bool]) -> str:
        return str(sum(flags))

    cells = [
        name,
        str(len(group)),
        count(one.ours_right for one in group),
        count(one.ours_whole for one in group),
        count(one.theirs_right for one in group),
        count(one.theirs_whole for one in group),
    ]
    return f"| {' | '.join(cells)} |"
