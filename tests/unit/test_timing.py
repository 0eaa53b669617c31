"""What is left of a call's time, and what may be begun in it."""

import pytest

from functions.vault.errors import TemporarilyUnavailable
from functions.vault.timing import AFTER_HTTP, CALL, RESERVE, SHORTEST_REQUEST, Deadline


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
    """What it takes to store the answer stays: the longest write and, where that fails, the queue."""
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
    """It runs by the machine's own clock, whatever clock the records go by."""
    assert 3000 < Deadline.after(3600).remaining() <= 3600
    assert Deadline.after(-1).remaining() < 0
