"""A token set in the record: its lease, its wait, and each step of its revocation, as the record has it afterwards."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from functions.vault.base.errors import ProviderError, ProviderTimedOut, ProviderUnavailable, RevocationRefused
from functions.vault.grant.belief import Belief
from functions.vault.grant.failure import Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place
from functions.vault.grant.revocation import DEAD, GONE, REVOKED, Revocation
from functions.vault.grant.seal import Seal
from functions.vault.grant.stored_set import FRESH_FOR, Pending, RefreshedFrom, StoredSet
from functions.vault.storage.attributes import write_item
from functions.vault.storage.connection_item import connection_item, connection_of
from tests.unit.samples import NOW, WHOSE, connection

SET = StoredSet("set-1", Place.CURRENT, Seal(b"sealed-1", 2, 1, "key-1"), WHOSE, refreshable=True, attempts=3)
REVOKING = replace(SET, place=Place.REVOKING, revocation=Revocation(NOW))
WAITING = Pending(until=NOW + 120, obtained_at=NOW, revocations=0)
TO_CONFIRM = replace(WAITING, confirmation="hash", confirm_by=NOW + 600)

WHOLE = replace(
    SET,
    token_type="DPoP",
    expires_at=NOW + 1,
    refresh_at=NOW + 2,
    refresh_expires_at=NOW + 3,
    client_secret_used="newest",
    request_id="request-1",
    refreshed_from=RefreshedFrom("set-0", 7),
    unsent=1,
    lease=Lease("holder-1", 3, NOW + 30, NOW - 5, answer_lost=True),
    was_refused=True,
    belief=Belief(NOW - 9, NOW - 8),
    revocation=Revocation(
        NOW,
        2,
        {"refresh_token": {"answer": "revoked", "at": NOW}},
        Failure("provider_unavailable", 1, NOW, NOW + 5, "", "Down."),
        NOW - 1,
    ),
    scope="read",
    pending=replace(
        TO_CONFIRM,
        upkeep_at=NOW + 4,
        owner="owner-1",
        subject="account-1",
        scope="read",
        scope_missing=("write",),
        requested_scope="read write",
        tags={"tier": "gold"},
        metadata={"region": "eu"},
        allow_new_subject=True,
        grants_are_apart=True,
        account_known=True,
    ),
    account_at=NOW + 6,
    confirmed_by="another hash",
)
"""One with a value in every field that can be empty."""


@pytest.mark.parametrize(
    "held",
    [WHOLE, StoredSet("set-1", Place.CURRENT, SET.seal, WHOSE), replace(SET, place=Place.PENDING, pending=WAITING)],
    ids=["with everything", "with nothing", "waiting"],
)
def test_it_comes_back_from_the_table_as_it_was(held: StoredSet) -> None:
    """What is empty is not stored, and is empty again when it is read."""
    read = connection_of(write_item(connection_item(replace(connection(), sets=(held,)))))

    assert read.sets == (held,)


def test_what_a_record_does_not_say_is_unknown_or_no() -> None:
    """A record of an earlier release lacks what came later: that is read as if it had never happened."""
    bare = StoredSet("set-1", Place.CURRENT, SET.seal, WHOSE)
    kind, uses = (bare.token_type, bare.refreshable, bare.was_refused), (bare.attempts, bare.unsent)
    others = {each.name for each in fields(bare)[4:]} - {
        "token_type",
        "refreshable",
        "was_refused",
        "attempts",
        "unsent",
    }
    pending = [getattr(WAITING, each.name) for each in fields(WAITING)[3:]]

    assert (kind, uses) == (("Bearer", False, False), (0, 0))
    assert {getattr(bare, name) for name in others} == {None}
    assert [value for value in pending if value is not None] == [(), {}, {}, False, False, False]
    assert (Revocation(NOW).open_attempts, Revocation(NOW).answers) == (0, {})
    assert (Revocation(NOW).failure, Revocation(NOW).came_at) == (None, None)


# While it waits


@pytest.mark.parametrize(
    ("place", "pending", "account_at", "until", "asks", "unconfirmed"),
    [
        (Place.PENDING, WAITING, None, NOW + 120, True, False),
        (Place.PENDING, TO_CONFIRM, None, NOW + 120, True, True),
        (Place.PENDING, TO_CONFIRM.with_account(), None, NOW + 600, False, True),
        (Place.CURRENT, None, NOW + 9, NOW + 9, True, False),
        (Place.CURRENT, None, None, None, False, False),
        (Place.PENDING, None, NOW + 9, None, False, False),
        (Place.SUPERSEDED, None, NOW + 9, None, False, False),
        (Place.REVOKING, TO_CONFIRM, NOW + 9, None, False, False),
    ],
)
def test_it_waits_for_its_account_or_for_the_application(  # noqa: PLR0913 - a token set, and what it waits for
    place: Place,
    pending: Pending | None,
    account_at: int | None,
    until: int | None,
    *,
    asks: bool,
    unconfirmed: bool,
) -> None:
    """As pending or current; in any other place for neither."""
    held = replace(SET, place=place, pending=pending, account_at=account_at)

    assert (held.waits_until, held.asks_account, held.is_unconfirmed) == (until, asks, unconfirmed)


def test_it_can_be_confirmed_until_its_time_is_over() -> None:
    """To the second; and what need not be confirmed has no such time."""
    unconfirmed = replace(SET, place=Place.PENDING, pending=TO_CONFIRM)
    asking = replace(SET, place=Place.PENDING, pending=WAITING)

    assert [unconfirmed.has_run_out_unconfirmed(at) for at in (NOW + 599.9, NOW + 600)] == [False, True]
    assert not asking.has_run_out_unconfirmed(NOW + 10**6)
    assert not replace(unconfirmed, place=Place.REVOKING).has_run_out_unconfirmed(NOW + 600)
    assert (WAITING.has_run_out(NOW + 10**6), TO_CONFIRM.has_run_out(NOW + 600)) == (False, True)


@pytest.mark.parametrize(
    ("pending", "at", "until"),
    [(WAITING, NOW + 3600, NOW + 3600), (TO_CONFIRM, NOW + 300, NOW + 300), (TO_CONFIRM, NOW + 3600, NOW + 600)],
)
def test_its_account_is_asked_for_again_while_it_can_be_confirmed(pending: Pending, at: int, until: int) -> None:
    """And not later than that: then it is taken away."""
    held = replace(SET, place=Place.PENDING, pending=pending)

    assert held.asked_again_at(at) == replace(held, pending=replace(pending, until=until))
    assert replace(SET, account_at=NOW).asked_again_at(at) == replace(SET, account_at=at)


def test_with_its_account_known_it_waits_for_the_application_alone() -> None:
    """If there is nothing to confirm, it is due when it was."""
    assert TO_CONFIRM.with_account() == replace(TO_CONFIRM, account_known=True, until=NOW + 600)
    assert WAITING.with_account() == replace(WAITING, account_known=True)


# Its lease


def test_a_lease_keeps_all_others_away_until_it_lapses() -> None:
    """Whoever takes the place of its token set takes over the lease of somebody else who is at work."""
    lease = Lease("holder-1", 3, NOW + 30)
    held = replace(SET, lease=lease)

    assert [held.is_in_hand(at) for at in (NOW, NOW + 29.9, NOW + 30)] == [True, True, False]
    assert (held.is_held_by("holder-1"), held.is_held_by("holder-2")) == (True, False)
    assert held.lease_of_another("holder-2", NOW) == lease
    assert held.lease_of_another("holder-1", NOW) is None
    assert held.lease_of_another("holder-2", NOW + 30) is None
    assert replace(held, lease=replace(lease, timed_out=True)).lease_of_another("holder-2", NOW) is None
    assert (SET.is_in_hand(NOW), SET.is_held_by(""), SET.lease_of_another("holder-2", NOW)) == (False, False, None)


@pytest.mark.parametrize(
    ("lease", "left"),
    [
        (None, None),
        (Lease("holder-1", 3, NOW + 30), None),
        (Lease("holder-1", 2, NOW + 30, NOW - 5), Lease("", 3, 0, NOW - 5)),
        (Lease("holder-1", 3, NOW + 30, NOW - 5, answer_lost=True), Lease("", 3, 0, NOW - 5, answer_lost=True)),
        (Lease("holder-1", 3, NOW + 30, NOW - 5, revokes=True, waiting=True), Lease("", 3, 0, NOW - 5)),
    ],
)
def test_what_is_unknown_of_earlier_uses_outlives_a_lease(lease: Lease | None, left: Lease | None) -> None:
    """It is free for anybody, who then knows that there may be newer tokens than these."""
    ended = replace(SET, lease=lease).lease_ended()

    assert ended == replace(SET, lease=left)
    assert not ended.is_in_hand(NOW)


def test_a_use_whose_answer_was_lost_leaves_it_free() -> None:
    """Nobody can have the answer in hand. After one that timed out nobody else may ask before the server is done."""
    held = replace(SET, lease=Lease("holder-1", 3, NOW + 30))

    lost, timed_out = held.answer_lost(NOW + 5.7), held.timed_out(NOW + 29.2, NOW + 5.7)

    assert lost.lease == Lease("", 3, 0, NOW + 5, answer_lost=True)
    assert timed_out.lease == Lease("", 3, NOW + 30, NOW + 5, timed_out=True, answer_lost=True)
    assert (lost.is_in_hand(NOW + 6), timed_out.is_in_hand(NOW + 6)) == (False, True)
    assert replace(lost, lease=held.lease) == replace(timed_out, lease=held.lease) == held


LOOKED = Belief(NOW, NOW, looks=1, next_at=NOW + 900)


@pytest.mark.parametrize(("waiting", "unsent"), [(False, 1), (True, 0)])
def test_an_attempt_that_sent_nothing_is_no_attempt(unsent: int, *, waiting: bool) -> None:
    """Its number is used up, unless it was waiting for a slot and had none. Its look does not count."""
    held = replace(SET, belief=LOOKED, lease=Lease("holder-1", 3, NOW + 30, waiting=waiting))

    after = held.nothing_sent(NOW + 2.5)

    assert after == replace(held, unsent=unsent, belief=replace(LOOKED, looks=0, asked_at=NOW + 2))
    assert replace(held, belief=None, lease=None).nothing_sent(NOW) == replace(held, belief=None, lease=None)


@pytest.mark.parametrize(
    ("lease", "looks"), [(None, 1), (Lease("h", 3, NOW + 30), 1), (Lease("h", 3, NOW + 30, waiting=True), 0)]
)
def test_the_look_of_somebody_who_got_no_slot_is_taken_back(lease: Lease | None, looks: int) -> None:
    """It has asked nobody. All others count."""
    belief = replace(SET, belief=LOOKED, lease=lease).belief_before_a_look(NOW + 40)

    assert belief is not None
    assert belief.looks == looks
    assert replace(SET, lease=lease).belief_before_a_look(NOW) is None


@pytest.mark.parametrize(
    ("attempt", "unsent", "is_first"), [(1, 0, True), (3, 2, True), (2, 0, False), (3, 1, False), (None, 0, False)]
)
def test_the_first_attempt_is_the_first_that_sent_anything(attempt: int | None, unsent: int, *, is_first: bool) -> None:
    """Only while it goes on: without a lease there is none."""
    lease = None if attempt is None else Lease("holder-1", attempt, NOW + 30)

    assert replace(SET, lease=lease, unsent=unsent).is_asked_for_the_first_time is is_first


# Its revocation


FAILED = Failure("provider_unavailable", 1, NOW, NOW + 50, "", "Down.")


@pytest.mark.parametrize(
    ("revocation", "lease", "at"),
    [
        (None, Lease("holder-1", 1, NOW + 30), None),
        (Revocation(NOW), None, NOW),
        (Revocation(NOW), Lease("holder-1", 1, NOW + 30), NOW + 30),
        (Revocation(NOW, failure=FAILED), None, NOW + 50),
        (Revocation(NOW, failure=FAILED), Lease("holder-1", 1, NOW + 30), NOW + 50),
        (Revocation(NOW), Lease("", 1, 0, NOW), NOW),
    ],
)
def test_its_revocation_waits_for_its_pause_and_for_whoever_holds_it(
    revocation: Revocation | None, lease: Lease | None, at: int | None
) -> None:
    """Whichever ends later."""
    assert replace(SET, revocation=revocation, lease=lease).revoke_at == at


@pytest.mark.parametrize(
    ("answers", "is_confirmed"),
    [
        ({}, False),
        ({"refresh_token": REVOKED}, True),
        ({"refresh_token": GONE}, True),
        ({"access_token": REVOKED}, True),
        ({"access_token": GONE}, False),
        ({"refresh_token": "none", "access_token": REVOKED}, True),
        ({"refresh_token": "none", "access_token": "unsupported_token_type"}, False),
        ({"grant": REVOKED}, False),
    ],
)
def test_the_end_of_a_grant_is_confirmed_by_its_refresh_token_or_a_live_access_token(
    answers: dict[str, str], *, is_confirmed: bool
) -> None:
    """An access token that the server does not know confirms nothing: it may have expired."""
    revoking = REVOKING
    for kind, answer in answers.items():
        revoking = revoking.answered(kind, answer, NOW)

    assert revoking.is_confirmed is is_confirmed
    assert not SET.is_confirmed


@pytest.mark.parametrize(
    ("held", "was_dead"),
    [
        (REVOKING, False),
        (replace(REVOKING, was_refused=True), True),
        (SET, False),
        (replace(SET, was_refused=True), True),
        (REVOKING.answered("grant", DEAD, NOW), True),
        (REVOKING.answered("grant", REVOKED, NOW), False),
        (REVOKING.answered("refresh_token", DEAD, NOW), False),
    ],
)
def test_what_the_server_refused_was_dead(held: StoredSet, *, was_dead: bool) -> None:
    """By a refresh, or when it was to be revoked."""
    assert held.was_dead is was_dead


@pytest.mark.parametrize(("expires_at", "has_run_out"), [(None, False), (NOW + 1, False), (NOW, True), (NOW - 1, True)])
def test_an_access_token_lives_until_its_expiry(expires_at: int | None, *, has_run_out: bool) -> None:
    """If nobody knows that, it is taken to live."""
    assert replace(SET, expires_at=expires_at).has_run_out(NOW) is has_run_out


def test_what_came_after_its_end_is_not_refreshed_for_ten_minutes() -> None:
    """Newer tokens would be no better."""
    came = SET.to_be_revoked(NOW + 3.5, NOW + 2.5)

    assert came == replace(SET, revocation=Revocation(NOW + 3, came_at=NOW + 2))
    assert FRESH_FOR == 600
    assert [came.is_fresh(at) for at in (NOW + 3, NOW + 601, NOW + 602)] == [True, True, False]
    assert not REVOKING.is_fresh(NOW)
    assert not SET.is_fresh(NOW)


def test_what_is_to_be_revoked_is_not_believed_in_any_more() -> None:
    """Its refresh token is tried only where that is needed to revoke it."""
    assert replace(SET, belief=LOOKED).to_be_revoked(NOW + 0.9) == replace(SET, revocation=Revocation(NOW))


@pytest.mark.parametrize("revokes", [False, True])
@pytest.mark.parametrize("waiting", [False, True])
def test_it_is_claimed_to_be_revoked_or_refreshed(*, revokes: bool, waiting: bool) -> None:
    """Only a refresh is a use of its refresh token, and has the next number."""
    attempts = 3 if revokes else 4

    claimed = REVOKING.claimed("holder-1", NOW + 29.5, NOW, revokes=revokes, waiting=waiting)

    lease = Lease("holder-1", attempts, NOW + 30, revokes=revokes, waiting=waiting)
    assert claimed == replace(REVOKING, lease=lease, attempts=attempts)
    assert REVOKING.claimed("holder-1", NOW + 30, NOW, revokes=revokes).lease == replace(lease, waiting=False)


@pytest.mark.parametrize(
    ("before", "open_attempts"),
    [
        (Lease("holder-1", 3, NOW - 1, revokes=True), 1),
        (Lease("holder-2", 3, NOW - 1, revokes=True), 0),
        (Lease("holder-1", 3, NOW - 1), 0),
        (Lease("holder-1", 3, NOW - 1, revokes=True, waiting=True), 0),
        (Lease("holder-1", 3, NOW - 1, revokes=True, timed_out=True), 0),
        (Lease("", 3, 0, NOW - 9), 0),
        (None, 0),
    ],
)
def test_an_interrupted_revocation_may_have_reached_the_server(before: Lease | None, open_attempts: int) -> None:
    """Whoever takes it over counts it; their own lease, or one that waited for a slot, is none."""
    claimed = replace(REVOKING, lease=before).claimed("holder-2", NOW + 30, NOW, revokes=True)

    assert claimed.open_attempts == open_attempts
    twice = replace(claimed, lease=before).claimed("holder-2", NOW + 30, NOW, revokes=True)
    assert twice.open_attempts == 2 * open_attempts


def test_whoever_takes_over_an_interrupted_refresh_knows_of_it() -> None:
    """There may be newer tokens than these, which only the server knows."""
    lapsed = replace(REVOKING, lease=Lease("holder-1", 3, NOW - 1))

    claimed = lapsed.claimed("holder-2", NOW + 30, NOW + 0.5, revokes=True)

    assert claimed.lease == Lease("holder-2", 3, NOW + 30, NOW, revokes=True)


def test_a_refusal_of_its_refresh_token_is_remembered() -> None:
    """Whatever is done with it later."""
    assert SET.refused() == replace(SET, was_refused=True)
    assert SET.refused().to_be_revoked(NOW).was_dead


def test_an_attempt_begins_with_its_slot() -> None:
    """Its number was its own from the claim on."""
    claimed = REVOKING.claimed("holder-1", NOW + 5, NOW, revokes=False, waiting=True)

    begun = claimed.got_slot(NOW + 29.5)

    assert begun == replace(claimed, lease=Lease("holder-1", 4, NOW + 30))


def test_answers_of_the_server_add_up() -> None:
    """Each with its time; a later one about the same token replaces the earlier."""
    first = REVOKING.answered("refresh_token", REVOKED, NOW + 1.5).answered("access_token", GONE, NOW + 2)

    both = {"refresh_token": {"answer": "revoked", "at": NOW + 1}, "access_token": {"answer": "gone", "at": NOW + 2}}
    assert first.answers == both
    further = {"access_token": {"answer": "revoked", "at": NOW + 3}}
    assert first.with_answers(further) == replace(REVOKING, revocation=Revocation(NOW, answers={**both, **further}))
    assert (SET.answers, SET.open_attempts) == ({}, 0)


@pytest.mark.parametrize(
    ("error", "open_attempts"),
    [
        (ProviderUnavailable("Down."), 1),
        (ProviderUnavailable("Lost.", outcome_unknown=True), 2),
        (RevocationRefused("No.", provider_error=ProviderError("invalid_request", "", 400)), 1),
    ],
)
def test_a_failed_revocation_is_paused_and_free(error: Any, open_attempts: int) -> None:
    """It counts as open if its answer was lost, and keeps what is unknown of earlier refreshes."""
    lease = Lease("holder-1", 3, NOW + 30, NOW - 5, revokes=True)
    begun = replace(REVOKING, lease=lease, revocation=Revocation(NOW, 1, failure=FAILED))

    failed = begun.attempt_failed(error, NOW + 60, 0.5)

    assert failed.revocation is not None
    failure = failed.revocation.failure
    assert failure is not None
    assert (failure.code, failure.count, failure.retry_at) == (error.code, 2, NOW + 70)
    assert failed == replace(
        begun,
        lease=Lease("", 3, 0, NOW - 5),
        revocation=Revocation(NOW, open_attempts, failure=failure),
    )


@pytest.mark.parametrize(
    ("error", "lease"),
    [
        (ProviderUnavailable("Down."), None),
        (ProviderUnavailable("Lost.", outcome_unknown=True), Lease("", 3, 0, NOW + 60, answer_lost=True)),
        (
            ProviderTimedOut("Slow."),
            Lease("", 3, NOW + 90, NOW + 60, timed_out=True, answer_lost=True),
        ),
    ],
)
def test_a_failed_refresh_before_a_revocation_leaves_what_is_known_of_it(error: Any, lease: Lease | None) -> None:
    """Nothing reached the server; or the answer was lost; or the server may still be at work on it."""
    begun = replace(REVOKING, lease=Lease("holder-1", 3, NOW + 90), revocation=Revocation(NOW, failure=FAILED))

    failed = begun.refresh_failed(error, NOW + 60.5, 0.5)

    assert failed.revocation is not None
    failure = failed.revocation.failure
    assert failure is not None
    assert (failure.code, failure.count, failure.at) == (error.code, 2, NOW + 60)
    assert failed == replace(begun, lease=lease, revocation=Revocation(NOW, failure=failure))


@pytest.mark.parametrize("refreshes", [False, True])
def test_the_pauses_of_a_revocation_grow_to_an_hour(*, refreshes: bool) -> None:
    """Nobody waits for it. That holds for a refresh on the way to it as well."""
    failing = REVOKING
    for _ in range(20):
        by = failing.refresh_failed if refreshes else failing.attempt_failed
        failing = by(ProviderUnavailable("Down."), NOW, 0.5)

    assert failing.revoke_at == NOW + 3600
