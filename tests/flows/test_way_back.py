"""The way back from the redirect, as real servers send people: a no in any form, and what an operator finds of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from functions.callback import handler as callback
from tests.flows.application import Context, fresh, with_services
from tests.flows.scripted import CODE, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted

APPLICATION = "https://app.example/start"


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants."""
    scripted.answers["/token"] = TOKENS
    return scripted


class Visit:
    """A visit of the server that a link leads to, up to its answer."""

    def __init__(self, application: Application, browser: Browser, provider: str, **fields: Any) -> None:
        self.browser, self.provider = browser, provider
        self.started = application.call("start", provider=provider, **{"connection_id": fresh(), **fields})
        query = parse_qs(urlsplit(browser.authorize(self.started["authorize_url"])).query)
        self.callback, self.state = query["redirect_uri"][0], query["state"][0]

    def back(self, query: str) -> requests.Response:
        """Come back with a query beside the state, spelled as it is."""
        return self.browser.open(f"{self.callback}?state={self.state}&{query}")

    def allowed(self) -> requests.Response:
        """Come back with a code."""
        return self.back(urlencode({"code": CODE}))


@pytest.fixture
def visit(application: Application, browser: Browser, scripted: Scripted) -> Visit:
    """Give a visit of a server without anything special."""
    return Visit(application, browser, application.register(scripted.registration))


# A no in any form


@pytest.mark.parametrize(
    ("provider", "error"),
    [
        ("linkedin", "user_cancelled_login"),
        ("linkedin", "user_cancelled_authorize"),
        ("microsoft", "consent_required"),
        ("pipedrive", "user_denied"),
        ("salesforce", "access-denied"),
        ("salesforce", "OAUTH_APP_ACCESS_DENIED"),
    ],
)
def test_a_servers_own_words_for_no_are_a_no(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    owner: Owner,
    browser: Browser,
    scripted: Scripted,
    provider: str,
    error: str,
) -> None:
    """The person reads that they declined, and the application gets `access_denied`."""
    # given
    owner.registers(provider, **scripted.endpoints)
    page = Visit(application, browser, provider)
    redirect = Visit(application, browser, provider, return_to=f"{stack.base_url}/app")

    # when
    shown, sent_back = (each.back(f"error={error}&error_description=The+user+cancelled") for each in (page, redirect))

    # then
    assert (shown.status_code, "declined" in shown.text, error in shown.text) == (200, True, False)
    assert parse_qs(urlsplit(sent_back.headers["Location"]).query)["error"] == ["access_denied"]
    assert scripted.received == []


NOES = {
    "the RFC's word": "error=access_denied",
    "with a description in windows-1251": "error=access_denied&error_description=%CE%F2%EA%E0%E7",
    "with octets that are no text": "error=access_denied&error_description=%FF&error_uri=%FF&x=%FF",
    "with a parameter twice": "error=access_denied&error_reason=a&error_reason=b",
    "nothing but the state": "",
    "an empty code": "code=",
    "an empty error": "error=&error_description=",
}


@pytest.mark.parametrize("no", NOES.values(), ids=NOES)
@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_no_is_a_no_in_whatever_form_it_comes(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, no: str, mode: str
) -> None:
    """By redirect, too, if the code was to be posted. The application learns of it, and the link still works."""
    # given
    provider = application.register(scripted.registration | {"response_mode": mode})
    visit = Visit(application, browser, provider, return_to=f"{stack.base_url}/app")

    # when
    answer = visit.back(no)

    # then
    returned = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (returned["error"], returned["request_id"]) == (["access_denied"], [visit.started["request_id"]])
    assert visit.back(no).headers["Location"] == answer.headers["Location"]
    assert browser.open(visit.started["authorize_url"]).status_code == 302
    assert scripted.received == []


def test_deny_then_back_then_allow_connects(application: Application, visit: Visit, scripted: Scripted) -> None:
    """The server's page is still there behind Back, and sends the same state once more: this time with a code."""
    # given
    denied = visit.back("error=access_denied")

    # when
    page = visit.allowed()
    reload = visit.allowed()

    # then
    assert ("declined" in denied.text, "Your account is connected" in page.text, reload.text) == (True, True, page.text)
    assert scripted.paths() == ["/token"]
    assert application.call("token", connection_id=visit.started["connection_id"])["version"] == 1


@pytest.mark.parametrize("query", ["error=access_denied", "error=access_denied&state=", ""])
def test_an_answer_that_names_no_request_has_words_that_fit(visit: Visit, aws_calls: list[AwsCall], query: str) -> None:
    """In a browser with an open request: nothing was connected, and the link still works. Nothing is read for it."""
    # given
    aws_calls.clear()

    # when
    page = visit.browser.open(f"{visit.callback}?{query}")

    # then
    assert (page.status_code, aws_calls) == (400, [])
    assert "nothing was connected" in page.text
    assert "browser" not in page.text.partition("<main")[2]
    assert f'href="/authorize/{visit.started["request_id"]}"' in page.text
    assert visit.allowed().status_code == 200


def test_an_answer_that_names_no_request_is_refused_in_a_browser_without_one(
    visit: Visit, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """There it belongs to nothing that was started, or cookies are blocked: the page says so."""
    # given
    aws_calls.clear()

    # when
    page = new_browser().open(f"{visit.callback}?error=access_denied")

    # then
    assert (page.status_code, "Please start again" in page.text, aws_calls) == (400, True, [])


# What the server said, for the operator


def test_what_the_server_said_is_kept_for_the_operator_alone(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """In `last_attempt` of a connection that exists: never on a page. Whoever connects ends it."""

    # given
    def last_attempt() -> dict[str, Any]:
        connection = application.call("connections", connection_id=connection_id)["connection"]
        return dict(connection["last_attempt"])

    provider, connection_id = application.register(scripted.registration), fresh()
    first = Visit(application, browser, provider, connection_id=connection_id)
    first.allowed()
    connected = last_attempt()
    again = Visit(application, browser, provider, connection_id=connection_id)

    # when
    page = again.back("error=admin_policy_enforced&error_description=blocked+by%0Athe+organization%D1%84")
    failed = last_attempt()
    again.allowed()
    connected_again = last_attempt()

    # then
    said = {"error": "admin_policy_enforced", "error_description": "blocked by the organization", "status": None}
    outcomes = [(each["request_id"], each["outcome"]) for each in (connected, failed, connected_again)]
    ids = [each.started["request_id"] for each in (first, again)]
    assert outcomes == [(ids[0], "connected"), (ids[1], "failed"), (ids[1], "connected")]
    assert (failed["error"], failed["provider_error"]) == ("server_error", said)
    assert [word for word in ("admin_policy", "organization") if word in page.text] == []


def test_an_attempt_can_be_asked_for_by_its_own_id(application: Application, browser: Browser, visit: Visit) -> None:
    """Most attempts that come to nothing are a customer's first: there is no connection to ask."""

    # given
    def last_attempt() -> Any:
        return application.call("connections", request_id=visit.started["request_id"])["last_attempt"]

    # when
    attempts = [last_attempt()]
    visit.back("error=server_error&error_description=not+now")
    attempts.append(last_attempt())
    visit.allowed()
    attempts.append(last_attempt())
    Visit(application, browser, visit.provider, connection_id=visit.started["connection_id"]).allowed()
    attempts.append(last_attempt())

    # then
    said = {"error": "server_error", "error_description": "not now"}
    assert [each and each["outcome"] for each in attempts] == [None, "failed", "connected", "replaced"]
    assert attempts[1]["provider_error"].items() >= said.items()
    assert application.call("connections", request_id="A" * 22)["error"] == "connection_not_found"
    assert "expected alone" in str(application.call("connections", request_id="A" * 22, owner="alice"))


@pytest.mark.parametrize("iss", ["", "&iss=https%3A%2F%2Fevil.example"])
def test_a_no_without_the_promised_issuer_is_refused_and_its_words_are_kept(
    application: Application, browser: Browser, scripted: Scripted, iss: str
) -> None:
    """RFC 9207: it may be another server's, so it closes nothing. But an operator has to find out what was said."""
    # given
    promises = {"issuer": scripted.url, "authorization_response_iss_parameter_supported": True}
    provider = application.register(scripted.registration | promises)
    visit = Visit(application, browser, provider)

    # when
    page = visit.back(f"error=invalid_request&error_description=nonce+is+missing{iss}")

    # then
    stored = application.request_item(visit.started["request_id"])
    assert stored is not None
    kept = stored["last_attempt"]["M"]
    assert (page.status_code, stored["phase"]["S"], "nonce" in page.text) == (400, "open", False)
    assert (kept["outcome"]["S"], kept["error"]["S"]) == ("refused", "issuer_mismatch")
    assert kept["provider_error"]["M"]["error_description"]["S"] == "nonce is missing"


def test_every_line_of_a_flow_has_the_request_it_is_about(
    application: Application,
    browser: Browser,
    new_browser: Callable[..., Browser],
    scripted: Scripted,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From `start` to the last page one id leads through the log, with provider and connection."""
    # given
    provider = application.register(scripted.registration)
    capsys.readouterr()

    # when
    visit = Visit(application, browser, provider)
    visit.back("error=admin_policy_enforced&error_description=blocked")
    visit.allowed()
    new_browser().open(f"{visit.callback}?code=x&state={visit.state}")

    # then
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    *lines, in_another_browser = lines  # the page of the last answer names no request
    steps = ["ok", "redirected", "failed", "shown", "connected", "shown", "refused"]
    assert [line["outcome"] for line in lines] == steps
    assert {line["authorization_request_id"] for line in lines} == {visit.started["request_id"]}
    about = (provider, visit.started["connection_id"])
    # Of the last one nobody knows whether it is what it says.
    assert [(line.get("provider"), line.get("connection_id")) for line in lines] == [about] * 6 + [(None, None)]
    assert [line.get("page") for line in (lines[3], lines[5], in_another_browser)] == ["failed", "connected", "refused"]
    assert (lines[2]["provider_error"], lines[2]["provider_error_description"]) == ("admin_policy_enforced", "blocked")


# Cookies


def test_the_cookie_of_a_request_that_has_ended_is_cut_to_ten_minutes(visit: Visit) -> None:
    """Long enough for a reload, which shows the same page; not before, for a no is not the end."""
    # when
    denied, connected, reload = visit.back("error=access_denied"), visit.allowed(), visit.allowed()

    # then
    assert "Set-Cookie" not in denied.headers
    assert "Max-Age=600;" in connected.headers["Set-Cookie"]
    assert reload.text == connected.text


def test_connections_made_one_after_the_other_leave_a_short_header(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """The newest eight requests are kept: the last one's answer comes back with its cookie."""
    # given
    provider = application.register(scripted.registration)
    started = [application.call("start", provider=provider) for _ in range(12)]

    # when
    for each in started:
        browser.authorize(each["authorize_url"])

    # then
    kept = {name.removeprefix("gatehouse-") for name in browser.cookies}
    assert kept == {each["request_id"] for each in started[-8:]}


# An install that began at the provider's marketplace


def test_a_code_that_nobody_asked_for_leads_to_the_application(stack: Stack, aws_calls: list[AwsCall]) -> None:
    """Its address is a parameter of the stack; nothing is read, sent or stored for such a visit."""
    # given
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "GET"}},
        "pathParameters": {"provider": "ultracart"},
        "rawQueryString": "code=zq7marker&location=eu",
    }
    aws_calls.clear()

    # when
    pages = []
    for settings in ({"GATEHOUSE_APPLICATION_URL": APPLICATION}, {}):
        ours = with_services(stack, callback, **settings)
        answer = ours(event, Context(alias="http"))
        query = urlsplit(answer["headers"]["Location"]).query
        pages.append(ours(event | {"rawQueryString": query}, Context(alias="http")))
        assert "zq7marker" not in f"{answer} {pages[-1]}"
    page, unset = pages

    # then
    assert aws_calls == []
    assert (page["statusCode"], f'href="{APPLICATION}"' in page["body"]) == (200, True)
    assert (unset["statusCode"], "Please start again" in unset["body"]) == (400, True)
