"""What UltraCart refuses, the demo server refuses, and a merchant decides on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from local.demo import DECISION_HEADER, Faults
from tests.flows.demo_server.applications import REDIRECT_URI, STATE, TIMEOUT, document_of, query_of

if TYPE_CHECKING:
    from local.demo import DemoServer
    from tests.flows.demo_server.applications import Clock, UltraCart


def test_the_version_header_is_required(ultracart: UltraCart) -> None:
    """A token request without X-UltraCart-Api-Version fails."""
    answer = requests.post(ultracart.registration["token_endpoint"], data={}, timeout=TIMEOUT)

    assert answer.status_code == 400
    assert "X-UltraCart-Api-Version" in answer.headers["UC-REST-ERROR"]


def test_a_code_is_good_once_and_its_reuse_ends_the_grant(ultracart: UltraCart) -> None:
    """RFC 6749 section 4.1.2."""
    code = ultracart.code()
    tokens = document_of(ultracart.exchange(code))

    again = ultracart.exchange(code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert ultracart.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_lives_a_minute(clock: Clock, ultracart: UltraCart) -> None:
    """At 60 seconds it has expired."""
    early, late = ultracart.code(), ultracart.code()

    clock.now += 59
    in_time = ultracart.exchange(early)
    clock.now += 1
    too_late = ultracart.exchange(late)

    assert in_time.status_code == 200
    assert too_late.json()["error"] == "invalid_grant"


def test_a_code_is_bound_to_its_redirect_uri(ultracart: UltraCart) -> None:
    """Another registered redirect_uri is not good enough."""
    answer = ultracart.token(
        grant_type="authorization_code", code=ultracart.code(), redirect_uri="http://localhost:1/callback/other"
    )

    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("secret", "status"), [("demo-ultracart-client-secret", 200), ("not-the-secret-of-this-client", 401)]
)
def test_a_client_secret_is_optional_but_checked(
    server: DemoServer, ultracart: UltraCart, secret: str, status: int
) -> None:
    """A public client may send its secret in the form; a wrong one is refused."""
    answer = ultracart.token(
        grant_type="authorization_code", code=ultracart.code(), redirect_uri=REDIRECT_URI, client_secret=secret
    )

    assert answer.status_code == status
    assert server.requests("token")[0]["client_auth"] == "client_secret_post"


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": ""},
        {"redirect_uri": ""},
        {"redirect_uri": "https://example.com/callback/ultracart"},
        {"redirect_uri": "http://localhost:8787/elsewhere"},
        {"redirect_uri": "http://localhost:8787/callback/../elsewhere"},
        {"redirect_uri": "http://localhost:8787/callback/x?y=1"},
        {"redirect_uri": "http://localhost@example.com/callback/x"},
        {"redirect_uri": "http://localhost:x/callback/x"},
    ],
)
def test_what_cannot_be_trusted_is_never_redirected(ultracart: UltraCart, changes: dict[str, str]) -> None:
    """An unknown client or redirect_uri gets a page (RFC 6749 section 4.1.2.1)."""
    answer = ultracart.authorize(changes)

    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "<h1>Authorization request refused</h1>" in answer.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"response_type": "token"}, "unsupported_response_type"), ({"state": ""}, "invalid_request")],
)
def test_other_mistakes_go_back_to_the_application(ultracart: UltraCart, changes: dict[str, str], error: str) -> None:
    """The redirect carries the error."""
    answer = ultracart.authorize(changes)

    assert query_of(answer)["error"] == error


@pytest.mark.parametrize(("decision", "name"), [("allow", "code"), ("deny", "error")])
def test_the_merchant_decides_on_a_page(ultracart: UltraCart, decision: str, name: str) -> None:
    """The form's hidden field is an opaque id, and a double click gets the same answer."""
    page = ultracart.authorize(headers={DECISION_HEADER: ""})
    form = {"request": page.text.split('name="request" value="')[1].split('"')[0], "decision": decision}
    endpoint = ultracart.registration["authorization_endpoint"]

    first = requests.post(endpoint, form, allow_redirects=False, timeout=TIMEOUT)
    second = requests.post(endpoint, form, allow_redirects=False, timeout=TIMEOUT)

    assert "Demo Outfitters" in page.text
    assert "order_read" in page.text
    assert STATE not in page.text
    assert first.status_code == 303
    assert first.headers["Location"].startswith(f"{REDIRECT_URI}?")
    assert query_of(first)["state"] == STATE
    assert name in query_of(first)
    assert second.headers["Location"] == first.headers["Location"]


def test_a_page_left_open_too_long_is_refused(clock: Clock, ultracart: UltraCart) -> None:
    """Ten minutes later the decision counts for nothing."""
    page = ultracart.authorize(headers={DECISION_HEADER: ""})
    form = {"request": page.text.split('name="request" value="')[1].split('"')[0], "decision": "allow"}

    clock.now += 600
    answer = requests.post(
        ultracart.registration["authorization_endpoint"], form, allow_redirects=False, timeout=TIMEOUT
    )

    assert answer.status_code == 400


def test_denial_can_be_switched_on(server: DemoServer, ultracart: UltraCart) -> None:
    """With `deny` there is no consent page."""
    server.put_faults(Faults("authorize", deny=True))

    answer = ultracart.authorize(headers={DECISION_HEADER: ""})

    assert query_of(answer) == {"error": "access_denied", "state": STATE}


def test_an_error_can_be_sent_through_the_browser(server: DemoServer, ultracart: UltraCart) -> None:
    """UltraCart says `invalid_request` for an authorize URL that has expired."""
    server.put_faults(Faults("authorize", error="invalid_request"))

    answer = ultracart.authorize()

    assert query_of(answer) == {"error": "invalid_request", "state": STATE}


def test_reuse_of_a_rotated_token_ends_the_grant(server: DemoServer, ultracart: UltraCart) -> None:
    """The thief's or the victim's second use kills both (RFC 9700 section 4.14.2)."""
    server.put_faults(Faults("token", rotate=True))
    old = ultracart.connected()["refresh_token"]
    new = document_of(ultracart.refresh(old))["refresh_token"]

    reused = ultracart.refresh(old)

    assert reused.json()["error"] == "invalid_grant"
    assert ultracart.refresh(new).json()["error"] == "invalid_grant"
    assert server.grants()[-1]["revoked"]


def test_reuse_detection_can_be_switched_off(server: DemoServer, ultracart: UltraCart) -> None:
    """Then the old token is only useless."""
    server.put_faults(Faults("token", rotate=True, reuse_detection=False))
    old = ultracart.connected()["refresh_token"]
    new = document_of(ultracart.refresh(old))["refresh_token"]

    reused = ultracart.refresh(old)

    assert reused.json()["error"] == "invalid_grant"
    assert ultracart.refresh(new).status_code == 200


def test_within_the_replay_window_the_same_answer_comes_again(
    server: DemoServer, clock: Clock, ultracart: UltraCart
) -> None:
    """A client that lost the answer asks again and misses nothing; after the window it is reuse."""
    server.put_faults(Faults("token", rotate=True, replay_window_seconds=30))
    old = ultracart.connected()["refresh_token"]

    first = ultracart.refresh(old)
    clock.now += 29.5
    second = ultracart.refresh(old)
    clock.now += 0.5
    third = ultracart.refresh(old)

    assert first.json() == second.json()
    assert third.json()["error"] == "invalid_grant"
    assert [seen["outcome"] for seen in server.requests("token")] == [
        "issued",
        "refreshed",
        "replayed",
        "invalid_grant",
    ]


@pytest.mark.parametrize(("kind", "ends"), [("access_token", True), ("refresh_token", False)])
def test_one_kind_of_token_alone_can_be_taken(
    server: DemoServer, ultracart: UltraCart, kind: str, *, ends: bool
) -> None:
    """As SDKs from before 2026 had it; whatever else comes is a 200 that says no."""
    server.put_faults(Faults("revoke", revokes_by="access_token"))
    tokens = ultracart.connected("ONE-KIND")

    assert document_of(ultracart.revoke(tokens[kind]))["successful"] is ends


def test_an_access_token_that_has_run_out_revokes_nothing(clock: Clock, ultracart: UltraCart) -> None:
    """Nobody knows what the real server does: this one is the harsher."""
    tokens = ultracart.connected("RUN-OUT")

    clock.now += 3600
    answer = ultracart.revoke(tokens["access_token"])

    assert document_of(answer)["successful"] is False
    assert ultracart.refresh(tokens["refresh_token"]).status_code == 200


def test_a_token_answer_can_be_silent_about_the_merchant(server: DemoServer, ultracart: UltraCart) -> None:
    """As older servers' are."""
    server.put_faults(Faults("token", names_merchant=False))

    assert "merchant_id" not in ultracart.connected()


def test_withdrawn_consent_ends_everything(server: DemoServer, ultracart: UltraCart) -> None:
    """A merchant can withdraw at the server, out of sight of the application."""
    gone, kept = ultracart.connected("GONE"), ultracart.connected("KEPT")

    server.withdraw("GONE")

    assert ultracart.refresh(gone["refresh_token"]).json()["error"] == "invalid_grant"
    assert ultracart.refresh(kept["refresh_token"]).status_code == 200
