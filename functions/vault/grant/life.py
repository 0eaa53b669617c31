"""A connection's life: one table, and nothing else says what becomes of its status and of its token sets.

A record has one *status*, and holds token sets, each in one *place*. Things happen to it, one at a time, and each
happens to certain token sets: to one that comes in, to one that is there, to all of a place. The rules:

- A row says, for the status as it was, the place of a token set that it happens to, and what happens, which status the
  connection has after it and where the token set is then. What has no row cannot happen: to try is a defect.
- A token set that something does not happen to stays where it is. Where something happens to several token sets at
  once, their rows give one status.
- Tokens are vended while the status is `active`, and from the place `current` alone, which holds one token set at most.
- A refusal is believed at once, and may be wrong: if nothing but the server's word speaks for it, the refresh token is
  used a few times more (`belief`).
- A server that issues tokens for a grant has not ended it: a consent and the answer to a refresh make a connection
  active, also one whose grant was believed dead. But an answer to what was begun before the connection was revoked
  never does: it is to be revoked itself, whatever stands in the connection by now.
- A late answer takes the place of the token set that it came from. Where that is gone it is `superseded`: nothing that
  a server has issued is dropped while it may live, but for the oldest of more than `MOST_SUPERSEDED`.
- A new consent replaces the current token set, which is `superseded` then: nobody uses it any more, and it is revoked
  when the connection is. To revoke it at once would end the new consent with it, at servers that end all of an account.
  Only if the provider's data says that the grants of an account are apart (`revocation_ends_authorization` is false),
  what is superseded is revoked at once. If it does not, what is yet to be revoked waits as `superseded` while a newer
  consent of the same client and tenant stands.
- A consent that brings no refresh token leaves the one before in use, where it is the same account's at the same client
  of the same server: its token set is `kept` beside the current one. A refresh uses it, and what that brings is current
  then. A late answer to it is kept in its place. Refused, it is `superseded`, and the connection stays active: the
  current tokens are vended to their end. A consent that brings a refresh token supersedes both.
- Tokens that are not the connection's own (of another account or another party) are never current. They are revoked
  where grants are apart, and come into no place elsewhere: somebody else may live on the same authorization.
- Where it has to be asked whose account a consent's tokens are for, and the connection knows one to compare it with,
  they are `pending` meanwhile, one token set at a time: vended to nobody, and what worked before goes on. What turns
  out to be of that account comes out of there as a consent's tokens do, or late. What is of another, or of whom nobody
  can tell, is not the connection's own; nor is what a revocation meets there. A first consent's tokens are current at
  once. If nobody can tell whose they are, the connection has no tokens any more if an ID token has claimed to say it;
  if only a server would not say it, they stay, and it is unknown whose they are.
- Revoking ends a connection here at once. It is `revoking` while a server is to be told of any of its token sets, and
  `revoked` when none is left. Only a new consent makes it active again; what is yet to be revoked stays beside it.
- `unconfirmed` has its name in the record, and no rows yet: nothing makes it.

No other module sets a status or moves a token set: `Connection._after` does, by this table. The picture of it is in
`docs/life.md`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

MOST_SUPERSEDED = 8
"""Superseded token sets that a connection keeps, the newest; an older one is left to its server."""

MOST_SETS = 40
"""Token sets that a connection may hold and still be authorized anew: all of them may have to be revoked one day."""

MOST_BYTES = 200 * 1024
"""Octets of all ciphertexts of a connection with which it may still be authorized anew; DynamoDB takes 400 KB."""


class Status(StrEnum):
    """Where a connection stands."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    REVOKING = "revoking"
    REVOKED = "revoked"


class Place(StrEnum):
    """Where a token set is. `OUTSIDE` is no place in a record: there it comes from, and there it goes for good."""

    OUTSIDE = "outside"
    CURRENT = "current"
    KEPT = "kept"
    PENDING = "pending"
    SUPERSEDED = "superseded"
    REVOKING = "revoking"


class Happened(StrEnum):
    """What can happen to a connection and its token sets."""

    CONSENTED = "a consent's tokens came"
    CONSENTED_KEEPING = "a consent's tokens came, without a refresh token"
    HAS_TO_WAIT = "a consent's tokens came, and their account has to be asked"
    ACCOUNT_FOUND = "the account of current tokens was found"
    ACCOUNT_PUT_OFF = "the account could not be asked yet"
    ACCOUNT_LEFT_UNKNOWN = "the account of current tokens is not asked for any more"
    DISOWNED = "it was not the connection's own, and grants are apart"
    FORGOTTEN = "it was not the connection's own"
    LEASED = "a refresh began"
    GOT_SLOT = "a refresh that waited got its slot"
    LEASE_GIVEN_BACK = "a refresh sent nothing"
    LEASE_ENDED = "a refresh ended that was of an earlier token set"
    REFRESHED = "a refresh's tokens came"
    REFRESH_FAILED = "a refresh failed"
    REFUSED = "the grant was refused"
    RECOVERED = "tokens came of a grant that was believed dead"
    LOOKS_ENDED = "nobody looks at the grant any more"
    KEPT_REFRESHED = "tokens came of a kept refresh token"
    KEPT_REFUSED = "a kept refresh token was refused"
    KEPT_CAME_LATE = "tokens of a kept refresh token came too late"
    CAME_LATE = "tokens came too late"
    ENDS_SOON = "the end of tokens came near that nothing refreshes"
    LEFT_TO_SERVER = "there was no room for it"
    REVOKED_APART = "it is revoked at once, as grants are apart"
    REVOKED = "the connection was revoked"
    REVOKED_WITHOUT = "the connection was revoked, and had no tokens"
    CAME_AFTER_REVOCATION = "tokens came of what was revoked"
    CAME_UNWANTED = "tokens came that nobody is to use"
    REVOCATION_BEGAN = "a revocation was sent"
    REVOCATION_FAILED = "a revocation failed"
    REVOCATION_PUT_OFF = "a newer consent stands against a revocation"
    REVOCATION_CONFIRMED = "a revocation was confirmed"
    LAST_CONFIRMED = "the last revocation was confirmed"


_ACTIVE, _DEAD = Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED
_ENDING, _ENDED = Status.REVOKING, Status.REVOKED
_OUTSIDE, _CURRENT, _KEPT, _PENDING = Place.OUTSIDE, Place.CURRENT, Place.KEPT, Place.PENDING
_SUPERSEDED, _REVOKING = Place.SUPERSEDED, Place.REVOKING

_LIFE: dict[tuple[Status | None, Place, Happened], tuple[Status, Place]] = {
    # A consent stands over all that was.
    (None, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_DEAD, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ENDING, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ENDED, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.CONSENTED): (_ACTIVE, _SUPERSEDED),
    (_DEAD, _CURRENT, Happened.CONSENTED): (_ACTIVE, _SUPERSEDED),
    (_ACTIVE, _KEPT, Happened.CONSENTED): (_ACTIVE, _SUPERSEDED),
    (_ACTIVE, _OUTSIDE, Happened.CONSENTED_KEEPING): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.CONSENTED_KEEPING): (_ACTIVE, _KEPT),
    # A consent whose account has to be asked.
    (_ACTIVE, _OUTSIDE, Happened.HAS_TO_WAIT): (_ACTIVE, _PENDING),
    (_DEAD, _OUTSIDE, Happened.HAS_TO_WAIT): (_DEAD, _PENDING),
    (_ACTIVE, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_DEAD, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _PENDING, Happened.CONSENTED_KEEPING): (_ACTIVE, _CURRENT),
    (_ACTIVE, _PENDING, Happened.CAME_LATE): (_ACTIVE, _SUPERSEDED),
    (_DEAD, _PENDING, Happened.CAME_LATE): (_DEAD, _SUPERSEDED),
    (_ACTIVE, _PENDING, Happened.ACCOUNT_PUT_OFF): (_ACTIVE, _PENDING),
    (_DEAD, _PENDING, Happened.ACCOUNT_PUT_OFF): (_DEAD, _PENDING),
    (_ACTIVE, _PENDING, Happened.DISOWNED): (_ACTIVE, _REVOKING),
    (_DEAD, _PENDING, Happened.DISOWNED): (_DEAD, _REVOKING),
    (_ACTIVE, _PENDING, Happened.FORGOTTEN): (_ACTIVE, _OUTSIDE),
    (_DEAD, _PENDING, Happened.FORGOTTEN): (_DEAD, _OUTSIDE),
    (_ACTIVE, _CURRENT, Happened.ACCOUNT_FOUND): (_ACTIVE, _CURRENT),
    (_DEAD, _CURRENT, Happened.ACCOUNT_FOUND): (_DEAD, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.ACCOUNT_PUT_OFF): (_ACTIVE, _CURRENT),
    (_DEAD, _CURRENT, Happened.ACCOUNT_PUT_OFF): (_DEAD, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.ACCOUNT_LEFT_UNKNOWN): (_ACTIVE, _CURRENT),
    (_DEAD, _CURRENT, Happened.ACCOUNT_LEFT_UNKNOWN): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.DISOWNED): (_DEAD, _REVOKING),
    (_DEAD, _CURRENT, Happened.FORGOTTEN): (_DEAD, _OUTSIDE),
    # A refresh: its journal, and what came of it.
    (_ACTIVE, _CURRENT, Happened.LEASED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.GOT_SLOT): (_ACTIVE, _CURRENT),
    (_ACTIVE, _KEPT, Happened.GOT_SLOT): (_ACTIVE, _KEPT),
    (_ACTIVE, _CURRENT, Happened.LEASE_GIVEN_BACK): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.LEASE_ENDED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _SUPERSEDED, Happened.LEASE_ENDED): (_ACTIVE, _SUPERSEDED),
    (_DEAD, _SUPERSEDED, Happened.LEASE_ENDED): (_DEAD, _SUPERSEDED),
    (_ACTIVE, _REVOKING, Happened.LEASE_ENDED): (_ACTIVE, _REVOKING),
    (_DEAD, _REVOKING, Happened.LEASE_ENDED): (_DEAD, _REVOKING),
    (_ENDING, _REVOKING, Happened.LEASE_ENDED): (_ENDING, _REVOKING),
    (_ACTIVE, _CURRENT, Happened.REFRESH_FAILED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.REFUSED): (_DEAD, _CURRENT),
    (_ACTIVE, _OUTSIDE, Happened.REFRESHED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.REFRESHED): (_ACTIVE, _OUTSIDE),
    (_ACTIVE, _CURRENT, Happened.ENDS_SOON): (_ACTIVE, _CURRENT),
    # A look at what is believed dead is a refresh like any other.
    (_DEAD, _CURRENT, Happened.LEASED): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.GOT_SLOT): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.LEASE_GIVEN_BACK): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.LEASE_ENDED): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.REFRESH_FAILED): (_DEAD, _CURRENT),
    (_DEAD, _CURRENT, Happened.REFUSED): (_DEAD, _CURRENT),
    (_DEAD, _OUTSIDE, Happened.RECOVERED): (_ACTIVE, _CURRENT),
    (_DEAD, _CURRENT, Happened.RECOVERED): (_ACTIVE, _OUTSIDE),
    (_DEAD, _CURRENT, Happened.LOOKS_ENDED): (_DEAD, _CURRENT),
    # A refresh with what is kept beside the current tokens.
    (_ACTIVE, _KEPT, Happened.LEASED): (_ACTIVE, _KEPT),
    (_ACTIVE, _KEPT, Happened.LEASE_GIVEN_BACK): (_ACTIVE, _KEPT),
    (_ACTIVE, _KEPT, Happened.LEASE_ENDED): (_ACTIVE, _KEPT),
    (_ACTIVE, _KEPT, Happened.REFRESH_FAILED): (_ACTIVE, _KEPT),
    (_ACTIVE, _OUTSIDE, Happened.KEPT_REFRESHED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _KEPT, Happened.KEPT_REFRESHED): (_ACTIVE, _OUTSIDE),
    (_ACTIVE, _CURRENT, Happened.KEPT_REFRESHED): (_ACTIVE, _SUPERSEDED),
    (_ACTIVE, _KEPT, Happened.KEPT_REFUSED): (_ACTIVE, _SUPERSEDED),
    (_ACTIVE, _CURRENT, Happened.KEPT_REFUSED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _OUTSIDE, Happened.KEPT_CAME_LATE): (_ACTIVE, _KEPT),
    (_ACTIVE, _KEPT, Happened.KEPT_CAME_LATE): (_ACTIVE, _OUTSIDE),
    # What came after something newer. A superseded token set gives its place to what its own refresh has brought.
    (_ACTIVE, _OUTSIDE, Happened.CAME_LATE): (_ACTIVE, _SUPERSEDED),
    (_DEAD, _OUTSIDE, Happened.CAME_LATE): (_DEAD, _SUPERSEDED),
    (_ACTIVE, _SUPERSEDED, Happened.CAME_LATE): (_ACTIVE, _OUTSIDE),
    (_DEAD, _SUPERSEDED, Happened.CAME_LATE): (_DEAD, _OUTSIDE),
    (_ACTIVE, _SUPERSEDED, Happened.LEFT_TO_SERVER): (_ACTIVE, _OUTSIDE),
    (_DEAD, _SUPERSEDED, Happened.LEFT_TO_SERVER): (_DEAD, _OUTSIDE),
    (_ACTIVE, _SUPERSEDED, Happened.REVOKED_APART): (_ACTIVE, _REVOKING),
    (_DEAD, _SUPERSEDED, Happened.REVOKED_APART): (_DEAD, _REVOKING),
    # The end, here and at the server.
    (_ACTIVE, _CURRENT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _CURRENT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_ACTIVE, _KEPT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_ACTIVE, _SUPERSEDED, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _SUPERSEDED, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _REVOKING, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _OUTSIDE, Happened.REVOKED_WITHOUT): (_ENDED, _OUTSIDE),
    (_ACTIVE, _OUTSIDE, Happened.CAME_AFTER_REVOCATION): (_ACTIVE, _REVOKING),
    (_DEAD, _OUTSIDE, Happened.CAME_AFTER_REVOCATION): (_DEAD, _REVOKING),
    (_ENDING, _OUTSIDE, Happened.CAME_AFTER_REVOCATION): (_ENDING, _REVOKING),
    (_ENDED, _OUTSIDE, Happened.CAME_AFTER_REVOCATION): (_ENDING, _REVOKING),
    (_ACTIVE, _SUPERSEDED, Happened.CAME_AFTER_REVOCATION): (_ACTIVE, _OUTSIDE),
    (_DEAD, _SUPERSEDED, Happened.CAME_AFTER_REVOCATION): (_DEAD, _OUTSIDE),
    (_ACTIVE, _REVOKING, Happened.CAME_AFTER_REVOCATION): (_ACTIVE, _OUTSIDE),
    (_DEAD, _REVOKING, Happened.CAME_AFTER_REVOCATION): (_DEAD, _OUTSIDE),
    (_ENDING, _REVOKING, Happened.CAME_AFTER_REVOCATION): (_ENDING, _OUTSIDE),
    (_ACTIVE, _OUTSIDE, Happened.CAME_UNWANTED): (_ACTIVE, _REVOKING),
    (_DEAD, _OUTSIDE, Happened.CAME_UNWANTED): (_DEAD, _REVOKING),
    (_ENDING, _OUTSIDE, Happened.CAME_UNWANTED): (_ENDING, _REVOKING),
    (_ENDED, _OUTSIDE, Happened.CAME_UNWANTED): (_ENDING, _REVOKING),
    (_ACTIVE, _REVOKING, Happened.CAME_UNWANTED): (_ACTIVE, _OUTSIDE),
    (_DEAD, _REVOKING, Happened.CAME_UNWANTED): (_DEAD, _OUTSIDE),
    (_ACTIVE, _REVOKING, Happened.LEASED): (_ACTIVE, _REVOKING),
    (_DEAD, _REVOKING, Happened.LEASED): (_DEAD, _REVOKING),
    (_ENDING, _REVOKING, Happened.LEASED): (_ENDING, _REVOKING),
    (_ACTIVE, _REVOKING, Happened.REVOCATION_BEGAN): (_ACTIVE, _REVOKING),
    (_DEAD, _REVOKING, Happened.REVOCATION_BEGAN): (_DEAD, _REVOKING),
    (_ENDING, _REVOKING, Happened.REVOCATION_BEGAN): (_ENDING, _REVOKING),
    (_ACTIVE, _REVOKING, Happened.REVOCATION_FAILED): (_ACTIVE, _REVOKING),
    (_DEAD, _REVOKING, Happened.REVOCATION_FAILED): (_DEAD, _REVOKING),
    (_ENDING, _REVOKING, Happened.REVOCATION_FAILED): (_ENDING, _REVOKING),
    (_ACTIVE, _REVOKING, Happened.REVOCATION_PUT_OFF): (_ACTIVE, _SUPERSEDED),
    (_DEAD, _REVOKING, Happened.REVOCATION_PUT_OFF): (_DEAD, _SUPERSEDED),
    (_ACTIVE, _REVOKING, Happened.REVOCATION_CONFIRMED): (_ACTIVE, _OUTSIDE),
    (_DEAD, _REVOKING, Happened.REVOCATION_CONFIRMED): (_DEAD, _OUTSIDE),
    (_ENDING, _REVOKING, Happened.REVOCATION_CONFIRMED): (_ENDING, _OUTSIDE),
    (_ENDING, _REVOKING, Happened.LAST_CONFIRMED): (_ENDED, _OUTSIDE),
}

LIFE = MappingProxyType(_LIFE)
"""What becomes of status and place, by status, place and what happens; nobody writes to it."""


def becomes(status: Status | None, place: Place, happened: Happened) -> tuple[Status, Place]:
    """Return status and place after something happened; `status` is None where there was no connection.

    Raises `LookupError` for what cannot happen: a defect.
    """
    row = LIFE.get((status, place, happened))
    if row is None:
        raise LookupError(f"no row for a token set that is {place} in a connection that is {status}: {happened}")
    return row


__all__ = ["LIFE", "MOST_BYTES", "MOST_SETS", "MOST_SUPERSEDED", "Happened", "Place", "Status", "becomes"]
