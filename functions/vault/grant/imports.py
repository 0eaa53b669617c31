"""What an import does to a connection: tokens that were obtained elsewhere come in, and a refresh proves them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ReauthorizationRequired
from functions.vault.base.record import record

from . import consents, late_answers, unproved
from .lease import Lease
from .life import Happened, Place, Status
from .transition import after

if TYPE_CHECKING:
    from .connection import Connection
    from .stored_set import RefreshedFrom, StoredSet
    from .tokens import SealedTokens


@record
class Brought:
    """What an import brings beside its tokens. `digest` is of all of it: a call that is repeated has the same."""

    digest: str
    owner: str | None
    parameters: dict[str, str]
    tags: dict[str, str]


def has_no_tokens(connection: Connection) -> bool:
    """Return whether a connection can take an import: it has no tokens, or none but an import that was refused.

    Those that are only left to be revoked do not count, unless the whole connection is.
    """
    refused = unproved.refused_in(connection)
    held = [each for each in connection.sets if each.place is not Place.REVOKING and each is not refused]
    return not held and connection.status in {Status.REAUTHORIZATION_REQUIRED, Status.REVOKED}


def gives_way_to_itself(connection: Connection) -> bool:
    """Return whether an import may be taken once more: nothing that is in use, or waits, is beside it."""
    unproved_set = unproved.unproved_in(connection)
    held = [each for each in connection.sets if each.place is not Place.REVOKING and each is not unproved_set]
    return unproved_set is not None and not held


def imported(
    connection_id: str,
    tokens: SealedTokens,
    brought: Brought,
    now: float,
    *,
    before: Connection | None,
) -> Connection:
    """Return the connection that an import makes, or makes of one `before` without tokens, taken as it is."""
    made = _made(connection_id, tokens, brought, now, before)
    made = replace(made, authorized_at=tokens.obtained_at)
    new = replace(tokens.stored(None), account_at=consents.account_at(tokens, now))
    values = tokens.values_for_connection()
    return after(made, Happened.IMPORTED, now, (), new, is_first=before is None, **values)


def has_to_be_proved(  # noqa: PLR0913, PLR0917 - as above, and who proves it
    connection_id: str,
    tokens: SealedTokens,
    brought: Brought,
    holder: str,
    until: float,
    now: float,
    *,
    before: Connection | None,
    waiting: bool = False,
) -> Connection:
    """Return the connection with an import that `holder` proves, under a lease `until` then.

    If that is never answered, the background goes on with it when the lease has lapsed. `waiting` is as in `leased`.
    """
    made = _made(connection_id, tokens, brought, now, before)
    attempt = int(not waiting)
    lease = Lease.taken_after(None, holder, attempt, until, now, waiting=waiting)
    new = replace(tokens.stored(None), lease=lease, attempts=attempt)
    values = {**tokens.values_for_connection(), "upkeep_at": lease.until}
    replaced = made.in_place(Place.CURRENT)
    return after(made, Happened.HAS_TO_BE_PROVED, now, replaced, new, is_first=before is None, **values)


def _made(
    connection_id: str,
    tokens: SealedTokens,
    brought: Brought,
    now: float,
    before: Connection | None,
) -> Connection:
    """Return the connection as it is for the tokens to come into, without what a server has refused before."""
    left = before and unproved.without_refused(before, now)
    return replace(
        consents.empty(connection_id, tokens.whose.provider, now, left),
        version=tokens.seal.version,
        owner=brought.owner,
        parameters=brought.parameters,
        tags=brought.tags,
        import_digest=brought.digest,
    )


def proved_of_another(  # noqa: PLR0913 - tokens, where they come from, and what becomes of them
    connection: Connection,
    tokens: SealedTokens,
    imported_set: StoredSet,
    source: RefreshedFrom,
    now: float,
    *,
    grants_are_apart: bool,
) -> Connection:
    """Return the connection without an import whose refresh has shown that it is of another account.

    What that brought is revoked if that ends no other grant; else it is forgotten, as what was imported is.
    """
    error = ReauthorizationRequired(
        "The tokens that were imported are of another account than subject has named, as the provider says in its "
        "answer to their refresh. They are not used, and not kept: if the provider replaces refresh tokens, the "
        "imported one is used up. If subject was wrong, import with the right one, or none. If that is refused, start "
        "again."
    )
    values: dict[str, Any] = {"failure": connection.failure_after(error, now), "upkeep_at": None}
    dead = after(connection, Happened.REFUSED, now, [imported_set], **values)
    gone = after(dead, Happened.FORGOTTEN, now, [imported_set])
    if not grants_are_apart:
        return gone
    return late_answers.came_unwanted(gone, tokens, None, None, now, source)
