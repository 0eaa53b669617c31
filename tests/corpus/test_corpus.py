"""What token endpoints answer, and what is stored of it, field by field, over a real connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus import contest, gatehouse
from tests.corpus.accepted import ACCEPTED
from tests.corpus.refused import REFUSED
from tests.corpus.server import token_endpoint
from tests.unit.samples import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.corpus.case import Case
    from tests.corpus.server import TokenEndpoint


@pytest.fixture(scope="module")
def endpoint() -> Iterator[TokenEndpoint]:
    """Run a token endpoint."""
    with token_endpoint() as running:
        yield running


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_tokens_are_stored_field_by_field(endpoint: TokenEndpoint, case: Case) -> None:
    """Everything in the answer is stored, in one form whatever its own, and nothing else."""
    endpoint.answer(case.status, case.headers, case.octets(NOW))

    result = gatehouse.ask(case, endpoint.url, NOW)

    assert (result.verdict, result.stored) == ("accept", case.stored)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_failure_means_one_thing(endpoint: TokenEndpoint, case: Case) -> None:
    """A dead grant, the operator's fault, a limit and an outage are distinguished, with the server's code and wait."""
    endpoint.answer(case.status, case.headers, case.octets(NOW))

    result = gatehouse.ask(case, endpoint.url, NOW)

    assert result.verdict == case.verdict
    assert (result.code, result.retry_after, result.outcome_unknown) == (
        case.code,
        case.retry_after,
        case.outcome_unknown,
    )


def test_the_corpus_is_what_it_claims_to_be() -> None:
    """At least 150 different answers of every kind, each with its own name."""
    corpus = [*ACCEPTED, *REFUSED]

    assert len({case.name for case in corpus}) == len(corpus) >= 150
    assert {case.verdict for case in corpus} == {"accept", "dead", "operator", "throttled", "unavailable"}


def test_the_score_is_as_published() -> None:
    """Both clients with every answer; `python -m tests.corpus --write` writes the table in docs/comparison.md."""
    played = contest.rounds()

    published = contest.DOCUMENT.read_text(encoding="utf-8")

    assert contest.document(published, played) == published
    assert [one.case.name for one in played if not one.ours_whole] == []
    assert f"{len(played)} answers" in published
