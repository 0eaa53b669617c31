"""A connection's life: what each thing that can happen makes of it, and what may be done with it then."""

from dataclasses import replace

import pytest

from functions.vault.connection import FIRST_DELAY, LONGEST_DELAY, Connection, Failure, Lease, Status
from functions.vault.errors import (
    ConfirmationRequired,
    ConnectionRevoked,
    GatehouseError,
    ProviderError,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
)
from functions.vault.tokens import TokenResponse, TokenSet
from tests.unit.samples import NOW, connection, token_response

SAID = ProviderError("invalid_grant", "expired", 400)


def leased(was: Connection | None = None, holder: str = "holder-1") -> Connection:
    """Return a connection with a lease from `NOW + 10` to `NOW + 40`."""
    return (was or connection()).leased(holder, NOW + 39.5, NOW + 10.9)


# Authorized


def test_an_authorization_makes_an_active_connection() -> None:
    """Field by field; tokens of an hour with a margin of 300 s are due after 55 minutes."""
    made = connection(token_response(subject="acct", metadata={"region": "eu"}, refresh_expires_at=NOW + 86400))

    assert made == Connection(
        connection_id="merchant-1",
        provider="acme",
        status=Status.ACTIVE,
        version=1,
        created_at=NOW,
        updated_at=NOW,
        refreshed_at=NOW,
        sealed=b"sealed-1",
        expires_at=NOW + 3600,
        refresh_at=NOW + 3300,
        refresh_expires_at=NOW + 86400,
        refreshable=True,
        scope="read",
        subject="acct",
        owner="owner-1",
        metadata={"region": "eu"},
        parameters={"shop": "1"},
        tags={"tier": "gold"},
        authorized_by="request-1",
        due_shard=made.due_shard,
        due_at=NOW + 3300,
    )


@pytest.mark.parametrize(
    ("lifetime", "margin", "due_after"),
    [(3600, 300, 3300), (3600, 0, 3600), (1200, 300, 900), (1199, 300, 900), (60, 300, 45), (3, 300, 3), (1, 300, 1)],
)
def test_tokens_are_due_a_margin_before_their_end(lifetime: int, margin: int, due_after: int) -> None:
    """The margin is at most a quarter of the life: a token of a minute is not due when it is born."""
    made = connection(token_response(expires_at=NOW + lifetime), margin=margin)

    assert (made.refresh_at, made.due_at) == (NOW + due_after, NOW + due_after)
    assert not made.is_due(NOW + due_after - 1)
    assert made.is_due(NOW + due_after)


@pytest.mark.parametrize(
    "response",
    [
        token_response(expires_at=None),
        token_response(tokens=TokenSet("AT-1")),
        token_response(tokens=TokenSet("AT-1"), expires_at=None),
    ],
)
def test_what_cannot_or_need_not_be_refreshed_is_never_due(response: TokenResponse) -> None:
    """Without a known expiry, or without a refresh token, no sweep has anything to do."""
    made = connection(response)

    assert (made.refresh_at, made.due_shard, made.due_at) == (None, None, None)
    assert not made.is_due(NOW + 10**9)


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


# Leased


def test_a_lease_is_a_journal_entry() -> None:
    """It says who, the which attempt, and until when; nothing else changes but the time of the change."""
    was = connection()

    held = leased(was)

    assert held == replace(was, lease=Lease("holder-1", 1, NOW + 40), updated_at=NOW + 10)


@pytest.mark.parametrize(("now", "live"), [(NOW, True), (NOW + 39.9, True), (NOW + 40, False), (NOW + 41, False)])
def test_a_lease_ends_on_the_second(now: float, *, live: bool) -> None:
    """It holds until, but not at, its `until`."""
    assert Lease("holder-1", 1, NOW + 40).is_live(now) is live


def test_a_lease_over_a_lapsed_one_is_a_further_attempt() -> None:
    """Whoever takes it knows that an attempt before it has an unknown outcome."""
    second = leased(leased(), "holder-2")
    third = leased(second, "holder-3")

    assert [held.lease and held.lease.attempt for held in (second, third)] == [2, 3]
    assert not leased().was_interrupted
    assert second.was_interrupted
    assert third.was_interrupted


# Refreshed


def test_a_refresh_makes_the_next_version() -> None:
    """New tokens, no lease, no failure; what belongs to the owner or to the authorization stays."""
    failed = leased().refresh_failed(ProviderUnavailable("Down."), NOW + 11, 0.5)
    response = token_response(expires_at=NOW + 9000, scope="write", subject="acct", metadata={"region": "us"})

    after = leased(failed).refreshed(response, b"sealed-2", NOW + 5400.9, 300)

    assert after == replace(
        connection(),
        version=2,
        sealed=b"sealed-2",
        expires_at=NOW + 9000,
        refresh_at=NOW + 8700,
        due_at=NOW + 8700,
        scope="write",
        subject="acct",
        metadata={"region": "us"},
        refreshed_at=NOW + 5400,
        updated_at=NOW + 5400,
    )


def test_what_a_refresh_is_silent_about_stays() -> None:
    """Scope (RFC 6749 section 5.1), subject, metadata and the end of the refresh token."""
    first = token_response(subject="acct", metadata={"a": "1", "b": "1"}, refresh_expires_at=NOW + 86400)
    silent = token_response(scope=None, metadata={"b": "2"})

    after = leased(connection(first)).refreshed(silent, b"sealed-2", NOW, 300)

    assert (after.scope, after.subject, after.refresh_expires_at) == ("read", "acct", NOW + 86400)
    assert after.metadata == {"a": "1", "b": "2"}


def test_an_expiry_that_a_refresh_is_silent_about_is_unknown() -> None:
    """The old token's end says nothing about the new one's."""
    after = leased().refreshed(token_response(expires_at=None), b"sealed-2", NOW, 300)

    assert (after.expires_at, after.refresh_at, after.due_at) == (None, None, None)


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
        after = leased(after).refresh_failed(ProviderUnavailable("Down."), NOW + 10, jitter)

    assert after.failure is not None
    assert (after.failure.count, after.failure.at) == (failures, NOW + 10)
    assert after.failure.retry_at == NOW + 10 + delay
    assert after.failure.is_in_force(NOW + 10 + delay - 0.001)
    assert not after.failure.is_in_force(NOW + 10 + delay)


def test_a_failure_keeps_the_tokens_and_the_status() -> None:
    """A token that is still good is still vended."""
    held = leased()

    after = held.refresh_failed(ProviderMisconfigured("No.", provider_error=SAID), NOW + 12, 0.5)

    assert after.failure == Failure(
        "provider_misconfigured", 1, NOW + 12, NOW + 17, "holder-1", "No.", provider_error=SAID
    )
    assert after == replace(held, lease=None, failure=after.failure, updated_at=NOW + 12)


def test_the_servers_own_wait_is_the_least() -> None:
    """Retry-After goes over our own delay, never under it."""
    long = leased().refresh_failed(ProviderThrottled("Wait.", retry_after=3600), NOW, 1.0)
    short = leased().refresh_failed(ProviderThrottled("Wait.", retry_after=1), NOW, 0.5)

    assert [after.failure and after.failure.retry_at for after in (long, short)] == [NOW + 3600, NOW + 5]


def test_an_unknown_outcome_is_remembered_until_a_success() -> None:
    """The refresh token may have been used up: a known failure after that does not undo it, a success does."""
    unknown = leased().refresh_failed(ProviderUnavailable("Lost.", outcome_unknown=True), NOW, 0.5)
    known = leased(unknown).refresh_failed(ProviderThrottled("Wait."), NOW, 0.5)
    better = leased(known).refreshed(token_response(), b"sealed-2", NOW, 300)

    assert unknown.was_interrupted
    assert known.was_interrupted
    assert not better.was_interrupted


def test_a_lapsed_lease_is_remembered_through_a_failure() -> None:
    """The second holder's outage does not hide that the first one vanished."""
    after = leased(leased(), "holder-2").refresh_failed(ProviderThrottled("Wait."), NOW, 0.5)

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
    """Nothing is due any more, and whoever asks is told why, in the same words."""
    held = leased()

    dead = held.died(ReauthorizationRequired("Gone.", provider_error=SAID), NOW + 12)

    assert dead == replace(
        held,
        status=Status.REAUTHORIZATION_REQUIRED,
        lease=None,
        updated_at=NOW + 12,
        failure=Failure("reauthorization_required", 1, NOW + 12, NOW + 12, "holder-1", "Gone.", provider_error=SAID),
        refresh_at=None,
        due_shard=None,
        due_at=None,
    )
    with pytest.raises(ReauthorizationRequired, match=r"^Gone\.$") as caught:
        dead.require_vendable()
    assert caught.value.provider_error == SAID


def test_a_death_after_an_interruption_says_so() -> None:
    """The operator learns that a lost answer, not the merchant, may have ended the grant."""
    interrupted = leased(leased(), "holder-2")

    dead = interrupted.died(ReauthorizationRequired("Gone."), NOW)

    assert dead.failure is not None
    assert dead.failure.description.startswith("Gone. An earlier refresh was interrupted")


# Ended


def test_revoking_ends_it_here() -> None:
    """At once, even in the middle of a refresh, and the work that is left is due now."""
    held = leased()

    ending = held.revoking(NOW + 20.5)

    assert ending == replace(held, status=Status.REVOKING, lease=None, updated_at=NOW + 20, due_at=NOW + 20)
    assert ending.sealed == held.sealed, "the server still has to be told which token it is"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_revocation_that_failed_is_due_again(count: int) -> None:
    """With the same growing delays as a refresh."""
    ending = connection().revoking(NOW)

    for _ in range(count):
        ending = ending.revocation_failed(ProviderUnavailable("Down."), NOW, 0.5)

    assert ending.status is Status.REVOKING
    assert ending.failure is not None
    assert ending.failure.count == count
    assert ending.due_at == ending.failure.retry_at == NOW + 5 * 2 ** (count - 1)


def test_a_revoked_connection_holds_nothing_of_the_grant() -> None:
    """No ciphertext, no times, nothing due: what is left is that it was, and whose."""
    ending = connection(token_response(refresh_expires_at=NOW + 86400)).revoking(NOW)
    ended = ending.revocation_failed(ProviderUnavailable("Down."), NOW, 0.5).revoked(NOW + 30)

    assert ended == replace(
        connection(),
        status=Status.REVOKED,
        sealed=None,
        refreshable=False,
        expires_at=None,
        refresh_at=None,
        due_shard=None,
        due_at=None,
        updated_at=NOW + 30,
    )


def test_the_ciphertext_shows_in_no_representation() -> None:
    """Not a secret by itself, and still nothing for a log."""
    assert "sealed-1" not in repr(connection())
