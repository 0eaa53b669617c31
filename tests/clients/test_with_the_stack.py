"""The client calls the local stack, by Invoke and by HTTP, and gets what the contract says."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

import gatehouse
from functions.vault.grant.connection import JUST_OBTAINED
from gatehouse import Gatehouse
from local.demo import Faults
from tests.clients import installed
from tests.world import LONGER_THAN_A_TOKEN_LIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser

PROCESSES, THREADS = 4, 16
CALLERS = PROCESSES * THREADS
ASKING = Path(__file__).with_name("asking.py")


def test_a_token_comes_by_invoke_and_by_http(stack: Stack, browser: Browser) -> None:
    """It is the token that the stack vends, whichever way it comes."""
    connection_id = browser.connect(connection_id="client-ways", owner="client-acme")
    vended = stack.invoke("token", {"connection_id": connection_id})
    assert vended is not None
    ways = [
        Gatehouse(client=stack.lambda_client()),
        Gatehouse(url=stack.base_url),
        Gatehouse(url=stack.base_url, owner="client-acme"),
        Gatehouse(url=stack.base_url, connection=True),
        Gatehouse(url=stack.base_url, connection=connection_id),
    ]

    tokens = [client.token(connection_id) for client in ways]

    assert {token.access_token for token in tokens} == {vended["access_token"]}
    assert {token.version for token in tokens} == {1}
    assert {str(token.metadata) for token in tokens} == {str(vended["metadata"])}


def test_a_path_leads_to_nobody_elses_connections(stack: Stack, browser: Browser) -> None:
    """What the path does not include is answered as what does not exist; what cannot be in a path, the client says."""
    connection_id = browser.connect(connection_id="client-foreign", owner="client-acme")

    with pytest.raises(gatehouse.ConnectionNotFound):
        Gatehouse(url=stack.base_url, owner="client-other").token(connection_id)
    with pytest.raises(gatehouse.InvalidRequest, match="shop:1"):
        Gatehouse(url=stack.base_url, connection=True).token("shop:1")
    with pytest.raises(gatehouse.InvalidRequest, match="has to name one"):
        Gatehouse(url=stack.base_url, connection=True).call("connections", {})


def test_a_connection_from_its_link_to_its_end(stack: Stack, browser: Browser) -> None:
    """All functions, each with the answer of the contract."""
    client = Gatehouse(client=stack.lambda_client())
    link = client.start(
        "ultracart", owner="client-life", confirm=True, return_to=f"{stack.base_url}/app", tags={"plan": "gold"}
    )
    back = browser.open(browser.consent(browser.authorize(link.authorize_url))).headers["Location"]
    query = dict(part.split("=", 1) for part in back.partition("?")[2].split("&"))

    with pytest.raises(gatehouse.ConfirmationRequired):
        client.token(link.connection_id)
    confirmed = client.confirm(link.connection_id, query["confirmation"], owner="client-life")
    token = client.token(link.connection_id)
    listed = list(client.connections(owner="client-life", tag={"plan": "gold"}, limit=1))
    attempt = client.attempt(link.request_id)
    revoked = client.revoke(link.connection_id)

    assert confirmed == {"connection_id": link.connection_id, "status": "active", "version": token.version}
    assert [(each["connection_id"], each["tags"]) for each in listed] == [(link.connection_id, {"plan": "gold"})]
    assert attempt is not None
    assert attempt["outcome"] == "connected"
    assert revoked["status"] == "revoked"
    with pytest.raises(gatehouse.NotConnected):
        client.token(link.connection_id)


def test_a_grant_that_is_brought_along_is_vended(stack: Stack) -> None:
    """By Invoke and by HTTP. The same call again is answered by what is stored."""
    brought: dict[str, Any] = {
        "access_token": "brought-access-of-the-client",
        "expires_at": int(stack.clock.now()) + 3600,
        "metadata": {"host": "api.example.com"},
        "tags": {"from": "elsewhere"},
    }
    for client, connection_id in (
        (Gatehouse(client=stack.lambda_client()), "client-brought-1"),
        (Gatehouse(url=stack.base_url, owner="client-acme"), "client-brought-2"),
    ):
        answers = [client.import_connection("ultracart", connection_id, **brought) for _ in range(2)]
        token = client.token(connection_id)

        assert answers == [{"connection_id": connection_id, "status": "active", "version": 1}] * 2
        assert (token.access_token, token.metadata) == (brought["access_token"], brought["metadata"])
        with pytest.raises(gatehouse.InvalidRequest):
            client.import_connection("ultracart", connection_id, **brought | {"access_token": "another"})


def test_a_token_that_the_api_rejects_is_replaced(stack: Stack, demo: DemoServer, browser: Browser) -> None:
    """One refresh at the provider, and the request goes out once more."""
    connection_id = browser.connect(connection_id="client-rejected")
    stack.clock.advance(JUST_OBTAINED)
    demo.put_faults(Faults("api", status=401, times=1))
    client = Gatehouse(client=stack.lambda_client())

    orders = requests.get(
        f"{demo.url}/rest/v2/order/orders",
        headers={"X-UltraCart-Api-Version": "2017-03-01"},
        auth=client.auth_for(connection_id),
        timeout=10,
    )

    assert orders.status_code == 200
    assert [seen["outcome"] for seen in demo.requests("token")] == ["issued", "refreshed"]
    assert [seen["answer"] for seen in demo.requests("api")] == [401, 200]


@pytest.fixture
def crowd(stack: Stack, browser: Browser) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Give four processes with sixteen threads each, which share a connection; called, all of them do the same."""
    connection_id = browser.connect(connection_id="client-crowd")
    environment = {**os.environ, "AWS_ENDPOINT_URL_LAMBDA": stack.local_url, "PYTHONPATH": ""}
    command = [str(installed.python()), str(ASKING), connection_id, str(THREADS)]
    with ExitStack() as ended:
        processes = [
            ended.enter_context(
                subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(PROCESSES)
        ]
        pipes = [(process.stdin, process.stdout) for process in processes if process.stdin and process.stdout]
        assert [out.readline() for _, out in pipes] == ["ready\n"] * PROCESSES

        def do(what: str) -> list[dict[str, Any]]:
            for into, _ in pipes:
                into.write(f"{what}\n")
                into.flush()
            return [json.loads(out.readline()) for _, out in pipes]

        yield do
        for into, _ in pipes:
            into.close()


def test_64_callers_in_four_processes(
    stack: Stack, demo: DemoServer, crowd: Callable[[str], list[dict[str, Any]]]
) -> None:
    """If the token has expired, they cause one refresh. If an API answers 401 to everything, one more, and no loop."""
    stack.clock.advance(LONGER_THAN_A_TOKEN_LIVES)
    demo.reset()

    asked = crowd("")

    (came,) = {tuple(each["came"].items()) for each in asked}
    assert came[0][0].startswith("2 ")
    assert came[0][1] == THREADS, "the same token for all of them"
    assert [each["calls"] for each in asked] == [{"token": 1}] * PROCESSES
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed"]

    stack.clock.advance(JUST_OBTAINED)
    demo.reset()
    demo.put_faults(Faults("api", status=401))

    refused = [crowd(f"{demo.url}/rest/v2/order/orders") for _ in range(2)]

    assert [each["came"] for answers in refused for each in answers] == [{"401": THREADS}] * 2 * PROCESSES
    assert [[each["calls"] for each in answers] for answers in refused] == [
        [{"refresh": 1}] * PROCESSES,
        [{}] * PROCESSES,
    ]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["refreshed"]
    # Each of the first requests is sent twice, at the most, and each of the second ones once.
    assert 2 * CALLERS <= len(demo.requests("api")) <= 3 * CALLERS
