"""What is left of a call's time, what may be begun in it, and the clock that all functions share."""

from email.utils import formatdate

import pytest

from functions.vault.base.errors import TemporarilyUnavailable
from functions.vault.base.timing import AFTER_HTTP, CALL, FURTHEST_OFF, RESERVE, SHORTEST_REQUEST, Deadline, SharedClock

NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("remaining", "request_timeout", "seconds"),
    [
        (29.0, 10, 10),
        (RESERVE + 10, 10, 10),
        (RESERVE + 9.9, 10, 9.9),
        (RESERVE + 2, 10, 2.0),
        (RESERVE + SHORTEST_REQUEST, 10, 1.0),
        (29.0, 1, 1),
    ],
)
def test_a_request_gets_its_time_or_what_is_left(remaining: float, request_timeout: float, seconds: float) -> None:
    """The time to store its answer is kept: the longest write and, if that fails, the queue."""
    assert Deadline(lambda: remaining).for_http(request_timeout) == pytest.approx(seconds)


@pytest.mark.parametrize("remaining", [RESERVE + SHORTEST_REQUEST - 0.001, RESERVE, 0.0, -5.0])
def test_with_too_little_time_nothing_is_begun(remaining: float) -> None:
    """A request whose answer nobody could store would cost the refresh token: the caller tries again."""
    with pytest.raises(TemporarilyUnavailable, match="Too little of this call's time") as caught:
        Deadline(lambda: remaining).for_http(10)

    assert caught.value.retry_after == 1


def test_a_lease_outlives_all_that_its_holder_may_still_do() -> None:
    """After the HTTP deadline comes one write: two tries of 1 s to connect and 2 s to read, and a pause.

    The call itself has the time for that write and for the queue after it.
    """
    assert CALL > 2 * (1 + 2)
    assert AFTER_HTTP > CALL
    assert RESERVE > 2 * CALL


def test_a_deadline_in_the_future_is_not_over() -> None:
    """It goes by the machine's own clock, whatever clock the records go by."""
    assert 3000 < Deadline.after(3600).remaining() <= 3600
    assert Deadline.after(-1).remaining() < 0


# The clock that all functions share


def date(at: float) -> str:
    """Return a time as AWS answers it."""
    return formatdate(at, usegmt=True)


@pytest.mark.parametrize("off", [-300, -3, 3, 300, FURTHEST_OFF - 1])
def test_a_clock_that_is_off_is_corrected(off: float) -> None:
    """By the date of the table's answer, to a second; it goes on from there at its own pace."""
    own = [NOW + off]
    clock = SharedClock(lambda: own[0])
    assert clock.now() == NOW + off

    clock.correct_by(date(NOW))

    assert clock.now() == pytest.approx(NOW, abs=1)
    own[0] += 100
    assert clock.now() == pytest.approx(NOW + 100, abs=1)


@pytest.mark.parametrize("off", [-1.4, 0.0, 0.6, 1.4])
def test_a_clock_that_is_right_is_not_corrected(off: float) -> None:
    """The table gives whole seconds: within two of them it is no more exact."""
    clock = SharedClock(lambda: NOW + off)

    clock.correct_by(date(NOW))

    assert clock.now() == NOW + off


@pytest.mark.parametrize("header", [None, "", "yesterday", "0", date(0), date(NOW + 2 * FURTHEST_OFF)])
def test_an_odd_date_changes_nothing(header: str | None) -> None:
    """No header, none that is a date, or one that no request can get: AWS would have refused that."""
    clock = SharedClock(lambda: float(NOW))

    clock.correct_by(header)

    assert clock.now() == NOW


def test_the_latest_answer_counts() -> None:
    """The machine may have corrected its clock itself meanwhile."""
    own = [NOW + 300.0]
    clock = SharedClock(lambda: own[0])
    clock.correct_by(date(NOW))

    own[0] = NOW + 10.0
    clock.correct_by(date(NOW + 10))

    assert clock.now() == NOW + 10
