"""The lease of a token set: what whoever takes it over knows of earlier uses."""

from functions.vault.grant.lease import Lease
from tests.unit.samples import NOW


def test_what_is_unknown_of_an_earlier_use_stays_unknown() -> None:
    """Also over a lease that was given back, and that no answer came stays known."""
    before = Lease("holder-1", 1, 0, interrupted_at=NOW - 5, answer_lost=True)

    taken = Lease.taken_after(before, "holder-2", 2, NOW + 9.2, NOW, revokes=True)

    assert taken == Lease("holder-2", 2, NOW + 10, interrupted_at=NOW - 5, revokes=True, answer_lost=True)


def test_whoever_takes_over_an_unfinished_attempt_notes_when() -> None:
    """Its answer may still be on its way, whatever is known of those before."""
    before = Lease("holder-1", 1, NOW - 1, interrupted_at=NOW - 50, answer_lost=True)

    taken = Lease.taken_after(before, "holder-2", 2, NOW + 9, NOW + 0.9)

    assert taken == Lease("holder-2", 2, NOW + 9, interrupted_at=NOW)
    assert taken.may_be_answered


def test_an_attempt_begins_with_its_slot() -> None:
    """From then on the lease lasts as long as the request may."""
    waiting = Lease("holder-1", 1, NOW + 10, waiting=True)

    assert waiting.got_slot(2, NOW + 40.2) == Lease("holder-1", 2, NOW + 41)


def test_an_answer_may_come_only_if_an_attempt_was_interrupted_and_its_answer_is_not_known_to_be_lost() -> None:
    """If somebody may have one in hand, whoever comes next waits for what the rescue queue holds."""
    held = Lease("holder-1", 1, NOW + 10)

    assert not held.may_be_answered
    assert Lease("holder-1", 1, NOW + 10, NOW).may_be_answered
    assert not Lease("holder-1", 1, NOW + 10, NOW, answer_lost=True).may_be_answered
