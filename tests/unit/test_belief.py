"""A refused grant: whether, and when, its refresh token is tried again (a look)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    ProviderError,
    ProviderUnavailable,
    ReauthorizationRequired,
    TemporarilyUnavailable,
)
from functions.vault.grant import refreshes
from functions.vault.grant.belief import Belief
from functions.vault.grant.life import Status
from functions.vault.grant.stored_set import RefreshedFrom
from tests.unit.samples import NOW, connection, current, sealed_tokens, with_current

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection

SAID = ProviderError("invalid_grant", None, 400)
REFUSED = ReauthorizationRequired("Gone.", provider_error=SAID)
FAILED = ProviderUnavailable("Down.", provider_error=SAID)


def leased(was: Connection | None = None) -> Connection:
    """Return a connection whose refresh is under way."""
    return refreshes.leased(was or connection(), "holder-1", NOW + 30, NOW)


def dead(refusal: ReauthorizationRequired = REFUSED, **lease: Any) -> Connection:
    """Return a connection whose first refresh was refused just now."""
    held = leased()
    if lease:
        assert held.lease
        held = with_current(held, lease=replace(held.lease, **lease))
    return refreshes.refused(held, refusal, NOW)


def looked(was: Connection, now: float, *, by_caller: bool = False) -> Connection:
    """Return it with a look under way."""
    assert was.may_be_looked_at(now, by_caller=by_caller)
    return refreshes.leased(was, "holder-9", now + 30, now, by_caller=by_caller)


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param(dead(ReauthorizationRequired("Revoked.", is_final=True, provider_error=SAID)), id="for good"),
        pytest.param(dead(ReauthorizationRequired("There is no refresh token.")), id="by nobody"),
        pytest.param(dead(interrupted_at=NOW - 60), id="after an interruption"),
        pytest.param(refreshes.refused(leased(), REFUSED, NOW, after_loss=True), id="after a lost answer"),
        pytest.param(
            refreshes.refused(leased(refreshes.refresh_failed(leased(), FAILED, NOW, 0.5)), REFUSED, NOW),
            id="at the second attempt",
        ),
    ],
)
def test_there_is_no_look_if_more_than_the_answer_supports_the_refusal(refused: Connection) -> None:
    """Nothing is due, and every caller gets the same answer, however much later."""
    assert refused.status is Status.REAUTHORIZATION_REQUIRED
    assert (refused.upkeep_at, current(refused).belief) == (None, None)
    assert not any(refused.may_be_looked_at(NOW + 10**6, by_caller=each) for each in (False, True))


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(refreshes.lease_given_back(leased(), NOW), id="given back"),
        pytest.param(refreshes.refresh_failed(leased(), TemporarilyUnavailable("No KMS."), NOW, 0.5), id="no KMS"),
        pytest.param(
            refreshes.refresh_failed(leased(), ProviderUnavailable("No connection."), NOW, 0.5), id="no connection"
        ),
    ],
)
def test_an_attempt_that_sent_nothing_does_not_count(before: Connection) -> None:
    """The refusal after it is of the first request with this token set."""
    refused = refreshes.refused(leased(before), REFUSED, NOW)

    assert refused.may_be_looked_at(NOW + 300, by_caller=False)


def test_the_background_looks_three_times() -> None:
    """About 5, 15 and 240 minutes after the refusal; then nothing is due any more."""
    was, times = dead(), []
    while was.upkeep_at is not None:
        assert not was.may_be_looked_at(was.upkeep_at - 1, by_caller=False)
        times.append((was.upkeep_at - NOW) / 60)
        was = refreshes.refused(looked(was, was.upkeep_at), REFUSED, was.upkeep_at + 1)

    assert times == [5, 15, 240]
    assert was.failure
    assert (was.failure.count, was.failure.at) == (1, NOW)


def test_a_caller_looks_once_and_never_within_a_minute() -> None:
    """After the refusal, or after another look; the background looks besides, and not within a minute either."""
    was = dead()
    assert not was.may_be_looked_at(NOW + 59, by_caller=True)

    once = refreshes.refused(looked(was, NOW + 290, by_caller=True), REFUSED, NOW + 291)

    assert not once.may_be_looked_at(NOW + 10**6, by_caller=True)
    assert once.upkeep_at == NOW + 351
    assert not once.may_be_looked_at(NOW + 350, by_caller=False)
    twice = refreshes.refused(looked(once, NOW + 351), REFUSED, NOW + 352)
    assert twice.upkeep_at == NOW + 900


@pytest.mark.parametrize("by_caller", [False, True])
def test_a_look_that_sent_nothing_does_not_count(*, by_caller: bool) -> None:
    """The next one still comes a minute later at the earliest."""
    back = refreshes.lease_given_back(looked(dead(), NOW + 400, by_caller=by_caller), NOW + 401)

    assert not back.may_be_looked_at(NOW + 460, by_caller=by_caller)
    assert back.may_be_looked_at(NOW + 461, by_caller=by_caller)


def test_a_failed_look_says_nothing_new_about_the_grant() -> None:
    """Callers still get the refusal; the look counts, and the next one is due in its time."""
    failed = refreshes.refresh_failed(looked(dead(), NOW + 300), FAILED, NOW + 301, 0.5)
    silent = refreshes.refresh_timed_out(looked(dead(), NOW + 300), FAILED, NOW + 330, NOW + 310, 0.5, needed=False)

    for each in (failed, silent):
        assert (each.status, each.failure, each.upkeep_at) == (dead().status, dead().failure, NOW + 900)
    assert not silent.may_be_looked_at(NOW + 329, by_caller=True)


def test_a_second_refusal_that_is_final_ends_the_looks() -> None:
    """The server names a cause now that it did not name at first."""
    final = refreshes.refused(looked(dead(), NOW + 300), ReauthorizationRequired("Revoked.", is_final=True), NOW + 301)

    assert (final.upkeep_at, current(final).belief) == (None, None)


def test_a_look_that_finds_the_grant_alive_makes_the_connection_active() -> None:
    """With new tokens and everything else that a refresh brings."""
    tokens = sealed_tokens(sealed=b"sealed-2", at=NOW + 301, version=2)

    after = refreshes.refreshed(looked(dead(), NOW + 300), tokens, RefreshedFrom("sealed-1", 2), "holder-9", NOW + 301)

    assert (after.status, after.failure, after.upkeep_at) == (Status.ACTIVE, None, tokens.due_at)
    assert (current(after).belief, current(after).was_refused) == (None, False)


# Step by step


def test_the_times_of_looks_are_spread_by_a_tenth() -> None:
    """Otherwise all connections that a server refused at one moment would ask it again at one moment."""
    times = [Belief.begin(NOW + 0.9, jitter).next_at for jitter in (0.0, 0.5, 1.0)]

    assert times == [NOW + 270, NOW + 300, NOW + 330]


def test_each_step_changes_what_it_is_about_and_nothing_else() -> None:
    """A look that began is counted for who took it, and is taken back if it has sent nothing."""
    begun = Belief.begin(NOW, 0.5)
    looked_at = begun.looked_at(NOW + 330.9, by_caller=False)
    by_caller = looked_at.looked_at(NOW + 400.9, by_caller=True)

    assert begun == Belief(NOW, NOW, 0, 0, latest_by_caller=False, next_at=NOW + 300)
    assert looked_at == Belief(NOW, NOW + 330, 1, 0, latest_by_caller=False, next_at=NOW + 300)
    assert by_caller == Belief(NOW, NOW + 400, 1, 1, latest_by_caller=True, next_at=NOW + 300)
    assert by_caller.not_looked_at(NOW + 390.9) == replace(by_caller, by_callers=0, asked_at=NOW + 390)
    assert looked_at.not_looked_at(NOW + 320.9) == replace(looked_at, looks=0, asked_at=NOW + 320)
    assert looked_at.answered(NOW + 331.9, 0.5) == replace(looked_at, asked_at=NOW + 331, next_at=NOW + 900)


def test_after_the_last_look_nothing_is_due() -> None:
    """When the server was asked last is still known: a caller's look has to wait for a minute after it."""
    last = Belief(NOW, NOW + 14400, looks=3, next_at=NOW + 14400)

    assert last.answered(NOW + 14430.9, 0.5) == Belief(NOW, NOW + 14430, looks=3)
    assert not Belief(NOW, NOW).may_be_looked_at(NOW + 10**9, by_caller=False)
