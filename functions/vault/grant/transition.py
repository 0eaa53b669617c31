"""The one way from a connection's record to the next: by the table in `life`. Nothing else sets a status or a place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from .connection import DUE_SHARDS, LONGEST_NOTICE
from .life import ENDED, MOST_SUPERSEDED, Happened, Place, Status, becomes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .connection import Connection
    from .stored_set import StoredSet

SAME_END = 300
"""Seconds by which a server may name the end of one refresh token differently each time."""

_CONSENTED = frozenset({Happened.CONSENTED, Happened.CONSENTED_KEEPING})
_TAKEN_OVER = frozenset({Happened.IMPORTED, Happened.PROVED})
_REFRESHED = frozenset({Happened.REFRESHED, Happened.RECOVERED, Happened.KEPT_REFRESHED})


def after(  # noqa: PLR0913 - what has happened, to what, and what else it changes
    connection: Connection,
    happened: Happened,
    now: float,
    concerned: Iterable[StoredSet],
    new: StoredSet | None = None,
    *,
    is_first: bool = False,
    **fields: Any,
) -> Connection:
    """Return what becomes of a connection when something has happened to some of its token sets; one may have come in.

    `concerned` are those token sets as they are afterwards, apart from their places: where each goes, and which status
    the connection has then, is in the table. A token set that comes in may have waited here.
    `is_first`: there was no connection.
    """
    was = None if is_first else connection.status
    changed = {each.id: each for each in concerned}
    if new is not None and connection.set_of(new.id) is not None:
        changed[new.id], new = new, None
    status, held = _moved(connection, was, happened, changed)
    if happened is Happened.REVOKED_WITHOUT:
        status, _ = becomes(was, Place.OUTSIDE, happened)
    if new is not None:
        status, place = becomes(was, Place.OUTSIDE, happened)
        new = replace(new, place=place)
        held = [new, *held] if place is Place.CURRENT else [*held, new]
    if status in ENDED:
        failures = (each.revocation.failure for each in held if each.revocation)
        fields["failure"] = next((failure for failure in failures if failure), None)
    following = replace(
        connection, status=status, sets=tuple(held), changes=connection.changes + 1, updated_at=int(now), **fields
    )
    following, ends_soon = _with_notice(connection, following)
    kinds = [*_events(connection, following, happened), *(("expiring",) if ends_soon else ())]
    return _scheduled(replace(following, events=(*connection.events, *((following.changes, kind) for kind in kinds))))


def after_lease(connection: Connection, happened: Happened, concerned: StoredSet, **fields: Any) -> Connection:
    """Return what becomes of a connection when something has happened to the lease of a token set.

    That changes nothing that callers see, so it leaves `updated_at` as it is: otherwise each lease would be written to
    the index of lists, too.
    """
    return after(connection, happened, connection.updated_at, [concerned], **fields)


def _moved(
    connection: Connection, was: Status | None, happened: Happened, changed: dict[str, StoredSet]
) -> tuple[Status, list[StoredSet]]:
    """Return the status and the token sets that are left when what happens has moved the changed ones."""
    status, held = connection.status, []
    for each in connection.sets:
        if each.id not in changed:
            held.append(each)
            continue
        status, place = becomes(was, each.place, happened)
        if place is not Place.OUTSIDE:
            held.append(replace(changed[each.id], place=place))
    return status, held


def _events(before: Connection, now: Connection, happened: Happened) -> Iterator[str]:
    """Yield what is announced of a transition, in this order, by the words of `announced`.

    The beginning of a refresh is not, nor is any other step on the way to an outcome.
    """
    if happened in _CONSENTED:
        yield "confirmed" if now.current and now.current.confirmed_by else "authorized"
    elif happened in _TAKEN_OVER:
        yield "authorized"
    elif happened in {Happened.HAS_TO_WAIT, Happened.FIRST_HAS_TO_WAIT} and now.unconfirmed is not None:
        yield "authorized_unconfirmed"
    if now.scope_missing and now.scope_missing != before.scope_missing:
        yield "scope_missing"
    if happened in _REFRESHED:
        if before.failure is not None:
            yield "recovered"
        yield "refreshed"
    if now.failure is not None and before.failure is None and now.status is Status.ACTIVE:
        yield "degraded"
    if now.needs_consent and not before.needs_consent:
        yield "reauthorization_required"
    if now.status is not before.status and now.status in ENDED:
        yield str(now.status)


def _with_notice(before: Connection, now: Connection) -> tuple[Connection, bool]:
    """Return the connection with the time at which its end is announced, and whether it is announced now.

    Each end is announced once: `notice_at` is None afterwards. A server may say in other seconds each time when the
    same refresh token ends.
    """
    ends_at, at = now.grant_ends_at, now.updated_at
    if ends_at is None:
        return replace(now, ends_at=None, notice_at=None), False
    if before.ends_at is None or abs(ends_at - before.ends_at) > SAME_END:
        notice = min(LONGEST_NOTICE, max(ends_at - at, 0) // 4)
        return replace(now, ends_at=ends_at, notice_at=ends_at - notice), False
    if now.notice_at is None or at < now.notice_at:
        return now, False
    return replace(now, notice_at=None), True


def settled(connection: Connection, now: float, *, grants_are_apart: bool) -> Connection:
    """Return the connection with superseded token sets to be revoked, if `grants_are_apart`; else within its bounds."""
    if not grants_are_apart:
        return within_bounds(connection, now)
    revoking = [each.to_be_revoked(now) for each in connection.in_place(Place.SUPERSEDED)]
    return after(connection, Happened.REVOKED_APART, now, revoking) if revoking else connection


def within_bounds(connection: Connection, now: float) -> Connection:
    """Return the connection without the oldest superseded token sets, if there are more than it keeps.

    Those without a refresh token go first: what is left of their grants expires by itself.
    """
    superseded = sorted(connection.in_place(Place.SUPERSEDED), key=lambda each: (each.refreshable, each.seal.version))
    too_many = superseded[: max(0, len(superseded) - MOST_SUPERSEDED)]
    return after(connection, Happened.LEFT_TO_SERVER, now, too_many) if too_many else connection


def left_behind(before: Connection, now: Connection) -> tuple[StoredSet, ...]:
    """Return the token sets that went for lack of room: the record has them no more, and nothing took their place."""
    held = {each.id for each in now.sets}
    sources = {each.refreshed_from.set_id for each in now.sets if each.refreshed_from is not None}
    return tuple(
        each
        for each in before.sets
        if each.place in {Place.CURRENT, Place.KEPT, Place.SUPERSEDED}
        and each.id not in held | sources
        and (each.refreshed_from is None or each.refreshed_from.set_id not in sources)
    )


def _scheduled(connection: Connection) -> Connection:
    """Return the connection due at the first of its background work: its place in the `due` index.

    If nothing refreshes its tokens, it is due when a person is to be asked for that, and once more when they expire.
    """
    upkeep_at = connection.upkeep_at
    if connection.needs_from is not None:
        upkeep_at = connection.expires_at if connection.needs else connection.needs_from
    revoking = (each.revoke_at for each in connection.sets if each.revoke_at is not None)
    revocation_due_at = min(revoking, default=None)
    waits_first = connection.waits_first
    waits_until = waits_first.waits_until if waits_first else None
    times = (upkeep_at, revocation_due_at, waits_until, connection.notice_at)
    due_at = min((at for at in times if at is not None), default=None)
    shard = None if due_at is None else _shard(connection.connection_id)
    return replace(connection, upkeep_at=upkeep_at, revocation_due_at=revocation_due_at, due_at=due_at, due_shard=shard)


def _shard(connection_id: str) -> str:
    """Return the shard of the `due` index that a connection is in: spread evenly, and always the same."""
    return str(crc32(connection_id.encode()) % DUE_SHARDS)
