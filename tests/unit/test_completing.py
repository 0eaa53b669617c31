"""Completing a request: one exchange, no takeover, no lie on any page, and no token that nobody knows of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.authorization import MOST_EXCHANGES, BrowserBinding, Phase, ticket_hash
from functions.vault.connection import RefreshedFrom, Status
from functions.vault.errors import (
    ConnectionRevoked,
    InvalidRequest,
    ProviderError,
    ProviderUnavailable,
    ServerError,
    TemporarilyUnavailable,
)
from functions.vault.last_attempt import LastAttempt
from functions.vault.life import MOST_SETS
from functions.vault.store import Conflict
from functions.vault.timing import RESERVE
from functions.vault.tokens import TokenSet
from tests.unit.house import MemoryHouse, aws_error, down
from tests.unit.samples import (
    BROWSER,
    FAILED,
    NOW,
    answer,
    authorization_request,
    registration,
    sealed_tokens,
    validated_response,
)

if TYPE_CHECKING:
    from functions.vault.authorization import AuthorizationRequest
    from functions.vault.authorization_response import ValidatedResponse
    from functions.vault.outcome import Outcome

EVE = BrowserBinding("e" * 22, "T" * 43, "N" * 43)
AGAIN = BrowserBinding(BROWSER.request_id, BROWSER.ticket_secret, "N" * 43)
"""The same browser, on another try: only its nonce is new."""


@pytest.fixture
def house() -> MemoryHouse:
    """Give a house without connections."""
    return MemoryHouse()


def asked(house: MemoryHouse, browser: BrowserBinding = BROWSER, **fields: Any) -> AuthorizationRequest:
    """Open a request for the connection as it stands."""
    stored = house.connections.records.get("merchant-1")
    request = authorization_request(
        request_id=browser.request_id,
        ticket_hash=ticket_hash(browser.ticket_secret),
        created_at=int(house.now),
        expires_at=int(house.now) + 600,
        connection_version=stored.version if stored else 0,
        connection_revocations=stored.revocations if stored else 0,
        **{"owner": "owner-1", **fields},
    )
    house.authorizations.create(request)
    house.events.calls.clear()
    return request


def complete(
    house: MemoryHouse, response: ValidatedResponse | None = None, seconds: float = 29.0, **fields: Any
) -> Outcome:
    """Come back with a response."""
    return house.completing.complete(response or validated_response(**fields), house.deadline(seconds))


def kept(house: MemoryHouse, browser: BrowserBinding = BROWSER) -> AuthorizationRequest:
    """Return the request as it is stored."""
    return house.authorizations.records[browser.request_id]


# As it should be


def test_a_first_consent_is_consumed_sealed_exchanged_and_stored(house: MemoryHouse) -> None:
    """In this order, each once; and nothing is read for it."""
    asked(house)

    outcome = complete(house)

    assert outcome.page == "connected"
    assert house.events.calls == ["consume", "registration", "data_key", "http", "create", "note"]
    assert (house.stored().authorized_by, house.tokens()) == (BROWSER.request_id, TokenSet("AT-2", "RT-2"))


def test_a_consent_over_a_connection_reads_it_first(house: MemoryHouse) -> None:
    """Its tokens worked until then."""
    house.connect()
    asked(house)

    assert complete(house).page == "connected"

    assert house.events.calls == ["consume", "registration", "data_key", "http", "get", "change", "note"]
    assert (house.stored().version, house.tokens()) == (2, TokenSet("AT-2", "RT-2"))


@pytest.mark.parametrize(("granted", "stored"), [("", "read write"), (',"scope":"read"', "read")])
def test_a_response_without_scope_grants_what_was_asked_for(house: MemoryHouse, granted: str, stored: str) -> None:
    """RFC 6749 section 5.1."""
    asked(house, scope="read write")
    house.server.answers = [answer('{"access_token":"AT-2"' + granted + "}")]

    complete(house)

    assert house.stored().scope == stored


def test_a_consumption_whose_answer_was_lost_is_ones_own(house: MemoryHouse) -> None:
    """The SDK repeated it and its condition failed: the request is in our name, and the code is exchanged, once."""
    asked(house)
    house.events.after["consume"] = [Conflict()]

    outcome = complete(house)

    assert (outcome.page, house.server.codes) == ("connected", ["CODE-1"])


def test_a_denial_opens_the_request_again(house: MemoryHouse) -> None:
    """Nothing is sent; the person may think again, in the same browser."""
    asked(house)

    outcome = complete(house, code=None, error="access_denied")

    assert (outcome.page, outcome.may_try_again, house.server.requests) == ("denied", True, [])
    assert house.events.calls == ["fail"]
    assert complete(house, validated_response(AGAIN)).page == "connected"


def test_a_denial_leaves_its_state_good(house: MemoryHouse) -> None:
    """Deny, Back, Allow: the same page of the server sends the person back with the same state, and a code."""
    asked(house)
    complete(house, code=None, error="access_denied")

    assert complete(house).page == "connected"


def test_an_operator_finds_the_servers_no_with_the_request_and_the_connection(house: MemoryHouse) -> None:
    """Its code and its words, cleaned; the person and the application get words of ours."""
    house.connect()
    asked(house)
    description = f"blocked\nby {BROWSER.state[23:]}"

    outcome = complete(house, code=None, error="admin_policy_enforced", error_description=description)

    said = ProviderError("admin_policy_enforced", "blocked by ***", None)
    expected = LastAttempt(BROWSER.request_id, NOW, "failed", "server_error", said)
    assert (outcome.error, outcome.said) == ("server_error", said)
    assert (kept(house).last_attempt, house.stored().last_attempt) == (expected, expected)


def test_a_no_is_told_though_it_cannot_be_noted(house: MemoryHouse) -> None:
    """What is for the operator alone keeps nobody waiting."""
    house.connect()
    asked(house)
    house.events.before["note_attempt"] = [down()]

    assert complete(house, code=None, error="access_denied").page == "denied"


OWN_WORDS = registration(
    refusals=({"endpoint": "authorization", "code": "no_thanks", "means": "access_denied"},), code_parameter="auth_code"
)


def test_a_servers_own_word_for_no_is_a_no(house: MemoryHouse) -> None:
    """Its data says so; if that cannot be read, it is an error that nobody knows."""
    house.registrations.known["acme"] = OWN_WORDS
    asked(house)
    house.events.before["registration"] = [down()]

    unread, read = (complete(house, code=None, error="no_thanks") for _ in range(2))

    assert [(unread.page, unread.error), (read.page, read.error)] == [
        ("failed", "server_error"),
        ("denied", "access_denied"),
    ]


def test_a_code_under_another_name_is_no_no(house: MemoryHouse) -> None:
    """Where the answer has neither an error nor what RFC 6749 calls a code, the data says where to look."""
    house.registrations.known["acme"] = OWN_WORDS
    asked(house)

    assert complete(house, code=None, parameters={"auth_code": "CODE-9"}).page == "connected"

    assert house.server.codes == ["CODE-9"]


def test_a_no_while_a_code_is_exchanged_changes_nothing(house: MemoryHouse) -> None:
    """One tab was allowed, in the other the person declines: the first one's outcome stands."""
    asked(house)
    taken = house.authorizations.consume(validated_response(), "the-first", house.now)

    outcome = complete(house, validated_response(AGAIN, code=None, error="access_denied"))

    assert (outcome.page, kept(house)) == ("already", taken)


def test_a_no_that_is_too_late_is_told_so(house: MemoryHouse) -> None:
    """The application hears the same as of a code that is."""
    asked(house)
    house.pass_time(2400)()

    outcome = complete(house, code=None, error="access_denied")

    assert (outcome.page, outcome.error) == ("expired", "request_expired")


# What happens before the code is sent


FAILURES: list[Any] = [
    ("registration", down(), "temporarily_unavailable"),
    ("registration", ProviderUnavailable("No metadata."), "provider_unavailable"),
    ("data_key", down(), "temporarily_unavailable"),
]


@pytest.mark.parametrize(("call", "failure", "code"), FAILURES)
def test_an_outage_before_the_code_is_sent_can_be_tried_again(
    house: MemoryHouse, call: str, failure: Exception, code: str
) -> None:
    """The request is open again, the code was sent nowhere, and the next try connects."""
    asked(house)
    house.events.before[call] = [failure]

    outcome = complete(house)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", code, True)
    assert house.server.codes == []
    assert complete(house, validated_response(AGAIN)).page == "connected"


@pytest.mark.parametrize("call", ["registration", "data_key"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "NotFoundException", "DisabledException"])
def test_a_defect_before_the_code_is_sent_can_be_tried_again(house: MemoryHouse, call: str, code: str) -> None:
    """A missing right, a disabled key: the defect is raised, and the request does not stay used for it."""
    asked(house)
    house.events.before[call] = [aws_error(code)]

    with pytest.raises(Exception, match=code):
        complete(house)

    assert (kept(house).phase, kept(house).outcome) == (Phase.FAILED, ServerError.code)
    reload = complete(house)
    assert (reload.page, reload.error, reload.may_try_again) == ("failed", ServerError.code, True)
    assert house.server.codes == []
    assert complete(house, validated_response(AGAIN)).page == "connected"


def test_a_defect_in_the_exchange_opens_the_request_too(house: MemoryHouse) -> None:
    """No token came: another try is all that there is, and the server says what it thinks of the code."""
    asked(house)
    house.server.answers = [RuntimeError("a defect")]

    with pytest.raises(RuntimeError):
        complete(house)

    assert kept(house).phase is Phase.FAILED


@pytest.mark.parametrize("where", ["consume", "registration", "data_key"])
def test_what_was_slow_before_the_exchange_shortens_it(house: MemoryHouse, where: str) -> None:
    """It leaves the time that storing its answer may take."""
    asked(house)
    house.events.before[where] = [house.pass_time(9)]

    assert complete(house).page == "connected"

    assert house.server.timeouts == [29 - 9 - RESERVE]


def test_without_time_for_it_the_code_is_not_sent(house: MemoryHouse) -> None:
    """Its answer might find nobody to store it: the person tries again."""
    asked(house)
    house.events.before["data_key"] = [house.pass_time(15)]

    outcome = complete(house)

    assert (outcome.error, outcome.may_try_again) == ("temporarily_unavailable", True)
    assert house.server.codes == []


# What one link can cost


def visit(number: int) -> BrowserBinding:
    """Return this browser on one of many visits of the link: only its nonce is another."""
    return BrowserBinding(BROWSER.request_id, BROWSER.ticket_secret, f"{number:043}")


def test_one_link_is_good_for_five_exchanges(house: MemoryHouse) -> None:
    """A hundred made-up codes make five token requests; from the fifth on there is nothing to try again with."""
    asked(house)
    house.server.answers = [answer('{"error":"invalid_grant"}', 400) for _ in range(100)]

    outcomes = [complete(house, validated_response(visit(number))) for number in range(100)]

    assert len(house.server.codes) == MOST_EXCHANGES == 5
    assert {(outcome.page, outcome.error) for outcome in outcomes} == {("failed", "reauthorization_required")}
    assert [outcome.may_try_again for outcome in outcomes] == [True] * 4 + [False] * 96
    reload = complete(house, validated_response(visit(2)))
    assert (reload.page, reload.may_try_again) == ("failed", False)
    assert house.slept == []


def test_to_decline_uses_nothing_up(house: MemoryHouse) -> None:
    """Who has declined ten times is connected when they consent."""
    asked(house)
    for number in range(10):
        declined = complete(house, validated_response(visit(number), code=None, error="access_denied"))
        assert (declined.page, declined.may_try_again) == ("denied", True)

    assert complete(house).page == "connected"


# What happens after it


@pytest.mark.parametrize("failures", [3, 10])
def test_tokens_are_stored_through_an_outage(house: MemoryHouse, failures: int) -> None:
    """A code can be exchanged once, so its answer is as precious as a refresh's."""
    asked(house)
    house.events.before["create"] = [down() for _ in range(failures)]

    assert complete(house).page == "connected"

    assert (house.tokens(), house.server.codes) == (TokenSet("AT-2", "RT-2"), ["CODE-1"])


@pytest.mark.parametrize("call", ["get", "change", "data_key"])
def test_no_failure_after_the_exchange_loses_its_tokens(house: MemoryHouse, call: str) -> None:
    """Whatever it is that fails, and for good: the queue has them, and the person is asked for a little patience."""
    house.connect()
    asked(house)
    refreshed = house.stored().refreshed(sealed_tokens(sealed=b"rt-9", version=2), RefreshedFrom("set-1", 1), "h", NOW)

    def overtaken() -> None:
        # A refresh was stored meanwhile: the consent has to be sealed anew, for the version after.
        house.connections.records["merchant-1"] = refreshed
        house.events.before[call] = [down() for _ in range(1000)]

    house.events.before["http"] = [overtaken]

    outcome = complete(house)

    assert (outcome.page, outcome.return_to) == ("unfinished", None)
    assert len(house.rescue_queue.messages) == 1
    assert house.stored() == refreshed


def ciphertext(house: MemoryHouse) -> bytes | None:
    """Return what is stored of the current tokens."""
    current = house.stored().current
    return current.seal.ciphertext if current else None


def test_a_commit_that_took_effect_is_a_success(house: MemoryHouse) -> None:
    """Its answer was lost; the record tells, by the request, whatever was refreshed since."""
    asked(house)

    def lost_and_refreshed() -> None:
        was = house.stored()
        assert was.current
        source = RefreshedFrom(was.current.id, 1)
        after = was.refreshed(sealed_tokens(sealed=b"rt-9", version=2), source, "h", NOW)
        house.connections.records["merchant-1"] = after
        raise down()

    house.events.after["create"] = [lost_and_refreshed]

    assert complete(house).page == "connected"

    assert (house.stored().version, ciphertext(house)) == (2, b"rt-9")
    (message,) = house.rescue_queue.messages
    house.rescuing.rescue(json.loads(message["body"]), house.deadline())
    assert (house.stored().version, ciphertext(house)) == (2, b"rt-9"), "the copy in the queue is nobody's any more"


def test_an_unfinished_page_is_true_when_it_is_reloaded(house: MemoryHouse) -> None:
    """Before the rescue it still is unfinished, after it the person is connected; one exchange in all."""
    asked(house)
    house.events.before["create"] = [down() for _ in range(1000)]
    assert complete(house).page == "unfinished"
    house.events.before.clear()

    assert complete(house).page == "unfinished"
    message = house.rescue_queue.messages[0]["body"]
    house.rescuing.rescue(json.loads(message), house.deadline())

    assert complete(house).page == "connected"
    assert house.server.codes == ["CODE-1"]


# Another party's connection


FOREIGN = [{"owner": "mallory"}, {"owner": None}, {"provider": "other"}, {"provider": "other", "owner": "mallory"}]


def apart(house: MemoryHouse, **fields: Any) -> None:
    """Let the providers keep the grants of one account apart."""
    for name in ("acme", "other"):
        house.registrations.known[name] = registration(name=name, revocation_ends_authorization=False, **fields)


@pytest.mark.parametrize("ends_all", [None, True])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_connection_does_not_change_hands(
    house: MemoryHouse, foreign: dict[str, Any], *, ends_all: bool | None
) -> None:
    """Two requests were open at once for a new id: whoever completes first has it.

    The other one's tokens are in no record and nothing is sent: to revoke them may end what another lives on.
    """
    house.registrations.known["acme"] = registration(revocation_ends_authorization=ends_all)
    asked(house)
    asked(house, EVE, **foreign)
    assert complete(house).page == "connected"
    stored = house.stored()

    outcome = complete(house, validated_response(EVE, provider=foreign.get("provider", "acme")))

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", InvalidRequest.code, False)
    assert house.stored() == stored
    assert house.server.revoked == []
    assert house.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("foreign", FOREIGN)
def test_tokens_of_another_party_are_revoked_where_grants_are_apart(
    house: MemoryHouse, foreign: dict[str, Any]
) -> None:
    """They wait in the record until the server has heard, and are vended to nobody."""
    apart(house)
    asked(house)
    asked(house, EVE, **foreign)
    complete(house)

    outcome = complete(house, validated_response(EVE, provider=foreign.get("provider", "acme")))

    assert (outcome.page, outcome.error) == ("failed", InvalidRequest.code)
    assert (house.stored().status, house.stored().tell_at) == (Status.ACTIVE, NOW)
    house.revoking.retry("merchant-1", house.deadline())
    assert house.server.revoked == ["RT-3", "AT-3"]
    assert house.stored().to_revoke == ()
    assert house.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED, Status.REVOKING])
def test_what_comes_too_late_for_another_party_is_revoked_where_grants_are_apart(
    house: MemoryHouse, status: Status
) -> None:
    """Whatever has become of the connection since."""
    apart(house)
    asked(house, EVE, owner="mallory")
    house.connect()
    stored = house.stored()
    if status is Status.REVOKING:
        stored = stored.revoking(NOW)
    house.connections.records["merchant-1"] = replace(stored, status=status)

    outcome = complete(house, validated_response(EVE))

    assert outcome.page == "failed"
    assert house.stored().status is status
    assert house.stored().to_revoke[-1].request_id == EVE.request_id
    assert house.stored().current == stored.current


def test_a_full_record_takes_no_strangers_tokens(house: MemoryHouse) -> None:
    """They would keep the connection's own customer from consenting anew."""
    apart(house)
    house.connect()
    made = house.stored()
    sets = [replace(each, id=f"{number}") for number in range(MOST_SETS) for each in made.sets]
    house.connections.records["merchant-1"] = replace(made, sets=tuple(sets))
    asked(house, EVE, owner="mallory")

    assert complete(house, validated_response(EVE)).page == "failed"

    assert len(house.stored().sets) == MOST_SETS


# A revocation in between


def test_a_request_from_before_a_revocation_brings_nothing_back(house: MemoryHouse) -> None:
    """Whoever revoked meant this one too: the page says so, and its tokens go the way of the first ones."""
    house.connect()
    asked(house)
    assert house.revoke() == "revoked"

    outcome = complete(house)

    assert (outcome.page, outcome.error) == ("failed", ConnectionRevoked.code)
    assert house.stored().status is Status.REVOKING
    assert house.token()["error"] == "connection_revoked"
    assert house.revoke() == "revoked"
    assert house.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]


def test_while_a_revocation_is_yet_to_be_heard_its_tokens_are_not_lost_either(house: MemoryHouse) -> None:
    """The server is out: neither the first grant's tokens nor the second's may be forgotten."""
    house.connect()
    asked(house)
    house.server.answers = [answer("", 503)]
    assert house.revoke() == "revoking"

    outcome = complete(house)

    assert (outcome.page, outcome.error) == ("failed", ConnectionRevoked.code)
    assert house.token()["error"] == "connection_revoked"
    assert house.revoke() == "revoked"
    assert house.server.revoked == ["RT-1", "RT-1", "AT-1", "RT-2", "AT-2"]


def test_a_request_from_after_a_revocation_connects_anew(house: MemoryHouse) -> None:
    """It was opened for just that."""
    house.connect()
    house.revoke()
    asked(house)

    assert complete(house).page == "connected"

    assert house.token()["access_token"] == "AT-2"
    assert house.stored().revocations == 1


# Duplicates and latecomers


def test_a_duplicate_gets_the_first_ones_outcome(house: MemoryHouse) -> None:
    """Double click, reload, prefetch: it waits for the outcome, and sends nothing."""
    request = asked(house)
    house.authorizations.consume(validated_response(), "the-first", house.now)

    def connected() -> None:
        made = house.connect(authorized_by=request.request_id)
        assert made.status is Status.ACTIVE

    house.events.before["sleep"] = [None, None, connected]

    assert complete(house).page == "connected"

    assert (house.server.requests, len(house.slept)) == ([], 3)


def test_a_duplicate_shares_a_failure(house: MemoryHouse) -> None:
    """With another try for whoever sees it."""
    asked(house)
    taken = house.authorizations.consume(validated_response(), "the-first", house.now)
    house.events.before["sleep"] = [lambda: house.authorizations.reopen(taken, FAILED)]

    outcome = complete(house)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "provider_unavailable", True)


def killed(house: MemoryHouse) -> AuthorizationRequest:
    """Let the function that took the request have been killed in the middle."""
    asked(house)
    return house.authorizations.consume(validated_response(), "the-first", house.now)


@pytest.mark.parametrize("after", [0, 30, 51])
def test_for_a_minute_a_killed_exchange_may_be_one_that_goes_on(house: MemoryHouse, after: float) -> None:
    """The page says that it is unfinished, which is all that is known; no function waits longer than about a second."""
    killed(house)
    house.pass_time(after)()

    assert complete(house).page == "unfinished"

    assert 1 <= sum(house.slept) < 1.3
    assert len(house.events.calls) < 20


def test_after_a_minute_a_killed_exchange_has_failed(house: MemoryHouse) -> None:
    """Nothing is stored, and no page says otherwise. What has become of the code nobody knows: start again."""
    killed(house)
    house.pass_time(60)()

    outcome = complete(house)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", ServerError.code, False)
    assert (house.slept, house.server.requests) == ([], [])


def test_a_request_that_could_not_be_opened_again_has_failed_after_a_minute(house: MemoryHouse) -> None:
    """The outage took the reopening too."""
    asked(house)
    house.events.before |= {"data_key": [down()], "reopen": [down()]}
    with pytest.raises(TemporarilyUnavailable):
        complete(house)

    house.pass_time(60)()

    assert complete(house).page == "failed"


def test_the_result_page_of_long_ago_is_answered_at_once(house: MemoryHouse) -> None:
    """Connected, and connected anew since: the first page's reload costs three reads, and no waiting."""
    asked(house)
    complete(house)
    house.pass_time(90)()
    asked(house, EVE)
    assert complete(house, validated_response(EVE)).page == "connected"
    house.events.calls.clear()

    outcome = complete(house)

    assert outcome.page == "already"
    assert house.events.calls == ["consume", "get_request", "get"]


@pytest.mark.parametrize("between", [0, 5])
def test_the_first_of_two_links_is_answered_at_once(house: MemoryHouse, between: float) -> None:
    """Both were finished within the minute, and the first one's page is loaded again and again: nobody waits for it."""
    asked(house)
    asked(house, EVE)
    complete(house)
    house.pass_time(between)()
    assert complete(house, validated_response(EVE)).page == "connected"
    house.events.calls.clear()

    outcomes = [complete(house) for _ in range(10)]

    assert {outcome.page for outcome in outcomes} == {"already"}
    assert (house.slept, house.events.calls) == ([], ["consume", "get_request", "get"] * 10)


def test_a_killed_exchange_is_not_waited_for_where_another_link_has_connected_since(house: MemoryHouse) -> None:
    """There is nothing to come of it that would change what the person reads."""
    killed(house)
    house.pass_time(5)()
    asked(house, EVE)
    assert complete(house, validated_response(EVE)).page == "connected"

    assert complete(house).page == "already"

    assert house.slept == []


def test_a_reload_long_after_the_end_does_not_say_connected(house: MemoryHouse) -> None:
    """It was connected by another request, and revoked; this one's own exchange had died."""
    killed(house)
    house.pass_time(90)()

    outcome = complete(house)

    assert (outcome.page, house.connections.records) == ("failed", {})


@pytest.mark.parametrize(
    ("brought", "page", "reason"),
    [
        (validated_response(EVE), "refused", "request_unknown"),
        (validated_response(replace(BROWSER, ticket_secret="T" * 43)), "refused", "request_unknown"),
        (validated_response(provider="other"), "refused", "request_unknown"),
    ],
    ids=["no such request", "another ticket", "another provider"],
)
def test_what_fits_no_request_is_refused(
    house: MemoryHouse, brought: ValidatedResponse, page: str, reason: str
) -> None:
    """And changes nothing: the person's own answer can still come."""
    asked(house)

    outcome = complete(house, brought)

    assert (outcome.page, outcome.reason) == (page, reason)
    assert complete(house).page == "connected"


def test_what_comes_after_its_time_is_told_so(house: MemoryHouse) -> None:
    """The request is forty minutes old."""
    asked(house)
    house.pass_time(2400)()

    assert complete(house).page == "expired"

    assert house.server.requests == []


# Whose account it is


def of_account(subject: str) -> Any:
    """Return what the server issues to this account."""
    return answer(f'{{"access_token":"AT-9","refresh_token":"RT-9","account":"{subject}"}}')


@pytest.fixture
def accounts(house: MemoryHouse) -> MemoryHouse:
    """Give a house whose provider says whose tokens they are, and a connection to account-1."""
    house.registrations.known["acme"] = registration(subject="account")
    asked(house)
    house.server.answers = [of_account("account-1")]
    assert complete(house).page == "connected"
    house.server.requests.clear()
    return house


def test_a_consent_is_noted_for_the_other_connections_of_its_account(accounts: MemoryHouse) -> None:
    """Once its tokens are stored: another connection's dead grant is not looked at any more, and its client works."""
    asked(accounts, EVE)
    accounts.server.answers = [of_account("account-1")]

    complete(accounts, validated_response(EVE))

    now = int(accounts.now)
    assert accounts.events.calls[-3:] == ["change", "note", "note"]
    assert accounts.shared.authorized["acme", "client-1", "account-1"][-1] == ("merchant-1", now)
    assert accounts.shared.refreshed == {("acme", "client-1"): now}


def test_another_accounts_consent_is_refused_and_revoked_where_grants_are_apart(accounts: MemoryHouse) -> None:
    """What works stays, the new tokens go back; with the right account the person may try again."""
    apart(accounts, subject="account")
    before = accounts.stored()
    asked(accounts, EVE)
    accounts.server.answers = [of_account("account-2")]

    outcome = complete(accounts, validated_response(EVE))

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "subject_mismatch", True)
    assert (accounts.stored().current, accounts.stored().subject) == (before.current, "account-1")
    accounts.revoking.retry("merchant-1", accounts.deadline())
    assert accounts.server.revoked == ["RT-9", "AT-9"]
    again = BrowserBinding(EVE.request_id, EVE.ticket_secret, "M" * 43)
    accounts.server.answers = [of_account("account-1")]
    assert complete(accounts, validated_response(again)).page == "connected"
    assert accounts.stored().version == before.version + 1


@pytest.mark.parametrize("ends_all", [None, True])
@pytest.mark.parametrize("is_revoked", [False, True])
def test_what_may_end_all_that_an_account_has_allowed_is_not_revoked(
    accounts: MemoryHouse, *, ends_all: bool | None, is_revoked: bool
) -> None:
    """Another connection may be to that account, and live on it. What came is kept nowhere, whenever it comes."""
    accounts.registrations.known["acme"] = registration(subject="account", revocation_ends_authorization=ends_all)
    asked(accounts, EVE)
    if is_revoked:
        assert accounts.revoke() == "revoked"
    before, told = accounts.stored(), accounts.server.revoked
    accounts.server.answers = [of_account("account-2")]

    outcome = complete(accounts, validated_response(EVE))

    assert outcome.error == ("connection_revoked" if is_revoked else "subject_mismatch")
    assert accounts.server.revoked == told
    assert replace(accounts.stored(), last_attempt=None) == before


def test_a_reload_of_a_refused_consent_says_the_same(accounts: MemoryHouse) -> None:
    """And sends nothing."""
    asked(accounts, EVE)
    accounts.server.answers = [of_account("account-2")]
    complete(accounts, validated_response(EVE))
    accounts.server.requests.clear()

    reload = complete(accounts, validated_response(EVE))

    assert (reload.page, reload.error, accounts.server.requests) == ("failed", "subject_mismatch", [])


def test_another_account_may_be_allowed(accounts: MemoryHouse) -> None:
    """`start` said so: the connection is to that one from now on."""
    asked(accounts, EVE, allow_new_subject=True)
    accounts.server.answers = [of_account("account-2")]

    assert complete(accounts, validated_response(EVE)).page == "connected"

    assert (accounts.stored().subject, accounts.tokens()) == ("account-2", TokenSet("AT-9", "RT-9"))
    assert accounts.server.revoked == []


def test_the_scope_that_was_asked_for_is_kept(house: MemoryHouse) -> None:
    """Beside what was granted."""
    asked(house, scope="read write")
    house.server.answers = [answer('{"access_token":"AT-2","scope":"read"}')]

    complete(house)

    stored = house.stored()
    assert (stored.requested_scope, stored.scope, stored.scope_missing) == ("read write", "read", ("write",))
