"""What callers may do, by an evaluator of IAM that is not ours: the template's managed policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.iam.account import ACCOUNT, REGION, Account
from tests.iam.evaluator import ALLOWED, Case, decide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.iam.account import Policy

pytestmark = pytest.mark.needs_iam_evaluator

CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/application/session"
MANAGED = {
    "UseTokensPolicy": {"token", "refresh"},
    "ManageConnectionsPolicy": {"start", "confirm", "connections", "revoke"},
}
QUALIFIERS = ("", "live", "http", "HTTP", "LIVE", "live-2", "1", "$LATEST")
CALLED_BY = {"", "live"}
"""By what the documents have a function called: by the alias, or by its name alone."""


@pytest.fixture(scope="module")
def account() -> Account:
    """Give the stack as IAM sees it."""
    return Account()


def names(account: Account) -> set[str]:
    """Return the names of all functions."""
    return {handler.split(".")[1] for handler in account.roles}


def allowed(policy: Policy, asked: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of some (action, resource) a caller with this policy is allowed."""
    tried = list(asked)
    decisions = decide(Case(CALLER, action, resource, [policy]) for action, resource in tried)
    return {each for each, decision in zip(tried, decisions, strict=True) if decision == ALLOWED}


@pytest.mark.parametrize("policy", MANAGED)
def test_a_managed_policy_lets_its_functions_be_invoked(account: Account, policy: str) -> None:
    """They are invoked by name or by the alias `live`, never by the API's own alias: its events say who called."""
    # given
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gatehouse-"
    asked = {
        ("lambda:InvokeFunction", f"{arn}{name}" + (f":{qualifier}" if qualifier else "")): (name, qualifier)
        for name in names(account)
        for qualifier in QUALIFIERS
    }
    asked |= {("lambda:InvokeFunction", f"{arn}{name}2"): (name, "2") for name in names(account)}

    # when
    found = allowed(account.managed_policy(policy), asked)

    # then
    assert {asked[each] for each in found} == {(name, by) for name in MANAGED[policy] for by in CALLED_BY}


@pytest.mark.parametrize("policy", MANAGED)
def test_a_managed_policy_gives_no_other_right_to_a_function(account: Account, policy: str) -> None:
    """Who may invoke a function cannot read or change it, let others invoke it, or give it a URL."""
    # given
    actions = ("AddPermission", "CreateFunctionUrlConfig", "GetFunction", "InvokeFunctionUrl", "UpdateAlias")
    arns = [f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gatehouse-{name}" for name in names(account)]

    # when
    found = allowed(account.managed_policy(policy), ((f"lambda:{action}", arn) for action in actions for arn in arns))

    # then
    assert found == set()


@pytest.mark.parametrize("policy", MANAGED)
def test_a_managed_policy_lets_its_functions_be_called_over_http(account: Account, policy: str) -> None:
    """By POST alone, and of this API alone."""
    # given
    calls = {
        (method, api, path): f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/$default/{method}{path}"
        for method in ("GET", "POST", "PUT")
        for api in (account.physical_id("Api"), "another")
        for path in [*(f"/v1/{name}" for name in names(account)), "/authorize/x", "/callback/x", "/v1"]
    }
    by_arn = {arn: call for call, arn in calls.items()}

    # when
    found = allowed(account.managed_policy(policy), (("execute-api:Invoke", arn) for arn in calls.values()))

    # then
    api = account.physical_id("Api")
    assert {by_arn[arn] for _, arn in found} == {("POST", api, f"/v1/{name}") for name in MANAGED[policy]}
