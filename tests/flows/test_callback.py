"""`callback`: one exchange for one true answer, nothing for any other, and a person always learns how it ended."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urljoin, urlsplit

import boto3
import pytest
import requests

from functions.vault.storage.shared import NOTED_EVERY
from local.demo import Faults
from tests.flows.application import (
    TIMEOUT,
    fresh,
    operations,
    request_id_of,
    token_requests,
    writes,
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

MARKER = "zq7marker"
TRY_AGAIN = re.compile(r'href="(/authorize/[A-Za-z0-9_-]{22})"')


def test_success_exchanges_once_stores_sealed_and_cannot_decrypt(
    stack: Stack,
    application: Application,
    new_browser: Callable[..., Browser],
    demo: DemoServer,
    aws_calls: list[AwsCall],
) -> None:
    """One conditional consume, one data key, one conditional write, and notes for the account's other connections.

    The public function never asks to decrypt.
    """
    # given
    stack.clock.advance(NOTED_EVERY)  # so that both are noted, whatever other tests have had noted before
    merchant = fresh("merchant")
    browser = new_browser(merchant)
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    aws_calls.clear()

    # when
    page = browser.open(answer_url)

    # then
    assert (page.status_code, token_requests(demo)) == (200, 1)
    assert f"account <strong><bdi>{merchant}</bdi></strong> is connected" in page.text
    asked = operations(aws_calls)
    needed, notes = ["UpdateItem", "GenerateDataKey", "PutItem"], ["UpdateItem"] * 2
    shown = ["GetItem"] * 2
    assert [name for name in asked if name != "GetSecretValue"] == needed + notes + shown
    connection = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert (connection["status"], connection["version"], connection["subject"]) == ("active", 1, merchant)


# Refused before anything is asked


def _without_state(url: str) -> str:
    return re.sub(r"&state=[^&]*", "", url)


def _with_other_mac(url: str) -> str:
    return re.sub(r"(state=[^&.]*\.)[^&]*", r"\g<1>" + "A" * 43, url)


def _with_other_request(url: str) -> str:
    return re.sub(r"state=[^.&]*", "state=" + "A" * 22, url)


STATELESS: dict[str, Callable[[str], str]] = {
    "no state": _without_state,
    "an empty state": lambda url: _without_state(url) + "&state=",
    "a state with another MAC": _with_other_mac,
    "a state of another request": _with_other_request,
    "a state with something behind it": lambda url: re.sub(r"(state=[^&]*)", r"\1x", url),
    "the state twice": lambda url: re.sub(r"(state=[^&]*)", r"\1&\1", url),
    "the code twice": lambda url: url + "&code=other",
    "the code twice, once spelled otherwise": lambda url: url + "&c%6Fde=other",
    "an issuer twice": lambda url: url + "&iss=a&iss=a",
    "code and error": lambda url: url + "&error=access_denied",
    "a code that is not UTF-8": lambda url: re.sub(r"code=[^&]*", "code=%FF", url),
    "a query without end": lambda url: url + "&x=" + "y" * 8192,
    "parameters without end": lambda url: url + "".join(f"&x{number}=" for number in range(60)),
    "a provider that is no name": lambda url: url.replace("/callback/ultracart", "/callback/%3Cscript%3E"),
}


@pytest.mark.parametrize("forgery", STATELESS)
def test_forged_answer_costs_nothing_and_the_true_one_still_completes(
    application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall], forgery: str
) -> None:
    """With the right cookies even: no AWS call, no token request, nothing changed."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    aws_calls.clear()

    # when
    refused = browser.open(STATELESS[forgery](true_url))

    # then
    assert refused.status_code == 400
    assert "Please start again" in refused.text
    assert aws_calls == []
    assert token_requests(demo) == 0
    assert browser.open(true_url).status_code == 200
    assert token_requests(demo) == 1


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "{name}=",
        "{name}={secret}",
        "{name}={secret}.",
        "{name}={nonce}.{secret}",
        "{name}={value}; {name}={value}",
        "__Host-{name}={value}",
        "{name}={value}x",
        '{name}="{value}"',
        "{name}={secret}." + "A" * 43,
        "{name}=" + "A" * 43 + ".{nonce}",
        "x{name}={value}",
    ],
)
def test_answer_without_this_browsers_cookie_costs_nothing(
    application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall], cookie: str
) -> None:
    """No cookie, half of one, a foreign one, two of them: no AWS call, and the browser's own visit completes."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    ((name, value),) = browser.cookies.items()
    secret, nonce = value.split(".")
    aws_calls.clear()

    # when
    header = cookie.format(name=name, value=value, secret=secret, nonce=nonce)
    refused = _open(true_url, header)

    # then
    assert (refused.status_code, aws_calls, token_requests(demo)) == (400, [], 0)
    assert browser.open(true_url).status_code == 200


def test_answer_of_an_attackers_flow_is_refused_in_a_victims_browser(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """The attacker's code and state, sent to a victim in the middle of a flow, connect nothing (RFC 9700 4.7)."""
    # given
    victim, attacker = new_browser(), new_browser("ATTACKER")
    victims = application.call("start", provider="ultracart", connection_id=fresh())
    attackers = application.call("start", provider="ultracart", connection_id=fresh())
    victims_url = victim.consent(victim.authorize(victims["authorize_url"]))
    attackers_url = attacker.consent(attacker.authorize(attackers["authorize_url"]))
    aws_calls.clear()

    # when
    lured = victim.open(attackers_url)
    stolen = attacker.open(victims_url)

    # then
    assert (lured.status_code, stolen.status_code, aws_calls, token_requests(demo)) == (400, 400, [], 0)
    assert victim.open(victims_url).status_code == 200
    connection = application.call("connections", connection_id=victims["connection_id"])["connection"]
    assert connection["subject"] == "DEMO"
    assert attacker.open(attackers_url).status_code == 200


# Refused by the consuming write


def test_answer_at_another_providers_callback_is_refused(
    application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """Mix-up: only the path of the request's own provider is accepted; no token endpoint is asked."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    stored = application.request_item(request_id_of(started))
    aws_calls.clear()

    # when
    refused = browser.open(true_url.replace("/callback/ultracart", "/callback/demo"))
    asked = operations(aws_calls)

    # then
    assert (refused.status_code, token_requests(demo)) == (400, 0)
    assert asked == ["UpdateItem", "GetItem"]
    assert application.request_item(request_id_of(started)) == stored
    assert browser.open(true_url).status_code == 200


@pytest.mark.parametrize("iss", ["&iss=https%3A%2F%2Fevil.example", "&iss=", ""])
def test_wrong_or_missing_issuer_is_refused(
    application: Application, browser: Browser, demo: DemoServer, iss: str
) -> None:
    """If the server advertises `iss`, it must come, and be the server's own to the letter (RFC 9207)."""
    # given
    started = application.call("start", provider="demo", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    stored = application.request_item(request_id_of(started))
    demo.reset()

    # when
    refused = browser.open(re.sub(r"&iss=[^&]*", iss, true_url))

    # then
    assert "&iss=" in true_url
    assert (refused.status_code, token_requests(demo)) == (400, 0)
    assert application.request_item(request_id_of(started)) == stored
    assert browser.open(true_url).status_code == 200


def test_issuer_with_a_slash_more_is_another_issuer(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """Issuers are compared as strings (RFC 9207 section 2.4)."""
    # given
    demo.put_faults(Faults(endpoint="authorize", issuer=f"{demo.url}/standard/"))

    # when
    refused = browser.visit(application.call("start", provider="demo")["authorize_url"])

    # then
    assert (refused.status_code, token_requests(demo)) == (400, 0)


def test_denial_with_a_wrong_issuer_is_not_believed(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """An error is an authorization response too: the issuer is held against it before it closes anything."""
    # given
    started = application.call("start", provider="demo")
    demo.put_faults(Faults(endpoint="authorize", issuer="https://evil.example"))

    # when
    refused = browser.open(browser.consent(browser.authorize(started["authorize_url"]), "deny"))

    # then
    stored = application.request_item(request_id_of(started))
    assert refused.status_code == 400
    assert stored is not None
    assert stored["phase"]["S"] == "open"


def test_answer_that_comes_too_late_is_refused(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """Forty minutes after `start` the code is not used any more, and the page says what to do."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    stored = application.request_item(request_id_of(started))
    stack.clock.advance(2400)
    aws_calls.clear()

    # when
    page = browser.open(true_url)

    # then
    assert (page.status_code, token_requests(demo)) == (410, 0)
    assert "expired" in page.text
    assert application.request_item(request_id_of(started)) == stored
    assert application.connection_item(started["connection_id"]) is None


# Duplicates


def test_reload_of_the_result_shows_it_again(
    application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """A reload is two reads. So is the end of a duplicate: it asks the server for nothing, and changes nothing."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    first = browser.open(answer_url)
    stored = application.connection_item(started["connection_id"])
    asked = []

    # when
    for address in (first.url, answer_url):
        aws_calls.clear()
        again = browser.open(address)
        asked.append(operations(aws_calls))
        assert (again.url, again.status_code, again.text) == (first.url, first.status_code, first.text)

    # then
    reload = ["GetItem", "GetItem"]
    assert asked == [reload, ["UpdateItem", "GetItem", "GetItem", *reload]]  # the first one's condition fails
    assert token_requests(demo) == 1
    assert application.connection_item(started["connection_id"]) == stored


def test_result_of_a_used_answer_outlives_the_request(stack: Stack, application: Application, browser: Browser) -> None:
    """Who reloads after its time still reads that all is well, not that the link has expired."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    first = browser.open(answer_url)
    stack.clock.advance(2401)

    # when
    again = browser.open(answer_url)

    # then
    assert (again.status_code, again.text) == (200, first.text)


def test_duplicate_of_a_slow_exchange_is_answered_within_seconds(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """The page waits, not the function: it looks again by itself until the first answer has turned out."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    cookie = _cookie_header(browser)
    demo.put_faults(Faults(endpoint="token", delay_seconds=3))

    # when
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_open, answer_url, cookie)
        while not token_requests(demo):
            time.sleep(0.05)
        meanwhile = _open(answer_url, cookie)
        settled = _settled(answer_url, cookie)

    # then
    assert (meanwhile.status_code, meanwhile.headers.get("Refresh")) == (202, "2")
    assert (settled.status_code, settled.text) == (200, first.result().text)
    assert token_requests(demo) == 1


def test_first_of_two_finished_links_is_answered_without_waiting(
    application: Application, browser: Browser, aws_calls: list[AwsCall]
) -> None:
    """Two links of one connection, both used: no answer of the first one's browser waits for anything."""
    # given
    connection_id = fresh()
    urls = []
    for _ in range(2):
        started = application.call("start", provider="ultracart", connection_id=connection_id)
        urls.append(browser.consent(browser.authorize(started["authorize_url"])))
        assert browser.open(urls[-1]).status_code == 200
    aws_calls.clear()

    # when
    answers = [browser.get(urls[0]) for _ in range(5)]
    asked = operations(aws_calls)

    # then
    assert {answer.headers["Location"] for answer in answers} == {answers[0].headers["Location"]}
    assert asked == ["UpdateItem", "GetItem", "GetItem"] * 5
    page = browser.open(urls[0])
    assert ("already used" in page.text, "DEMO" in page.text) == (True, False)


def test_eight_at_once_make_one_exchange_and_show_one_outcome(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """Double clicks and prefetches at the same moment: one token request, one connection, eight equal pages."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    cookie = _cookie_header(browser)
    demo.put_faults(Faults(endpoint="token", delay_seconds=0.3))

    # when
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: _settled(answer_url, cookie), range(8)))

    # then
    assert {(page.status_code, page.text) for page in pages} == {(200, pages[0].text)}
    assert "Your account is connected" in pages[0].text
    assert token_requests(demo) == 1
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


def test_eight_at_once_share_a_failure(application: Application, browser: Browser, demo: DemoServer) -> None:
    """If the one exchange fails, everybody reads that it failed, and nobody tries again unasked."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    cookie = _cookie_header(browser)
    demo.put_faults(Faults(endpoint="token", status=500, delay_seconds=0.3))

    # when
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: _settled(answer_url, cookie), range(8)))

    # then
    assert {(page.status_code, page.text) for page in pages} == {(503, pages[0].text)}
    assert token_requests(demo) == 1


def test_replay_from_another_browser_is_refused(
    application: Application, browser: Browser, new_browser: Callable[..., Browser], aws_calls: list[AwsCall]
) -> None:
    """A used callback address, from a history or a log, is worth nothing elsewhere and shows nothing."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    browser.open(answer_url)
    aws_calls.clear()

    # when
    page = new_browser().open(answer_url)

    # then
    assert (page.status_code, page.url.partition("?")[2].partition(".")[0], aws_calls) == (400, "result=refused", [])


def test_the_reference_of_a_refused_answer_leads_to_the_line_that_says_why(
    application: Application,
    browser: Browser,
    new_browser: Callable[..., Browser],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The page is shown by a visit of its own, whose line does not tell the outcome a second time."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    capsys.readouterr()

    # when
    page = new_browser().open(answer_url)

    # then
    refused, shown = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    about = {"outcome": "refused", "reason": "browser_unknown", "authorization_request_id": request_id_of(started)}
    assert about.items() <= refused.items()
    assert f"<code>{refused['request_id']}</code>" in page.text
    assert (shown["outcome"], shown["page"], "reason" in shown) == ("shown", "refused", False)


# Failure, denial, trying again


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (Faults(endpoint="token", status=500), 503, "did not answer as expected"),
        (Faults(endpoint="token", html=True), 503, "did not answer as expected"),
        (Faults(endpoint="token", drop_answer=True), 503, "did not answer as expected"),
        (Faults(endpoint="token", huge_body_bytes=1024 * 1024), 503, "did not answer as expected"),
        (Faults(endpoint="token", status=429, retry_after=7), 503, "too many requests"),
        (Faults(endpoint="token", error="invalid_client"), 502, "does not accept this application"),
        (Faults(endpoint="token", error="unauthorized_client"), 502, "does not accept this application"),
        (Faults(endpoint="token", redirect_to="http://127.0.0.1:9/"), 502, "does not accept this application"),
        (Faults(endpoint="token", error="invalid_client", error_form="ok"), 502, "does not accept this application"),
        (Faults(endpoint="token", error="x", status=401, error_form="error_response"), 502, "does not accept this app"),
        (Faults(endpoint="token", error="invalid_grant"), 409, "did not accept its own approval"),
        (Faults(endpoint="token", error="invalid_grant", error_form="ok"), 409, "did not accept its own approval"),
    ],
)
def test_failed_exchange_reopens_the_request(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application, browser: Browser, demo: DemoServer, fault: Faults, status: int, reason: str
) -> None:
    """The page says why in our words and offers to try again; the same browser then completes the same request."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    failed_url = browser.consent(browser.authorize(started["authorize_url"]))
    demo.put_faults(fault)
    failed = browser.open(failed_url)
    assert (failed.status_code, token_requests(demo)) == (status, 1)
    assert reason in failed.text
    assert "Your <strong>UltraCart</strong> account" in failed.text
    assert f"<code>{request_id_of(started)}</code>" in failed.text
    assert application.connection_item(started["connection_id"]) is None

    # when the failed answer is loaded again, the failure shows, and nothing is sent
    reloaded = browser.open(failed_url)
    assert (reloaded.status_code, reloaded.text, token_requests(demo)) == (status, failed.text, 1)

    # when the person tries again
    demo.reset()
    page = browser.visit(_try_again(failed))

    # then
    assert (page.status_code, token_requests(demo)) == (200, 1)
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


def test_a_link_makes_five_token_requests_and_no_more(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """For made-up codes, over and over: after five the page says how to start again, and so does the link."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())

    # when
    pages = []
    for _ in range(5):
        true_url = browser.consent(browser.authorize(started["authorize_url"]))
        pages.append(browser.open(re.sub(r"code=[^&]*", "code=made-up", true_url)))
    reloads = [browser.open(pages[-1].url) for _ in range(20)]
    link = browser.open(started["authorize_url"])

    # then
    assert token_requests(demo) == 5
    assert [bool(TRY_AGAIN.search(page.text)) for page in [*pages, *reloads, link]] == [True] * 4 + [False] * 22
    assert {page.status_code for page in [*pages, *reloads, link]} == {409}
    assert "start from there" in link.text


def test_failed_answer_cannot_be_replayed(
    application: Application, browser: Browser, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """A second try has a state of its own; the first one's is used up for good, even with the first one's cookie."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    old_url = browser.consent(browser.authorize(started["authorize_url"]))
    old_cookie = _cookie_header(browser)
    demo.put_faults(Faults(endpoint="token", status=500, times=1))
    new_url = browser.consent(browser.authorize(_try_again(browser.open(old_url))))
    demo.reset()
    aws_calls.clear()

    # when
    in_this_browser = browser.open(old_url)
    asked = operations(aws_calls)
    with_the_old_cookie = _open(old_url, old_cookie)

    # then
    assert _state(new_url) != _state(old_url)
    assert (in_this_browser.status_code, asked) == (503, ["UpdateItem", "GetItem", "GetItem"])
    assert (with_the_old_cookie.status_code, token_requests(demo)) == (503, 0)
    assert browser.open(new_url).status_code == 200
    assert _open(old_url, old_cookie).status_code == 200  # the outcome of the request, as stored
    assert token_requests(demo) == 1


def test_trying_again_ends_with_the_request(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer
) -> None:
    """A failure does not prolong the forty minutes."""
    # given
    demo.put_faults(Faults(endpoint="token", status=500, times=1))
    failed = browser.visit(application.call("start", provider="ultracart")["authorize_url"])
    stack.clock.advance(2400)

    # when
    page = browser.open(_try_again(failed))

    # then
    assert page.status_code == 410


def test_denial_connects_nothing_and_can_be_reconsidered(
    application: Application, browser: Browser, demo: DemoServer
) -> None:
    """The person said no: no token request, no connection, a page that says so; and another chance."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())

    # when
    denied = browser.visit(started["authorize_url"], "deny")

    # then
    assert (denied.status_code, token_requests(demo)) == (200, 0)
    assert "declined" in denied.text
    assert application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"
    assert browser.visit(_try_again(denied)).status_code == 200
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        ("invalid_request", 400, "too old or incomplete"),
        ("temporarily_unavailable", 503, "usually passes"),
        ("invalid_scope", 400, "does not accept this application"),
        ("login_required", 400, "reported an error"),
        ("zq7marker_unknown", 502, "reported an error"),
    ],
)
def test_errors_of_the_authorization_endpoint_are_distinguished(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application, browser: Browser, demo: DemoServer, error: str, status: int, shown: str
) -> None:
    """Known errors have words of ours; an unknown one is never shown."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))

    # when
    page = browser.open(re.sub(r"code=[^&]*", f"error={error}&error_description={MARKER}&error_uri={MARKER}", true_url))

    # then
    assert (page.status_code, token_requests(demo)) == (status, 0)
    assert shown in page.text
    assert MARKER not in page.text
    assert browser.visit(_try_again(page)).status_code == 200


def test_nothing_of_the_query_is_reflected(
    application: Application, browser: Browser, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """Whatever a query holds, neither body nor headers of any answer repeat it."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())
    true_url = browser.consent(browser.authorize(started["authorize_url"]))
    odd = f"&x={MARKER}&{MARKER}=1&scope=%3Cscript%3E{MARKER}%3C%2Fscript%3E"
    demo.put_faults(Faults(endpoint="token", error="invalid_grant"))

    # when
    answers = [
        new_browser().open(true_url + odd),
        browser.open(re.sub(r"code=[^&]*", f"code={MARKER}", true_url) + odd),
        browser.open(f"/callback/{MARKER}?state={MARKER}&code={MARKER}"),
        browser.open(f"/callback/%3Cscript%3E{MARKER}?x={MARKER}"),
    ]

    # then
    assert [answer.status_code for answer in answers] == [400, 409, 400, 400]
    assert [answer for answer in answers if MARKER in answer.text or MARKER in str(answer.headers)] == []


def test_result_pages_carry_security_headers_and_no_script(
    application: Application, browser: Browser, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """However it ends: not cached, not framed, no referrer, no script, and nothing of the response in the address."""
    # given
    connected = browser.visit(application.call("start", provider="ultracart")["authorize_url"])
    denied = browser.visit(application.call("start", provider="ultracart")["authorize_url"], "deny")
    refused = new_browser().open("/callback/ultracart?code=x&state=y")
    demo.put_faults(Faults(endpoint="token", status=500))
    failed = browser.visit(application.call("start", provider="ultracart")["authorize_url"])

    # when
    for page in (connected, denied, refused, failed):
        # then
        assert re.fullmatch(r"http://[^?]+/callback/(?:ultracart|-)\?result=[A-Za-z0-9_.-]+", page.url)
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "<script" not in page.text


# Back to the application


def test_return_to_gets_the_user_back_with_the_outcome(
    stack: Stack, application: Application, browser: Browser
) -> None:
    """Connection, request and `status` are added to the application's own query; a reload goes there again."""
    # given
    started = application.call(
        "start", provider="ultracart", connection_id=fresh(), return_to=f"{stack.base_url}/app?tab=shops&x=1%2B1"
    )
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))

    # when
    answers = [browser.open(answer_url) for _ in range(2)]

    # then
    about = f"connection_id={started['connection_id']}&request_id={started['request_id']}"
    expected = f"{stack.base_url}/app?tab=shops&x=1%2B1&{about}&status=connected"
    assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(302, expected)] * 2
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}


def test_return_to_gets_the_error(stack: Stack, application: Application, browser: Browser, demo: DemoServer) -> None:
    """Denial, failure and expiry come as `error`, a fixed code each, and never with words of the server."""

    # given
    def start() -> dict[str, str]:
        return application.call("start", provider="ultracart", connection_id=fresh(), return_to=f"{stack.base_url}/app")

    def outcome(answer: requests.Response) -> dict[str, list[str]]:
        assert answer.status_code == 302
        return parse_qs(urlsplit(answer.headers["Location"]).query, strict_parsing=True)

    starts = [start() for _ in range(4)]
    urls = [browser.authorize(started["authorize_url"]) for started in starts]
    expected_ids = [[started["connection_id"]] for started in starts]

    # when
    denied = outcome(browser.open(browser.consent(urls[0], "deny")))
    demo.put_faults(Faults(endpoint="token", status=500, times=1))
    unavailable = outcome(browser.open(browser.consent(urls[1])))
    demo.put_faults(Faults(endpoint="token", error="invalid_client", times=1))
    misconfigured = outcome(browser.open(browser.consent(urls[2])))
    late = browser.consent(urls[3])
    stack.clock.advance(2400)
    expired = outcome(browser.open(late))

    # then
    outcomes = [denied, unavailable, misconfigured, expired]
    assert [found["connection_id"] for found in outcomes] == expected_ids
    assert [found["error"][0] for found in outcomes] == [
        "access_denied",
        "provider_unavailable",
        "provider_misconfigured",
        "request_expired",
    ]
    assert [found["request_id"] for found in outcomes] == [[started["request_id"]] for started in starts]
    assert {frozenset(found) for found in outcomes} == {frozenset({"connection_id", "request_id", "error"})}


def test_refused_answer_goes_nowhere(
    stack: Stack, application: Application, browser: Browser, new_browser: Callable[..., Browser]
) -> None:
    """Somebody else's answer does not become a redirect to the application."""
    # given
    started = application.call("start", provider="ultracart", return_to=f"{stack.base_url}/app")
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))

    # when
    answer = new_browser().open(answer_url)

    # then
    assert answer.status_code == 400
    assert "Location" not in answer.headers


# Authorizing again


def test_old_token_works_until_the_new_one_is_stored(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """Starting again, a denial and a failed exchange leave the connection as it is; success moves it by one version."""
    # given
    connection_id = new_browser().connect(connection_id=fresh())
    before = application.call("token", connection_id=connection_id)
    browser = new_browser()
    started = application.call("start", provider="ultracart", connection_id=connection_id)

    # when
    browser.visit(started["authorize_url"], "deny")
    after_denial = application.call("token", connection_id=connection_id)
    demo.put_faults(Faults(endpoint="token", error="invalid_grant", times=1))
    browser.visit(f"/authorize/{request_id_of(started)}")
    after_failure = application.call("token", connection_id=connection_id)
    browser.visit(f"/authorize/{request_id_of(started)}")
    after_success = application.call("token", connection_id=connection_id)

    # then
    assert before == after_denial == after_failure
    assert after_success["version"] == before["version"] + 1
    assert after_success["access_token"] != before["access_token"]


def test_authorization_wins_over_a_refresh_in_between(
    application: Application, new_browser: Callable[..., Browser]
) -> None:
    """A refresh between `start` and `callback` moves the version; the new grant is stored over it even so."""
    # given
    connection_id = new_browser().connect(connection_id=fresh())
    browser = new_browser("ANOTHER")
    fields = {"connection_id": connection_id, "allow_new_subject": True}
    started = application.call("start", provider="ultracart", **fields)
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    refreshed = application.refresh_later(connection_id)

    # when
    page = browser.open(answer_url)

    # then
    token = application.call("token", connection_id=connection_id)
    assert page.status_code == 200
    assert (refreshed["version"], token["version"]) == (2, 3)
    assert application.call("connections", connection_id=connection_id)["connection"]["subject"] == "ANOTHER"
    assert browser.open(answer_url).status_code == 200


def test_dead_connection_comes_back_to_life(
    application: Application, new_browser: Callable[..., Browser], demo: DemoServer
) -> None:
    """After `reauthorization_required` a new consent makes the connection active, with no trace of the failure."""
    # given
    merchant = fresh("merchant")
    connection_id = new_browser(merchant).connect(connection_id=fresh())
    demo.withdraw(merchant)
    assert application.refresh_later(connection_id)["error"] == "reauthorization_required"

    # when
    new_browser(merchant).connect(connection_id=connection_id)

    # then
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["status"], connection["failure"], connection["version"]) == ("active", None, 2)
    assert application.call("token", connection_id=connection_id)["version"] == 2


def test_provider_that_is_gone_by_the_time_of_the_answer(
    application: Application, stack: Stack, browser: Browser, demo: DemoServer
) -> None:
    """A registration that was broken in between is the operator's fault; the code is not spent, the request reopens."""
    # given
    provider = application.register(demo.standard_registration("standard"))
    started = application.call("start", provider=provider, connection_id=fresh())
    answer_url = browser.consent(browser.authorize(started["authorize_url"]))
    secret = f"gatehouse/providers/{provider}"
    boto3.client("secretsmanager").put_secret_value(SecretId=secret, SecretString="{}")

    # when
    failed = browser.open(answer_url)

    # then
    assert (failed.status_code, token_requests(demo)) == (502, 0)
    assert writes(stack.aws_calls)[-1] == "UpdateItem"
    assert _try_again(failed)


def _open(url: str, cookie: str) -> requests.Response:
    """Open a URL with these cookies and no others, and follow a redirect to the result, whatever that sets."""
    headers = {"Cookie": cookie} if cookie else {}
    answer = requests.get(url, headers=headers, allow_redirects=False, timeout=TIMEOUT)
    if answer.status_code != HTTPStatus.SEE_OTHER:
        return answer
    return requests.get(urljoin(url, answer.headers["Location"]), headers=headers, timeout=TIMEOUT)


def _settled(url: str, cookie: str) -> requests.Response:
    """Open a URL, and look again for as long as the page asks its browser to."""
    for _ in range(30):
        page = _open(url, cookie)
        if "Refresh" not in page.headers:
            return page
        time.sleep(int(page.headers["Refresh"]))
    raise AssertionError("the page looks again and again")


def _cookie_header(browser: Browser) -> str:
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def _try_again(page: requests.Response) -> str:
    found = TRY_AGAIN.search(page.text)
    assert found is not None, "the page does not offer to try again"
    return found[1]


def _state(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]
