"""The end of a grant: here at once, there until it is heard, of every token that there is, and of each once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.connection import RefreshedFrom, Status
from functions.vault.errors import ConnectionNotFound, ProviderUnavailable, TemporarilyUnavailable
from functions.vault.life import Place
from functions.vault.revoking import GIVE_UP_AFTER, NotToldYet
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse, aws_error, down
from tests.unit.samples import NOW, WHOSE, answer, registration, sealed_tokens, token_response

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


def ultracart(house: MemoryHouse) -> None:
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


def test_a_server_that_cannot_be_told_need_not_be(house: MemoryHouse) -> None:
    """It has no revocation endpoint: the end here is all that there is."""
    house.registrations.known["acme"] = registration(revocation_endpoint=None)

    assert house.revoke() == "revoked"

    assert (house.server.requests, said(house), house.stored().sets) == ([], {}, ())


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
    """Twice is better than never: RFC 7009 takes a token that is no more for a success."""
    house.events.before["change"] = [None, down()]
    with pytest.raises(TemporarilyUnavailable):
        house.revoke()
    assert house.stored().status is Status.REVOKING

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

    with pytest.raises(NotToldYet, match=f"in {GIVE_UP_AFTER} attempts"):
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
    assert house.stored().due_at == NOW


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


def test_a_server_that_revokes_no_kind_has_revoked_nothing(house: MemoryHouse) -> None:
    """However often it is asked: that is not written down as an end."""
    house.server.answers = [UNSUPPORTED] * 6

    assert house.revoke() == "revoking"
    retry(house)
    retry(house)

    assert (house.stored().status, said(house)) == (Status.REVOKING, {})
    assert house.stored().failure is not None


def test_a_kind_that_is_not_revoked_is_passed_over_after_an_outage_too(house: MemoryHouse) -> None:
    """The other kind was heard before."""
    house.server.answers = [YES, DOWN, UNSUPPORTED]
    house.revoke()

    retry(house)

    assert said(house) == {"refresh_token": "revoked", "access_token": "unsupported_token_type"}
    assert house.stored().status is Status.REVOKED


@pytest.mark.parametrize("refusal", [REFUSED, UNSUCCESSFUL, UNSUPPORTED])
def test_the_refusal_to_revoke_a_dead_grant_is_an_end(house: MemoryHouse, refusal: Any) -> None:
    """The server had said itself that it is gone."""
    house.registrations.known["acme"] = registration(revocation_success="successful")
    house.server.answers = [answer('{"error":"invalid_grant"}', 400)]
    house.pass_time(7200)()
    assert house.token()["error"] == "reauthorization_required"

    house.server.answers = [refusal] * 2

    assert house.revoke() == "revoked"
    assert said(house)["grant"] == "dead"


@pytest.mark.parametrize("failure", [DOWN, answer("", 429)])
def test_an_outage_is_no_refusal_of_a_dead_grant(house: MemoryHouse, failure: Any) -> None:
    """Nobody has said no: it is told again."""
    house.server.answers = [answer('{"error":"invalid_grant"}', 400), failure]
    house.pass_time(7200)()
    house.token()

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
    ultracart(house)
    house.server.answers = [answer('{"successful":true}'), UNSUCCESSFUL]
    house.revoke()
    arriving(house, 2)

    retry(house)

    assert house.server.revoked == ["AT-1", "AT-2"]
    assert house.stored().status is Status.REVOKED
    assert [list(over.answers) for over in house.stored().revocation] == [["access_token"], ["grant"]]
    assert said(house) == {"grant": "revoked"}


@pytest.mark.parametrize("replacing", [False, True])
def test_the_same_while_the_server_is_being_told(house: MemoryHouse, *, replacing: bool) -> None:
    """The confirmation reached us after they had come back: what it confirmed is not forgotten for that."""
    ultracart(house)
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
    ultracart(house)
    house.server.answers = [answer("", 429), UNSUCCESSFUL, UNSUCCESSFUL]
    house.revoke()
    arriving(house, 2)

    retry(house)

    assert house.stored().status is Status.REVOKING


def test_a_lost_confirmation_makes_a_refusal_a_yes(house: MemoryHouse) -> None:
    """UltraCart refuses to end a grant twice: asked again after its answer got lost, it would refuse for ever."""
    ultracart(house)
    house.server.answers = [ProviderUnavailable("Lost.", outcome_unknown=True), UNSUCCESSFUL]
    house.revoke()

    retry(house)

    assert house.stored().status is Status.REVOKED
    assert said(house) == {"grant": "refused after an interruption"}


def test_an_attempt_that_never_told_how_it_ended_makes_a_refusal_a_yes(house: MemoryHouse) -> None:
    """A process that died after it had asked leaves a connection that is ending, and no failure."""
    ultracart(house)
    house.connections.records["merchant-1"] = house.stored().revoking(NOW)
    house.server.answers = [UNSUCCESSFUL]

    retry(house)

    assert house.stored().status is Status.REVOKED


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
    """Two told the server at once; it refused one of them because of the other, whose failure was stored first."""
    failed: list[Connection] = []

    def refused_meanwhile() -> None:
        was = house.stored()
        other = was.to_revoke[0].attempted().attempt_failed(ProviderUnavailable("Not successful."), NOW, 0.5)
        failed.append(was.revocation_failed(other, NOW))
        house.connections.records["merchant-1"] = failed[0]

    house.events.before["http"] = [None, refused_meanwhile]

    assert house.revoke() == "revoked"

    assert (house.stored().status, house.stored().failure) == (Status.REVOKED, None)


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


def test_two_who_are_told_no_and_yes_at_once_take_it_for_a_yes(house: MemoryHouse) -> None:
    """UltraCart ends a grant once: the other's yes got lost on its way into the record, and the no came in first."""
    ultracart(house)

    def another_is_told_yes() -> None:
        was = house.stored()
        house.connections.records["merchant-1"] = was.revocation_failed(was.to_revoke[0].attempted(), NOW)

    house.events.before["http"] = [another_is_told_yes]
    house.server.answers = [UNSUCCESSFUL]

    assert house.revoke() == "revoked"

    assert said(house) == {"grant": "refused after an interruption"}


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
    assert (left.seal.version, left.another_attempt_is_open) == (1, False)
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
    ultracart(house)
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
