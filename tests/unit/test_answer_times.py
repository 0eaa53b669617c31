"""When to ask again, as an answer says it, and numbers that are no times."""

from datetime import UTC, datetime

import pytest

from functions.vault.oauth.answer_times import moment_of, retry_after, seconds_of
from tests.unit.samples import NOW, answer


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("86401", 86400),
        ("9" * 9, 86400),
        ("9" * 5000, None),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 120),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
        ("Mon, 13 Nov 2023 22:13:20 GMT", 0),
        ("Tue, 14 Nov 2023 23:15:20 +0100", 120),
        ("Tue, 14 Nov 2023 22:15:20 -0000", 120),
        ("Fri, 14 Nov 2098 22:15:20 GMT", 86400),
        ("Fri, 14 Nov 99999 22:15:20 GMT", None),
        ("Fri, 14 Nov 2023 22:15:20 +9999", None),
        ("Fri, 14 Nov 2023 22:15:20 +99999999999999999999", None),
        ("Fri, 99 Nov 2023 22:15:20 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("١٢٠", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    """RFC 9110 section 10.2.3, at most a day; anything else is ignored."""
    given = answer("", 429, retry_after=value)

    assert retry_after(given, now=datetime.fromtimestamp(NOW, UTC)) == seconds


def test_a_date_is_read_by_the_servers_own_clock() -> None:
    """Its clock and ours may differ: what counts is the distance to the answer's own Date."""
    given = answer("", 429, retry_after="Sat, 01 Jan 2000 00:01:00 GMT", date="Sat, 01 Jan 2000 00:00:00 GMT")

    assert retry_after(given) == 60


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 01 Jan 2000 00:00:00 +99999999999999999999"])
def test_without_the_servers_clock_a_date_is_read_by_ours(date: str) -> None:
    """A date in the past means no wait."""
    assert retry_after(answer("", 429, retry_after="Sat, 01 Jan 2000 00:01:00 GMT", date=date)) == 0


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan"), "1e999", "9" * 400])
def test_a_number_beyond_all_times_is_none(value: float | str) -> None:
    """Also one that no float holds: it is ignored, and raises nothing."""
    assert (seconds_of(value), moment_of(value, NOW)) == (None, None)
