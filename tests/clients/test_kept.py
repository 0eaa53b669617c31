"""What a process keeps, by itself: how long, how much, and what a thread gets that waits for another one's call."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gatehouse import NoAnswer, TemporarilyUnavailable
from gatehouse.answers import Token, read
from gatehouse.kept import MOST_KEPT, KeptTokens, NotedVersions, SingleFlight
from gatehouse.refusals import Refusals
from gatehouse.timing import Deadline, Timing
from tests.clients.services import Time, token


def vended(version: int, connection_id: str = "shop-1") -> Token:
    """Return a token as the client has it."""
    return read(Token, token(version, connection_id=connection_id, expires_at=None))


def test_an_older_token_never_replaces_a_newer_one() -> None:
    """Two calls for one connection may be answered in the other order."""
    kept = KeptTokens(1, Time().timing)

    for version in (2, 1):
        kept.keep(vended(version), kept.moment)

    assert kept.get("shop-1", 0) == vended(2)


@pytest.mark.parametrize("stands_still", ["the wall's", "the other"])
def test_either_clock_ends_it(stands_still: str) -> None:
    """In a frozen Lambda function one of the two may not have gone on."""
    wall, other = [1000.0], [500.0]
    kept = KeptTokens(300, Timing(lambda: wall[0], lambda: other[0]))
    kept.keep(vended(1), kept.moment)
    passing = other if stands_still == "the wall's" else wall

    passing[0] += 299
    before = kept.get("shop-1", 0)
    passing[0] += 1

    assert (before, kept.get("shop-1", 0)) == (vended(1), None)


def test_what_was_asked_for_before_anything_was_forgotten_is_not_kept() -> None:
    """However often that happened meanwhile. To forget a version that is not kept forgets nothing."""
    kept = KeptTokens(300, Time().timing)
    moments = [kept.moment]
    for _ in range(2):
        kept.forget("shop-1")
        moments.append(kept.moment)

    for moment in moments[:2]:
        kept.keep(vended(1), moment)
    before = kept.get("shop-1", 0)
    kept.keep(vended(1), moments[2])
    kept.forget("shop-1", version=2)

    assert (before, kept.get("shop-1", 0)) == (None, vended(1))
    assert len({*moments}) == 3


def test_no_more_are_kept_than_there_is_room_for() -> None:
    """Of tokens and of what is noted, the oldest goes: those that were kept again last are in use."""
    timing = Time().timing
    kept, noted = KeptTokens(300, timing), NotedVersions(timing)

    for number in [*range(MOST_KEPT), 0]:
        kept.keep(vended(1, f"shop-{number}"), kept.moment)
        noted.add(f"shop-{number}", 1, 300)
    all_are_there = all(kept.get(f"shop-{number}", 0) and noted.has(f"shop-{number}", 1) for number in range(MOST_KEPT))
    kept.keep(vended(1, "one-more"), kept.moment)
    noted.add("one-more", 1, 300)

    assert all_are_there
    assert [kept.get(name, 0) is not None for name in ("shop-0", "shop-1", "shop-2", "one-more")] == [
        *(True, False, True, True)
    ]
    assert [noted.has(name, 1) for name in ("shop-1", "one-more")] == [True, True]
    assert [noted.has(f"shop-{number}", 1) for number in (0, 2)] == [False, True]


def test_what_is_noted_for_longer_is_not_noted_for_a_shorter_time_again() -> None:
    """And it ends by itself."""
    time = Time()
    noted = NotedVersions(time.timing)
    noted.add("shop-1", 1, 300)
    noted.add("shop-1", 1, 10)

    time.passed = 299
    is_there, another = noted.has("shop-1", 1), noted.has("shop-1", 2)
    time.passed = 300

    assert (is_there, another, noted.has("shop-1", 1)) == (True, False, False)


class _Watched(Deadline):
    """A deadline that says when a thread asks how long it may wait."""

    def __init__(self, seconds: float, timing: Timing) -> None:
        super().__init__(seconds, timing)
        self.asked = threading.Event()

    @property
    def left(self) -> float:
        """Seconds that are left."""
        self.asked.set()
        return super().left


@pytest.mark.parametrize("left", [0.2, 5.0])
def test_a_thread_waits_for_anothers_call_no_longer_than_its_own_time(left: float) -> None:
    """Nor for a pause after its failure that would take all of it."""
    time, under_way, goes_on = Time(), threading.Event(), threading.Event()
    flights: SingleFlight[str] = SingleFlight(time.timing)
    until = _Watched(left, time.timing)

    def call() -> str:
        under_way.set()
        assert goes_on.wait(10)
        raise TemporarilyUnavailable("not now", retry_after=5)

    def run(deadline: Deadline) -> str:
        return flights.run("shop-1", call, lambda _error: 5.0, deadline)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(run, Deadline(60, time.timing))
        assert under_way.wait(10)
        second = threads.submit(run, until)
        assert until.asked.wait(10)
        if left < 1:
            with pytest.raises(NoAnswer, match="Another thread's call was still under way"):
                second.result(5)
        goes_on.set()
        with pytest.raises(TemporarilyUnavailable):
            first.result(5)
        if left > 1:
            with pytest.raises(TemporarilyUnavailable):
                second.result(5)

    assert time.pauses == []


def test_a_thread_goes_on_where_anothers_call_was_ended() -> None:
    """A call that is ended from outside has neither a result nor an error of its own."""
    timing, under_way, goes_on = Time().timing, threading.Event(), threading.Event()
    flights: SingleFlight[str] = SingleFlight(timing)
    until = _Watched(60, timing)

    def ended() -> str:
        under_way.set()
        assert goes_on.wait(10)
        raise SystemExit

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(flights.run, "shop-1", ended, lambda _error: None, Deadline(60, timing))
        assert under_way.wait(10)
        second = threads.submit(flights.run, "shop-1", lambda: "its own", lambda _error: None, until)
        assert until.asked.wait(10)
        goes_on.set()
        result = second.result(5)

    assert result == "its own"
    assert isinstance(first.exception(), SystemExit)


def test_a_token_that_a_refresh_has_left_as_it_is_counts_as_just_obtained() -> None:
    """For ten seconds, and for that version of that connection alone: another refresh would bring the same."""
    time = Time()
    refusals = Refusals(time.timing)
    refusals.note_unchanged(vended(2))

    others = [refusals.is_just_obtained(each) for each in (vended(1), vended(2, "shop-2"))]
    time.passed = 9
    is_young = refusals.is_just_obtained(vended(2))
    time.passed = 10

    assert (is_young, others, refusals.is_just_obtained(vended(2))) == (True, [False, False], False)
