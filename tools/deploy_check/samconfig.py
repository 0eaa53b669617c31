"""The setting `parameter_overrides` of samconfig.toml: read, and changed as a person does it in an editor."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STRING = r'"(?:\\.|[^"\\\n])*"'
_SETTING = re.compile(
    rf"^parameter_overrides[ \t]*=[ \t]*(?:{_STRING}|\[(?:{_STRING}|[^\]\"])*\])[^\n]*$", re.MULTILINE
)


def overrides(text: str, environment: str = "default") -> dict[str, str]:
    """Return the parameters that this environment of samconfig.toml sets."""
    written = _deploying(text, environment).get("parameter_overrides", "")
    pairs = written if isinstance(written, list) else shlex.split(written)
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def with_overrides(text: str, changes: Mapping[str, str], environment: str = "default") -> str:
    """Return the text with these parameters set, and the others as they were. Raises ``ValueError`` without section."""
    before, header, section = text.partition(f"[{environment}.deploy.parameters]\n")
    if not header:
        raise ValueError(f"samconfig.toml has no section [{environment}.deploy.parameters].")
    end = re.search(r"^\[", section, re.MULTILINE)
    section, after = (section[: end.start()], section[end.start() :]) if end else (section, "")
    wanted = {**overrides(text, environment), **changes}
    as_list = isinstance(_deploying(text, environment).get("parameter_overrides"), list)
    setting = f"parameter_overrides = {_list(wanted) if as_list else _string(wanted)}"
    section, changed = _SETTING.subn(lambda _: setting, section, count=1)
    return before + header + (section if changed else f"{setting}\n{section}") + after


def with_environment(text: str, environment: str, stack_name: str) -> str:
    """Return the text with a section for another stack, with the settings that the first one is deployed with."""
    settings = {**_deploying(text, "default"), "stack_name": stack_name}
    settings.pop("parameter_overrides", None)
    settings.pop("s3_prefix", None)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join([text.rstrip(), "", f"[{environment}.deploy.parameters]", *lines, ""])


def _deploying(text: str, environment: str) -> dict[str, Any]:
    """Return the settings of `sam deploy`; empty where the environment has none."""
    found: dict[str, Any] = tomllib.loads(text).get(environment, {}).get("deploy", {}).get("parameters", {})
    return found


def _string(values: Mapping[str, str]) -> str:
    # JSON's escapes are TOML's.
    return json.dumps(" ".join(f"{name}={json.dumps(value)}" for name, value in values.items()))


def _list(values: Mapping[str, str]) -> str:
    lines = [f"    {json.dumps(f'{name}={value}')},\n" for name, value in values.items()]
    return f"[\n{''.join(lines)}]"
