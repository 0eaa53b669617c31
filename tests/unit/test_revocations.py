"""What a revocation makes of a connection, here and with each answer of the server."""

from dataclasses import replace

import pytest

from functions.vault.base.errors import (
    ConnectionRevoked,
    ProviderError,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from functions.vault.grant import late_answers, refreshes, revocations
from functions.vault.grant.connection import Connection
from functions.vault.grant.failure import LONGEST_REVOCATION_DELAY
from functions.vault.grant.life import Place, Status
from functions.vault.grant.revocation import REFUSED_AFTER_AN_INTERRUPTION, Revocation
from functions.vault.grant.revocations import MOST_REVOKED
from functions.vault.grant.revoked import Revoked
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
