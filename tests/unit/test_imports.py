"""What an import makes of a connection, field by field, and which connections can take one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.vault.base import noted
from functions.vault.base.errors import ProviderError, ReauthorizationRequired
from functions.vault.grant import consents, imports, refreshes, revocations, unproved
from functions.vault.grant.connection import Connection
from functions.vault.grant.failure import Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Happened, Place, Status
from functions.vault.grant.revocation import Revocation
from functions.vault.grant.seal import Seal
from functions.vault.grant.stored_set import Pending, RefreshedFrom, StoredSet
from functions.vault.grant.transition import after
from functions.vault.storage.change_notes import note_change
from tests.unit.samples import NOW, WHOSE, connection, current, sealed_tokens, token_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.tokens import TokenResponse

BROUGHT = imports.Brought("digest-1", "owner-1", {"shop": "1"}, {"tier": "gold"})
RESPONSE = token_response(subject="account-1", metadata={"region": "eu"}, refresh_expires_at=NOW + 86400)
STORED = StoredSet(
    "sealed-1",
    Place.CURRENT,
    Seal(b"sealed-1", 1, 1),
    WHOSE,
    refreshable=True,
    expires_at=NOW + 3600,
    refresh_at=NOW + 3300,
    refresh_expires_at=NOW + 86400,
)
MADE = Connection(
    connection_id="merchant-1",
    provider="acme",
    status=Status.ACTIVE,
    version=1,
    created_at=NOW + 5,
    updated_at=NOW + 5,
    refreshed_at=NOW,
    sets=(STORED,),
    scope="read",
    subject="account-1",
    owner="owner-1",
    metadata={"region": "eu"},
    parameters={"shop": "1"},
    tags={"tier": "gold"},
    import_digest="digest-1",
    changes=1,
)
"""What is alike in all connections that an import makes: of tokens that came at `NOW`, written at `NOW + 5.9`."""

REFUSAL = ReauthorizationRequired("Refused.", provider_error=ProviderError("invalid_grant", "expired", 400))


def imported(before: Connection | None = None, response: TokenResponse = RESPONSE) -> Connection:
    """Return a connection with an import that is taken as it is."""
    return imports.imported("merchant-1", sealed_tokens(response), BROUGHT, NOW + 5.9, before=before)


def to_be_proved(before: Connection | None = None, *, waiting: bool = False, version: int = 1) -> Connection:
    """Return a connection with an import that `holder-1` is to prove."""
    about = ("merchant-1", sealed_tokens(RESPONSE, version=version), BROUGHT)
    return imports.has_to_be_proved(*about, "holder-1", NOW + 34.5, NOW + 5.9, before=before, waiting=waiting)


def refused(was: Connection) -> Connection:
    """Return a connection whose grant a server has refused."""
    return refreshes.refused(was, REFUSAL, NOW + 7)


def revoking(was: Connection) -> Connection:
    """Return a connection that was revoked here."""
    return revocations.revoked(was, NOW + 8)


def revoked(was: Connection) -> Connection:
    """Return a connection that was revoked, at its server, too."""
    ending = revoking(was)
    return revocations.revocation_confirmed(ending, ending.to_revoke[0], NOW + 9)


def with_one_to_revoke(was: Connection) -> Connection:
    """Return a connection with a token set beside its own that is yet to be revoked."""
    unwanted = sealed_tokens(sealed=b"unwanted").stored(None).to_be_revoked(NOW)
    return after(was, Happened.CAME_UNWANTED, NOW, (), unwanted)


def test_an_import_that_is_taken_as_it_is_makes_an_active_connection() -> None:
    """It was authorized when its tokens came; when it is due depends on the provider's upkeep, as for any other."""
    made = imported()

    assert made == replace(
        MADE,
        authorized_at=NOW,
        ends_at=NOW + 86400,
        notice_at=NOW + 64802,
        due_shard=made.due_shard,
        due_at=sealed_tokens(RESPONSE).due_at,
        upkeep_at=sealed_tokens(RESPONSE).due_at,
    )
    assert made.due_at is not None


def test_its_account_is_asked_for_if_nobody_has_named_it() -> None:
    """By the background, once the provider's endpoint has had its time."""
    unnamed = token_response(asks_endpoint=True)

    assert (current(imported()).account_at, current(imported(response=unnamed)).account_at) == (None, NOW + 125)


@pytest.mark.parametrize("waiting", [False, True])
def test_an_import_that_has_to_be_proved_is_leased_to_whoever_proves_it(*, waiting: bool) -> None:
    """The background goes on with it when the lease has lapsed. To wait for a slot is no attempt."""
    made = to_be_proved(waiting=waiting)

    lease = Lease("holder-1", 0 if waiting else 1, NOW + 35, waiting=waiting)
    assert made == replace(
        MADE,
        status=Status.UNCONFIRMED,
        sets=(replace(STORED, lease=lease, attempts=lease.attempt),),
        due_shard=made.due_shard,
        due_at=NOW + 35,
        upkeep_at=NOW + 35,
    )


def test_it_waits_for_no_slot_unless_that_is_said() -> None:
    """Most providers have none."""
    about = ("merchant-1", sealed_tokens(RESPONSE), BROUGHT)

    made = imports.has_to_be_proved(*about, "holder-1", NOW + 34.5, NOW + 5.9, before=None)

    assert made == to_be_proved(waiting=False)


@pytest.mark.parametrize("make", [imported, to_be_proved])
def test_the_counts_of_a_connection_go_on_under_an_import(make: Callable[[Connection], Connection]) -> None:
    """It is the same connection: how often it was revoked, and what servers have answered to that, stays known."""
    before = revoked(connection(now=NOW - 100))

    made = make(before)

    assert (made.created_at, made.changes) == (NOW - 100, before.changes + 1)
    assert (made.revocations, made.revocation) == (1, before.revocation)
    assert [each.id for each in made.sets] == ["sealed-1"]
    assert (made.authorized_by, made.owner) == (None, "owner-1")


def test_an_import_that_was_refused_leaves_nothing_behind() -> None:
    """What the server has refused was never the connection's own: the next import comes into its place."""
    before = refused(to_be_proved())
    other = sealed_tokens(RESPONSE, b"sealed-2", version=2)

    made = imports.imported("merchant-1", other, BROUGHT, NOW + 20, before=before)

    assert [(each.id, each.place) for each in made.sets] == [("sealed-2", Place.CURRENT)]
    assert (made.version, made.status, made.failure) == (2, Status.ACTIVE, None)


@pytest.mark.parametrize(
    ("made", "can"),
    [
        (refused(to_be_proved()), True),
        (refused(imported()), True),
        (refused(with_one_to_revoke(to_be_proved())), True),
        (revoked(connection()), True),
        (connection(), False),
        (refused(connection()), False),
        (imported(), False),
        (to_be_proved(), False),
        (revoking(connection()), False),
    ],
    ids=[
        "refused before it was proved",
        "refused, taken as it was",
        "refused, and another is to be revoked",
        "revoked",
        "active",
        "its consent was refused",
        "imported",
        "to be proved",
        "being revoked",
    ],
)
def test_only_a_connection_without_tokens_of_its_own_takes_an_import(made: Connection, *, can: bool) -> None:
    """Nothing is imported over what somebody has consented to, nor over an import that may be proved yet."""
    assert imports.has_no_tokens(made) is can


def test_an_import_stays_an_import_while_it_is_not_proved() -> None:
    """Only what is not proved yet, or was refused, can be of another account, and only what was refused is left."""
    proving, as_it_is, consented = to_be_proved(), imported(), connection()

    assert [unproved.unproved_in(each) for each in (proving, as_it_is, consented)] == [current(proving), None, None]
    assert unproved.unproved_in(refused(as_it_is)) == current(refused(as_it_is))
    assert unproved.unproved_in(refused(consented)) is None
    assert unproved.without_refused(proving, NOW + 10) is proving
    assert unproved.without_refused(refused(proving), NOW + 10).sets == ()


@pytest.mark.parametrize(
    ("was", "places"),
    [
        (refused(to_be_proved()), {"consent": Place.CURRENT}),
        (to_be_proved(), {"consent": Place.CURRENT, "sealed-1": Place.SUPERSEDED}),
        (imported(), {"consent": Place.CURRENT, "sealed-1": Place.SUPERSEDED}),
    ],
    ids=["refused", "to be proved", "taken as it is"],
)
def test_a_consent_takes_the_place_of_an_import(was: Connection, places: dict[str, Place]) -> None:
    """What was refused is nobody's, and whoever had it before may go on with it; the rest may have to be revoked."""
    made = connection(tokens=sealed_tokens(sealed=b"consent", version=2), before=was, now=NOW + 20)

    assert {each.id: each.place for each in made.sets} == places
    assert (made.status, made.import_digest, made.authorized_by) == (Status.ACTIVE, None, "request-1")


@pytest.mark.parametrize("apart", [False, True])
def test_a_consent_that_is_not_the_connections_own_leaves_an_import_to_be_proved(*, apart: bool) -> None:
    """It has waited beside that, and goes; whoever proves the import goes on."""
    pending = Pending(until=NOW + 60, obtained_at=NOW, revocations=0, grants_are_apart=apart)
    waits = consents.has_to_wait(to_be_proved(), sealed_tokens(sealed=b"theirs"), pending, "request-2", NOW + 10)

    made = consents.disowned(waits, waits.in_place(Place.PENDING)[0], NOW + 20)

    assert [each.id for each in made.to_revoke] == (["theirs"] if apart else [])
    assert (made.status, made.is_to_be_proved, made.set_of("theirs") is None) == (Status.UNCONFIRMED, True, not apart)


@pytest.mark.parametrize(
    ("was", "subject", "is_another"),
    [
        (to_be_proved(), "account-2", True),
        (to_be_proved(), "account-1", False),
        (to_be_proved(), None, False),
        (replace(to_be_proved(), subject=None), "account-2", False),
        (imported(), "account-2", False),
    ],
    ids=["another", "the same", "the server names none", "the import has named none", "not to be proved"],
)
def test_only_what_is_named_on_both_sides_is_of_another_account(
    was: Connection, subject: str | None, *, is_another: bool
) -> None:
    """What was proved before may come to another account by its own refresh: the server knows."""
    tokens = sealed_tokens(token_response(subject=subject), b"newer", version=2)

    assert unproved.is_of_another_account(was, tokens) is is_another


@pytest.mark.parametrize("grants_are_apart", [False, True])
def test_tokens_of_another_account_are_revoked_only_if_that_ends_no_other_grant(*, grants_are_apart: bool) -> None:
    """The import is gone either way, and its failure says what has happened."""
    was, source = with_one_to_revoke(to_be_proved()), RefreshedFrom("sealed-1", 1)
    theirs = sealed_tokens(token_response(subject="account-2"), b"theirs", version=2)

    made = refreshes.refreshed(was, theirs, source, "holder-1", NOW + 20.5, grants_are_apart=grants_are_apart)

    to_revoke = replace(
        theirs.stored(None),
        place=Place.REVOKING,
        refreshed_from=source,
        revocation=Revocation(NOW + 20, came_at=NOW),
    )
    assert [each for each in made.sets if each.id != "unwanted"] == ([to_revoke] if grants_are_apart else [])
    assert (made.status, made.version, made.subject) == (Status.REAUTHORIZATION_REQUIRED, 1, "account-1")
    assert made.upkeep_at is None
    assert isinstance(made.failure, Failure)
    assert (made.failure.code, made.failure.at) == ("reauthorization_required", NOW + 20)
    assert (made.failure.holder, made.updated_at) == ("holder-1", NOW + 20)
    assert "another account than subject" in made.failure.description


def test_an_import_that_takes_its_own_place_is_not_logged_as_a_refresh() -> None:
    """It has the digest of the earlier one and a higher version, and nothing was asked for yet."""
    was = refused(to_be_proved())
    again = to_be_proved(was, version=2)

    with noted.of_a_call() as facts:
        note_change(was, again)

    assert facts == {"status": Status.UNCONFIRMED, "status_before": Status.REAUTHORIZATION_REQUIRED}
