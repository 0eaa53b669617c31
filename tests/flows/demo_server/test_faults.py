"""Each switch does what it says, and only what exists can be switched."""

from __future__ import annotations

import threading

import pytest
import requests

from local.demo import DemoServer, FaultError, Faults
from tests.flows.demo_server.applications import TIMEOUT, Clock, UltraCart, document_of


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"endpoint": "tokens"}, "endpoint"),
        ({"dely_seconds": 1}, "dely_seconds"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"delay_seconds": "1"}, "delay_seconds"),
        ({"delay_seconds": True}, "delay_seconds"),
        ({"times": 0}, "times"),
        ({"status": 42}, "status"),
        ({"retry_after": 1}, "retry_after"),
        ({"expires_in_literal": "1,"}, "expires_in_literal"),
        ({"html": True, "error": "x"}, "html"),
        ({"error": "x\r\nSet-Cookie: y"}, "error"),
        ([{"status": 500}, {}], "times"),
        ([{"times": 1}, {"endpoint": "token"}], "endpoint"),
        ([], "endpoint"),
        ("token", "document"),
    ],
)
def test_a_bad_switch_is_refused_by_name(server: DemoServer, document: object, field: str) -> None:
    """The answer names the field, and nothing changes."""
    answer = put(server, document)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field}: ")
    assert requests.get(f"{server.url}/_demo/faults", timeout=TIMEOUT).json() == []


def test_switches_in_process_are_checked_too() -> None:
    """A test cannot ask for nonsense either."""
    with pytest.raises(FaultError, match=r"^times: "):
        Faults(times=-1)


def test_faults_follow_each_other_and_end(server: DemoServer, ultracart: UltraCart) -> None:
    """A sequence is used up one by one; then the server works."""
    code = ultracart.code()

    in_force = put(
        server, [{"endpoint": "token", "status": 503, "times": 2}, {"endpoint": "token", "status": 500, "times": 1}]
    )
    statuses = [ultracart.exchange(code).status_code for _ in range(4)]

    assert in_force.json()[0] == {"endpoint": "token", "status": 503, "times": 2}
    assert statuses == [503, 503, 500, 200]


def test_a_named_endpoint_wins_over_all(server: DemoServer, ultracart: UltraCart) -> None:
    """`*` is for the rest."""
    code = ultracart.code()
    server.put_faults(Faults(status=503))
    server.put_faults(Faults("token"))

    assert ultracart.exchange(code).status_code == 200
    assert ultracart.authorize().status_code == 503


@pytest.mark.parametrize("retry_after", [7, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_throttling_says_when_to_come_back(server: DemoServer, ultracart: UltraCart, retry_after: int | str) -> None:
    """429 with Retry-After in either form of RFC 9110 section 10.2.3."""
    put(server, {"endpoint": "token", "status": 429, "retry_after": retry_after})

    answer = ultracart.refresh("unknown")

    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == str(retry_after)
    assert answer.headers["UC-REST-ERROR"] == "rate of 10000 per 86400 second(s) exceeded."


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ("rfc6749", 400, "invalid_scope"),
        ("ok", 200, "invalid_scope"),
        ("error_response", 400, {"error_code": "400", "user_message": "invalid_scope"}),
    ],
)
def test_an_error_comes_in_any_form(
    server: DemoServer, ultracart: UltraCart, form: str, status: int, error: object
) -> None:
    """The same error as RFC 6749 has it, in a 200, and as an ErrorResponse."""
    server.put_faults(Faults("token", error="invalid_scope", error_form=form, status=status))

    answer = ultracart.refresh("unknown")

    assert answer.status_code == status
    answered = answer.json()["error"]
    assert answered == error or error.items() <= answered.items()  # type: ignore[attr-defined]


@pytest.mark.parametrize("literal", ["0", '"3600"', "3600.5", '"abc"', "-1", "null", "1e400", "99999999999999999999"])
def test_expires_in_can_be_odd(server: DemoServer, ultracart: UltraCart, literal: str) -> None:
    """The literal stands in the answer as it was given."""
    server.put_faults(Faults("token", expires_in_literal=literal))

    answer = ultracart.exchange(ultracart.code())

    assert f'"expires_in": {literal}}}' in answer.text


def test_expires_in_can_be_missing(server: DemoServer, ultracart: UltraCart) -> None:
    """An empty literal leaves it out."""
    server.put_faults(Faults("token", expires_in_literal=""))

    assert "expires_in" not in ultracart.connected()


def test_a_dropped_answer_was_acted_upon(server: DemoServer, ultracart: UltraCart) -> None:
    """The client sees a closed connection, the server has spent the refresh token."""
    server.put_faults(Faults("token", rotate=True))
    old = ultracart.connected()["refresh_token"]
    server.put_faults(Faults("token", rotate=True, drop_answer=True, times=1))

    with pytest.raises(requests.ConnectionError):
        ultracart.refresh(old)
    again = ultracart.refresh(old)

    assert again.json()["error"] == "invalid_grant"
    assert [(seen["outcome"], seen["answer"]) for seen in server.requests("token")][1:] == [
        ("refreshed", "dropped"),
        ("invalid_grant", 400),
    ]


def test_a_failure_can_hide_an_action(server: DemoServer, ultracart: UltraCart) -> None:
    """With `act` the 500 is a lie: the code is spent. Without, nothing has happened."""
    honest, lying = ultracart.code(), ultracart.code()

    server.put_faults(Faults("token", status=500, times=1))
    first = [ultracart.exchange(honest).status_code, ultracart.exchange(honest).status_code]
    server.put_faults(Faults("token", status=500, act=True, times=1))
    second = [ultracart.exchange(lying).status_code, ultracart.exchange(lying).status_code]

    assert first == [500, 200]
    assert second == [500, 400]


@pytest.mark.parametrize("status", [None, 404, 502])
def test_a_page_can_stand_in_for_json(server: DemoServer, ultracart: UltraCart, status: int | None) -> None:
    """HTML with status 200 or any other."""
    server.put_faults(Faults("token", html=True, status=status))

    answer = ultracart.refresh("unknown")

    assert answer.status_code == (status or 200)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_redirect_that_is_followed_would_show(server: DemoServer, ultracart: UltraCart) -> None:
    """The record has requests to addresses that do not exist."""
    server.put_faults(Faults("token", redirect_to=f"{server.url}/trap", status=307))

    answer = ultracart.refresh("unknown")
    before = len(server.requests("unknown"))
    requests.post(answer.headers["Location"], timeout=TIMEOUT)

    assert answer.status_code == 307
    assert before == 0
    assert server.requests("unknown")[0]["answer"] == 404


def test_a_body_can_drip_and_be_huge(server: DemoServer, ultracart: UltraCart) -> None:
    """Read to the end it is still the answer."""
    first, second = ultracart.code(), ultracart.code()

    server.put_faults(Faults("token", drip_seconds=0.05))
    dripped = ultracart.exchange(first)
    server.put_faults(Faults("token", huge_body_bytes=3_000_000))
    huge = ultracart.exchange(second)

    assert document_of(dripped)["token_type"] == "bearer"
    assert len(huge.content) > 3_000_000
    assert document_of(huge)["token_type"] == "bearer"


def test_a_delay_holds_nobody_else_up() -> None:
    """While one answer waits, another request is answered; stopping the server ends the wait."""
    with DemoServer(Clock()) as other:
        slow = UltraCart(other)
        code = slow.code()
        other.put_faults(Faults("token", delay_seconds=600, times=1))
        waiting = threading.Thread(target=slow.exchange, args=(code,), daemon=True)
        waiting.start()
        wait_for_token_request(other)

        tokens = slow.connected()

        assert waiting.is_alive()
    waiting.join(TIMEOUT)

    assert tokens["access_token"]
    assert not waiting.is_alive()


def wait_for_token_request(server: DemoServer) -> None:
    """Return when a token request is being answered."""
    pause = threading.Event()
    for _ in range(500):
        if server.requests("token"):
            return
        pause.wait(0.01)
    pytest.fail("no token request came")


def put(server: DemoServer, document: object) -> requests.Response:
    """Set the switches as a test in another process does."""
    return requests.put(f"{server.url}/_demo/faults", json=document, timeout=TIMEOUT)
