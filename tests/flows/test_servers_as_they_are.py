"""Answers of authorization servers as they are, met by what they publish alone: docs/providers.md names them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Scripted

OFFLINE = ["openid", "profile", "offline_access"]


def shown(application: Application, started: dict[str, Any]) -> dict[str, Any]:
    """Return what `connections` says."""
    return dict(application.call("connections", connection_id=started["connection_id"])["connection"])


def lines(capsys: pytest.CaptureFixture[str], message: str) -> list[dict[str, Any]]:
    """Return the lines of the log since the last look that have a message."""
    written = (json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    return [line for line in written if line["message"] == message]


# Refresh tokens that are asked for by a scope


def test_offline_access_is_granted_by_the_refresh_token_that_comes(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """LemonLDAP::NG grants it, and leaves its name out of the answer; a refresh does not change that."""
    # given
    scripted.answers["/token"] = {**TOKENS, "scope": "openid profile"}
    provider = application.register(scripted.registration | {"scopes": OFFLINE})

    # when
    started, _ = connect(application, browser, provider)
    first = shown(application, started)
    application.refresh_later(started["connection_id"])

    # then
    assert (first["scope"], first["scope_missing"], first["refreshable"]) == ("openid profile", [], True)
    assert shown(application, started)["scope_missing"] == []


@pytest.mark.parametrize(
    ("registration", "advice"),
    [
        ({"scopes": OFFLINE}, 'add "authorization_params": {"prompt": "consent"}'),
        ({"scopes": OFFLINE, "authorization_params": {"prompt": "consent"}}, "has to allow this client"),
        ({"scopes": ["openid", "profile"]}, "add offline_access to scopes"),
        ({"scopes_fixed": True}, "authorization_params"),
    ],
)
def test_a_connection_that_cannot_be_refreshed_says_so_when_it_is_made(  # noqa: PLR0913, PLR0917 - pytest names them
    application: Application,
    browser: Browser,
    scripted: Scripted,
    capsys: pytest.CaptureFixture[str],
    registration: dict[str, Any],
    advice: str,
) -> None:
    """LemonLDAP::NG gives no refresh token without `prompt=consent`, Better Auth none without `offline_access`.

    When the access token has run out, whoever asks is told where the reason stands, and not only to start again.
    """
    # given
    scripted.answers["/token"] = {"access_token": "of-an-hour", "expires_in": 3600}
    provider = application.register(scripted.registration | registration)
    capsys.readouterr()

    # when
    started, _ = connect(application, browser, provider)
    (told,) = lines(capsys, "no refresh token came")
    refused = application.refresh_later(started["connection_id"])

    # then
    assert (told["level"], told["provider"], told["connection_id"]) == ("WARNING", provider, started["connection_id"])
    assert advice in told["description"]
    assert refused["error"] == "reauthorization_required"
    assert "offline_access" in refused["error_description"]


@pytest.mark.parametrize(
    ("registration", "answer"),
    [
        ({"scopes": OFFLINE}, TOKENS),
        ({}, {"access_token": "without end"}),
        ({"background_refresh": "never"}, {"access_token": "of-an-hour", "expires_in": 3600}),
    ],
    ids=["a refresh token", "no expiry", "known to give none"],
)
def test_nothing_is_said_of_a_connection_that_lasts(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    capsys: pytest.CaptureFixture[str],
    registration: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    """Or of one whose provider's data says what it is."""
    # given
    scripted.answers["/token"] = answer
    provider = application.register(scripted.registration | registration)
    capsys.readouterr()

    # when
    _, page = connect(application, browser, provider)

    # then
    assert page.status_code == 200
    assert lines(capsys, "no refresh token came") == []
