"""What is deployed, by the checks of Gatehouse's own `make check-deployment`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatehouse.cli import repository
from gatehouse.cli.failures import failure_of

from .finding import Finding, of_failure, problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatehouse.cli.account import Account


def findings(account: Account) -> Iterator[Finding]:
    """Look at aliases, schedules, queues' functions, the table's protection and the keys; not on one machine."""
    if account.is_local:
        return
    checks = repository.module("tools.check_deployment")
    for name, look in checks.Stack(account.stack, account.client, lambda: _key_policy(account)).looks():
        try:
            found = [*look()]
        except Exception as error:
            failure = failure_of(error, account.options)
            if failure is None:
                raise
            yield of_failure("deployment", name, failure)
            continue
        for what, problems in found:
            if problems:
                steps = (step for each in problems for step in each.steps)
                yield problem("deployment", what, "; ".join(each.said for each in problems), *steps)
            else:
                yield Finding("deployment", what)


def _key_policy(account: Account) -> Any:
    """Return the policy that the deployed template gives to its key, None if it says nothing of it."""
    template = account.client("cloudformation").get_template(StackName=account.stack, TemplateStage="Processed")
    resources = template["TemplateBody"].get("Resources", {}) if isinstance(template["TemplateBody"], dict) else {}
    return resources.get("TokensKey", {}).get("Properties", {}).get("KeyPolicy")
