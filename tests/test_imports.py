"""What each built function loads before its first call. A cold start pays for every module: none may slip in."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.built import LAMBDA_ENVIRONMENT
from tools.build import package

# botocore and what it imports by itself, and Powertools' logger.
AWS = {"aws_lambda_powertools", "botocore", "certifi", "dateutil", "jmespath", "six", "urllib3"}
SEALING = {"cryptography", "_cffi_backend", "_openssl"}

# Modules of the vault: those that every function has, and those of a floor that a function's usual call goes through.
TABLES = {
    "attributes",
    "aws",
    "connection",
    "errors",
    "failure",
    "fields",
    "life",
    "record",
    "settings",
    "store",
    "stored_set",
    "timing",
}
SEALS = {"cipher", "sealing", "token_set"}
REGISTRATIONS = {
    "assembling",
    "assertion",
    "id_token",
    "providers",
    "registrations",
    "rules",
    "tenants",
    "upkeep",
    "vocabulary",
}
PROVIDERS = REGISTRATIONS | {
    "addresses",
    "authentication",
    "client",
    "dialect",
    "meanings",
    "outbound",
    "reading",
    "refusals",
    "responses",
    "scopes",
    "signer",
    "tokens",
    "wire",
}
LADDER = {"committing", "obtained", "queues", "token_set", "tokens"}

LOADS: dict[str, tuple[set[str], set[str]]] = {
    "authorize": (AWS, TABLES | {"authorization", "binding", "cookies", "outcome"}),
    "callback": (
        AWS | SEALING,
        TABLES
        | SEALS
        | PROVIDERS
        | LADDER
        | {"authorization", "authorization_response", "completing", "cookies", "last_attempt", "outcome", "shared"},
    ),
    "connections": (AWS, TABLES | {"listing"}),
    "refresh": (AWS | SEALING, TABLES | SEALS | PROVIDERS | LADDER | {"issued", "refreshing", "shared", "vending"}),
    "rescue": (AWS | SEALING, TABLES | SEALS | LADDER | {"rescuing"}),
    "revoke": (AWS | SEALING, TABLES | SEALS | PROVIDERS | {"attempting", "issued", "revoking"}),
    "start": (AWS, TABLES | REGISTRATIONS | {"authorization", "dialect", "starting"}),
    "sweep": (AWS, TABLES | {"queues", "shared", "sweeping"}),
    # No provider is asked and nothing is written where the stored token is good: all that comes with the first refresh.
    "token": (AWS | SEALING, TABLES | SEALS | {"vending"}),
}

CODE = """
import importlib, json, sys
folder, module = sys.argv[1:]
sys.path.insert(0, folder)
importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""


@cache
def loaded(name: str) -> frozenset[str]:
    """Return the modules that a built function has loaded when Lambda's runtime asks for its first event."""
    command = [sys.executable, "-I", "-S", "-B", "-c", CODE, str(package(for_lambda=False)), f"functions.{name}"]
    done = subprocess.run(command, env=LAMBDA_ENVIRONMENT, capture_output=True, text=True, check=True)
    return frozenset(json.loads(done.stdout))


def test_every_function_is_in_the_table() -> None:
    """A new function is given its place before it can be deployed."""
    doors = {path.stem for path in (package(for_lambda=False) / "functions").glob("*.py")}

    assert doors - {"__init__", "edge", "log", "pages", "replies"} == set(LOADS)


@pytest.mark.parametrize("name", LOADS)
def test_a_function_loads_no_other_package(name: str) -> None:
    """A package more is a slower start of every environment, for good."""
    roots = {module.partition(".")[0] for module in loaded(name)}

    assert roots - sys.stdlib_module_names - {"__main__", "functions"} == LOADS[name][0]


@pytest.mark.parametrize("name", LOADS)
def test_a_function_loads_what_its_usual_call_needs_and_no_more(name: str) -> None:
    """What it needs is there before the first call, and what it seldom needs is not."""
    vault = {
        module.removeprefix("functions.vault.") for module in loaded(name) if module.startswith("functions.vault.")
    }

    assert vault == LOADS[name][1]


@pytest.mark.parametrize("name", LOADS)
def test_pages_are_loaded_with_the_first_page(name: str) -> None:
    """Most browsers are sent on, and most functions never meet one."""
    assert "functions.pages" not in loaded(name)
