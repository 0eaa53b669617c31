"""Tokens that come too late to be vended: in whose place they are held, what they are known by, and what is due."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.vault.grant import late_answers, refreshes, revocations
from functions.vault.grant.connection import Connection
from functions.vault.grant.life import Place
from functions.vault.grant.revocation import Revocation
from functions.vault.grant.stored_set import RefreshedFrom, StoredSet
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import SealedTokens
from tests.unit.samples import NOW, connection, sealed_tokens, token_response

LATE = NOW + 60
SOURCE = RefreshedFrom("sealed-1", 2)
AGAIN = sealed_tokens(sealed=b"again", version=2)
RECONNECTED = connection(before=connection(), tokens=AGAIN, authorized_by="request-2")
"""Version 2, by another consent; the token set of the first is superseded."""

REVOKED = revocations.revoked(connection(), NOW + 40)


def answer(at: int = NOW + 50, **fields: Any) -> SealedTokens:
    """Return the answer to a refresh with the first token set, which the server gave at this time."""
    return sealed_tokens(token_response(**fields), b"late", version=2, at=at)


def the_late_one(of: Connection) -> StoredSet:
    """Return the token set that came late."""
    (late,) = [each for each in of.sets if each.id == "late"]
    return late


def test_a_late_answer_is_held_in_the_place_of_what_it_came_from() -> None:
    """With the request and the token set that it comes from; nothing that is vended changes."""
    superseded = RECONNECTED.set_of("sealed-1")

    after = late_answers.came_late(RECONNECTED, answer(), superseded, "request-1", LATE + 0.9, SOURCE)

    late = the_late_one(after)
    assert [each.id for each in after.sets] == ["again", "late"]
    assert (late.place, late.request_id, late.refreshed_from) == (Place.SUPERSEDED, "request-1", SOURCE)
    assert late.revocation is None
    assert (after.current, after.updated_at, after.due_at) == (RECONNECTED.current, LATE, RECONNECTED.due_at)


def test_a_late_answer_is_revoked_at_once_if_grants_are_separate() -> None:
    """It ends no other grant then."""
    after = late_answers.came_late(connection(), answer(), None, "request-1", LATE, SOURCE, grants_are_apart=True)

    assert (the_late_one(after).place, after.revocation_due_at, after.due_at) == (Place.REVOKING, LATE, LATE)


@pytest.mark.parametrize(
    ("came", "stored"),
    [
        (late_answers.came_after_revocation, revocations.revoked(RECONNECTED, NOW + 40)),
        (late_answers.came_unwanted, connection(before=REVOKED, tokens=AGAIN, authorized_by="request-2")),
    ],
)
@pytest.mark.parametrize("takes_its_place", [True, False])
def test_what_is_to_be_revoked_says_since_when_and_how_old_it_is(
    came: Callable[..., Connection], stored: Connection, *, takes_its_place: bool
) -> None:
    """Tokens that the server has issued just now are sent as they are; older ones are refreshed first."""
    replaces = stored.set_of("sealed-1") if takes_its_place else None

    after = came(stored, answer(), replaces, "request-1", LATE + 0.9, SOURCE)

    late = the_late_one(after)
    assert (late.place, late.request_id, late.refreshed_from) == (Place.REVOKING, "request-1", SOURCE)
    assert late.revocation == Revocation(LATE, came_at=NOW + 50)
    assert (after.set_of("sealed-1") is None) is takes_its_place
    assert (after.status, after.updated_at) == (stored.status, LATE)


# With a kept refresh token

ACCOUNT = token_response(subject="account-1", scope="offline", refresh_expires_at=NOW + 86400)
ONLINE = sealed_tokens(token_response(subject="account-1", tokens=TokenSet("AT-1")), b"online", version=2)
KEEPING = connection(before=connection(ACCOUNT), tokens=ONLINE, authorized_by="request-2")
"""Version 2, whose tokens came without a refresh token; that of the first consent is kept."""


@pytest.mark.parametrize(
    ("said", "scope", "refresh_expires_at"),
    [
        ({"scope": None}, "offline", NOW + 86400),
        ({"scope": "less", "refresh_expires_at": NOW + 999}, "less", NOW + 999),
    ],
)
def test_what_the_answer_to_a_kept_refresh_token_does_not_say_stays(
    said: dict[str, Any], scope: str, refresh_expires_at: int
) -> None:
    """Its scope (RFC 6749 section 6), and when the refresh token ends; and it is of the same authorization."""
    (kept,) = KEEPING.in_place(Place.KEPT)

    after = late_answers.kept_came_late(KEEPING, answer(**said), kept, "holder-1", LATE + 0.9, SOURCE)

    late = the_late_one(after)
    assert [each.id for each in after.sets] == ["online", "late"]
    assert (late.place, late.scope, late.refresh_expires_at) == (Place.KEPT, scope, refresh_expires_at)
    assert (late.request_id, late.refreshed_from, late.lease) == ("request-1", SOURCE, None)
    assert (after.current, after.scope, after.updated_at) == (KEEPING.current, "read", LATE)


@pytest.mark.parametrize(("holder", "until", "stays"), [("holder-2", LATE + 1, True), ("holder-2", LATE, False)])
def test_whoever_is_at_work_with_a_kept_refresh_token_keeps_its_lease(holder: str, until: int, *, stays: bool) -> None:
    """Until it lapses; whoever brings the answer gives its own back."""
    at_work = refreshes.leased(KEEPING, holder, until, NOW)
    (kept,) = at_work.in_place(Place.KEPT)

    by_another = late_answers.kept_came_late(at_work, answer(), kept, "holder-1", LATE, SOURCE)
    by_itself = late_answers.kept_came_late(at_work, answer(), kept, holder, LATE, SOURCE)

    assert by_another.lease == (at_work.lease if stays else None)
    assert by_itself.lease is None
