"""The short version of `python -m tests.torture`: the same proofs on a few hundred histories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.torture.__main__ import main
from tests.torture.campaign import hunt, search
from tests.torture.families import BY_NAME
from tests.torture.mutants import MUTANTS
from tests.torture.runner import by_seed, run, timeline
from tests.torture.scenarios import LARGE, SMALL
from tests.torture.strategies import Calm

if TYPE_CHECKING:
    from tests.torture.runner import Result
    from tests.torture.scenarios import Scenario

HISTORIES = 120
SLOW_HISTORIES = 30
SEARCHED = {
    "token revoke",
    "token callback",
    "import revoke",
    "reconnect reconnect",
    "vouched revoke",
}
"""The casts that are searched here; `make torture` searches all of them, and deeper."""


@pytest.mark.parametrize("scenario", [*SMALL, *LARGE], ids=lambda scenario: scenario.name)
def test_without_a_fault_nothing_is_lost(scenario: Scenario) -> None:
    """A cast that nobody disturbs loses nothing, asks nothing twice, and leaves a connection that vends."""
    result = run(scenario, Calm())

    assert result.violations == []
    assert not result.counts.keys() & {"lost on the wire", "lost in a crash"}


def test_the_invariants_hold_in_histories_of_chance() -> None:
    """Whatever is delayed, lost, killed or out of order: what must hold, holds."""
    failed = [seed for seed in range(HISTORIES) if by_seed(seed).violations]

    assert not failed, timeline(by_seed(failed[0], recording=True)) + f"\nmake torture SEED={failed[0]}"


@pytest.mark.parametrize("name", ["confirmations at the last moment", "refreshes beside what is queued"])
def test_the_invariants_hold_if_something_takes_too_long(name: str) -> None:
    """A key that is slow while a confirmation's time ends, and an answer that is in the queue for half an hour."""
    failed = [seed for seed in range(SLOW_HISTORIES) if by_seed(seed, BY_NAME[name]).violations]

    assert not failed, timeline(by_seed(failed[0], BY_NAME[name], recording=True))


@pytest.mark.parametrize("name", sorted(SEARCHED))
def test_the_invariants_hold_at_every_fault_and_every_switch(name: str) -> None:
    """A small cast with one fault anywhere, and with one switch anywhere: all of these histories."""
    for preempts, faults in ((1, 0), (0, 1)):
        tally = search(name, preempts, faults)

        assert tally.failed == []
        assert tally.histories > 10


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_safeguard_is_noticed(name: str) -> None:
    """With one safeguard broken the same histories show it: the proofs can fail."""
    assert hunt(name) is not None


def test_a_seed_replays_to_the_letter() -> None:
    """The same seed makes the same history: each step at its time, by its actor, with its outcome."""
    for seed in range(20):
        first, second = (_shape(by_seed(seed, recording=True)) for _ in range(2))

        assert first == second


def test_a_history_reads_as_a_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    """One command prints who did what, when, and with what outcome."""
    assert main(["--seed", "7", "--scenario", "token token"]) == 0

    printed = capsys.readouterr().out
    assert "token-1" in printed
    assert "dynamodb get_item connections" in printed
    assert "from here on nothing fails" in printed


def _shape(result: Result) -> list[tuple[int, float, str, str]]:
    """Return a history without its random names (holders, request ids), which no choice depends on."""
    return [(event.step, event.at, event.actor, " ".join(event.call.split()[:3])) for event in result.history]
