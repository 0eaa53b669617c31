"""A connection's life: what each thing that can happen makes of it, and what may be done with it then."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import (
    ConfirmationRequired,
    ConnectionRevoked,
    GatehouseError,
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from functions.vault.grant import late_answers, refreshes, revocations, transition
from functions.vault.grant.belief import Belief
from functions.vault.grant.connection import Connection
from functions.vault.grant.failure import FIRST_DELAY, LONGEST_DELAY, LONGEST_REVOCATION_DELAY, Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import MOST_SUPERSEDED, Place, Status
from functions.vault.grant.revocation import REFUSED_AFTER_AN_INTERRUPTION, Revocation
from functions.vault.grant.revocations import MOST_REVOKED
from functions.vault.grant.revoked import Revoked
from functions.vault.grant.seal import Seal
from functions.vault.grant.stored_set import RefreshedFrom, StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import SealedTokens
from tests.unit.samples import NOW, WHOSE, connection, sealed_tokens, token_response, with_current

SAID = ProviderError("invalid_grant", "expired", 400)
ORIGIN = RefreshedFrom("sealed-1", 1)
NEXT = sealed_tokens(sealed=b"sealed-2")


def current(of: Connection) -> StoredSet:
    """Return the token set that a connection vends."""
    assert of.current is not None
    return of.current


def leased(was: Connection | None = None, holder: str = "holder-1") -> Connection:
    """Return a connection with a lease from `NOW + 10` to `NOW + 40`."""
    return refreshes.leased(was or connection(), holder, NOW + 39.5, NOW + 10.9)


# Authorized


def test_an_authorization_makes_an_active_connection() -> None:
    """Field by field; tokens of an hour with a margin of 300 s come into it after 55 minutes.

    The record is written five seconds after the server answered: the times are those of the answer.
    """
    response = token_response(subject="acct", metadata={"region": "eu"}, refresh_expires_at=NOW + 86400)

    before = replace(connection(), sets=(), created_at=NOW - 100, revocations=2)

    made = connection(response, now=NOW + 5.9, before=before)

    assert made == Connection(
        connection_id="merchant-1",
        provider="acme",
        status=Status.ACTIVE,
        version=1,
        created_at=NOW - 100,
        updated_at=NOW + 5,
        refreshed_at=NOW,
        sets=(
            StoredSet(
                "sealed-1",
                Place.CURRENT,
                Seal(b"sealed-1", 1, 1),
                WHOSE,
                expires_at=NOW + 3600,
                refresh_at=NOW + 3300,
                refresh_expires_at=NOW + 86400,
                refreshable=True,
                request_id="request-1",
            ),
        ),
        scope="read",
        subject="acct",
        owner="owner-1",
        metadata={"region": "eu"},
        parameters={"shop": "1"},
        tags={"tier": "gold"},
        authorized_by="request-1",
        authorized_at=NOW,
        revocations=2,
        changes=2,
        due_shard=made.due_shard,
        due_at=made.due_at,
        upkeep_at=made.due_at,
    )
    assert made.due_shard in {str(number) for number in range(16)}
    assert made.due_at is not None


@pytest.mark.parametrize(
    ("lifetime", "margin", "due_after"),
    [(3600, 300, 3300), (3600, 0, 3600), (1200, 300, 900), (1199, 300, 900), (60, 300, 45), (3, 300, 3), (1, 300, 1)],
)
def test_tokens_are_due_a_margin_before_their_end(lifetime: int, margin: int, due_after: int) -> None:
    """The margin is at most a quarter of the life: a token of a minute is not due when it is born."""
    response = token_response(expires_at=NOW + lifetime)
    # The latest that a policy to keep the access token fresh may spread its work to.
    latest = sealed_tokens(response, margin=margin, background="keep_fresh", jitter=1.0)

    made = connection(tokens=latest)

    assert (current(made).refresh_at, made.due_at) == (NOW + due_after, NOW + due_after)
    assert not made.is_due(NOW + due_after - 1)
    assert made.is_due(NOW + due_after)


@pytest.mark.parametrize("background", ["keep_alive", "keep_fresh", "never"])
@pytest.mark.parametrize(
    ("lifetime", "due_after"), [(None, None), (3600, 2700), (20 * 86400, 15 * 86400), (60 * 86400, 53 * 86400)]
)
def test_what_cannot_be_refreshed_is_due_for_saying_so(
    lifetime: int | None, due_after: int | None, background: str
) -> None:
    """Without a refresh token there is nothing to refresh: a person is asked in time, and it is over in the end."""
    expires_at = None if lifetime is None else NOW + lifetime
    response = token_response(tokens=TokenSet("AT-1"), expires_at=expires_at)

    made = connection(tokens=sealed_tokens(response, background=background))

    needs_from = None if due_after is None else NOW + due_after
    assert (made.needs_from, made.due_at, made.needs) == (needs_from, needs_from, None)
    assert (made.refreshable, current(made).refresh_at, current(made).refreshable) == (False, None, False)
    assert not made.is_due(NOW + 10**9)
    if needs_from is not None:
        near = refreshes.ends_soon(made, needs_from)
        assert (near.status, near.needs, near.due_at) == (Status.ACTIVE, "reauthorization", expires_at)
        near.require_vendable()
        gone = refreshes.refused(near, ReauthorizationRequired("It has ended."), needs_from)
        assert (gone.needs, gone.due_at) == ("reauthorization", None)


def test_what_need_not_be_refreshed_is_due_for_its_grants_sake_only() -> None:
    """A token without known expiry has no margin to come into; its idle refresh token may still want to be used."""
    endless = token_response(expires_at=None)

    fresh, alive, never = (
        connection(tokens=sealed_tokens(endless, background=policy)) for policy in ("keep_fresh", "keep_alive", "never")
    )

    assert [current(made).refresh_at for made in (fresh, alive, never)] == [None, None, None]
    assert [(made.due_shard, made.due_at) for made in (fresh, never)] == [(None, None), (None, None)]
    assert alive.due_shard is not None
    assert alive.due_at is not None
    assert not alive.is_due(NOW + 10**9)


def test_the_shard_is_always_the_same_and_the_shards_are_even() -> None:
    """A connection stays in its shard, and a thousand connections use all sixteen, none twice as much as its share."""
    shards = [connection(connection_id=f"merchant-{number}").due_shard for number in range(1000)]

    assert shards == [connection(connection_id=f"merchant-{number}").due_shard for number in range(1000)]
    counts = {shard: shards.count(shard) for shard in shards}
    assert counts.keys() == {str(number) for number in range(16)}
    assert max(counts.values()) < 125


# Valid


@pytest.mark.parametrize(
    ("seconds", "valid_for"),
    [(0, 3600), (60, 3540), (3599, 1), (3600, 1800), (7200, 1800)],
)
def test_a_token_is_valid_until_its_end_less_what_is_asked_for(seconds: int, valid_for: int) -> None:
    """A life longer than the token's own cannot be had: then its first half will do."""
    made = connection()

    assert made.is_valid_for(seconds, NOW + valid_for - 0.001)
    assert not made.is_valid_for(seconds, NOW + valid_for)


@pytest.mark.parametrize(
    ("age", "lifetime", "expected"), [(0, 3600, True), (9, 3600, True), (10, 3600, False), (4, 5, True), (5, 5, False)]
)
def test_a_good_token_set_is_of_a_moment_ago_for_ten_seconds(age: int, lifetime: int, *, expected: bool) -> None:
    """For so long a refresh would not better it; one that has run out by then can be bettered."""
    made = connection(token_response(expires_at=NOW + lifetime))

    assert made.was_just_obtained(NOW + age) is expected


def test_a_token_without_known_end_is_valid() -> None:
    """Until a caller says otherwise with `refresh`."""
    assert connection(token_response(expires_at=None)).is_valid_for(10**9, NOW + 10**9)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.ACTIVE, None),
        (Status.UNCONFIRMED, ConfirmationRequired),
        (Status.REAUTHORIZATION_REQUIRED, ReauthorizationRequired),
        (Status.REVOKING, ConnectionRevoked),
        (Status.REVOKED, ConnectionRevoked),
    ],
)
def test_each_status_vends_or_says_why_not(status: Status, error: type[GatehouseError] | None) -> None:
    """Only an active connection has a token to give; the others name the connection and the reason."""
    made = replace(connection(), status=status)

    if error is None:
        made.require_vendable()
        return
    with pytest.raises(error) as caught:
        made.require_vendable()
    assert caught.value.connection_id == "merchant-1"


# Superseded


def superseding(was: Connection, number: int) -> Connection:
    """Return a connection after one more consent."""
    tokens = sealed_tokens(sealed=b"consent-%d" % number, version=was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{number}", now=NOW + number)


def test_a_new_consent_supersedes_the_token_set_before_it() -> None:
    """It is vended to nobody, and not forgotten: it is the way to end its grant one day."""
    held = leased()

    anew = superseding(held, 2)

    assert (current(anew).id, anew.version, anew.lease) == ("consent-2", 2, None)
    assert anew.in_place(Place.SUPERSEDED) == (replace(current(held), place=Place.SUPERSEDED),)
    assert (anew.revocation_due_at, anew.due_at) == (None, anew.upkeep_at)


def test_revoking_ends_what_was_superseded_too() -> None:
    """The current token set first: a server that ends all at once then has nothing left to say no to."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)
    twice = superseding(superseding(dead, 2), 3)

    ending = revocations.revoked(twice, NOW + 20, "holder-1", NOW + 50)

    assert [each.id for each in ending.to_revoke] == ["consent-3", "consent-2", "sealed-1"]
    assert [each.is_held_by("holder-1") for each in ending.to_revoke] == [True, False, False]
    assert [each.was_dead for each in ending.to_revoke] == [False, False, True]
    assert ending.revocation_due_at == NOW + 20


def test_no_more_are_kept_than_there_is_room_for() -> None:
    """The oldest is left to its server, and whoever writes that can say which."""
    many = connection()
    for number in range(MOST_SUPERSEDED):
        many = superseding(many, number)
    assert len(many.in_place(Place.SUPERSEDED)) == MOST_SUPERSEDED

    after = superseding(many, 99)

    assert len(after.in_place(Place.SUPERSEDED)) == MOST_SUPERSEDED
    assert [each.id for each in transition.left_behind(many, after)] == ["sealed-1"]
    assert transition.left_behind(many, refreshes.leased(many, "holder-1", NOW + 30, NOW)) == ()


# Leased


def test_a_lease_is_a_journal_entry() -> None:
    """It says who, the which attempt, and until when; nothing else changes but the time of the change."""
    was = connection()

    held = leased(was)

    assert held == replace(
        with_current(was, lease=Lease("holder-1", 1, NOW + 40), attempts=1), updated_at=NOW + 10, changes=2
    )


@pytest.mark.parametrize(("now", "live"), [(NOW, True), (NOW + 39.9, True), (NOW + 40, False), (NOW + 41, False)])
def test_a_lease_ends_on_the_second(now: float, *, live: bool) -> None:
    """It holds until, but not at, its `until`."""
    assert Lease("holder-1", 1, NOW + 40).is_live(now) is live


def test_a_lease_over_a_lapsed_one_is_a_further_attempt() -> None:
    """Whoever takes it knows that an attempt before it has an unknown outcome."""
    second = leased(leased(), "holder-2")
    third = leased(second, "holder-3")

    assert [(held.lease and held.lease.attempt, current(held).attempts) for held in (second, third)] == [(2, 2), (3, 3)]
    assert not leased().was_interrupted
    assert second.was_interrupted
    assert third.was_interrupted


def test_the_latest_of_two_interruptions_counts() -> None:
    """Its answer may be on its way into the record still, whenever the one before it was noticed."""
    second = leased(leased(), "holder-2")

    third = refreshes.leased(second, "holder-3", NOW + 140, NOW + 100)
    fourth = refreshes.leased(refreshes.lease_given_back(third, NOW + 101), "holder-4", NOW + 240, NOW + 200)
    to_revoke = current(third).to_be_revoked(NOW + 300).claimed("holder-5", NOW + 340, NOW + 300, revokes=True)

    since = [held.lease and held.lease.interrupted_at for held in (second, third, fourth, to_revoke)]
    assert since == [NOW + 10, NOW + 100, NOW + 100, NOW + 300]


def test_an_attempt_after_a_failure_is_a_further_one_too() -> None:
    """Attempts number the uses of one token set, however each ended: two answers of them are told apart by it."""
    failed = refreshes.refresh_failed(leased(), ProviderUnavailable("Down."), NOW + 11, 0.5)

    second = leased(failed, "holder-2")

    assert second.lease == Lease("holder-2", 2, NOW + 40)
    assert not second.was_interrupted


def test_a_lease_that_sent_nothing_leaves_no_trace() -> None:
    """Given back, it is as if it had not been, but for its number, which is never used again."""
    back = refreshes.lease_given_back(leased(), NOW + 12.5)

    assert back == replace(with_current(connection(), attempts=1, unsent=1), updated_at=NOW + 12, changes=3)
    assert not back.was_interrupted
    assert not leased(back, "holder-2").was_interrupted


def test_a_lease_that_sent_nothing_keeps_what_was_unknown_before_it() -> None:
    """A first holder vanished, a second one found no time: the third still learns of the first."""
    back = refreshes.lease_given_back(leased(leased(), "holder-2"), NOW + 12)

    assert back.lease is not None
    assert not back.lease.is_live(NOW)
    assert back.was_interrupted
    third = leased(back, "holder-3")
    assert third.was_interrupted
    assert third.lease == Lease("holder-3", 3, NOW + 40, interrupted_at=NOW + 10)


def test_a_lease_on_a_token_set_of_the_past_is_let_go() -> None:
    """Nothing is written of what its holder came to know."""
    assert refreshes.lease_ended(leased(), NOW + 13.9) == replace(
        with_current(connection(), attempts=1), updated_at=NOW + 13, changes=3
    )


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


def test_what_a_refresh_is_silent_about_stays() -> None:
    """Scope (RFC 6749 section 5.1), subject, metadata and the end of the refresh token."""
    first = token_response(subject="acct", metadata={"a": "1", "b": "1"}, refresh_expires_at=NOW + 86400)
    silent = sealed_tokens(token_response(scope=None, metadata={"b": "2"}), b"sealed-2")

    after = refreshes.refreshed(leased(connection(first)), silent, ORIGIN, "holder-1", NOW)

    assert (after.scope, after.subject, current(after).refresh_expires_at) == ("read", "acct", NOW + 86400)
    assert after.metadata == {"a": "1", "b": "2"}


def test_an_expiry_that_a_refresh_is_silent_about_is_unknown() -> None:
    """The old token's end says nothing about the new one's."""
    silent = sealed_tokens(token_response(expires_at=None), b"sealed-2", background="keep_fresh")

    after = refreshes.refreshed(leased(), silent, ORIGIN, "holder-1", NOW)

    assert (after.expires_at, current(after).refresh_at, after.due_at) == (None, None, None)


def test_a_refresh_without_a_refresh_token_is_the_last_one() -> None:
    """The client keeps the old refresh token where none came; where there really is none, a person is asked."""
    last = sealed_tokens(token_response(tokens=TokenSet("AT-2")), b"sealed-2")

    after = refreshes.refreshed(leased(), last, ORIGIN, "holder-1", NOW)

    assert (current(after).refreshable, current(after).refresh_at) == (False, None)
    assert (after.refreshable, after.due_at) == (False, after.needs_from)


def test_a_dead_grant_lives_again_by_a_late_answer() -> None:
    """A server that issued tokens for it has not ended it: it is active, and forgets its death."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

    after = refreshes.refreshed(dead, NEXT, ORIGIN, "holder-1", NOW + 15)

    assert (after.status, after.version, after.failure) == (Status.ACTIVE, 2, None)
    assert after.due_at == NEXT.due_at
    after.require_vendable()


@pytest.mark.parametrize(("now", "kept"), [(NOW + 39, True), (NOW + 40, False)])
def test_another_that_is_at_work_keeps_its_lease(now: float, *, kept: bool) -> None:
    """A stale holder commits late: the one at work since goes on, but a lease that has lapsed is nobody's."""
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
def test_a_failing_server_is_left_alone_longer_each_time(failures: int, jitter: float, delay: float) -> None:
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

    after = refreshes.refresh_failed(held, ProviderMisconfigured("No.", provider_error=SAID), NOW + 12, 0.5)

    assert after.failure == Failure(
        "provider_misconfigured", 1, NOW + 12, NOW + 17, "holder-1", "No.", provider_error=SAID, pauses=1
    )
    assert after == replace(with_current(held, lease=None), failure=after.failure, updated_at=NOW + 12, changes=3)


@pytest.mark.parametrize(("due_at", "then"), [(None, None), (NOW + 1, NOW + 17), (NOW + 9000, NOW + 9000)])
def test_background_work_waits_as_long_as_the_server_is_left_alone(due_at: int | None, then: int | None) -> None:
    """Not due before `retry_at`, and not sooner than it was: a failing provider makes no work for every sweep."""
    held = replace(leased(), due_at=due_at, upkeep_at=due_at)

    after = refreshes.refresh_failed(held, ProviderUnavailable("Down."), NOW + 12, 0.5)

    assert after.due_at == then


def test_the_servers_own_wait_is_the_least() -> None:
    """Retry-After goes over our own delay, never under it."""
    long = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=3600), NOW, 1.0)
    short = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=1), NOW, 0.5)

    assert [after.failure and after.failure.retry_at for after in (long, short)] == [NOW + 3600, NOW + 5]


def test_pauses_that_grew_while_a_refresh_was_an_offer_count_for_nothing_once_it_is_needed() -> None:
    """They are over for who has no token, and begin to grow again; those of a need hold for everybody."""
    offered = connection()
    for _ in range(6):
        offered = refreshes.refresh_failed(leased(offered), ProviderUnavailable("Down."), NOW + 10, 0.5)
    needed = refreshes.refresh_failed(leased(offered), ProviderUnavailable("Down."), NOW + 20, 0.5, needed=True)
    again = refreshes.refresh_failed(leased(needed), ProviderUnavailable("Down."), NOW + 30, 0.5, needed=True)

    said = [
        (each.failure.count, each.failure.pauses, each.failure.retry_at) for each in (needed, again) if each.failure
    ]
    assert said == [(7, 1, NOW + 25), (8, 2, NOW + 40)]
    assert offered.failure
    assert offered.failure.in_force_until(needed=True, was_needed=False) == NOW + 10
    assert offered.failure.in_force_until(needed=False, was_needed=False) == NOW + 170
    assert again.failure
    assert again.failure.needed_since == NOW + 20
    assert again.failure.in_force_until(needed=True, was_needed=True) == NOW + 40
    assert again.failure.in_force_until(needed=True, was_needed=False) == NOW + 30


def test_the_time_that_a_server_names_holds_for_everybody() -> None:
    """Retry-After is its word; a wait that is our own is not."""
    its = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=60, provider_error=SAID), NOW, 0.5)
    ours = refreshes.refresh_failed(leased(), ProviderUnavailable("No metadata.", retry_after=60), NOW, 0.5)

    assert [each.failure and each.failure.in_force_until(needed=True, was_needed=False) for each in (its, ours)] == [
        NOW + 60,
        NOW,
    ]


def test_an_unknown_outcome_is_remembered_until_a_success() -> None:
    """The refresh token may have been used up: a known failure after that does not undo it, a success does."""
    unknown = refreshes.refresh_failed(leased(), ProviderUnavailable("Lost.", outcome_unknown=True), NOW, 0.5)
    known = refreshes.refresh_failed(leased(unknown), ProviderThrottled("Wait."), NOW, 0.5)
    better = refreshes.refreshed(leased(known), NEXT, ORIGIN, "holder-1", NOW)

    assert unknown.was_interrupted
    assert known.was_interrupted
    assert not better.was_interrupted


def test_a_lapsed_lease_is_remembered_through_a_failure() -> None:
    """The second holder's outage does not hide that the first one vanished."""
    after = refreshes.refresh_failed(leased(leased(), "holder-2"), ProviderThrottled("Wait."), NOW, 0.5)

    assert after.lease is None
    assert after.was_interrupted


@pytest.mark.parametrize(
    ("now", "retry_after"), [(NOW, 60), (NOW + 4.9, 60), (NOW + 5, 55), (NOW + 59.5, 1), (NOW + 60, 1), (NOW + 100, 1)]
)
def test_who_shares_a_failure_is_told_when_to_come_again(now: float, retry_after: int) -> None:
    """All who asked together get one answer; later ones get what is left; nobody is told to come at once."""
    failure = Failure("provider_unavailable", 1, NOW, NOW + 60, "holder-1", "Down.", provider_error=SAID)

    error = failure.as_error("merchant-1", now)

    assert (error.code, error.retry_after, error.connection_id, error.provider_error) == (
        "provider_unavailable",
        retry_after,
        "merchant-1",
        SAID,
    )


# Dead


def test_a_dead_grant_keeps_its_reason() -> None:
    """A look is due, and nothing else; whoever asks is told why, in the same words."""
    held = leased()

    dead = refreshes.refused(held, ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

    belief = Belief(NOW + 12, NOW + 12, next_at=NOW + 312)
    assert dead == replace(
        with_current(held, lease=None, refresh_at=None, was_refused=True, belief=belief),
        status=Status.REAUTHORIZATION_REQUIRED,
        updated_at=NOW + 12,
        changes=3,
        failure=Failure(
            "reauthorization_required", 1, NOW + 12, NOW + 12, "holder-1", "Gone.", provider_error=SAID, pauses=1
        ),
        due_at=NOW + 312,
        upkeep_at=NOW + 312,
    )
    with pytest.raises(ReauthorizationRequired, match=r"^Gone\.$") as caught:
        dead.require_vendable()
    assert caught.value.provider_error == SAID


def test_a_death_after_an_interruption_says_so() -> None:
    """The operator learns that a lost answer, not the merchant, may have ended the grant."""
    interrupted = leased(leased(), "holder-2")

    dead = refreshes.refused(interrupted, ReauthorizationRequired("Gone."), NOW)

    assert dead.failure is not None
    assert dead.failure.description.startswith("Gone. An earlier refresh was interrupted")


def test_a_death_after_an_answer_that_was_lost_says_so_too() -> None:
    """The same attempt asked twice: its own first answer was lost, and no lease tells of that."""
    said = [
        refreshes.refused(leased(), ReauthorizationRequired("Gone."), NOW, after_loss=lost).failure
        for lost in (False, True)
    ]

    assert [failure and "was interrupted" in failure.description for failure in said] == [False, True]


# Ended


def test_revoking_ends_it_here() -> None:
    """At once, even in the middle of a refresh, whose token set waits for its end. It is in nobody else's hand."""
    held = leased()
    assert held.lease
    assert held.lease.is_live(NOW + 20)

    ending = revocations.revoked(held, NOW + 20.5, "holder-2", NOW + 50)

    assert ending == replace(
        held,
        status=Status.REVOKING,
        revocations=1,
        updated_at=NOW + 20,
        sets=(replace(current(held), place=Place.REVOKING, revocation=Revocation(NOW + 20)),),
        changes=held.changes + 1,
        due_at=held.lease.until,
        revocation_due_at=held.lease.until,
        upkeep_at=None,
    )
    with pytest.raises(ConnectionRevoked):
        ending.require_vendable()


def test_what_need_no_upkeep_is_due_for_its_revocation() -> None:
    """A connection that lay in no shard comes into its own, so that the sweep finds it."""
    bare = connection(token_response(tokens=TokenSet("AT-1"), expires_at=None))

    ending = revocations.revoked(bare, NOW)
    in_hand = revocations.revoked(bare, NOW, "holder-1", NOW + 30)

    assert bare.due_shard is None
    assert in_hand.due_at == NOW + 30
    assert (ending.due_shard, ending.due_at) == (connection().due_shard, NOW)


def test_revoking_a_dead_grant_remembers_that_it_was_dead() -> None:
    """Nothing of its failure stays but that: the server has refused the refresh token once."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

    ending = revocations.revoked(dead, NOW + 20)

    assert [over.was_dead for over in ending.to_revoke] == [True]
    assert ending.to_revoke[0].answers == {}
    assert ending.failure is None


def revoked(was: Connection) -> Connection:
    """Return a connection that was revoked here and there."""
    ending = revocations.revoked(was, NOW + 20)
    return revocations.revocation_confirmed(
        ending, ending.to_revoke[0].answered("refresh_token", "revoked", NOW + 21), NOW + 22
    )


def test_what_the_server_said_of_each_token_is_kept_and_the_ciphertext_is_not() -> None:
    """It is the record of the revocation: nothing is left that opens, nothing is due."""
    ending = revocations.revoked(connection(token_response(refresh_expires_at=NOW + 86400)), NOW)
    (told,) = ending.to_revoke
    told = told.answered("refresh_token", "revoked", NOW + 1.5).answered(
        "access_token", "unsupported_token_type", NOW + 2
    )

    ended = revocations.revocation_confirmed(ending, told, NOW + 3)

    said = {
        "refresh_token": {"answer": "revoked", "at": NOW + 1},
        "access_token": {"answer": "unsupported_token_type", "at": NOW + 2},
    }
    assert ended == replace(
        connection(),
        status=Status.REVOKED,
        revocations=1,
        revocation=(Revoked("acme", 1, said, {"shop": "1"}, "sealed-1", "request-1"),),
        changes=3,
        sets=(),
        due_shard=None,
        due_at=None,
        upkeep_at=None,
        updated_at=NOW + 3,
    )


def test_a_record_of_revocations_does_not_grow_for_ever() -> None:
    """The latest are kept."""
    ended = revoked(connection())

    for number in range(MOST_REVOKED + 5):
        ended = late_answers.came_after_revocation(ended, late(b"%d" % number), None, "request-1", NOW)
        ended = revocations.revocation_confirmed(ended, ended.to_revoke[0], NOW)

    assert len(ended.revocation) == MOST_REVOKED


def late(sealed: bytes = b"sealed-2", provider: str = "acme", **parameters: str) -> SealedTokens:
    """Return tokens that came back after the end."""
    whose = replace(WHOSE, provider=provider, parameters=parameters or {"shop": "1"})
    return replace(sealed_tokens(sealed=sealed, version=2), whose=whose)


@pytest.mark.parametrize("ended", [revocations.revoked(connection(), NOW + 20), revoked(connection())])
def test_tokens_that_come_after_the_end_are_held_for_their_revocation(ended: Connection) -> None:
    """Vended to nobody, due at once, beside whatever else the server is to be told of."""
    held = late_answers.came_after_revocation(ended, late(), None, "request-1", NOW + 31.5)

    assert (held.status, held.version, held.current) == (Status.REVOKING, 1, None)
    assert [each.id for each in held.to_revoke] == [each.id for each in ended.to_revoke] + ["sealed-2"]
    assert held.due_shard == connection().due_shard
    assert held.due_at == held.revocation_due_at == min(each.revoke_at or 0 for each in held.to_revoke)
    assert held.changes == ended.changes + 1
    assert held.revocations == ended.revocations
    with pytest.raises(ConnectionRevoked):
        held.require_vendable()


def test_tokens_that_come_late_do_not_disturb_a_connection_made_anew() -> None:
    """It vends, and is kept alive when that is due; the server is told meanwhile."""
    anew = connection(before=revoked(connection()), version=2)

    held = late_answers.came_after_revocation(anew, late(), None, "request-1", NOW + 31)
    told = revocations.revocation_confirmed(
        held, held.to_revoke[0].answered("refresh_token", "revoked", NOW + 40), NOW + 40
    )

    assert (held.status, held.current, held.due_at) == (Status.ACTIVE, anew.current, NOW + 31)
    assert (told.status, told.current, told.due_at) == (Status.ACTIVE, anew.current, anew.due_at)
    assert (told.due_at, told.revocation_due_at) == (anew.upkeep_at, None)
    held.require_vendable()


@pytest.mark.parametrize(
    ("said", "had_ended"),
    [("revoked", True), (REFUSED_AFTER_AN_INTERRUPTION, True), ("none", False), ("unsupported_token_type", False)],
)
def test_tokens_of_a_grant_that_had_ended_are_known_to_be_so(said: str, *, had_ended: bool) -> None:
    """The server had confirmed an end before they came: where it refuses to revoke them too, nothing is left to do."""
    ending = revocations.revoked(connection(), NOW + 20)
    told = ending.to_revoke[0].answered("refresh_token", said, NOW + 25)

    before = revocations.revocation_confirmed(
        late_answers.came_after_revocation(ending, late(), None, "request-1", NOW + 22), told, NOW + 31
    )
    after = late_answers.came_after_revocation(
        revocations.revocation_confirmed(ending, told, NOW + 25), late(), None, "request-1", NOW + 31
    )

    for held in (before, after):
        (only,) = held.to_revoke
        assert held.has_ended_the_grant_of(only, ends_all=False) is had_ended
        assert not only.was_dead


@pytest.mark.parametrize("other", [late(provider="other"), late(shop="2")])
def test_what_one_server_says_is_not_taken_for_anothers(other: SealedTokens) -> None:
    """A revoked connection is free for another provider, and another tenant of a provider is another server."""
    held = late_answers.came_after_revocation(revoked(connection()), other, None, "request-1", NOW + 31)

    (only,) = held.to_revoke
    assert not held.has_ended_the_grant_of(only, ends_all=True)


@pytest.mark.parametrize("ends_all", [False, True])
def test_the_end_of_one_grant_is_that_of_another_only_where_all_end_at_once(*, ends_all: bool) -> None:
    """Of two consents of one account one was ended. Elsewhere the server may refuse the other for another reason."""
    other = late_answers.came_after_revocation(revoked(connection()), late(), None, "request-2", NOW + 31)

    (only,) = other.to_revoke
    assert other.has_ended_the_grant_of(only, ends_all=ends_all) is ends_all


@pytest.mark.parametrize(("count", "delay"), [(1, 5), (2, 10), (3, 20), (9, 1280), (10, 2560), (11, 3600), (500, 3600)])
def test_a_revocation_that_failed_is_due_again(count: int, delay: int) -> None:
    """With the same growing delays as a refresh, but up to an hour: nobody waits for it."""
    ending = revocations.revoked(connection(), NOW)

    for _ in range(count):
        failed = ending.to_revoke[0].attempt_failed(ProviderUnavailable("Down."), NOW, 0.5)
        ending = revocations.revocation_failed(ending, failed, NOW)

    assert LONGEST_REVOCATION_DELAY == 3600
    assert ending.status is Status.REVOKING
    assert ending.failure is not None
    assert ending.failure.count == count
    assert ending.due_at == ending.revocation_due_at == ending.failure.retry_at == NOW + delay


def test_the_failure_to_tell_is_that_of_a_connection_that_has_ended_only() -> None:
    """One that was made anew vends: what an old token set meets is no failure of the new one."""
    ending = revocations.revoked(connection(), NOW)
    failed = ending.to_revoke[0].attempt_failed(ProviderUnavailable("Down."), NOW, 0.5)

    anew = revocations.revocation_failed(connection(tokens=NEXT, before=ending), failed, NOW)

    assert failed.revocation
    assert revocations.revocation_failed(ending, failed, NOW).failure == failed.revocation.failure
    assert anew.failure is None
    assert (anew.due_at, anew.revocation_due_at) == (NOW + 5, NOW + 5)


@pytest.mark.parametrize(("unknown", "left"), [(False, 0), (True, 1)])
def test_an_attempt_to_revoke_is_over_when_its_end_is_known(left: int, *, unknown: bool) -> None:
    """What became of a request whose answer was lost, nobody knows: the server may have heard it."""
    begun = current(connection()).to_be_revoked(NOW).claimed("holder-1", NOW + 30, NOW, revokes=True)

    failed = begun.attempt_failed(ProviderUnavailable("Down.", outcome_unknown=unknown), NOW, 0.5)

    assert (begun.open_attempts, failed.open_attempts, failed.lease) == (0, left, None)


@pytest.mark.parametrize("revokes", [False, True])
def test_what_is_never_told_of_an_attempt_is_known_with_the_next(*, revokes: bool) -> None:
    """A lapsed lease: a revocation may have been heard, or a refresh may have replaced the tokens."""
    lapsed = current(connection()).to_be_revoked(NOW).claimed("holder-1", NOW + 30, NOW, revokes=revokes)
    assert not lapsed.is_in_hand(NOW + 30)

    again = lapsed.claimed("holder-2", NOW + 90, NOW + 60, revokes=True)
    once_more = again.lease_ended().claimed("holder-3", NOW + 190, NOW + 160, revokes=False)

    for each in (again, once_more):
        assert each.lease
        assert (each.open_attempts, each.lease.interrupted_at) == ((1, None) if revokes else (0, NOW + 60))
    assert once_more.attempts == (1 if revokes else 2)


def test_what_only_the_connection_knows_of_a_refresh_goes_with_its_token_set() -> None:
    """Its answer was lost: there may be tokens that we do not have, whatever the server says to those that we have."""
    lost = refreshes.refresh_failed(leased(), ProviderUnavailable("Lost.", outcome_unknown=True), NOW + 5, 0.5)

    (over,) = revocations.revoked(lost, NOW + 10, "holder-2", NOW + 40).to_revoke

    assert over.lease
    assert (over.lease.holder, over.lease.interrupted_at, over.lease.revokes) == ("holder-2", NOW + 5, True)


@pytest.mark.parametrize(
    ("status", "provider", "owner", "belongs"),
    [
        (Status.ACTIVE, "acme", "owner-1", True),
        (Status.ACTIVE, "acme", "owner-2", False),
        (Status.ACTIVE, "acme", None, False),
        (Status.ACTIVE, "other", "owner-1", False),
        (Status.REAUTHORIZATION_REQUIRED, "acme", "owner-1", True),
        (Status.REAUTHORIZATION_REQUIRED, "other", "owner-1", False),
        (Status.REVOKING, "acme", "owner-1", True),
        (Status.REVOKING, "acme", "owner-2", False),
        (Status.REVOKED, "other", "owner-2", True),
        (Status.REVOKED, "acme", None, True),
    ],
)
def test_a_connection_belongs_to_one_party(status: Status, provider: str, owner: str | None, *, belongs: bool) -> None:
    """Only what is revoked is free: until then its id is not to be had for another owner or provider."""
    assert replace(connection(), status=status).belongs_to(provider, owner) is belongs


def test_the_ciphertext_shows_in_no_representation() -> None:
    """Not a secret by itself, and still nothing for a log."""
    assert "sealed-1" not in repr(connection())


def test_a_refresh_that_narrows_the_scope_shows_too() -> None:
    """RFC 6749 section 6: what was asked for stays what it was."""
    asked = refreshes.leased(connection(requested_scope="read write"), "holder-1", NOW + 30, NOW)

    narrower = token_response(scope="read", scope_missing=("write",))
    after = refreshes.refreshed(asked, sealed_tokens(narrower), RefreshedFrom("sealed-1", 1), "holder-1", NOW + 1)

    assert (after.requested_scope, after.scope, after.scope_missing) == ("read write", "read", ("write",))
