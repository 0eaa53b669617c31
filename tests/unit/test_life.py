"""The table of a connection's life: its rules hold in every row, and the code goes by it."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from functions import vault
from functions.vault.base.errors import ProviderError, ProviderUnavailable, ReauthorizationRequired
from functions.vault.grant import another_key, consents, imports, late_answers, refreshes, revocations
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
BRINGS_BACK = {Happened.CONSENTED, Happened.IMPORTED, Happened.HAS_TO_BE_PROVED}


def test_what_has_no_row_cannot_happen() -> None:
    """To try it is a defect, and the error says what was tried."""
    with pytest.raises(LookupError, match=r"revoked.*a refresh began"):
        becomes(Status.REVOKED, Place.CURRENT, Happened.LEASED)


def test_every_row_is_read_as_it_is_written() -> None:
    """From status, place and what happens to the status and place afterwards."""
    for (status, place, happened), then in LIFE.items():
        assert becomes(status, place, happened) == then


def test_what_happens_at_once_gives_one_status() -> None:
    """From one status, one thing that happens leads to one status, whichever token set it happens to."""
    following: dict[tuple[Status | None, Happened], set[Status]] = {}
    for (status, _, happened), (then, _) in LIFE.items():
        following.setdefault((status, happened), set()).add(then)

    assert {each: statuses for each, statuses in following.items() if len(statuses) > 1} == {}


def test_everything_that_can_happen_has_a_row_and_none_leads_nowhere() -> None:
    """Everything in `Happened` is used, and no token set comes from outside only to stay there."""
    assert {happened for _, _, happened in LIFE} == set(Happened)
    leading_nowhere = {row[2] for row, (_, place) in LIFE.items() if row[1] is place is Place.OUTSIDE}
    assert leading_nowhere == {Happened.REVOKED_WITHOUT}, "there is no token set, so no row of one"


def test_a_revoked_connection_vends_nothing() -> None:
    """Nothing is current in a connection that was revoked; only a consent or an import brings it back."""
    for (status, place, happened), (then, after) in LIFE.items():
        assert (status in ENDED) <= (place is not Place.CURRENT)
        assert (then in ENDED) <= (after is not Place.CURRENT)
        assert (status in ENDED and then not in ENDED) <= (happened in BRINGS_BACK)


def test_a_token_set_leaves_the_place_revoking_only_for_a_reason() -> None:
    """Its revocation was confirmed, a refresh has replaced it, or a newer consent is in use. No consent moves it."""
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
BROUGHT = imports.Brought("digest", "owner-1", {"shop": "1"}, {})
ONLINE = token_response(subject="account-1", tokens=TokenSet("AT-1"))
"""A consent of the same account that brings no refresh token."""


def consented(was: Connection, response: TokenResponse = ACCOUNT, *, grants_are_apart: bool = False) -> Connection:
    """Let another consent's tokens come."""
    number = was.changes
    tokens = sealed_tokens(response, b"consent-%d" % number, version=was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{number}", grants_are_apart=grants_are_apart)


def imported(was: Connection) -> Connection:
    """Let an import come that is taken as it is."""
    assert imports.has_no_tokens(was)
    return imports.imported(was.connection_id, answer(was), BROUGHT, NOW, before=was)


def has_to_be_proved(was: Connection) -> Connection:
    """Let an import come that `holder-1` proves."""
    assert imports.has_no_tokens(was) or imports.gives_way_to_itself(was)
    tokens = answer(was, token_response(subject="account-1"))
    return imports.has_to_be_proved(was.connection_id, tokens, BROUGHT, "holder-1", NOW + 30, NOW, before=was)


def to_be_proved(was: Connection) -> Connection:
    """Return a connection with an import that is yet to be proved; raise `LookupError` if it has none."""
    assert was.is_to_be_proved
    return was


def without_import(was: Connection) -> Connection:
    """Return a connection without one; raise `LookupError` if it has one."""
    assert not was.is_to_be_proved
    return was


def proved_of_another(was: Connection, *, grants_are_apart: bool) -> Connection:
    """Let the refresh of an import bring tokens of another account."""
    tokens, source = answer(to_be_proved(was), token_response(subject="account-2")), RefreshedFrom("any", 1)
    return refreshes.refreshed(was, tokens, source, "holder-1", NOW, grants_are_apart=grants_are_apart)


def late_apart(was: Connection) -> Connection:
    """Let tokens come too late, from a server with separate grants."""
    return late_answers.came_late(was, answer(was), None, None, NOW, grants_are_apart=True)


def sealed_for(waiting: StoredSet, response: TokenResponse = ACCOUNT, version: int = 1) -> SealedTokens:
    """Return a token set that has waited, sealed to be used."""
    return sealed_tokens(response, waiting.id.encode(), version=version)


def has_to_wait(was: Connection, *, grants_are_apart: bool = False) -> Connection:
    """Let a consent's tokens come whose account has to be asked for."""
    pending = Pending(until=NOW + 120, obtained_at=NOW, revocations=0, grants_are_apart=grants_are_apart)
    return consents.has_to_wait(was, answer(was), pending, f"consent-{was.changes}", NOW)


def first_has_to_wait(was: Connection) -> Connection:
    """Let them come where there never were any."""
    assert not was.version
    assert was.is_believed_dead
    return has_to_wait(was)


def later_has_to_wait(was: Connection, *, grants_are_apart: bool = False) -> Connection:
    """Let them come where there have been others."""
    assert was.version
    return has_to_wait(was, grants_are_apart=grants_are_apart)


def one_that_waits(was: Connection) -> StoredSet:
    """Return the token set that waits; raise `LookupError` if none does."""
    assert was.in_place(Place.PENDING)
    return was.in_place(Place.PENDING)[0]


def came_out(was: Connection, response: TokenResponse = ACCOUNT) -> Connection:
    """Let what waits be found to be the connection's own."""
    tokens = sealed_for(one_that_waits(was), response, was.version + 1)
    return connection(tokens=tokens, before=was, authorized_by=f"consent-{was.changes}")


def came_out_keeping(was: Connection) -> Connection:
    """Let it be found so, beside an earlier refresh token that goes on."""
    assert was.current
    assert was.current.refreshable
    assert was.status is Status.ACTIVE
    return came_out(was, ONLINE)


def asked(was: Connection) -> Connection:
    """Return a connection whose current tokens are for an account that nobody knows."""
    assert was.current is not None
    held = tuple(replace(each, account_at=NOW) if each is was.current else each for each in was.sets)
    return replace(was, sets=held)


def with_grants_apart(waiting: StoredSet, *, apart: bool) -> StoredSet:
    """Return what waits, of a provider with separate grants or not."""
    assert waiting.pending is not None
    return replace(waiting, pending=replace(waiting.pending, grants_are_apart=apart))


def waited_too_long(was: Connection) -> Connection:
    """Let what waits be found to be the connection's own, after a newer consent."""
    return late_answers.came_late(was, sealed_for(one_that_waits(was)), None, "consent-1", NOW)


def revoked_without(was: Connection) -> Connection:
    """Revoke a connection without tokens."""
    assert not was.sets
    return revocations.revoked(was, NOW)


def revoked(was: Connection) -> Connection:
    """Revoke a connection with tokens."""
    assert was.sets
    assert not was.in_place(Place.PENDING)
    return revocations.revoked(was, NOW)


def consented_keeping(was: Connection) -> Connection:
    """Let a consent's tokens come beside which the earlier refresh token goes on."""
    assert was.current
    assert was.current.refreshable
    assert was.status is Status.ACTIVE
    return consented(was, ONLINE)


def with_kept(was: Connection) -> Connection:
    """Return a connection with a kept refresh token; raise `LookupError` if it has none."""
    assert was.in_place(Place.KEPT)
    return was


def without_kept(was: Connection) -> Connection:
    """Return a connection without a kept refresh token; raise `LookupError` if it has one."""
    assert not was.in_place(Place.KEPT)
    return was


def kept_came_late(was: Connection) -> Connection:
    """Let the tokens come from a refresh of the kept token set that began before the consent."""
    (kept,) = was.in_place(Place.KEPT)
    return late_answers.kept_came_late(was, answer(was), kept, "holder-9", NOW, RefreshedFrom(kept.id, 1))


def answer(was: Connection, response: TokenResponse | None = None) -> SealedTokens:
    """Return tokens that a server has just issued."""
    return sealed_tokens(response, b"answer-%d" % was.changes, version=was.version + 1)


def refreshed(was: Connection) -> Connection:
    """Let the answer to a refresh come in time."""
    return refreshes.refreshed(was, answer(was), RefreshedFrom("any", 1), "holder-1", NOW)


def late_over(was: Connection) -> Connection:
    """Let the tokens come from a refresh of a superseded token set."""
    (source, *_) = was.in_place(Place.SUPERSEDED)
    return late_answers.came_late(was, answer(was), source, "request-1", NOW, RefreshedFrom(source.id, 1))


def confirmed(was: Connection) -> Connection:
    """Let a server confirm a revocation, one of several."""
    first, *others = was.to_revoke
    assert others or was.status not in ENDED
    return revocations.revocation_confirmed(was, first, NOW)


def last_confirmed(was: Connection) -> Connection:
    """Let a server confirm the last revocation."""
    (last,) = was.to_revoke
    assert was.status in ENDED
    return revocations.revocation_confirmed(was, last, NOW)


def full(was: Connection) -> Connection:
    """Let so many tokens come late that there is no room for one."""
    while len(was.in_place(Place.SUPERSEDED)) < MOST_SUPERSEDED:
        was = late_answers.came_late(was, answer(was), None, None, NOW)
    return late_answers.came_late(was, answer(was), None, None, NOW)


def sealed_again(was: Connection, place: Place) -> Connection:
    """Let a token set in a place be sealed again under another key."""
    (held, *_) = was.in_place(place)
    return another_key.sealed_again(was, [replace(held, seal=replace(held.seal, key=f"key-{was.changes}"))], NOW)


def alive(was: Connection) -> Connection:
    """Return a connection whose grant was not refused; raise `LookupError` if it was."""
    assert not was.is_believed_dead
    return was


def believed_dead(was: Connection) -> Connection:
    """Return a connection whose grant was refused; raise `LookupError` if it was not."""
    assert was.is_believed_dead
    return was


DOWN = ProviderUnavailable("Down.")
GONE = ReauthorizationRequired("Gone.")
REFUSED = ReauthorizationRequired("Gone.", provider_error=ProviderError("invalid_grant", None, 400))
STEPS: dict[Happened, list[Callable[[Connection], Connection]]] = {
    Happened.CONSENTED: [consented, came_out],
    Happened.CONSENTED_KEEPING: [consented_keeping, came_out_keeping],
    Happened.HAS_TO_WAIT: [later_has_to_wait, lambda was: later_has_to_wait(was, grants_are_apart=True)],
    Happened.FIRST_HAS_TO_WAIT: [first_has_to_wait],
    Happened.ACCOUNT_FOUND: [
        lambda was: consents.account_found(asked(was), Account("account-1"), NOW),
        lambda was: consents.account_found_waiting(was, one_that_waits(was), Account("account-1"), NOW),
    ],
    Happened.ACCOUNT_PUT_OFF: [
        lambda was: consents.account_put_off(was, one_that_waits(was), NOW + 999, NOW),
        lambda was: consents.account_put_off(was, was.require_current(), NOW + 999, NOW),
    ],
    Happened.ACCOUNT_LEFT_UNKNOWN: [
        lambda was: consents.account_left_unknown(was, was.require_current(), NOW),
        lambda was: consents.account_left_unknown(was, one_that_waits(was), NOW),
    ],
    Happened.DISOWNED: [
        lambda was: consents.disowned(without_import(was), with_grants_apart(one_that_waits(was), apart=True), NOW),
        lambda was: consents.never_verified(was, GONE, NOW, grants_are_apart=True),
    ],
    Happened.FORGOTTEN: [
        lambda was: consents.disowned(without_import(was), with_grants_apart(one_that_waits(was), apart=False), NOW),
        lambda was: consents.never_verified(was, GONE, NOW, grants_are_apart=False),
    ],
    Happened.DISOWNED_BESIDE: [
        lambda was: consents.disowned(to_be_proved(was), with_grants_apart(one_that_waits(was), apart=True), NOW)
    ],
    Happened.FORGOTTEN_BESIDE: [
        lambda was: consents.disowned(to_be_proved(was), with_grants_apart(one_that_waits(was), apart=False), NOW)
    ],
    Happened.IMPORTED: [imported],
    Happened.HAS_TO_BE_PROVED: [has_to_be_proved],
    Happened.PROVED: [
        lambda was: refreshed(to_be_proved(was)),
        lambda was: proved_of_another(was, grants_are_apart=True),
        lambda was: proved_of_another(was, grants_are_apart=False),
    ],
    Happened.LEASED: [
        lambda was: refreshes.leased(was, "holder-1", NOW + 30, NOW),
        lambda was: revocations.refresh_to_revoke_began(
            was, was.to_revoke[0].claimed(f"holder-{was.changes}", NOW + 30, NOW, revokes=False)
        ),
    ],
    Happened.GOT_SLOT: [lambda was: refreshes.got_slot(was, NOW + 30)],
    Happened.LEASE_GIVEN_BACK: [lambda was: refreshes.lease_given_back(was, NOW)],
    Happened.LEASE_ENDED: [
        refreshes.lease_ended,
        lambda was: refreshes.lease_ended_aside(was, was.in_place(Place.SUPERSEDED)[0].answer_lost(NOW)),
        lambda was: refreshes.lease_ended_aside(was, was.to_revoke[0].answer_lost(NOW)),
    ],
    Happened.REFRESHED: [lambda was: refreshed(alive(without_kept(without_import(was))))],
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
        lambda was: revocations.revocation_began(was, was.to_revoke[0].claimed("holder-1", NOW + 30, NOW, revokes=True))
    ],
    Happened.REVOCATION_FAILED: [
        lambda was: revocations.revocation_failed(was, was.to_revoke[0].attempt_failed(DOWN, NOW, 0.5), NOW)
    ],
    Happened.REVOCATION_CONFIRMED: [confirmed],
    Happened.LAST_CONFIRMED: [last_confirmed],
    Happened.SEALED_AGAIN: [
        lambda was: sealed_again(was, Place.CURRENT),
        lambda was: sealed_again(was, Place.KEPT),
        lambda was: sealed_again(was, Place.SUPERSEDED),
        lambda was: sealed_again(was, Place.REVOKING),
    ],
}


def rows_between(was: Connection, now: Connection, happened: Happened) -> set[Row]:
    """Return the rows that a step has used: those of the token sets that it has changed, or else of all."""
    before, after = ({each.id: each for each in of.sets} for of in (was, now))
    changed = {set_id for set_id in before.keys() | after.keys() if before.get(set_id) != after.get(set_id)}
    return {
        (was.status, before[set_id].place if set_id in before else Place.OUTSIDE, happened)
        for set_id in changed or before.keys() or {""}
    }


def test_every_row_is_used() -> None:
    """By all that can happen to a connection, again and again, from its first consent on."""
    firsts = (Happened.CONSENTED, Happened.FIRST_HAS_TO_WAIT, Happened.IMPORTED, Happened.HAS_TO_BE_PROVED)
    seen: set[Row] = {(None, Place.OUTSIDE, happened) for happened in firsts}
    unconfirmed = Pending(NOW + 600, NOW, 0, confirmation="hash", confirm_by=NOW + 600)
    first = consents.first_has_to_wait("merchant-1", sealed_tokens(ACCOUNT), unconfirmed, "consent-0", NOW)
    about = ("merchant-1", sealed_tokens(ACCOUNT), BROUGHT)
    to_prove = imports.has_to_be_proved(*about, "holder-1", NOW + 30, NOW, before=None)
    waiting, known = [connection(ACCOUNT), first, imports.imported(*about, NOW, before=None), to_prove], set()
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
                shape = (now.status, now.lease is None, is_doubted, not now.version, places)
                if shape not in known and len(now.sets) < MOST_OF_A_WALK:
                    known.add(shape)
                    waiting.append(now)

    assert seen == set(LIFE)


def test_the_picture_is_up_to_date() -> None:
    """It is made from the table; `python -m tools.life` writes it."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()
    table = document().partition("\n## The table\n")[2]
    assert table.count("\n| ") == len(LIFE) + 1


def test_nobody_else_sets_a_status_or_a_place() -> None:
    """No module of the vault does, except `transition`, which goes by the table."""
    found = [
        (path.stem, node.value.lineno)
        for path in Path(vault.__file__).parent.rglob("*.py")
        if path.stem not in {"transition", "life"}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg in {"status", "place"} and _is_one_of_ours(node.value)
    ]

    assert found == []


def _is_one_of_ours(value: ast.expr) -> bool:
    """Return whether a value is a member of `Status` or `Place`, and not something that was read."""
    return (
        isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in {"Status", "Place"}
    )
