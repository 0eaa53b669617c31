"""Scopes in both directions: asked for in one form, granted in another, and what was not granted shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.application import fresh
from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.flows.application import Application, Owner
    from tests.flows.scripted import Scripted

USERINFO = "https://www.googleapis.com/auth/userinfo."


@pytest.fixture
def scripted(scripted: Scripted) -> Scripted:
    """Run a server that says what it is told, and grants at first."""
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
