"""What a consent makes of a connection, and what becomes of the token set before it."""

from dataclasses import replace
from typing import Any

import pytest

from functions.vault.base.errors import (
    ProviderError,
    ReauthorizationRequired,
)
from functions.vault.grant import consents, refreshes, revocations, transition
from functions.vault.grant.connection import Connection
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.life import Place, Status
from functions.vault.grant.seal import Seal
from functions.vault.grant.stored_set import Pending, StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account
from tests.unit.samples import NOW, WHOSE, connection, current, leased, sealed_tokens, token_response, with_current

EXPIRED = ProviderError("invalid_grant", "expired", 400)


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
        ends_at=NOW + 86400,
        notice_at=NOW + 64802,
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


def test_a_first_consent_that_has_to_be_confirmed_says_nothing_of_its_account() -> None:
    """Not before the application has confirmed it: until then whose tokens they are is nobody's business."""
    tokens = sealed_tokens(token_response(subject="account-1", metadata={"region": "eu"}), at=NOW - 5)
    pending = Pending(
        NOW + 600, NOW - 5, 0, owner="owner-1", tags={"tier": "gold"}, requested_scope="read write", confirmation="hash"
    )

    made = consents.first_has_to_wait("merchant-1", tokens, pending, "request-1", NOW + 0.9)

    assert (made.connection_id, made.provider, made.status, made.version) == (
        "merchant-1",
        "acme",
        Status.UNCONFIRMED,
        0,
    )
    assert (made.scope, made.subject, made.metadata, made.scope_missing) == (None, None, {}, ())
    assert (made.authorized_by, made.authorized_at, made.last_attempt, made.ran_out) == (None, None, None, None)
    assert (made.owner, made.parameters, made.tags) == ("owner-1", {"shop": "1"}, {"tier": "gold"})
    assert (made.requested_scope, made.waited_at, made.waited) == ("read write", NOW - 5, (tokens.id,))
    assert (made.created_at, made.updated_at, made.refreshed_at, made.changes) == (NOW, NOW, NOW, 1)
    assert made.sets == (
        replace(tokens.stored("request-1"), place=Place.PENDING, refresh_at=tokens.refresh_at, pending=pending),
    )
    assert made.due_at == NOW + 600


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


def superseding(was: Connection, number: int) -> Connection:
    """Return a connection after one more consent."""
    tokens = sealed_tokens(sealed=b"consent-%d" % number, version=was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{number}", now=NOW + number)


@pytest.mark.parametrize(("asks", "at"), [(True, NOW + 125), (False, None)])
def test_the_account_of_current_tokens_is_asked_for_two_minutes_later(*, asks: bool, at: int | None) -> None:
    """By the background, if whoever has the answer in hand has not found it by then."""
    made = connection(token_response(asks_endpoint=asks), now=NOW + 5.9)

    assert current(made).account_at == at


def test_a_consent_leaves_what_is_known_of_earlier_ones() -> None:
    """What was revoked, and which tokens have waited: an answer that comes late must still be known by that."""
    revoked = revocations.revoked(connection(), NOW + 10)
    ended = revocations.revocation_confirmed(revoked, revoked.to_revoke[0].answered("grant", "gone", NOW), NOW + 20)
    before = replace(ended, waited_at=NOW - 50, waited=("sealed-0",), created_at=NOW - 100)

    again = superseding(before, 2)

    assert (again.revocation, again.revocations) == (before.revocation, 1)
    assert len(again.revocation) == 1
    assert (again.waited_at, again.waited, again.created_at) == (NOW - 50, ("sealed-0",), NOW - 100)
    assert again.changes == before.changes + 1


def test_a_consent_keeps_what_the_same_write_announces() -> None:
    """What else changed before it in one write is published, too, each event once and in its order."""
    revoked = revocations.revoked(connection(), NOW)

    again = superseding(revoked, 2)

    assert again.events[: len(revoked.events)] == revoked.events != ()
    assert len(again.events) == len(revoked.events) + 1


def test_a_new_consent_supersedes_the_token_set_before_it() -> None:
    """It is vended to nobody, but kept: with it the grant can be revoked one day."""
    held = leased()

    again = superseding(held, 2)

    assert (current(again).id, again.version, again.lease) == ("consent-2", 2, None)
    assert again.in_place(Place.SUPERSEDED) == (replace(current(held), place=Place.SUPERSEDED),)
    assert (again.revocation_due_at, again.due_at) == (None, again.upkeep_at)


def test_a_first_consent_is_one_write_wherever_grants_are_separate() -> None:
    """There is nothing to revoke, and so nothing more happens to the record."""
    assert connection(grants_are_apart=True) == connection()


def test_revoking_revokes_superseded_token_sets_too() -> None:
    """The current one first: if the server ends all grants at once, it refuses none of the others afterwards."""
    dead = refreshes.refused(leased(), ReauthorizationRequired("Gone.", provider_error=EXPIRED), NOW + 12)
    twice = superseding(superseding(dead, 2), 3)

    ending = revocations.revoked(twice, NOW + 20, "holder-1", NOW + 50)

    assert [each.id for each in ending.to_revoke] == ["consent-3", "consent-2", "sealed-1"]
    assert [each.is_held_by("holder-1") for each in ending.to_revoke] == [True, False, False]
    assert [each.was_dead for each in ending.to_revoke] == [False, False, True]
    assert ending.revocation_due_at == NOW + 20


def test_no_more_are_kept_than_there_is_room_for() -> None:
    """Eight. The oldest goes, and whoever writes the record can say which."""
    many = connection()
    for number in range(8):
        many = superseding(many, number)
    assert len(many.in_place(Place.SUPERSEDED)) == 8

    after = superseding(many, 99)

    assert len(after.in_place(Place.SUPERSEDED)) == 8
    assert [each.id for each in transition.left_behind(many, after)] == ["sealed-1"]
    assert transition.left_behind(many, refreshes.leased(many, "holder-1", NOW + 30, NOW)) == ()


# What waits, and whose it is

NARROW = Account("account-1", scope="read", scope_missing=("write",))
NAMED = Account("account-1", metadata={"region": "eu"})
WAITS = Pending(
    NOW + 120,
    NOW,
    0,
    scope="read write",
    metadata={"host": "a.example"},
    confirmation="hash",
    confirm_by=NOW + 600,
)


def with_waiting(pending: Pending = WAITS, **fields: Any) -> tuple[Connection, StoredSet]:
    """Return a connection with tokens that wait, and those."""
    was = consents.has_to_wait(
        replace(connection(), **fields), sealed_tokens(sealed=b"waits"), pending, "request-2", NOW
    )
    (waiting,) = was.in_place(Place.PENDING)
    return was, waiting


@pytest.mark.parametrize(
    ("account", "scope", "missing", "metadata"),
    [
        (NAMED, "read write", (), {"host": "a.example", "region": "eu"}),
        (NARROW, "read", ("write",), {"host": "a.example"}),
    ],
)
def test_an_account_is_found_for_current_tokens_and_for_those_that_wait(
    account: Account, scope: str, missing: tuple[str, ...], metadata: dict[str, str]
) -> None:
    """What was asked for adds to what came with the tokens; they are not asked about again.

    What waits keeps it to itself until it is confirmed, and waits for nothing else any more.
    """
    asked = with_current(
        connection(token_response(scope="read write", metadata={"host": "a.example"})), account_at=NOW + 120
    )
    was, waiting = with_waiting()

    found = consents.account_found(asked, account, NOW + 5.9)
    found_waiting = consents.account_found_waiting(was, waiting, account, NOW + 5.9)

    values: dict[str, Any] = {
        "subject": "account-1",
        "scope": scope,
        "scope_missing": missing,
        "metadata": metadata,
    }
    assert found == replace(
        with_current(asked, account_at=None), **values, updated_at=NOW + 5, changes=asked.changes + 1
    )
    pending = replace(WAITS, **values, until=NOW + 600, account_known=True)
    assert found_waiting.set_of("waits") == replace(waiting, pending=pending)
    assert (found_waiting.subject, found_waiting.scope, found_waiting.updated_at) == (None, "read", NOW + 5)
    assert found_waiting.due_at == NOW + 600


def test_an_account_that_cannot_be_asked_for_is_asked_for_later() -> None:
    """By the background, at the time that is set; and not after the tokens have waited too long."""
    was, waiting = with_waiting()

    later, too_late = (consents.account_put_off(was, waiting, NOW + at, NOW + 5.9) for at in (300, 900))

    assert [each.waits_first and each.waits_first.waits_until for each in (later, too_late)] == [NOW + 300, NOW + 600]
    assert (later.due_at, later.updated_at) == (NOW + 300, NOW + 5)


def test_an_account_that_nobody_can_name_is_not_asked_for_any_more() -> None:
    """The tokens are in use as before; what waits for the application goes on waiting for that."""
    asked = with_current(connection(), account_at=NOW + 120)
    was, waiting = with_waiting()

    unknown = consents.account_left_unknown(asked, current(asked), NOW + 5.9)
    waits = consents.account_left_unknown(was, waiting, NOW + 5.9)

    assert unknown == replace(with_current(asked, account_at=None), updated_at=NOW + 5, changes=asked.changes + 1)
    left = waits.set_of("waits")
    assert left == replace(waiting, pending=replace(WAITS, until=NOW + 600, account_known=True))
    assert (waits.waits_first, waits.updated_at) == (left, NOW + 5)


def test_the_newest_token_sets_that_had_to_wait_are_known() -> None:
    """For whatever they waited: a copy of one that has gone does not come to wait once more."""
    was, waiting = with_waiting()

    def wait(of: Connection, number: int, at: int, pending: Pending = WAITS) -> Connection:
        return consents.has_to_wait(of, sealed_tokens(sealed=str(number).encode(), at=at), pending, "request-3", at)

    confirmed = wait(was, 1, NOW + 1)
    for_its_account = wait(was, 1, NOW + 1, replace(WAITS, confirmation=None))
    many = was
    for number in range(1, 9):
        many = wait(many, number, NOW + number)

    assert (was.waited_at, was.waited) == (NOW, (waiting.id,))
    assert (confirmed.waited_at, confirmed.waited) == (NOW + 1, (waiting.id, "1"))
    assert (for_its_account.waited_at, for_its_account.waited) == (NOW, (waiting.id, "1"))
    assert many.waited == tuple(str(number) for number in range(1, 9))


@pytest.mark.parametrize(("status", "version"), [(Status.ACTIVE, 1), (Status.REAUTHORIZATION_REQUIRED, 1)])
def test_what_waits_changes_nothing_of_a_connection_that_has_had_tokens(status: Status, version: int) -> None:
    """It stays what it was; only one that never had any is unconfirmed meanwhile."""
    was, waiting = with_waiting(status=status, version=version)
    first, _ = with_waiting(status=Status.REAUTHORIZATION_REQUIRED, version=0, sets=())

    assert (was.status, first.status) == (status, Status.UNCONFIRMED)
    assert (was.current, waiting.request_id, waiting.pending) == (connection().current, "request-2", WAITS)
    assert (waiting.refresh_at, was.updated_at) == (NOW + 3300, NOW)


def test_what_waits_knows_its_margin_even_without_a_refresh_token() -> None:
    """An earlier refresh token may go on beside it when it becomes current."""
    online = sealed_tokens(token_response(tokens=TokenSet("AT-1")), b"online")

    was = consents.has_to_wait(connection(), online, WAITS, "request-2", NOW)

    (waiting,) = was.in_place(Place.PENDING)
    assert (waiting.refreshable, waiting.refresh_at) == (False, NOW + 3300)


@pytest.mark.parametrize("apart", [True, False])
def test_what_nobody_confirms_in_time_is_said_to_have_expired(*, apart: bool) -> None:
    """The application may still bring its confirmation, and learns that it is too late."""
    was, waiting = with_waiting(replace(WAITS, grants_are_apart=apart))

    after = consents.ran_out(was, waiting, NOW + 600.9)

    assert after.ran_out == "hash"
    assert after.last_attempt == LastAttempt("request-2", NOW + 600, "failed", "confirmation_expired")
    assert [each.revoke_at for each in after.to_revoke] == ([NOW + 600] if apart else [])
    assert (after.unconfirmed, after.current, after.updated_at) == (None, was.current, NOW + 600)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED])
@pytest.mark.parametrize("apart", [True, False])
def test_first_tokens_whose_account_cannot_be_verified_are_lost(status: Status, *, apart: bool) -> None:
    """Whoever asks for a token gets the reason; nothing is refreshed any more."""
    was = replace(with_current(connection(), account_at=NOW + 120), status=status)
    why = ReauthorizationRequired("The ID token does not hold.")

    after = consents.never_verified(was, why, NOW + 5.9, grants_are_apart=apart)

    assert (after.status, after.current) == (Status.REAUTHORIZATION_REQUIRED, None)
    assert after.failure is not None
    assert (after.failure.code, after.failure.description) == (why.code, why.description)
    assert [each.revoke_at for each in after.to_revoke] == ([NOW + 5] if apart else [])
    assert after.updated_at == NOW + 5
    assert status is not Status.ACTIVE or after.upkeep_at is None
