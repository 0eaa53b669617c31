"""The end of a grant: here at once, at the server until it confirms it; every token is revoked, and each once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    ConnectionNotFound,
    ProviderTimedOut,
    ProviderUnavailable,
    TemporarilyUnavailable,
)
from functions.vault.base.narrowing import Narrowing
from functions.vault.base.timing import RESCUED_WITHIN
from functions.vault.grant import late_answers, refreshes, revocations
from functions.vault.grant.life import Place, Status
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.usecases.revoking import GIVE_UP_AFTER, NotRevokedYet
from tests.unit.samples import NOW, WHOSE, answer, registration, sealed_tokens, token_response, with_current
from tests.unit.services import MemoryServices, aws_error, down
from tests.unit.test_account_lookup import consent

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection

YES = answer("{}")
DOWN = answer("", 503)
UNSUPPORTED = answer('{"error":"unsupported_token_type"}', 400)
REFUSED = answer('{"error":"invalid_client"}', 401)
UNSUCCESSFUL = answer('{"successful":false}')


@pytest.fixture
def services() -> MemoryServices:
    """Give services with a connection."""
    made = MemoryServices()
    made.connect()
    return made


def said(services: MemoryServices) -> dict[str, str]:
    """Return what the server answered about the token set that is being revoked, or else about the last one."""
    stored = services.stored()
    records = [over.answers for over in stored.revocation] + [each.answers for each in stored.to_revoke[:1]]
    return {kind: entry["answer"] for kind, entry in records[-1].items()}


def retry(services: MemoryServices) -> None:
    """Tell the server once more, as the queue does when the work is due."""
    services.revoking.retry("merchant-1", services.deadline())


def arriving(services: MemoryServices, number: int, *, replacing: bool = False) -> None:
    """Let the answer of a refresh in flight come in now, in the place of what it came from or beside all."""
    was, issued = services.stored(), TokenSet(f"AT-{number}", f"RT-{number}")
    sealer = services.new_cipher().prepare("merchant-1", number, WHOSE)
    late = sealed_tokens(token_response(tokens=issued), sealer)
    source = was.to_revoke[0] if replacing else None
    services.connections.records["merchant-1"] = late_answers.came_after_revocation(
        was, late, source, "request-1", services.now, RefreshedFrom(source.id, 1) if source else None
    )


def by_access_token(services: MemoryServices) -> None:
    """Let the provider be one whose server ends all with the access token, once, and says so in words."""
    services.registrations.known["acme"] = registration(
        revocation_tokens=("access_token",),
        revocation_token_type_hint=False,
        revocation_success="successful",
        revocation_ends_authorization=True,
    )


def test_both_tokens_are_revoked_the_refresh_token_first(services: MemoryServices) -> None:
    """It ends here before the server is asked; afterwards no ciphertext stays, but a record of what was said."""
    here: list[Status] = []
    services.events.before["http"] = [lambda: here.append(services.stored().status)]

    assert services.revoke() == "revoked"

    assert here == [Status.REVOKING]
    assert services.server.revoked == ["RT-1", "AT-1"]
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}
    assert (services.stored().sets, services.stored().due_at, services.stored().status) == ((), None, Status.REVOKED)


def test_a_token_that_is_not_there_is_not_sent(services: MemoryServices) -> None:
    """A grant without a refresh token."""
    services.connect(TokenSet("AT-1"))

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["AT-1"]
    assert said(services) == {"refresh_token": "none", "access_token": "revoked"}


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
    services: MemoryServices, tokens: TokenSet, age: int, answers: list[Any], fields: dict[str, Any]
) -> None:
    """It has no revocation endpoint, takes neither kind of token, or nothing of what is left. The answer says so."""
    services.registrations.known["acme"] = registration(**fields)
    services.connect(tokens)
    services.pass_time(age)()
    services.server.answers = [*answers]

    for _ in range(2):
        assert services.revoking.revoke("merchant-1", services.deadline()) == LEFT

    assert len(services.server.requests) == len(answers)
    assert (said(services)["grant"], services.stored().sets) == ("left at the server", ())


def test_again_is_as_good_as_once(services: MemoryServices) -> None:
    """What is revoked is revoked; nothing is sent, nothing is written."""
    services.revoke()
    stored = services.stored()
    services.events.calls.clear()

    assert services.revoke() == "revoked"

    assert services.events.calls == ["get"]
    assert services.stored() == stored


def test_what_was_never_there_cannot_be_revoked(services: MemoryServices) -> None:
    """And is not made by trying."""
    services.connections.records.clear()

    with pytest.raises(ConnectionNotFound):
        services.revoke()
    retry(services)

    assert services.connections.records == {}


# Until it is confirmed


@pytest.mark.parametrize(
    "failure", [DOWN, REFUSED, answer("", 429), UNSUCCESSFUL, ProviderUnavailable("Lost.", outcome_unknown=True)]
)
def test_what_the_server_did_not_confirm_is_sent_again(services: MemoryServices, failure: Any) -> None:
    """Nothing is vended from the first moment; it is due again after a delay, until the server confirms it."""
    services.registrations.known["acme"] = registration(revocation_success="successful")
    services.server.answers = [failure]

    assert services.revoke() == "revoking"

    assert services.token()["error"] == "connection_revoked"
    assert (services.stored().due_at, services.stored().failure is None) == (NOW + 5, False)
    assert len(services.stored().to_revoke) == 1
    confirmed = answer('{"successful":true}')
    services.server.answers = [confirmed, confirmed]
    retry(services)
    assert services.stored().status is Status.REVOKED
    assert services.stored().current is None


def test_each_token_is_revoked_once(services: MemoryServices) -> None:
    """The first was confirmed, the second was not: only that one is sent again, also by another function."""
    services.server.answers = [YES, DOWN, DOWN, YES]

    assert services.revoke() == "revoking"
    assert said(services) == {"refresh_token": "revoked"}
    failure = services.revoking.retry("merchant-1", services.deadline())
    nothing = services.revoking.retry("merchant-1", services.deadline())

    assert failure is not None, "it is for the log, and its alarms"
    assert (failure.code, failure.connection_id, nothing) == ("provider_unavailable", "merchant-1", None)
    assert services.server.revoked == ["RT-1", "AT-1", "AT-1", "AT-1"]
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_what_was_confirmed_before_a_crash_is_sent_again(services: MemoryServices) -> None:
    """Twice is better than never, once the lease has lapsed: in RFC 7009 an unknown token is a success."""
    services.events.before["change"] = [None, down()]
    with pytest.raises(TemporarilyUnavailable):
        services.revoke()
    assert (services.stored().status, services.stored().revocation_due_at) == (Status.REVOKING, NOW + 32)

    retry(services)
    assert services.server.revoked == ["RT-1", "AT-1"]
    services.pass_time(32)()
    retry(services)

    assert services.server.revoked == ["RT-1", "AT-1", "RT-1", "AT-1"]
    assert services.stored().status is Status.REVOKED


def test_the_delays_grow_to_an_hour_and_then_a_person_has_to_look(services: MemoryServices) -> None:
    """The message goes to the dead letters; until then it is only due again, later each time."""
    services.server.answers = [DOWN] * 100
    services.revoke()
    waits = []
    for _ in range(GIVE_UP_AFTER - 2):
        retry(services)
        waits.append((services.stored().due_at or 0) - int(services.now))

    with pytest.raises(NotRevokedYet, match=f"in {GIVE_UP_AFTER} attempts"):
        retry(services)

    assert 18 * 3600 < sum(waits) < 24 * 3600
    assert waits[:3] == [10, 20, 40]
    assert waits == sorted(waits)
    assert waits[-1] == 3600
    assert services.stored().status is Status.REVOKING
    services.server.answers.clear()
    retry(services)
    assert services.stored().status is Status.REVOKED


@pytest.mark.parametrize("state", ["active", "dead", "revoked"])
def test_a_message_that_comes_late_sends_nothing(services: MemoryServices, state: str) -> None:
    """Revoked long since, or connected again."""
    if state == "revoked":
        services.revoke()
    if state == "dead":
        dead = replace(services.stored(), status=Status.REAUTHORIZATION_REQUIRED)
        services.connections.records["merchant-1"] = dead
    stored = services.stored()
    services.server.requests.clear()

    retry(services)

    assert (services.server.requests, services.stored()) == ([], stored)


@pytest.mark.parametrize("call", ["registration", "decrypt"])
def test_an_outage_of_ours_is_a_failed_attempt(services: MemoryServices, call: str) -> None:
    """It ends here even so, and is due again."""
    services.events.before[call] = [down()]

    assert services.revoke() == "revoking"

    assert (services.stored().due_at, services.server.requests) == (NOW + 5, [])


def test_with_too_little_time_it_is_sent_later(services: MemoryServices) -> None:
    """What is left is enough to end it here."""
    assert services.revoke(seconds=10) == "revoking"

    assert services.server.requests == []
    retry(services)
    assert services.stored().status is Status.REVOKED


def test_a_slow_server_does_not_take_the_time_of_two_requests(services: MemoryServices) -> None:
    """Each request gets what is left when it begins; a second one for which nothing is left waits for its turn."""
    services.events.before["http"] = [services.pass_time(10)]

    assert services.revoke(seconds=24) == "revoking"

    assert said(services) == {"refresh_token": "revoked"}
    assert services.server.revoked == ["RT-1"]


def test_a_defect_is_raised_and_it_stays_due(services: MemoryServices) -> None:
    """Ended here, revoked there later: the caller learns that something is wrong."""
    services.events.before["decrypt"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        services.revoke()

    assert services.stored().status is Status.REVOKING
    assert (services.stored().due_at, services.stored().to_revoke[0].lease) == (NOW, None)


# What a refusal means


@pytest.mark.parametrize(
    ("answers", "record"),
    [
        ([YES, UNSUPPORTED], {"refresh_token": "revoked", "access_token": "unsupported_token_type"}),
        ([UNSUPPORTED, YES], {"refresh_token": "unsupported_token_type", "access_token": "revoked"}),
    ],
)
def test_a_kind_that_the_server_does_not_revoke_is_passed_over(
    services: MemoryServices, answers: list[Any], record: dict[str, str]
) -> None:
    """RFC 7009 section 2.2.1: such a server takes the other kind, and this one with it."""
    services.server.answers = answers

    assert services.revoke() == "revoked"

    assert said(services) == record


def test_a_kind_that_is_not_revoked_is_passed_over_after_an_outage_too(services: MemoryServices) -> None:
    """The other kind was confirmed before."""
    services.server.answers = [YES, DOWN, UNSUPPORTED]
    services.revoke()

    retry(services)

    assert said(services) == {"refresh_token": "revoked", "access_token": "unsupported_token_type"}
    assert services.stored().status is Status.REVOKED


INVALID_GRANT = answer('{"error":"invalid_grant"}', 400)
INVALID_REQUEST = answer('{"error":"invalid_request"}', 400)


def believed_dead(services: MemoryServices) -> None:
    """Let the server refuse a refresh, an hour after the connection was made."""
    services.pass_time(3700)()
    services.server.answers = [INVALID_GRANT]
    assert services.token()["error"] == "reauthorization_required"
    services.server.requests.clear()


@pytest.mark.parametrize(
    "refusals",
    [[UNSUCCESSFUL, UNSUCCESSFUL], [INVALID_REQUEST, INVALID_REQUEST], [UNSUPPORTED], [UNSUPPORTED, INVALID_GRANT]],
)
def test_a_grant_that_was_believed_dead_is_gone_when_its_refresh_token_is_refused_again(
    services: MemoryServices, refusals: list[Any]
) -> None:
    """That it was believed dead confirms nothing. The server takes none of its tokens, and does not refresh it."""
    services.registrations.known["acme"] = registration(revocation_success="successful")
    believed_dead(services)
    services.connections.records["merchant-1"] = with_current(services.stored(), expires_at=None)
    services.server.answers = [*refusals, *([INVALID_GRANT] if len(refusals) == 1 else []), INVALID_GRANT]

    assert services.revoke() == "revoked"

    assert services.server.refresh_tokens == ["RT-1"]
    assert said(services)["grant"] == "dead"


def test_a_grant_that_was_believed_dead_and_lives_is_refreshed_and_revoked(services: MemoryServices) -> None:
    """The server had refused temporarily. What it issues now is what it revokes; it is vended to nobody."""
    services.registrations.known["acme"] = registration(revocation_success="successful")
    believed_dead(services)
    services.connections.records["merchant-1"] = with_current(services.stored(), expires_at=None)
    yes = answer('{"successful":true}')
    services.server.answers = [UNSUCCESSFUL, UNSUCCESSFUL, services.server.issue, yes, yes]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}
    assert services.token()["error"] == "connection_revoked"


def test_a_dead_grant_whose_only_token_is_refused_is_gone(services: MemoryServices) -> None:
    """There is no refresh token to try once more with."""
    services.connect(TokenSet("AT-1"))
    made = with_current(services.stored(), was_refused=True)
    services.connections.records["merchant-1"] = made
    services.server.answers = [INVALID_REQUEST]

    assert services.revoke() == "revoked"

    assert said(services) == {"refresh_token": "none", "grant": "dead"}


def test_a_grant_that_ended_unseen_is_gone_when_its_refresh_token_was_refused_twice(services: MemoryServices) -> None:
    """Its user took it back at the server. One refusal may pass: the second comes a minute later, at least."""
    by_access_token(services)
    services.server.answers = [UNSUCCESSFUL, INVALID_GRANT]

    assert services.revoke() == "revoking"
    assert (services.stored().revocation_due_at, services.stored().failure is None) == (NOW + 60, False)
    services.pass_time(60)()
    services.server.answers = [UNSUCCESSFUL, INVALID_GRANT]
    retry(services)

    assert services.server.refresh_tokens == ["RT-1", "RT-1"]
    assert (services.stored().status, said(services)) == (Status.REVOKED, {"grant": "dead"})


def test_what_a_server_refuses_in_passing_is_revoked_later(services: MemoryServices) -> None:
    """The first refusal of the refresh token was not meant."""
    by_access_token(services)
    services.server.answers = [UNSUCCESSFUL, INVALID_GRANT]
    services.revoke()
    services.pass_time(60)()
    services.server.answers = [UNSUCCESSFUL, services.server.issue, answer('{"successful":true}')]

    retry(services)

    assert services.server.revoked == ["AT-1", "AT-1", "AT-2"]
    assert said(services) == {"access_token": "revoked", "grant": "ended with all of its account"}


@pytest.mark.parametrize("refusal", [UNSUCCESSFUL, answer('{"error":"invalid_token"}', 400)])
def test_tokens_that_came_just_now_are_not_refreshed_again_for_a_refusal(
    services: MemoryServices, refusal: Any
) -> None:
    """No newer ones would be better: the server is asked again later, and a person has to look in the end."""
    by_access_token(services)
    services.server.answers = [UNSUCCESSFUL, services.server.issue, refusal]

    assert services.revoke() == "revoking"

    assert (services.server.revoked, services.server.refresh_tokens) == (["AT-1", "AT-2"], ["RT-1"])
    services.server.answers = [refusal]
    retry(services)
    assert (services.server.revoked, services.server.refresh_tokens) == (["AT-1", "AT-2", "AT-2"], ["RT-1"])
    assert services.stored().failure is not None


@pytest.mark.parametrize("refusal", [INVALID_REQUEST, REFUSED, UNSUCCESSFUL, INVALID_GRANT])
def test_what_the_server_refuses_when_the_refresh_token_has_ended_is_no_matter(
    services: MemoryServices, refusal: Any
) -> None:
    """The end of the refresh token has ended the access token: the server does not know it any more."""
    services.registrations.known["acme"] = registration(revocation_success="successful")
    services.server.answers = [answer('{"successful":true}'), refusal]

    assert services.revoke() == "revoked"

    assert said(services)["refresh_token"] == "revoked"
    assert said(services)["access_token"] == ("gone" if refusal is INVALID_GRANT else "refused")


@pytest.mark.parametrize("kinds", [("refresh_token", "access_token"), ("access_token", "refresh_token")])
def test_a_refresh_token_that_is_refused_temporarily_is_revoked_later(
    services: MemoryServices, kinds: tuple[str, str]
) -> None:
    """That an access token has ended says nothing of it: a server may end that one alone (RFC 7009 section 2.1)."""
    services.registrations.known["acme"] = registration(revocation_tokens=kinds)
    in_passing = answer('{"error":"flux_capacitor"}', 400)
    services.server.answers = [in_passing if kind == "refresh_token" else YES for kind in kinds]

    assert services.revoke() == "revoking"

    services.server.answers = [YES]
    retry(services)
    assert services.server.revoked[-1] == "RT-1"
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_a_refresh_token_that_is_refused_again_ends_with_its_access_token(services: MemoryServices) -> None:
    """A server that does not revoke refresh tokens, and says so in words of its own, keeps nobody waiting for ever."""
    never = answer('{"error":"flux_capacitor"}', 400)
    services.server.answers = [never, YES]
    assert services.revoke() == "revoking"

    services.server.answers = [never]
    retry(services)

    assert services.stored().status is Status.REVOKED
    assert said(services) == {"access_token": "revoked", "refresh_token": "refused"}


def test_a_refresh_token_that_the_server_does_not_know_has_ended(services: MemoryServices) -> None:
    """It is the newest that there is: servers that do not say yes to that say so in their words."""
    services.server.answers = [INVALID_GRANT]

    assert services.revoke() == "revoked"

    assert said(services) == {"refresh_token": "gone", "access_token": "revoked"}


@pytest.mark.parametrize("failure", [DOWN, answer("", 429)])
def test_an_outage_is_no_refusal_of_a_dead_grant(services: MemoryServices, failure: Any) -> None:
    """Nobody has said no: it is sent again."""
    believed_dead(services)
    services.server.answers = [failure]

    assert services.revoke() == "revoking"


# Tokens that come back


def test_tokens_that_come_during_an_attempt_are_revoked_too(services: MemoryServices) -> None:
    """In the same call: a refresh in flight was answered after its connection had ended."""
    services.events.after["http"] = [lambda: arriving(services, 2)]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert (services.stored().status, services.stored().to_revoke) == (Status.REVOKED, ())
    assert [each.version for each in services.stored().revocation] == [1, 2]


def test_tokens_that_come_later_are_revoked_by_the_queue(services: MemoryServices) -> None:
    """The connection was revoked, and is revoking again: due at once."""
    services.revoke()
    arriving(services, 2)
    assert (services.stored().status, services.stored().due_at) == (Status.REVOKING, NOW)

    retry(services)

    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert services.stored().status is Status.REVOKED


def test_a_server_that_ends_whole_grants_refuses_the_tokens_that_came_back(services: MemoryServices) -> None:
    """It had confirmed the end: there is nothing left to revoke, and nothing to trouble a person with."""
    by_access_token(services)
    services.server.answers = [answer('{"successful":true}'), UNSUCCESSFUL]
    services.revoke()
    arriving(services, 2)

    retry(services)

    assert services.server.revoked == ["AT-1", "AT-2"]
    assert services.stored().status is Status.REVOKED
    assert [list(over.answers) for over in services.stored().revocation] == [["access_token", "grant"], ["grant"]]
    assert said(services) == {"grant": "revoked"}


@pytest.mark.parametrize("replacing", [False, True])
def test_the_same_during_an_attempt(services: MemoryServices, *, replacing: bool) -> None:
    """The confirmation reached us after they had come back: what it confirmed is not forgotten for that."""
    by_access_token(services)
    services.server.answers = [answer('{"successful":true}'), UNSUCCESSFUL]
    services.events.after["http"] = [lambda: arriving(services, 2, replacing=replacing)]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["AT-1", "AT-2"]
    assert services.stored().current is None


@pytest.mark.parametrize("failure", [REFUSED, DOWN])
def test_a_server_that_refuses_us_has_not_said_that_they_are_gone(services: MemoryServices, failure: Any) -> None:
    """Wrong credentials say nothing about the tokens: they are sent again."""
    services.revoke()
    arriving(services, 2)
    services.server.answers = [failure]

    retry(services)

    assert services.stored().status is Status.REVOKING


def test_an_unconfirmed_end_makes_no_refusal_a_yes(services: MemoryServices) -> None:
    """The server was never reached before: its refusal confirms nothing."""
    by_access_token(services)
    services.server.answers = [answer("", 429), UNSUCCESSFUL, UNSUCCESSFUL]
    services.revoke()
    arriving(services, 2)

    retry(services)

    assert services.stored().status is Status.REVOKING


@pytest.mark.parametrize("crashes", [False, True])
def test_a_lost_confirmation_makes_refusals_a_yes(services: MemoryServices, *, crashes: bool) -> None:
    """The server refuses to end a grant twice. Its refresh token shows that it is gone, and not only refused."""
    by_access_token(services)
    if crashes:
        services.connections.records["merchant-1"] = revocations.revoked(services.stored(), NOW, "holder-1", NOW + 30)
        services.pass_time(30)()
    else:
        services.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True)]
        services.revoke()
    services.server.answers = [UNSUCCESSFUL, INVALID_GRANT]

    retry(services)

    assert services.stored().status is Status.REVOKED
    assert said(services) == {"grant": "refused after an interruption"}


def test_a_request_that_was_lost_on_its_way_ended_nothing(services: MemoryServices) -> None:
    """The refusal after it has another reason: the refresh token shows that the grant is alive, and it is revoked."""
    by_access_token(services)
    services.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True)]
    services.revoke()
    services.server.answers = [UNSUCCESSFUL, services.server.issue, answer('{"successful":true}')]

    retry(services)

    assert said(services) == {"access_token": "revoked", "grant": "ended with all of its account"}


def test_a_lost_confirmation_of_an_only_token_makes_a_refusal_a_yes(services: MemoryServices) -> None:
    """Nothing else can show it."""
    by_access_token(services)
    services.connect(TokenSet("AT-1"))
    services.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True), UNSUCCESSFUL]
    services.revoke()

    retry(services)

    assert said(services) == {"grant": "refused after an interruption"}


# With a server whose either token ends all, and that says which one has


def by_either_token(services: MemoryServices) -> None:
    """Let the provider be UltraCart, as its SDK of 2026 has it."""
    services.registrations.known["acme"] = registration(
        revocation_token_type_hint=False, revocation_success="successful", revocation_ends_authorization=True
    )


SUCCESSFUL = answer('{"successful":true}')
ENDED_WITH_ALL = {"grant": "ended with all of its account"}


def test_the_first_success_ends_it(services: MemoryServices) -> None:
    """The authorization as a whole is over: another request would only count against the limits of the application."""
    by_either_token(services)
    services.server.answers = [SUCCESSFUL]

    assert services.revoke() == "revoked"

    assert (services.server.revoked, said(services)) == (["RT-1"], {"refresh_token": "revoked", **ENDED_WITH_ALL})


def test_where_the_refresh_token_is_refused_the_access_token_ends_it(services: MemoryServices) -> None:
    """As at an older server: its yes to a live access token is an end, beyond doubt."""
    by_either_token(services)
    services.server.answers = [UNSUCCESSFUL, SUCCESSFUL]

    assert services.revoke() == "revoked"

    assert (services.server.revoked, said(services)) == (
        ["RT-1", "AT-1"],
        {"access_token": "revoked", **ENDED_WITH_ALL},
    )


def test_a_run_out_access_token_confirms_nothing_there_either(services: MemoryServices) -> None:
    """It is not sent; the grant is refreshed once more, and a live one ends it."""
    by_either_token(services)
    services.pass_time(3700)()
    services.server.answers = [UNSUCCESSFUL, services.server.issue, UNSUCCESSFUL, SUCCESSFUL]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-1", "RT-2", "AT-2"]
    assert said(services) == {"access_token": "revoked", **ENDED_WITH_ALL}


def test_a_200_that_says_no_to_both_is_no_end(services: MemoryServices) -> None:
    """Nothing is called revoked for it: a refresh shows whether the grant is alive, and it is tried again."""
    by_either_token(services)
    services.server.answers = [UNSUCCESSFUL, UNSUCCESSFUL, services.server.issue, UNSUCCESSFUL, UNSUCCESSFUL]

    assert services.revoke() == "revoking"

    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert services.stored().failure is not None


def test_a_yes_that_may_be_to_an_unknown_token_is_not_the_end_of_all(services: MemoryServices) -> None:
    """RFC 7009 has it for every token: if the server does not say which one it ended, both are sent."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=True)

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-1", "AT-1"]


# With a server that takes nothing but a live access token


@pytest.fixture
def live(services: MemoryServices) -> MemoryServices:
    """Let the server be such a one, and the access token have run out."""
    services.registrations.known["acme"] = registration(revocation_tokens=("access_token",), revocation_success="ok")
    services.pass_time(3700)()
    return services


OK = answer('{"ok":true}')
EXPIRED = answer('{"ok":false,"error":"token_expired"}')


def test_an_access_token_that_has_run_out_is_refreshed_before_it_is_revoked(live: MemoryServices) -> None:
    """To say that it has run out confirms nothing: the grant would live on for as long as its refresh token does."""
    live.server.answers = [live.server.issue, OK]

    assert live.revoke() == "revoked"

    assert (live.server.refresh_tokens, live.server.revoked) == (["RT-1"], ["AT-2"])
    assert said(live) == {"access_token": "revoked"}
    assert (live.stored().sets, live.stored().version) == ((), 1)


def test_what_is_refreshed_to_be_revoked_is_stored_first_and_vended_to_nobody(live: MemoryServices) -> None:
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
def test_an_access_token_that_has_run_out_without_a_word_is_refreshed_too(live: MemoryServices, *, knows: bool) -> None:
    """Nobody knew when it ends: the server says so in its words, and another says yes to what it does not know."""
    live.connections.records["merchant-1"] = with_current(live.stored(), expires_at=None if not knows else NOW + 3600)
    live.server.answers = [*([] if knows else [EXPIRED]), live.server.issue, OK]

    assert live.revoke() == "revoked"

    assert live.server.revoked == (["AT-2"] if knows else ["AT-1", "AT-2"])


def test_an_answer_that_cannot_be_stored_is_rescued_into_its_place(live: MemoryServices) -> None:
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
    assert (live.stored().status, live.stored().revocation_due_at) == (Status.REVOKING, int(live.now))
    retry(live)

    assert came.refreshed_from is not None
    assert live.server.revoked == ["AT-2"]
    assert said(live) == {"access_token": "revoked"}


def test_a_grant_that_cannot_be_refreshed_for_its_end_is_gone_when_that_is_refused_twice(live: MemoryServices) -> None:
    """Nothing of it is left that opens anything."""
    live.server.answers = [INVALID_GRANT]
    assert live.revoke() == "revoking"
    live.pass_time(60)()
    live.server.answers = [INVALID_GRANT]

    retry(live)

    assert (live.server.revoked, said(live)) == ([], {"grant": "dead"})


@pytest.mark.parametrize("failure", [DOWN, answer("", 429), REFUSED, answer('{"error":"who_knows"}', 400)])
def test_a_refresh_that_fails_for_another_reason_is_tried_again(live: MemoryServices, failure: Any) -> None:
    """It says nothing of the grant."""
    live.server.answers = [failure]
    assert live.revoke() == "revoking"
    assert live.stored().to_revoke[0].was_dead is False
    live.pass_time(10)()
    live.server.answers = [live.server.issue, OK]

    retry(live)

    assert live.server.revoked == ["AT-2"]


def test_a_server_that_is_still_at_work_on_the_refresh_is_left_alone(live: MemoryServices) -> None:
    """After a time-out no other request of ours meets the first: the token set waits until its lease has lapsed."""
    live.server.answers = [ProviderTimedOut("Silent.")]
    assert live.revoke() == "revoking"
    waits = live.stored().revocation_due_at or 0
    assert waits > live.now + 20

    retry(live)
    assert len(live.server.requests) == 1
    live.pass_time(waits - live.now)()
    live.server.answers = [live.server.issue, OK]
    retry(live)

    assert live.server.revoked == ["AT-2"]


def test_a_defect_in_a_refresh_holds_nothing(live: MemoryServices) -> None:
    """The answer says so, it is due again, and nothing counts as sent."""
    live.events.before["data_key"] = [aws_error("AccessDeniedException")]

    with pytest.raises(Exception, match="AccessDenied"):
        live.revoke()

    assert (live.server.requests, live.stored().to_revoke[0].lease) == ([], None)


# What another has in hand, and what was interrupted


def test_a_token_set_that_is_being_refreshed_waits(services: MemoryServices) -> None:
    """To revoke it now would meet the refresh at the server. It is due when its lease lapses, or the answer is here."""
    services.connections.records["merchant-1"] = refreshes.leased(services.stored(), "holder-1", NOW + 30, NOW)

    assert services.revoke() == "revoking"
    retry(services)

    assert (services.server.requests, services.stored().revocation_due_at) == ([], NOW + 30)


def test_a_token_set_that_is_being_revoked_waits(services: MemoryServices) -> None:
    """Two who ask at once: the second learns that it is on its way, and sends nothing."""
    second: list[str] = []
    services.events.before["http"] = [lambda: second.append(services.revoke())]

    assert services.revoke() == "revoked"

    assert (second, services.server.revoked) == (["revoking"], ["RT-1", "AT-1"])


def interrupted(services: MemoryServices) -> None:
    """Let a refresh have begun whose outcome nobody knows."""
    services.connections.records["merchant-1"] = refreshes.leased(
        services.stored(), "holder-1", services.now, services.now
    )
    services.pass_time(1)()


@pytest.mark.parametrize("answers", [[YES, YES], [INVALID_GRANT, YES], [UNSUCCESSFUL, UNSUCCESSFUL]])
def test_what_was_interrupted_ends_with_whatever_the_server_says(services: MemoryServices, answers: list[Any]) -> None:
    """Its refresh token may have been replaced, and no answer about it shows that: so the record says."""
    is_strict = answers[0] is UNSUCCESSFUL
    services.registrations.known["acme"] = registration(revocation_success="successful" if is_strict else None)
    interrupted(services)
    services.server.answers = [*answers]

    assert services.revoke() == "revoked"

    assert said(services)["grant"] == "interrupted"
    assert services.server.refresh_tokens == []


def test_an_answer_that_was_lost_is_waited_for_by_nobody(services: MemoryServices) -> None:
    """Whoever lost it has written that: nobody has it in hand, and no rescue can bring it."""
    lost = ProviderUnavailable("The connection broke.", outcome_unknown=True)
    held = refreshes.leased(services.stored(), "holder-1", services.now + 30, services.now)
    services.connections.records["merchant-1"] = refreshes.refresh_failed(held, lost, services.now, 0.5)
    services.rescue_queue.send("{}")

    assert services.revoke() == "revoked"

    assert "sleep" not in services.events.calls
    assert (services.server.revoked, said(services)["grant"]) == (["RT-1", "AT-1"], "interrupted")


def test_what_was_interrupted_and_needs_a_live_token_is_refreshed_once_more(live: MemoryServices) -> None:
    """The server may repeat its answer. If it does not, nothing is left that it would take."""
    interrupted(live)
    live.server.answers = [INVALID_GRANT]

    assert live.revoke() == "revoked"

    assert (live.server.refresh_tokens, said(live)) == (["RT-1"], {"grant": "interrupted"})


def test_a_late_answer_to_what_was_interrupted_makes_it_revoking_again(services: MemoryServices) -> None:
    """And is revoked itself: then the end is known."""
    interrupted(services)
    assert services.revoke() == "revoked"
    assert said(services)["grant"] == "interrupted"

    arriving(services, 2)
    assert services.stored().status is Status.REVOKING
    retry(services)

    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}


def test_what_the_rescue_queue_may_hold_is_waited_for(services: MemoryServices) -> None:
    """For so long as a rescue may take, and no longer: the message may be another's."""
    interrupted(services)
    services.rescue_queue.send("{}")

    assert services.revoke() == "revoking"
    assert services.server.requests == []
    for _ in range(4):
        services.pass_time((services.stored().revocation_due_at or 0) - services.now)()
        retry(services)
        assert services.server.requests == []
    services.pass_time(RESCUED_WITHIN)()
    retry(services)

    assert said(services)["grant"] == "interrupted"


def test_an_answer_that_comes_in_while_it_is_waited_for_is_revoked_instead(services: MemoryServices) -> None:
    """It takes the place of what it came from, which is asked about no more."""
    interrupted(services)
    services.events.before["sleep"] = [lambda: arriving(services, 2, replacing=True)]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-2", "AT-2"]
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}


# Others at the same time


def test_who_loses_the_race_to_end_it_ends_what_he_finds(services: MemoryServices) -> None:
    """A refresh was stored in between: its tokens are the ones that are revoked."""

    def refreshed() -> None:
        was = services.stored()
        sealer = services.new_cipher().prepare("merchant-1", 2, WHOSE)
        tokens = sealed_tokens(token_response(tokens=TokenSet("AT-2", "RT-2")), sealer)
        assert was.current
        source = RefreshedFrom(was.current.id, 1)
        services.connections.records["merchant-1"] = refreshes.refreshed(was, tokens, source, "holder-1", NOW)

    services.events.before["change"] = [refreshed]

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-2", "AT-2"]


def test_a_confirmed_end_stands_over_the_failure_of_another(services: MemoryServices) -> None:
    """Our lease had lapsed, and another has failed with its own: what the server has confirmed to us is still true."""

    def failed_meanwhile() -> None:
        was = services.stored()
        services.pass_time(40)()
        other = was.to_revoke[0].claimed("holder-2", services.now + 30, services.now, revokes=True)
        failed = other.attempt_failed(ProviderUnavailable("Not successful."), services.now, 0.5)
        services.connections.records["merchant-1"] = revocations.revocation_failed(was, failed, services.now)

    services.events.before["http"] = [None, failed_meanwhile]

    assert services.revoke() == "revoked"

    assert (services.stored().status, services.stored().failure) == (Status.REVOKED, None)


def test_a_failure_is_written_on_our_own_lease_alone(services: MemoryServices) -> None:
    """Our lease had lapsed, and another has the token set in hand."""
    others: list[Connection] = []

    def claimed_meanwhile() -> None:
        was = services.stored()
        services.pass_time(40)()
        claimed = was.to_revoke[0].claimed("holder-2", services.now + 30, services.now, revokes=True)
        others.append(revocations.revocation_began(was, claimed))
        services.connections.records["merchant-1"] = others[0]

    services.events.before["http"] = [claimed_meanwhile]
    services.server.answers = [DOWN]

    assert services.revoke() == "revoking"

    assert services.stored() == others[0]


def test_a_failure_does_not_stand_over_a_confirmed_end(services: MemoryServices) -> None:
    """The other way round: the confirmation was stored first."""

    def confirmed_meanwhile() -> None:
        was = services.stored()
        services.connections.records["merchant-1"] = revocations.revocation_confirmed(was, was.to_revoke[0], NOW)

    services.server.answers = [DOWN]
    services.events.after["http"] = [None]
    services.events.before["http"] = [confirmed_meanwhile]

    assert services.revoke() == "revoked"

    assert services.stored().status is Status.REVOKED


def test_a_connection_that_was_made_again_meanwhile_is_left_alone(services: MemoryServices) -> None:
    """The server was slow to confirm; another had confirmed it, and the user has consented again since."""
    made: list[Connection] = []

    def made_again() -> None:
        was = services.stored()
        ended = revocations.revocation_confirmed(was, was.to_revoke[0], NOW)
        made.append(services.connect(version=2, authorized_by="request-2", before=ended))

    services.events.after["http"] = [None, made_again]

    assert services.revoke() == "revoked"

    assert services.stored() == made[0]


# A consent that was given since


def reconnected(services: MemoryServices, **fields: Any) -> Connection:
    """Let the user consent again, to a request opened after the revocation."""
    was = services.stored()
    tokens = TokenSet("AT-8", "RT-8")
    return services.connect(tokens, version=was.version + 1, authorized_by="request-8", before=was, **fields)


def test_the_old_tokens_are_revoked_when_the_user_has_consented_again(services: MemoryServices) -> None:
    """It was down when they were revoked, and keeps grants apart. The new ones are vended, and not revoked."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=False)
    services.server.answers = [DOWN]
    assert services.revoke() == "revoking"

    reconnected(services)
    assert services.token()["access_token"] == "AT-8"
    retry(services)

    assert services.server.revoked == ["RT-1", "RT-1", "AT-1"]
    assert (services.stored().status, services.stored().to_revoke) == (Status.ACTIVE, ())
    assert services.token()["access_token"] == "AT-8"
    assert said(services) == {"refresh_token": "revoked", "access_token": "revoked"}


@pytest.mark.parametrize("ends_all", [None, True])
def test_the_old_tokens_wait_while_a_newer_consent_stands(services: MemoryServices, *, ends_all: bool | None) -> None:
    """To end the old one may be to end what the user has just consented to. Both end with the connection."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=ends_all)
    services.server.answers = [DOWN]
    services.revoke()

    reconnected(services)
    retry(services)

    assert services.server.revoked == ["RT-1"]
    assert (services.stored().status, services.stored().to_revoke, services.stored().revocation_due_at) == (
        Status.ACTIVE,
        (),
        None,
    )
    assert [each.seal.version for each in services.stored().in_place(Place.SUPERSEDED)] == [1]
    assert services.revoke() == "revoked"
    assert services.server.revoked == ["RT-1", "RT-8", "AT-8", "RT-1", "AT-1"]


def test_a_revocation_that_is_put_off_for_a_consent_is_not_when_that_is_revoked_meanwhile(
    services: MemoryServices,
) -> None:
    """Between the look and the write the connection was revoked: it is still to be revoked, and nothing was sent."""
    services.server.answers = [DOWN]
    services.revoke()
    reconnected(services)

    def revoked_meanwhile() -> None:
        services.connections.records["merchant-1"] = revocations.revoked(services.stored(), NOW)

    services.events.before["registration"] = [revoked_meanwhile]
    retry(services)

    assert services.server.revoked == ["RT-1", "RT-8", "AT-8"]
    (left,) = services.stored().to_revoke
    assert (left.seal.version, left.lease) == (1, None)
    retry(services)
    assert services.stored().status is Status.REVOKED


def test_what_a_consent_replaces_is_revoked_at_once_if_grants_are_apart(services: MemoryServices) -> None:
    """Nobody uses it any more, and nothing else ends with it: it need not wait for the connection's end."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=False)

    reconnected(services, grants_are_apart=True)
    assert (services.stored().status, services.stored().due_at) == (Status.ACTIVE, NOW)
    retry(services)

    assert services.server.revoked == ["RT-1", "AT-1"]
    assert (services.stored().sets, services.token()["access_token"]) == ((services.stored().current,), "AT-8")


@pytest.mark.parametrize("moved", [{"provider": "other"}, {"parameters": {"shop": "2"}}])
def test_another_server_is_asked_whatever_the_user_has_consented_to_since(
    services: MemoryServices, moved: dict[str, Any]
) -> None:
    """The id went to another provider, or to another tenant of the same: that is another authorization."""
    by_access_token(services)
    services.server.answers = [DOWN, answer('{"successful":true}')]
    services.revoke()

    reconnected(services, **moved)
    retry(services)

    assert services.server.revoked == ["AT-1", "AT-1"]
    assert services.stored().status is Status.ACTIVE


def test_to_revoke_again_revokes_both(services: MemoryServices) -> None:
    """The server was down the first time, the user consented again, and it is revoked once more."""
    services.server.answers = [DOWN]
    services.revoke()
    reconnected(services)

    assert services.revoke() == "revoked"

    assert services.server.revoked == ["RT-1", "RT-8", "AT-8", "RT-1", "AT-1"]


def test_one_server_that_is_down_keeps_no_other_from_being_asked(services: MemoryServices) -> None:
    """Each token set is tried in each turn."""
    services.server.answers = [DOWN]
    services.revoke()
    reconnected(services, provider="other")
    services.server.answers = [DOWN]

    assert services.revoke() == "revoking"

    assert services.server.revoked == ["RT-1", "RT-8", "RT-1", "AT-1"]
    assert [left.whose.provider for left in services.stored().to_revoke] == ["other"]


# By a narrowed path


def test_a_call_for_another_owner_ends_nothing(services: MemoryServices) -> None:
    """It gets the error of a connection that does not exist."""
    with pytest.raises(ConnectionNotFound, match="No connection has this id"):
        services.revoking.revoke("merchant-1", services.deadline(), Narrowing(owner="owner-2"))

    assert (services.stored().status, services.events.calls) == (Status.ACTIVE, ["get"])


@pytest.mark.parametrize("narrowing", [Narrowing(owner="owner-1"), Narrowing(connection_id="merchant-1")])
def test_a_call_that_is_limited_to_this_connection_ends_it(services: MemoryServices, narrowing: Narrowing) -> None:
    """By its owner or by its id; and the answer is the same when it comes again."""
    for _ in range(2):
        answered = services.revoking.revoke("merchant-1", services.deadline(), narrowing)

        assert answered == {"connection_id": "merchant-1", "status": "revoked"}


def test_the_answer_says_that_a_grant_is_still_to_be_revoked(services: MemoryServices) -> None:
    """The connection has ended here; the server has not confirmed it."""
    services.server.answers = [DOWN]

    answered = services.revoking.revoke("merchant-1", services.deadline())

    assert answered == {"connection_id": "merchant-1", "status": "revoking"}


def test_the_answer_says_that_others_of_the_account_have_ended_too(services: MemoryServices) -> None:
    """The server ends all that an account has allowed: whoever relies on another connection to it should know."""
    services.registrations.known["acme"] = registration(revocation_ends_authorization=True)

    answered = services.revoking.revoke("merchant-1", services.deadline())

    assert answered["grant"] == "ended with all of its account"


def test_what_has_become_another_owners_is_not_ended(services: MemoryServices) -> None:
    """The first write meets a record that is no longer the caller's; what it then reads is not ended."""

    def taken_over() -> None:
        theirs = services.connect(owner="owner-2", version=9)
        services.connections.records["merchant-1"] = replace(theirs, changes=9)

    services.events.before["change"] = [taken_over]

    with pytest.raises(ConnectionNotFound):
        services.revoking.revoke("merchant-1", services.deadline(), Narrowing(owner="owner-1"))

    assert (services.stored().status, services.stored().owner) == (Status.ACTIVE, "owner-2")


@pytest.mark.parametrize(
    ("whose", "narrowing", "is_taken"),
    [
        ("owner-2", Narrowing(owner="owner-1"), False),
        ("owner-1", Narrowing(owner="owner-1"), True),
        ("owner-2", Narrowing(connection_id="merchant-1"), True),
    ],
)
def test_what_waits_in_an_ended_connection_is_not_taken_away_by_its_earlier_owner(
    services: MemoryServices, whose: str, narrowing: Narrowing, *, is_taken: bool
) -> None:
    """Somebody else's consent may wait in it. Whoever may act on the connection takes away what is in it."""
    services.revoke()
    consent(services, "b", confirm=True, return_to="https://app.example/connected", owner=whose)
    assert services.stored().unconfirmed is not None

    services.revoking.revoke("merchant-1", services.deadline(), narrowing)

    assert (services.stored().unconfirmed is None) is is_taken


def test_until_a_slot_is_had_a_revocation_only_waits(services: MemoryServices) -> None:
    """A provider with slots: what is killed before it has one was no attempt, and the next one need not be careful."""
    services.registrations.known["acme"] = registration(max_concurrency=1)
    leases: list[bool] = []

    def look() -> None:
        (ended,) = services.stored().to_revoke
        assert ended.lease is not None
        leases.append(ended.lease.waiting)

    services.events.before["change"] = [None, look]

    assert services.revoke() == "revoked"

    assert leases == [True]


def test_each_attempt_has_a_lease_of_its_own(services: MemoryServices) -> None:
    """Two that are at work at the same time do not take each other's lease for theirs."""
    services.server.answers = [DOWN] * 3
    services.revoke()
    holders: set[str] = set()

    def look() -> None:
        (ended,) = services.stored().to_revoke
        assert ended.lease is not None
        holders.add(ended.lease.holder)

    for _ in range(2):
        services.events.before["change"] = [None, look]
        retry(services)

    assert len(holders - {""}) == 2
    assert all(isinstance(each, str) for each in holders)
