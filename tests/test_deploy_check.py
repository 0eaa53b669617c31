"""What `make deploy-check` does to a copy of the checkout before anything is deployed; the rest it shows by itself."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.requirements import ROOT
from tools.deploy_check import samconfig
from tools.deploy_check.adapting import adapt
from tools.deploy_check.aws_command import with_endpoint
from tools.deploy_check.documents import commands
from tools.deploy_check.report import Report, Wrong

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
SAMCONFIG = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
WITH_A_SECTION_BEHIND = """
[default.deploy.parameters]
stack_name = "gatehouse"
confirm_changeset = true

[default.deploy.parameters.parameter_overrides]
# What was decided, and why.
BaseUrl = "https://connect.example.com"
SweepSchedule = "rate(5 minutes)"

[default.global.parameters]
region = "us-east-1"
"""


def test_the_copy_that_is_deployed_differs_in_what_the_emulator_cannot_take() -> None:
    """Alarms of several metrics and saved queries are gone, each route is a resource, and all else is as it was."""
    adapted = adapt(TEMPLATE)

    before, after = yaml_parse(TEMPLATE), yaml_parse(adapted.text)
    added = {name: after["Resources"].pop(name) for name in [*after["Resources"]] if name.startswith("Emulators")}
    routes = [r["Properties"] for r in added.values() if r["Type"] == "AWS::ApiGatewayV2::Route"]
    left_out = [before["Resources"].pop(name)["Properties"] for name in adapted.left_out]
    assert after == before
    assert all("Metrics" in each or "QueryString" in each for each in left_out)
    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == {
        key: "AWS_IAM" if key.startswith("POST /v1/") else "NONE" for key in adapted.routes
    }


@pytest.mark.parametrize("text", [SAMCONFIG, WITH_A_SECTION_BEHIND], ids=["ours", "with a section behind"])
def test_a_parameter_is_set_and_the_rest_of_samconfig_stays(text: str) -> None:
    """What an editor would change is changed; a value with spaces in it comes back whole."""
    changes = {"MemorySize": "640", "SweepSchedule": "rate(1 minute)"}

    changed = samconfig.with_overrides(text, changes)

    assert samconfig.overrides(changed) == {**samconfig.overrides(text), **changes}
    before, after = tomllib.loads(text), tomllib.loads(changed)
    before["default"]["deploy"]["parameters"].pop("parameter_overrides")
    after["default"]["deploy"]["parameters"].pop("parameter_overrides")
    assert after == before


def test_setting_a_parameter_twice_leaves_one_setting() -> None:
    """It is changed where it stands; what is commented out is no setting."""
    once = samconfig.with_overrides(SAMCONFIG, {"BaseUrl": "a"})

    changed = samconfig.with_overrides(once, {"BaseUrl": "b"})

    assert [line for line in changed.splitlines() if line.startswith("BaseUrl")] == ['BaseUrl = "b"']
    assert samconfig.overrides(changed)["BaseUrl"] == "b"


def test_another_stack_has_a_section_of_its_own() -> None:
    """It is deployed as the first one is, and has none of the first one's parameters."""
    text = samconfig.with_environment(WITH_A_SECTION_BEHIND, "staging", "gatehouse-staging")

    assert tomllib.loads(text)["staging"]["deploy"]["parameters"] == {
        "stack_name": "gatehouse-staging",
        "confirm_changeset": True,
        "parameter_overrides": {},
    }
    changed = samconfig.with_overrides(text, {"SecretPrefix": "other/"}, "staging")
    assert samconfig.overrides(changed, "staging") == {"SecretPrefix": "other/"}
    assert samconfig.overrides(changed) == samconfig.overrides(WITH_A_SECTION_BEHIND)


def test_the_commands_are_those_below_a_heading(tmp_path: Path) -> None:
    """A block of another section is not taken for it; one that is not there is missed by name."""
    page = tmp_path / "page.md"
    page.write_text("## One\n\n```sh\nrun a\n```\n\n### Below\n\n```sh\nrun b\n```\n\n## Two\n\n```sh\nrun c\n```\n")

    assert commands(page, "One", "run b") == "run b\n"
    page.write_text("## One\n\n1. First:\n\n   ```sh\n   run a\n     more\n   ```\n")
    assert commands(page, "One", "run a") == "run a\n  more\n"
    with pytest.raises(Wrong, match=r"page\.md has no shell block with 'run c' below the heading 'One'"):
        commands(page, "One", "run c")


def test_every_call_of_aws_gets_the_endpoint() -> None:
    """Whatever the service; and the command stays as it is written if there is no emulator."""
    written = ["sqs", "list-queues"]

    assert with_endpoint(written, "https://localhost:1") == ["--endpoint-url", "https://localhost:1", *written]
    assert with_endpoint(written, None) == written


def test_a_report_goes_on_with_the_next_part(capsys: pytest.CaptureFixture[str]) -> None:
    """What does not hold is printed where it was met and kept for the end; a program's own failure is none of that."""
    report = Report()

    with report.part("One"), report.step("first"):
        raise Wrong("two were expected")
    with report.part("Two"), report.step("second") as seen:
        seen.append("as expected")

    assert report.failures == ["One: two were expected"]
    printed = capsys.readouterr().out
    assert "first ... DOES NOT HOLD" in printed
    assert "second ... as expected (0.0 s)" in printed
    with pytest.raises(RuntimeError), report.part("Three"):
        raise RuntimeError
