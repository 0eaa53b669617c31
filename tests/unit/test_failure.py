"""What is remembered of failures: how often a refusal came for an unknown reason, and until when nobody asks again."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import LastingRefusal, ProviderUnavailable, UnknownRefusal
from functions.vault.grant.failure import Failure
from tests.unit.samples import NOW

DAY = 86400


def test_refusals_for_an_unknown_reason_are_counted_from_the_first() -> None:
    """Others between them neither count nor begin again."""
    first = Failure.of(UnknownRefusal("No."), None, NOW + 0.9)
    between = Failure.of(ProviderUnavailable("Down."), first, NOW + 10)
    second = Failure.of(LastingRefusal("No."), between, NOW + 20)

    assert [(each.unknown, each.unknown_since) for each in (first, between, second)] == [(1, NOW), (1, NOW), (2, NOW)]
    assert (first.pauses, first.holder, first.needed_since) == (1, "", None)


@pytest.mark.parametrize(
    ("times", "after", "lasts"), [(10, DAY, True), (9, DAY, False), (10, DAY - 1, False), (10, 0, False)]
)
def test_such_a_refusal_lasts_after_a_day_and_ten_attempts(*, times: int, after: int, lasts: bool) -> None:
    """Then it will not pass by itself."""
    failure = replace(Failure.of(UnknownRefusal("No."), None, NOW), unknown=times, at=NOW + after)

    assert failure.lasts is lasts


@pytest.mark.parametrize(("at", "until"), [(NOW + 5, NOW + 10), (NOW + 50, NOW + 50)])
def test_nobody_asks_before_a_time_that_was_set_or_the_pause_is_over(at: int, until: int) -> None:
    """The later of both counts; what the server has named is kept if it is later."""
    failure = replace(Failure.of(ProviderUnavailable("Down."), None, NOW), retry_at=NOW + 10)

    assert failure.with_no_request_before(at) == replace(failure, retry_at=until, not_before=at)
    assert replace(failure, not_before=NOW + 70).with_no_request_before(at).not_before == NOW + 70


def test_a_failure_that_an_earlier_release_has_stored_goes_on_with_its_count() -> None:
    """It did not number its pauses: there were as many as failures."""
    earlier = Failure("provider_unavailable", 3, int(NOW), int(NOW) + 20, "holder", "Down.")

    following = Failure.of(ProviderUnavailable("Down."), earlier, NOW + 20)

    assert (following.count, following.pauses) == (4, 4)
