"""What `make check-security` does not ask of the template has its reason beside it."""

from __future__ import annotations

import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.requirements import ROOT


def test_what_checkov_skips_everywhere_has_a_reason() -> None:
    """It stands above the policy in .checkov.yaml. A policy that holds for one resource is skipped there."""
    lines = (ROOT / ".checkov.yaml").read_text(encoding="utf-8").splitlines()
    skipped = [index for index, line in enumerate(lines) if line.strip().startswith("- CKV")]

    assert skipped
    for index in skipped:
        assert re.fullmatch(r"  - CKV2?_AWS_\d+", lines[index])
        assert re.match(r"  # \S.{30,}", lines[index - 1]), lines[index]


@pytest.mark.parametrize("template", ["template.yaml", "examples/reconnect/template.yaml"])
def test_what_checkov_skips_at_a_resource_has_a_reason(template: str) -> None:
    """It stands in the same entry of the resource's metadata."""
    resources = yaml_parse((ROOT / template).read_text(encoding="utf-8"))["Resources"]
    skipped = [
        each
        for resource in resources.values()
        for each in resource.get("Metadata", {}).get("checkov", {}).get("skip", ())
    ]

    assert skipped
    for entry in skipped:
        assert entry.keys() == {"id", "comment"}
        assert len(entry["comment"]) > 30


def test_every_template_is_checked() -> None:
    """Those of the examples too: they are made to be copied."""
    settings = yaml_parse((ROOT / ".checkov.yaml").read_text(encoding="utf-8"))
    examples = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/*/template.yaml"))

    assert settings["file"] == ["template.yaml", *examples]
