"""The short version of `python -m tests.torture.outages`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.outage_cases import ASLEEP, CASES, ON_THE_WIRE
from tests.torture.outages import Figures, rows
from tests.torture.stories import KEPT, REPLAYED, REVOKED, Fate

if TYPE_CHECKING:
    from tests.torture.scene import Scene

SHORT = {
    "DynamoDB throttles 2 writes after the answer": KEPT,
    "DynamoDB writes, and both its answers are lost": KEPT,
    "DynamoDB and SQS fail after the answer": KEPT,
    "DynamoDB fails all writes after a code's answer": KEPT,
    "DynamoDB throttles reads after a code's answer": KEPT,
    "KMS throttles GenerateDataKey": KEPT,
    "KMS denies Decrypt": KEPT,
    "the server hangs up": ON_THE_WIRE,
    "the server hangs up, and is known to replay": REPLAYED,
    "a clock 5 minutes behind, and another asks at once": KEPT,
    "a clock 5 minutes ahead, and the process dies": KEPT,
    "a refresh message comes twice at once": KEPT,
    "a holder sleeps before KMS": KEPT,
    "a holder sleeps with the answer": ASLEEP,
    "a holder sleeps with the answer of a server that does not rotate": KEPT,
    "a holder sleeps through a revocation": REVOKED,
}


@pytest.mark.needs_node
@pytest.mark.parametrize(("name", "word"), SHORT.items(), ids=SHORT)
def test_an_outage_loses_no_token_that_reached_us(scene: Scene, name: str, word: str) -> None:
    """Whatever fails: the token is kept, or it is lost if nothing of ours could have kept it."""
    case = next(case for case in CASES if case.name == name)

    fate = case.play(scene)

    assert (fate.word, fate.violations) == (word, [])


def test_the_table_names_each_outage_and_what_became_of_the_token() -> None:
    """One line for each case; a violation is shown with its case."""
    figures = Figures({"an outage": Fate(KEPT, "for a reason", violations=["something is wrong"])})

    assert [line.split() for line in rows(figures)] == [["an", "outage", "kept", "for", "a", "reason"]]
    assert figures.violations == ["an outage: something is wrong"]
