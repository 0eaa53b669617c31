"""Answers of real authorization servers, registered by nothing but their metadata; docs/providers.md names them."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.wrappers import Response

from tests.flows.scripted import CODE, TOKENS, connect
from tests.flows.test_quirks import come_back
from tools import check_registration

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import Application
    from tests.flows.scripted import Received, Scripted

OFFLINE = ["openid", "profile", "offline_access"]


def shown(application: Application, started: dict[str, Any]) -> dict[str, Any]:
    """Return what `connections` says."""
    return dict(application.call("connections", connection_id=started["connection_id"])["connection"])


def lines(capsys: pytest.CaptureFixture[str], message: str) -> list[dict[str, Any]]:
    """Return the lines of the log since the last look that have a message, each outcome once."""
    written = (json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    return [line for line in written if line["message"] == message and line.get("outcome") != "shown"]


def basic(received: Received) -> str:
    """Return the credentials in a request's header."""
    return b64decode(received.headers["authorization"].removeprefix("Basic ")).decode()


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

    When the access token has expired, the error says where the reason is, and not only to start again.
    """
    # given
    scripted.answers["/token"] = {"access_token": "of-an-hour", "expires_in": 3600}
    provider = application.register(scripted.registration | registration)
    capsys.readouterr()

    # when
    started, _ = connect(application, browser, provider)
    (line,) = lines(capsys, "no refresh token came")
    refused = application.refresh_later(started["connection_id"])

    # then
    assert (line["level"], line["provider"], line["connection_id"]) == ("WARNING", provider, started["connection_id"])
    assert advice in line["description"]
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


# Two client secrets


def test_a_code_that_a_refused_secret_has_spent_costs_one_attempt(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Better Auth spends a code before it looks at the secret; the second try shows the other secret first."""
    # given
    spent: list[str] = []

    def answer(received: Received) -> Any:
        code = dict(received.form)["code"]
        if code in spent:
            return Response('{"error": "invalid_grant", "error_description": "invalid code"}', 400)
        if basic(received) != "scripted-client:0ld":
            spent.append(code)
            return Response('{"error": "invalid_client", "error_description": "invalid client_secret"}', 401)
        return TOKENS

    scripted.answers["/token"] = answer
    provider = application.register(scripted.registration | {"client_secrets": ["n3w", "0ld"]})

    # when
    _, page = connect(application, browser, provider)
    (failed,) = lines(capsys, "callback")
    spent.clear()  # the next code is another one
    started, page_then = connect(application, browser, provider)

    # then
    assert (page.status_code, failed["reason"]) == (409, "reauthorization_required")
    assert "which the server refuses" in failed["description"]
    assert page_then.status_code == 200
    assert [basic(each) for each in scripted.received] == [f"scripted-client:{each}" for each in ("n3w", "0ld", "0ld")]
    assert shown(application, started)["client_secret_used"] == "previous"


def test_a_refused_secret_is_shown_first_again_when_some_minutes_have_passed(
    application: Application, browser: Browser, scripted: Scripted, stack: Stack
) -> None:
    """Glewlwyd refuses a secret with a 403; the newest one may be valid by then."""
    # given
    valid = ["0ld"]

    def answer(received: Received) -> Any:
        is_known = basic(received).removeprefix("scripted-client:") in valid
        return TOKENS if is_known else Response('{"error": "unauthorized_client"}', 403)

    scripted.answers["/token"] = answer
    provider = application.register(scripted.registration | {"client_secrets": ["n3w", "0ld"]})

    # when
    pages = [connect(application, browser, provider)[1].status_code for _ in range(2)]
    valid.append("n3w")
    stack.clock.advance(400)
    started, _ = connect(application, browser, provider)

    # then
    assert pages == [502, 200]
    assert shown(application, started)["client_secret_used"] == "newest"


def test_a_secret_that_was_forgotten_is_missed(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doorkeeper and LemonLDAP::NG refuse the client, in words that say nothing of a secret."""
    # given
    scripted.answers["/token"] = Response('{"error": "invalid_client"}', 401)
    provider = application.register(scripted.registration)

    # when
    connect(application, browser, provider)

    # then
    (failed,) = lines(capsys, "callback")
    assert "The registration has no client_secret" in failed["description"]


# Refusals that say what to do


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("invalid_scope", "check scopes of the registration"),
        ("invalid_request", "check scopes and authorization_params"),
        ("unauthorized_client", "what the client is allowed"),
        ("unsupported_response_type", "the authorization code grant"),
    ],
)
def test_an_error_in_the_redirect_says_what_its_owner_can_do(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    capsys: pytest.CaptureFixture[str],
    error: str,
    remedy: str,
) -> None:
    """Better Auth names the scope, and others nothing; the page says whom it concerns, and not what."""
    # given
    provider = application.register(scripted.registration | {"scopes": ["nosuchscope"]})
    started = application.call("start", provider=provider)

    # when
    page = come_back(browser, started, error=error, error_description="The following are invalid: nosuchscope")

    # then
    (failed,) = lines(capsys, "callback")
    assert (failed["reason"], failed["provider_error"]) == (error, error)
    assert remedy in failed["description"]
    assert failed["provider_error_description"] == "The following are invalid: nosuchscope"
    assert "nosuchscope" not in page.text


def test_a_token_that_a_server_does_not_know_is_no_fault_of_the_client(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Better Auth calls the revocation of a token that has gone an invalid request."""
    # given
    scripted.answers["/token"] = TOKENS
    started, _ = connect(application, browser, application.register(scripted.registration))
    gone = '{"error": "invalid_request", "error_description": "token not found"}'
    scripted.answers["/revoke"] = Response(gone, 400, content_type="application/json")

    # when
    application.call("revoke", connection_id=started["connection_id"])

    # then
    failure = shown(application, started)["failure"]
    assert "refuses the request" in failure["description"]
    assert failure["provider_error"]["error_description"] == "token not found"


@pytest.mark.parametrize(
    ("asked", "page_status", "error"),
    [({"prompt": "consent"}, 200, "access_denied"), ({}, 200, "access_denied"), ({"prompt": "none"}, 400, None)],
    ids=["asked for consent", "asked for nothing", "asked for silence"],
)
def test_a_consent_that_was_refused_is_a_no(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    application: Application,
    browser: Browser,
    scripted: Scripted,
    asked: dict[str, str],
    page_status: int,
    error: str | None,
) -> None:
    """LemonLDAP::NG says `consent_required` when a person refuses; without a page it means what the standard says."""
    # given
    provider = application.register(scripted.registration)
    started = application.call("start", provider=provider, authorization_params=asked)

    # when
    page = come_back(browser, started, error="consent_required", error_description="consent not given")

    # then
    attempt = application.call("connections", request_id=started["request_id"])["last_attempt"]
    assert (page.status_code, "You declined access" in page.text) == (page_status, error is not None)
    assert attempt["error"] == (error or "consent_required")
    assert attempt["provider_error"]["error"] == "consent_required"


def test_an_answer_by_another_way_than_asked_for_names_the_key(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Better Auth knows no `form_post`, and answers by the address."""
    # given
    provider = application.register(scripted.registration | {"response_mode": "form_post"})
    started = application.call("start", provider=provider)

    # when
    page = come_back(browser, started, code=CODE)

    # then
    (refused,) = lines(capsys, "callback")
    assert (page.status_code, refused["reason"]) == (400, "form_expected")
    assert "response_mode" in refused["description"]
    assert scripted.received == []


def test_an_error_without_the_issuers_name_says_what_was_missed(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Canaille promises `iss`, and leaves it out if it finds the request wrong."""
    # given
    promise = {"issuer": scripted.url, "authorization_response_iss_parameter_supported": True}
    started = application.call("start", provider=application.register(scripted.registration | promise))

    # when
    come_back(browser, started, error="invalid_request", error_description="Missing 'nonce' in request.")

    # then
    (refused,) = lines(capsys, "callback")
    assert (refused["outcome"], refused["reason"]) == ("refused", "issuer_mismatch")
    assert "RFC 9207" in refused["description"]
    assert refused["provider_error_description"] == "Missing 'nonce' in request."


def test_a_token_that_a_server_quotes_from_its_own_database_is_in_no_log(
    application: Application, browser: Browser, scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Canaille puts the failed statement into its error, with the JWT that it was about to issue."""
    # given
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"
    said = {"error": "internal_server_error", "error_description": f"UNIQUE constraint failed ['{token}', 'jane']"}
    scripted.answers["/token"] = Response(json.dumps(said), 500, content_type="application/json")
    capsys.readouterr()

    # when
    started, _ = connect(application, browser, application.register(scripted.registration))

    # then
    attempt = application.call("connections", request_id=started["request_id"])["last_attempt"]
    assert "UNIQUE constraint failed ['***', 'jane']" in attempt["provider_error"]["error_description"]
    assert not any(part in capsys.readouterr().out for part in token.split("."))


# What can be seen before a customer is sent there


@pytest.mark.parametrize(
    ("registration", "published", "expected"),
    [
        ({"scopes": ["public", "wirte"]}, {"scopes_supported": ["public", "write"]}, "these scopes: wirte."),
        ({"scopes": ["read"]}, {"scopes_supported": ["read", "offline_access"]}, "offline_access"),
        ({"response_mode": "form_post"}, {"response_modes_supported": ["query"]}, "response_mode form_post"),
        ({"scopes": ["openid", "offline_access"]}, {"scopes_supported": ["openid"]}, None),
        ({"scopes": ["read"], "response_mode": "query"}, {"scopes_supported": [], "response_modes_supported": 7}, None),
    ],
)
def test_the_command_says_what_a_server_does_not_publish(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    scripted: Scripted,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    registration: dict[str, Any],
    published: dict[str, Any],
    expected: str | None,
) -> None:
    """Doorkeeper shows a wrong scope to the customer alone; LemonLDAP::NG takes `offline_access`, unlisted."""
    # given
    found = {"issuer": scripted.url, **scripted.endpoints, **published}
    scripted.answers["/.well-known/oauth-authorization-server"] = found
    file = tmp_path / "acme.local.json"
    file.write_text(json.dumps({"issuer": scripted.url, "client_id": "c-1", **registration}), encoding="utf-8")

    # when
    code = check_registration.main([str(file), "acme", "--local"])

    # then
    line = capsys.readouterr().out
    assert code == 0
    assert line.startswith("acme: right.")
    assert line.endswith("at the provider.\n") if expected is None else expected in line
