"""A customer consents once more under the same connection_id: what becomes of the grant that was there."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from werkzeug.wrappers import Response

from tests.built import running_stack
from tests.flows.application import fresh
from tests.flows.scripted import CODE, TOKENS, connect
from tests.unit.test_id_token import public, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

AN_HOUR = 3600


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Give a stack of this module's own: a sweep finds all that is due, and other tests leave hundreds behind."""
    with running_stack() as running:
        yield running


@pytest.fixture
def provider(application: Application, scripted: Scripted) -> str:
    """Register a server that says whose account its tokens are for."""
    scripted.answers["/revoke"] = {}
    return application.register({**scripted.registration, "subject": "account", "background_refresh": "never"})


def granted(number: int, *, refresh_token: bool = True, account: str = "account-1") -> dict[str, Any]:
    """Return a token response."""
    tokens = {**TOKENS, "access_token": f"access-{number}", "refresh_token": f"refresh-{number}", "account": account}
    return tokens if refresh_token else {name: value for name, value in tokens.items() if name != "refresh_token"}


def refresh_tokens(scripted: Scripted) -> list[str]:
    """Return the refresh tokens that the server was sent, in order."""
    forms = [dict(seen.form) for seen in scripted.received if seen.path == "/token"]
    return [form["refresh_token"] for form in forms if "refresh_token" in form]


def test_a_consent_without_a_refresh_token_is_refreshed_with_the_one_before(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, provider: str
) -> None:
    """Servers issue one with the first consent alone (omab/django-social-auth#299): it goes on, to the end of it."""
    # given
    scripted.answers["/token"] = granted(1)
    started, _ = connect(application, browser, provider)
    connection_id = started["connection_id"]
    for number in (2, 3):
        scripted.answers["/token"] = granted(number, refresh_token=False)
        connect(application, browser, provider, connection_id=connection_id)

    # when
    scripted.answers["/token"] = granted(4)
    now = application.call("token", connection_id=connection_id)
    stack.clock.advance(AN_HOUR)
    later = application.call("token", connection_id=connection_id)
    stack.clock.advance(AN_HOUR)
    scripted.answers["/token"] = granted(5)
    last = application.call("token", connection_id=connection_id)

    # then
    assert [answer["access_token"] for answer in (now, later, last)] == ["access-3", "access-4", "access-5"]
    assert refresh_tokens(scripted) == ["refresh-1", "refresh-4"]


@pytest.mark.usefixtures("empty_queues")
def test_of_another_account_it_is_not(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, provider: str
) -> None:
    """Nobody gets a token of an account that the customer left; the record asks for a person before this one ends."""
    # given
    scripted.answers["/token"] = granted(1)
    started, _ = connect(application, browser, provider, owner=provider)
    connection_id = started["connection_id"]
    scripted.answers["/token"] = granted(2, refresh_token=False, account="account-2")
    connect(application, browser, provider, connection_id=connection_id, allow_new_subject=True)

    def needing() -> list[tuple[str, bool]]:
        stack.background.run_schedules()
        stack.background.poll()
        found = application.call("connections", owner=provider, needs="reauthorization")["connections"]
        return [(each["status"], each["refreshable"]) for each in found]

    # when
    at_first = needing()
    stack.clock.advance(AN_HOUR * 3 / 4)
    in_time = needing()
    vended = application.call("token", connection_id=connection_id)
    stack.clock.advance(AN_HOUR / 4)
    in_the_end = needing()
    answer = application.call("token", connection_id=connection_id)

    # then
    assert (at_first, in_time) == ([], [("active", False)])
    assert (vended["access_token"], in_the_end) == ("access-2", [("reauthorization_required", False)])
    assert (answer["error"], refresh_tokens(scripted)) == ("reauthorization_required", [])


def test_refused_it_is_not_asked_again(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, provider: str
) -> None:
    """The access token of the newer consent is vended to its end; `revoke` ends the grant before it, too."""
    # given
    scripted.answers["/token"] = granted(1)
    started, _ = connect(application, browser, provider)
    connection_id = started["connection_id"]
    scripted.answers["/token"] = granted(2, refresh_token=False)
    connect(application, browser, provider, connection_id=connection_id)
    scripted.answers["/token"] = {"error": "invalid_grant"}

    # when
    stack.clock.advance(AN_HOUR - 120)
    answers = [application.call("token", connection_id=connection_id) for _ in range(2)]
    stack.clock.advance(120)
    over = application.call("token", connection_id=connection_id)
    application.call("revoke", connection_id=connection_id)

    # then
    assert [answer["access_token"] for answer in answers] == ["access-2"] * 2
    assert (over["error"], refresh_tokens(scripted)) == ("reauthorization_required", ["refresh-1"])
    revoked = {dict(seen.form)["token"] for seen in scripted.received if seen.path == "/revoke"}
    assert revoked == {"refresh-1", "access-1"}, "of what has run out there is nothing to revoke"


# Whose account it is, by an ID token


class Issuer:
    """What a server publishes of its keys, and the ID tokens that it signs with the newest of them."""

    def __init__(self, scripted: Scripted) -> None:
        self.published = ["k-1"]
        self.signs_with = "k-1"
        self.is_down = False
        self.provider = ""
        self._url = scripted.url
        scripted.answers["/jwks"] = self._keys
        scripted.answers["/revoke"] = {}

    @property
    def registration(self) -> dict[str, Any]:
        """Return what a registration has of it."""
        account = {"issuer": self._url, "jwks_uri": f"{self._url}/jwks", "subject": "id_token.sub"}
        return {**account, "background_refresh": "never", "revocation_ends_authorization": False}

    def changes_its_key(self, kid: str) -> None:
        """Sign with another key from now on."""
        self.signs_with = kid
        self.published.append(kid)

    def granted(self, number: int, account: str = "account-1", **more: str) -> dict[str, Any]:
        """Return a token response whose ID token says whose it is, and what `more` is in it."""
        at = int(time.time())
        claims = {"iss": self._url, "aud": "scripted-client", "sub": account, "iat": at, "exp": at + 60, **more}
        return {**granted(number), "id_token": signed(claims, kid=self.signs_with)}

    def _keys(self, _request: Any) -> Any:
        if self.is_down:
            return Response("", 503)
        return {"keys": [public("ES256", kid=kid) for kid in self.published]}


@pytest.fixture
def issuer(application: Application, scripted: Scripted) -> Issuer:
    """Register a server that says whose its tokens are in an ID token, and keeps the grants of one account apart."""
    made = Issuer(scripted)
    made.provider = application.register({**scripted.registration, **made.registration})
    return made


def subject(application: Application, connection_id: str) -> tuple[str | None, int]:
    """Return the account of a connection, and its version."""
    found = application.call("connections", connection_id=connection_id)["connection"]
    return found["subject"], found["version"]


def test_an_id_token_of_a_key_that_is_newer_than_the_kept_ones_connects(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, issuer: Issuer
) -> None:
    """Keys are read once more, for a first consent as for another one; a made-up key costs no more than that."""
    # given
    scripted.answers["/token"] = issuer.granted(1)
    first, _ = connect(application, browser, issuer.provider)
    stack.clock.advance(100)

    # when
    issuer.changes_its_key("k-2")
    scripted.answers["/token"] = issuer.granted(2)
    another, page = connect(application, browser, issuer.provider)
    stack.clock.advance(100)
    issuer.changes_its_key("k-3")
    scripted.answers["/token"] = issuer.granted(3)
    _, again = connect(application, browser, issuer.provider, connection_id=first["connection_id"])

    # then
    assert (page.status_code, again.status_code) == (200, 200)
    assert subject(application, another["connection_id"]) == ("account-1", 1)
    assert subject(application, first["connection_id"]) == ("account-1", 2)
    assert application.call("token", connection_id=first["connection_id"])["access_token"] == "access-3"
    assert scripted.paths().count("/jwks") == 3


def test_while_keys_cannot_be_read_what_worked_goes_on(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, issuer: Issuer
) -> None:
    """The tokens are safe, and wait; the page does, too. When the issuer is back, the background makes them current."""
    # given
    scripted.answers["/token"] = issuer.granted(1)
    started, _ = connect(application, browser, issuer.provider)
    connection_id = started["connection_id"]
    stack.clock.advance(100)
    issuer.changes_its_key("k-2")
    issuer.is_down = True
    scripted.answers["/token"] = issuer.granted(2)

    # when
    _, page = connect(application, browser, issuer.provider, connection_id=connection_id)
    meanwhile = application.call("token", connection_id=connection_id)["access_token"]
    stack.clock.advance(120)
    work_off(stack)
    still = application.call("token", connection_id=connection_id)["access_token"]
    reload = browser.open(page.url)
    issuer.is_down = False
    stack.clock.advance(300)
    work_off(stack)

    # then
    assert (page.headers.get("refresh"), reload.status_code) == (reload.headers.get("refresh"), page.status_code)
    assert page.headers.get("refresh") is not None
    assert (meanwhile, still) == ("access-1", "access-1")
    assert application.call("token", connection_id=connection_id)["access_token"] == "access-2"
    assert subject(application, connection_id) == ("account-1", 2)
    assert "connected" in browser.open(page.url).text.lower()


def test_tokens_that_are_not_the_connections_own_are_given_back(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, issuer: Issuer
) -> None:
    """Of another account, or for another client: nothing of it is vended, and if grants are apart it is revoked."""
    # given
    scripted.answers["/token"] = issuer.granted(1)
    started, _ = connect(application, browser, issuer.provider)
    connection_id = started["connection_id"]
    stack.clock.advance(100)
    issuer.changes_its_key("k-2")

    # when
    scripted.answers["/token"] = issuer.granted(2, "account-2")
    connect(application, browser, issuer.provider, connection_id=connection_id)
    scripted.answers["/token"] = {**issuer.granted(3), "id_token": signed({"iss": "https://elsewhere.example"})}
    connect(application, browser, issuer.provider, connection_id=connection_id)
    work_off(stack)

    # then
    assert application.call("token", connection_id=connection_id)["access_token"] == "access-1"
    assert subject(application, connection_id) == ("account-1", 1)
    revoked = [dict(seen.form)["token"] for seen in scripted.received if seen.path == "/revoke"]
    assert revoked == ["refresh-2", "access-2", "refresh-3", "access-3"]


def work_off(stack: Stack) -> None:
    """Sweep, and work off what that queued."""
    stack.background.run_schedules()
    stack.background.poll()


# OpenID Connect's nonce


@pytest.mark.parametrize(
    ("registered", "asked", "is_sent"),
    [
        ({}, {"scopes": ["openid", "email"]}, True),
        ({"scopes": ["openid"]}, {}, True),
        ({}, {"scopes": ["email"]}, False),
        ({"nonce": True}, {"scopes": ["email"]}, True),
        ({"nonce": False}, {"scopes": ["openid"]}, False),
        ({}, {"scopes": ["openid"], "authorization_params": {"nonce": "n-1"}}, False),
    ],
)
def test_a_nonce_goes_with_a_request_of_openid_connect(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    registered: dict[str, Any],
    asked: dict[str, Any],
    is_sent: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Some servers refuse the scope `openid` without one. Each visit has its own, and there are never two of them."""
    # given
    provider = application.register(scripted.registration | registered)
    started = application.call("start", provider=provider, **asked)

    # when
    queries = [parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query) for _ in range(2)]

    # then
    nonces = [nonce for query in queries for nonce in query.get("nonce", [])]
    ours = [nonce for nonce in nonces if re.fullmatch("[A-Za-z0-9_-]{43}", nonce)]
    assert len(set(ours)) == len(ours) == (2 if is_sent else 0)
    assert [nonce for nonce in nonces if nonce not in ours] == (["n-1"] * 2 if "authorization_params" in asked else [])


def test_an_id_token_counts_for_the_request_whose_nonce_it_has(
    application: Application, browser: Browser, scripted: Scripted, issuer: Issuer
) -> None:
    """One that was issued for another request, however well it is signed, says nothing of this customer."""
    # given
    started = application.call("start", provider=issuer.provider, connection_id=fresh(), scopes=["openid"])

    def answered(**claims: str) -> requests.Response:
        query = parse_qs(urlsplit(browser.authorize(started["authorize_url"])).query)
        sent = {"nonce": query["nonce"][0], **claims}
        scripted.answers["/token"] = issuer.granted(1, **sent)
        return browser.open(f"{query['redirect_uri'][0]}?{urlencode({'code': CODE, 'state': query['state'][0]})}")

    # when
    another, own = answered(nonce="of-another-request"), answered()

    # then
    assert (another.status_code, own.status_code) == (502, 200)
    assert subject(application, started["connection_id"]) == ("account-1", 1)
