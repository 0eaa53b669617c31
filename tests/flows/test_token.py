"""`token`: a valid access token for every caller, at the least cost; one shared outcome if it must be fetched."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
import requests

from functions.token import handler as token
from local.demo import Faults
from tests.flows.application import (
    FAILURE_KEYS,
    TIMEOUT,
    TOKEN_KEYS,
    Context,
    fresh,
    operations,
    token_requests,
    with_services,
    writes,
)
from tests.flows.scripted import connect

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

LIFETIME = 3600
MARGIN = 300


@pytest.fixture
def connection_id(browser: Browser, demo: DemoServer) -> str:
    """Connect a merchant, and give the demo server's record an empty page."""
    connected = browser.connect(connection_id=fresh())
    demo.reset()
    return connected


# Served as it is


def test_answers_with_exactly_what_is_promised(stack: Stack, application: Application, connection_id: str) -> None:
    """Seven fields, the times in integer Unix seconds, the type as `Bearer` however the server spelled it."""
    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer.keys() == TOKEN_KEYS
    assert (answer["connection_id"], answer["provider"]) == (connection_id, "ultracart")
    assert (answer["token_type"], answer["version"]) == ("Bearer", 1)
    assert answer["scope"] == "item_read order_read order_write"
    assert isinstance(answer["expires_at"], int)
    assert 0 < answer["expires_at"] - stack.clock.now() <= LIFETIME


def test_token_opens_the_providers_api(stack: Stack, application: Application, connection_id: str) -> None:
    """What is vended is what the provider accepts."""
    # when
    vended = application.call("token", connection_id=connection_id)["access_token"]

    # then
    answer = requests.get(
        f"{stack.demo.url}/rest/v2/oauth/me",
        headers={"Authorization": f"Bearer {vended}", "X-UltraCart-Api-Version": "2017-03-01"},
        timeout=TIMEOUT,
    )
    assert answer.json()["merchant_id"] == "DEMO"


def test_warm_call_costs_one_read(application: Application, connection_id: str, aws_calls: list[AwsCall]) -> None:
    """The first call asks KMS once, every further one only the table, and the provider nothing."""
    # given
    application.call("token", connection_id=connection_id)
    first = operations(aws_calls)
    aws_calls.clear()

    # when
    for _ in range(3):
        application.call("token", connection_id=connection_id)

    # then
    assert first[-2:] == ["GetItem", "Decrypt"]
    assert operations(aws_calls) == ["GetItem"] * 3


def test_call_after_a_revocation_elsewhere_is_never_served_from_memory(
    application: Application, new_browser: Callable[..., Browser]
) -> None:
    """Opened tokens are kept in memory, but the record decides."""
    # given
    connection_id = new_browser(fresh("merchant")).connect(connection_id=fresh())
    application.call("token", connection_id=connection_id)

    # when
    application.call("revoke", connection_id=connection_id)

    # then
    assert application.call("token", connection_id=connection_id)["error"] == "connection_revoked"


# Refreshed first


@pytest.mark.parametrize(
    ("age", "fields", "refreshes"),
    [
        (0, {}, False),
        (LIFETIME - MARGIN - 20, {}, False),
        (LIFETIME - MARGIN, {}, True),
        (LIFETIME - 30, {}, True),
        (LIFETIME + 1, {}, True),
        (LIFETIME * 100, {}, True),
        (LIFETIME - MARGIN - 600, {"min_ttl": 600}, False),
        (LIFETIME - MARGIN - 600, {"min_ttl": 1000}, True),
        (LIFETIME - MARGIN - 600, {"min_ttl": 0}, False),
        (0, {"min_ttl": 0}, False),
        (10, {"min_ttl": LIFETIME - 5}, True),
    ],
)
def test_refreshes_when_min_ttl_or_the_margin_demand_it(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    connection_id: str,
    demo: DemoServer,
    age: int,
    fields: dict[str, int],
    refreshes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """The token that comes lives at least `min_ttl` more; the soft margin is five minutes."""
    # given
    stack.clock.advance(age)

    # when
    answer = application.call("token", connection_id=connection_id, **fields)

    # then
    assert answer["expires_at"] - stack.clock.now() >= fields.get("min_ttl", 60) - 10
    assert (answer["version"], token_requests(demo)) == ((2, 1) if refreshes else (1, 0))


def test_min_ttl_beyond_the_tokens_life_does_not_wear_out_the_refresh_token(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """Nobody can have a token that lives longer than the server makes them: a young one is as good as it gets."""
    # when
    young = [application.call("token", connection_id=connection_id, min_ttl=86400) for _ in range(3)]
    stack.clock.advance(LIFETIME // 2 + 10)
    older = [application.call("token", connection_id=connection_id, min_ttl=86400) for _ in range(3)]

    # then
    assert [answer["version"] for answer in young + older] == [1, 1, 1, 2, 2, 2]
    assert token_requests(demo) == 1


def test_refresh_keeps_or_replaces_the_refresh_token(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """If the server sends no new refresh token the old one stays; if it rotates, the new one is used next."""
    # when
    versions = []
    for rotate in (False, True, True, False):
        demo.put_faults(Faults(endpoint="token", rotate=rotate))
        stack.clock.advance(LIFETIME)
        versions.append(application.call("token", connection_id=connection_id)["version"])

    # then
    assert versions == [2, 3, 4, 5]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed"] * 4


def test_refresh_costs_are_bounded(
    stack: Stack, application: Application, connection_id: str, aws_calls: list[AwsCall]
) -> None:
    """A refresh: one read, the claim of the lease, both data keys, the commit; a note every ten minutes.

    The old set is opened again, because opened ones stay in memory for an hour only.
    """
    # given
    application.call("token", connection_id=connection_id)
    stack.clock.advance(LIFETIME)
    aws_calls.clear()

    # when
    application.call("token", connection_id=connection_id)

    # then
    asked = [name for name in operations(aws_calls) if name != "GetSecretValue"]
    assert asked == ["GetItem", "UpdateItem", "Decrypt", "GenerateDataKey", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize("literal", ["", "null", "0", "-1", '"abc"', "1e400", "true", "[]"])
def test_token_without_a_known_expiry_is_taken_as_valid(
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, literal: str
) -> None:
    """However the server leaves the expiry open, the token is vended without one until a caller says otherwise."""
    # given
    demo.put_faults(Faults(endpoint="token", expires_in_literal=literal))
    connection_id = browser.connect(connection_id=fresh())
    demo.reset()
    stack.clock.advance(LIFETIME * 24)

    # when
    answer = application.call("token", connection_id=connection_id, min_ttl=600)

    # then
    assert answer.keys() == TOKEN_KEYS
    assert (answer["expires_at"], answer["version"], token_requests(demo)) == (None, 1, 0)
    assert application.call("refresh", connection_id=connection_id)["version"] == 2


@pytest.mark.parametrize(
    ("literal", "seconds"), [('"1800"', 1800), ("1800.9", 1800), ('"1.8e3"', 1800), ("1800", 1800)]
)
def test_expiry_is_understood_however_it_is_written(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack, application: Application, browser: Browser, demo: DemoServer, literal: str, seconds: int
) -> None:
    """A string, a float, a string of a float: `expires_in` is seconds from now."""
    # given
    demo.put_faults(Faults(endpoint="token", expires_in_literal=literal))

    # when
    before = int(stack.clock.now())
    connection_id = browser.connect(connection_id=fresh())

    # then
    expires_at = application.call("token", connection_id=connection_id)["expires_at"]
    assert before + seconds <= expires_at <= stack.clock.now() + seconds


# One refresh for all


def test_valid_token_is_served_while_a_refresh_is_in_flight(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Inside the soft margin one caller refreshes; the others get the current token without waiting for it."""
    # given
    scripted.answers["/token"] = {"access_token": "first", "refresh_token": "refresh-1", "expires_in": LIFETIME}
    started, _ = connect(application, browser, application.register(scripted.registration))
    connection_id = started["connection_id"]
    stack.clock.advance(LIFETIME - 200)
    scripted.answers["/token"] = {"access_token": "second", "expires_in": LIFETIME}
    scripted.open.clear()

    # when
    with ThreadPoolExecutor(1) as pool:
        winner = pool.submit(application.call, "token", connection_id=connection_id)
        while scripted.paths() != ["/token", "/token"]:
            time.sleep(0.01)
        others = [application.call("token", connection_id=connection_id) for _ in range(4)]
        answered_first = not winner.done()
        scripted.open.set()

    # then
    assert answered_first
    assert {answer["access_token"] for answer in others} == {"first"}
    assert winner.result()["access_token"] == "second"
    assert scripted.paths() == ["/token", "/token"]


def test_all_who_ask_for_an_expired_token_get_the_one_that_is_fetched(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """Eight at once: one request at the token endpoint, eight equal answers."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(Faults(endpoint="token", delay_seconds=0.3, rotate=True))

    # when
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: application.call("token", connection_id=connection_id), range(8)))

    # then
    assert answers == [answers[0]] * 8
    assert answers[0]["version"] == 2
    assert token_requests(demo) == 1


def test_all_who_ask_for_an_expired_token_share_a_failure(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """Eight at once, the server failing: one request, eight equal failures, to the last field."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(Faults(endpoint="token", status=503, delay_seconds=0.3))

    # when
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: application.call("token", connection_id=connection_id), range(8)))

    # then
    assert answers == [answers[0]] * 8
    assert answers[0]["error"] == "provider_unavailable"
    assert token_requests(demo) == 1


# Failures


@pytest.mark.parametrize(
    ("fault", "error", "retryable", "said"),
    [
        (Faults(endpoint="token", status=500), "provider_unavailable", True, ("500", 500)),
        (Faults(endpoint="token", status=503), "provider_unavailable", True, ("503", 503)),
        (Faults(endpoint="token", html=True), "provider_unavailable", True, None),
        (Faults(endpoint="token", html=True, status=403), "provider_unavailable", True, ("http_403", 403)),
        (Faults(endpoint="token", drop_answer=True), "provider_unavailable", True, None),
        (Faults(endpoint="token", huge_body_bytes=1024 * 1024), "provider_unavailable", True, None),
        (Faults(endpoint="token", status=429), "provider_throttled", True, ("429", 429)),
        (Faults(endpoint="token", error="slow_down"), "provider_throttled", True, ("slow_down", 400)),
        (Faults(endpoint="token", error="server_error"), "provider_unavailable", True, ("server_error", 400)),
        (Faults(endpoint="token", error="invalid_client"), "provider_misconfigured", False, ("invalid_client", 401)),
        (
            Faults(endpoint="token", error="invalid_client", error_form="ok"),
            "provider_misconfigured",
            False,
            ("invalid_client", 200),
        ),
        (
            Faults(endpoint="token", error="unauthorized_client"),
            "provider_misconfigured",
            False,
            ("unauthorized_client", 400),
        ),
        (Faults(endpoint="token", status=410), "provider_misconfigured", False, ("410", 410)),
        (Faults(endpoint="token", status=404), "provider_misconfigured", False, ("404", 404)),
        (
            Faults(endpoint="token", redirect_to="http://127.0.0.1:9/elsewhere"),
            "provider_misconfigured",
            False,
            ("http_302", 302),
        ),
    ],
)
def test_failure_is_classified_and_heals(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    connection_id: str,
    demo: DemoServer,
    fault: Faults,
    error: str,
    retryable: bool,  # noqa: FBT001 - a column of the table
    said: tuple[str, int] | None,
) -> None:
    """The code says whose fault it is; no such failure kills the connection, and a recovery clears it."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(fault)

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    expected = FAILURE_KEYS | {"connection_id", "asked_at"} | ({"retry_after"} if retryable else set())
    assert answer.keys() == expected | ({"provider_error"} if said else set())
    assert (answer["error"], answer["retryable"], answer["connection_id"]) == (error, retryable, connection_id)
    if said:
        assert answer["provider_error"].keys() == {"error", "error_description", "status"}
        assert (answer["provider_error"]["error"], answer["provider_error"]["status"]) == said
    if retryable:
        assert isinstance(answer["retry_after"], int)
        assert answer["retry_after"] >= 1

    # and
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert (connection["status"], connection["failure"]["code"], connection["failure"]["count"]) == ("active", error, 1)
    assert connection["failure"]["at"] == answer["asked_at"]

    # when the server works again and the wait is over
    demo.reset()
    stack.clock.advance(600)
    healed = application.call("token", connection_id=connection_id)

    # then
    assert (healed["version"], token_requests(demo)) == (2, 1)
    assert application.call("connections", connection_id=connection_id)["connection"]["failure"] is None


def test_nobody_calls_the_server_until_retry_at(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """A failure is remembered: callers get it, with the seconds that are left, and the server is left alone."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(Faults(endpoint="token", status=503))

    # when
    first = application.call("token", connection_id=connection_id)
    again = [application.call("token", connection_id=connection_id) for _ in range(3)]
    by_refresh = application.call("refresh", connection_id=connection_id)

    # then
    assert {answer["error"] for answer in [first, *again, by_refresh]} == {"provider_unavailable"}
    assert token_requests(demo) == 1

    # when the wait is over, one asks again, and the next wait is longer
    stack.clock.advance(first["retry_after"] + 1)
    second = application.call("token", connection_id=connection_id)

    # then
    assert token_requests(demo) == 2
    assert second["retry_after"] > first["retry_after"]


@pytest.mark.parametrize(
    ("ends_at", "may_be_refused"),
    [pytest.param(65, set(), id="over before it matters"), pytest.param(60, {60, 55}, id="over after one attempt")],
)
def test_an_outage_while_a_refresh_is_an_offer_is_over_when_it_is_needed(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack, application: Application, connection_id: str, demo: DemoServer, ends_at: int, may_be_refused: set[int]
) -> None:
    """A caller every five seconds, through the last five minutes of a token's life and on: everybody has a token.

    The server fails until so many seconds before the end. The pauses that grew meanwhile keep nobody from asking whom
    the old token serves no more.
    """
    # given
    expires_at = application.call("token", connection_id=connection_id)["expires_at"]
    demo.put_faults(Faults(endpoint="token", status=503))

    # when
    answers = {}
    for left in range(310, -50, -5):
        if left < ends_at:
            demo.put_faults(Faults(endpoint="token"))
        # However long the calls take on this machine.
        stack.clock.advance(max(0, expires_at - left - stack.clock.now()))
        answers[left] = application.call("token", connection_id=connection_id)

    # then
    refused = {left for left, answer in answers.items() if "error" in answer}
    assert refused <= may_be_refused
    assert 3 < token_requests(demo) < 9


def test_retry_after_in_seconds_is_obeyed(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """The server's own wait is passed on and kept, however long beside our own."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(Faults(endpoint="token", status=429, retry_after=700))

    # when
    answer = application.call("token", connection_id=connection_id)
    by_http = application.post("token", {"connection_id": connection_id})
    stack.clock.advance(680)
    still = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == "provider_throttled"
    assert 700 <= answer["retry_after"] <= 701  # rounded up, never down
    assert (by_http.status_code, by_http.headers["Retry-After"]) == (503, str(answer["retry_after"]))
    assert still["error"] == "provider_throttled"
    assert 0 < still["retry_after"] <= 21
    assert token_requests(demo) == 1

    # when it is over
    demo.reset()
    stack.clock.advance(22)

    # then
    assert application.call("token", connection_id=connection_id)["version"] == 2


def test_retry_after_as_a_date_is_obeyed(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """An HTTP date counts from the server's own Date (RFC 9110 section 10.2.3)."""
    # given
    stack.clock.advance(LIFETIME)
    at = datetime.now(UTC) + timedelta(seconds=500)
    demo.put_faults(Faults(endpoint="token", status=503, retry_after=format_datetime(at, usegmt=True)))

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == "provider_unavailable"
    assert 450 < answer["retry_after"] <= 501


@pytest.mark.parametrize("retry_after", ["soon", "-5", "1.5", "Fri, 99 Foo 2026 99:99:99 GMT", "9" * 30])
def test_odd_retry_after_falls_back_to_our_own_wait(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer, retry_after: str
) -> None:
    """What cannot be understood is passed over."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(Faults(endpoint="token", status=503, retry_after=retry_after))

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer["error"] == "provider_unavailable"
    assert 1 <= answer["retry_after"] <= 10


def test_valid_token_is_vended_through_an_outage(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """In the soft margin a failing refresh is nobody's problem: the good token is served, the server spared."""
    # given
    stack.clock.advance(LIFETIME - 250)
    demo.put_faults(Faults(endpoint="token", status=500))

    # when
    answers = [application.call("token", connection_id=connection_id) for _ in range(4)]
    spared = token_requests(demo)
    too_much = [application.call("token", connection_id=connection_id, min_ttl=900) for _ in range(3)]

    # then
    assert [answer.get("version") for answer in answers] == [1] * 4
    assert [answer["error"] for answer in too_much] == ["provider_unavailable"] * 3
    assert (spared, token_requests(demo)) == (1, 2)  # one for the offer, one for the need

    # when the server is back
    demo.reset()
    stack.clock.advance(30)

    # then
    assert application.call("token", connection_id=connection_id)["version"] == 2
    assert application.call("connections", connection_id=connection_id)["connection"]["failure"] is None


@pytest.mark.parametrize("form", ["rfc6749", "ok"])
def test_dead_grant_asks_for_a_new_authorization_and_stays_dead(  # noqa: PLR0913, PLR0917 - pytest passes them by name
    stack: Stack,
    application: Application,
    new_browser: Callable[..., Browser],
    demo: DemoServer,
    aws_calls: list[AwsCall],
    form: str,
) -> None:
    """`invalid_grant` ends the connection; from then on nobody asks the server, and nothing is written."""
    # given
    merchant = fresh("merchant")
    connection_id = new_browser(merchant).connect(connection_id=fresh())
    demo.withdraw(merchant)
    demo.reset()
    demo.put_faults(Faults(endpoint="token", error_form=form))
    stack.clock.advance(LIFETIME)

    # when
    first = application.call("token", connection_id=connection_id)
    demo.put_faults(Faults(endpoint="token"))
    aws_calls.clear()
    stack.clock.advance(86400)
    later = application.call("token", connection_id=connection_id)
    written = writes(aws_calls)
    by_refresh = application.call("refresh", connection_id=connection_id)
    by_http = application.post("token", {"connection_id": connection_id})

    # then
    assert first.keys() == FAILURE_KEYS | {"connection_id", "provider_error"}
    assert (first["error"], first["retryable"]) == ("reauthorization_required", False)
    assert first["provider_error"]["error"] == "invalid_grant"
    assert "interrupted" not in first["error_description"]
    assert first == later == by_refresh == by_http.json()
    assert by_http.status_code == 409
    assert "Retry-After" not in by_http.headers
    assert (written, token_requests(demo)) == ([], 2)  # the second one is the caller's of refresh
    status = application.call("connections", connection_id=connection_id)["connection"]["status"]
    assert status == "reauthorization_required"


def test_dead_grant_that_follows_an_interruption_says_so(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """The server rotated, its answer was lost, then it knows the old token no more: the description mentions that."""
    # given
    stack.clock.advance(LIFETIME)
    demo.put_faults(
        Faults(endpoint="token", rotate=True, drop_answer=True, times=1), Faults(endpoint="token", rotate=True)
    )

    # when
    lost = application.call("token", connection_id=connection_id)
    stack.clock.advance(lost["retry_after"] + 1)
    dead = application.call("token", connection_id=connection_id)

    # then
    assert (lost["error"], dead["error"]) == ("provider_unavailable", "reauthorization_required")
    assert "interrupted" in dead["error_description"]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed", "invalid_grant"]


def test_lost_answer_is_fetched_again_inside_a_replay_window(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer
) -> None:
    """Many servers repeat a rotated answer for a while: the stored token is tried once more before giving up."""
    # given
    stack.clock.advance(LIFETIME)
    window = Faults(endpoint="token", rotate=True, replay_window_seconds=60)
    demo.put_faults(Faults(endpoint="token", rotate=True, replay_window_seconds=60, drop_answer=True, times=1), window)

    # when
    lost = application.call("token", connection_id=connection_id)
    stack.clock.advance(lost["retry_after"] + 1)
    found = application.call("token", connection_id=connection_id)
    stack.clock.advance(LIFETIME)
    next_one = application.call("token", connection_id=connection_id)

    # then
    assert (found["version"], next_one["version"]) == (2, 3)
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed", "replayed", "refreshed"]


def test_grant_without_refresh_token_ends_with_its_access_token(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """It is vended while it lives; then only a new consent helps, which is said without asking the server."""
    # given
    scripted.answers["/token"] = {"access_token": "lonely-access-token", "token_type": "Bearer", "expires_in": LIFETIME}
    started, _ = connect(application, browser, application.register(scripted.registration))
    connection_id = started["connection_id"]

    # when
    alive = application.call("token", connection_id=connection_id)
    stack.clock.advance(LIFETIME - 100)
    in_the_margin = application.call("token", connection_id=connection_id)
    beyond = application.call("token", connection_id=connection_id, min_ttl=600)
    unharmed = application.call("token", connection_id=connection_id)
    stack.clock.advance(101)
    over = application.call("token", connection_id=connection_id)

    # then
    assert alive["access_token"] == in_the_margin["access_token"] == unharmed["access_token"]
    assert beyond["error"] == over["error"] == "reauthorization_required"
    assert scripted.paths() == ["/token"]
    connection = application.call("connections", connection_id=connection_id)["connection"]
    assert connection["status"] == "reauthorization_required"


# Refusals


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connection_id", None),
        ("connection_id", ""),
        ("connection_id", "a b"),
        ("connection_id", {}),
        ("min_ttl", -1),
        ("min_ttl", 86401),
        ("min_ttl", 1.5),
        ("min_ttl", "60"),
        ("min_ttl", True),
        ("minttl", 60),
        ("if_version", 1),
    ],
)
def test_bad_field_is_named(application: Application, aws_calls: list[AwsCall], field: str, value: object) -> None:
    """Bad, missing and unknown fields are named, and nothing is read."""
    # when
    answer = application.call("token", **{"connection_id": "some", field: value})

    # then
    assert answer.keys() == FAILURE_KEYS
    assert answer["error"] == "invalid_request"
    assert answer["error_description"].startswith(f"{field}: ")
    assert aws_calls == []


def test_unknown_connection(application: Application, aws_calls: list[AwsCall]) -> None:
    """One read, and a failure that names the connection."""
    # given
    connection_id = fresh()

    # when
    answer = application.call("token", connection_id=connection_id)

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id"}
    assert (answer["error"], answer["connection_id"]) == ("connection_not_found", connection_id)
    assert operations(aws_calls) == ["GetItem"]


def test_started_but_never_completed_connection_is_not_found(application: Application) -> None:
    """An id exists from its first authorization on, not from `start`."""
    # given
    started = application.call("start", provider="ultracart", connection_id=fresh())

    # when
    answer = application.call("token", connection_id=started["connection_id"])

    # then
    assert answer["error"] == "connection_not_found"


# The caller's time


def test_nothing_is_begun_that_cannot_be_finished(
    stack: Stack, application: Application, connection_id: str, demo: DemoServer, aws_calls: list[AwsCall]
) -> None:
    """With three seconds left no refresh is started: no claim, no request, an answer that says to try again."""
    # given
    stack.clock.advance(LIFETIME)
    aws_calls.clear()

    # when
    answer = with_services(stack, token)({"connection_id": connection_id}, Context(remaining_seconds=3.5))

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id", "retry_after"}
    assert (answer["error"], answer["retryable"]) == ("temporarily_unavailable", True)
    assert (token_requests(demo), writes(aws_calls)) == (0, [])
    assert application.call("token", connection_id=connection_id)["version"] == 2


def test_refresh_in_flight_can_outlast_the_callers_time(
    stack: Stack, application: Application, browser: Browser, scripted: Scripted
) -> None:
    """Who waits for another's refresh is answered before its own time is up; the refresh itself is not disturbed."""
    # given
    scripted.answers["/token"] = {"access_token": "first", "refresh_token": "refresh-1", "expires_in": LIFETIME}
    started, _ = connect(application, browser, application.register(scripted.registration))
    connection_id = started["connection_id"]
    stack.clock.advance(LIFETIME)
    scripted.answers["/token"] = {"access_token": "second", "expires_in": LIFETIME}
    scripted.open.clear()

    # when
    with ThreadPoolExecutor(1) as pool:
        winner = pool.submit(application.call, "token", connection_id=connection_id)
        while scripted.paths() != ["/token", "/token"]:
            time.sleep(0.01)
        answer = with_services(stack, token)({"connection_id": connection_id}, Context(remaining_seconds=0.4))
        scripted.open.set()

    # then
    assert answer.keys() == FAILURE_KEYS | {"connection_id", "retry_after"}
    assert (answer["error"], answer["retryable"]) == ("temporarily_unavailable", True)
    assert winner.result()["version"] == 2
