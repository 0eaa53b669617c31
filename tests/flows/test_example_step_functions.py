"""The state machine under examples/step-functions, walked state by state with the functions of the local stack."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from functions.vault.grant.connection import JUST_OBTAINED
from local.demo import Faults
from tests.browser import invoke
from tests.flows.state_machine import ExecutionFailed, Machine
from tests.requirements import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from local.demo import DemoServer
    from local.stack import Stack
    from tests.browser import Browser

FOLDER = ROOT / "examples" / "step-functions"
RESOURCES: dict[str, Any] = yaml_parse((FOLDER / "template.yaml").read_text(encoding="utf-8"))["Resources"]
MACHINE: dict[str, Any] = RESOURCES["ReadOrders"]["Properties"]
CONNECTED = ["Token", "IsThereAToken", "Orders", "IsTheTokenGood"]
ANOTHER = ["Rejected", "Refresh", "IsThereAToken"]


@pytest.fixture
def orders(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the function of the example as Lambda does: its folder is to be copied, and is no package."""
    monkeypatch.setenv("ULTRACART_HOST", f"{stack.demo.url}/rest/v2")
    specification = importlib.util.spec_from_file_location("step_functions_orders", FOLDER / "orders.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Executions:
    """Executions of the machine of the template. Whatever it waits for passes by the stack's clock."""

    def __init__(self, stack: Stack, orders: ModuleType) -> None:
        self._stack = stack
        self._orders = orders
        self.pauses: list[float] = []
        self.waited: list[float] = []
        self.visited: list[str] = []

    def run(self, connection_id: str) -> Any:
        """Run one to its end, and return its output."""
        machine = Machine(MACHINE["Definition"], self._functions(), self._wait)
        try:
            output = machine.run({"connection_id": connection_id})
        finally:
            self.visited = machine.visited
        # An output is kept by whoever started the execution.
        kept = json.dumps(output)
        assert not any(secret in kept for secret in self._stack.demo.secrets()["access_token"])
        return output

    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "${Token}": lambda payload: self._asked("token:live", payload),
            "${Refresh}": lambda payload: self._asked("refresh:live", payload),
            "${Orders}": lambda payload: self._orders.handler(payload, None),
        }

    def _asked(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = invoke(self._stack, function, payload)
        self.pauses += [answer["retry_after"]] if "retry_after" in answer else []
        return answer

    def _wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._stack.clock.advance(seconds)


@pytest.fixture
def executions(stack: Stack, orders: ModuleType) -> Executions:
    """Give executions."""
    return Executions(stack, orders)


def test_a_connected_merchant_has_orders(executions: Executions, browser: Browser) -> None:
    """Four states, and no pause."""
    output = executions.run(browser.connect())

    assert output["status"] == 200
    assert output["orders"][0] == {"order_id": "DEMO-202601010001", "stage": "Completed Order"}
    assert executions.visited == [*CONNECTED, "Done"]
    assert executions.waited == []


def test_who_is_not_connected_is_an_ordinary_output(executions: Executions) -> None:
    """The workflow around it decides by the error: nothing was caught, and nothing waited."""
    output = executions.run("nobody")

    assert (output["error"], output["connection_id"]) == ("connection_not_found", "nobody")
    assert output["error_description"] in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert executions.visited == ["Token", "IsThereAToken", "NoToken"]


def test_what_a_person_has_to_confirm_is_not_waited_for() -> None:
    """It is retryable, and asking each second until the time is over would bring nobody."""
    failure = {"error": "confirmation_required", "error_description": "x", "retryable": True}
    waited: list[float] = []

    machine = Machine(MACHINE["Definition"], {"${Token}": lambda _: failure}, waited.append)

    assert (machine.run({"connection_id": "shop-1"}), waited) == (failure, [])


def test_an_outage_of_the_provider_is_waited_for(
    executions: Executions, browser: Browser, stack: Stack, demo: DemoServer
) -> None:
    """The token has run out and the provider is busy once: the machine waits as the answer says, and goes on."""
    connection_id = browser.connect()
    stack.clock.advance(3600)
    demo.put_faults(Faults("token", status=429, retry_after=7, times=1))

    output = executions.run(connection_id)

    assert output["status"] == 200
    assert executions.visited == ["Token", "IsThereAToken", "WaitAsTheAnswerSays", "AskAgain", *CONNECTED, "Done"]
    assert executions.waited == executions.pauses
    assert 7 <= executions.waited[0] < 20


def test_who_has_to_wait_for_longer_than_a_minute_hears_that(
    executions: Executions, browser: Browser, stack: Stack, demo: DemoServer
) -> None:
    """An express workflow has five minutes: a longer pause is for the workflow around it."""
    connection_id = browser.connect()
    stack.clock.advance(3600)
    demo.put_faults(Faults("token", status=429, retry_after=120, times=1))

    output = executions.run(connection_id)

    assert output["error"] == "provider_throttled"
    assert output["retry_after"] >= 120
    assert executions.visited == ["Token", "IsThereAToken", "NoToken"]


def test_a_rejected_token_is_replaced_by_its_version(
    executions: Executions, browser: Browser, stack: Stack, demo: DemoServer
) -> None:
    """The API's 401 leads to one refresh; if the provider is busy then, it is the refresh that is asked again."""
    connection_id = browser.connect()
    stack.clock.advance(JUST_OBTAINED)
    demo.put_faults(Faults("api", status=401, times=1))
    demo.put_faults(Faults("token", status=429, retry_after=3, times=1))

    output = executions.run(connection_id)

    assert output["status"] == 200
    again = ["WaitAsTheAnswerSays", "AskAgain", "Refresh", "IsThereAToken"]
    assert executions.visited == [*CONNECTED, *ANOTHER, *again, "Orders", "IsTheTokenGood", "Done"]
    assert executions.waited == executions.pauses
    assert [seen["answer"] for seen in demo.requests("api")] == [401, 200]


def test_an_api_that_refuses_a_new_token_too_ends_it(
    executions: Executions, browser: Browser, stack: Stack, demo: DemoServer
) -> None:
    """There is one refresh, and no loop."""
    connection_id = browser.connect()
    stack.clock.advance(JUST_OBTAINED)
    demo.put_faults(Faults("api", status=401))

    with pytest.raises(ExecutionFailed, match="Unauthorized"):
        executions.run(connection_id)

    assert executions.visited == [*CONNECTED, *ANOTHER, "Orders", "IsTheTokenGood", "Unauthorized"]
    assert [seen["outcome"] for seen in demo.requests("token")] == ["issued", "refreshed"]


def test_an_api_that_is_busy_is_tried_again_by_step_functions(
    executions: Executions, browser: Browser, demo: DemoServer
) -> None:
    """The function raises, as functions of one's own do: two failures are retried, and what never ends is a failure."""
    connection_id = browser.connect()
    demo.put_faults(Faults("api", status=503, times=2))

    output = executions.run(connection_id)
    paused = list(executions.waited)
    demo.put_faults(Faults("api", status=429))
    with pytest.raises(ExecutionFailed, match="ApiBusy"):
        executions.run(connection_id)

    assert (output["status"], paused) == (200, [2, 4])


def test_a_failure_without_a_time_is_asked_again_after_a_second() -> None:
    """`retry_after` is not always there, and a Wait whose path leads nowhere would end the execution."""
    failure = {"error": "temporarily_unavailable", "error_description": "x", "retryable": True}
    token = {"access_token": "a", "token_type": "Bearer", "version": 1}
    answers = iter([failure, token])
    waited: list[float] = []
    functions = {"${Token}": lambda _: next(answers), "${Orders}": lambda _: {"status": 200, "orders": []}}

    output = Machine(MACHINE["Definition"], functions, waited.append).run({"connection_id": "shop-1"})

    assert (output, waited) == ({"status": 200, "orders": []}, [1])


def test_the_machine_may_call_what_it_names_and_nothing_else() -> None:
    """Its role has a right for each function of its definition; and it is of the kind that keeps no token."""
    statement = RESOURCES["ReadOrdersRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    tasks = [each for each in MACHINE["Definition"]["States"].values() if each["Type"] == "Task"]
    named = {each["Parameters"]["FunctionName"] for each in tasks}

    assert named == {f"${{{name}}}" for name in MACHINE["DefinitionSubstitutions"]}
    assert statement == [
        {
            "Sid": "Tasks",
            "Effect": "Allow",
            "Action": "lambda:InvokeFunction",
            "Resource": list(MACHINE["DefinitionSubstitutions"].values()),
        }
    ]
    assert MACHINE["StateMachineType"] == "EXPRESS"
    assert MACHINE.get("LoggingConfiguration", {}).get("IncludeExecutionData", False) is False
