"""A copy of the checkout, in which everything is done that a person does in a clone of theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from tools.build import ROOT
from tools.deploy_check import samconfig
from tools.deploy_check.adapting import adapt
from tools.deploy_check.documents import commands
from tools.deploy_check.report import expect
from tools.deploy_check.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tools.deploy_check.account import Account
    from tools.deploy_check.adapting import Adapted
    from tools.deploy_check.shell import Ran

SAM = ROOT / ".venv-sam" / "bin" / "sam"
PYTHON = ROOT / ".venv-deploy" / "bin" / "python"
"""What runs the emulator, and so the functions: they are built for it."""

_DEPLOYED_WITHIN = 400
_BUILT_WITHIN = 400
# What this machine's own settings of AWS, and the make that runs this, could change about the commands.
_NOT_OURS = ("AWS_", "SAM_", "GATEHOUSE_", "MAKE", "MFLAGS")


class Project:
    """The copy, with its shell. The template in it is the one that the emulator can take."""

    def __init__(self, folder: Path, account: Account) -> None:
        """Copy what git knows of the checkout, as it is now, into ``folder``."""
        self.account = account
        self.folder = folder / "checkout"
        _copy(self.folder)
        self._samconfig = self.folder / "samconfig.toml"
        self._template = self.folder / "template.yaml"
        self.shell = Shell(self.folder, _environment(folder, account), folder / "transcript.txt")

    def adapt(self) -> Adapted:
        """Have the template in the copy be one that the emulator takes, and return what was changed."""
        adapted = adapt(self._template.read_text(encoding="utf-8"))
        self._template.write_text(adapted.text, encoding="utf-8")
        return adapted

    def build(self) -> Ran:
        """Build the functions for the interpreter that runs them here."""
        return self.shell.run(_line(self._first_commands(), "sam build"), timeout=_BUILT_WITHIN).ok()

    def deploy_first(self, parameters: Mapping[str, str]) -> Ran:
        """Deploy as README says, with these settings, and consent to what SAM CLI asks."""
        command = _line(self._first_commands(), "sam deploy")
        self.edit(parameters)
        return self.shell.run(command, typed="y\n", timeout=_DEPLOYED_WITHIN).ok()

    def edit(self, parameters: Mapping[str, str], environment: str = "default") -> None:
        """Set parameters in samconfig.toml, as a person does it in an editor."""
        text = samconfig.with_overrides(self._samconfig.read_text(encoding="utf-8"), parameters, environment)
        self._samconfig.write_text(text, encoding="utf-8")

    @contextmanager
    def failing_last(self) -> Iterator[None]:
        """Let deployments fail when everything that outlives its stack is made."""
        built = self.folder / ".aws-sam" / "build" / "template.yaml"
        text = built.read_text(encoding="utf-8")
        resources = dict(_section(built, "Resources"))
        kept = [name for name, resource in resources.items() if _has(resource, "DeletionPolicy", "Retain")]
        # There is no such function to be given a URL.
        fails = f"""Resources:
  FailsLast:
    Type: AWS::Lambda::Url
    DependsOn: [{", ".join(kept)}]
    Properties:
      AuthType: AWS_IAM
      TargetFunctionArn: nobody
"""
        built.write_text(text.replace("Resources:\n", fails, 1), encoding="utf-8")
        try:
            yield
        finally:
            built.write_text(text, encoding="utf-8")

    def add_environment(self, environment: str, stack_name: str) -> None:
        """Add a section for another stack to samconfig.toml, unless there is one."""
        text = self._samconfig.read_text(encoding="utf-8")
        if f"[{environment}.deploy.parameters]" not in text:
            self._samconfig.write_text(samconfig.with_environment(text, environment, stack_name), encoding="utf-8")

    def deploy(self, environment: str = "") -> Ran:
        """Deploy with nothing but what samconfig.toml says."""
        command = f"sam deploy --config-env {environment}" if environment else "sam deploy"
        ran = self.shell.run(command, typed="y\n", timeout=_DEPLOYED_WITHIN)
        # SAM CLI calls it an error.
        return ran if "No changes to deploy" in ran.output else ran.ok()

    def delete(self, environment: str = "") -> Ran:
        """Delete the stack, and say yes to both questions."""
        command = f"sam delete --config-env {environment}" if environment else "sam delete"
        return self.shell.run(command, typed="y\ny\n", timeout=_DEPLOYED_WITHIN).ok()

    def command(self, page: str, heading: str, containing: str) -> str:
        """Return a shell block of a document of the copy, as it is written there. Raises ``Wrong``."""
        return commands(self.folder / page, heading, containing)

    def documented(self, page: str, heading: str, containing: str, *, before: str = "", typed: str = "") -> Ran:
        """Run a shell block of a document of the copy. Raises ``Wrong`` where it fails.

        ``before`` is what the person has typed into the same shell by then; it may set what the block reads.
        """
        block = f"{before}\n{self.command(page, heading, containing)}"
        return self.shell.run(block.strip(), typed=typed, timeout=_DEPLOYED_WITHIN).ok()

    def _first_commands(self) -> str:
        return self.command("README.md", "Deploy it", "sam deploy")


def _line(block: str, beginning: str) -> str:
    """Return the one command of a block that begins so, without what it is joined to by `&&`."""
    parts = [part.strip() for line in block.splitlines() for part in line.split("&&")]
    found = [part for part in parts if part.startswith(beginning)]
    expect(found, f"README's commands for the first deployment have no {beginning!r}: {block!r}")
    return found[0]


def _copy(folder: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")  # noqa: S603 -- as written
    for name in filter(None, names):
        source, target = ROOT / name, folder / name
        # Removed, but not yet committed; or a link to another checkout's environment.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # What was installed before is there for this one: for a build, and for the tools that look at a deployed stack.
    (ROOT / ".build").mkdir(exist_ok=True)
    for name in (".build", ".venv"):
        (folder / name).symlink_to(ROOT / name)


def _environment(folder: Path, account: Account) -> dict[str, str]:
    """Return the environment of a person who has SAM CLI and AWS CLI installed, and is signed in to the account."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "sam").symlink_to(SAM)
    aws = programs / "aws"
    aws.write_text(f'#!/bin/sh\nexec "{PYTHON}" "{ROOT / "tools/deploy_check/aws_command.py"}" "$@"\n', "utf-8")
    aws.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    return {
        **kept,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHON": str(PYTHON),
        "GATEHOUSE_BUILD": "host",
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(folder / "sam"),
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        **account.environment(),
    }


def _section(template: Path, name: str) -> list[tuple[str, yaml.Node]]:
    """Return what a template declares in a section, in its order."""
    root: Any = yaml.compose(template.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    (section,) = (value for key, value in root.value if key.value == name)
    return [(key.value, value) for key, value in section.value]


def _has(resource: yaml.Node, attribute: str, beginning: str) -> bool:
    """Return whether a resource has an attribute whose value begins so."""
    return any(key.value == attribute and str(value.value).startswith(beginning) for key, value in resource.value)
