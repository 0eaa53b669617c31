"""Times in an authorization server's answer: lifetimes, moments, when to ask again. Whatever comes, nothing raises."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from functions.vault.base.fields import LONGEST_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .transport import Answer

LONGEST_RETRY_AFTER = 86400

_MOST_DIGITS = 19
"""Digits of the longest Retry-After that is taken for a number of seconds."""

_LARGEST = 1e300

_EARLIEST_MILLISECONDS = 100_000_000_000
"""A number this large counts milliseconds: as seconds it would be in the year 5138, as milliseconds it is in 1973."""


def seconds_of(value: Any, unit: str = "seconds") -> int | None:
    """Return a lifetime: a number, or a string that holds one. None if it is absent, zero, negative or no number.

    Servers send zero for "does not expire". A token that really was dead on arrival would help nobody.
    """
    number = _number(value)
    if number is None:
        return None
    seconds = number / 1000 if unit == "milliseconds" else number
    return int(min(seconds, LONGEST_LIFETIME)) if seconds >= 1 else None


def moment_of(value: Any, now: float) -> int | None:
    """Return a moment in Unix seconds, from seconds, milliseconds or RFC 3339. None if it is not in the future."""
    number = _number(value)
    if number is None:
        number = _rfc_3339(value)
    if number is None:
        return None
    if number >= _EARLIEST_MILLISECONDS:
        number /= 1000
    return int(min(number, now + LONGEST_LIFETIME)) if number >= now + 1 else None


def retry_after(
    answer: Answer, document: Mapping[str, Any] | None = None, *, now: datetime | None = None
) -> int | None:
    """Return the answer's Retry-After in seconds from now, at most a day (RFC 9110 section 10.2.3).

    If the header is missing, a body's `retry_after` in seconds stands in for it.
    """
    value = answer.headers.get("retry-after", "").strip()
    if not value and document is not None:
        seconds = seconds_of(document.get("retry_after"))
        return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)
    if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS:
        return min(int(value), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    from_now = (at.replace(tzinfo=at.tzinfo or UTC) - (now or _date_of(answer))).total_seconds()
    return int(min(max(math.ceil(from_now), 0), LONGEST_RETRY_AFTER))


def _date_of(answer: Answer) -> datetime:
    """Return the server's own Date, which a Retry-After date is relative to; our time if it sent none."""
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return at.replace(tzinfo=at.tzinfo or UTC)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # A whole number that no float holds is no time either.
    return value if -_LARGEST < value < _LARGEST else None


def _rfc_3339(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
