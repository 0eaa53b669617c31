"""Scopes in both directions: asked for in one form, granted in another, and what was not granted shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.application import fresh
from tests.flows.scripted import CODE, TOKENS, connect
from tests.flows.test_quirks import come_back

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted

USERINFO = "https://www.googleapis.com/auth/userinfo."


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that answers as scripted, and grants at first."""
    scripted.answers["/token"] = TOKENS
    return scripted


def shown(application: Application, started: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Return what `connections` says was granted, and what is missing."""
    connection = application.call("connections", connection_id=started["connection_id"])["connection"]
    return connection["scope"], connection["scope_missing"]


@pytest.mark.parametrize(
    ("provider", "granted"),
    [
        (
            "github",
            [
                (["repo", "read:org"], "read:org,repo", []),
                (["user", "gist", "user:email"], "gist,user", []),
                (["repo", "admin:org"], "repo", ["admin:org"]),
            ],
        ),
        (
            "google",
            [
                (["email", "profile"], f"{USERINFO}profile openid {USERINFO}email", []),
                (["email", "profile"], f"openid {USERINFO}email", ["profile"]),
            ],
        ),
    ],
)
def test_what_was_granted_in_other_words_is_not_missing(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    owner: Owner,
    provider: str,
    granted: list[tuple[list[str], str, list[str]]],
) -> None:
    """GitHub's commas and normalized lists, Google's full names; what the customer has unticked is missing."""
    # given
    owner.registers(provider, **scripted.endpoints)

    for asked, answered, missing in granted:
        # when
        scripted.answers["/token"] = TOKENS | {"scope": answered}
        started, _ = connect(application, browser, provider, scopes=asked, connection_id=fresh())

        # then
        assert shown(application, started) == (answered.replace(",", " "), missing)


def test_a_refresh_without_a_scope_leaves_what_is_missing_as_it_is(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """And one that names a scope says it again (RFC 6749 section 6)."""
    # given
    scripted.answers["/token"] = TOKENS | {"scope": "read"}
    provider = application.register(scripted.registration | {"scopes": ["read", "write"]})
    started, _ = connect(application, browser, provider)

    # when
    scripted.answers["/token"] = TOKENS
    application.refresh_later(started["connection_id"])
    after_silence = shown(application, started)
    scripted.answers["/token"] = TOKENS | {"scope": "read write"}
    application.refresh_later(started["connection_id"])

    # then
    assert after_silence == ("read", ["write"])
    assert shown(application, started) == ("read write", [])


@pytest.mark.parametrize(
    ("redirected", "scope", "missing"),
    [
        ({"scope": "read,write"}, "read write", []),
        ({"scope": "read"}, "read", ["write"]),
        ({"scope": "admin,read"}, "read", ["write"]),
        ({"scope": "admin"}, "", ["read", "write"]),
        ({}, "read write", []),
    ],
)
def test_the_redirect_may_name_what_was_granted(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    redirected: dict[str, str],
    scope: str,
    missing: list[str],
) -> None:
    """If data says so, and the tokens come without a scope. It cannot grant what was not asked for."""
    # given
    quirks = {"scopes": ["read", "write"], "scope_parameter": "scope", "response_scope_separators": [","]}
    started = application.call("start", provider=application.register(scripted.registration | quirks))

    # when
    come_back(browser, started, code=CODE, **redirected)

    # then
    assert shown(application, started) == (scope, missing)


def test_the_tokens_own_scope_goes_over_the_redirects(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """And a provider that names it nowhere in the redirect has that parameter passed over."""
    # given
    scripted.answers["/token"] = TOKENS | {"scope": "read write"}
    quirks = {"scopes": ["read", "write"], "scope_parameter": "scope"}
    for registration in (scripted.registration | quirks, scripted.registration | {"scopes": ["read", "write"]}):
        started = application.call("start", provider=application.register(registration))

        # when
        come_back(browser, started, code=CODE, scope="read")

        # then
        assert shown(application, started) == ("read write", [])
        scripted.answers["/token"] = TOKENS


def test_a_refresh_names_the_connections_own_scope(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """For servers that want it: as each connection was asked for it, without what was not granted."""
    # given
    quirks = {
        "scopes": ["offline", "read"],
        "scope_separator": ",",
        "scope_in_refresh": True,
        "refresh_params": {"scope": "one text for all", "audience": "api"},
        "scope_aliases": {"offline": [], "*": ["https://api.example/*"]},
    }
    provider = application.register(scripted.registration | quirks)
    scripted.answers["/token"] = TOKENS | {"scope": "https://api.example/read"}
    usual, _ = connect(application, browser, provider)
    wider, _ = connect(application, browser, provider, scopes=["offline", "read", "write"])
    nothing, _ = connect(application, browser, provider, scopes=[])
    scripted.received.clear()

    # when
    for started in (usual, wider, nothing):
        application.refresh_later(started["connection_id"])

    # then
    named = [dict(seen.form)["scope"] for seen in scripted.received]
    assert named == ["offline,read", "offline,read", "https://api.example/read"]
    assert {dict(seen.form)["audience"] for seen in scripted.received} == {"api"}


def test_no_server_gets_a_scope_with_a_refresh_unasked(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Some refuse it."""
    # given
    started, _ = connect(application, browser, application.register(scripted.registration | {"scopes": ["read"]}))

    # when
    application.refresh_later(started["connection_id"])

    # then
    assert "scope" not in dict(scripted.received[-1].form)


@pytest.mark.parametrize(
    ("registration", "fields", "lacks"),
    [
        ({}, {}, None),
        ({"scopes": ["accounting.contacts", "offline_access"]}, {}, None),
        ({"scopes": ["accounting.contacts"]}, {}, "scope with offline_access"),
        ({}, {"scopes": ["openid"]}, "scope with offline_access"),
        ({}, {"scopes": []}, "scope with offline_access"),
        (
            {"refresh_token_needs": {"access_type": ["offline"]}, "authorization_params": {"prompt": "consent"}},
            {},
            "access_type with offline",
        ),
        (
            {"refresh_token_needs": {"access_type": ["offline"]}, "authorization_params": {"prompt": "consent"}},
            {"authorization_params": {"access_type": "offline"}},
            None,
        ),
    ],
)
def test_a_request_that_brings_no_refresh_token_is_logged(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    scripted: Scripted,
    capsys: pytest.CaptureFixture[str],
    registration: dict[str, Any],
    fields: dict[str, Any],
    lacks: str | None,
) -> None:
    """In the log of `start`: the registration's own words have taken the place of those that a refresh token needs."""
    # given
    file = {"scopes": ["offline_access", "openid"], "refresh_token_needs": {"scope": ["offline_access"]}}
    provider = application.register(scripted.registration | file | registration)
    capsys.readouterr()

    # when
    started = application.call("start", provider=provider, **fields)

    # then
    log = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    logged = [line for line in log if line["message"] == "no refresh token will come"]
    assert [(line["level"], line["provider"], line["connection_id"]) for line in logged] == (
        [("WARNING", provider, started["connection_id"])] if lacks else []
    )
    assert all(lacks in line["description"] for line in logged if lacks)
