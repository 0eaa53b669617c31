"""The life of a connection: one table of all that can happen to its status and to its token sets. Read this first.

A connection has one *status* and holds token sets, each in one *place*. Things happen to it one at a time: to a token
set that comes in, to one that is there, or to all that are in a place.

How to read the table:

- A row says: if this happens, in this status, to a token set in this place, then the connection has that status
  afterwards and the token set is in that place. What has no row cannot happen: to try it is a defect.
- A token set that nothing happens to stays where it is. If something happens to several token sets at once, all of
  their rows lead to the same status.

The rules that the rows follow:

- **Vending.** Tokens are vended only while the status is `active`, and only from `current`: one token set at most.
- **Refusal.** If the server refuses the grant, that is believed at once, and it may be wrong. If nothing but the
  server's answer supports it, the refresh token is tried a few more times (`belief`).
- **Recovery.** A server that issues tokens for a grant has not ended it. So a consent and the answer to a refresh make
  a connection active, even if its grant was believed dead. The exception is an answer to a request from before a
  revocation: it never does, and is revoked too, whatever the connection holds by now.
- **Late answers.** A late answer takes the place of the token set that it came from. If that token set is gone, the
  answer is `superseded`. Nothing that a server has issued is dropped, except for the oldest of more than
  `MOST_SUPERSEDED` superseded token sets.
- **A new consent** replaces the current token set, which becomes `superseded`: nobody uses it any more, and it is
  revoked when the connection is. To revoke it at once would end the new consent too, at servers that end everything of
  an account. It is revoked at once only if the provider's data says that the grants of an account are separate
  (`revocation_ends_authorization` is false). If the data does not say so, a token set that is yet to be revoked becomes
  `superseded` while a newer consent of the same client and tenant is in use.
- **A consent without a refresh token** leaves the earlier refresh token in use, if that is for the same account, at the
  same client of the same server: its token set is `kept` beside the current one. A refresh uses the kept token set, and
  the tokens that it brings become current. A late answer to it takes its place. If it is refused it becomes
  `superseded`, and the connection stays active: the current tokens are vended until they expire. A consent that does
  bring a refresh token supersedes both.
- **Tokens that are not the connection's own**, but of another account or another party, are never current. They are
  revoked if grants are separate. If not, the connection does not hold them at all: somebody else may rely on the same
  authorization.
- **Tokens that wait** are `pending`, one token set at a time: they are vended to nobody, and what worked before goes on
  working. They wait for one of two reasons, or for both:

  - *Their account has to be asked for*, and the connection has an account to compare it with. The tokens of a first
    consent do not wait for that: their account follows. If it cannot be found out, it depends on where it was to come
    from: if an ID token claims to name it, the connection loses the tokens; if an endpoint was to name it, the
    connection keeps them, with an unknown account.
  - *The application has to confirm them* (`confirm`), within ten minutes. A connection that has never had tokens is
    `unconfirmed` meanwhile. Any other keeps its status: one that was revoked stays revoked until it is confirmed.

  When nothing keeps them waiting they leave as a consent's tokens do, or as a late answer. If they are for another
  account, if nobody has confirmed them in time, or if a revocation or a newer consent finds them unconfirmed, they are
  not the connection's own. Nothing takes the place of tokens that wait for their account alone but their own answer.
- **An import** brings tokens into a connection that has none. They are current at once, and vended once a refresh has
  proved them: until then the connection is `unconfirmed`. If the server refuses them they are tried again as any grant
  is. They go if others are imported, or the same under another registration, if somebody consents, and if they are of
  another account than was named: they never were the connection's own. An import may also be taken as it is.
- **Revocation** ends a connection here at once. It is `revoking` while any of its token sets is still to be revoked at
  its server, and `revoked` when none is left. Only a new consent brings it back, or an import once it is `revoked`;
  what is yet to be revoked then stays beside the new tokens.
- **Another key.** If another KMS key seals from now on, what an earlier one sealed is sealed again, in its place: its
  tokens, its lease, its attempts and its version stay what they are. What is or was `pending` is left as it is.

Only `transition.after` sets a status or moves a token set, and it does so by this table. For each thing that happens
there is a function of the same name, in `consents`, `imports`, `refreshes`, `late_answers`, `revocations` or
`another_key`. The picture of the table is in `docs/life.md`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

MOST_SUPERSEDED = 8
"""Superseded token sets that a connection keeps, the newest; an older one is dropped, and lives on at its server."""

MOST_SETS = 40
"""Token sets that a connection may hold and still be authorized again: all of them may have to be revoked one day."""

MOST_BYTES = 200 * 1024
"""Bytes that all ciphertexts of a connection may have and it still be authorized again; DynamoDB takes 400 KB."""

CONFIRM_WITHIN = 600
"""Seconds that tokens wait for the application's confirmation, from the write that made them wait."""


class Status(StrEnum):
    """The status of a connection, as its record and its callers have it."""

    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    REVOKING = "revoking"
    REVOKED = "revoked"


ENDED = frozenset({Status.REVOKING, Status.REVOKED})
"""Ended on purpose: whatever else happens, nothing is vended."""


class Place(StrEnum):
    """Where a token set is. `OUTSIDE` is not in the record: a token set comes from there, and leaves for good."""

    OUTSIDE = "outside"
    CURRENT = "current"
    KEPT = "kept"
    PENDING = "pending"
    SUPERSEDED = "superseded"
    REVOKING = "revoking"


class Happened(StrEnum):
    """What can happen to a connection and its token sets; the value is how the picture says it."""

    CONSENTED = "a consent's tokens came"
    CONSENTED_KEEPING = "a consent's tokens came, without a refresh token"
    HAS_TO_WAIT = "a consent's tokens came, and have to wait"
    FIRST_HAS_TO_WAIT = "the first tokens came, and have to wait"
    ACCOUNT_FOUND = "the account of its tokens was found"
    ACCOUNT_PUT_OFF = "the account could not be asked for yet"
    ACCOUNT_LEFT_UNKNOWN = "the account of its tokens is not asked for any more"
    DISOWNED = "it was not the connection's own, and grants are separate"
    FORGOTTEN = "it was not the connection's own"
    DISOWNED_BESIDE = "it was not the connection's own, beside an import to be proved, and grants are separate"
    FORGOTTEN_BESIDE = "it was not the connection's own, beside an import to be proved"
    IMPORTED = "an import came that is taken as it is"
    HAS_TO_BE_PROVED = "an import came, and has to be proved"
    PROVED = "a refresh proved an import"
    LEASED = "a refresh began"
    GOT_SLOT = "a refresh that waited got its slot"
    LEASE_GIVEN_BACK = "a refresh sent nothing"
    LEASE_ENDED = "a refresh ended that was of an earlier token set"
    REFRESHED = "a refresh brought tokens"
    REFRESH_FAILED = "a refresh failed"
    REFUSED = "the grant was refused"
    RECOVERED = "a grant that was believed dead brought tokens"
    LOOKS_ENDED = "a refused grant is not tried any more"
    KEPT_REFRESHED = "a kept refresh token brought tokens"
    KEPT_REFUSED = "a kept refresh token was refused"
    KEPT_CAME_LATE = "a kept refresh token brought tokens too late"
    CAME_LATE = "tokens came too late"
    ENDS_SOON = "tokens that nothing refreshes are about to expire"
    LEFT_TO_SERVER = "there was no room for it"
    REVOKED_APART = "it is revoked at once, since grants are separate"
    REVOKED = "the connection was revoked"
    REVOKED_WITHOUT = "the connection was revoked, and had no tokens"
    CAME_AFTER_REVOCATION = "tokens came from before a revocation"
    CAME_UNWANTED = "tokens came that nobody is to use"
    REVOCATION_BEGAN = "an attempt to revoke it began"
    REVOCATION_FAILED = "an attempt to revoke it failed"
    REVOCATION_PUT_OFF = "to revoke it could end a newer consent"
    REVOCATION_CONFIRMED = "its revocation was confirmed"
    LAST_CONFIRMED = "the last revocation was confirmed"
    SEALED_AGAIN = "it was sealed again under another key"


_ACTIVE, _UNCONFIRMED, _DEAD = Status.ACTIVE, Status.UNCONFIRMED, Status.REAUTHORIZATION_REQUIRED
_ENDING, _ENDED = Status.REVOKING, Status.REVOKED
_OUTSIDE, _CURRENT, _KEPT, _PENDING = Place.OUTSIDE, Place.CURRENT, Place.KEPT, Place.PENDING
_SUPERSEDED, _REVOKING = Place.SUPERSEDED, Place.REVOKING

_Rows = dict[tuple[Status | None, Place, Happened], tuple[Status, Place]]


def _goes(start: Place, happened: Happened, end: Place, *statuses: Status) -> _Rows:
    """Return a row for each of these statuses, which stays while what happens moves a token set."""
    return {(status, start, happened): (status, end) for status in statuses}


def _stays(place: Place, happened: Happened, *statuses: Status) -> _Rows:
    """Return a row for each of these statuses in which what happens moves nothing."""
    return _goes(place, happened, place, *statuses)


_LIFE: _Rows = {
    # A consent.
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
    (_UNCONFIRMED, _OUTSIDE, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_UNCONFIRMED, _CURRENT, Happened.CONSENTED): (_ACTIVE, _SUPERSEDED),
    # An import, into a connection without tokens.
    (None, _OUTSIDE, Happened.IMPORTED): (_ACTIVE, _CURRENT),
    (_DEAD, _OUTSIDE, Happened.IMPORTED): (_ACTIVE, _CURRENT),
    (_ENDED, _OUTSIDE, Happened.IMPORTED): (_ACTIVE, _CURRENT),
    (None, _OUTSIDE, Happened.HAS_TO_BE_PROVED): (_UNCONFIRMED, _CURRENT),
    (_DEAD, _OUTSIDE, Happened.HAS_TO_BE_PROVED): (_UNCONFIRMED, _CURRENT),
    (_ENDED, _OUTSIDE, Happened.HAS_TO_BE_PROVED): (_UNCONFIRMED, _CURRENT),
    (_UNCONFIRMED, _OUTSIDE, Happened.HAS_TO_BE_PROVED): (_UNCONFIRMED, _CURRENT),
    (_UNCONFIRMED, _CURRENT, Happened.HAS_TO_BE_PROVED): (_UNCONFIRMED, _OUTSIDE),
    (_UNCONFIRMED, _OUTSIDE, Happened.PROVED): (_ACTIVE, _CURRENT),
    (_UNCONFIRMED, _CURRENT, Happened.PROVED): (_ACTIVE, _OUTSIDE),
    (_UNCONFIRMED, _CURRENT, Happened.REFUSED): (_DEAD, _CURRENT),
    # A consent whose tokens have to wait.
    (None, _OUTSIDE, Happened.FIRST_HAS_TO_WAIT): (_UNCONFIRMED, _PENDING),
    (_DEAD, _OUTSIDE, Happened.FIRST_HAS_TO_WAIT): (_UNCONFIRMED, _PENDING),
    **_goes(_OUTSIDE, Happened.HAS_TO_WAIT, _PENDING, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING, _ENDED),
    (_ACTIVE, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_UNCONFIRMED, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_DEAD, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ENDING, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ENDED, _PENDING, Happened.CONSENTED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _PENDING, Happened.CONSENTED_KEEPING): (_ACTIVE, _CURRENT),
    **_goes(_PENDING, Happened.CAME_LATE, _SUPERSEDED, _ACTIVE, _DEAD),
    (_UNCONFIRMED, _PENDING, Happened.DISOWNED): (_DEAD, _REVOKING),
    **_goes(_PENDING, Happened.DISOWNED, _REVOKING, _ACTIVE, _DEAD, _ENDING),
    (_ENDED, _PENDING, Happened.DISOWNED): (_ENDING, _REVOKING),
    (_UNCONFIRMED, _PENDING, Happened.FORGOTTEN): (_DEAD, _OUTSIDE),
    **_goes(_PENDING, Happened.FORGOTTEN, _OUTSIDE, _ACTIVE, _DEAD, _ENDING, _ENDED),
    (_UNCONFIRMED, _PENDING, Happened.DISOWNED_BESIDE): (_UNCONFIRMED, _REVOKING),
    (_UNCONFIRMED, _PENDING, Happened.FORGOTTEN_BESIDE): (_UNCONFIRMED, _OUTSIDE),
    **_stays(_PENDING, Happened.ACCOUNT_FOUND, *Status),
    **_stays(_PENDING, Happened.ACCOUNT_PUT_OFF, *Status),
    **_stays(_PENDING, Happened.ACCOUNT_LEFT_UNKNOWN, *Status),
    **_stays(_CURRENT, Happened.ACCOUNT_FOUND, _ACTIVE, _DEAD),
    **_stays(_CURRENT, Happened.ACCOUNT_PUT_OFF, _ACTIVE, _DEAD),
    **_stays(_CURRENT, Happened.ACCOUNT_LEFT_UNKNOWN, _ACTIVE, _DEAD),
    (_DEAD, _CURRENT, Happened.DISOWNED): (_DEAD, _REVOKING),
    (_DEAD, _CURRENT, Happened.FORGOTTEN): (_DEAD, _OUTSIDE),
    # A refresh: its lease, and its outcome.
    **_stays(_CURRENT, Happened.LEASED, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_CURRENT, Happened.GOT_SLOT, _ACTIVE, _UNCONFIRMED, _DEAD),
    (_ACTIVE, _KEPT, Happened.GOT_SLOT): (_ACTIVE, _KEPT),
    **_stays(_CURRENT, Happened.LEASE_GIVEN_BACK, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_CURRENT, Happened.LEASE_ENDED, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_SUPERSEDED, Happened.LEASE_ENDED, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_REVOKING, Happened.LEASE_ENDED, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    **_stays(_CURRENT, Happened.REFRESH_FAILED, _ACTIVE, _UNCONFIRMED, _DEAD),
    (_ACTIVE, _CURRENT, Happened.REFUSED): (_DEAD, _CURRENT),
    (_ACTIVE, _OUTSIDE, Happened.REFRESHED): (_ACTIVE, _CURRENT),
    (_ACTIVE, _CURRENT, Happened.REFRESHED): (_ACTIVE, _OUTSIDE),
    (_ACTIVE, _CURRENT, Happened.ENDS_SOON): (_ACTIVE, _CURRENT),
    # A refused grant is tried once more: a refresh like any other.
    (_DEAD, _CURRENT, Happened.REFUSED): (_DEAD, _CURRENT),
    (_DEAD, _OUTSIDE, Happened.RECOVERED): (_ACTIVE, _CURRENT),
    (_DEAD, _CURRENT, Happened.RECOVERED): (_ACTIVE, _OUTSIDE),
    (_DEAD, _CURRENT, Happened.LOOKS_ENDED): (_DEAD, _CURRENT),
    # A refresh with the kept refresh token.
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
    # Tokens that came too late. A superseded token set gives way to what its own refresh has brought.
    **_goes(_OUTSIDE, Happened.CAME_LATE, _SUPERSEDED, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_goes(_SUPERSEDED, Happened.CAME_LATE, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_goes(_SUPERSEDED, Happened.LEFT_TO_SERVER, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_goes(_SUPERSEDED, Happened.REVOKED_APART, _REVOKING, _ACTIVE, _UNCONFIRMED, _DEAD),
    # Revocation, here and at the server.
    (_ACTIVE, _CURRENT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_UNCONFIRMED, _CURRENT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _CURRENT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_ACTIVE, _KEPT, Happened.REVOKED): (_ENDING, _REVOKING),
    (_ACTIVE, _SUPERSEDED, Happened.REVOKED): (_ENDING, _REVOKING),
    (_UNCONFIRMED, _SUPERSEDED, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _SUPERSEDED, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _REVOKING, Happened.REVOKED): (_ENDING, _REVOKING),
    (_DEAD, _OUTSIDE, Happened.REVOKED_WITHOUT): (_ENDED, _OUTSIDE),
    **_goes(_OUTSIDE, Happened.CAME_AFTER_REVOCATION, _REVOKING, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    (_ENDED, _OUTSIDE, Happened.CAME_AFTER_REVOCATION): (_ENDING, _REVOKING),
    **_goes(_SUPERSEDED, Happened.CAME_AFTER_REVOCATION, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_goes(_REVOKING, Happened.CAME_AFTER_REVOCATION, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    **_goes(_OUTSIDE, Happened.CAME_UNWANTED, _REVOKING, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    (_ENDED, _OUTSIDE, Happened.CAME_UNWANTED): (_ENDING, _REVOKING),
    **_goes(_REVOKING, Happened.CAME_UNWANTED, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_REVOKING, Happened.LEASED, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    **_stays(_REVOKING, Happened.REVOCATION_BEGAN, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    **_stays(_REVOKING, Happened.REVOCATION_FAILED, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    **_goes(_REVOKING, Happened.REVOCATION_PUT_OFF, _SUPERSEDED, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_goes(_REVOKING, Happened.REVOCATION_CONFIRMED, _OUTSIDE, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
    (_ENDING, _REVOKING, Happened.LAST_CONFIRMED): (_ENDED, _OUTSIDE),
    # Another key seals.
    **_stays(_CURRENT, Happened.SEALED_AGAIN, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_KEPT, Happened.SEALED_AGAIN, _ACTIVE),
    **_stays(_SUPERSEDED, Happened.SEALED_AGAIN, _ACTIVE, _UNCONFIRMED, _DEAD),
    **_stays(_REVOKING, Happened.SEALED_AGAIN, _ACTIVE, _UNCONFIRMED, _DEAD, _ENDING),
}

LIFE = MappingProxyType(_LIFE)
"""`(status, place, what happens)` to `(status, place)` afterwards. The status is None if there was no connection."""


def becomes(status: Status | None, place: Place, happened: Happened) -> tuple[Status, Place]:
    """Return status and place after something happened; `status` is None if there was no connection.

    Raises `LookupError` for what cannot happen: a defect.
    """
    row = LIFE.get((status, place, happened))
    if row is None:
        raise LookupError(f"no row for a token set that is {place} in a connection that is {status}: {happened}")
    return row
