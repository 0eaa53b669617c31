"""A customer consents once more under the same connection_id: what becomes of the grant that was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

AN_HOUR = 3600


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


def test_of_another_account_it_is_not(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted, provider: str
) -> None:
    """Nobody is given a token of an account that the customer has left; and a person is asked before this one ends."""
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
    """The access token of the newer consent is vended to its end; `revoke` ends both grants."""
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
    assert revoked == {"access-2", "refresh-1", "access-1"}
