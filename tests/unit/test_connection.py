"""What each thing that can happen makes of a connection, and what may be done with it afterwards."""

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
    """The margin is at most a quarter of the lifetime: a token of a minute is not due when it is issued."""
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
def test_tokens_that_nothing_refreshes_are_due_when_a_person_is_needed(
    lifetime: int | None, due_after: int | None, background: str
) -> None:
    """Without a refresh token a person is asked for in time; at the expiry the connection needs one for certain."""
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


def test_a_token_without_expiry_is_refreshed_only_to_keep_its_grant_alive() -> None:
    """It has no margin to come into, but an idle refresh token may have to be used before it expires."""
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
    """If a caller asks for more than the token's lifetime, the first half of that will do."""
    made = connection()

    assert made.is_valid_for(seconds, NOW + valid_for - 0.001)
    assert not made.is_valid_for(seconds, NOW + valid_for)


@pytest.mark.parametrize(
    ("age", "lifetime", "expected"), [(0, 3600, True), (9, 3600, True), (10, 3600, False), (4, 5, True), (5, 5, False)]
)
def test_a_valid_token_set_counts_as_just_obtained_for_ten_seconds(age: int, lifetime: int, *, expected: bool) -> None:
    """A refresh would bring no better one, unless it has expired by then."""
    made = connection(token_response(expires_at=NOW + lifetime))

    assert made.was_just_obtained(NOW + age) is expected


def test_a_token_without_known_expiry_is_valid() -> None:
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
    """It is vended to nobody, but kept: with it the grant can be revoked one day."""
    held = leased()

    again = superseding(held, 2)

    assert (current(again).id, again.version, again.lease) == ("consent-2", 2, None)
    assert again.in_place(Place.SUPERSEDED) == (replace(current(held), place=Place.SUPERSEDED),)
    assert (again.revocation_due_at, again.due_at) == (None, again.upkeep_at)


def test_revoking_revokes_superseded_token_sets_too() -> None:
    """The current one first: if the server ends all grants at once, it refuses none of the others afterwards."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)
    twice = superseding(superseding(dead, 2), 3)

    ending = revocations.revoked(twice, NOW + 20, "holder-1", NOW + 50)

    assert [each.id for each in ending.to_revoke] == ["consent-3", "consent-2", "sealed-1"]
    assert [each.is_held_by("holder-1") for each in ending.to_revoke] == [True, False, False]
    assert [each.was_dead for each in ending.to_revoke] == [False, False, True]
    assert ending.revocation_due_at == NOW + 20


def test_no_more_are_kept_than_there_is_room_for() -> None:
    """The oldest goes, and whoever writes the record can say which."""
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
    """It says who, which attempt, and until when; nothing else changes but the time of the change."""
    was = connection()

    held = leased(was)

    assert held == replace(
        with_current(was, lease=Lease("holder-1", 1, NOW + 40), attempts=1), updated_at=NOW + 10, changes=2
    )


@pytest.mark.parametrize(("now", "live"), [(NOW, True), (NOW + 39.9, True), (NOW + 40, False), (NOW + 41, False)])
def test_a_lease_ends_on_the_second(now: float, *, live: bool) -> None:
    """It holds before `until`, and not at `until`."""
    assert Lease("holder-1", 1, NOW + 40).is_live(now) is live


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

    assert back == replace(with_current(connection(), attempts=1, unsent=1), updated_at=NOW + 12, changes=3)
    assert not back.was_interrupted
    assert not leased(back, "holder-2").was_interrupted


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


def test_what_a_refresh_does_not_say_stays() -> None:
    """Scope (RFC 6749 section 5.1), subject, metadata and the end of the refresh token."""
    first = token_response(subject="acct", metadata={"a": "1", "b": "1"}, refresh_expires_at=NOW + 86400)
    silent = sealed_tokens(token_response(scope=None, metadata={"b": "2"}), b"sealed-2")

    after = refreshes.refreshed(leased(connection(first)), silent, ORIGIN, "holder-1", NOW)

    assert (after.scope, after.subject, current(after).refresh_expires_at) == ("read", "acct", NOW + 86400)
    assert after.metadata == {"a": "1", "b": "2"}


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
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

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

    after = refreshes.refresh_failed(held, ProviderMisconfigured("No.", provider_error=SAID), NOW + 12, 0.5)

    assert after.failure == Failure(
        "provider_misconfigured", 1, NOW + 12, NOW + 17, "holder-1", "No.", provider_error=SAID, pauses=1
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
    its = refreshes.refresh_failed(leased(), ProviderThrottled("Wait.", retry_after=60, provider_error=SAID), NOW, 0.5)
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
    """Only a look is due; every caller gets the reason, in the same words."""
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


# Ended


def test_revoking_ends_a_connection_here() -> None:
    """At once, even during a refresh: its token set is not revoked before that lease ends, and nobody else gets it."""
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


def test_a_connection_without_upkeep_is_due_for_its_revocation() -> None:
    """It was in no shard of the index, and comes into its own, so that the sweep finds it."""
    bare = connection(token_response(tokens=TokenSet("AT-1"), expires_at=None))

    ending = revocations.revoked(bare, NOW)
    in_hand = revocations.revoked(bare, NOW, "holder-1", NOW + 30)

    assert bare.due_shard is None
    assert in_hand.due_at == NOW + 30
    assert (ending.due_shard, ending.due_at) == (connection().due_shard, NOW)


def test_revoking_a_refused_grant_remembers_the_refusal() -> None:
    """All that stays of the failure is that the server has refused the refresh token once."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

    ending = revocations.revoked(dead, NOW + 20)

    assert [each.was_dead for each in ending.to_revoke] == [True]
    assert ending.to_revoke[0].answers == {}
    assert ending.failure is None


def revoked(was: Connection) -> Connection:
    """Return a connection that was revoked, here and at the server."""
    ending = revocations.revoked(was, NOW + 20)
    return revocations.revocation_confirmed(
        ending, ending.to_revoke[0].answered("refresh_token", "revoked", NOW + 21), NOW + 22
    )


def test_what_the_server_answered_about_each_token_is_kept_and_the_ciphertext_is_not() -> None:
    """That is the record of the revocation: nothing is left to open, nothing is due."""
    ending = revocations.revoked(connection(token_response(refresh_expires_at=NOW + 86400)), NOW)
    (confirmed,) = ending.to_revoke
    confirmed = confirmed.answered("refresh_token", "revoked", NOW + 1.5).answered(
        "access_token", "unsupported_token_type", NOW + 2
    )

    ended = revocations.revocation_confirmed(ending, confirmed, NOW + 3)

    answered = {
        "refresh_token": {"answer": "revoked", "at": NOW + 1},
        "access_token": {"answer": "unsupported_token_type", "at": NOW + 2},
    }
    assert ended == replace(
        connection(),
        status=Status.REVOKED,
        revocations=1,
        revocation=(Revoked("acme", 1, answered, {"shop": "1"}, "sealed-1", "request-1"),),
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
    """Return tokens that came after the revocation."""
    whose = replace(WHOSE, provider=provider, parameters=parameters or {"shop": "1"})
    return replace(sealed_tokens(sealed=sealed, version=2), whose=whose)


@pytest.mark.parametrize("ended", [revocations.revoked(connection(), NOW + 20), revoked(connection())])
def test_tokens_that_come_after_a_revocation_are_held_to_be_revoked(ended: Connection) -> None:
    """They are vended to nobody and due at once, beside whatever else is to be revoked."""
    held = late_answers.came_after_revocation(ended, late(), None, "request-1", NOW + 31.5)

    assert (held.status, held.version, held.current) == (Status.REVOKING, 1, None)
    assert [each.id for each in held.to_revoke] == [each.id for each in ended.to_revoke] + ["sealed-2"]
    assert held.due_shard == connection().due_shard
    assert held.due_at == held.revocation_due_at == min(each.revoke_at or 0 for each in held.to_revoke)
    assert held.changes == ended.changes + 1
    assert held.revocations == ended.revocations
    with pytest.raises(ConnectionRevoked):
        held.require_vendable()


def test_late_tokens_do_not_disturb_a_connection_that_was_authorized_again() -> None:
    """It vends, and is refreshed when that is due; the late tokens are revoked meanwhile."""
    again = connection(before=revoked(connection()), version=2)

    held = late_answers.came_after_revocation(again, late(), None, "request-1", NOW + 31)
    confirmed = revocations.revocation_confirmed(
        held, held.to_revoke[0].answered("refresh_token", "revoked", NOW + 40), NOW + 40
    )

    assert (held.status, held.current, held.due_at) == (Status.ACTIVE, again.current, NOW + 31)
    assert (confirmed.status, confirmed.current, confirmed.due_at) == (Status.ACTIVE, again.current, again.due_at)
    assert (confirmed.due_at, confirmed.revocation_due_at) == (again.upkeep_at, None)
    held.require_vendable()


@pytest.mark.parametrize(
    ("answered", "had_ended"),
    [("revoked", True), (REFUSED_AFTER_AN_INTERRUPTION, True), ("none", False), ("unsupported_token_type", False)],
)
def test_tokens_are_known_to_be_of_a_grant_that_had_ended(answered: str, *, had_ended: bool) -> None:
    """The server had confirmed a revocation before they came: if it refuses them, nothing is left to do."""
    ending = revocations.revoked(connection(), NOW + 20)
    confirmed = ending.to_revoke[0].answered("refresh_token", answered, NOW + 25)

    before = revocations.revocation_confirmed(
        late_answers.came_after_revocation(ending, late(), None, "request-1", NOW + 22), confirmed, NOW + 31
    )
    after = late_answers.came_after_revocation(
        revocations.revocation_confirmed(ending, confirmed, NOW + 25), late(), None, "request-1", NOW + 31
    )

    for held in (before, after):
        (only,) = held.to_revoke
        assert held.has_ended_the_grant_of(only, ends_all=False) is had_ended
        assert not only.was_dead


@pytest.mark.parametrize("other", [late(provider="other"), late(shop="2")])
def test_what_one_server_answers_says_nothing_about_another(other: SealedTokens) -> None:
    """A revoked connection is free for another provider, and another tenant of a provider is another server."""
    held = late_answers.came_after_revocation(revoked(connection()), other, None, "request-1", NOW + 31)

    (only,) = held.to_revoke
    assert not held.has_ended_the_grant_of(only, ends_all=True)


@pytest.mark.parametrize("ends_all", [False, True])
def test_the_end_of_one_grant_is_that_of_another_only_if_all_end_at_once(*, ends_all: bool) -> None:
    """Of two consents of one account one was revoked. Otherwise a refusal of the other has another cause."""
    other = late_answers.came_after_revocation(revoked(connection()), late(), None, "request-2", NOW + 31)

    (only,) = other.to_revoke
    assert other.has_ended_the_grant_of(only, ends_all=ends_all) is ends_all


@pytest.mark.parametrize(("count", "delay"), [(1, 5), (2, 10), (3, 20), (9, 1280), (10, 2560), (11, 3600), (500, 3600)])
def test_a_revocation_that_failed_is_due_again(count: int, delay: int) -> None:
    """With growing pauses like those of a refresh, but up to an hour: nobody waits for it."""
    ending = revocations.revoked(connection(), NOW)

    for _ in range(count):
        failed = ending.to_revoke[0].attempt_failed(ProviderUnavailable("Down."), NOW, 0.5)
        ending = revocations.revocation_failed(ending, failed, NOW)

    assert LONGEST_REVOCATION_DELAY == 3600
    assert ending.status is Status.REVOKING
    assert ending.failure is not None
    assert ending.failure.count == count
    assert ending.due_at == ending.revocation_due_at == ending.failure.retry_at == NOW + delay


def test_a_failed_revocation_is_a_failure_of_a_revoked_connection_only() -> None:
    """One that was authorized again vends: a failure with an old token set is none of the new one."""
    ending = revocations.revoked(connection(), NOW)
    failed = ending.to_revoke[0].attempt_failed(ProviderUnavailable("Down."), NOW, 0.5)

    again = revocations.revocation_failed(connection(tokens=NEXT, before=ending), failed, NOW)

    assert failed.revocation
    assert revocations.revocation_failed(ending, failed, NOW).failure == failed.revocation.failure
    assert again.failure is None
    assert (again.due_at, again.revocation_due_at) == (NOW + 5, NOW + 5)


@pytest.mark.parametrize(("unknown", "left"), [(False, 0), (True, 1)])
def test_attempts_to_revoke_with_an_unknown_outcome_are_counted(left: int, *, unknown: bool) -> None:
    """If the answer was lost, the server may have carried out the request."""
    begun = current(connection()).to_be_revoked(NOW).claimed("holder-1", NOW + 30, NOW, revokes=True)

    failed = begun.attempt_failed(ProviderUnavailable("Down.", outcome_unknown=unknown), NOW, 0.5)

    assert (begun.open_attempts, failed.open_attempts, failed.lease) == (0, left, None)


@pytest.mark.parametrize("revokes", [False, True])
def test_an_interrupted_attempt_is_noticed_by_the_next(*, revokes: bool) -> None:
    """Its lease lapsed: a revocation may have reached the server, or a refresh may have replaced the tokens."""
    lapsed = current(connection()).to_be_revoked(NOW).claimed("holder-1", NOW + 30, NOW, revokes=revokes)
    assert not lapsed.is_in_hand(NOW + 30)

    again = lapsed.claimed("holder-2", NOW + 90, NOW + 60, revokes=True)
    once_more = again.lease_ended().claimed("holder-3", NOW + 190, NOW + 160, revokes=False)

    for each in (again, once_more):
        assert each.lease
        assert (each.open_attempts, each.lease.interrupted_at) == ((1, None) if revokes else (0, NOW + 60))
    assert once_more.attempts == (1 if revokes else 2)


def test_what_only_the_connection_knows_of_a_refresh_goes_with_its_token_set() -> None:
    """If its answer was lost there may be tokens that we do not have, whatever the server answers to ours."""
    lost = refreshes.refresh_failed(leased(), ProviderUnavailable("Lost.", outcome_unknown=True), NOW + 5, 0.5)

    (revoking,) = revocations.revoked(lost, NOW + 10, "holder-2", NOW + 40).to_revoke

    assert revoking.lease
    assert (revoking.lease.holder, revoking.lease.interrupted_at, revoking.lease.revokes) == ("holder-2", NOW + 5, True)


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
    """Its id is free for another owner or provider only when it is revoked."""
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
