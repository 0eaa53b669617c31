"""What a record keeps of a token set that was revoked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.vault.grant.revocation import (
    DEAD,
    ENDED_WITH_ALL,
    GONE,
    INTERRUPTED,
    LEFT_AT_THE_SERVER,
    REFUSED_AFTER_AN_INTERRUPTION,
    REVOKED,
)
from functions.vault.grant.revoked import Revoked
from functions.vault.storage.attributes import write_item
from functions.vault.storage.connection_item import connection_item, connection_of
from tests.unit.samples import NOW, WHOSE, connection, current

if TYPE_CHECKING:
    from functions.vault.grant.revocation import Answers


def test_it_says_whose_tokens_they_were_and_what_was_answered() -> None:
    """With the token set's own id and version, and the authorization that it came from."""
    ending = current(connection()).to_be_revoked(NOW).answered("refresh_token", REVOKED, NOW + 1)

    kept = Revoked.of(ending)

    assert kept == Revoked(
        "acme", 1, {"refresh_token": {"answer": "revoked", "at": NOW + 1}}, WHOSE.parameters, "sealed-1", "request-1"
    )


@pytest.mark.parametrize(
    "revoked",
    [Revoked("acme", 1), Revoked("acme", 1, {"grant": {"answer": "dead", "at": NOW}}, {"shop": "1"}, "set-1", "r-1")],
    ids=["as the first release wrote it", "today's"],
)
def test_it_comes_back_from_the_table_as_it_was(revoked: Revoked) -> None:
    """Without answers, tenant, set and request too: none of those is stored if it is empty."""
    made = replace(connection(), revocation=(revoked,))

    read = connection_of(write_item(connection_item(made)))

    assert read.revocation == (revoked,)
    bare = Revoked("acme", 1)
    assert (bare.answers, bare.parameters, bare.set_id, bare.request_id) == ({}, {}, None, None)


@pytest.mark.parametrize(
    ("grant", "is_left", "ended_all"),
    [
        (LEFT_AT_THE_SERVER, True, False),
        (ENDED_WITH_ALL, False, True),
        (DEAD, False, False),
        (INTERRUPTED, False, False),
        (None, False, False),
    ],
)
def test_what_is_known_of_the_grant_as_a_whole(grant: str | None, *, is_left: bool, ended_all: bool) -> None:
    """It was left at the server, it ended with everything of its account, or neither is known."""
    answers: Answers = {"refresh_token": {"answer": REVOKED, "at": NOW}}
    if grant is not None:
        answers["grant"] = {"answer": grant, "at": NOW}

    revoked = Revoked("acme", 1, answers)

    assert (revoked.is_left, revoked.ended_all) == (is_left, ended_all)


@pytest.mark.parametrize(
    ("answers", "ended"),
    [
        ({"access_token": REVOKED}, True),
        ({"refresh_token": REVOKED, "access_token": "none"}, True),
        ({"refresh_token": "none", "grant": REFUSED_AFTER_AN_INTERRUPTION}, True),
        ({"refresh_token": GONE}, False),
        ({"grant": DEAD}, False),
        ({"grant": LEFT_AT_THE_SERVER}, False),
        ({}, False),
    ],
)
def test_only_a_confirmed_revocation_shows_that_the_grant_had_ended(answers: dict[str, str], *, ended: bool) -> None:
    """A token that the server does not know may never have been its own."""
    revoked = Revoked("acme", 1, {kind: {"answer": answer, "at": NOW} for kind, answer in answers.items()})

    assert revoked.ended_the_grant is ended


@pytest.mark.parametrize(
    ("request_id", "parameters", "is_any", "is_of_it"),
    [
        ("request-1", {"shop": "1"}, False, True),
        ("request-2", {"shop": "1"}, False, False),
        ("request-2", {"shop": "1"}, True, True),
        ("request-1", {"shop": "2"}, False, False),
        ("request-1", {"shop": "2"}, True, False),
        ("request-1", {}, True, False),
    ],
)
def test_a_token_set_is_of_the_grant_that_its_authorization_gave(
    request_id: str, parameters: dict[str, str], *, is_any: bool, is_of_it: bool
) -> None:
    """With `is_any`, of any that the same tenant gave."""
    revoked = Revoked("acme", 1, {}, parameters, "set-1", request_id)

    assert revoked.is_of_the_grant_of(current(connection()), is_any=is_any) is is_of_it
    other = replace(current(connection()), whose=replace(WHOSE, provider="other"))
    assert not revoked.is_of_the_grant_of(other, is_any=is_any)
