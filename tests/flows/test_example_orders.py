"""The example under examples/orders gets its tokens from Gatehouse and reads orders with UltraCart's own SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from examples.orders.app import Orders
from functions.vault.grant.connection import JUST_OBTAINED
from gatehouse import Gatehouse
from local.demo import Faults
from tests.documents import run
from tests.requirements import ROOT

if TYPE_CHECKING:
    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser


def test_the_example_reads_orders_through_the_stack(stack: Stack, demo: DemoServer, browser: Browser) -> None:
    """A merchant connects, and the example reads that merchant's orders: one exchange, no refresh."""
    connection_id = browser.connect()

    orders = example(stack).recent(connection_id)

    assert [order["order_id"] for order in orders] == [f"DEMO-20260101000{number}" for number in (1, 2, 3)]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["issued"]
    assert [seen["answer"] for seen in demo.requests("api")] == [200]


def test_a_token_that_ultracart_rejects_is_replaced(stack: Stack, demo: DemoServer, browser: Browser) -> None:
    """A 401 before the token's time makes the example ask for another one, once."""
    connection_id = browser.connect()
    stack.clock.advance(JUST_OBTAINED)
    demo.put_faults(Faults("api", status=401, times=1))

    orders = example(stack).recent(connection_id)

    assert len(orders) == 3
    assert [seen["outcome"] for seen in demo.requests("token")] == ["issued", "refreshed"]
    assert [seen["answer"] for seen in demo.requests("api")] == [401, 200]


def example(stack: Stack) -> Orders:
    """Make the example as its handler does, pointed at the stack."""
    return Orders(Gatehouse(client=stack.lambda_client()), f"{stack.demo.url}/rest/v2")


def test_its_handler_says_why_there_are_no_orders(stack: Stack) -> None:
    """A merchant who has never connected is a failure that the caller can act on."""
    program = (ROOT / "examples" / "orders" / "app.py").read_text(encoding="utf-8").replace("sys.argv[1]", "'nobody'")

    printed = run(program, AWS_ENDPOINT_URL_LAMBDA=stack.local_url)

    assert json.loads(printed) == {"error": "connection_not_found"}
