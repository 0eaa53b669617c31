"""`refresh`: a caller got a 401 and wants another token; at most once for all who want it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from functions.vault.grant.connection import JUST_OBTAINED
from local.demo import Faults
from tests.flows.application import (
    FAILURE_KEYS,
    TOKEN_KEYS,
    fresh,
    operations,
    token_requests,
)
from tests.flows.scripted import TOKENS, connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.call import AwsCall
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser
    from tests.flows.application import (
        Application,
    )
    from tests.flows.scripted import Scripted


@pytest.fixture
def connection_id(stack: Stack, browser: Browser, demo: DemoServer) -> str:
    """Connect a merchant, let ten seconds pass, and give the demo server's record an empty page."""
    connected = browser.connect(connection_id=fresh())
    stack.clock.advance(JUST_OBTAINED)
    demo.reset()
    return connected


def test_refreshes_a_token_that_is_still_good(application: Application, connection_id: str, demo: DemoServer) -> None:
    """Without `if_version` each call is a refresh, if ten seconds lie between them; the answer is as of `token`."""
    # given
    before = application.call("token", connection_id=connection_id)

    # when
    answers = [application.refresh_later(connection_id) for _ in range(2)]

    # then
    assert [answer.keys() for answer in answers] == [TOKEN_KEYS] * 2
    assert [answer["version"] for answer in answers] == [2, 3]
    assert len({answer["access_token"] for answer in [before, *answers]}) == 3
    assert token_requests(demo) == 2
    assert application.call("token", connection_id=connection_id) == answers[-1]


def test_a_token_set_of_a_moment_ago_is_not_refreshed_again(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """An API answers 401 for want of a permission: its callers ask and ask, and one token request is made.

    The set of a moment ago is returned as it is, and `token` vends the same; when it is ten seconds old, it is
    refreshed, whoever asked before.
    """
    # when
    answers = []
    for _ in range(12):
        vended = application.call("token", connection_id=connection_id)
        answers.append(application.call("refresh", connection_id=connection_id, if_version=vended["version"]))
    answers += [application.call("refresh", connection_id=connection_id) for _ in range(20)]

    # then
    assert answers == [application.call("token", connection_id=connection_id)] * 32
    assert (answers[0]["version"], token_requests(demo)) == (2, 1)

    # when
    stack.clock.advance(JUST_OBTAINED)

    # then
    assert application.call("refresh", connection_id=connection_id)["version"] == 3


def test_a_token_set_of_a_moment_ago_that_has_run_out_is_refreshed(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """If access tokens live for seconds, a good one is what the caller needs."""
    # given
    scripted.answers["/token"] = TOKENS | {"expires_in": 5}
    started, _ = connect(application, browser, application.register(scripted.registration))

    # when
    soon = application.call("refresh", connection_id=started["connection_id"])
    stack.clock.advance(5)
    later = application.call("refresh", connection_id=started["connection_id"])

    # then
    assert [soon["version"], later["version"]] == [1, 2]


def test_if_version_of_the_stored_version_refreshes(
    application: Application, connection_id: str, demo: DemoServer
) -> None:
    """The caller's token is the newest there is, so it is replaced."""
    # when
    answer = application.call("refresh", connection_id=connection_id, if_version=1)

    # then
    assert (answer["version"], token_requests(demo)) == (2, 1)


def test_if_version_of_an_older_version_gets_the_newer_token(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """Somebody else has refreshed since: the newer token is served, for one read."""
    # given
    newer = application.call("refresh", connection_id=connection_id)
    application.call("token", connection_id=connection_id)
    stack.clock.advance(JUST_OBTAINED)
    aws_calls.clear()

    # when
    answer = application.call("refresh", connection_id=connection_id, if_version=1)

    # then
    assert answer == newer
    assert token_requests(demo) == 1
    assert operations(aws_calls) == ["GetItem"]


def test_if_version_that_never_was_gets_what_there_is(
    application: Application, connection_id: str, demo: DemoServer
) -> None:
    """A version from elsewhere wears no refresh token out."""
    # when
    answer = application.call("refresh", connection_id=connection_id, if_version=99)

    # then
    assert (answer["version"], token_requests(demo)) == (1, 0)


@pytest.mark.parametrize("fields", [{}, {"if_version": 1}])
def test_all_who_got_a_401_at_once_share_one_refresh(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    browser: Browser,
    scripted: Scripted,
    aws_calls: list[AwsCall],
    fields: dict[str, int],
) -> None:
    """Eight who come while a refresh is in flight: one request, eight equal answers."""
    # given
    scripted.answers["/token"] = {"access_token": "first", "refresh_token": "refresh-1", "expires_in": 3600}
    started, _ = connect(application, browser, application.register(scripted.registration))
    connection_id = started["connection_id"]
    stack.clock.advance(JUST_OBTAINED)
    scripted.answers["/token"] = {"access_token": "second", "refresh_token": "refresh-2", "expires_in": 3600}
    scripted.open.clear()
    aws_calls.clear()

    # when
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(application.call, "refresh", connection_id=connection_id, **fields) for _ in range(8)]
        # Every caller reads first; those who wait read again and again. So many reads mean that all are at it.
        while len(scripted.paths()) < 2 or operations(aws_calls).count("GetItem") < 100:
            time.sleep(0.01)
        scripted.open.set()

    # then
    results = [answer.result() for answer in answers]
    assert results == [results[0]] * 8
    assert (results[0]["access_token"], results[0]["version"]) == ("second", 2)
    assert scripted.paths() == ["/token", "/token"]


def test_failure_is_shared_with_token(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """A failed refresh leaves a good token alone: `token` serves it, `refresh` fails, and the server is left alone."""
    # given
    demo.put_faults(Faults(endpoint="token", status=503, retry_after=120))
    began = int(stack.clock.now())

    # when
    failed = application.call("refresh", connection_id=connection_id)
    stack.clock.advance(30)
    again = application.call("refresh", connection_id=connection_id, if_version=1)
    token = application.call("token", connection_id=connection_id)
    other_version = application.call("refresh", connection_id=connection_id, if_version=7)

    # then
    assert failed.keys() == FAILURE_KEYS | {"retry_after", "asked_at", "connection_id", "provider_error"}
    assert failed["error"] == again["error"] == "provider_unavailable"
    assert began <= failed["asked_at"] == again["asked_at"] <= began + 20
    assert failed["retry_after"] - again["retry_after"] >= 30
    assert token["version"] == other_version["version"] == 1
    assert token_requests(demo) == 1

    # when the wait is over
    demo.reset()
    stack.clock.advance(130)

    # then
    assert application.call("refresh", connection_id=connection_id)["version"] == 2


def test_dead_grant(application: Application, new_browser: Callable[..., Browser], demo: DemoServer) -> None:
    """Consent was withdrawn: the 401 that the caller got is explained, once and for all."""
    # given
    merchant = fresh("merchant")
    connection_id = new_browser(merchant).connect(connection_id=fresh())
    demo.withdraw(merchant)
    demo.reset()

    # when
    answers = [application.refresh_later(connection_id, if_version=1) for _ in range(2)]
    answers.append(application.call("token", connection_id=connection_id))

    # then
    assert [answer["error"] for answer in answers] == ["reauthorization_required"] * 3
    assert token_requests(demo) == 1


def test_grant_without_refresh_token_is_not_harmed_by_a_refresh(
    application: Application, browser: Browser, scripted: Scripted
) -> None:
    """The answer says that only a new consent helps; the access token that lives on is still vended."""
    # given
    scripted.answers["/token"] = {"access_token": "lonely-access-token", "expires_in": 3600}
    started, _ = connect(application, browser, application.register(scripted.registration))

    # when
    refused = application.refresh_later(started["connection_id"])
    token = application.call("token", connection_id=started["connection_id"])

    # then
    assert refused["error"] == "reauthorization_required"
    assert token["access_token"] == "lonely-access-token"
    assert scripted.paths() == ["/token"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connection_id", None),
        ("connection_id", "a/b"),
        ("if_version", 0),
        ("if_version", -1),
        ("if_version", "1"),
        ("if_version", 1.0),
        ("if_version", True),
        ("min_ttl", 60),
    ],
)
def test_bad_field_is_named(application: Application, aws_calls: list[AwsCall], field: str, value: object) -> None:
    """Bad, missing and unknown fields are named, and nothing is read."""
    # when
    answer = application.call("refresh", **{"connection_id": "some", field: value})

    # then
    assert answer.keys() == FAILURE_KEYS
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []


def test_unknown_and_revoked_connections(application: Application, new_browser: Callable[..., Browser]) -> None:
    """What does not exist, or was ended, cannot be refreshed."""
    # given
    revoked = new_browser(fresh("merchant")).connect(connection_id=fresh())
    application.call("revoke", connection_id=revoked)

    # when
    answers = [application.call("refresh", connection_id=connection_id) for connection_id in (fresh(), revoked)]

    # then
    assert [answer["error"] for answer in answers] == ["connection_not_found", "connection_revoked"]
    assert [answer["retryable"] for answer in answers] == [False, False]
