"""What anybody may do to the two public functions: with one link, by other methods, and past the proxy in front."""

from __future__ import annotations

import json
import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from werkzeug.wrappers import Response

from functions.authorize import handler as authorize
from functions.callback import handler as callback
from functions.vault.oauth.authorization import BrowserBinding
from functions.vault.storage.registrations import KEPT
from tests.flows.application import Context, fresh, ticket_of, with_services
from tests.flows.scripted import CODE, TOKENS
from tests.flows.test_protocol import PUSHED, Posted, with_par

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    import requests

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

HTTPS = {"GATEHOUSE_BASE_URL": "https://gate.example"}
VALUE = secrets.token_hex(32)
"""What the proxy adds to every request."""

PROXY = {"GATEHOUSE_ORIGIN_VERIFY_SHA256": sha256(VALUE.encode()).hexdigest(), **HTTPS}


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants."""
    scripted.answers |= {"/token": TOKENS, "/par": PUSHED}
    return scripted


@pytest.fixture
def posted(application: Application, browser: Browser, scripted: Scripted) -> Posted:
    """Give a visit whose answer is to be posted."""
    return Posted(application, browser, application.register(scripted.registration | {"response_mode": "form_post"}))


def event(method: str, path: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return an event of the HTTP API for a browser's request."""
    return {"version": "2.0", "requestContext": {"http": {"method": method}}, "pathParameters": path, **more}


@contextmanager
def exchanging(posted: Posted, scripted: Scripted) -> Iterator[Future[requests.Response]]:
    """Post an answer, and give what is to come of it while the server is silent: until `scripted.open` is set."""
    scripted.open.clear()
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(posted.browser.post, posted.callback, posted.form)
        while not scripted.received:
            threading.Event().wait(0.01)
        yield answered


# Pushes


def test_however_many_open_a_link_at_once_it_is_pushed_five_times(
    application: Application, new_browser: Callable[..., Browser], scripted: Scripted
) -> None:
    """Each from a browser of its own. The others read how to start again, and the server is not asked for them."""
    # given
    started = application.call("start", provider=application.register(with_par(scripted)))

    # when
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: new_browser().open(started["authorize_url"]), range(16)))

    # then
    assert scripted.paths() == ["/par"] * 5
    assert sorted(page.status_code for page in pages) == [302] * 5 + [410] * 11
    late = [page for page in pages if page.status_code == 410]
    assert all("start again from there" in page.text for page in late)


def test_visits_that_push_nothing_take_no_other_tab_its_answer(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """The cookie has room for three visits: one that goes no further must not push out one that is on its way."""
    # given
    started = application.call("start", provider=application.register(with_par(scripted)), connection_id=fresh())
    browser.authorize(started["authorize_url"])
    form = dict(scripted.received[0].form)

    # when
    scripted.answers["/par"] = Response(b"", 503)
    pages = [browser.open(started["authorize_url"]) for _ in range(8)]

    # then
    assert [page.status_code for page in pages] == [503] * 4 + [410] * 4
    page = browser.open(f"{form['redirect_uri']}?{urlencode({'code': CODE, 'state': form['state']})}")
    assert (page.status_code, "Your account is connected" in page.text) == (200, True)


# Posted answers


def test_the_application_gets_its_user_back_from_a_posted_answer(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """By 303, so that the browser asks for its page with GET; and the same again for the same form."""
    # given
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    started = application.call("start", provider=provider, return_to=f"{stack.base_url}/done")
    query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
    form = {"code": CODE, "state": query["state"][0]}

    # when
    answers = [browser.post(query["redirect_uri"][0], form) for _ in range(2)]

    # then
    about = {"connection_id": started["connection_id"], "request_id": started["request_id"], "status": "connected"}
    expected = f"{stack.base_url}/done?{urlencode(about)}"
    assert [(each.status_code, each.headers["Location"]) for each in answers] == [(303, expected)] * 2
    assert scripted.paths() == ["/token"]


def test_a_posted_answer_that_takes_its_time_is_waited_for_by_its_page(
    posted: Posted, scripted: Scripted, application: Application
) -> None:
    """The form came twice. The page of the second looks again by itself, and so does its button, until it says how."""
    # given
    with exchanging(posted, scripted) as first:
        # when
        page = posted.answer()
        scripted.open.set()
        answered = first.result()
    shown = posted.browser.open(page.url)

    # then
    assert (page.status_code, "Still connecting" in page.text, page.headers["Refresh"]) == (202, True, "2")
    assert '<a class="button" href="">Check again</a>' in page.text
    assert (shown.status_code, "Your account is connected" in shown.text) == (200, True)
    assert posted.follow(answered).text == shown.text
    assert scripted.paths() == ["/token"]
    assert application.call("token", connection_id=posted.started["connection_id"])["version"] == 1


def test_a_posted_answer_without_a_slot_is_given_again(
    application: Application, new_browser: Callable[..., Browser], scripted: Scripted
) -> None:
    """The provider takes one request at a time. The code is not stored, so the page leads to the provider once more."""
    # given
    one = {"response_mode": "form_post", "max_concurrency": 1}
    provider = application.register(scripted.registration | one)
    holder, late = (Posted(application, new_browser(), provider) for _ in range(2))
    with exchanging(holder, scripted) as first:
        # when
        page = late.answer()
        scripted.open.set()
        first.result()

    # then
    assert (page.status_code, "Waiting to connect" in page.text) == (202, True)
    assert "Refresh" not in page.headers
    assert f'href="/authorize/{late.started["request_id"]}">Try again' in page.text
    assert "Your account is connected" in late.answer().text
    assert "Your account is connected" in late.browser.open(page.url).text


def test_a_failure_before_the_code_is_sent_is_shown_after_a_posted_answer(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """The registration cannot be read: the page says why, and the operator finds it with the attempt."""
    # given
    registration = scripted.registration | {"response_mode": "form_post", "max_concurrency": 1}
    provider = application.register(registration)
    posted = Posted(application, browser, provider)
    application.register_again(provider, {"client_id": 7})
    stack.clock.advance(int(KEPT) + 1)

    # when
    page = posted.answer()

    # then
    assert (page.status_code, "does not accept this application" in page.text) == (502, True)
    attempt = application.call("connections", request_id=posted.started["request_id"])["last_attempt"]
    assert (attempt["outcome"], attempt["error"]) == ("failed", "provider_misconfigured")
    assert scripted.received == []


def test_a_posted_answer_that_has_to_be_confirmed_tells_its_own_browser_how(
    stack: Stack, application: Application, new_browser: Callable[..., Browser], scripted: Scripted
) -> None:
    """Whichever request is the one that brings it: the form, the page that waits, or a reload. Nobody else gets it."""
    # given
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    back = {"return_to": f"{stack.base_url}/done", "confirm": True}
    posted = Posted(application, new_browser(), provider, **back)
    with exchanging(posted, scripted) as first:
        page = posted.answer()
        scripted.open.set()

        # when
        answers = [first.result(), posted.browser.open(page.url), posted.browser.open(page.url)]
    others = new_browser().open(page.url)

    # then
    brought = [parse_qs(urlsplit(answer.headers["Location"]).query) for answer in answers]
    assert (page.status_code, [answer.status_code for answer in answers]) == (202, [303, 302, 302])
    assert brought[0]["status"] == ["unconfirmed"]
    assert brought == [brought[0]] * 3
    assert (others.status_code, "Location" in others.headers) == (410, False)
    confirmed = application.call(
        "confirm", connection_id=posted.started["connection_id"], confirmation=brought[0]["confirmation"][0]
    )
    assert (confirmed["status"], confirmed["version"]) == ("active", 1)


def test_an_answer_from_a_second_tab_says_that_the_link_was_used(posted: Posted, scripted: Scripted) -> None:
    """Its consent may be for another account: its page must not say that this one is connected."""
    # given
    query = parse_qs(urlsplit(posted.browser.authorize(posted.started["authorize_url"])).query)
    first = posted.answer()

    # when
    second = posted.answer(state=query["state"][0])

    # then
    assert ("Your account is connected" in first.text, "was already used" in second.text) == (True, True)
    assert posted.browser.open(first.url).text == first.text
    assert posted.browser.open(second.url).text == second.text
    assert scripted.paths() == ["/token"]


@pytest.mark.parametrize("cookie", ["none", "of another visit", "with another secret"])
def test_the_address_of_a_result_is_of_no_use_to_others(
    posted: Posted, new_browser: Callable[..., Browser], aws_calls: list[AwsCall], cookie: str
) -> None:
    """Neither without the cookie nor with one that somebody has made of the link: refused before AWS is called."""
    # given
    location = posted.browser.post(posted.callback, posted.form).headers["Location"]
    ((name, value),) = posted.browser.cookies.items()
    secret = value.partition(".")[0]
    made = {
        "none": {},
        "of another visit": {"Cookie": f"{name}={secret}.{'n' * 43}"},
        "with another secret": {"Cookie": f"{name}={'t' * 43}.{value.rpartition('.')[2]}"},
    }
    aws_calls.clear()

    # when
    page = new_browser().open(location, **made[cookie])

    # then
    assert (page.status_code, "This result is no longer shown" in page.text, aws_calls) == (410, True, [])


@pytest.mark.parametrize(
    "query",
    [
        "result=connected",
        "result=",
        "result=refused&result=refused",
        "result=refused&code=x",
        f"result={'A' * 22}.{'B' * 43}",
        f"result={'A' * 22}.{'B' * 43}.waiting",
        f"result={'A' * 22}.{'B' * 43}.connected",
        "result=refused.AAAA",
        f"result=refused.{'A' * 8}-AAAA-AAAA-AAAA-{'A' * 12}",
        "result=%3Cscript%3E",
    ],
)
def test_an_address_that_somebody_has_made_up_shows_nothing(
    posted: Posted, aws_calls: list[AwsCall], query: str
) -> None:
    """No page says what is not so, nothing is read, and nothing of it is repeated."""
    # given
    aws_calls.clear()

    # when
    page = posted.browser.open(f"{posted.callback}?{query}")

    # then
    is_of_our_form = re.fullmatch(r"result=(?:connected|A{22}\.B{43}(?:\.waiting)?)", query)
    assert (page.status_code, aws_calls) == (410 if is_of_our_form else 400, [])
    text, words = page.text.partition("<main")[2], ("script>", "AAAA", "BBBB", "Your account is connected")
    assert [word for word in words if word in text] == []


def test_a_result_that_nothing_has_come_of_yet_says_that_the_link_still_works(
    posted: Posted, scripted: Scripted
) -> None:
    """No redirect leads there, but whoever has the cookie could work the address out."""
    # given
    (value,) = posted.browser.cookies.values()
    result = BrowserBinding(posted.started["request_id"], *value.split(".")).result

    # when
    page = posted.browser.open(f"{posted.callback}?result={result}")

    # then
    assert (page.status_code, "Nothing was connected" in page.text) == (400, True)
    assert f'href="/authorize/{posted.started["request_id"]}"' in page.text
    assert scripted.received == []


# Methods


OTHERS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "")


@pytest.mark.parametrize(
    ("function", "method"),
    [("authorize", "POST"), *((function, method) for function in ("authorize", "callback") for method in OTHERS)],
)
def test_another_method_touches_nothing(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack, application: Application, browser: Browser, aws_calls: list[AwsCall], function: str, method: str
) -> None:
    """Whatever routes it there: a page with 405 and what is allowed, and no call of AWS."""
    # given
    started = application.call("start", provider="ultracart")
    back = urlsplit(browser.consent(browser.authorize(started["authorize_url"])))
    cookies = [f"{name}={value}" for name, value in browser.cookies.items()]
    events = {
        "authorize": (authorize, event(method, {"ticket": ticket_of(started)})),
        "callback": (callback, event(method, {"provider": "ultracart"}, rawQueryString=back.query, cookies=cookies)),
    }
    handler, request = events[function]
    aws_calls.clear()

    # when
    answer = with_services(stack, handler)(request, Context(alias="http"))

    # then
    allowed = {"authorize": "GET", "callback": "GET, POST"}[function]
    assert (answer["statusCode"], answer["headers"]["Allow"], aws_calls) == (405, allowed, [])
    assert "cookies" not in answer
    assert "only opens from a link" in answer["body"]
    assert browser.open(f"{back.path}?{back.query}").status_code == 200


# HTTPS


def test_every_answer_by_https_keeps_browsers_there(stack: Stack, application: Application, scripted: Scripted) -> None:
    """Redirects, pages and errors of each kind; and none by http, which is this machine alone."""
    # given
    started = application.call("start", provider=application.register(scripted.registration))
    ticket = {"ticket": ticket_of(started)}
    requests = [
        (authorize, event("GET", ticket), 302),
        (authorize, event("GET", {"ticket": "x"}), 404),
        (authorize, event("PUT", ticket), 405),
        (callback, event("GET", {"provider": "acme"}), 303),
        (callback, event("GET", {"provider": "?"}), 303),
        (callback, event("GET", {"provider": "acme"}, rawQueryString="result=refused"), 400),
        (callback, event("POST", {"provider": "acme"}), 303),
    ]
    environments: dict[str, dict[str, str]] = {"https": HTTPS, "http": {}}

    # when
    answers = {
        scheme: [
            with_services(stack, handler, **environment)(made, Context(alias="http")) for handler, made, _ in requests
        ]
        for scheme, environment in environments.items()
    }
    without_table = with_services(stack, authorize, GATEHOUSE_AUTHORIZATIONS_TABLE="", **HTTPS)
    broken = without_table(event("GET", ticket), Context(alias="http"))

    # then
    for answered in answers.values():
        assert [each["statusCode"] for each in answered] == [status for _, _, status in requests]
    found = [each["headers"].get("Strict-Transport-Security") for each in (*answers["https"], broken)]
    assert found == ["max-age=31536000"] * (len(requests) + 1)
    assert broken["statusCode"] == 500
    assert not any("Strict-Transport-Security" in each["headers"] for each in answers["http"])


# The proxy in front


def refused(answer: dict[str, Any]) -> bool:
    """Return whether an answer is the bare page for requests that did not come by the proxy."""
    return answer["statusCode"] == 403 and "This is not the right address" in answer["body"] and "cookies" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        *(None, {}, {"origin-verify": VALUE}),
        *({"x-origin-verify": value} for value in ("", VALUE[:-1], f"{VALUE},{VALUE}", VALUE.upper(), "\u00e9")),
        {"x-origin-verify": PROXY["GATEHOUSE_ORIGIN_VERIFY_SHA256"]},
    ],
)
def test_a_request_that_passes_the_proxy_by_is_looked_at_no_further(
    stack: Stack,
    application: Application,
    aws_calls: list[AwsCall],
    capsys: pytest.CaptureFixture[str],
    headers: dict[str, str] | None,
) -> None:
    """Whatever else it brings, a valid link or another method: one page, one line in the log, no call of AWS."""
    # given
    started = application.call("start", provider="ultracart")
    ticket = {"ticket": ticket_of(started)}
    more = {} if headers is None else {"headers": headers}
    events = [
        (authorize, event("GET", ticket, **more)),
        (authorize, event("PUT", ticket, **more)),
        (callback, event("GET", {"provider": "ultracart"}, rawQueryString="code=x&state=y", **more)),
        (callback, event("POST", {"provider": "?"}, body="%", isBase64Encoded=True, **more)),
    ]
    aws_calls.clear()
    capsys.readouterr()

    # when
    answers = [with_services(stack, handler, **PROXY)(request, Context(alias="http")) for handler, request in events]

    # then
    assert [refused(answer) for answer in answers] == [True] * 4
    assert aws_calls == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["outcome"], line["reason"]) for line in lines] == [("forbidden", "origin_header")] * 4
    assert [line for line in lines if "authorization_request_id" in line or VALUE in str(line)] == []
    assert all(answer["headers"]["Strict-Transport-Security"] for answer in answers)
    assert {answer["headers"]["Content-Security-Policy"].partition(";")[0] for answer in answers} == {
        "default-src 'none'"
    }


def test_a_request_with_the_proxys_header_is_answered_and_the_value_can_be_changed(
    stack: Stack, application: Application
) -> None:
    """While it is changed, both count; before and after it, one. Where no parameter names one, none is asked for."""
    # given
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    digest_of = {value: sha256(value.encode()).hexdigest() for value in (old, new)}
    settings = ["", digest_of[old], f"{digest_of[new]},{digest_of[old]}", digest_of[new]]

    by_api = Context(alias="http")
    environments = [{**HTTPS, "GATEHOUSE_ORIGIN_VERIFY_SHA256": setting} for setting in settings]
    functions = [with_services(stack, authorize, **environment) for environment in environments]
    ticket = {"ticket": ticket_of(application.call("start", provider="ultracart"))}

    # when
    answers = {
        value: [each(event("GET", ticket, headers={"x-origin-verify": value}), by_api) for each in functions]
        for value in (old, new, "other")
    }
    passed = {value: [each["statusCode"] == 302 for each in answered] for value, answered in answers.items()}

    # then
    assert passed[old] == [True, True, True, False]
    assert passed[new] == [True, False, True, True]
    assert passed["other"] == [True, False, False, False]
    assert sum(refused(each) for answered in answers.values() for each in answered) == 5


@pytest.mark.parametrize(
    "setting",
    [
        " ",
        ",",
        "x" * 64,
        sha256(b"x").hexdigest().upper(),
        sha256().hexdigest(),
        f"{sha256(b'x').hexdigest()},",
        ",".join([sha256(b"x").hexdigest()] * 3),
    ],
)
def test_a_digest_that_is_none_lets_nobody_pass(
    stack: Stack, aws_calls: list[AwsCall], capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    """A deployment by other means than the template may have any text there. The log names the setting."""
    # given
    request = event("GET", {"ticket": "x"}, headers={"x-origin-verify": ""})
    aws_calls.clear()

    # when
    answer = with_services(stack, authorize, GATEHOUSE_ORIGIN_VERIFY_SHA256=setting)(request, Context(alias="http"))

    # then
    assert (answer["statusCode"], aws_calls) == (500, [])
    assert "GATEHOUSE_ORIGIN_VERIFY_SHA256" in capsys.readouterr().out
