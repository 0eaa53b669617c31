"""The parts of the protocol that a server may insist on: pushed requests, posted answers, its own kinds of tokens."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import boto3
import pytest
import requests
from werkzeug.wrappers import Response

from functions.authorize import handler as authorize
from functions.callback import handler as callback
from functions.start import handler as start
from tests.flows.application import TIMEOUT, Context, fresh, operations, with_services, writes
from tests.flows.scripted import CODE, TOKENS, connect
from tests.flows.test_quirks import come_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.conftest import OpenVisitor
    from tests.flows.scripted import Scripted

PUSHED = {"request_uri": "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c", "expires_in": 60}


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants at first."""
    scripted.answers |= {"/token": TOKENS, "/par": PUSHED, "/revoke": {}}
    return scripted


def with_par(scripted: Scripted, **more: Any) -> dict[str, Any]:
    """Return the registration of a provider that wants its requests pushed."""
    endpoint = {"pushed_authorization_request_endpoint": f"{scripted.url}/par"}
    return scripted.registration | endpoint | {"require_pushed_authorization_requests": True, **more}


# Pushed authorization requests


def test_a_pushed_request_shows_the_browser_nothing_but_its_reference(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """RFC 9126: state, challenge, scope and redirect URI go through the back channel; the answer comes back as ever."""
    # given
    provider = application.register(with_par(scripted, client_secret="s:1", scopes=["a", "b"]))
    started = application.call("start", provider=provider, connection_id=fresh())

    # when
    location = urlsplit(browser.authorize(started["authorize_url"]))
    (pushed,) = scripted.received
    form = dict(pushed.form)
    answer = urlencode({"code": CODE, "state": form["state"]})
    page = browser.open(f"{form['redirect_uri']}?{answer}")

    # then
    assert dict(parse_qsl(location.query)) == {"client_id": "scripted-client", "request_uri": PUSHED["request_uri"]}
    assert form.keys() == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"),
    }
    assert form["scope"] == "a b"
    assert pushed.headers["authorization"].startswith("Basic ")
    assert page.status_code == 200
    assert application.call("token", connection_id=started["connection_id"])["access_token"] == "scripted-access"


def test_a_pushed_request_reads_two_things_and_counts(
    stack: Stack, application: Application, scripted: Scripted, browser: Browser, aws_calls: list[AwsCall]
) -> None:
    """The request, and in a cold function the registration; the one write is the count of its pushes."""
    # given
    started = application.call("start", provider=application.register(with_par(scripted)))
    ticket = urlsplit(started["authorize_url"]).path.rpartition("/")[2]
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "pathParameters": {"ticket": ticket}}
    aws_calls.clear()

    # when
    answer = with_services(stack, authorize)(event, Context(alias="http"))

    # then
    assert answer["statusCode"] == 302
    assert operations(aws_calls) == ["GetItem", "GetSecretValue", "UpdateItem"]
    assert browser.authorize(started["authorize_url"])


def test_a_ticket_that_is_not_good_knocks_at_no_server(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """A guessed or cut link costs the authorization server nothing."""
    # given
    started = application.call("start", provider=application.register(with_par(scripted)))

    # when
    pages = [browser.open(started["authorize_url"][:-1] + end) for end in ("", "A", "AA")]

    # then
    assert {page.status_code for page in pages} <= {302, 404}
    assert len(scripted.received) == sum(page.status_code == 302 for page in pages)


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        (Response(json.dumps({"error": "invalid_request", "error_description": "<b>marker</b>"}), 400), 502, None),
        (Response(b"", 503), 503, None),
        (Response(b"", 302, {"Location": "http://127.0.0.1:9/"}), 502, None),
        (Response(b"", 503), 302, "provider_unavailable"),
    ],
)
def test_a_push_that_fails_can_be_tried_again(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    browser: Browser,
    scripted: Scripted,
    said: Response,
    status: int,
    error: str | None,
) -> None:
    """A page in our words, or the way back to the application; then, in the same browser, all goes well."""
    # given
    back = {"return_to": f"{stack.base_url}/done"} if error else {}
    started = application.call("start", provider=application.register(with_par(scripted)), **back)
    scripted.answers["/par"] = said

    # when
    page = browser.open(started["authorize_url"])
    scripted.answers["/par"] = PUSHED
    request_id = started["authorize_url"].rpartition("/")[2].partition(".")[0]
    again = browser.open(f"/authorize/{request_id}")

    # then
    assert page.status_code == status
    assert "marker" not in page.text
    if error is None:
        assert f"/authorize/{request_id}" in page.text
    else:
        assert parse_qs(urlsplit(page.headers["Location"]).query)["error"] == [error]
    assert "request_uri" in again.headers["Location"]


def test_a_provider_that_wants_requests_pushed_has_to_say_where(application: Application, scripted: Scripted) -> None:
    """`start` says so, before any user meets it."""
    # given
    registration = scripted.registration | {"require_pushed_authorization_requests": True}

    # when
    answer = application.call("start", provider=application.register(registration))

    # then
    assert answer["error"] == "provider_misconfigured"
    assert "pushed_authorization_request_endpoint" in answer["error_description"]


def test_a_deployment_without_the_rights_to_push_says_so_before_a_customer_meets_it(
    stack: Stack, application: Application, scripted: Scripted
) -> None:
    """`start` names the parameter that gives them. What is not pushed needs none."""
    # given
    without = with_services(stack, start, GATEHOUSE_PUSHED_REQUESTS="false")
    pushing, ordinary = application.register(with_par(scripted)), application.register(scripted.registration)

    # when
    refused, opened = (without({"provider": each}, Context()) for each in (pushing, ordinary))

    # then
    assert (refused["error"], refused["retryable"]) == ("provider_misconfigured", False)
    assert 'set PushedRequests = "true" in samconfig.toml' in refused["error_description"]
    assert "authorize_url" in opened


# Answers that are posted


class Posted:
    """A flow whose answer the server's page posts, up to that."""

    def __init__(self, application: Application, browser: Browser, provider: str, **fields: Any) -> None:
        self.browser = browser
        self.started = application.call("start", provider=provider, connection_id=fresh(), **fields)
        page = browser.open(self.started["authorize_url"])
        self.cookie = page.headers["Set-Cookie"]
        self.query = parse_qs(urlsplit(page.headers["Location"]).query)
        self.form = {"code": CODE, "state": self.query["state"][0]}

    @property
    def callback(self) -> str:
        """Where the answer goes."""
        return self.query["redirect_uri"][0]

    def answer(self, **more: str) -> requests.Response:
        """Post an answer, by default with a code, and return the page to which that leads."""
        return self.follow(self.browser.post(self.callback, self.form | more))

    def follow(self, answered: requests.Response) -> requests.Response:
        """Return the page of a posted answer: by GET, at an address of this callback without code and state."""
        assert answered.status_code == 303, answered.text
        location = answered.headers["Location"]
        assert location.startswith((f"{urlsplit(self.callback).path}?result=", "/callback/-?result=")), location
        assert [each for each in self.form.values() if quote(each, safe="") in location or each in location] == []
        return self.browser.open(location)


@pytest.fixture
def posted(application: Application, browser: Browser, scripted: Scripted) -> Posted:
    """Give such a flow."""
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    return Posted(application, browser, provider)


def test_an_answer_may_be_posted(application: Application, posted: Posted, scripted: Scripted) -> None:
    """It was asked for, and comes from another site's page; a reload shows the outcome, and exchanges nothing more."""
    # when
    page = posted.follow(posted.browser.post(posted.callback, posted.form, **{"Sec-Fetch-Site": "cross-site"}))
    reload = posted.browser.open(page.url)
    again = posted.answer()

    # then
    assert posted.query["response_mode"] == ["form_post"]
    assert (page.status_code, scripted.paths()) == (200, ["/token"])
    assert "Your account is connected" in page.text
    assert page.text == reload.text == again.text
    assert application.call("token", connection_id=posted.started["connection_id"])["version"] == 1


def test_an_error_may_be_posted(posted: Posted, scripted: Scripted) -> None:
    """The person declined."""
    # when
    page = posted.answer(code="", error="access_denied")

    # then
    assert (page.status_code, "declined" in page.text, scripted.received) == (200, True, [])
    assert f'href="/authorize/{posted.started["request_id"]}"' in page.text


def _as_query(posted: Posted) -> requests.Response:
    return posted.browser.open(f"{posted.callback}?{urlencode(posted.form)}")


def _in_the_url_of_a_post(posted: Posted) -> requests.Response:
    return posted.browser.post(f"{posted.callback}?{urlencode(posted.form)}", {})


def _as_json(posted: Posted) -> requests.Response:
    url, cookies = posted.callback, posted.browser.cookies
    return requests.post(url, json=posted.form, cookies=cookies, timeout=TIMEOUT, allow_redirects=False)


def _not_a_text(posted: Posted) -> requests.Response:
    return _posted(posted, urlencode({"state": posted.form["state"]}).encode() + b"&code=\xff")


def _twice(posted: Posted) -> requests.Response:
    return _posted(posted, urlencode(posted.form).encode() + b"&code=other")


def _posted(posted: Posted, body: bytes) -> requests.Response:
    headers, cookies = {"Content-Type": "application/x-www-form-urlencoded"}, posted.browser.cookies
    return requests.post(
        posted.callback, body, headers=headers, cookies=cookies, timeout=TIMEOUT, allow_redirects=False
    )


def _without_cookie(posted: Posted) -> requests.Response:
    return requests.post(posted.callback, posted.form, timeout=TIMEOUT, allow_redirects=False)


def _with_another_state(posted: Posted) -> requests.Response:
    return posted.browser.post(posted.callback, posted.form | {"state": posted.form["state"][:-1] + "*"})


@pytest.mark.parametrize(
    "deliver",
    [_as_query, _in_the_url_of_a_post, _as_json, _not_a_text, _twice, _without_cookie, _with_another_state],
)
def test_what_is_not_posted_as_asked_for_is_refused(
    posted: Posted, scripted: Scripted, aws_calls: list[AwsCall], deliver: Callable[[Posted], requests.Response]
) -> None:
    """Before anything is asked of AWS; and the true answer is as good as before."""
    # given
    aws_calls.clear()

    # when
    answered = deliver(posted)
    page = answered if answered.request.method == "GET" else posted.follow(answered)

    # then
    assert (page.status_code, aws_calls, scripted.received) == (400, [], [])
    assert "Your account is connected" in posted.answer().text


def test_a_posted_form_does_not_open_what_was_asked_for_otherwise(
    application: Application, browser: Browser, scripted: Scripted, aws_calls: list[AwsCall]
) -> None:
    """The cookie of an ordinary request is not looked at for a form, even if a browser sends it along."""
    # given
    ordinary = Posted(application, browser, application.register(scripted.registration))
    aws_calls.clear()

    # when
    page = ordinary.answer()

    # then
    assert (page.status_code, aws_calls) == (400, [])
    assert browser.open(f"{ordinary.callback}?{urlencode(ordinary.form)}").status_code == 200


def test_only_a_request_whose_answer_is_posted_has_a_cookie_that_other_sites_send(
    stack: Stack, application: Application, scripted: Scripted
) -> None:
    """Deployed: SameSite=None goes with Secure, and with `response_mode` alone; all others are Lax."""
    # given
    cookies = {}
    for mode in (None, "query", "form_post"):
        more = {} if mode is None else {"response_mode": mode}
        started = application.call("start", provider=application.register(scripted.registration | more))
        event = {
            "version": "2.0",
            "requestContext": {"http": {"method": "GET"}},
            "pathParameters": {"ticket": started["authorize_url"].rpartition("/")[2]},
        }

        # when
        answer = with_services(stack, authorize, GATEHOUSE_BASE_URL="https://gate.example")(
            event, Context(alias="http")
        )
        (cookies[mode],) = answer["cookies"]

    # then
    name = re.compile(r"__Host-gatehouse-(post-)?[A-Za-z0-9_-]{22}=")
    for mode, cookie in cookies.items():
        posts = mode == "form_post"
        match = name.match(cookie)
        assert match is not None
        assert bool(match[1]) is posts
        assert cookie.endswith(f"; Path=/; HttpOnly; Secure; SameSite={'None' if posts else 'Lax'}")


def test_a_post_without_a_body_is_refused(stack: Stack) -> None:
    """API Gateway then sends none, and no content type."""
    # given
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST"}},
        "pathParameters": {"provider": "ultracart"},
        "headers": {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
    }

    # when
    answers = [with_services(stack, callback)(each, Context(alias="http")) for each in (event, event | {"headers": {}})]

    # then
    shown = "/callback/-?result=refused"
    assert [(answer["statusCode"], answer["headers"]["Location"]) for answer in answers] == [(303, shown)] * 2


@pytest.mark.needs_chromium
def test_a_real_browser_brings_a_posted_answer(
    application: Application, scripted: Scripted, visitor: OpenVisitor
) -> None:
    """Cookie rules as a browser has them: the server's page, on another host, posts to the callback."""
    # given
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    started = application.call("start", provider=provider, connection_id=fresh())
    scripted.answers["/authorize"] = lambda request: Response(_page_that_posts(request.query), content_type="text/html")
    someone = visitor()

    # when
    someone.open(started["authorize_url"])
    someone.press("Allow")
    address, text = someone.page.url, someone.text
    someone.page.reload()
    reloaded = someone.page.url, someone.text
    someone.page.go_back()
    someone.press("Allow")

    # then
    assert (someone.heading, someone.text, someone.page.url) == ("Your account is connected", text, address)
    assert reloaded == (address, text)
    assert parse_qs(urlsplit(address).query).keys() == {"result"}
    assert scripted.paths().count("/token") == 1
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


def _page_that_posts(query: dict[str, str]) -> str:
    """Return a page of an authorization server that answers as `form_post` wants it."""
    return f"""<!doctype html><link rel="icon" href="data:,">
      <form method="post" action="{escape(query["redirect_uri"])}">
        <input type="hidden" name="code" value="{escape(CODE)}">
        <input type="hidden" name="state" value="{escape(query["state"])}">
        <button>Allow</button>
      </form>"""


# Tokens of other kinds


@pytest.mark.parametrize("token_type", ["DPoP", "dpop", "mac", "PoP", "N_A"])
def test_a_token_that_its_bearer_cannot_use_is_stored_nowhere(
    application: Application, browser: Browser, scripted: Scripted, aws_calls: list[AwsCall], token_type: str
) -> None:
    """It is the operator's affair: the page says so, and the connection is not there."""
    # given
    scripted.answers["/token"] = TOKENS | {"token_type": token_type}
    provider = application.register(scripted.registration)

    # when
    started, page = connect(application, browser, provider, connection_id=fresh())

    # then
    assert page.status_code == 502
    assert application.call("token", connection_id=started["connection_id"])["error"] == "connection_not_found"
    assert writes(aws_calls) == ["CreateSecret", "PutItem", "UpdateItem", "UpdateItem"]  # the request, and no more


def test_a_refresh_that_brings_such_a_token_says_so(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """And changes nothing."""
    # given
    started, _ = connect(application, browser, application.register(scripted.registration))
    scripted.answers["/token"] = TOKENS | {"token_type": "DPoP"}

    # when
    answer = application.refresh_later(started["connection_id"])

    # then
    assert (answer["error"], "DPoP" in answer["error_description"]) == ("provider_misconfigured", True)
    assert application.call("token", connection_id=started["connection_id"])["version"] == 1


def test_no_id_token_is_read(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Nobody has verified it: whatever stands in it, even nonsense, makes no difference."""
    # given
    scripted.answers["/token"] = TOKENS | {"id_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0."}

    # when
    started, page = connect(application, browser, application.register(scripted.registration), connection_id=fresh())

    # then
    connection = application.call("connections", connection_id=started["connection_id"])["connection"]
    assert (page.status_code, connection["subject"]) == (200, None)
    assert "mallory" not in json.dumps(connection)


# What was granted, and by whom


def test_a_scope_that_was_asked_for_and_not_granted_is_shown(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """In `connections`, one by one and listed; after a refresh too."""
    # given
    scripted.answers["/token"] = TOKENS | {"scope": "orders:read"}
    provider = application.register(scripted.registration | {"scopes": ["orders:read", "orders:write"]})
    started, _ = connect(application, browser, provider, owner=fresh("owner"))
    connection_id = started["connection_id"]

    # when
    one = application.call("connections", connection_id=connection_id)["connection"]
    (listed,) = application.call("connections", owner=one["owner"])["connections"]
    scripted.answers["/token"] = TOKENS | {"scope": "orders:write orders:read"}
    application.refresh_later(connection_id)
    after = application.call("connections", connection_id=connection_id)["connection"]

    # then
    for shown in (one, listed):
        assert (shown["scope"], shown["requested_scope"]) == ("orders:read", "orders:read orders:write")
        assert shown["scope_missing"] == ["orders:write"]
    assert after["scope_missing"] == []


@pytest.mark.parametrize("field", ["access_token", "refresh_token"])
def test_a_token_that_is_too_large_is_refused_as_an_answer(
    application: Application, browser: Browser, scripted: Scripted, aws_calls: list[AwsCall], field: str
) -> None:
    """No record could hold several of them: nothing of it is stored or queued, and what was there goes on."""
    # given
    largest, too_large = {field: "x" * 16384}, {field: "x" * 220_000}
    provider = application.register(scripted.registration)
    scripted.answers["/token"] = TOKENS | too_large
    refused = application.call("start", provider=provider, connection_id=fresh())
    connection_id = refused["connection_id"]

    # when
    page = come_back(browser, refused, code=CODE)
    nothing = application.call("connections", connection_id=connection_id)
    scripted.answers["/token"] = TOKENS | largest
    connected = come_back(browser, refused, code=CODE)
    scripted.answers["/token"] = TOKENS | too_large
    failed = application.refresh_later(connection_id)
    after = application.call("token", connection_id=connection_id)

    # then
    assert (page.status_code, nothing["error"], connected.status_code) == (502, "connection_not_found", 200)
    assert failed["error"] == "provider_misconfigured"
    assert f"220000 characters as {field}" in failed["error_description"]
    assert (after["version"], after["access_token"]) == (1, (TOKENS | largest)["access_token"])
    assert "SendMessage" not in operations(aws_calls)


def test_when_the_refresh_token_ends_is_shown(application: Application, browser: Browser, scripted: Scripted) -> None:
    """If the server says it; a new refresh token ends when it says."""
    # given
    scripted.answers["/token"] = TOKENS | {"refresh_token_expires_in": 86400}
    started, _ = connect(application, browser, application.register(scripted.registration))
    connection_id = started["connection_id"]

    # when
    first = application.call("connections", connection_id=connection_id)["connection"]
    scripted.answers["/token"] = TOKENS | {"refresh_token_expires_in": 172800}
    application.refresh_later(connection_id)
    second = application.call("connections", connection_id=connection_id)["connection"]

    # then
    assert first["refresh_expires_at"] == first["refreshed_at"] + 86400
    assert second["refresh_expires_at"] == second["refreshed_at"] + 172800


@pytest.mark.parametrize("allowed", [False, True])
def test_another_account_takes_a_connection_over_only_if_start_allows_it(
    application: Application, browser: Browser, scripted: Scripted, *, allowed: bool
) -> None:
    """Refused: the old tokens work, nobody gets the new ones, and the person may come with the right account.

    They are not revoked: nobody has said that this would end nothing else of that account's.
    """
    # given
    provider = application.register(scripted.registration | {"subject": "account"})
    connection_id = fresh()
    scripted.answers["/token"] = TOKENS | {"account": "shop-1"}
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = {"access_token": "others", "refresh_token": "others-refresh", "account": "shop-2"}
    scripted.received.clear()

    # when
    fields = {"allow_new_subject": True} if allowed else {}
    _, page = connect(application, browser, provider, connection_id=connection_id, **fields)

    # then
    vended = application.call("token", connection_id=connection_id)
    subject = application.call("connections", connection_id=connection_id)["connection"]["subject"]
    revoked = [dict(seen.form)["token"] for seen in scripted.received if seen.path == "/revoke"]
    if allowed:
        assert (page.status_code, vended["access_token"], subject, revoked) == (200, "others", "shop-2", [])
    else:
        assert (page.status_code, vended["access_token"], subject) == (409, "scripted-access", "shop-1")
        assert revoked == []
        assert "another account" in page.text
        assert "/authorize/" in page.text


@pytest.mark.parametrize("separate", [{}, {"revocation_ends_authorization": False}], ids=["unsaid", "separate"])
def test_who_came_with_another_account_may_come_with_the_right_one(
    application: Application, browser: Browser, scripted: Scripted, separate: dict[str, Any]
) -> None:
    """By the same link, also while the tokens of the first try are still to be revoked."""
    # given
    provider = application.register(scripted.registration | {"subject": "account"} | separate)
    connection_id = fresh()
    scripted.answers["/token"] = TOKENS | {"account": "shop-1"}
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = {"access_token": "others", "refresh_token": "others-refresh", "account": "shop-2"}
    started, first = connect(application, browser, provider, connection_id=connection_id)

    # when
    scripted.answers["/token"] = {"access_token": "new", "refresh_token": "new-refresh", "account": "shop-1"}
    second = come_back(browser, started, code=CODE)

    # then
    assert (first.status_code, second.status_code) == (409, 200)
    assert application.call("token", connection_id=connection_id)["access_token"] == "new"


def test_the_application_learns_of_another_account(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """By a code of its own, where it wants its user back."""
    # given
    provider = application.register(scripted.registration | {"subject": "account"})
    connection_id = fresh()
    scripted.answers["/token"] = TOKENS | {"account": "shop-1"}
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = TOKENS | {"account": "shop-2"}

    # when
    back = f"{stack.base_url}/done"
    started, page = connect(application, browser, provider, connection_id=connection_id, return_to=back)

    # then
    about = f"connection_id={connection_id}&request_id={started['request_id']}"
    assert page.headers["Location"] == f"{back}?{about}&error=subject_mismatch"


# Client keys


def test_a_key_that_is_not_there_is_the_operators_fault(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page says whose affair it is, and the log what it is; nothing was sent to the server."""
    # given
    key = {"client_signing_key": "alias/gatehouse-client-nobody", "token_endpoint_auth_signing_alg": "ES256"}

    # when
    _, page = connect(application, browser, application.register(scripted.registration | key))

    # then
    assert (page.status_code, scripted.received) == (502, [])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("outcome") == "failed"]
    assert "check that client_signing_key exists" in line["description"]


def test_an_assertion_is_made_for_each_request(application: Application, browser: Browser, scripted: Scripted) -> None:
    """Exchange, refresh and two revocations: four signatures, and none is worth anything a second time."""
    # given
    kms = boto3.client("kms")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/gatehouse-client-protocol", TargetKeyId=arn)
    key = {"client_signing_key": arn, "token_endpoint_auth_signing_alg": "ES256", "issuer": scripted.url}
    started, _ = connect(application, browser, application.register(scripted.registration | key))

    # when
    application.refresh_later(started["connection_id"])
    application.call("revoke", connection_id=started["connection_id"])

    # then
    assert scripted.paths() == ["/token", "/token", "/revoke", "/revoke"]
    assertions = {dict(seen.form)["client_assertion"] for seen in scripted.received}
    assert len(assertions) == 4


# Where providers may be


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "10.0.0.1", "2130706433"])
def test_a_deployment_does_not_reach_into_its_own_network(
    stack: Stack, application: Application, scripted: Scripted, host: str
) -> None:
    """An issuer that leads to this machine or to a private network is the operator's affair; nothing is connected."""
    # given
    port = urlsplit(scripted.url).port
    provider = application.register({"client_id": "c", "issuer": f"https://{host}:{port}"})

    # when
    answer = with_services(stack, start, GATEHOUSE_BASE_URL="https://gate.example")({"provider": provider}, Context())

    # then
    assert (answer["error"], answer["retryable"]) == ("provider_misconfigured", False)
    assert (
        f"{host}:{port}: the authorization server's host has no address on the public internet"
        in (answer["error_description"])
    )
    assert scripted.received == []
