"""What some tests need beyond Python, how to see whether it is there, and how to get it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Need:
    """A marker, what it stands for, whether that is here, and what to do where it is not."""

    marker: str
    what: str
    is_met: Callable[[], bool]
    remedy: str


@cache
def chromium() -> str | None:
    """Return the path of a Chromium: that of the variable CHROMIUM, or one found under its usual names."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@cache
def npm_packages() -> bool:
    """Tell whether node finds the servers that package.json names."""
    return _resolves("dynalite", "oidc-provider")


@cache
def iam_evaluator() -> bool:
    """Tell whether node finds the evaluator of IAM policies."""
    return _resolves("@cloud-copilot/iam-simulate")


def _resolves(*names: str) -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    resolved = ";".join(f"import.meta.resolve({json.dumps(name)})" for name in names)
    probe = [node, "--input-type=module", "-e", resolved]
    return subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0


@cache
def aws_sdk_for_javascript() -> bool:
    """Tell whether node finds what the client for Node.js needs."""
    return _resolves("@aws-sdk/client-lambda")


IAM_EVALUATOR = Need(
    "needs_iam_evaluator",
    "Node.js with the evaluator of IAM that package.json names",
    iam_evaluator,
    "apt-get install nodejs npm, then npm ci",
)

NEEDS = (
    Need(
        "needs_runtime_client",
        "Lambda's runtime client",
        lambda: importlib.util.find_spec("awslambdaric") is not None,
        "it is installed with the tests on Linux, and is not to be had elsewhere",
    ),
    Need("needs_chromium", "Chromium", lambda: chromium() is not None, "apt-get install chromium, or set CHROMIUM"),
    Need(
        "needs_node",
        "Node.js with the servers that package.json names",
        npm_packages,
        "apt-get install nodejs npm, then npm ci",
    ),
    Need(
        "needs_aws_sdk_for_javascript",
        "Node.js with the AWS SDK that package.json names",
        aws_sdk_for_javascript,
        "apt-get install nodejs npm, then npm ci",
    ),
    IAM_EVALUATOR,
)
