"""The example under examples/orders gets its tokens from Gatehouse and reads orders with UltraCart's own SDK."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from examples.orders.app import Gatehouse, GatehouseError, Orders
from functions.vault.grant.connection import JUST_OBTAINED
from local.demo import Faults

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser

UNAVAILABLE = {
    "error": "provider_unavailable",
    "error_description": "The server does not answer.",
    "retryable": True,
    "retry_after": 30,
}
REAUTHORIZE = {"error": "reauthorization_required", "error_description": "Start again.", "retryable": False}


class ScriptedLambda:
    """A Lambda client whose functions give scripted answers, one after the other."""

    def __init__(self, *answers: dict[str, Any], function_error: str | None = None) -> None:
        self._answers = list(answers)
        self._function_error = {"FunctionError": function_error} if function_error else {}
        self.invocations: list[tuple[str, dict[str, Any]]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Answer the next invocation."""
        self.invocations.append((FunctionName, json.loads(Payload)))
        return {"Payload": io.BytesIO(json.dumps(self._answers.pop(0)).encode())} | self._function_error


class Pauses(list[float]):
    """A sleep that only counts."""

    def __call__(self, seconds: float) -> None:
        """Note the pause."""
        self.append(seconds)


def gatehouse(functions: ScriptedLambda, pauses: Pauses) -> Gatehouse:
    """Make the example's client of those functions."""
    return Gatehouse(cast("LambdaClient", functions), pauses)


def test_a_retryable_failure_is_asked_again_after_a_pause() -> None:
    """The pause is what Gatehouse asks for, within the example's patience."""
    token = {"access_token": "access-token", "version": 3}
    functions, pauses = ScriptedLambda(UNAVAILABLE, UNAVAILABLE, token), Pauses()

    got = gatehouse(functions, pauses).token("shop-1")

    assert (got.value, got.version) == ("access-token", 3)
    assert functions.invocations == [("gatehouse-token:live", {"connection_id": "shop-1", "min_ttl": 60})] * 3
    assert pauses == [5, 5]


def test_a_failure_that_lasts_is_reported_after_three_attempts() -> None:
    """The example does not wait for ever."""
    functions, pauses = ScriptedLambda(*[UNAVAILABLE] * 3), Pauses()

    with pytest.raises(GatehouseError) as failure:
        gatehouse(functions, pauses).token("shop-1")

    assert failure.value.code == "provider_unavailable"
    assert len(functions.invocations) == 3


def test_a_final_failure_is_reported_at_once() -> None:
    """What cannot get better is not tried again."""
    functions, pauses = ScriptedLambda(REAUTHORIZE), Pauses()

    with pytest.raises(GatehouseError) as failure:
        gatehouse(functions, pauses).token("shop-1")

    assert failure.value.code == "reauthorization_required"
    assert pauses == []


def test_a_function_that_broke_is_not_taken_for_an_answer() -> None:
    """A Lambda timeout has no `error` field, and is an error even so."""
    functions = ScriptedLambda({"errorType": "Sandbox.Timedout"}, function_error="Unhandled")

    with pytest.raises(GatehouseError) as failure:
        gatehouse(functions, Pauses()).token("shop-1")

    assert failure.value.code == "server_error"


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
    return Orders(Gatehouse(stack.lambda_client()), f"{stack.demo.url}/rest/v2")
