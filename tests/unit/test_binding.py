"""Binding a request to a browser, and putting it to the server: by the browser itself, or pushed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.vault.base.errors import ProviderUnavailable, TemporarilyUnavailable
from functions.vault.oauth.authorization import MOST_EXCHANGES, Phase, Ticket
from functions.vault.oauth.visit_outcome import Outcome
from tests.unit.samples import BROWSER, COOKIE, NOW, answer, authorization_request, registration
from tests.unit.services import MemoryServices

if TYPE_CHECKING:
    from functions.vault.oauth.authorization import AuthorizationRequest, BrowserBinding
    from functions.vault.oauth.cookies import RequestCookie

TICKET = Ticket(BROWSER.request_id, BROWSER.ticket_secret)
PUSHED: Any = {"pushed": "response_type=code&client_id=client-1&resource=a%3Ab&resource=c%3Ad"}
BARE_URL = "https://acme.example/authorize?client_id=client-1"
TAKEN = answer('{"request_uri":"urn:example:1+2","expires_in":60}', 201)


@pytest.fixture
def services() -> MemoryServices:
    """Give services whose provider wants requests pushed."""
    services = MemoryServices()
    par: Any = {
        "pushed_authorization_request_endpoint": "https://acme.example/par",
        "require_pushed_authorization_requests": True,
    }
    services.registrations.known["acme"] = registration(**par)
    return services


def bound(services: MemoryServices, **fields: Any) -> tuple[AuthorizationRequest, BrowserBinding]:
    """Open a request, and bind it to a browser."""
    services.authorizations.records[BROWSER.request_id] = authorization_request(**fields)
    answered = services.binding.bind(TICKET, [])
    assert not isinstance(answered, Outcome)
    services.events.calls.clear()
    request, bound_by = answered
    return request, bound_by.newest


def kept(cookie: RequestCookie) -> str:
    """Return a cookie as a browser sends it."""
    return cookie.set_cookie(secure=True).partition(";")[0]


def sent_to(services: MemoryServices, seconds: float = 29.0, **fields: Any) -> str | Outcome:
    """Return where a browser is sent with such a request."""
    return services.binding.location(*bound(services, **fields), services.deadline(seconds))


def test_a_request_that_is_not_pushed_asks_nobody(services: MemoryServices) -> None:
    """All that there is to say is in the URL."""
    location = sent_to(services)

    assert isinstance(location, str)
    assert parse_qs(urlsplit(location).query).keys() == {
        *("response_type", "client_id", "state", "code_challenge", "code_challenge_method"),
    }
    assert services.events.calls == []


def test_a_link_whose_exchanges_are_used_up_sends_nobody_to_the_server(services: MemoryServices) -> None:
    """A consent there would be for nothing: the page says how to start again."""
    used_up = authorization_request(phase=Phase.FAILED, exchanges=MOST_EXCHANGES, outcome="reauthorization_required")
    services.authorizations.records[BROWSER.request_id] = used_up

    answered = services.binding.bind(TICKET, [])

    assert isinstance(answered, Outcome)
    assert (answered.page, answered.error, answered.may_try_again) == ("failed", "reauthorization_required", False)


def test_a_pushed_request_goes_through_the_back_channel(services: MemoryServices) -> None:
    """RFC 9126: what is pushed is the whole request, state and challenge in it; the URL has none of it."""
    services.server.answers = [TAKEN]
    request, browser = bound(services, authorization_url=BARE_URL, **PUSHED)

    location = services.binding.location(request, browser, services.deadline(29.0))

    assert location == f"{BARE_URL}&request_uri=urn%3Aexample%3A1%2B2"
    assert services.events.calls == ["registration", "count_push", "http"]
    ((url, form),) = services.server.requests
    assert url == "https://acme.example/par"
    assert (form["state"], form["code_challenge"]) == (browser.state, browser.code_challenge)
    assert form["resource"] == "c:d"


def test_each_visit_pushes_a_request_of_its_own(services: MemoryServices) -> None:
    """A link scanner and a second tab have states of their own; neither changes the request, nor spoils the other's."""
    services.server.answers = [TAKEN, TAKEN]

    for _ in range(2):
        sent_to(services, authorization_url=BARE_URL, **PUSHED)

    states = [form["state"] for _, form in services.server.requests]
    assert len(set(states)) == 2
    assert services.authorizations.records[BROWSER.request_id].phase is Phase.OPEN


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer('{"error":"invalid_request"}', 400), "provider_misconfigured"),
        (answer("{}", 201), "provider_unavailable"),
        (answer("", 429), "provider_throttled"),
        (ProviderUnavailable("No answer.", outcome_unknown=True), "provider_unavailable"),
    ],
)
def test_a_request_that_cannot_be_pushed_may_be_tried_again(services: MemoryServices, said: Any, code: str) -> None:
    """The person gets a page that says so; nothing has changed."""
    services.server.answers = [said]

    outcome = sent_to(services, authorization_url=BARE_URL, **PUSHED)

    assert isinstance(outcome, Outcome)
    assert (outcome.page, outcome.error, outcome.may_try_again) == ("failed", code, True)
    assert services.authorizations.records[BROWSER.request_id] == authorization_request(
        authorization_url=BARE_URL, pushes=1, **PUSHED
    )


def test_a_link_is_pushed_five_times_and_no_more(services: MemoryServices) -> None:
    """Whoever opens it again and again costs the server no sixth request, and reads how to start again."""
    services.authorizations.records[BROWSER.request_id] = authorization_request(authorization_url=BARE_URL, **PUSHED)
    services.server.answers = [TAKEN] * 10
    locations = []
    for _ in range(10):
        answered = services.binding.bind(TICKET, [])
        assert not isinstance(answered, Outcome)
        request, bound_by = answered
        locations.append(services.binding.location(request, bound_by.newest, services.deadline(29.0)))

    assert [isinstance(location, str) for location in locations] == [True] * 5 + [False] * 5
    assert len(services.server.requests) == 5
    assert isinstance(locations[-1], Outcome)
    assert (locations[-1].page, locations[-1].reason) == ("expired", "pushed_too_often")


def test_an_outage_of_ours_is_shown_as_one(services: MemoryServices) -> None:
    """The registration cannot be read: nothing is pushed."""
    services.events.before["registration"] = [TemporarilyUnavailable("AWS is down.")]

    outcome = sent_to(services, authorization_url=BARE_URL, **PUSHED)

    assert isinstance(outcome, Outcome)
    assert (outcome.error, services.server.requests) == ("temporarily_unavailable", [])


def test_a_push_ends_within_the_time_that_the_function_has(services: MemoryServices) -> None:
    """What is left of it bounds the request; if that is too little, none is made."""
    services.server.answers = [TAKEN]
    assert isinstance(sent_to(services, 4.0, authorization_url=BARE_URL, **PUSHED), str)
    assert services.server.timeouts == [3.0]

    outcome = sent_to(services, 1.5, authorization_url=BARE_URL, **PUSHED)

    assert isinstance(outcome, Outcome)
    assert (outcome.error, len(services.server.requests)) == ("temporarily_unavailable", 1)


@pytest.mark.parametrize("form_post", [False, True])
def test_a_browser_that_was_here_before_may_try_again(services: MemoryServices, *, form_post: bool) -> None:
    """Whichever cookie it has: the link of our page has no secret in it."""
    services.authorizations.records[BROWSER.request_id] = authorization_request(form_post=form_post)
    cookies = [kept(replace(COOKIE, form_post=form_post))]

    answered = services.binding.bind(Ticket(BROWSER.request_id, None), cookies)

    assert not isinstance(answered, Outcome)
    assert (answered[1].ticket_secret, answered[1].form_post) == (BROWSER.ticket_secret, form_post)


def test_a_cookie_has_the_latest_three_visits(services: MemoryServices) -> None:
    """Each tab in which the link is opened may be the one that comes back; of a fourth the first is forgotten."""
    services.authorizations.records[BROWSER.request_id] = authorization_request()
    cookies: list[RequestCookie] = []
    for _ in range(4):
        answered = services.binding.bind(TICKET, [kept(each) for each in cookies[-1:]])
        assert not isinstance(answered, Outcome)
        cookies.append(answered[1])

    visits = [cookie.newest for cookie in cookies]

    assert [cookies[-1].binding_of(visit.state) for visit in visits] == [None, *visits[1:]]


def test_what_another_link_has_left_in_a_browser_is_not_taken_over(services: MemoryServices) -> None:
    """A cookie under this request's name with another secret binds nothing, and is written over."""
    services.authorizations.records[BROWSER.request_id] = authorization_request()
    planted = replace(COOKIE, ticket_secret="T" * 43)

    answered = services.binding.bind(TICKET, [kept(planted)])

    assert not isinstance(answered, Outcome)
    assert (answered[1].ticket_secret, len(answered[1].nonces)) == (BROWSER.ticket_secret, 1)


@pytest.mark.parametrize(("age", "stranger", "own"), [(599, True, True), (600, False, True), (2400, False, False)])
def test_who_has_opened_a_link_may_do_so_for_as_long_as_an_answer_is_taken(
    services: MemoryServices, *, age: int, stranger: bool, own: bool
) -> None:
    """A browser that is on its way finds the link good; one that comes with it for the first time has ten minutes."""
    services.authorizations.records[BROWSER.request_id] = authorization_request()
    services.pass_time(age)()

    first = services.binding.bind(TICKET, [])
    again = services.binding.bind(Ticket(BROWSER.request_id, None), [kept(COOKIE)])
    by_the_link = services.binding.bind(TICKET, [kept(COOKIE)])

    assert [not isinstance(answered, Outcome) for answered in (first, again, by_the_link)] == [stranger, own, own]


@pytest.mark.parametrize(
    ("fields", "page"),
    [
        ({"ticket_hash": "x" * 43}, "invalid_link"),
        ({"phase": Phase.CONSUMED}, "already"),
        ({"expires_at": NOW}, "expired"),
    ],
)
def test_a_ticket_that_is_not_good_pushes_nothing(services: MemoryServices, fields: dict[str, Any], page: str) -> None:
    """Nobody makes us knock at a server without a link of ours that is still open."""
    services.authorizations.records[BROWSER.request_id] = authorization_request(**PUSHED, **fields)

    answered = services.binding.bind(TICKET, [])

    assert isinstance(answered, Outcome)
    assert (answered.page, services.server.requests) == (page, [])
