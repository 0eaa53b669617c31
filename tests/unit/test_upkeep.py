"""When a token set is refreshed: in time for a caller, before an idle grant dies, and never all at once."""

from random import Random

import pytest

from functions.vault.grant.upkeep import ASSUMED_IDLE_SECONDS, Upkeep
from tests.unit.samples import NOW

HOUR = 3600
DAY = 86400


@pytest.mark.parametrize(
    ("margin", "lifetime", "after"),
    [
        (300, HOUR, 3300),
        (0, HOUR, 3600),
        (300, 1200, 900),
        (300, 1199, 900),
        (900, HOUR, 2700),
        (901, HOUR, 2700),
        (300, 4, 3),
        (300, 3, 3),
        (300, 0, 0),
    ],
)
def test_a_token_comes_into_its_margin_in_its_last_quarter_at_the_earliest(
    margin: int, lifetime: int, after: int
) -> None:
    """A server whose tokens live for minutes is not asked for new ones as soon as they are there."""
    assert Upkeep(margin).refresh_at(NOW, NOW + lifetime) == NOW + after


def test_without_a_known_expiry_there_is_no_margin() -> None:
    """Such a token is good until a caller objects."""
    assert Upkeep().refresh_at(NOW, None) is None


@pytest.mark.parametrize(
    ("policy", "expires_in", "refresh_expires_in", "jitter", "after"),
    [
        # Before the idle timeout that is configured, between four and seven tenths of it
        (Upkeep(idle_seconds=10 * DAY), HOUR, None, 0.0, 4 * DAY),
        (Upkeep(idle_seconds=10 * DAY), HOUR, None, 1.0, 7 * DAY),
        (Upkeep(idle_seconds=10 * DAY), None, None, 0.0, 4 * DAY),
        # or the one that is assumed
        (Upkeep(), HOUR, None, 0.5, int(ASSUMED_IDLE_SECONDS * 0.55)),
        # or the expiry of the refresh token itself, if that is sooner
        (Upkeep(idle_seconds=10 * DAY), HOUR, DAY, 0.0, int(0.4 * DAY)),
        (Upkeep(idle_seconds=10 * DAY), HOUR, 90 * DAY, 0.0, 4 * DAY),
        (Upkeep(), HOUR, 10 * DAY, 1.0, 7 * DAY),
        (Upkeep(), HOUR, 0, 1.0, 0),
        (Upkeep(), HOUR, -5, 1.0, 0),
        # Always fresh: in the last quarter of the time up to the margin
        (Upkeep(300, "keep_fresh"), HOUR, None, 0.0, 2475),
        (Upkeep(300, "keep_fresh"), HOUR, None, 0.5, 2887),
        (Upkeep(300, "keep_fresh"), HOUR, None, 1.0, 3300),
        (Upkeep(300, "keep_fresh"), HOUR, DAY, 1.0, 3300),
        (Upkeep(300, "keep_fresh"), None, DAY, 1.0, None),
        # Never
        (Upkeep(300, "never"), HOUR, DAY, 0.5, None),
        (Upkeep(300, "never", 10 * DAY), None, None, 0.5, None),
    ],
)
def test_background_work_is_due_by_the_providers_policy(
    policy: Upkeep, expires_in: int | None, refresh_expires_in: int | None, jitter: float, after: int | None
) -> None:
    """Early enough to try again after a failure, and seldom enough for a server that counts requests."""
    expires_at = None if expires_in is None else NOW + expires_in
    refresh_expires_at = None if refresh_expires_in is None else NOW + refresh_expires_in

    due_at = policy.due_at(NOW, expires_at, refresh_expires_at, jitter, first=False)

    assert due_at == (None if after is None else NOW + after)


@pytest.mark.parametrize(
    ("policy", "span"), [(Upkeep(), int(0.3 * ASSUMED_IDLE_SECONDS)), (Upkeep(300, "keep_fresh"), 825)]
)
def test_what_was_connected_together_does_not_come_due_together(policy: Upkeep, span: int) -> None:
    """A thousand connections of one second spread evenly over the whole span: no tenth of it has twice its share."""
    dues = [policy.due_at(NOW, NOW + HOUR, None, number / 1000, first=False) for number in range(1000)]

    found = [due for due in dues if due is not None]
    assert len(found) == 1000
    first, last = min(found), max(found)
    assert last - first == pytest.approx(span, rel=0.01)
    tenths = [(due - first) * 10 // (last - first + 1) for due in found]
    assert max(tenths.count(tenth) for tenth in range(10)) < 200


@pytest.mark.parametrize("policy", [Upkeep(), Upkeep(300, "keep_fresh")])
@pytest.mark.parametrize("jitter", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("first", [True, False])
def test_background_work_is_due_before_it_is_too_late(policy: Upkeep, jitter: float, *, first: bool) -> None:
    """Whatever the jitter: not before now, and while what it keeps is alive."""
    due_at = policy.due_at(NOW, NOW + HOUR, NOW + DAY, jitter, first=first)

    end = HOUR if policy.background == "keep_fresh" else DAY
    assert due_at is not None
    assert NOW <= due_at < NOW + end


@pytest.mark.parametrize(
    ("policy", "span"), [(Upkeep(idle_seconds=10 * DAY), 10 * DAY), (Upkeep(300, "keep_fresh"), 3300)]
)
def test_the_first_refresh_after_a_consent_may_be_due_at_once_and_never_later_than_any(
    policy: Upkeep, span: int
) -> None:
    """It is due at any time from now to the latest of the others; without background work it is never due."""
    dues = [policy.due_at(NOW, NOW + HOUR, None, number / 1000, first=True) for number in range(1001)]
    latest = policy.due_at(NOW, NOW + HOUR, None, 1.0, first=False)

    assert dues == sorted(dues, key=lambda due: due or 0)
    assert dues[0] == NOW
    assert dues[-1] == latest
    assert latest == NOW + span * (0.7 if policy.background == "keep_alive" else 1.0)
    assert Upkeep(300, "never").due_at(NOW, NOW + HOUR, None, 0.5, first=True) is None


def test_a_crowd_that_consents_at_once_is_refreshed_at_an_even_rate_from_the_first_day_on() -> None:
    """No wave, neither the first nor any later one: each day has its share of the refreshes, whatever day it is."""
    policy, random = Upkeep(idle_seconds=10 * DAY), Random(20261126)  # noqa: S311 - it decides when, and guards nothing
    crowd, days = 20_000, 20
    refreshes = [0] * days
    for _ in range(crowd):
        due_at, first = NOW, True
        while (due_at := policy.due_at(due_at, None, None, random.random(), first=first) or 0) < NOW + days * DAY:
            refreshes[(due_at - NOW) // DAY] += 1
            first = False

    assert refreshes == [pytest.approx(crowd / 5.5, rel=0.06)] * days
