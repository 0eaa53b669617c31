"""What a revocation makes of a connection, here and with each answer of the server."""

from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import (
    ConnectionRevoked,
    ProviderError,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from functions.vault.grant import late_answers, refreshes, revocations
from functions.vault.grant.connection import Connection
from functions.vault.grant.failure import LONGEST_REVOCATION_DELAY, Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import MOST_SUPERSEDED, Place, Status
from functions.vault.grant.revocation import REFUSED_AFTER_AN_INTERRUPTION, Revocation
from functions.vault.grant.revocations import MOST_REVOKED
from functions.vault.grant.revoked import Revoked
from functions.vault.grant.stored_set import Pending, StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import SealedTokens
from tests.unit.samples import NOW, WHOSE, connection, current, leased, sealed_tokens, token_response

EXPIRED = ProviderError("invalid_grant", "expired", 400)


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
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=EXPIRED), NOW + 12)

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

    again = revocations.revocation_failed(
        connection(tokens=sealed_tokens(sealed=b"sealed-2"), before=ending), failed, NOW
    )

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


# What a revocation meets


def holding(*sets: StoredSet, status: Status = Status.ACTIVE, **fields: Any) -> Connection:
    """Return a connection that holds these token sets."""
    return replace(connection(), sets=sets, status=status, **fields)


def in_place(place: Place, set_id: str, **fields: Any) -> StoredSet:
    """Return a token set in a place."""
    return replace(current(connection()), id=set_id, place=place, **fields)


def places(of: Connection) -> dict[str, Place]:
    """Return where each token set is."""
    return {each.id: each.place for each in of.sets}


WAITS = Pending(until=NOW + 600, obtained_at=NOW, revocations=0, confirmation="hash", confirm_by=NOW + 600)
WAITING = in_place(Place.PENDING, "waiting", pending=WAITS)
WAITING_APART = replace(WAITING, pending=replace(WAITS, grants_are_apart=True))


@pytest.mark.parametrize(("waiting", "is_revoked"), [(WAITING, False), (WAITING_APART, True)])
def test_what_waits_for_a_confirmation_goes_with_the_connection(waiting: StoredSet, *, is_revoked: bool) -> None:
    """It was never the connection's own: it is revoked only if that ends nothing else."""
    ending = revocations.revoked(holding(in_place(Place.CURRENT, "used"), waiting), NOW + 5, "holder-1", NOW + 30)

    assert (ending.status, ending.revocations) == (Status.REVOKING, 1)
    assert places(ending) == {"used": Place.REVOKING} | ({"waiting": Place.REVOKING} if is_revoked else {})
    assert [each.id for each in ending.to_revoke if each.is_in_hand(NOW + 6)] == ["used"]


@pytest.mark.parametrize("status", [Status.REVOKED, Status.REVOKING])
def test_a_connection_that_had_ended_loses_only_what_waits(status: Status) -> None:
    """And the count goes up: an authorization from before it brings nothing either. What it has noted stays."""
    others = (in_place(Place.REVOKING, "ending", revocation=Revocation(NOW)),) if status is Status.REVOKING else ()
    noted = (Revoked("acme", 1),)
    ended = holding(*others, WAITING, status=status, revocations=3, revocation=noted)

    again = revocations.revoked(ended, NOW + 5, "holder-1", NOW + 30)

    assert again == replace(
        ended, sets=others, revocations=4, changes=ended.changes + 1, updated_at=NOW + 5, **due(others)
    )


def due(sets: tuple[StoredSet, ...]) -> dict[str, Any]:
    """Return when a connection is due that has nothing but these to be revoked."""
    if sets:
        return {"revocation_due_at": NOW, "due_at": NOW}
    return {"due_at": connection().upkeep_at}


def test_it_takes_every_token_set_along_and_only_the_current_one_is_claimed() -> None:
    """The one that is kept or superseded is revoked after it. What it noted of earlier revocations is over."""
    used = in_place(Place.CURRENT, "used", refreshable=False)
    kept, old = in_place(Place.KEPT, "kept"), in_place(Place.SUPERSEDED, "old")
    before = holding(used, kept, old, revocation=(Revoked("acme", 1),))

    ending = revocations.revoked(before, NOW + 5, "holder-1", NOW + 29.5, waiting=True)

    assert [each.id for each in ending.to_revoke] == ["used", "kept", "old"]
    assert [each.revocation for each in ending.sets] == [Revocation(NOW + 5)] * 3
    claimed = Lease("holder-1", 0, NOW + 30, revokes=True, waiting=True)
    assert [each.lease for each in ending.to_revoke] == [claimed, None, None]
    assert (ending.revocation, ending.upkeep_at, ending.revocation_due_at) == ((), None, NOW + 5)
    begun = revocations.revoked(before, NOW + 5, "holder-1", NOW + 29.5)
    assert [each.lease for each in begun.to_revoke] == [replace(claimed, waiting=False), None, None]


def test_without_a_current_token_set_none_is_claimed() -> None:
    """What is superseded waits for its turn."""
    ending = revocations.revoked(
        holding(in_place(Place.SUPERSEDED, "old"), status=Status.REAUTHORIZATION_REQUIRED), NOW, "holder-1", NOW + 30
    )

    assert [(each.id, each.lease) for each in ending.to_revoke] == [("old", None)]


@pytest.mark.parametrize(("sets", "status"), [((), Status.REVOKED), (("ending",), Status.REVOKING)])
def test_a_connection_without_tokens_has_ended_when_nothing_is_left_to_revoke(
    sets: tuple[str, ...], status: Status
) -> None:
    """It had lost its tokens; some of them may still be on their way out."""
    held = tuple(in_place(Place.REVOKING, each, revocation=Revocation(NOW - 9)) for each in sets)

    ending = revocations.revoked(holding(*held, status=Status.REAUTHORIZATION_REQUIRED), NOW, "holder-1", NOW + 30)

    assert (ending.status, ending.sets, ending.revocations) == (status, held, 1)


LOST = Failure.of(ProviderUnavailable("Lost.", outcome_unknown=True), None, NOW + 5, 0.5)
FREE = Lease("", 0, 0, NOW + 5, answer_lost=True)


@pytest.mark.parametrize(
    ("lease", "failure", "left"),
    [
        (None, None, None),
        (None, LOST, FREE),
        (None, replace(LOST, outcome_unknown=False), None),
        (Lease("", 1, 0, NOW - 9), LOST, Lease("", 1, 0, NOW - 9)),
        (Lease("h", 1, NOW + 30), LOST, Lease("h", 1, NOW + 30, NOW + 5, answer_lost=True)),
        (Lease("h", 1, NOW + 30), None, Lease("h", 1, NOW + 30)),
    ],
)
def test_an_answer_that_was_lost_stays_lost(lease: Lease | None, failure: Failure | None, left: Lease | None) -> None:
    """The failure of the last refresh goes with the token set that was refreshed; what that one knows goes first."""
    kept = in_place(Place.KEPT, "kept", lease=lease)
    beside = in_place(Place.CURRENT, "beside", refreshable=False)

    ending = revocations.revoked(holding(beside, kept, failure=failure), NOW + 10)

    assert [each.lease for each in ending.to_revoke] == [None, left]
    alone = revocations.revoked(holding(replace(kept, place=Place.CURRENT), failure=failure), NOW + 10)
    assert [each.lease for each in alone.to_revoke] == [left]


# Attempts at the server


def test_whoever_begins_an_attempt_is_in_the_record() -> None:
    """To revoke a token set, or to refresh it so that it can be revoked."""
    ending = revocations.revoked(connection(), NOW)
    claimed = ending.to_revoke[0].claimed("holder-1", NOW + 30, NOW, revokes=True)

    for begin in (revocations.revocation_began, revocations.refresh_to_revoke_began):
        begun = begin(ending, claimed)
        assert (begun.to_revoke, begun.status, begun.changes) == ((claimed,), Status.REVOKING, ending.changes + 1)
        assert (begun.updated_at, begun.due_at) == (NOW, NOW + 30)


def test_a_revocation_that_would_end_a_newer_consent_is_put_off() -> None:
    """Its token set is superseded from then on, free, and within the bounds of what is kept."""
    superseded = [in_place(Place.SUPERSEDED, f"old-{number}") for number in range(MOST_SUPERSEDED)]
    put_off = in_place(Place.REVOKING, "late", revocation=Revocation(NOW), lease=Lease("h", 1, NOW + 9, NOW - 9))
    held = holding(in_place(Place.CURRENT, "used"), *superseded, put_off)

    after = revocations.revocation_put_off(held, put_off, NOW + 5)

    assert (after.status, after.to_revoke, after.revocation_due_at) == (Status.ACTIVE, (), None)
    late = after.set_of("late")
    assert late == replace(put_off, place=Place.SUPERSEDED, revocation=None, lease=Lease("", 0, 0, NOW - 9))
    assert len(after.in_place(Place.SUPERSEDED)) == MOST_SUPERSEDED
    assert after.updated_at == NOW + 5


@pytest.mark.parametrize(
    ("status", "others", "then"),
    [
        (Status.REVOKING, 0, Status.REVOKED),
        (Status.REVOKING, 1, Status.REVOKING),
        (Status.ACTIVE, 0, Status.ACTIVE),
        (Status.ACTIVE, 1, Status.ACTIVE),
    ],
)
def test_a_connection_is_revoked_with_its_last_token_set(status: Status, others: int, then: Status) -> None:
    """Until then it is revoking; one that is connected again stays connected."""
    ending = [in_place(Place.REVOKING, f"ending-{number}", revocation=Revocation(NOW)) for number in range(others + 1)]
    used = [in_place(Place.CURRENT, "used")] if status is Status.ACTIVE else []
    noted = Revoked("acme", 7)

    after = revocations.revocation_confirmed(
        holding(*used, *ending, status=status, revocation=(noted,)), ending[0], NOW + 5
    )

    assert (after.status, [each.id for each in after.to_revoke]) == (then, ["ending-1"][:others])
    assert after.revocation == (noted, Revoked.of(ending[0]))
    assert after.updated_at == NOW + 5


def test_the_end_of_a_token_set_that_is_gone_is_noted() -> None:
    """Late tokens have taken its place: they are still to be revoked, and it is known that the grant had ended."""
    gone = in_place(Place.REVOKING, "gone", revocation=Revocation(NOW)).answered("refresh_token", "revoked", NOW + 1)
    held = holding(in_place(Place.REVOKING, "late", revocation=Revocation(NOW)), status=Status.REVOKING)

    after = revocations.end_noted(held, gone, NOW + 5)

    assert after == replace(
        held,
        revocation=(Revoked.of(gone),),
        changes=held.changes + 1,
        updated_at=NOW + 5,
        revocation_due_at=NOW,
        due_at=NOW,
    )


def test_the_latest_records_of_revocations_are_kept() -> None:
    """The oldest goes first."""
    many = tuple(Revoked("acme", number) for number in range(MOST_REVOKED))
    last = in_place(Place.REVOKING, "last", revocation=Revocation(NOW))

    after = revocations.revocation_confirmed(holding(last, status=Status.REVOKING, revocation=many), last, NOW)

    assert after.revocation == (*many[1:], Revoked.of(last))
