"""The path of a code from the callback to the table, and of a connection_id from `token` to the answer.

Both lead downward through the modules. Whoever reads along one never has to return to a module that was left, except to
read on after the call.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import pytest

import functions
from functions import callback, token
from tests.browser import Browser
from tests.flows.application import Context, with_services
from tools import layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from local.stack import Stack

FUNCTIONS = Path(functions.__file__).parent

CODE = """
    web.handlers base.noted web.events web.api_calls settings
    callback oauth.result_address base.fields oauth.authorization_response oauth.cookies oauth.authorization
    usecases.completing
    storage.authorizations storage.expression storage.attributes storage.table storage.aws storage.items
    usecases.exchanging
    storage.registrations provider.provider provider.registration
    storage.cipher storage.sealing
    oauth.client base.timing oauth.authenticated_requests oauth.authentication oauth.provider_requests
    oauth.outbound oauth.wire
    oauth.responses oauth.answer_document oauth.token_fields oauth.refused_answer provider.refusal_rules
    oauth.answer_errors
    oauth.answer_times
    grant.scopes grant.tokens grant.upkeep grant.token_set
    usecases.committing
    grant.obtained grant.consents grant.connection grant.transition grant.life grant.stored_set
    storage.connections storage.connection_item base.record storage.listed
    storage.change_notes storage.shared oauth.visit_outcome
    web.replies web.log web.responses
"""
"""The modules that a code's way enters, in this order: to the table `connections`, and back to the browser."""

CONNECTION_ID = """
    web.handlers base.noted web.events
    token base.fields
    usecases.vending
    storage.connections storage.table storage.attributes storage.aws storage.connection_item storage.items
    grant.connection
    storage.cipher storage.sealing storage.opened grant.token_set
    web.log
"""
"""The modules that a connection_id enters on its way to a token that is still valid, in this order."""

PASSED_IN = {
    ("web.handlers", "callback"),  # a handler is made with what its function does
    ("web.handlers", "token"),  # as above
    ("base.timing", "web.events"),  # a deadline reads the time that is left
    ("grant.tokens", "storage.cipher"),  # a token set is sealed by what KMS gave a key to
    ("oauth.authenticated_requests", "oauth.client"),  # each request says how its answer is read
}
"""Calls of a function that was passed down. They are no way up: each returns at once."""


class Recorder:
    """Records which modules of the functions a call enters, and from which."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.calls: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        sys.setprofile(self._record)
        return self

    def __exit__(self, *_exception: object) -> None:
        sys.setprofile(None)

    def _record(self, frame: FrameType, event: str, _argument: object) -> None:
        module = module_of(frame.f_code.co_filename)
        if event != "call" or module is None:
            return
        if module not in self.entered:
            self.entered.append(module)
        caller = frame.f_back
        while caller is not None and module_of(caller.f_code.co_filename) is None:
            caller = caller.f_back
        came_from = module_of(caller.f_code.co_filename) if caller is not None else None
        if came_from is not None and came_from != module:
            self.calls.add((came_from, module))


@cache
def module_of(file: str) -> str | None:
    """Return the name of a module of the functions, by its file; None if it is not one."""
    path = Path(file)
    return shown(".".join(path.with_suffix("").parts[-3:])) if path.is_relative_to(FUNCTIONS) else None


def shown(name: str) -> str:
    """Return the name of a module without the folders that all have in common."""
    return name.rpartition("functions.")[2].removeprefix("vault.")


LEVELS = {shown(name): level for name, level in layout.levels(layout.arrows(FUNCTIONS)).items()}
"""The level of each module: it is above every module that it imports."""


def connected(stack: Stack, call: Callable[[Any, Context], Any]) -> tuple[str, Recorder]:
    """Connect a merchant through this callback. Return the connection_id and the recorded call."""
    browser = Browser(stack)
    started = browser.start()
    url = urlsplit(browser.consent(browser.authorize(started["authorize_url"])))
    event = {
        "version": "2.0",
        "requestContext": {"http": {"method": "GET"}},
        "rawPath": url.path,
        "rawQueryString": url.query,
        "pathParameters": {"provider": "ultracart"},
        "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
    }
    with Recorder() as recorder:
        answer = call(event, Context(alias="http"))
    assert answer["statusCode"] == 303, answer
    return started["connection_id"], recorder


def vended(connection_id: str, call: Callable[[Any, Context], Any]) -> Recorder:
    """Ask for the token of a connection. Return the recorded call."""
    with Recorder() as recorder:
        answer = call({"connection_id": connection_id}, Context())
    assert "access_token" in answer, answer
    return recorder


@pytest.fixture(scope="module")
def recorded(stack: Stack) -> dict[str, Recorder]:
    """Give the recorded calls of functions that are warm: the first call makes their parts, and is not recorded."""
    calling_back, asking = with_services(stack, callback.handler), with_services(stack, token.handler)
    vended(connected(stack, calling_back)[0], asking)
    connection_id, code = connected(stack, calling_back)
    return {"code": code, "connection_id": vended(connection_id, asking)}


@pytest.mark.parametrize(("what", "path"), [("code", CODE), ("connection_id", CONNECTION_ID)])
def test_a_call_enters_these_modules_in_this_order(recorded: dict[str, Recorder], what: str, path: str) -> None:
    """A module more is a longer way for everybody who reads along it."""
    assert recorded[what].entered == path.split()


@pytest.mark.parametrize("what", ["code", "connection_id"])
def test_a_call_goes_downward_or_returns(recorded: dict[str, Recorder], what: str) -> None:
    """No module calls one that may import it, except by a function that it was given."""
    calls = recorded[what].calls

    assert {(one, other) for one, other in calls if LEVELS[other] >= LEVELS[one]} - PASSED_IN == set()
