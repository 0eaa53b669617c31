"""What waits with a consent's tokens, and comes out with them: nothing is lost on the way, and nothing is added."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.vault.grant.after_waiting import obtained_from
from functions.vault.grant.authorized import Authorized
from functions.vault.grant.life import Place
from functions.vault.grant.obtained import Obtained
from functions.vault.grant.seal import PENDING, TOKENS, Seal
from functions.vault.grant.stored_set import Pending
from functions.vault.grant.tokens import Account, SealedTokens
from tests.unit.samples import NOW, WHOSE

if TYPE_CHECKING:
    from functions.vault.grant.stored_set import StoredSet

CAME = SealedTokens(
    "set-1",
    Seal(b"sealed to wait", 2, 4, "key-1"),
    WHOSE,
    refreshable=True,
    token_type="DPoP",
    obtained_at=NOW - 3,
    expires_at=NOW + 3600,
    refresh_at=NOW + 3300,
    refresh_expires_at=NOW + 86400,
    due_at=NOW + 50000,
    scope="read",
    scope_missing=("write",),
    subject="account-1",
    metadata={"region": "eu", "host": "a.example"},
    client_secret_used="newest",
    asks_account=True,
)
BROUGHT = Authorized("request-1", "owner-1", {"tier": "gold"}, "read write", allow_new_subject=True)
TO_CONFIRM = replace(BROUGHT, confirmation="hash")
SEAL = Seal(b"sealed to be used", 2, 5, "key-1")


def waiting(tokens: SealedTokens = CAME, brought: Authorized = BROUGHT) -> StoredSet:
    """Return tokens as they wait, from `NOW` on."""
    pending = brought.waiting_with(tokens, 2, NOW + 0.7, grants_are_apart=True)
    return replace(tokens.stored(brought.request_id), place=Place.PENDING, pending=pending)


def test_the_record_keeps_beside_them_all_that_they_bring() -> None:
    """The connection takes it when they become current, and has nothing of it before."""
    assert BROUGHT.waiting_with(CAME, 2, NOW + 0.7, grants_are_apart=True) == Pending(
        until=NOW + 120,
        obtained_at=NOW - 3,
        revocations=2,
        upkeep_at=NOW + 50000,
        owner="owner-1",
        subject="account-1",
        scope="read",
        scope_missing=("write",),
        requested_scope="read write",
        tags={"tier": "gold"},
        metadata={"region": "eu", "host": "a.example"},
        allow_new_subject=True,
        grants_are_apart=True,
    )
    assert not BROUGHT.waiting_with(CAME, 2, NOW, grants_are_apart=False).grants_are_apart


@pytest.mark.parametrize(
    ("asks_account", "confirmation", "until", "confirm_by", "account_known"),
    [
        (True, None, NOW + 120, None, False),
        (True, "hash", NOW + 120, NOW + 600, False),
        (False, "hash", NOW + 600, NOW + 600, True),
    ],
)
def test_they_wait_two_minutes_for_their_account_and_ten_for_the_application(
    confirmation: str | None, until: int, confirm_by: int | None, *, asks_account: bool, account_known: bool
) -> None:
    """For the application from when they began to wait, whether or not their account has to be found first."""
    tokens, brought = replace(CAME, asks_account=asks_account), replace(BROUGHT, confirmation=confirmation)

    pending = brought.waiting_with(tokens, 0, NOW + 0.7, grants_are_apart=False)

    assert (pending.until, pending.confirm_by, pending.account_known) == (until, confirm_by, account_known)
    assert pending.confirmation == confirmation


def test_an_authorization_brings_what_it_was_started_with() -> None:
    """If it was started with nothing, nothing."""
    assert Authorized("request-1") == Authorized("request-1", None, {}, None, False, None, None)  # noqa: FBT003 - what it is by default


def test_they_come_out_as_they_came_but_for_their_seal() -> None:
    """Confirmed while their account is unknown: that is still to be asked for."""
    out = obtained_from("merchant-1", waiting(brought=TO_CONFIRM), SEAL)

    assert out == Obtained(
        "merchant-1",
        "request-1",
        replace(CAME, seal=SEAL),
        authorized=replace(BROUGHT, confirmed_by="hash"),
        request_id="request-1",
        revocations=2,
        grants_are_apart=True,
    )
    assert (out.purpose, CAME.seal.version, out.version) == (TOKENS, 4, 5)
    assert out.purpose != PENDING


def test_with_their_account_known_it_is_asked_for_no_more() -> None:
    """Because it was found while they waited, or because the answer had named it."""
    known = waiting(replace(CAME, asks_account=False), TO_CONFIRM)
    found = waiting(brought=TO_CONFIRM)
    assert found.pending
    found = replace(found, pending=found.pending.with_account())

    for each in (known, found):
        assert not obtained_from("merchant-1", each, SEAL).tokens.asks_account


@pytest.mark.parametrize(
    ("account", "scope", "scope_missing"),
    [
        (Account("account-2"), "read", ("write",)),
        (Account("account-2", scope_missing=("ignored",)), "read", ("write",)),
        (Account("account-2", "read write"), "read write", ()),
        (Account("account-2", "admin", ("read",)), "admin", ("read",)),
    ],
)
def test_what_was_found_of_the_account_goes_before_what_came_with_them(
    account: Account, scope: str, scope_missing: tuple[str, ...]
) -> None:
    """Its scope only if it says one; its metadata is added to what there is."""
    found = replace(account, metadata={"host": "b.example", "realm": "7"})

    tokens = obtained_from("merchant-1", waiting(), SEAL, found).tokens

    assert tokens == replace(
        CAME,
        seal=SEAL,
        subject="account-2",
        scope=scope,
        scope_missing=scope_missing,
        metadata={"region": "eu", "host": "b.example", "realm": "7"},
        asks_account=False,
    )
