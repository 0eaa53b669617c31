"""What a refresh makes of a connection: its lease, its tokens, its failures."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import (
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from functions.vault.grant import refreshes
from functions.vault.grant.belief import Belief
from functions.vault.grant.failure import FIRST_DELAY, LONGEST_DELAY, Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place, Status
from functions.vault.grant.seal import Seal
from functions.vault.grant.stored_set import RefreshedFrom, StoredSet
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import NOW, WHOSE, connection, current, leased, sealed_tokens, token_response, with_current

EXPIRED = ProviderError("invalid_grant", "expired", 400)
ORIGIN = RefreshedFrom("sealed-1", 1)
NEXT = sealed_tokens(sealed=b"sealed-2")


# Leased


def test_a_lease_is_a_journal_entry() -> None:
    """It says who, which attempt, and until when; nothing else changes, not even the time of the latest change."""
    was = connection()

    held = leased(was)

    assert held == replace(with_current(was, lease=Lease("holder-1", 1, NOW + 40), attempts=1), changes=2)


@pytest.mark.parametrize(("now", "live"), [(NOW, True), (NOW + 39.9, True), (NOW + 40, False), (NOW + 41, False)])
def test_a_lease_ends_on_the_second(now: float, *, live: bool) -> None:
    """It holds before `until`, and not at `until`."""
    assert Lease("holder-1", 1, NOW + 40).is_live(now) is live


def test_a_lease_that_waits_for_a_slot_becomes_an_attempt_once_it_has_it() -> None:
    """Until then it has no number, and may lapse without a trace."""
    waiting = refreshes.leased(connection(), "holder-1", NOW + 5, NOW, waiting=True)

    begun = refreshes.got_slot(waiting, NOW + 39.5)

    assert (waiting.lease, current(waiting).attempts) == (Lease("holder-1", 0, NOW + 5, waiting=True), 0)
    assert (begun.lease, current(begun).attempts) == (Lease("holder-1", 1, NOW + 40), 1)
    assert (begun.updated_at, begun.changes) == (waiting.updated_at, waiting.changes + 1)


def test_a_lease_over_a_lapsed_one_is_a_further_attempt() -> None:
    """Whoever takes it knows that an earlier attempt has an unknown outcome."""
    second = leased(leased(), "holder-2")
    third = leased(second, "holder-3")

    assert [(held.lease and held.lease.attempt, current(held).attempts) for held in (second, third)] == [(2, 2), (3, 3)]
    assert not leased().was_interrupted
    assert second.was_interrupted
    assert third.was_interrupted


def test_the_latest_of_two_interruptions_counts() -> None:
    """Its answer may still be on its way into the record, whenever the earlier one was noticed."""
    second = leased(leased(), "holder-2")

    third = refreshes.leased(second, "holder-3", NOW + 140, NOW + 100)
    fourth = refreshes.leased(refreshes.lease_given_back(third, NOW + 101), "holder-4", NOW + 240, NOW + 200)
    to_revoke = current(third).to_be_revoked(NOW + 300).claimed("holder-5", NOW + 340, NOW + 300, revokes=True)

    since = [held.lease and held.lease.interrupted_at for held in (second, third, fourth, to_revoke)]
    assert since == [NOW + 10, NOW + 100, NOW + 100, NOW + 300]


def test_an_attempt_after_a_failure_has_the_next_number() -> None:
    """Attempts number the uses of one token set, whatever their outcome: so answers can be distinguished."""
    failed = refreshes.refresh_failed(leased(), ProviderUnavailable("Down."), NOW + 11, 0.5)

    second = leased(failed, "holder-2")

    assert second.lease == Lease("holder-2", 2, NOW + 40)
    assert not second.was_interrupted


def test_a_lease_that_sent_nothing_leaves_no_trace() -> None:
    """When it is given back only its number is left, which is never used again."""
    back = refreshes.lease_given_back(leased(), NOW + 12.5)

    assert back == replace(with_current(connection(), attempts=1, unsent=1), changes=3)
    assert not back.was_interrupted
    assert not leased(back, "holder-2").was_interrupted


def test_upkeep_that_is_put_off_is_due_then() -> None:
    """Nothing else is: what has no time for its upkeep gets none."""
    held = leased()

    assert refreshes.lease_given_back(held, NOW + 12, NOW + 500).upkeep_at == NOW + 500
    assert refreshes.lease_given_back(held, NOW + 12).upkeep_at == held.upkeep_at
    assert refreshes.lease_given_back(replace(held, upkeep_at=None), NOW + 12, NOW + 500).upkeep_at is None


def test_a_lease_that_sent_nothing_keeps_what_was_unknown_before_it() -> None:
    """A first holder was interrupted, a second had no time: the third still learns of the first."""
    back = refreshes.lease_given_back(leased(leased(), "holder-2"), NOW + 12)

    assert back.lease is not None
    assert not back.lease.is_live(NOW)
    assert back.was_interrupted
    third = leased(back, "holder-3")
    assert third.was_interrupted
    assert third.lease == Lease("holder-3", 3, NOW + 40, interrupted_at=NOW + 10)


def test_a_lease_of_an_earlier_token_set_ends() -> None:
    """Nothing is written of what its holder has learned."""
    assert refreshes.lease_ended(leased()) == replace(with_current(connection(), attempts=1), changes=3)


# Refreshed


def test_a_refresh_makes_the_next_version() -> None:
    """New tokens, no lease, no failure; what belongs to the owner or to the authorization stays."""
    failed = refreshes.refresh_failed(leased(), ProviderUnavailable("Down."), NOW + 11, 0.5)
    response = token_response(expires_at=NOW + 9000, scope="write", subject="acct", metadata={"region": "us"})
    tokens = sealed_tokens(response, b"sealed-2", at=NOW + 5400, version=2)

    after = refreshes.refreshed(leased(failed), tokens, RefreshedFrom("sealed-1", 2), "holder-1", NOW + 5402.9)

    assert after == replace(
        connection(),
        version=2,
        sets=(
            StoredSet(
                "sealed-2",
                Place.CURRENT,
                Seal(b"sealed-2", 1, 2),
                WHOSE,
                expires_at=NOW + 9000,
                refresh_at=NOW + 8700,
                refreshable=True,
                request_id="request-1",
                refreshed_from=RefreshedFrom("sealed-1", 2),
            ),
        ),
        due_at=tokens.due_at,
        upkeep_at=tokens.due_at,
        scope="write",
        subject="acct",
        metadata={"region": "us"},
        refreshed_at=NOW + 5400,
        updated_at=NOW + 5402,
        changes=5,
    )


def test_what_a_refresh_does_not_say_stays() -> None:
    """Scope (RFC 6749 section 5.1), subject, metadata and the end of the refresh token."""
    first = token_response(subject="acct", metadata={"a": "1", "b": "1"}, refresh_expires_at=NOW + 86400)
    silent = sealed_tokens(token_response(scope=None, metadata={"b": "2"}), b"sealed-2")

    after = refreshes.refreshed(leased(connection(first)), silent, ORIGIN, "holder-1", NOW)

    assert (after.scope, after.subject, current(after).refresh_expires_at) == ("read", "acct", NOW + 86400)
    assert after.metadata == {"a": "1", "b": "2"}


@pytest.mark.parametrize(("asks", "at"), [(True, NOW + 120), (False, None)])
def test_an_account_that_a_refresh_does_not_say_is_asked_for_as_before(*, asks: bool, at: int | None) -> None:
    """At the time that was set for it; an answer that needs no question ends that."""
    unknown = with_current(leased(), account_at=NOW + 120)

    after = refreshes.refreshed(
        unknown, sealed_tokens(token_response(asks_endpoint=asks), b"sealed-2"), ORIGIN, "holder-1", NOW + 20
    )

    assert current(after).account_at == at


def test_an_expiry_that_a_refresh_does_not_say_is_unknown() -> None:
    """The expiry of the old token says nothing about the new one's."""
    silent = sealed_tokens(token_response(expires_at=None), b"sealed-2", background="keep_fresh")

    after = refreshes.refreshed(leased(), silent, ORIGIN, "holder-1", NOW)

    assert (after.expires_at, current(after).refresh_at, after.due_at) == (None, None, None)


def test_a_refresh_without_a_refresh_token_is_the_last_one() -> None:
    """The old refresh token is kept if none came before this; if there really is none, a person is needed."""
    last = sealed_tokens(token_response(tokens=TokenSet("AT-2")), b"sealed-2")

    after = refreshes.refreshed(leased(), last, ORIGIN, "holder-1", NOW)

    assert (current(after).refreshable, current(after).refresh_at) == (False, None)
    assert (after.refreshable, after.due_at) == (False, after.needs_from)


def test_a_late_answer_makes_a_connection_active_whose_grant_was_refused() -> None:
    """A server that has issued tokens for it has not ended it: nothing is left of the refusal."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=EXPIRED), NOW + 12)

    after = refreshes.refreshed(dead, NEXT, ORIGIN, "holder-1", NOW + 15)

    assert (after.status, after.version, after.failure) == (Status.ACTIVE, 2, None)
    assert after.due_at == NEXT.due_at
    after.require_vendable()


@pytest.mark.parametrize(("now", "kept"), [(NOW + 39, True), (NOW + 40, False)])
def test_another_holder_that_is_at_work_keeps_its_lease(now: float, *, kept: bool) -> None:
    """A stale holder commits late: whoever is at work since goes on, but a lapsed lease goes."""
    since = leased(leased(), "holder-2")

    after = refreshes.refreshed(since, NEXT, ORIGIN, "holder-1", now)

    assert after.lease == (since.lease if kept else None)
    assert refreshes.refreshed(leased(), NEXT, ORIGIN, "holder-1", now).lease is None


# Failed


@pytest.mark.parametrize(
    ("failures", "jitter", "delay"),
    [
        (1, 0.5, FIRST_DELAY),
        (1, 0.0, FIRST_DELAY * 0.8),
        (1, 1.0, FIRST_DELAY * 1.2),
        (2, 0.5, FIRST_DELAY * 2),
        (5, 0.5, FIRST_DELAY * 16),
        (7, 0.5, LONGEST_DELAY),
        (500, 0.5, LONGEST_DELAY),
    ],
)
def test_pauses_grow_with_each_failure(failures: int, jitter: float, delay: float) -> None:
    """Doubled from 5 seconds to 5 minutes, spread by a fifth to each side."""
    after = connection()
    for _ in range(failures):
        after = refreshes.refresh_failed(leased(after), ProviderUnavailable("Down."), NOW + 10, jitter)

    assert after.failure is not None
    assert (after.failure.count, after.failure.at) == (failures, NOW + 10)
    assert after.failure.retry_at == NOW + 10 + delay
    assert after.failure.in_force_until(needed=True, was_needed=True) == NOW + 10
    assert after.failure.in_force_until(needed=False, was_needed=False) == NOW + 10 + delay


def test_a_failure_keeps_the_tokens_and_the_status() -> None:
    """A token that is still good is still vended."""
    held = leased()

    after = refreshes.refresh_failed(held, ProviderMisconfigured("No.", provider_error=EXPIRED), NOW + 12, 0.5)

    assert after.failure == Failure(
        "provider_misconfigured", 1, NOW + 12, NOW + 17, "holder-1", "No.", provider_error=EXPIRED, pauses=1
    )
    assert after == replace(with_current(held, lease=None), failure=after.failure, updated_at=NOW + 12, changes=3)


@pytest.mark.parametrize(("due_at", "then"), [(None, None), (NOW + 1, NOW + 17), (NOW + 9000, NOW + 9000)])
def test_background_work_is_not_due_during_a_pause(due_at: int | None, then: int | None) -> None:
    """It is not due before `retry_at`, nor earlier than it was: a failing provider is not work for every sweep."""
    held = replace(leased(), due_at=due_at, upkeep_at=due_at)

    after = refreshes.refresh_failed(held, ProviderUnavailable("Down."), NOW + 12, 0.5)

    assert after.due_at == then


def test_a_pause_is_never_shorter_than_the_server_asks_for() -> None:
    """Retry-After makes a pause longer, never shorter."""
    long = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=3600), NOW, 1.0)
    short = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=1), NOW, 0.5)

    assert [after.failure and after.failure.retry_at for after in (long, short)] == [NOW + 3600, NOW + 5]


def test_pauses_that_grew_while_a_refresh_was_optional_do_not_count_once_it_is_needed() -> None:
    """They are over for a caller without a token, and begin to grow again; from then on they hold for everybody."""
    offered = connection()
    for _ in range(6):
        offered = refreshes.refresh_failed(leased(offered), ProviderUnavailable("Down."), NOW + 10, 0.5)
    needed = refreshes.refresh_failed(leased(offered), ProviderUnavailable("Down."), NOW + 20, 0.5, needed=True)
    again = refreshes.refresh_failed(leased(needed), ProviderUnavailable("Down."), NOW + 30, 0.5, needed=True)

    pauses = [
        (each.failure.count, each.failure.pauses, each.failure.retry_at) for each in (needed, again) if each.failure
    ]
    assert pauses == [(7, 1, NOW + 25), (8, 2, NOW + 40)]
    assert offered.failure
    assert offered.failure.in_force_until(needed=True, was_needed=False) == NOW + 10
    assert offered.failure.in_force_until(needed=False, was_needed=False) == NOW + 170
    assert again.failure
    assert again.failure.needed_since == NOW + 20
    assert again.failure.in_force_until(needed=True, was_needed=True) == NOW + 40
    assert again.failure.in_force_until(needed=True, was_needed=False) == NOW + 30


def test_the_time_that_a_server_names_holds_for_everybody() -> None:
    """Retry-After is; a pause of our own is not."""
    its = refreshes.refresh_failed(
        leased(), ProviderThrottled("Wait.", retry_after=60, provider_error=EXPIRED), NOW, 0.5
    )
    ours = refreshes.refresh_failed(leased(), ProviderUnavailable("No metadata.", retry_after=60), NOW, 0.5)

    assert [each.failure and each.failure.in_force_until(needed=True, was_needed=False) for each in (its, ours)] == [
        NOW + 60,
        NOW,
    ]


def test_an_unknown_outcome_is_remembered_until_a_success() -> None:
    """The refresh token may have been used up. A later failure with a known outcome does not change that."""
    unknown = refreshes.refresh_failed(leased(), ProviderUnavailable("Lost.", outcome_unknown=True), NOW, 0.5)
    known = refreshes.refresh_failed(leased(unknown), ProviderThrottled("Wait."), NOW, 0.5)
    better = refreshes.refreshed(leased(known), NEXT, ORIGIN, "holder-1", NOW)

    assert unknown.was_interrupted
    assert known.was_interrupted
    assert not better.was_interrupted


def test_a_request_that_timed_out_keeps_its_lease_until_the_server_must_have_ended() -> None:
    """The server may be at work: nobody asks it before that, and what was unknown before it is still unknown."""
    interrupted = leased(leased(), "holder-2")
    slow = ProviderTimedOut("No answer in time.")

    after = refreshes.refresh_timed_out(interrupted, slow, NOW + 70.2, NOW + 12.9, 1.0, needed=True)

    assert after.lease == Lease("holder-2", 2, NOW + 71, timed_out=True)
    assert after.failure is not None
    assert (after.failure.retry_at, after.failure.not_before, after.failure.needed_since) == (
        NOW + 71,
        NOW + 71,
        NOW + 12,
    )
    assert (after.was_interrupted, after.updated_at) == (True, NOW + 12)


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 4.0), (1.0, 6.0)])
def test_after_a_time_out_the_pause_is_spread_as_after_any_failure(jitter: float, pause: float) -> None:
    """It counts if it is longer than the server may be at work."""
    slow = ProviderTimedOut("No answer in time.")

    after = refreshes.refresh_timed_out(leased(), slow, NOW + 11, NOW + 10, jitter, needed=False)

    assert after.failure is not None
    assert (after.failure.retry_at, after.failure.needed_since) == (NOW + 10 + pause, None)


@pytest.mark.parametrize(("answer", "unsent"), [(None, 1), (ProviderError("server_error", None, 500), 0)])
def test_what_never_reached_the_server_is_no_use_of_the_refresh_token(
    answer: ProviderError | None, unsent: int
) -> None:
    """Its number stays taken. A refusal of the next attempt then still met the first use, and may be looked at."""
    after = refreshes.refresh_failed(leased(), ProviderUnavailable("Down.", provider_error=answer), NOW + 11, 0.5)

    assert (current(after).attempts, current(after).unsent) == (1, unsent)
    refusal = ReauthorizationRequired("Gone.", provider_error=EXPIRED)
    dead = refreshes.refused(leased(after, "holder-2"), refusal, NOW + 20)
    assert (current(dead).belief is not None) is bool(unsent)


def test_a_lapsed_lease_is_remembered_through_a_failure() -> None:
    """The second holder's failure does not hide that the first one was interrupted."""
    after = refreshes.refresh_failed(leased(leased(), "holder-2"), ProviderThrottled("Wait."), NOW, 0.5)

    assert after.lease is None
    assert after.was_interrupted


@pytest.mark.parametrize(
    ("now", "retry_after"), [(NOW, 60), (NOW + 4.9, 60), (NOW + 5, 55), (NOW + 59.5, 1), (NOW + 60, 1), (NOW + 100, 1)]
)
def test_callers_that_share_a_failure_get_the_time_to_try_again(now: float, retry_after: int) -> None:
    """All who ask together get one answer; later ones get the time that is left; nobody gets 0."""
    failure = Failure("provider_unavailable", 1, NOW, NOW + 60, "holder-1", "Down.", provider_error=EXPIRED)

    error = failure.as_error("merchant-1", now)

    assert (error.code, error.retry_after, error.connection_id, error.provider_error) == (
        "provider_unavailable",
        retry_after,
        "merchant-1",
        EXPIRED,
    )


# Dead


def test_a_dead_grant_keeps_its_reason() -> None:
    """Only a look is due; every caller gets the reason, in the same words."""
    held = leased()

    dead = refreshes.refused(held, ReauthorizationRequired("Gone.", provider_error=EXPIRED), NOW + 12)

    belief = Belief(NOW + 12, NOW + 12, next_at=NOW + 312)
    assert dead == replace(
        with_current(held, lease=None, refresh_at=None, was_refused=True, belief=belief),
        status=Status.REAUTHORIZATION_REQUIRED,
        updated_at=NOW + 12,
        changes=3,
        failure=Failure(
            "reauthorization_required", 1, NOW + 12, NOW + 12, "holder-1", "Gone.", provider_error=EXPIRED, pauses=1
        ),
        due_at=NOW + 312,
        upkeep_at=NOW + 312,
    )
    with pytest.raises(ReauthorizationRequired, match=r"^Gone\.$") as caught:
        dead.require_vendable()
    assert caught.value.provider_error == EXPIRED


def test_a_look_that_waited_for_a_slot_in_vain_does_not_count() -> None:
    """It was begun in the background and has sent nothing; a caller's look, which takes the lease over, does count."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=EXPIRED), NOW + 12)
    waited = refreshes.leased(dead, "holder-2", NOW + 400, NOW + 312, waiting=True, by_caller=False)

    looked = refreshes.leased(waited, "holder-3", NOW + 500, NOW + 460)

    belief = current(looked).belief
    assert belief is not None
    assert (belief.looks, belief.by_callers, belief.latest_by_caller, belief.asked_at) == (0, 1, True, NOW + 500)


def test_a_refusal_after_a_failure_is_what_everybody_gets() -> None:
    """And not the outage before it, which is over."""
    failed = refreshes.refresh_failed(leased(), ProviderUnavailable("Down."), NOW + 11, 0.5)

    dead = refreshes.refused(leased(failed, "holder-2"), ReauthorizationRequired("Gone."), NOW + 20)

    assert dead.failure is not None
    assert (dead.failure.code, dead.failure.description) == ("reauthorization_required", "Gone.")


def test_a_refusal_after_an_interruption_says_so() -> None:
    """The operator learns that a lost answer, and not the customer, may have ended the grant."""
    interrupted = leased(leased(), "holder-2")

    dead = refreshes.refused(interrupted, ReauthorizationRequired("Gone."), NOW)

    assert dead.failure is not None
    assert dead.failure.description.startswith("Gone. An earlier refresh was interrupted")


def test_a_refusal_after_a_lost_answer_says_so_too() -> None:
    """The same attempt asked twice: its own first answer was lost, and no lease shows that."""
    failures = [
        refreshes.refused(leased(), ReauthorizationRequired("Gone."), NOW, after_loss=lost).failure
        for lost in (False, True)
    ]

    assert [failure and "was interrupted" in failure.description for failure in failures] == [False, True]


def test_a_refresh_that_narrows_the_scope_shows_too() -> None:
    """RFC 6749 section 6: what was asked for stays what it was."""
    asked = refreshes.leased(connection(requested_scope="read write"), "holder-1", NOW + 30, NOW)

    narrower = token_response(scope="read", scope_missing=("write",))
    after = refreshes.refreshed(asked, sealed_tokens(narrower), RefreshedFrom("sealed-1", 1), "holder-1", NOW + 1)

    assert (after.requested_scope, after.scope, after.scope_missing) == ("read write", "read", ("write",))
