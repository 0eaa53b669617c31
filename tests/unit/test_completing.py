"""Completing a request: one exchange, no takeover, no lie on any page, and no token that nobody knows of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from functions.vault.base.errors import (
    ConnectionRevoked,
    InvalidRequest,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
    ServerError,
    TemporarilyUnavailable,
)
from functions.vault.base.timing import RESERVE
from functions.vault.grant import refreshes, revocations
from functions.vault.grant.last_attempt import LastAttempt
from functions.vault.grant.life import MOST_SETS, MOST_SUPERSEDED, Status
from functions.vault.grant.stored_set import RefreshedFrom
from functions.vault.grant.token_set import TokenSet
from functions.vault.oauth.authorization import MOST_EXCHANGES, BrowserBinding, Phase, ticket_hash
from functions.vault.storage.table import Conflict
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
from tests.unit.services import MemoryServices, aws_error, down

if TYPE_CHECKING:
    from functions.vault.oauth.authorization import AuthorizationRequest
    from functions.vault.oauth.authorization_response import ValidatedResponse
    from functions.vault.oauth.visit_outcome import Outcome

EVE = BrowserBinding("e" * 22, "T" * 43, "N" * 43)
AGAIN = BrowserBinding(BROWSER.request_id, BROWSER.ticket_secret, "N" * 43)
"""The same browser, on another try: only its nonce is new."""


@pytest.fixture
def services() -> MemoryServices:
    """Give services without connections."""
    return MemoryServices()


def asked(services: MemoryServices, browser: BrowserBinding = BROWSER, **fields: Any) -> AuthorizationRequest:
    """Open a request for the connection as it stands."""
    stored = services.connections.records.get("merchant-1")
    request = authorization_request(
        request_id=browser.request_id,
        ticket_hash=ticket_hash(browser.ticket_secret),
        created_at=int(services.now),
        expires_at=int(services.now) + 600,
        connection_version=stored.version if stored else 0,
        connection_revocations=stored.revocations if stored else 0,
        **{"owner": "owner-1", **fields},
    )
    services.authorizations.create(request)
    services.events.calls.clear()
    return request


def complete(
    services: MemoryServices, response: ValidatedResponse | None = None, seconds: float = 29.0, **fields: Any
) -> Outcome:
    """Come back with a response."""
    return services.completing.complete(response or validated_response(**fields), services.deadline(seconds))


def kept(services: MemoryServices, browser: BrowserBinding = BROWSER) -> AuthorizationRequest:
    """Return the request as it is stored."""
    return services.authorizations.records[browser.request_id]


# As it should be


def test_a_first_consent_is_consumed_sealed_exchanged_and_stored(services: MemoryServices) -> None:
    """In this order, each once; and nothing is read for it."""
    asked(services)

    outcome = complete(services)

    assert outcome.page == "connected"
    assert services.events.calls == ["consume", "registration", "data_key", "http", "create", "note"]
    assert (services.stored().authorized_by, services.tokens()) == (BROWSER.request_id, TokenSet("AT-2", "RT-2"))


def test_a_consent_over_a_connection_reads_it_first(services: MemoryServices) -> None:
    """Its tokens worked until then."""
    services.connect()
    asked(services)

    assert complete(services).page == "connected"

    assert services.events.calls == ["consume", "registration", "data_key", "http", "get", "change", "note"]
    assert (services.stored().version, services.tokens()) == (2, TokenSet("AT-2", "RT-2"))


@pytest.mark.parametrize(("granted", "stored"), [("", "read write"), (',"scope":"read"', "read")])
def test_a_response_without_scope_grants_what_was_asked_for(
    services: MemoryServices, granted: str, stored: str
) -> None:
    """RFC 6749 section 5.1."""
    asked(services, scope="read write")
    services.server.answers = [answer('{"access_token":"AT-2"' + granted + "}")]

    complete(services)

    assert services.stored().scope == stored


def test_a_consumption_whose_answer_was_lost_is_ones_own(services: MemoryServices) -> None:
    """The SDK repeated it and its condition failed: the request is in our name, and the code is exchanged, once."""
    asked(services)
    services.events.after["consume"] = [Conflict()]

    outcome = complete(services)

    assert (outcome.page, services.server.codes) == ("connected", ["CODE-1"])


def test_a_denial_opens_the_request_again(services: MemoryServices) -> None:
    """Nothing is sent; the person may think again, in the same browser."""
    asked(services)

    outcome = complete(services, code=None, error="access_denied")

    assert (outcome.page, outcome.may_try_again, services.server.requests) == ("denied", True, [])
    assert services.events.calls == ["fail"]
    assert complete(services, validated_response(AGAIN)).page == "connected"


def test_a_denial_leaves_its_state_good(services: MemoryServices) -> None:
    """Deny, Back, Allow: the same page of the server sends the person back with the same state, and a code."""
    asked(services)
    complete(services, code=None, error="access_denied")

    assert complete(services).page == "connected"


def test_an_operator_finds_the_servers_no_with_the_request_and_the_connection(services: MemoryServices) -> None:
    """Its code and its words, cleaned; the person and the application get words of ours."""
    services.connect()
    asked(services)
    description = f"blocked\nby {BROWSER.state[23:]}"

    outcome = complete(services, code=None, error="admin_policy_enforced", error_description=description)

    said = ProviderError("admin_policy_enforced", "blocked by ***", None)
    expected = LastAttempt(BROWSER.request_id, NOW, "failed", "server_error", said)
    assert (outcome.error, outcome.provider_error) == ("server_error", said)
    assert (kept(services).last_attempt, services.stored().last_attempt) == (expected, expected)


def test_a_no_is_shown_though_it_cannot_be_noted(services: MemoryServices) -> None:
    """What is for the operator alone keeps nobody waiting."""
    services.connect()
    asked(services)
    services.events.before["note_attempt"] = [down()]

    assert complete(services, code=None, error="access_denied").page == "denied"


@pytest.mark.parametrize(
    ("error", "where"),
    [
        ("invalid_request", "authorization_params"),
        ("unauthorized_client", "client_id"),
        ("unsupported_response_type", "authorization code grant"),
        ("invalid_scope", "scopes"),
    ],
)
def test_an_operator_reads_what_to_correct_when_the_server_refuses_the_request(
    services: MemoryServices, error: str, where: str
) -> None:
    """It is not the visitor's fault, and comes again with every one of them."""
    asked(services)

    outcome = complete(services, code=None, error=error)

    assert (outcome.page, outcome.error) == ("failed", error)
    assert isinstance(outcome.failure, ProviderMisconfigured)
    assert where in outcome.failure.description


OWN_WORDS = registration(
    refusals=(
        {"endpoint": "authorization", "code": "no_thanks", "means": "access_denied"},
        {"endpoint": "authorization", "contains": {"review": "declined"}, "means": "access_denied"},
    ),
    code_parameter="auth_code",
)


def test_a_servers_own_word_for_no_is_a_no(services: MemoryServices) -> None:
    """Its data says so; if that cannot be read, it is an error that nobody knows."""
    services.registrations.known["acme"] = OWN_WORDS
    asked(services)
    services.events.before["registration"] = [down()]

    unread, read = (complete(services, code=None, error="no_thanks") for _ in range(2))

    assert [(unread.page, unread.error), (read.page, read.error)] == [
        ("failed", "server_error"),
        ("denied", "access_denied"),
    ]


@pytest.mark.parametrize("beside", [{}, {"review": "declined"}])
def test_a_code_under_another_name_is_no_no(services: MemoryServices, beside: dict[str, str]) -> None:
    """Where the answer has neither an error nor what RFC 6749 calls a code, the data says where to look.

    Whatever else came with it: a server that issues a code has not refused.
    """
    services.registrations.known["acme"] = OWN_WORDS
    asked(services)

    assert complete(services, code=None, parameters={"auth_code": "CODE-9", **beside}).page == "connected"

    assert services.server.codes == ["CODE-9"]


def test_a_no_while_a_code_is_exchanged_changes_nothing(services: MemoryServices) -> None:
    """One tab was allowed, in the other the person declines: the first one's outcome stands."""
    asked(services)
    taken = services.authorizations.consume(validated_response(), "the-first", services.now)

    outcome = complete(services, validated_response(AGAIN, code=None, error="access_denied"))

    assert (outcome.page, kept(services)) == ("already", taken)


def test_a_no_in_the_tab_whose_code_is_exchanged_is_answered_by_what_comes_of_that(services: MemoryServices) -> None:
    """Allow, Back, Deny: a short wait for the code's outcome, and then a page that goes on waiting for it."""
    asked(services)
    taken = services.authorizations.consume(validated_response(), "the-first", services.now)

    outcome = complete(services, code=None, error="access_denied")

    assert (outcome.page, kept(services)) == ("unfinished", taken)


def test_an_error_beside_a_code_under_another_name_is_an_error(services: MemoryServices) -> None:
    """No server sends both; what came as a code is not sent."""
    services.registrations.known["acme"] = OWN_WORDS
    asked(services)

    outcome = complete(services, code=None, error="no_thanks", parameters={"auth_code": "CODE-9"})

    assert (outcome.page, services.server.requests) == ("denied", [])


def test_a_response_without_the_issuers_name_is_refused(services: MemoryServices) -> None:
    """The server promises to send it (RFC 9207): nothing is sent, and the request stays open for its own response."""
    open_request = asked(services, iss_required=True)
    services.events.before["consume"] = [Conflict()]

    outcome = complete(services)

    assert (outcome.page, outcome.reason, outcome.request) == ("refused", "issuer_mismatch", open_request)
    assert services.server.requests == []


def test_a_no_that_is_too_late_is_answered_so(services: MemoryServices) -> None:
    """The application gets the same error as for a code that is too late."""
    asked(services)
    services.pass_time(2400)()

    outcome = complete(services, code=None, error="access_denied")

    assert (outcome.page, outcome.error) == ("expired", "request_expired")


# What happens before the code is sent


FAILURES: list[Any] = [
    ("registration", down(), "temporarily_unavailable"),
    ("registration", ProviderUnavailable("No metadata."), "provider_unavailable"),
    ("data_key", down(), "temporarily_unavailable"),
]


@pytest.mark.parametrize(("call", "failure", "code"), FAILURES)
def test_an_outage_before_the_code_is_sent_can_be_tried_again(
    services: MemoryServices, call: str, failure: Exception, code: str
) -> None:
    """The request is open again, the code was sent nowhere, and the next try connects."""
    asked(services)
    services.events.before[call] = [failure]

    outcome = complete(services)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", code, True)
    assert services.server.codes == []
    assert complete(services, validated_response(AGAIN)).page == "connected"


@pytest.mark.parametrize("call", ["registration", "data_key"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "NotFoundException", "DisabledException"])
def test_a_defect_before_the_code_is_sent_can_be_tried_again(services: MemoryServices, call: str, code: str) -> None:
    """A missing right, a disabled key: the defect is raised, and the request does not stay used for it."""
    asked(services)
    services.events.before[call] = [aws_error(code)]

    with pytest.raises(Exception, match=code):
        complete(services)

    assert (kept(services).phase, kept(services).outcome) == (Phase.FAILED, ServerError.code)
    reload = complete(services)
    assert (reload.page, reload.error, reload.may_try_again) == ("failed", ServerError.code, True)
    assert services.server.codes == []
    assert complete(services, validated_response(AGAIN)).page == "connected"


def test_a_defect_in_the_exchange_opens_the_request_too(services: MemoryServices) -> None:
    """No token came: another try is all that there is, and the server says what it thinks of the code."""
    asked(services)
    services.server.answers = [RuntimeError("a defect")]

    with pytest.raises(RuntimeError):
        complete(services)

    assert kept(services).phase is Phase.FAILED


@pytest.mark.parametrize("where", ["consume", "registration", "data_key"])
def test_what_was_slow_before_the_exchange_shortens_it(services: MemoryServices, where: str) -> None:
    """It leaves the time that storing its answer may take."""
    asked(services)
    services.events.before[where] = [services.pass_time(9)]

    assert complete(services).page == "connected"

    assert services.server.timeouts == [29 - 9 - RESERVE]


def test_without_time_for_it_the_code_is_not_sent(services: MemoryServices) -> None:
    """Its answer might find nobody to store it: the person tries again."""
    asked(services)
    services.events.before["data_key"] = [services.pass_time(15)]

    outcome = complete(services)

    assert (outcome.error, outcome.may_try_again) == ("temporarily_unavailable", True)
    assert services.server.codes == []


# What one link can cost


def visit(number: int) -> BrowserBinding:
    """Return this browser on one of many visits of the link: only its nonce is another."""
    return BrowserBinding(BROWSER.request_id, BROWSER.ticket_secret, f"{number:043}")


def test_one_link_is_good_for_five_exchanges(services: MemoryServices) -> None:
    """A hundred made-up codes make five token requests; from the fifth on there is nothing to try again with."""
    asked(services)
    services.server.answers = [answer('{"error":"invalid_grant"}', 400) for _ in range(100)]

    outcomes = [complete(services, validated_response(visit(number))) for number in range(100)]

    assert len(services.server.codes) == MOST_EXCHANGES == 5
    assert {(outcome.page, outcome.error) for outcome in outcomes} == {("failed", "reauthorization_required")}
    assert [outcome.may_try_again for outcome in outcomes] == [True] * 4 + [False] * 96
    reload = complete(services, validated_response(visit(2)))
    assert (reload.page, reload.may_try_again) == ("failed", False)
    assert services.slept == []


def test_to_decline_uses_nothing_up(services: MemoryServices) -> None:
    """Who has declined ten times is connected when they consent."""
    asked(services)
    for number in range(10):
        declined = complete(services, validated_response(visit(number), code=None, error="access_denied"))
        assert (declined.page, declined.may_try_again) == ("denied", True)

    assert complete(services).page == "connected"


# What happens after it


@pytest.mark.parametrize("failures", [3, 10])
def test_tokens_are_stored_through_an_outage(services: MemoryServices, failures: int) -> None:
    """A code can be exchanged once, so its answer is as precious as a refresh's."""
    asked(services)
    services.events.before["create"] = [down() for _ in range(failures)]

    assert complete(services).page == "connected"

    assert (services.tokens(), services.server.codes) == (TokenSet("AT-2", "RT-2"), ["CODE-1"])


@pytest.mark.parametrize("call", ["get", "change", "data_key"])
def test_no_failure_after_the_exchange_loses_its_tokens(services: MemoryServices, call: str) -> None:
    """Whatever it is that fails, and for good: the queue has them, and the person is asked for a little patience."""
    services.connect()
    asked(services)
    refreshed = refreshes.refreshed(
        services.stored(), sealed_tokens(sealed=b"rt-9", version=2), RefreshedFrom("set-1", 1), "h", NOW
    )

    def overtaken() -> None:
        # A refresh was stored meanwhile: the consent has to be sealed again, for the version after.
        services.connections.records["merchant-1"] = refreshed
        services.events.before[call] = [down() for _ in range(1000)]

    services.events.before["http"] = [overtaken]

    outcome = complete(services)

    assert (outcome.page, outcome.return_to) == ("unfinished", None)
    assert len(services.rescue_queue.messages) == 1
    assert services.stored() == refreshed


def ciphertext(services: MemoryServices) -> bytes | None:
    """Return what is stored of the current tokens."""
    current = services.stored().current
    return current.seal.ciphertext if current else None


def test_a_commit_that_took_effect_is_a_success(services: MemoryServices) -> None:
    """Its answer was lost; the record shows it by the request, whatever was refreshed since."""
    asked(services)

    def lost_and_refreshed() -> None:
        was = services.stored()
        assert was.current
        source = RefreshedFrom(was.current.id, 1)
        after = refreshes.refreshed(was, sealed_tokens(sealed=b"rt-9", version=2), source, "h", NOW)
        services.connections.records["merchant-1"] = after
        raise down()

    services.events.after["create"] = [lost_and_refreshed]

    assert complete(services).page == "connected"

    assert (services.stored().version, ciphertext(services)) == (2, b"rt-9")
    (message,) = services.rescue_queue.messages
    services.rescuing.rescue(json.loads(message["body"]), services.deadline())
    assert (services.stored().version, ciphertext(services)) == (2, b"rt-9"), (
        "the copy in the queue is nobody's any more"
    )


def test_an_unfinished_page_is_true_when_it_is_reloaded(services: MemoryServices) -> None:
    """Before the rescue it still is unfinished, after it the person is connected; one exchange in all."""
    asked(services)
    services.events.before["create"] = [down() for _ in range(1000)]
    assert complete(services).page == "unfinished"
    services.events.before.clear()

    assert complete(services).page == "unfinished"
    message = services.rescue_queue.messages[0]["body"]
    services.rescuing.rescue(json.loads(message), services.deadline())

    assert complete(services).page == "connected"
    assert services.server.codes == ["CODE-1"]


# Another party's connection


FOREIGN = [{"owner": "mallory"}, {"owner": None}, {"provider": "other"}, {"provider": "other", "owner": "mallory"}]


def apart(services: MemoryServices, **fields: Any) -> None:
    """Let the providers keep the grants of one account apart."""
    for name in ("acme", "other"):
        services.registrations.known[name] = registration(name=name, revocation_ends_authorization=False, **fields)


@pytest.mark.parametrize("ends_all", [None, True])
@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_connection_does_not_change_hands(
    services: MemoryServices, foreign: dict[str, Any], *, ends_all: bool | None
) -> None:
    """Two requests were open at once for a new id: whoever completes first has it.

    The other one's tokens are in no record and nothing is sent: to revoke them may end what another lives on.
    """
    services.registrations.known["acme"] = registration(revocation_ends_authorization=ends_all)
    asked(services)
    asked(services, EVE, **foreign)
    assert complete(services).page == "connected"
    stored = services.stored()

    outcome = complete(services, validated_response(EVE, provider=foreign.get("provider", "acme")))

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", InvalidRequest.code, False)
    assert services.stored() == stored
    assert services.server.revoked == []
    assert services.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("foreign", FOREIGN)
def test_tokens_of_another_party_are_revoked_if_grants_are_apart(
    services: MemoryServices, foreign: dict[str, Any]
) -> None:
    """They wait in the record until the server has confirmed their end, and are vended to nobody."""
    apart(services)
    asked(services)
    asked(services, EVE, **foreign)
    complete(services)

    outcome = complete(services, validated_response(EVE, provider=foreign.get("provider", "acme")))

    assert (outcome.page, outcome.error) == ("failed", InvalidRequest.code)
    assert (services.stored().status, services.stored().revocation_due_at) == (Status.ACTIVE, NOW)
    services.revoking.retry("merchant-1", services.deadline())
    assert services.server.revoked == ["RT-3", "AT-3"]
    assert services.stored().to_revoke == ()
    assert services.token()["access_token"] == "AT-2"


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.REAUTHORIZATION_REQUIRED, Status.REVOKING])
def test_what_comes_too_late_for_another_party_is_revoked_if_grants_are_apart(
    services: MemoryServices, status: Status
) -> None:
    """Whatever has become of the connection since."""
    apart(services)
    asked(services, EVE, owner="mallory")
    services.connect()
    stored = services.stored()
    if status is Status.REVOKING:
        stored = revocations.revoked(stored, NOW)
    services.connections.records["merchant-1"] = replace(stored, status=status)

    outcome = complete(services, validated_response(EVE))

    assert outcome.page == "failed"
    assert services.stored().status is status
    assert services.stored().to_revoke[-1].request_id == EVE.request_id
    assert services.stored().current == stored.current


def test_a_full_record_takes_no_strangers_tokens(services: MemoryServices) -> None:
    """They would keep the connection's own customer from connecting again."""
    apart(services)
    services.connect()
    made = services.stored()
    sets = [replace(each, id=f"{number}") for number in range(MOST_SETS) for each in made.sets]
    services.connections.records["merchant-1"] = replace(made, sets=tuple(sets))
    asked(services, EVE, owner="mallory")

    assert complete(services, validated_response(EVE)).page == "failed"

    assert len(services.stored().sets) == MOST_SETS


def test_a_replaced_consent_for_which_there_is_no_room_is_left_to_the_server(
    services: MemoryServices, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody will revoke it: the log names the connection, the provider and the version that is left."""
    services.connect()
    lines = []
    for number in range(MOST_SUPERSEDED + 1):
        browser = BrowserBinding(f"{number:022}", "T" * 43, "N" * 43)
        asked(services, browser)
        assert complete(services, validated_response(browser)).page == "connected"
        lines.append([record for record in caplog.records if record.message == "grant left at its server"])

    (left,) = lines[-1]

    assert lines[:-1] == [[]] * MOST_SUPERSEDED
    assert left.name == "gatehouse", "the log of the functions has it"
    assert (left.connection_id, left.provider, left.version) == ("merchant-1", "acme", 1)  # type: ignore[attr-defined]


# A revocation in between


def test_a_request_from_before_a_revocation_brings_nothing_back(services: MemoryServices) -> None:
    """Whoever revoked meant this one too: the page says so, and its tokens go the way of the first ones."""
    services.connect()
    asked(services)
    assert services.revoke() == "revoked"

    outcome = complete(services)

    assert (outcome.page, outcome.error) == ("failed", ConnectionRevoked.code)
    assert services.stored().status is Status.REVOKING
    assert services.token()["error"] == "connection_revoked"
    assert services.revoke() == "revoked"
    assert services.server.revoked == ["RT-1", "AT-1", "RT-2", "AT-2"]


@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_reload_says_once_more_why_a_code_came_to_nothing(services: MemoryServices, *, is_revoked: bool) -> None:
    """It stays so: nothing is being worked on, and no other answer is expected."""
    services.connect()
    asked(services, owner="owner-1" if is_revoked else "mallory")
    if is_revoked:
        services.revoke()
    first = complete(services)

    reloads = [complete(services) for _ in range(2)]

    error = ConnectionRevoked.code if is_revoked else InvalidRequest.code
    assert [(each.page, each.error, each.may_try_again) for each in (first, *reloads)] == [("failed", error, False)] * 3
    assert (kept(services).phase, kept(services).outcome) == (Phase.CONSUMED, error)


def test_while_a_revocation_is_unconfirmed_its_tokens_are_not_lost_either(services: MemoryServices) -> None:
    """The server is out: neither the first grant's tokens nor the second's may be forgotten."""
    services.connect()
    asked(services)
    services.server.answers = [answer("", 503)]
    assert services.revoke() == "revoking"

    outcome = complete(services)

    assert (outcome.page, outcome.error) == ("failed", ConnectionRevoked.code)
    assert services.token()["error"] == "connection_revoked"
    assert services.revoke() == "revoked"
    assert services.server.revoked == ["RT-1", "RT-1", "AT-1", "RT-2", "AT-2"]


def test_a_request_from_after_a_revocation_connects_again(services: MemoryServices) -> None:
    """It was opened for just that."""
    services.connect()
    services.revoke()
    asked(services)

    assert complete(services).page == "connected"

    assert services.token()["access_token"] == "AT-2"
    assert services.stored().revocations == 1


# Duplicates and latecomers


def test_a_duplicate_gets_the_first_ones_outcome(services: MemoryServices) -> None:
    """Double click, reload, prefetch: it waits for the outcome, and sends nothing."""
    request = asked(services)
    services.authorizations.consume(validated_response(), "the-first", services.now)

    def connected() -> None:
        made = services.connect(authorized_by=request.request_id)
        assert made.status is Status.ACTIVE

    services.events.before["sleep"] = [None, None, connected]

    assert complete(services).page == "connected"

    assert (services.server.requests, len(services.slept)) == ([], 3)


def test_a_duplicate_shares_a_failure(services: MemoryServices) -> None:
    """With another try for whoever sees it."""
    asked(services)
    taken = services.authorizations.consume(validated_response(), "the-first", services.now)
    services.events.before["sleep"] = [lambda: services.authorizations.reopen(taken, FAILED)]

    outcome = complete(services)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", "provider_unavailable", True)


def killed(services: MemoryServices) -> AuthorizationRequest:
    """Let the function that took the request have been killed in the middle."""
    asked(services)
    return services.authorizations.consume(validated_response(), "the-first", services.now)


@pytest.mark.parametrize("after", [0, 30, 51])
def test_for_a_minute_a_killed_exchange_may_be_one_that_goes_on(services: MemoryServices, after: float) -> None:
    """The page says that it is unfinished, which is all that is known; no function waits longer than about a second."""
    killed(services)
    services.pass_time(after)()

    assert complete(services).page == "unfinished"

    assert 1 <= sum(services.slept) < 1.3
    assert len(services.events.calls) < 20


def test_nothing_waits_for_the_first_outcome_if_a_form_came_twice(services: MemoryServices) -> None:
    """It is answered by a redirect: the page there waits, by reloading itself."""
    asked(services, form_post=True)
    services.authorizations.consume(validated_response(), "the-first", services.now)

    assert complete(services).page == "unfinished"

    assert (services.slept, services.server.requests) == ([], [])


def test_after_a_minute_a_killed_exchange_has_failed(services: MemoryServices) -> None:
    """Nothing is stored, and no page says otherwise. What has become of the code nobody knows: start again."""
    killed(services)
    services.pass_time(60)()

    outcome = complete(services)

    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", ServerError.code, False)
    assert (services.slept, services.server.requests) == ([], [])


def test_a_request_that_could_not_be_opened_again_has_failed_after_a_minute(services: MemoryServices) -> None:
    """The outage took the reopening too."""
    asked(services)
    services.events.before |= {"data_key": [down()], "reopen": [down()]}
    with pytest.raises(TemporarilyUnavailable):
        complete(services)

    services.pass_time(60)()

    assert complete(services).page == "failed"


def test_the_result_page_of_long_ago_is_answered_at_once(services: MemoryServices) -> None:
    """Connected, and connected again since: the first page's reload costs three reads, and no waiting."""
    asked(services)
    complete(services)
    services.pass_time(90)()
    asked(services, EVE)
    assert complete(services, validated_response(EVE)).page == "connected"
    services.events.calls.clear()

    outcome = complete(services)

    assert outcome.page == "already"
    assert services.events.calls == ["consume", "get_request", "get"]


@pytest.mark.parametrize("between", [0, 5])
def test_the_first_of_two_links_is_answered_at_once(services: MemoryServices, between: float) -> None:
    """Both were finished within the minute, and the first one's page is loaded again and again: nobody waits for it."""
    asked(services)
    asked(services, EVE)
    complete(services)
    services.pass_time(between)()
    assert complete(services, validated_response(EVE)).page == "connected"
    services.events.calls.clear()

    outcomes = [complete(services) for _ in range(10)]

    assert {outcome.page for outcome in outcomes} == {"already"}
    assert (services.slept, services.events.calls) == ([], ["consume", "get_request", "get"] * 10)


def test_a_killed_exchange_is_not_waited_for_if_another_link_has_connected_since(services: MemoryServices) -> None:
    """There is nothing to come of it that would change what the person reads."""
    killed(services)
    services.pass_time(5)()
    asked(services, EVE)
    assert complete(services, validated_response(EVE)).page == "connected"

    assert complete(services).page == "already"

    assert services.slept == []


def test_a_reload_long_after_the_end_does_not_say_connected(services: MemoryServices) -> None:
    """It was connected by another request, and revoked; this one's own exchange had died."""
    killed(services)
    services.pass_time(90)()

    outcome = complete(services)

    assert (outcome.page, services.connections.records) == ("failed", {})


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
    services: MemoryServices, brought: ValidatedResponse, page: str, reason: str
) -> None:
    """And changes nothing: the person's own answer can still come."""
    asked(services)

    outcome = complete(services, brought)

    assert (outcome.page, outcome.reason) == (page, reason)
    assert complete(services).page == "connected"


def test_what_comes_after_its_time_is_answered_so(services: MemoryServices) -> None:
    """The request is forty minutes old."""
    asked(services)
    services.pass_time(2400)()

    assert complete(services).page == "expired"

    assert services.server.requests == []


# Whose account it is


def of_account(subject: str) -> Any:
    """Return what the server issues to this account."""
    return answer(f'{{"access_token":"AT-9","refresh_token":"RT-9","account":"{subject}"}}')


@pytest.fixture
def accounts(services: MemoryServices) -> MemoryServices:
    """Give services whose provider says whose tokens they are, and a connection to account-1."""
    services.registrations.known["acme"] = registration(subject="account")
    asked(services)
    services.server.answers = [of_account("account-1")]
    assert complete(services).page == "connected"
    services.server.requests.clear()
    return services


def test_a_consent_is_noted_for_the_other_connections_of_its_account(accounts: MemoryServices) -> None:
    """Once its tokens are stored: another connection's dead grant is not looked at any more, and its client works."""
    asked(accounts, EVE)
    accounts.server.answers = [of_account("account-1")]

    complete(accounts, validated_response(EVE))

    now = int(accounts.now)
    assert accounts.events.calls[-3:] == ["change", "note", "note"]
    assert accounts.shared.authorized["acme", "client-1", "account-1"][-1] == ("merchant-1", now)
    assert accounts.shared.refreshed == {("acme", "client-1"): now}


def test_another_accounts_consent_is_refused_and_revoked_if_grants_are_apart(accounts: MemoryServices) -> None:
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
    accounts: MemoryServices, *, ends_all: bool | None, is_revoked: bool
) -> None:
    """Another connection may be to that account, and live on it. What came is kept nowhere, whenever it comes."""
    accounts.registrations.known["acme"] = registration(subject="account", revocation_ends_authorization=ends_all)
    asked(accounts, EVE)
    if is_revoked:
        assert accounts.revoke() == "revoked"
    before, revoked = accounts.stored(), accounts.server.revoked
    accounts.server.answers = [of_account("account-2")]

    outcome = complete(accounts, validated_response(EVE))

    assert outcome.error == ("connection_revoked" if is_revoked else "subject_mismatch")
    assert accounts.server.revoked == revoked
    assert replace(accounts.stored(), last_attempt=None) == before


def test_a_reload_of_a_refused_consent_says_the_same(accounts: MemoryServices) -> None:
    """And sends nothing."""
    asked(accounts, EVE)
    accounts.server.answers = [of_account("account-2")]
    complete(accounts, validated_response(EVE))
    accounts.server.requests.clear()

    reload = complete(accounts, validated_response(EVE))

    assert (reload.page, reload.error, accounts.server.requests) == ("failed", "subject_mismatch", [])


def test_another_account_may_be_allowed(accounts: MemoryServices) -> None:
    """`start` said so: the connection is to that one from now on."""
    asked(accounts, EVE, allow_new_subject=True)
    accounts.server.answers = [of_account("account-2")]

    assert complete(accounts, validated_response(EVE)).page == "connected"

    assert (accounts.stored().subject, accounts.tokens()) == ("account-2", TokenSet("AT-9", "RT-9"))
    assert accounts.server.revoked == []


def test_the_scope_that_was_asked_for_is_kept(services: MemoryServices) -> None:
    """Beside what was granted."""
    asked(services, scope="read write")
    services.server.answers = [answer('{"access_token":"AT-2","scope":"read"}')]

    complete(services)

    stored = services.stored()
    assert (stored.requested_scope, stored.scope, stored.scope_missing) == ("read write", "read", ("write",))
