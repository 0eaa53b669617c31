"""A second stack in the same account and Region, with another name and another SecretPrefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.deploy_check import deleting
from tools.deploy_check.callers import Caller
from tools.deploy_check.deployed import Deployed
from tools.deploy_check.front import Front
from tools.deploy_check.installation import Installation
from tools.deploy_check.report import expect

if TYPE_CHECKING:
    from tools.deploy_check.emulator import Emulator
    from tools.deploy_check.project import Project
    from tools.deploy_check.report import Report

ENVIRONMENT = "staging"
STACK = "gatehouse-staging"
_PREFIX = "gatehouse-staging/providers/"


def second_stack(report: Report, project: Project, first: Installation, emulator: Emulator) -> None:
    """Deploy it beside the first, see that neither knows the other's connections and providers, and delete it."""
    before = first.deployed.account.inventory()
    with Front(emulator) as front:
        deployed = Deployed(first.deployed.account, STACK)
        with report.step(f"sam deploy --config-env {ENVIRONMENT}") as seen:
            project.add_environment(ENVIRONMENT, STACK)
            project.edit({"SecretPrefix": _PREFIX, "BaseUrl": front.url}, ENVIRONMENT)
            project.deploy(ENVIRONMENT)
            seen.append(f"{deployed.status}, {len(deployed.resources())} resources")
        second = Installation.of(deployed, front, first.demo, _PREFIX)
        with report.step("neither knows what is the other's") as seen:
            second.register("demo", first.demo.standard_registration("standard"))
            second.connected("shop-staging")
            _expect_error(second.manager.invoke("start", {"provider": "ultracart"}), "unknown_provider")
            _expect_error(second.token("shop-kept"), "connection_not_found")
            _expect_error(first.token("shop-staging"), "connection_not_found")
            expect(second.manager.is_denied("start", {}) is False, "The second stack's own caller is denied.")
            expect(_crossed(second, first).is_denied("start", {}), "A policy of the one stack invokes the other.")
            expect("access_token" in first.token("shop-kept"), "The first stack should vend as before.")
            seen.append("registrations, connections and policies are each stack's own")
        second.leave()
        second.forget(["demo"])
        deleting.deletion(report, project, deployed, before)
        with report.step("the first stack is as it was") as seen:
            expect("access_token" in first.token("shop-kept"), "The first stack should vend as before.")
            seen.append("it vends")


def _crossed(who: Installation, whom: Installation) -> Caller:
    return Caller(who.manager.name, who.manager.account, whom.deployed, who.manager.api_host)


def _expect_error(answer: dict[str, object], code: str) -> None:
    expect(answer.get("error") == code, f"{code} was expected: {answer}")
