"""The form that connects an account: what `start` is called with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAIR = r"([A-Za-z0-9_.:-]{1,64})\s*[=:]\s*([^\s,;]+)"
_BETWEEN = r"[\s,;]*"


def fields_of(form: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the fields of `start` that the form names; None if its parameters cannot be read."""
    parameters = pairs_of(form.get("parameters", ""))
    if parameters is None:
        return None
    given = {name: form.get(name, "").strip() for name in ("connection_id", "owner")}
    named: dict[str, Any] = {name: value for name, value in given.items() if value}
    return {"provider": form.get("provider", "")} | named | ({"parameters": parameters} if parameters else {})


def pairs_of(text: str) -> dict[str, str] | None:
    """Return pairs like `shop=acme region=eu`; None if the text has anything else."""
    if not re.fullmatch(rf"{_BETWEEN}(?:{_PAIR}{_BETWEEN})*", text):
        return None
    return {found[1]: found[2] for found in re.finditer(_PAIR, text)}
