"""A connection as an item of its table, and back.

The item has what lists show in one map, `summary`, and everything else beside it. The index `listed` projects only
`summary`, so a list never needs another index. What has happened with a write is in `events`, which the next write
takes away: the stream shows each once.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderError
from functions.vault.grant.connection import Connection
from functions.vault.grant.failure import Failure
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import ENDED, Place, Status
from functions.vault.grant.revocation import Revocation
from functions.vault.grant.revoked import Revoked
from functions.vault.grant.seal import Seal, Whose
from functions.vault.grant.stored_set import Pending, RefreshedFrom, StoredSet

from . import attributes, listed
from .items import filled, item_of, last_attempt_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.vault.grant.belief import Belief

    from .items import Item

IN_SUMMARY = (
    "status",
    "scope",
    "scope_missing",
    "requested_scope",
    "subject",
    "owner",
    "metadata",
    "parameters",
    "tags",
    "created_at",
    "updated_at",
    "refreshed_at",
    "failure",
)
"""The fields of a connection that an item has in its summary and nowhere else."""

COPIED_FROM_CURRENT = ("token_type", "expires_at", "refresh_expires_at", "client_secret_used")
"""The fields of the current token set that the summary repeats."""

EVENTS = "events"
"""The attribute with the kinds of events that a write has brought, separated by spaces."""

_STORED_AS = {"revocation_due_at": "tell_at"}
"""The fields of a connection whose attribute has another name: an older one, which records and the index have."""

_FIELD_OF = {_STORED_AS.get(entry.name, entry.name): entry.name for entry in fields(Connection) if entry.name != EVENTS}
"""The field of a connection by its attribute. Nobody reads what earlier writes have brought."""

_SET_FIELDS = frozenset(entry.name for entry in fields(StoredSet))


# Writing


def connection_item(connection: Connection) -> Item:
    """Return a connection's item."""
    item = {_STORED_AS.get(name, name): value for name, value in item_of(connection).items() if name != EVENTS}
    if "sets" in item:
        item["sets"] = [filled(each) for each in item["sets"]]
    summary = {name: item.pop(name) for name in IN_SUMMARY if name in item}
    return {**item, "summary": {**summary, **_copied(connection)}, **listed.keys_of(connection)}


def events_item(connection: Connection, changes: int = 0) -> Item:
    """Return the attribute for what has happened since a connection had that number of changes, if anything has."""
    kinds = events_since(connection, changes)
    return {EVENTS: " ".join(kinds)} if kinds else {}


def events_since(connection: Connection, changes: int) -> tuple[str, ...]:
    """Return what has happened after that number of changes. What was ended on purpose did not need anybody."""
    kinds = tuple(kind for number, kind in connection.events if number > changes)
    return tuple(kind for kind in kinds if connection.status not in ENDED or kind != "reauthorization_required")


def summary_of(connection: Connection) -> Item:
    """Return what lists show of a connection, as its item has it."""
    summary: Item = connection_item(connection)["summary"]
    return summary


def _copied(connection: Connection) -> Item:
    """Return what the summary repeats from elsewhere in the item, or derives from it."""
    current = connection.current
    copied = {"provider": connection.provider, "version": connection.version}
    copied |= {name: getattr(connection, name) for name in ("refreshable", "needs", "needs_from")}
    if current is not None:
        copied |= {name: getattr(current, name) for name in COPIED_FROM_CURRENT}
        # Of the refresh token that is used, which may be a kept one.
        copied["refresh_expires_at"] = (connection.to_refresh or current).refresh_expires_at
    return filled(copied)


# Reading


def connection_of(stored: Mapping[str, Any]) -> Connection:
    """Return the connection that a stored item holds, in today's form or in an earlier one."""
    if "changes" in stored:
        item = attributes.read_item(stored, _FIELD_OF)
        summary = attributes.read(stored["summary"])
        item |= {name: summary[name] for name in IN_SUMMARY if name in summary}
    else:
        from functions.vault.grant.earlier import record_in_todays_form  # noqa: PLC0415 - none is written any more

        item = record_in_todays_form(attributes.read_item(stored))
    item = {_FIELD_OF[name]: value for name, value in item.items()}
    failure, sets, revocation = item.pop("failure", None), item.pop("sets", ()), item.pop("revocation", ())
    last_attempt = item.pop("last_attempt", None)
    return Connection(
        **{**item, "status": Status(item["status"])},
        failure=_failure(failure),
        last_attempt=last_attempt_of(last_attempt),
        sets=tuple(_stored_set(each) for each in sets),
        revocation=tuple(Revoked(**each) for each in revocation),
    )


def _stored_set(item: Mapping[str, Any]) -> StoredSet:
    known = {name: value for name, value in item.items() if name in _SET_FIELDS}
    records = ("lease", "refreshed_from", "revocation", "pending")
    lease, source, revocation, pending = (known.pop(name, None) for name in records)
    belief = known.pop("belief", None)
    return StoredSet(
        **{
            **known,
            "place": Place(item["place"]),
            "seal": Seal(**item["seal"]),
            "whose": Whose(**item["whose"]),
            "lease": Lease(**lease) if lease else None,
            "refreshed_from": RefreshedFrom(**source) if source else None,
            "belief": _belief(belief) if belief else None,
            "revocation": _revocation(revocation),
            "pending": Pending(**pending) if pending else None,
        }
    )


def _belief(stored: Item) -> Belief:
    from functions.vault.grant.belief import Belief  # noqa: PLC0415 - few grants are believed dead

    return Belief(**stored)


def _revocation(stored: Item | None) -> Revocation | None:
    return Revocation(**{**stored, "failure": _failure(stored.get("failure"))}) if stored else None


def _failure(stored: Item | None) -> Failure | None:
    if stored is None:
        return None
    answer = stored.get("provider_error")
    error = ProviderError.from_item(answer) if answer else None
    return Failure(**{**stored, "provider_error": error})
