"""The table of a connection's life: what it says of itself holds in every row, and the methods go by it."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from functions import vault
from functions.vault.base.errors import ProviderError, ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant import consents, late_answers, refreshes, revocations
from functions.vault.grant.life import LIFE, MOST_SUPERSEDED, Happened, Place, Status, becomes
from functions.vault.grant.stored_set import Pending, RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.grant.tokens import Account
from tests.unit.samples import NOW, connection, sealed_tokens, token_response
from tools.life import DOCUMENT, document

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.connection import Connection
    from functions.vault.grant.stored_set import StoredSet
    from functions.vault.grant.tokens import SealedTokens, TokenResponse

Row = tuple[Status | None, Place, Happened]

MOST_OF_A_WALK = 5

ENDED = {Status.REVOKING, Status.REVOKED}


def test_what_has_no_row_cannot_happen() -> None:
    """It is a defect of whoever tries, and says what was tried."""
    with pytest.raises(LookupError, match=r"revoked.*a refresh began"):
        becomes(Status.REVOKED, Place.CURRENT, Happened.LEASED)


def test_every_row_is_read_as_it_is_written() -> None:
    """From status, place and what happened to status and place."""
    for (status, place, happened), then in LIFE.items():
        assert becomes(status, place, happened) == then


def test_what_happens_at_once_gives_one_status() -> None:
    """Of a status and what happens to it only one status can follow, whichever token set is looked at."""
    following: dict[tuple[Status | None, Happened], set[Status]] = {}
    for (status, _, happened), (then, _) in LIFE.items():
        following.setdefault((status, happened), set()).add(then)

    assert {each: statuses for each, statuses in following.items() if len(statuses) > 1} == {}


def test_everything_that_can_happen_has_a_row_and_none_leads_nowhere() -> None:
    """No word of the table is idle, and no token set comes from outside only to stay there."""
    assert {happened for _, _, happened in LIFE} == set(Happened)
    leading_nowhere = {row[2] for row, (_, place) in LIFE.items() if row[1] is place is Place.OUTSIDE}
    assert leading_nowhere == {Happened.REVOKED_WITHOUT}, "where there is no token set to tell what becomes of it"


def test_what_has_ended_vends_nothing() -> None:
    """Nothing is current in a connection that has ended; only a consent brings one back."""
    for (status, place, happened), (then, after) in LIFE.items():
        assert (status in ENDED) <= (place is not Place.CURRENT)
        assert (then in ENDED) <= (after is not Place.CURRENT)
        assert (status in ENDED and then not in ENDED) <= (happened is Happened.CONSENTED)


def test_what_is_to_be_revoked_only_goes_for_a_reason() -> None:
    """Its end is confirmed, its refresh has replaced it, or it waits for a newer consent's end. No consent does it."""
    leaving = {
        happened
        for (_, place, happened), (_, after) in LIFE.items()
        if place is Place.REVOKING and after is not Place.REVOKING
    }

    assert leaving == {
        Happened.REVOCATION_CONFIRMED,
        Happened.LAST_CONFIRMED,
        Happened.REVOCATION_PUT_OFF,
        Happened.CAME_AFTER_REVOCATION,
        Happened.CAME_UNWANTED,
    }


ACCOUNT = token_response(subject="account-1")
ONLINE = token_response(subject="account-1", tokens=TokenSet("AT-1"))
"""A consent of the same account that brings no refresh token."""


def consented(was: Connection, response: TokenResponse = ACCOUNT, *, grants_are_apart: bool = False) -> Connection:
    """Let another consent come."""
    number = was.changes
    tokens = sealed_tokens(response, b"consent-%d" % number, version=was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{number}", grants_are_apart=grants_are_apart)


def late_apart(was: Connection) -> Connection:
    """Let tokens come too late at a server that keeps grants apart."""
    return late_answers.came_late(was, answer(was), None, None, NOW, grants_are_apart=True)


def sealed_for(waiting: StoredSet, response: TokenResponse = ACCOUNT, version: int = 1) -> SealedTokens:
    """Return what has waited, sealed to be used."""
    return sealed_tokens(response, waiting.id.encode(), version=version)


def has_to_wait(was: Connection, *, grants_are_apart: bool = False) -> Connection:
    """Let a consent come whose account has to be asked."""
    pending = Pending(until=NOW + 120, obtained_at=NOW, revocations=0, grants_are_apart=grants_are_apart)
    return consents.has_to_wait(was, answer(was), pending, f"consent-{was.changes}", NOW)


def one_that_waits(was: Connection) -> StoredSet:
    """Return what waits; where nothing does, that cannot be."""
    assert was.in_place(Place.PENDING)
    return was.in_place(Place.PENDING)[0]


def came_out(was: Connection, response: TokenResponse = ACCOUNT) -> Connection:
    """Let it be found that what waits is the connection's own."""
    tokens = sealed_for(one_that_waits(was), response, was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{was.changes}")


def came_out_keeping(was: Connection) -> Connection:
    """Let it be found so, where the refresh token of the one before goes on."""
    assert was.current
    assert was.current.refreshable
    assert was.status is Status.ACTIVE
    return came_out(was, ONLINE)


def asked(was: Connection) -> Connection:
    """Return a connection of whose current tokens nobody knows whose they are."""
    assert was.current is not None
    held = tuple(replace(each, account_at=NOW) if each is was.current else each for each in was.sets)
    return replace(was, sets=held)


def with_grants_apart(waiting: StoredSet, *, apart: bool) -> StoredSet:
    """Return what waits, of a provider whose grants are apart or not."""
    assert waiting.pending is not None
    return replace(waiting, pending=replace(waiting.pending, grants_are_apart=apart))


def waited_too_long(was: Connection) -> Connection:
    """Let it be found that what waits is the connection's own, after a newer consent."""
    return late_answers.came_late(was, sealed_for(one_that_waits(was)), None, "consent-1", NOW)


def revoked_without(was: Connection) -> Connection:
    """Revoke what has no tokens."""
    assert not was.sets
    return revocations.revoked(was, NOW)


def revoked(was: Connection) -> Connection:
    """Revoke what has some."""
    assert was.sets
    assert not was.in_place(Place.PENDING)
    return revocations.revoked(was, NOW)


def consented_keeping(was: Connection) -> Connection:
    """Let a consent come beside which the refresh token of the one before goes on."""
    assert was.current
    assert was.current.refreshable
    assert was.status is Status.ACTIVE
    return consented(was, ONLINE)


def with_kept(was: Connection) -> Connection:
    """Return a connection that refreshes with a kept refresh token; what has none cannot."""
    assert was.in_place(Place.KEPT)
    return was


def without_kept(was: Connection) -> Connection:
    """Return a connection that does not."""
    assert not was.in_place(Place.KEPT)
    return was


def kept_came_late(was: Connection) -> Connection:
    """Let the tokens come that a kept set was refreshed to before the consent."""
    (kept,) = was.in_place(Place.KEPT)
    return late_answers.kept_came_late(was, answer(was), kept, "holder-9", NOW, RefreshedFrom(kept.id, 1))


def answer(was: Connection) -> SealedTokens:
    """Return tokens that a server has issued just now."""
    return sealed_tokens(sealed=b"answer-%d" % was.changes, version=was.version + 1)


def refreshed(was: Connection) -> Connection:
    """Let an answer come in time."""
    return refreshes.refreshed(was, answer(was), RefreshedFrom("any", 1), "holder-1", NOW)


def late_over(was: Connection) -> Connection:
    """Let the tokens come that a superseded set was refreshed to."""
    (source, *_) = was.in_place(Place.SUPERSEDED)
    return late_answers.came_late(was, answer(was), source, "request-1", NOW, RefreshedFrom(source.id, 1))


def confirmed(was: Connection) -> Connection:
    """Let a server confirm a revocation, one of several."""
    first, *others = was.to_revoke
    assert others or was.status not in ENDED
    return revocations.revocation_confirmed(was, first, NOW)


def last_confirmed(was: Connection) -> Connection:
    """Let a server confirm the last revocation."""
    (over,) = was.to_revoke
    assert was.status in ENDED
    return revocations.revocation_confirmed(was, over, NOW)


def full(was: Connection) -> Connection:
    """Let so many tokens come late that one has no room."""
    while len(was.in_place(Place.SUPERSEDED)) < MOST_SUPERSEDED:
        was = late_answers.came_late(was, answer(was), None, None, NOW)
    return late_answers.came_late(was, answer(was), None, None, NOW)


def alive(was: Connection) -> Connection:
    """Return one whose grant nobody has refused."""
    assert not was.is_believed_dead
    return was


def believed_dead(was: Connection) -> Connection:
    """Return one whose grant was refused."""
    assert was.is_believed_dead
    return was


DOWN = ProviderUnavailable("Down.")
GONE = ReauthorizationRequired("Gone.")
REFUSED = ReauthorizationRequired("Gone.", provider_error=ProviderError("invalid_grant", None, 400))
STEPS: dict[Happened, list[Callable[[Connection], Connection]]] = {
    Happened.CONSENTED: [consented, came_out],
    Happened.CONSENTED_KEEPING: [consented_keeping, came_out_keeping],
    Happened.HAS_TO_WAIT: [has_to_wait, lambda was: has_to_wait(was, grants_are_apart=True)],
    Happened.ACCOUNT_FOUND: [lambda was: consents.account_found(asked(was), Account("account-1"), NOW)],
    Happened.ACCOUNT_PUT_OFF: [
        lambda was: consents.account_put_off(was, one_that_waits(was), NOW + 999, NOW),
        lambda was: consents.account_put_off(was, was.require_current(), NOW + 999, NOW),
    ],
    Happened.ACCOUNT_LEFT_UNKNOWN: [lambda was: consents.account_left_unknown(was, NOW)],
    Happened.DISOWNED: [
        lambda was: consents.disowned(was, with_grants_apart(one_that_waits(was), apart=True), NOW),
        lambda was: consents.never_verified(was, GONE, NOW, grants_are_apart=True),
    ],
    Happened.FORGOTTEN: [
        lambda was: consents.disowned(was, with_grants_apart(one_that_waits(was), apart=False), NOW),
        lambda was: consents.never_verified(was, GONE, NOW, grants_are_apart=False),
    ],
    Happened.LEASED: [
        lambda was: refreshes.leased(was, "holder-1", NOW + 30, NOW),
        lambda was: revocations.refresh_to_revoke_began(
            was, was.to_revoke[0].claimed(f"holder-{was.changes}", NOW + 30, NOW, revokes=False), NOW
        ),
    ],
    Happened.GOT_SLOT: [lambda was: refreshes.got_slot(was, NOW + 30, NOW)],
    Happened.LEASE_GIVEN_BACK: [lambda was: refreshes.lease_given_back(was, NOW)],
    Happened.LEASE_ENDED: [
        lambda was: refreshes.lease_ended(was, NOW),
        lambda was: refreshes.lease_ended_aside(was, was.in_place(Place.SUPERSEDED)[0].answer_lost(NOW), NOW),
        lambda was: refreshes.lease_ended_aside(was, was.to_revoke[0].answer_lost(NOW), NOW),
    ],
    Happened.REFRESHED: [lambda was: refreshed(alive(without_kept(was)))],
    Happened.REFRESH_FAILED: [lambda was: refreshes.refresh_failed(was, DOWN, NOW, 0.5)],
    Happened.REFUSED: [lambda was: refreshes.refused(without_kept(was), REFUSED, NOW)],
    Happened.RECOVERED: [lambda was: refreshed(believed_dead(was))],
    Happened.LOOKS_ENDED: [lambda was: refreshes.looks_ended(believed_dead(was), NOW)],
    Happened.KEPT_REFRESHED: [lambda was: refreshed(with_kept(was))],
    Happened.KEPT_REFUSED: [lambda was: refreshes.refused(with_kept(was), GONE, NOW)],
    Happened.KEPT_CAME_LATE: [kept_came_late],
    Happened.CAME_LATE: [
        late_over,
        waited_too_long,
        lambda was: late_answers.came_late(was, answer(was), None, None, NOW),
    ],
    Happened.ENDS_SOON: [lambda was: refreshes.ends_soon(was, NOW)],
    Happened.LEFT_TO_SERVER: [full],
    Happened.REVOKED: [revoked],
    Happened.REVOKED_WITHOUT: [revoked_without],
    Happened.REVOKED_APART: [lambda was: consented(was, grants_are_apart=True), late_apart],
    Happened.CAME_AFTER_REVOCATION: [
        lambda was: late_answers.came_after_revocation(was, answer(was), None, None, NOW),
        lambda was: late_answers.came_after_revocation(was, answer(was), was.in_place(Place.SUPERSEDED)[0], None, NOW),
        lambda was: late_answers.came_after_revocation(was, answer(was), was.to_revoke[0], None, NOW),
    ],
    Happened.CAME_UNWANTED: [
        lambda was: late_answers.came_unwanted(was, answer(was), None, None, NOW),
        lambda was: late_answers.came_unwanted(was, answer(was), was.to_revoke[0], None, NOW),
    ],
    Happened.REVOCATION_PUT_OFF: [lambda was: revocations.revocation_put_off(was, was.to_revoke[0], NOW)],
    Happened.REVOCATION_BEGAN: [
        lambda was: revocations.revocation_began(
            was, was.to_revoke[0].claimed("holder-1", NOW + 30, NOW, revokes=True), NOW
        )
    ],
    Happened.REVOCATION_FAILED: [
        lambda was: revocations.revocation_failed(was, was.to_revoke[0].attempt_failed(DOWN, NOW, 0.5), NOW)
    ],
    Happened.REVOCATION_CONFIRMED: [confirmed],
    Happened.LAST_CONFIRMED: [last_confirmed],
}


def rows_between(was: Connection, now: Connection, happened: Happened) -> set[Row]:
    """Return the rows that one step has gone by: of the token sets that it has changed, or else of all."""
    before, after = ({each.id: each for each in of.sets} for of in (was, now))
    changed = {set_id for set_id in before.keys() | after.keys() if before.get(set_id) != after.get(set_id)}
    return {
        (was.status, before[set_id].place if set_id in before else Place.OUTSIDE, happened)
        for set_id in changed or before.keys() or {""}
    }


def test_every_row_is_gone_by() -> None:
    """Whatever can happen to a connection, again and again, from its first consent on."""
    seen: set[Row] = {(None, Place.OUTSIDE, Happened.CONSENTED)}
    waiting, known = [connection(ACCOUNT)], set()
    while waiting:
        was = waiting.pop()
        for happened, steps in STEPS.items():
            for step in steps:
                try:
                    now = step(was)
                except (LookupError, AssertionError, ValueError):
                    continue  # it cannot happen here
                assert now.changes > was.changes
                seen |= rows_between(was, now, happened) & LIFE.keys()
                places = tuple(sorted(Counter(each.place for each in now.sets).items()))
                is_doubted = any(each.belief is not None for each in now.sets)
                shape = (now.status, now.lease is None, is_doubted, places)
                if shape not in known and len(now.sets) < MOST_OF_A_WALK:
                    known.add(shape)
                    waiting.append(now)

    assert seen == set(LIFE)


def test_the_picture_is_of_this_table() -> None:
    """It is made of it; `python -m tools.life` makes it anew."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()
    assert document().count("\n| ") == len(LIFE) + 1


def test_nobody_else_sets_a_status_or_a_place() -> None:
    """In no module of the vault but the one that goes by the table."""
    found = [
        (path.stem, node.value.lineno)
        for path in Path(vault.__file__).parent.glob("*.py")
        if path.stem not in {"connection", "store", "life"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg in {"status", "place"} and _is_one_of_ours(node.value)
    ]

    assert found == []


def _is_one_of_ours(value: ast.expr) -> bool:
    """Tell whether a value is a member of `Status` or `Place`, where it is not something that was read."""
    return (
        isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in {"Status", "Place"}
    )
