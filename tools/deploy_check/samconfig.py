"""The parameters in samconfig.toml: read, and changed as a person does it in an editor."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def overrides(text: str, environment: str = "default") -> dict[str, str]:
    """Return the parameters that this environment of samconfig.toml sets."""
    found: dict[str, str] = _deploying(text, environment).get("parameter_overrides", {})
    return found


def with_overrides(text: str, changes: Mapping[str, str], environment: str = "default") -> str:
    """Return the text with these parameters set, and the others as they were. Raises ``ValueError`` without table."""
    before, header, rest = text.partition(_table(environment))
    if not header:
        raise ValueError(f"samconfig.toml has no table {_table(environment).strip()}.")
    end = re.search(r"^\[", rest, re.MULTILINE)
    table, after = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    for name, value in changes.items():
        # JSON's escapes are TOML's.
        line = f"{name} = {json.dumps(value)}"
        found = re.search(rf"^{name}[ \t]*=.*\n", table, re.MULTILINE)
        table = table.replace(found[0], f"{line}\n") if found else f"{line}\n{table}"
    return before + header + table + after


def with_environment(text: str, environment: str, stack_name: str) -> str:
    """Return the text with a section for another stack, with the settings that the first one is deployed with."""
    settings = {**_deploying(text, "default"), "stack_name": stack_name}
    settings.pop("parameter_overrides", None)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    section = [f"[{environment}.deploy.parameters]", *lines, "", _table(environment)]
    return "\n".join([text.rstrip(), "", *section])


def _table(environment: str) -> str:
    return f"[{environment}.deploy.parameters.parameter_overrides]\n"


def _deploying(text: str, environment: str) -> dict[str, Any]:
    """Return the settings of `sam deploy`; empty where the environment has none."""
    found: dict[str, Any] = tomllib.loads(text).get(environment, {}).get("deploy", {}).get("parameters", {})
    return found
