"""What a user's consent does to a connection, and what follows if its tokens have to wait first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ConfirmationExpired

from .connection import Connection
from .life import Happened, Place, Status
from .stored_set import ASKED_AFTER
from .transition import after, settled
from .unproved import without_refused

if TYPE_CHECKING:
    from functions.vault.base.errors import GatehouseError

    from .stored_set import Pending, StoredSet
    from .tokens import Account, SealedTokens

MOST_REMEMBERED = 8
"""Token sets that are known to have waited, the newest: a copy of an older one, late from a queue, waits once more."""


def consented(  # noqa: PLR0913 - one argument for each thing that an authorization brings
    connection_id: str,
    provider: str,
    tokens: SealedTokens,
    now: float,
    *,
    before: Connection | None,
    authorized_by: str,
    owner: str | None,
    parameters: dict[str, str],
    tags: dict[str, str],
    requested_scope: str | None = None,
    grants_are_apart: bool = False,
    confirmed_by: str | None = None,
) -> Connection:
    """Return the connection that an authorization makes, or makes of the one `before`.

    The token sets of an earlier grant stay, each in its place: they may have to be revoked one day. If
    `grants_are_apart` they are revoked at once, since that ends no other grant. `confirmed_by` is the hash of what the
    application brought, if it had to confirm the tokens. An import that was refused goes: it was nobody's consent.
    """
    before = before and without_refused(before, now)
    fresh = replace(
        empty(connection_id, provider, now, before),
        version=tokens.seal.version,
        owner=owner,
        parameters=parameters,
        tags=tags,
        requested_scope=requested_scope,
        authorized_by=authorized_by,
        authorized_at=tokens.obtained_at,
    )
    new = tokens.stored(authorized_by)
    new = replace(new, account_at=account_at(tokens, now), confirmed_by=confirmed_by)
    goes_on = before.goes_on_beside(tokens) if before is not None else None
    if before is not None and goes_on is not None:
        return _consented_beside(fresh, before, goes_on, tokens, new, now, grants_are_apart=grants_are_apart)
    replaced = fresh.in_place(Place.CURRENT) + fresh.in_place(Place.KEPT)
    following = after(
        fresh, Happened.CONSENTED, now, replaced, new, is_first=before is None, **tokens.values_for_connection()
    )
    return settled(following, now, grants_are_apart=grants_are_apart)


def _consented_beside(  # noqa: PLR0913, PLR0917 - as above
    fresh: Connection,
    before: Connection,
    goes_on: StoredSet,
    tokens: SealedTokens,
    new: StoredSet,
    now: float,
    *,
    grants_are_apart: bool,
) -> Connection:
    """Return the connection with the tokens of a consent that brings no refresh token, beside the one that goes on.

    The upkeep of that one goes on too: it is the refresh token that an idle grant would die with.
    """
    values = {**tokens.values_for_connection(), "upkeep_at": before.upkeep_at}
    new = replace(new, refresh_at=tokens.refresh_at)
    if goes_on.place is Place.KEPT:
        following = after(fresh, Happened.CONSENTED, now, fresh.in_place(Place.CURRENT), new, **values)
        return settled(following, now, grants_are_apart=grants_are_apart)
    kept = replace(goes_on, scope=before.scope)
    return after(fresh, Happened.CONSENTED_KEEPING, now, [kept], new, **values)


def empty(connection_id: str, provider: str, now: float, before: Connection | None) -> Connection:
    """Return a connection with nothing but its token sets and its counts, which go on for ever.

    Its version is for the tokens to say that become current.
    """
    at = int(now)
    return Connection(
        connection_id,
        provider,
        before.status if before else Status.ACTIVE,
        version=0,
        created_at=before.created_at if before else at,
        updated_at=at,
        refreshed_at=at,
        sets=before.sets if before else (),
        revocations=before.revocations if before else 0,
        revocation=before.revocation if before else (),
        changes=before.changes if before else 0,
        waited_at=before.waited_at if before else None,
        waited=before.waited if before else (),
        events=before.events if before else (),
    )


def account_at(tokens: SealedTokens, now: float) -> int | None:
    """Return when the background asks for the account of a consent's tokens, if it has to be asked for."""
    return int(now) + ASKED_AFTER if tokens.asks_account else None


def has_to_wait(
    connection: Connection, tokens: SealedTokens, pending: Pending, request_id: str | None, now: float
) -> Connection:
    """Return the connection with tokens of a consent that wait: for their account, or for the application.

    What has never had tokens is a first connection still, however often it was tried.
    """
    is_first = connection.is_believed_dead and not connection.version
    happened = Happened.FIRST_HAS_TO_WAIT if is_first else Happened.HAS_TO_WAIT
    fields: dict[str, Any] = {"waited": (*connection.waited, tokens.id)[-MOST_REMEMBERED:]}
    if pending.confirmation is not None:
        fields["waited_at"] = tokens.obtained_at
    return after(connection, happened, now, (), _waiting(tokens, pending, request_id), **fields)


def first_has_to_wait(
    connection_id: str, tokens: SealedTokens, pending: Pending, request_id: str, now: float
) -> Connection:
    """Return the connection that tokens make which wait for the application, if there is none yet."""
    whose = tokens.whose
    made = replace(
        empty(connection_id, whose.provider, now, None),
        owner=pending.owner,
        parameters=whose.parameters,
        tags=pending.tags,
        requested_scope=pending.requested_scope,
        waited_at=tokens.obtained_at,
        waited=(tokens.id,),
    )
    return after(made, Happened.FIRST_HAS_TO_WAIT, now, (), _waiting(tokens, pending, request_id), is_first=True)


def _waiting(tokens: SealedTokens, pending: Pending, request_id: str | None) -> StoredSet:
    return replace(tokens.stored(request_id), refresh_at=tokens.refresh_at, pending=pending)


def account_found_waiting(connection: Connection, waiting: StoredSet, account: Account, now: float) -> Connection:
    """Return the connection with the account of tokens that go on waiting, for the application."""
    assert waiting.pending is not None  # noqa: S101 - what waits says what it brings
    known = waiting.pending.with_account()
    known = replace(known, subject=account.subject, metadata={**known.metadata, **account.metadata})
    if account.scope is not None:
        known = replace(known, scope=account.scope, scope_missing=account.scope_missing)
    return after(connection, Happened.ACCOUNT_FOUND, now, [replace(waiting, pending=known)])


def account_found(connection: Connection, account: Account, now: float) -> Connection:
    """Return the connection with the account that its current tokens are for, which nobody knew before."""
    known = replace(connection.require_current(), account_at=None)
    values: dict[str, Any] = {"subject": account.subject, "metadata": {**connection.metadata, **account.metadata}}
    if account.scope is not None:
        values |= {"scope": account.scope, "scope_missing": account.scope_missing}
    return after(connection, Happened.ACCOUNT_FOUND, now, [known], **values)


def account_put_off(connection: Connection, asked: StoredSet, until: int, now: float) -> Connection:
    """Return the connection with a token set whose account could not be asked for: it is again at `until`."""
    return after(connection, Happened.ACCOUNT_PUT_OFF, now, [asked.asked_again_at(until)])


def account_left_unknown(connection: Connection, first: StoredSet, now: float) -> Connection:
    """Return the connection with first tokens whose account nobody asks for any more: nothing claims to know it."""
    left = replace(first, account_at=None, pending=first.pending.with_account() if first.pending else None)
    return after(connection, Happened.ACCOUNT_LEFT_UNKNOWN, now, [left])


def disowned(connection: Connection, theirs: StoredSet, now: float, **fields: Any) -> Connection:
    """Return the connection without waiting tokens that are not its own: revoked if that ends nothing else."""
    is_beside = connection.is_to_be_proved
    if theirs.pending is not None and theirs.pending.grants_are_apart:
        happened = Happened.DISOWNED_BESIDE if is_beside else Happened.DISOWNED
        return after(connection, happened, now, [theirs.to_be_revoked(now)], **fields)
    return after(connection, Happened.FORGOTTEN_BESIDE if is_beside else Happened.FORGOTTEN, now, [theirs], **fields)


def ran_out(connection: Connection, unconfirmed: StoredSet, now: float) -> Connection:
    """Return the connection without tokens that nobody has confirmed in time: they never were its own."""
    from .last_attempt import LastAttempt  # noqa: PLC0415 - most tokens are confirmed in time, or need not be

    pending, request_id = unconfirmed.pending, unconfirmed.request_id
    assert pending is not None  # noqa: S101 - what waits says what it waits for
    attempt = LastAttempt(request_id or "", int(now), "failed", ConfirmationExpired.code)
    return disowned(connection, unconfirmed, now, ran_out=pending.confirmation, last_attempt=attempt)


def never_verified(connection: Connection, error: GatehouseError, now: float, *, grants_are_apart: bool) -> Connection:
    """Return the connection without its first tokens, because it cannot be found out whose they are."""
    theirs, failure = connection.require_current(), connection.failure_after(error, now)
    dead = connection
    if connection.status is Status.ACTIVE:
        dead = after(connection, Happened.REFUSED, now, [theirs], upkeep_at=None)
    if grants_are_apart:
        return after(dead, Happened.DISOWNED, now, [theirs.to_be_revoked(now)], failure=failure)
    return after(dead, Happened.FORGOTTEN, now, [theirs], failure=failure)
