"""What the server reports about what it saw."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import requests

from local.demo import Faults
from tests.flows.demo_server.applications import REDIRECT_URI, STATE, TIMEOUT, VERIFIER, document_of

if TYPE_CHECKING:
    from local.demo import DemoServer
    from tests.flows.demo_server.applications import UltraCart


def test_the_record_has_names_and_no_values(server: DemoServer, ultracart: UltraCart) -> None:
    """Over HTTP: who asked for what and how it ended, without any secret."""
    tokens = ultracart.connected()

    record = requests.get(f"{server.url}/_demo/requests", timeout=TIMEOUT)

    assert record.json() == server.requests()
    seen = record.json()[-1]
    assert seen["grant_type"] == "authorization_code"
    assert seen["client_auth"] == "none"
    assert seen["parameter_names"] == ["client_id", "grant_type", "code", "redirect_uri"]
    assert "X-Ultracart-Api-Version" in seen["header_names"]
    assert (seen["outcome"], seen["answer"], seen["dialect"]) == ("issued", 200, "ultracart")
    assert tokens["access_token"] not in record.text
    assert STATE not in record.text
    assert requests.delete(f"{server.url}/_demo/requests", timeout=TIMEOUT).json() == []


def test_every_secret_is_kept_for_leak_scans(server: DemoServer, ultracart: UltraCart) -> None:
    """Codes, states, verifiers, tokens and client secrets, issued or received."""
    code = ultracart.code()
    tokens = document_of(
        ultracart.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI, code_verifier=VERIFIER)
    )

    secrets = requests.get(f"{server.url}/_demo/secrets", timeout=TIMEOUT).json()

    assert secrets == server.secrets()
    assert code in secrets["code"]
    assert STATE in secrets["state"]
    assert VERIFIER in secrets["code_verifier"]
    assert tokens["access_token"] in secrets["access_token"]
    assert tokens["refresh_token"] in secrets["refresh_token"]
    assert server.registrations["demo"]["client_secret"] in secrets["client_secret"]


def test_simultaneous_requests_of_a_grant_are_counted(server: DemoServer, ultracart: UltraCart) -> None:
    """Eight refreshes that wait for each other were open at once."""
    refresh_token = ultracart.connected()["refresh_token"]
    server.put_faults(Faults("token", delay_seconds=0.5))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ultracart.refresh, [refresh_token] * 8))

    grant = requests.get(f"{server.url}/_demo/grants", timeout=TIMEOUT).json()[-1]
    assert grant["max_simultaneous"] == 8
    assert grant["refreshes"] == 8


@pytest.mark.parametrize("faults", [Faults(), Faults(drip_seconds=0.02), Faults(drop_answer=True)])
def test_requests_one_after_the_other_are_not_simultaneous(
    server: DemoServer, ultracart: UltraCart, faults: Faults
) -> None:
    """However the answer ends, a request is over before the client can send the next one."""
    refresh_token = ultracart.connected()["refresh_token"]
    server.put_faults(faults)

    for _ in range(5):
        with suppress(requests.ConnectionError):
            ultracart.refresh(refresh_token)

    assert server.grants()[-1]["refreshes"] == 5
    assert server.grants()[-1]["max_simultaneous"] == 1


def test_the_switches_answer_loopback_names_only(server: DemoServer) -> None:
    """A web page that rebinds its own name to 127.0.0.1 learns nothing."""
    answer = requests.get(f"{server.url}/_demo/secrets", headers={"Host": "evil.example"}, timeout=TIMEOUT)

    assert answer.status_code == 403
