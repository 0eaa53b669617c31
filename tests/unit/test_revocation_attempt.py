"""One attempt to revoke a token set: what is sent, in which order, and what the answers of a server come to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    GatehouseError,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
    RevocationRefused,
    TokenTypeNotRevoked,
)
from functions.vault.grant.lease import Lease
from functions.vault.grant.life import Place
from functions.vault.grant.revocation import Revocation
from functions.vault.grant.revocation_attempt import attempt_revocation
from functions.vault.grant.token_set import TokenSet
from tests.unit.samples import NOW, TOKENS, connection, current

if TYPE_CHECKING:
    from functions.vault.grant.revocation_attempt import RevocationAttempt
    from functions.vault.grant.stored_set import StoredSet

    Answer = bool | GatehouseError | None

BOTH = ("refresh_token", "access_token")
ALONE = ("access_token",)
NO = ProviderError("invalid_token", None, 400)

KNOWN, UNKNOWN = True, False
"""A server says yes to a token: it has ended it, or it has never known it."""

OF_THIS_KIND = TokenTypeNotRevoked("Not of this type.", provider_error=NO)
REFUSED = RevocationRefused("Refused.", provider_error=NO)
UNEXPLAINED = ProviderMisconfigured("Who knows why.", provider_error=NO)
WRONG_CLIENT = ProviderMisconfigured("Another client.", provider_error=NO, refuses_client=True)
NOT_ASKED = ProviderMisconfigured("The endpoint is missing.")
DOWN = ProviderUnavailable("Down.")

REVOKING = replace(current(connection()), place=Place.REVOKING, revocation=Revocation(NOW - 5))
WITHOUT_REFRESH_TOKEN = replace(REVOKING, refreshable=False)
RUN_OUT = replace(REVOKING, expires_at=NOW)
FRESH = replace(REVOKING, revocation=Revocation(NOW - 5, came_at=NOW - 1))
DEAD = replace(REVOKING, was_refused=True)
INTERRUPTED = replace(REVOKING, lease=Lease("holder-1", 2, NOW + 30, NOW - 9, revokes=True))
IN_HAND = replace(REVOKING, lease=Lease("holder-1", 1, NOW + 30, revokes=True))


@dataclass
class Asked:
    """What a server was asked, and what came of it."""

    outcome: RevocationAttempt
    sent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def answers(self) -> dict[str, str]:
        """Return what is known now about each token."""
        return {kind: entry["answer"] for kind, entry in self.outcome.answers.items()}


def asked(
    refresh_token: Answer = None,
    access_token: Answer = None,
    held: StoredSet = REVOKING,
    kinds: tuple[str, ...] = BOTH,
    tokens: TokenSet = TOKENS,
    **how: Any,
) -> Asked:
    """Let a server that has these answers be asked; one that is not meant to be asked about a token has none for it."""
    sent: list[tuple[str, str]] = []

    def revoke(kind: str, token: str) -> bool:
        sent.append((kind, token))
        answer = {"refresh_token": refresh_token, "access_token": access_token}[kind]
        assert answer is not None, "it is not to be asked"
        if isinstance(answer, GatehouseError):
            raise answer
        return answer

    given: dict[str, Any] = {"had_ended": False, **how}
    return Asked(attempt_revocation(held, tokens, kinds, revoke, lambda: NOW + 0.5, **given), sent)


def ended(of: Asked) -> bool:
    """Return whether nothing is left to be done."""
    return of.outcome.failure is None and not of.outcome.needs_refresh


# The end is confirmed


@pytest.mark.parametrize("kinds", [BOTH, BOTH[::-1]])
def test_both_tokens_are_sent_in_the_order_of_the_server(kinds: tuple[str, str]) -> None:
    """Each answer has its time."""
    both = asked(KNOWN, KNOWN, kinds=kinds)

    assert [kind for kind, _ in both.sent] == list(kinds)
    assert sorted(both.sent) == [("access_token", "AT-1"), ("refresh_token", "RT-1")]
    assert both.outcome.answers == {kind: {"answer": "revoked", "at": NOW} for kind in kinds}
    assert ended(both)


@pytest.mark.parametrize(
    ("refresh_token", "access_token", "answers"),
    [
        (UNKNOWN, KNOWN, {"refresh_token": "gone", "access_token": "revoked"}),
        (KNOWN, UNKNOWN, {"refresh_token": "revoked", "access_token": "gone"}),
        (KNOWN, OF_THIS_KIND, {"refresh_token": "revoked", "access_token": "unsupported_token_type"}),
        (OF_THIS_KIND, KNOWN, {"refresh_token": "unsupported_token_type", "access_token": "revoked"}),
        (KNOWN, REFUSED, {"refresh_token": "revoked", "access_token": "refused"}),
        (KNOWN, UNEXPLAINED, {"refresh_token": "revoked", "access_token": "refused"}),
        (KNOWN, WRONG_CLIENT, {"refresh_token": "revoked", "access_token": "refused"}),
    ],
)
def test_one_token_confirms_the_end(refresh_token: Any, access_token: Any, answers: dict[str, str]) -> None:
    """The refresh token by any yes, an access token by one that shows that it was alive."""
    one = asked(refresh_token, access_token)

    assert (one.answers, len(one.sent), ended(one)) == (answers, 2, True)


def test_a_token_that_is_not_there_is_not_sent() -> None:
    """That is noted, and the other confirms the end."""
    one = asked(access_token=KNOWN, tokens=TokenSet("AT-1"), held=WITHOUT_REFRESH_TOKEN)

    assert (one.sent, one.answers) == ([("access_token", "AT-1")], {"refresh_token": "none", "access_token": "revoked"})
    assert ended(one)


def test_what_was_answered_before_is_not_asked_again() -> None:
    """Only what came now is new."""
    before = REVOKING.answered("refresh_token", "revoked", NOW - 60)

    one = asked(access_token=KNOWN, held=before)

    assert (one.sent, one.answers) == ([("access_token", "AT-1")], {"access_token": "revoked"})
    assert ended(one)


@pytest.mark.parametrize(
    ("held", "how", "grant"),
    [
        (REVOKING, {"ends_all": True}, "ended with all of its account"),
        (IN_HAND, {}, None),
        (INTERRUPTED, {}, "interrupted"),
        (INTERRUPTED, {"ends_all": True}, "interrupted"),
    ],
)
def test_the_record_says_what_else_ended_or_may_live(held: StoredSet, how: dict[str, Any], grant: str | None) -> None:
    """All of the account; or, after a use whose answer was lost, tokens that only the server knows may be left."""
    one = asked(KNOWN, KNOWN, held=held, **how)

    assert (one.answers.get("grant"), ended(one)) == (grant, True)


# The refresh token is refused, and the access token was alive


def test_a_refusal_of_the_refresh_token_is_believed_the_second_time() -> None:
    """It may be temporary: a server may end an access token alone. What it answered is kept for that time."""
    first = asked(REFUSED, KNOWN)
    assert (first.outcome.failure, first.answers) == (REFUSED, {"access_token": "revoked"})

    second = asked(REFUSED, held=REVOKING.with_answers(first.outcome.answers))

    assert (second.sent, second.answers) == ([("refresh_token", "RT-1")], {"refresh_token": "refused"})
    assert ended(second)


def test_after_the_access_token_too_it_is_believed_the_second_time() -> None:
    """Whichever is asked first: the end of an access token in the same attempt makes no refusal final."""
    first = asked(REFUSED, KNOWN, kinds=BOTH[::-1])

    assert (first.outcome.failure, first.answers) == (REFUSED, {"access_token": "revoked"})


def test_a_refusal_of_the_access_token_is_no_matter_if_the_refresh_token_has_ended() -> None:
    """It was asked about first, and the end of the refresh token is the end of the grant."""
    one = asked(KNOWN, REFUSED, kinds=BOTH[::-1])

    assert (len(one.sent), one.answers, ended(one)) == (2, {"refresh_token": "revoked"}, True)


@pytest.mark.parametrize("how", [{"had_ended": True}, {"first_ends_all": True}])
def test_a_grant_that_had_ended_is_beyond_doubt(how: dict[str, Any]) -> None:
    """The server has confirmed its end otherwise, or ends it with either token."""
    assert ended(asked(REFUSED, KNOWN, **how))


def test_a_refusal_of_our_client_is_no_refusal_of_a_token() -> None:
    """Nor is a request that could not be sent: nothing else is asked then, and it is tried again."""
    for error in (WRONG_CLIENT, NOT_ASKED, DOWN):
        one = asked(error)
        assert (one.outcome.failure, one.answers, len(one.sent)) == (error, {}, 1)
    for error in (NOT_ASKED, DOWN):
        half = asked(KNOWN, error)
        assert (half.outcome.failure, half.answers) == (error, {"refresh_token": "revoked"})


# A server that ends all with the first token


def test_its_first_success_is_enough() -> None:
    """Another request would only count against the limits of the application."""
    one = asked(KNOWN, first_ends_all=True)
    other = asked(access_token=KNOWN, kinds=BOTH[::-1], first_ends_all=True)
    before = asked(held=REVOKING.answered("access_token", "revoked", NOW - 9), kinds=BOTH, first_ends_all=True)

    assert [each.sent for each in (one, other, before)] == [[("refresh_token", "RT-1")], [("access_token", "AT-1")], []]
    assert all(map(ended, (one, other, before)))


@pytest.mark.parametrize("first", [UNKNOWN, REFUSED, OF_THIS_KIND])
def test_without_a_success_it_is_asked_about_the_other(first: Any) -> None:
    """It has ended nothing yet that it knew."""
    one = asked(first, KNOWN, first_ends_all=True)

    assert (len(one.sent), ended(one)) == (2, True)


# An access token that has run out


@pytest.mark.parametrize(("lives_for", "is_sent"), [(10, False), (11, True)])
def test_an_access_token_has_to_live_until_the_server_looks_at_it(lives_for: int, *, is_sent: bool) -> None:
    """Ten seconds are for the way. One that has run out confirms nothing, so the grant is refreshed once more."""
    one = asked(access_token=KNOWN, held=replace(REVOKING, expires_at=NOW + lives_for), kinds=ALONE)

    assert (bool(one.sent), one.outcome.needs_refresh, one.outcome.failure) == (is_sent, not is_sent, None)


def test_without_a_refresh_token_it_is_left_at_the_server() -> None:
    """Nothing is left that the server would take."""
    one = asked(kinds=ALONE, tokens=TokenSet("AT-1"), held=replace(RUN_OUT, refreshable=False))

    assert (one.sent, one.answers, ended(one)) == ([], {"grant": "left at the server"}, True)


def test_after_the_end_of_the_refresh_token_it_is_sent_even_so() -> None:
    """It has nothing to confirm any more."""
    one = asked(KNOWN, UNKNOWN, held=RUN_OUT)

    assert (len(one.sent), one.answers, ended(one)) == (2, {"refresh_token": "revoked", "access_token": "gone"}, True)


def test_tokens_that_came_just_now_are_sent_even_so() -> None:
    """Newer ones would run out as soon."""
    one = asked(access_token=KNOWN, held=replace(FRESH, expires_at=NOW), kinds=ALONE)

    assert (one.sent, ended(one)) == ([("access_token", "AT-1")], True)


# The server takes none of the tokens


@pytest.mark.parametrize("answer", [UNKNOWN, REFUSED])
def test_a_refresh_shows_whether_the_grant_lives(answer: Any) -> None:
    """If the server does not know the only token that it takes, or refuses it. Nothing is noted for that."""
    one = asked(access_token=answer, kinds=ALONE)

    assert (one.outcome.needs_refresh, one.outcome.failure, one.answers) == (True, None, {})


@pytest.mark.parametrize("answer", [UNKNOWN, REFUSED])
@pytest.mark.parametrize(
    ("held", "how", "grant"),
    [
        (INTERRUPTED, {}, "interrupted"),
        (REVOKING, {"had_ended": True}, "revoked"),
        (INTERRUPTED, {"had_ended": True}, "interrupted"),
    ],
)
def test_after_an_interruption_or_the_end_of_its_grant_nothing_is_left(
    answer: Any, held: StoredSet, how: dict[str, Any], grant: str
) -> None:
    """A refresh would be refused as well."""
    one = asked(access_token=answer, kinds=ALONE, held=held, **how)

    assert (one.answers, ended(one)) == ({"grant": grant}, True)


def test_a_lease_without_an_interruption_is_none() -> None:
    """Whoever asks holds it."""
    assert asked(access_token=REFUSED, kinds=ALONE, held=IN_HAND).outcome.needs_refresh


@pytest.mark.parametrize(
    ("held", "answers"),
    [
        (replace(WITHOUT_REFRESH_TOKEN, was_refused=True), {"grant": "dead"}),
        (
            replace(WITHOUT_REFRESH_TOKEN, revocation=Revocation(NOW, open_attempts=1)),
            {"grant": "refused after an interruption"},
        ),
        (
            replace(WITHOUT_REFRESH_TOKEN, was_refused=True, revocation=Revocation(NOW, open_attempts=1)),
            {"grant": "dead"},
        ),
    ],
)
@pytest.mark.parametrize("answer", [UNKNOWN, REFUSED])
def test_an_only_token_that_was_dead_or_whose_answer_was_lost_is_gone(
    held: StoredSet, answers: dict[str, str], answer: Any
) -> None:
    """Nothing else can show it."""
    one = asked(access_token=answer, kinds=ALONE, tokens=TokenSet("AT-1"), held=held)

    assert (one.answers, ended(one)) == (answers, True)


def test_an_only_token_that_the_server_does_not_know_is_gone() -> None:
    """It says so. That it refuses one says nothing: it is tried again."""
    gone = asked(access_token=UNKNOWN, kinds=ALONE, tokens=TokenSet("AT-1"), held=WITHOUT_REFRESH_TOKEN)
    refused = asked(access_token=REFUSED, kinds=ALONE, tokens=TokenSet("AT-1"), held=WITHOUT_REFRESH_TOKEN)

    assert (gone.outcome.answers, ended(gone)) == ({"access_token": {"answer": "gone", "at": NOW}}, True)
    assert (refused.outcome.failure, refused.answers) == (REFUSED, {})


def test_tokens_that_came_just_now_are_not_refreshed_again() -> None:
    """The server is asked once more, later, with an error that says what is odd."""
    refused = asked(access_token=REFUSED, kinds=ALONE, held=FRESH)
    unknown = asked(access_token=UNKNOWN, kinds=ALONE, held=FRESH)

    assert (refused.outcome.failure, refused.outcome.needs_refresh) == (REFUSED, False)
    assert isinstance(unknown.outcome.failure, RevocationRefused)
    assert "just issued" in unknown.outcome.failure.description
    assert (unknown.outcome.needs_refresh, unknown.answers) == (False, {})


def test_the_first_refusal_is_the_one_that_is_reported() -> None:
    """Of two: the first token is the one that counts most."""
    first = RevocationRefused("First.", provider_error=NO)

    assert asked(first, REFUSED, held=FRESH).outcome.failure is first


def test_a_refusal_that_nobody_can_explain_says_nothing_of_a_grant_that_lives() -> None:
    """It is a failure; of a grant that was believed dead it is a refusal, and a refresh shows the rest."""
    alive, dead = (asked(access_token=UNEXPLAINED, kinds=ALONE, held=held) for held in (REVOKING, DEAD))
    only = replace(DEAD, refreshable=False)

    assert (alive.outcome.failure, alive.outcome.needs_refresh) == (UNEXPLAINED, False)
    assert (dead.outcome.failure, dead.outcome.needs_refresh) == (None, True)
    assert asked(access_token=UNEXPLAINED, kinds=ALONE, held=only).answers == {"grant": "dead"}
    assert asked(access_token=UNEXPLAINED, kinds=ALONE, held=INTERRUPTED).outcome.failure is UNEXPLAINED


def test_a_server_that_takes_neither_kind_is_left_alone() -> None:
    """So is one that has published that it takes nothing from this client, if it refuses the client."""
    neither = asked(OF_THIS_KIND, OF_THIS_KIND)
    published = asked(WRONG_CLIENT, refuses_us=True)

    assert neither.answers == {
        "refresh_token": "unsupported_token_type",
        "access_token": "unsupported_token_type",
        "grant": "left at the server",
    }
    assert (published.answers, ended(published)) == ({"grant": "left at the server"}, True)
    for error in (NOT_ASKED, DOWN):
        assert asked(error, refuses_us=True).outcome.failure is error


def test_a_refused_refresh_token_beside_an_access_token_that_has_run_out() -> None:
    """The grant is refreshed: the server may take what is newer. What it said that will not change is kept."""
    one, other = asked(REFUSED, held=RUN_OUT), asked(OF_THIS_KIND, held=RUN_OUT)

    assert (one.sent, one.outcome.needs_refresh, one.answers) == ([("refresh_token", "RT-1")], True, {})
    assert (other.outcome.needs_refresh, other.answers) == (True, {"refresh_token": "unsupported_token_type"})


def test_an_end_that_was_confirmed_before_does_not_hide_a_refusal() -> None:
    """The access token had ended in an earlier attempt, and the refresh token was never asked about."""
    before = REVOKING.answered("access_token", "revoked", NOW - 60)

    without_words = asked(RevocationRefused("Odd."), held=before)

    assert isinstance(without_words.outcome.failure, RevocationRefused), "nobody has read what the server meant"
