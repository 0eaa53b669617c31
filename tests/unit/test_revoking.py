"""The end of a grant: here at once, there until it is heard, of every token that there is, and of each once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.connection import RefreshedFrom, Status
from functions.vault.errors import ConnectionNotFound, ProviderTimedOut, ProviderUnavailable, TemporarilyUnavailable
from functions.vault.life import Place
from functions.vault.revoking import GIVE_UP_AFTER, NotRevokedYet
from functions.vault.timing import RESCUED_WITHIN
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse, aws_error, down
from tests.unit.samples import NOW, WHOSE, answer, registration, sealed_tokens, token_response, with_current

if TYPE_CHECKING:
    from functions.vault.connection import Connection

YES = answer("{}")
DOWN = answer("", 503)
UNSUPPORTED = answer('{"error":"unsupported_token_type"}', 400)
REFUSED = answer('{"error":"invalid_client"}', 401)
UNSUCCESSFUL = answer('{"successful":false}')


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house with a connection."""
    made = MemoryHouse()
    made.connect()
    return made


def said(house: MemoryHouse) -> dict[str, str]:
    """Return the record of what the server said of the token set that it is being told of, else of the last one."""
    stored = house.stored()
    records = [over.answers for over in stored.revocation] + [each.answers for each in stored.to_revoke[:1]]
    return {kind: entry["answer"] for kind, entry in records[-1].items()}


def retry(house: MemoryHouse) -> None:
    """Tell the server once more, as the queue does when the work is due."""
    house.revoking.retry("merchant-1", house.deadline())


def arriving(house: MemoryHouse, number: int, *, replacing: bool = False) -> None:
    """Let the answer of a refresh in flight come in now, in the place of what it came from or beside all."""
    was, issued = house.stored(), TokenSet(f"AT-{number}", f"RT-{number}")
    sealer = house.new_cipher().prepare("merchant-1", number, WHOSE)
    late = sealed_tokens(token_response(tokens=issued), sealer)
    source = was.to_revoke[0] if replacing else None
    house.connections.records["merchant-1"] = was.came_after_revocation(
        late, source, "request-1", house.now, RefreshedFrom(source.id, 1) if source else None
    )


def by_access_token(house: MemoryHouse) -> None:
    """Let the provider be one whose server ends all with the access token, once, and says so in words."""
    house.registrations.known["acme"] = registration(
        revocation_tokens=("access_token",),
        revocation_token_type_hint=False,
        revocation_success="successful",
        revocation_ends_authorization=True,
    )


def test_both_tokens_are_told_the_refresh_token_first(house: MemoryHouse) -> None:
    """It ends here before the server is asked; afterwards no ciphertext stays, but a record of what was said."""
    here: list[Status] = []
    house.events.before["http"] = [lambda: here.append(house.stored().status)]

    assert house.revoke() == "revoked"

    assert here == [Status.REVOKING]
    assert house.server.revoked == ["RT-1", "AT-1"]
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}
    assert (house.stored().sets, house.stored().due_at, house.stored().status) == ((), None, Status.REVOKED)


def test_a_token_that_is_not_there_is_not_told(house: MemoryHouse) -> None:
    """A grant without a refresh token."""
    house.connect(TokenSet("AT-1"))

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["AT-1"]
    assert said(house) == {"refresh_token": "none", "access_token": "revoked"}


LEFT = {"connection_id": "merchant-1", "status": "revoked", "grant": "left at the server"}


@pytest.mark.parametrize(
    ("tokens", "age", "answers", "fields"),
    [
        (TokenSet("AT-1", "RT-1"), 0, [], {"revocation_endpoint": None}),
        (TokenSet("AT-1", "RT-1"), 0, [UNSUPPORTED, UNSUPPORTED], {}),
        (TokenSet("AT-1"), 7200, [], {}),
        (TokenSet("AT-1"), 0, [], {"revocation_tokens": ("refresh_token",)}),
    ],
)
def test_what_the_server_would_not_take_is_left_there(
    house: MemoryHouse, tokens: TokenSet, age: int, answers: list[Any], fields: dict[str, Any]
) -> None:
    """It has no revocation endpoint, takes neither kind of token, or nothing of what is left. Whoever asks is told."""
    house.registrations.known["acme"] = registration(**fields)
    house.connect(tokens)
    house.pass_time(age)()
    house.server.answers = [*answers]

    for _ in range(2):
        assert house.revoking.revoke("merchant-1", house.deadline()) == LEFT

    assert len(house.server.requests) == len(answers)
    assert (said(house)["grant"], house.stored().sets) == ("left at the server", ())


def test_again_is_as_good_as_once(house: MemoryHouse) -> None:
    """What is revoked is revoked; nothing is sent, nothing is written."""
    house.revoke()
    stored = house.stored()
    house.events.calls.clear()

    assert house.revoke() == "revoked"

    assert house.events.calls == ["get"]
    assert house.stored() == stored


def test_what_was_never_there_cannot_be_revoked(house: MemoryHouse) -> None:
    """And is not made by trying."""
    house.connections.records.clear()

    with pytest.raises(ConnectionNotFound):
        house.revoke()
    retry(house)

    assert house.connections.records == {}


# Until it is heard


@pytest.mark.parametrize(
    "failure", [DOWN, REFUSED, answer("", 429), UNSUCCESSFUL, ProviderUnavailable("Lost.", outcome_unknown=True)]
)
def test_what_the_server_did_not_hear_is_told_again(house: MemoryHouse, failure: Any) -> None:
    """Nothing is vended from the first moment; it is due again after a delay, and ends when the server has heard."""
    house.registrations.known["acme"] = registration(revocation_success="successful")
    house.server.answers = [failure]

    assert house.revoke() == "revoking"

    assert house.token()["error"] == "connection_revoked"
    assert (house.stored().due_at, house.stored().failure is None) == (NOW + 5, False)
    assert len(house.stored().to_revoke) == 1
    confirmed = answer('{"successful":true}')
    house.server.answers = [confirmed, confirmed]
    retry(house)
    assert house.stored().status is Status.REVOKED
    assert house.stored().current is None


def test_each_token_is_told_once(house: MemoryHouse) -> None:
    """The first was heard, the second was not: only that one is told again, also by another function."""
    house.server.answers = [YES, DOWN, DOWN, YES]

    assert house.revoke() == "revoking"
    assert said(house) == {"refresh_token": "revoked"}
    failure = house.revoking.retry("merchant-1", house.deadline())
    nothing = house.revoking.retry("merchant-1", house.deadline())

    assert failure is not None, "the log, and its alarms, hear of it"
    assert (failure.code, failure.connection_id, nothing) == ("provider_unavailable", "merchant-1", None)
    assert house.server.revoked == ["RT-1", "AT-1", "AT-1", "AT-1"]
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_the_record_of_what_was_heard_is_lost_with_a_crash_and_it_is_told_again(house: MemoryHouse) -> None:
    """Twice is better than never, when the lease has lapsed: RFC 7009 takes a token that is no more for a success."""
    house.events.before["change"] = [None, down()]
    with pytest.raises(TemporarilyUnavailable):
        house.revoke()
    assert (house.stored().status, house.stored().tell_at) == (Status.REVOKING, NOW + 32)

    retry(house)
    assert house.server.revoked == ["RT-1", "AT-1"]
    house.pass_time(32)()
    retry(house)

    assert house.server.revoked == ["RT-1", "AT-1", "RT-1", "AT-1"]
    assert house.stored().status is Status.REVOKED


def test_the_delays_grow_to_an_hour_and_then_a_person_has_to_look(house: MemoryHouse) -> None:
    """The message goes to the dead letters; until then it is only due again, later each time."""
    house.server.answers = [DOWN] * 100
    house.revoke()
    waits = []
    for _ in range(GIVE_UP_AFTER - 2):
        retry(house)
        waits.append((house.stored().due_at or 0) - int(house.now))

    with pytest.raises(NotRevokedYet, match=f"in {GIVE_UP_AFTER} attempts"):
        retry(house)

    assert waits[:3] == [10, 20, 40]
    assert waits == sorted(waits)
    assert waits[-1] == 3600
    assert house.stored().status is Status.REVOKING
    house.server.answers.clear()
    retry(house)
    assert house.stored().status is Status.REVOKED


@pytest.mark.parametrize("state", ["active", "dead", "revoked"])
def test_a_message_that_comes_late_tells_nobody_anything(house: MemoryHouse, state: str) -> None:
    """Revoked long since, or connected anew."""
    if state == "revoked":
        house.revoke()
    if state == "dead":
        dead = replace(house.stored(), status=Status.REAUTHORIZATION_REQUIRED)
        house.connections.records["merchant-1"] = dead
    stored = house.stored()
    house.server.requests.clear()

    retry(house)

    assert (house.server.requests, house.stored()) == ([], stored)


@pytest.mark.parametrize("call", ["registration", "decrypt"])
def test_an_outage_of_ours_is_a_failure_to_tell(house: MemoryHouse, call: str) -> None:
    """It ends here all the same, and is due again."""
    house.events.before[call] = [down()]

    assert house.revoke() == "revoking"

    assert (house.stored().due_at, house.server.requests) == (NOW + 5, [])


def test_with_too_little_time_the_server_is_told_later(house: MemoryHouse) -> None:
    """What is left is enough to end it here."""
    assert house.revoke(seconds=10) == "revoking"

    assert house.server.requests == []
    retry(house)
    assert house.stored().status is Status.REVOKED


def test_a_slow_server_does_not_take_the_time_of_two_requests(house: MemoryHouse) -> None:
    """Each request gets what is left when it begins; a second one for which nothing is left waits for its turn."""
    house.events.before["http"] = [house.pass_time(10)]

    assert house.revoke(seconds=24) == "revoking"

    assert said(house) == {"refresh_token": "revoked"}
    assert house.server.revoked == ["RT-1"]


def test_a_defect_is_raised_and_it_stays_due(house: MemoryHouse) -> None:
    """Ended here, told later: whoever asked is told that something is wrong."""
    house.events.before["decrypt"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        house.revoke()

    assert house.stored().status is Status.REVOKING
    assert (house.stored().due_at, house.stored().to_revoke[0].lease) == (NOW, None)


# What a refusal means


@pytest.mark.parametrize(
    ("answers", "record"),
    [
        ([YES, UNSUPPORTED], {"refresh_token": "revoked", "access_token": "unsupported_token_type"}),
        ([UNSUPPORTED, YES], {"refresh_token": "unsupported_token_type", "access_token": "revoked"}),
    ],
)
def test_a_kind_that_the_server_does_not_revoke_is_passed_over(
    house: MemoryHouse, answers: list[Any], record: dict[str, str]
) -> None:
    """RFC 7009 section 2.2.1: such a server takes the other kind, and this one with it."""
    house.server.answers = answers

    assert house.revoke() == "revoked"

    assert said(house) == record


def test_a_kind_that_is_not_revoked_is_passed_over_after_an_outage_too(house: MemoryHouse) -> None:
    """The other kind was heard before."""
    house.server.answers = [YES, DOWN, UNSUPPORTED]
    house.revoke()

    retry(house)

    assert said(house) == {"refresh_token": "revoked", "access_token": "unsupported_token_type"}
    assert house.stored().status is Status.REVOKED


INVALID_GRANT = answer('{"error":"invalid_grant"}', 400)
INVALID_REQUEST = answer('{"error":"invalid_request"}', 400)


def believed_dead(house: MemoryHouse) -> None:
    """Let the server refuse a refresh, an hour after the connection was made."""
    house.pass_time(3700)()
    house.server.answers = [INVALID_GRANT]
    assert house.token()["error"] == "reauthorization_required"
    house.server.requests.clear()


@pytest.mark.parametrize(
    "refusals",
    [[UNSUCCESSFUL, UNSUCCESSFUL], [INVALID_REQUEST, INVALID_REQUEST], [UNSUPPORTED], [UNSUPPORTED, INVALID_GRANT]],
)
def test_a_grant_that_was_believed_dead_is_gone_when_its_refresh_token_is_refused_again(
    house: MemoryHouse, refusals: list[Any]
) -> None:
    """That it was believed dead confirms nothing. The server takes none of its tokens, and does not refresh it."""
    house.registrations.known["acme"] = registration(revocation_success="successful")
    believed_dead(house)
    house.connections.records["merchant-1"] = with_current(house.stored(), expires_at=None)
    house.server.answers = [*refusals, *([INVALID_GRANT] if len(refusals) == 1 else []), INVALID_GRANT]

    assert house.revoke() == "revoked"

    assert house.server.refresh_tokens == ["RT-1"]
    assert said(house)["grant"] == "dead"


def test_a_grant_that_was_believed_dead_and_lives_is_refreshed_and_revoked(house: MemoryHouse) -> None:
    """The server had refused in passing. What it issues now is what it revokes; nobody else is given that."""
    house.registrations.known["acme"] = registration(revocation_success="successful")
    believed_dead(house)
    house.connections.records["merchant-1"] = with_current(house.stored(), expires_at=None)
    yes = answer('{"successful":true}')
    house.server.answers = [UNSUCCESSFUL, UNSUCCESSFUL, house.server.issue, yes, yes]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}
    assert house.token()["error"] == "connection_revoked"


def test_a_dead_grant_whose_only_token_is_refused_is_gone(house: MemoryHouse) -> None:
    """There is no refresh token to try once more with."""
    house.connect(TokenSet("AT-1"))
    made = with_current(house.stored(), was_refused=True)
    house.connections.records["merchant-1"] = made
    house.server.answers = [INVALID_REQUEST]

    assert house.revoke() == "revoked"

    assert said(house) == {"refresh_token": "none", "grant": "dead"}


def test_a_grant_that_ended_unseen_is_gone_when_its_refresh_token_was_refused_twice(house: MemoryHouse) -> None:
    """Its user took it back at the server. One refusal may pass: the second comes a minute later, at least."""
    by_access_token(house)
    house.server.answers = [UNSUCCESSFUL, INVALID_GRANT]

    assert house.revoke() == "revoking"
    assert (house.stored().tell_at, house.stored().failure is None) == (NOW + 60, False)
    house.pass_time(60)()
    house.server.answers = [UNSUCCESSFUL, INVALID_GRANT]
    retry(house)

    assert house.server.refresh_tokens == ["RT-1", "RT-1"]
    assert (house.stored().status, said(house)) == (Status.REVOKED, {"grant": "dead"})


def test_what_a_server_refuses_in_passing_is_revoked_later(house: MemoryHouse) -> None:
    """The first refusal of the refresh token was not meant."""
    by_access_token(house)
    house.server.answers = [UNSUCCESSFUL, INVALID_GRANT]
    house.revoke()
    house.pass_time(60)()
    house.server.answers = [UNSUCCESSFUL, house.server.issue, answer('{"successful":true}')]

    retry(house)

    assert house.server.revoked == ["AT-1", "AT-1", "AT-2"]
    assert said(house) == {"access_token": "revoked", "grant": "ended with all of its account"}


@pytest.mark.parametrize("refusal", [UNSUCCESSFUL, answer('{"error":"invalid_token"}', 400)])
def test_tokens_that_came_just_now_are_not_refreshed_again_for_a_refusal(house: MemoryHouse, refusal: Any) -> None:
    """No newer ones would be better: the server is asked again later, and a person has to look in the end."""
    by_access_token(house)
    house.server.answers = [UNSUCCESSFUL, house.server.issue, refusal]

    assert house.revoke() == "revoking"

    assert (house.server.revoked, house.server.refresh_tokens) == (["AT-1", "AT-2"], ["RT-1"])
    house.server.answers = [refusal]
    retry(house)
    assert (house.server.revoked, house.server.refresh_tokens) == (["AT-1", "AT-2", "AT-2"], ["RT-1"])
    assert house.stored().failure is not None


@pytest.mark.parametrize("refusal", [INVALID_REQUEST, REFUSED, UNSUCCESSFUL, INVALID_GRANT])
def test_what_the_server_refuses_when_the_refresh_token_has_ended_is_no_matter(
    house: MemoryHouse, refusal: Any
) -> None:
    """The end of the refresh token has ended the access token, of which the server then knows nothing any more."""
    house.registrations.known["acme"] = registration(revocation_success="successful")
    house.server.answers = [answer('{"successful":true}'), refusal]

    assert house.revoke() == "revoked"

    assert said(house)["refresh_token"] == "revoked"
    assert said(house)["access_token"] == ("gone" if refusal is INVALID_GRANT else "refused")


@pytest.mark.parametrize("kinds", [("refresh_token", "access_token"), ("access_token", "refresh_token")])
def test_a_refresh_token_that_is_refused_in_passing_is_revoked_later(
    house: MemoryHouse, kinds: tuple[str, str]
) -> None:
    """That an access token has ended says nothing of it: a server may end that one alone (RFC 7009 section 2.1)."""
    house.registrations.known["acme"] = registration(revocation_tokens=kinds)
    in_passing = answer('{"error":"flux_capacitor"}', 400)
    house.server.answers = [in_passing if kind == "refresh_token" else YES for kind in kinds]

    assert house.revoke() == "revoking"

    house.server.answers = [YES]
    retry(house)
    assert house.server.revoked[-1] == "RT-1"
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_a_refresh_token_that_is_refused_again_ends_with_its_access_token(house: MemoryHouse) -> None:
    """A server that does not revoke refresh tokens, and says so in words of its own, keeps nobody waiting for ever."""
    never = answer('{"error":"flux_capacitor"}', 400)
    house.server.answers = [never, YES]
    assert house.revoke() == "revoking"

    house.server.answers = [never]
    retry(house)

    assert house.stored().status is Status.REVOKED
    assert said(house) == {"access_token": "revoked", "refresh_token": "refused"}


def test_a_refresh_token_that_the_server_does_not_know_has_ended(house: MemoryHouse) -> None:
    """It is the newest that there is: servers that do not say yes to that say so in their words."""
    house.server.answers = [INVALID_GRANT]

    assert house.revoke() == "revoked"

    assert said(house) == {"refresh_token": "gone", "access_token": "revoked"}


@pytest.mark.parametrize("failure", [DOWN, answer("", 429)])
def test_an_outage_is_no_refusal_of_a_dead_grant(house: MemoryHouse, failure: Any) -> None:
    """Nobody has said no: it is told again."""
    believed_dead(house)
    house.server.answers = [failure]

    assert house.revoke() == "revoking"


# Tokens that come back


def test_tokens_that_come_back_while_the_server_is_told_are_told_too(house: MemoryHouse) -> None:
    """In the same call: a refresh in flight was answered after its connection had ended."""
    house.events.after["http"] = [lambda: arriving(house, 2)]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert (house.stored().status, house.stored().to_revoke) == (Status.REVOKED, ())
    assert [told.version for told in house.stored().revocation] == [1, 2]


def test_tokens_that_come_back_later_are_told_by_the_queue(house: MemoryHouse) -> None:
    """The connection was revoked, and is revoking again: due at once."""
    house.revoke()
    arriving(house, 2)
    assert (house.stored().status, house.stored().due_at) == (Status.REVOKING, NOW)

    retry(house)

    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert house.stored().status is Status.REVOKED


def test_a_server_that_ends_whole_grants_refuses_the_tokens_that_came_back(house: MemoryHouse) -> None:
    """It had confirmed the end: there is nothing left to revoke, and nothing to trouble a person with."""
    by_access_token(house)
    house.server.answers = [answer('{"successful":true}'), UNSUCCESSFUL]
    house.revoke()
    arriving(house, 2)

    retry(house)

    assert house.server.revoked == ["AT-1", "AT-2"]
    assert house.stored().status is Status.REVOKED
    assert [list(over.answers) for over in house.stored().revocation] == [["access_token", "grant"], ["grant"]]
    assert said(house) == {"grant": "revoked"}


@pytest.mark.parametrize("replacing", [False, True])
def test_the_same_while_the_server_is_being_told(house: MemoryHouse, *, replacing: bool) -> None:
    """The confirmation reached us after they had come back: what it confirmed is not forgotten for that."""
    by_access_token(house)
    house.server.answers = [answer('{"successful":true}'), UNSUCCESSFUL]
    house.events.after["http"] = [lambda: arriving(house, 2, replacing=replacing)]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["AT-1", "AT-2"]
    assert house.stored().current is None


@pytest.mark.parametrize("failure", [REFUSED, DOWN])
def test_a_server_that_refuses_us_has_not_said_that_they_are_gone(house: MemoryHouse, failure: Any) -> None:
    """Wrong credentials say nothing about the tokens: they are told again."""
    house.revoke()
    arriving(house, 2)
    house.server.answers = [failure]

    retry(house)

    assert house.stored().status is Status.REVOKING


def test_an_unconfirmed_end_makes_no_refusal_a_yes(house: MemoryHouse) -> None:
    """The server was never reached before: its refusal confirms nothing."""
    by_access_token(house)
    house.server.answers = [answer("", 429), UNSUCCESSFUL, UNSUCCESSFUL]
    house.revoke()
    arriving(house, 2)

    retry(house)

    assert house.stored().status is Status.REVOKING


@pytest.mark.parametrize("crashes", [False, True])
def test_a_lost_confirmation_makes_refusals_a_yes(house: MemoryHouse, *, crashes: bool) -> None:
    """The server refuses to end a grant twice. That it is gone, and not only refused, its refresh token tells."""
    by_access_token(house)
    if crashes:
        house.connections.records["merchant-1"] = house.stored().revoking(NOW, "holder-1", NOW + 30)
        house.pass_time(30)()
    else:
        house.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True)]
        house.revoke()
    house.server.answers = [UNSUCCESSFUL, INVALID_GRANT]

    retry(house)

    assert house.stored().status is Status.REVOKED
    assert said(house) == {"grant": "refused after an interruption"}


def test_a_request_that_was_lost_on_its_way_ended_nothing(house: MemoryHouse) -> None:
    """The refusal after it is for another reason: the grant lives, its refresh token tells, and it is revoked."""
    by_access_token(house)
    house.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True)]
    house.revoke()
    house.server.answers = [UNSUCCESSFUL, house.server.issue, answer('{"successful":true}')]

    retry(house)

    assert said(house) == {"access_token": "revoked", "grant": "ended with all of its account"}


def test_a_lost_confirmation_of_an_only_token_makes_a_refusal_a_yes(house: MemoryHouse) -> None:
    """There is nothing else to tell by."""
    by_access_token(house)
    house.connect(TokenSet("AT-1"))
    house.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True), UNSUCCESSFUL]
    house.revoke()

    retry(house)

    assert said(house) == {"grant": "refused after an interruption"}


# Where either token ends all, and the server says which one has


def by_either_token(house: MemoryHouse) -> None:
    """Let the provider be UltraCart, as its SDK of 2026 has it."""
    house.registrations.known["acme"] = registration(
        revocation_token_type_hint=False, revocation_success="successful", revocation_ends_authorization=True
    )


SUCCESSFUL = answer('{"successful":true}')
ENDED_WITH_ALL = {"grant": "ended with all of its account"}


def test_the_first_success_ends_it(house: MemoryHouse) -> None:
    """The authorization as a whole is over: another request would only count against the limits of the application."""
    by_either_token(house)
    house.server.answers = [SUCCESSFUL]

    assert house.revoke() == "revoked"

    assert (house.server.revoked, said(house)) == (["RT-1"], {"refresh_token": "revoked", **ENDED_WITH_ALL})


def test_where_the_refresh_token_is_refused_the_access_token_ends_it(house: MemoryHouse) -> None:
    """As at a server of before: its yes to a live access token is an end, and there is nothing to be doubted."""
    by_either_token(house)
    house.server.answers = [UNSUCCESSFUL, SUCCESSFUL]

    assert house.revoke() == "revoked"

    assert (house.server.revoked, said(house)) == (["RT-1", "AT-1"], {"access_token": "revoked", **ENDED_WITH_ALL})


def test_a_run_out_access_token_confirms_nothing_there_either(house: MemoryHouse) -> None:
    """It is not sent; the grant is refreshed once more, and a live one ends it."""
    by_either_token(house)
    house.pass_time(3700)()
    house.server.answers = [UNSUCCESSFUL, house.server.issue, UNSUCCESSFUL, SUCCESSFUL]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-1", "RT-2", "AT-2"]
    assert said(house) == {"access_token": "revoked", **ENDED_WITH_ALL}


def test_a_200_that_says_no_to_both_is_no_end(house: MemoryHouse) -> None:
    """Nothing is called revoked for it: whether the grant lives, its refresh tells, and it is tried again."""
    by_either_token(house)
    house.server.answers = [UNSUCCESSFUL, UNSUCCESSFUL, house.server.issue, UNSUCCESSFUL, UNSUCCESSFUL]

    assert house.revoke() == "revoking"

    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert house.stored().failure is not None


def test_a_yes_that_may_be_to_an_unknown_token_is_not_the_end_of_all(house: MemoryHouse) -> None:
    """RFC 7009 has it for every token: where the server does not say which one it ended, both are told."""
    house.registrations.known["acme"] = registration(revocation_ends_authorization=True)

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-1", "AT-1"]


# Where the server takes a live access token alone


@pytest.fixture
def live(house: MemoryHouse) -> MemoryHouse:
    """Let the server be such a one, and the access token have run out."""
    house.registrations.known["acme"] = registration(revocation_tokens=("access_token",), revocation_success="ok")
    house.pass_time(3700)()
    return house


OK = answer('{"ok":true}')
EXPIRED = answer('{"ok":false,"error":"token_expired"}')


def test_an_access_token_that_has_run_out_is_refreshed_before_it_is_revoked(live: MemoryHouse) -> None:
    """To say that it has run out confirms nothing: the grant would live on for as long as its refresh token does."""
    live.server.answers = [live.server.issue, OK]

    assert live.revoke() == "revoked"

    assert (live.server.refresh_tokens, live.server.revoked) == (["RT-1"], ["AT-2"])
    assert said(live) == {"access_token": "revoked"}
    assert (live.stored().sets, live.stored().version) == ((), 1)


def test_what_is_refreshed_to_be_revoked_is_stored_first_and_vended_to_nobody(live: MemoryHouse) -> None:
    """A process that dies then leaves it, sealed and due, in the place of what it came from."""
    there: list[Any] = []

    def look() -> None:
        there.append((live.stored(), live.token()["error"]))

    live.events.before["http"] = [look, look]
    live.server.answers = [live.server.issue, OK]

    live.revoke()

    (asked, first), (stored, second) = there
    assert (first, second) == ("connection_revoked", "connection_revoked")
    (used,), (new,) = asked.to_revoke, stored.to_revoke
    assert (used.lease.revokes, used.attempts, new.refreshed_from) == (False, 1, RefreshedFrom(used.id, 1))
    assert live.new_cipher().open("merchant-1", new) == TokenSet("AT-2", "RT-2")


@pytest.mark.parametrize("knows", [True, False])
def test_an_access_token_that_has_run_out_without_a_word_is_refreshed_too(live: MemoryHouse, *, knows: bool) -> None:
    """Nobody knew when it ends: the server says so in its words, and another says yes to what it does not know."""
    live.connections.records["merchant-1"] = with_current(live.stored(), expires_at=None if not knows else NOW + 3600)
    live.server.answers = [*([] if knows else [EXPIRED]), live.server.issue, OK]

    assert live.revoke() == "revoked"

    assert live.server.revoked == (["AT-2"] if knows else ["AT-1", "AT-2"])


def test_an_answer_that_cannot_be_stored_is_rescued_into_its_place(live: MemoryHouse) -> None:
    """Nothing is sent with it before it is safe. Until the queue has brought it in, its token set waits."""
    live.events.before["change"] = [None, None, *[down()] * 100]
    live.server.answers = [live.server.issue, OK]
    with pytest.raises(TemporarilyUnavailable):
        live.revoke()
    live.events.before.clear()
    assert live.server.revoked == []

    live.pass_time(40)()
    retry(live)
    assert (live.server.refresh_tokens, live.server.revoked) == (["RT-1"], [])
    live.rescuing.rescue(json.loads(live.rescue_queue.messages.pop()["body"]), live.deadline())
    (came,) = live.stored().to_revoke
    assert (live.stored().status, live.stored().tell_at) == (Status.REVOKING, int(live.now))
    retry(live)

    assert came.refreshed_from is not None
    assert live.server.revoked == ["AT-2"]
    assert said(live) == {"access_token": "revoked"}


def test_a_grant_that_cannot_be_refreshed_for_its_end_is_gone_when_that_is_refused_twice(live: MemoryHouse) -> None:
    """Nothing of it is left that opens anything."""
    live.server.answers = [INVALID_GRANT]
    assert live.revoke() == "revoking"
    live.pass_time(60)()
    live.server.answers = [INVALID_GRANT]

    retry(live)

    assert (live.server.revoked, said(live)) == ([], {"grant": "dead"})


@pytest.mark.parametrize("failure", [DOWN, answer("", 429), REFUSED, answer('{"error":"who_knows"}', 400)])
def test_a_refresh_that_fails_for_another_reason_is_tried_again(live: MemoryHouse, failure: Any) -> None:
    """It says nothing of the grant."""
    live.server.answers = [failure]
    assert live.revoke() == "revoking"
    assert live.stored().to_revoke[0].was_dead is False
    live.pass_time(10)()
    live.server.answers = [live.server.issue, OK]

    retry(live)

    assert live.server.revoked == ["AT-2"]


def test_a_server_that_is_still_at_work_on_the_refresh_is_left_alone(live: MemoryHouse) -> None:
    """After a time-out no other request of ours meets the first: the token set waits until its lease has lapsed."""
    live.server.answers = [ProviderTimedOut("Silent.")]
    assert live.revoke() == "revoking"
    waits = live.stored().tell_at or 0
    assert waits > live.now + 20

    retry(live)
    assert len(live.server.requests) == 1
    live.pass_time(waits - live.now)()
    live.server.answers = [live.server.issue, OK]
    retry(live)

    assert live.server.revoked == ["AT-2"]


def test_a_defect_in_a_refresh_holds_nothing(live: MemoryHouse) -> None:
    """Whoever asks is told, it is due again, and nothing counts for sent."""
    live.events.before["data_key"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        live.revoke()

    assert (live.server.requests, live.stored().to_revoke[0].lease) == ([], None)


# What another has in hand, and what was interrupted


def test_a_token_set_that_is_being_refreshed_waits(house: MemoryHouse) -> None:
    """To revoke it now would meet the refresh at the server. It is due when its lease lapses, or the answer is here."""
    house.connections.records["merchant-1"] = house.stored().leased("holder-1", NOW + 30, NOW)

    assert house.revoke() == "revoking"
    retry(house)

    assert (house.server.requests, house.stored().tell_at) == ([], NOW + 30)


def test_a_token_set_that_is_being_revoked_waits(house: MemoryHouse) -> None:
    """Two who ask at once: the second is told that it is on its way, and sends nothing."""
    second: list[str] = []
    house.events.before["http"] = [lambda: second.append(house.revoke())]

    assert house.revoke() == "revoked"

    assert (second, house.server.revoked) == (["revoking"], ["RT-1", "AT-1"])


def interrupted(house: MemoryHouse) -> None:
    """Let a refresh have begun of which nobody knows how it ended."""
    house.connections.records["merchant-1"] = house.stored().leased("holder-1", house.now, house.now)
    house.pass_time(1)()


@pytest.mark.parametrize("answers", [[YES, YES], [INVALID_GRANT, YES], [UNSUCCESSFUL, UNSUCCESSFUL]])
def test_what_was_interrupted_ends_with_whatever_the_server_says(house: MemoryHouse, answers: list[Any]) -> None:
    """Its refresh token may have been replaced, and no answer about it tells: so the record says."""
    is_strict = answers[0] is UNSUCCESSFUL
    house.registrations.known["acme"] = registration(revocation_success="successful" if is_strict else None)
    interrupted(house)
    house.server.answers = [*answers]

    assert house.revoke() == "revoked"

    assert said(house)["grant"] == "interrupted"
    assert house.server.refresh_tokens == []


def test_an_answer_that_was_lost_is_waited_for_by_nobody(house: MemoryHouse) -> None:
    """Whoever lost it has told so: nobody has it in hand, and no rescue can bring it."""
    lost = ProviderUnavailable("The connection broke.", outcome_unknown=True)
    held = house.stored().leased("holder-1", house.now + 30, house.now)
    house.connections.records["merchant-1"] = held.refresh_failed(lost, house.now, 0.5)
    house.rescue_queue.send("{}")

    assert house.revoke() == "revoked"

    assert "sleep" not in house.events.calls
    assert (house.server.revoked, said(house)["grant"]) == (["RT-1", "AT-1"], "interrupted")


def test_what_was_interrupted_and_needs_a_live_token_is_refreshed_once_more(live: MemoryHouse) -> None:
    """The server may repeat its answer. If it does not, nothing is left that it would take."""
    interrupted(live)
    live.server.answers = [INVALID_GRANT]

    assert live.revoke() == "revoked"

    assert (live.server.refresh_tokens, said(live)) == (["RT-1"], {"grant": "interrupted"})


def test_a_late_answer_to_what_was_interrupted_makes_it_revoking_again(house: MemoryHouse) -> None:
    """And is revoked itself: then the end is known."""
    interrupted(house)
    assert house.revoke() == "revoked"
    assert said(house)["grant"] == "interrupted"

    arriving(house, 2)
    assert house.stored().status is Status.REVOKING
    retry(house)

    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_what_the_rescue_queue_may_hold_is_waited_for(house: MemoryHouse) -> None:
    """For so long as a rescue may take, and no longer: the message may be another's."""
    interrupted(house)
    house.rescue_queue.send("{}")

    assert house.revoke() == "revoking"
    assert house.server.requests == []
    for _ in range(4):
        house.pass_time((house.stored().tell_at or 0) - house.now)()
        retry(house)
        assert house.server.requests == []
    house.pass_time(RESCUED_WITHIN)()
    retry(house)

    assert said(house)["grant"] == "interrupted"


def test_an_answer_that_comes_in_while_it_is_waited_for_is_revoked_instead(house: MemoryHouse) -> None:
    """It takes the place of what it came from, which is asked about no more."""
    interrupted(house)
    house.events.before["sleep"] = [lambda: arriving(house, 2, replacing=True)]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-2", "AT-2"]
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}


# Others at the same time


def test_who_loses_the_race_to_end_it_ends_what_he_finds(house: MemoryHouse) -> None:
    """A refresh was stored in between: its tokens are the ones that are told."""

    def refreshed() -> None:
        was = house.stored()
        sealer = house.new_cipher().prepare("merchant-1", 2, WHOSE)
        tokens = sealed_tokens(token_response(tokens=TokenSet("AT-2", "RT-2")), sealer)
        assert was.current
        source = RefreshedFrom(was.current.id, 1)
        house.connections.records["merchant-1"] = was.refreshed(tokens, source, "holder-1", NOW)

    house.events.before["change"] = [refreshed]

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-2", "AT-2"]


def test_a_confirmed_end_stands_over_the_failure_of_another(house: MemoryHouse) -> None:
    """Our lease had lapsed, and another has failed with its own: what the server has confirmed to us is still true."""

    def failed_meanwhile() -> None:
        was = house.stored()
        house.pass_time(40)()
        other = was.to_revoke[0].claimed("holder-2", house.now + 30, house.now, revokes=True)
        failed = other.attempt_failed(ProviderUnavailable("Not successful."), house.now, 0.5)
        house.connections.records["merchant-1"] = was.revocation_failed(failed, house.now)

    house.events.before["http"] = [None, failed_meanwhile]

    assert house.revoke() == "revoked"

    assert (house.stored().status, house.stored().failure) == (Status.REVOKED, None)


def test_a_failure_is_written_on_our_own_lease_alone(house: MemoryHouse) -> None:
    """Our lease had lapsed, and another has the token set in hand."""
    others: list[Connection] = []

    def claimed_meanwhile() -> None:
        was = house.stored()
        house.pass_time(40)()
        claimed = was.to_revoke[0].claimed("holder-2", house.now + 30, house.now, revokes=True)
        others.append(was.revocation_began(claimed, house.now))
        house.connections.records["merchant-1"] = others[0]

    house.events.before["http"] = [claimed_meanwhile]
    house.server.answers = [DOWN]

    assert house.revoke() == "revoking"

    assert house.stored() == others[0]


def test_a_failure_does_not_stand_over_a_confirmed_end(house: MemoryHouse) -> None:
    """The other way round: the confirmation was stored first."""

    def confirmed_meanwhile() -> None:
        was = house.stored()
        house.connections.records["merchant-1"] = was.revocation_confirmed(was.to_revoke[0], NOW)

    house.server.answers = [DOWN]
    house.events.after["http"] = [None]
    house.events.before["http"] = [confirmed_meanwhile]

    assert house.revoke() == "revoked"

    assert house.stored().status is Status.REVOKED


def test_a_connection_made_anew_meanwhile_is_left_alone(house: MemoryHouse) -> None:
    """The server was slow to confirm; another had confirmed it, and the user has consented again since."""
    made: list[Connection] = []

    def anew() -> None:
        was = house.stored()
        ended = was.revocation_confirmed(was.to_revoke[0], NOW)
        made.append(house.connect(version=2, authorized_by="request-2", before=ended))

    house.events.after["http"] = [None, anew]

    assert house.revoke() == "revoked"

    assert house.stored() == made[0]


# A consent that was given since


def reconnected(house: MemoryHouse, **fields: Any) -> Connection:
    """Let the user consent anew, to a request opened after the revocation."""
    was = house.stored()
    tokens = TokenSet("AT-8", "RT-8")
    return house.connect(tokens, version=was.version + 1, authorized_by="request-8", before=was, **fields)


def test_a_server_hears_of_the_old_tokens_when_the_user_has_consented_anew(house: MemoryHouse) -> None:
    """It was down when they were revoked, and keeps grants apart. The new ones vend, and are told to nobody."""
    house.registrations.known["acme"] = registration(revocation_ends_authorization=False)
    house.server.answers = [DOWN]
    assert house.revoke() == "revoking"

    reconnected(house)
    assert house.token()["access_token"] == "AT-8"
    retry(house)

    assert house.server.revoked == ["RT-1", "RT-1", "AT-1"]
    assert (house.stored().status, house.stored().to_revoke) == (Status.ACTIVE, ())
    assert house.token()["access_token"] == "AT-8"
    assert said(house) == {"refresh_token": "revoked", "access_token": "revoked"}


@pytest.mark.parametrize("ends_all", [None, True])
def test_the_old_tokens_wait_while_a_newer_consent_stands(house: MemoryHouse, *, ends_all: bool | None) -> None:
    """To end the old one may be to end what the user has just consented to. Both end with the connection."""
    house.registrations.known["acme"] = registration(revocation_ends_authorization=ends_all)
    house.server.answers = [DOWN]
    house.revoke()

    reconnected(house)
    retry(house)

    assert house.server.revoked == ["RT-1"]
    assert (house.stored().status, house.stored().to_revoke, house.stored().tell_at) == (Status.ACTIVE, (), None)
    assert [each.seal.version for each in house.stored().in_place(Place.SUPERSEDED)] == [1]
    assert house.revoke() == "revoked"
    assert house.server.revoked == ["RT-1", "RT-8", "AT-8", "RT-1", "AT-1"]


def test_a_revocation_that_is_put_off_for_a_consent_is_not_when_that_is_revoked_meanwhile(house: MemoryHouse) -> None:
    """Between the look and the write the connection was revoked: it stays to be told of, and nobody has been told."""
    house.server.answers = [DOWN]
    house.revoke()
    reconnected(house)

    def revoked_meanwhile() -> None:
        house.connections.records["merchant-1"] = house.stored().revoking(NOW)

    house.events.before["registration"] = [revoked_meanwhile]
    retry(house)

    assert house.server.revoked == ["RT-1", "RT-8", "AT-8"]
    (left,) = house.stored().to_revoke
    assert (left.seal.version, left.lease) == (1, None)
    retry(house)
    assert house.stored().status is Status.REVOKED


def test_what_a_consent_replaces_is_revoked_at_once_where_grants_are_apart(house: MemoryHouse) -> None:
    """Nobody uses it any more, and nothing else ends with it: it need not wait for the connection's end."""
    house.registrations.known["acme"] = registration(revocation_ends_authorization=False)

    reconnected(house, grants_are_apart=True)
    assert (house.stored().status, house.stored().due_at) == (Status.ACTIVE, NOW)
    retry(house)

    assert house.server.revoked == ["RT-1", "AT-1"]
    assert (house.stored().sets, house.token()["access_token"]) == ((house.stored().current,), "AT-8")


@pytest.mark.parametrize("moved", [{"provider": "other"}, {"parameters": {"shop": "2"}}])
def test_another_server_is_told_whatever_the_user_has_consented_to_since(
    house: MemoryHouse, moved: dict[str, Any]
) -> None:
    """The id went to another provider, or to another tenant of the same: that is another authorization."""
    by_access_token(house)
    house.server.answers = [DOWN, answer('{"successful":true}')]
    house.revoke()

    reconnected(house, **moved)
    retry(house)

    assert house.server.revoked == ["AT-1", "AT-1"]
    assert house.stored().status is Status.ACTIVE


def test_to_revoke_again_tells_of_both(house: MemoryHouse) -> None:
    """The server was down the first time, the user consented anew, and it is revoked once more."""
    house.server.answers = [DOWN]
    house.revoke()
    reconnected(house)

    assert house.revoke() == "revoked"

    assert house.server.revoked == ["RT-1", "RT-8", "AT-8", "RT-1", "AT-1"]


def test_one_server_that_is_down_keeps_no_other_from_being_told(house: MemoryHouse) -> None:
    """Each token set is tried in each turn."""
    house.server.answers = [DOWN]
    house.revoke()
    reconnected(house, provider="other")
    house.server.answers = [DOWN]

    assert house.revoke() == "revoking"

    assert house.server.revoked == ["RT-1", "RT-8", "RT-1", "AT-1"]
    assert [left.whose.provider for left in house.stored().to_revoke] == ["other"]
