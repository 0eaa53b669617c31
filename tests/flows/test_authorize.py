"""`authorize`: binds a request to a browser, changes nothing, and distinguishes what a link can be."""

from __future__ import annotations

import base64
import hashlib
import re
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from functions.authorize import handler as authorize
from functions.callback import handler as callback
from functions.start import handler as start
from tests.flows.application import (
    TIMEOUT,
    Context,
    browser_event,
    operations,
    request_id_of,
    ticket_of,
    token_requests,
    with_services,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import (
        Application,
    )

SECRET = "[A-Za-z0-9_-]{43}"


def test_redirects_with_exactly_what_the_provider_is_to_get(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """UltraCart gets four parameters, no scope and no PKCE; `state` is the request's id and 256 bits more."""
    # given
    started = application.call("start", provider="ultracart")

    # when
    answer = browser.open(started["authorize_url"])

    # then
    location = urlsplit(answer.headers["Location"])
    query = parse_qs(location.query)
    assert answer.status_code == 302
    assert answer.text == ""
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{stack.demo.url}/rest/v2/oauth/authorize"
    assert query.keys() == {"response_type", "client_id", "redirect_uri", "state"}
    assert query["response_type"] == ["code"]
    assert query["redirect_uri"] == [f"{stack.base_url}/callback/ultracart"]
    assert re.fullmatch(re.escape(request_id_of(started)) + r"\." + SECRET, query["state"][0])


def test_two_scopes_have_a_space_between_them_that_every_server_reads(
    application: Application, browser: Browser
) -> None:
    """`%20`, and no plus: a query is not a form to all of them."""
    # given
    started = application.call("start", provider="demo", scopes=["read", "write"], authorization_params={"x": "a +b"})

    # when
    query = urlsplit(browser.authorize(started["authorize_url"])).query

    # then
    assert "scope=read%20write" in query
    assert "x=a%20%2Bb" in query


def test_sends_a_pkce_challenge_whose_verifier_is_stored_nowhere(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """The challenge is S256 of a verifier that only this browser's cookie leads to (RFC 7636 section 4)."""
    # given
    started = application.call("start", provider="demo")

    # when
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
    browser.visit(started["authorize_url"])

    # then
    challenges = {
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        for verifier in demo.secrets()["code_verifier"]
    }
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["code_challenge"][0] not in challenges  # the second visit of the link had a binding of its own
    assert demo.requests("token")[0]["outcome"] == "issued"


def test_cookie_binds_the_request_to_the_browser(application: Application, browser: Browser) -> None:
    """On loopback it is HttpOnly, SameSite=Lax, for the whole site and an hour: the ticket's secret and a nonce."""
    # given
    started = application.call("start", provider="ultracart")

    # when
    answer = browser.open(started["authorize_url"])

    # then
    name, morsel = _cookie(answer.headers["Set-Cookie"])
    assert name == f"gatehouse-{request_id_of(started)}"
    secret = ticket_of(started).partition(".")[2]
    assert re.fullmatch(re.escape(secret) + r"\." + SECRET, morsel.value)
    assert (morsel["path"], morsel["httponly"], morsel["samesite"], morsel["max-age"]) == ("/", True, "Lax", "3600")
    assert (morsel["secure"], morsel["domain"]) == ("", "")


def test_deployed_cookie_is_host_only_and_secure(stack: Stack, application: Application) -> None:
    """With https it is `__Host-`, Secure, on Path=/ and without Domain, and the callback wants just that one."""
    # given
    https = {
        "client_id": "c",
        "authorization_endpoint": "https://provider.example/authorize?tenant=1",
        "token_endpoint": "https://provider.example/token",
    }
    provider = application.register(https)
    started = _deployed(stack, start)({"provider": provider}, Context())
    assert "authorize_url" in started, started
    request = Request(EnvironBuilder(path="/").get_environ())
    event = browser_event(request, "GET /authorize/{ticket}", ticket=ticket_of(started))

    # when
    answer = _deployed(stack, authorize)(event, Context(alias="http"))

    # then
    name, morsel = _cookie(answer["cookies"][0])
    assert started["authorize_url"].startswith("https://connect.example/authorize/")
    assert answer["headers"]["Location"].startswith("https://provider.example/authorize?tenant=1&response_type=code&")
    assert name == f"__Host-gatehouse-{request_id_of(started)}"
    assert (morsel["path"], morsel["httponly"], morsel["secure"], morsel["samesite"]) == ("/", True, True, "Lax")
    assert morsel["domain"] == ""

    # when the answer comes back, once with a cookie of the unprotected name, once with ours
    state = parse_qs(urlsplit(answer["headers"]["Location"]).query)["state"][0]
    pages = []
    for cookie in (name.removeprefix("__Host-"), name):
        headers = [("Cookie", f"{cookie}={morsel.value}")]
        environ = EnvironBuilder(query_string={"state": state, "error": "access_denied"}, headers=headers).get_environ()
        event = browser_event(Request(environ), "GET /callback/{provider}", provider=provider)
        sent_on = _deployed(stack, callback)(event, Context(alias="http"))["headers"]["Location"]
        shown = event | {"rawQueryString": urlsplit(sent_on).query}
        pages.append(_deployed(stack, callback)(shown, Context(alias="http")))

    # then
    assert [page["statusCode"] for page in pages] == [400, 200]
    assert "declined" in pages[1]["body"]


def test_deployed_gatehouse_takes_no_http_endpoint(stack: Stack) -> None:
    """Loopback http endpoints are for a deployment that is itself on loopback."""
    # when
    answer = _deployed(stack, start)({"provider": "ultracart"}, Context())

    # then
    assert answer["error"] == "provider_misconfigured"
    assert "token_endpoint: expected an absolute https URL" in answer["error_description"]


def test_scanner_that_opens_the_link_changes_nothing(
    application: Application, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """Mail scanners open links, twice and thrice: one read each, no write, and the person's own visit completes."""
    # given
    started = application.call("start", provider="ultracart")
    stored = application.request_item(request_id_of(started))
    aws_calls.clear()

    # when
    for _ in range(3):
        new_browser().open(started["authorize_url"])

    # then
    assert operations(aws_calls) == ["GetItem"] * 3
    assert application.request_item(request_id_of(started)) == stored
    page = new_browser().visit(started["authorize_url"])
    assert (page.status_code, "Your account is connected" in page.text) == (200, True)


@pytest.mark.parametrize("answered_first", [0, 1])
def test_second_tab_gets_a_state_of_its_own_and_either_can_complete(
    application: Application, browser: Browser, demo: DemoServer, answered_first: int
) -> None:
    """Each visit draws a new nonce. Whichever tab is answered first connects; the other changes nothing."""
    # given
    started = application.call("start", provider="ultracart")
    tabs = [browser.consent(browser.authorize(started["authorize_url"])) for _ in range(2)]

    # when
    first = browser.open(tabs.pop(answered_first))
    other = browser.open(tabs.pop())

    # then
    assert (first.status_code, "Your account is connected" in first.text) == (200, True)
    assert (other.status_code, "already used" in other.text) == (200, True)
    assert token_requests(demo) == 1


@pytest.mark.parametrize(
    "ticket",
    [
        "x",
        "a" * 22,
        "a" * 22 + ".",
        "a" * 22 + "." + "b" * 42,
        "a" * 22 + "." + "b" * 44,
        "%00",
        "a" * 4000,
        "a" * 21 + "%C3%BC." + "b" * 43,
        "<script>alert(1)</script>",
    ],
)
def test_malformed_link_costs_nothing(browser: Browser, aws_calls: list[AwsCall], ticket: str) -> None:
    """What has not the form of a ticket is answered without asking anybody, and not repeated."""
    # when
    answer = browser.open(f"/authorize/{ticket}")

    # then
    assert answer.status_code == 404
    assert aws_calls == []
    assert "Set-Cookie" not in answer.headers
    assert "<script" not in answer.text
    assert "Location" not in answer.headers


def test_unknown_and_altered_links_look_the_same(application: Application, browser: Browser) -> None:
    """A guessed secret for a known request, and one that never was, get the same page but for the visit's reference."""
    # given
    started = application.call("start", provider="ultracart")

    # when
    altered = browser.open(f"/authorize/{request_id_of(started)}.{'A' * 43}")
    unknown = browser.open(f"/authorize/{'A' * 22}.{'A' * 43}")

    # then
    assert (altered.status_code, unknown.status_code) == (404, 404)
    pages = [re.sub(r"<code>[0-9a-f-]{36}</code>", "", page.text) for page in (altered, unknown)]
    assert pages[0] == pages[1] != altered.text
    assert "Set-Cookie" not in altered.headers


def test_expired_link_says_so(stack: Stack, application: Application, browser: Browser) -> None:
    """After ten minutes the link answers 410 and binds nothing."""
    # given
    started = application.call("start", provider="ultracart")
    stack.clock.advance(600)

    # when
    answer = browser.open(started["authorize_url"])

    # then
    assert answer.status_code == 410
    assert "expired" in answer.text
    assert "UltraCart" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_link_works_up_to_its_last_second(
    stack: Stack, application: Application, browser: Browser, new_browser: Callable[..., Browser]
) -> None:
    """Opened in its tenth minute it is good for sign-in and a second factor, and for another try, in this browser."""
    # given
    started = application.call("start", provider="ultracart")
    stack.clock.advance(570)
    browser.authorize(started["authorize_url"])
    stack.clock.advance(1500)

    # when
    elsewhere = new_browser().open(started["authorize_url"])
    page = browser.visit(started["authorize_url"])

    # then
    assert (elsewhere.status_code, page.status_code) == (410, 200)


def test_used_link_says_that_all_is_well(application: Application, browser: Browser, demo: DemoServer) -> None:
    """A completed request's link binds nobody again."""
    # given
    started = application.call("start", provider="ultracart")
    browser.visit(started["authorize_url"])

    # when
    answer = browser.open(started["authorize_url"])

    # then
    assert answer.status_code == 200
    assert "already used" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert token_requests(demo) == 1


def test_pages_carry_security_headers(application: Application, browser: Browser) -> None:
    """No page may be framed, sniffed, cached, indexed, or reveal its address; redirects are not cached either."""
    # given
    started = application.call("start", provider="ultracart")

    # when
    redirect = browser.open(started["authorize_url"])
    page = browser.open("/authorize/nothing")

    # then
    assert redirect.headers["Cache-Control"] == page.headers["Cache-Control"] == "no-store"
    assert redirect.headers["Referrer-Policy"] == page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_try_again_link_is_worth_nothing_in_another_browser(
    application: Application, browser: Browser, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """A ticket without its secret is good only with the cookie of the browser that was here before."""
    # given
    started = application.call("start", provider="ultracart")
    browser.authorize(started["authorize_url"])
    aws_calls.clear()

    # when
    foreign = new_browser().open(f"/authorize/{request_id_of(started)}")
    asked = operations(aws_calls)
    own = browser.open(f"/authorize/{request_id_of(started)}")

    # then
    assert (foreign.status_code, asked) == (404, [])
    assert own.status_code == 302


def test_other_methods_are_not_routed(stack: Stack, application: Application, aws_calls: list[AwsCall]) -> None:
    """The link answers GET alone."""
    # given
    started = application.call("start", provider="ultracart")
    aws_calls.clear()

    # when
    answer = requests.post(started["authorize_url"], timeout=TIMEOUT)

    # then
    assert (answer.status_code, aws_calls) == (404, [])
    assert stack.demo.url not in answer.text


@pytest.mark.parametrize("function", ["authorize", "callback"])
def test_functions_for_browsers_refuse_to_be_invoked(application: Application, function: str) -> None:
    """An Invoke of a browser's function is answered that it is one."""
    # when
    answer = application.call(function, provider="ultracart")

    # then
    assert answer["error"] == "invalid_request"


def _cookie(header: str) -> tuple[str, Any]:
    jar = SimpleCookie(header)
    ((name, morsel),) = jar.items()
    return name, morsel


def _deployed(stack: Stack, handler: Any) -> Callable[[Any, Context], Any]:
    """Return a handler in services that browsers reach by https."""
    return with_services(stack, handler, GATEHOUSE_BASE_URL="https://connect.example")
