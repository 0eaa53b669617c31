"""Checks of the keys that let endpoints depend on a connection: its parameters, and its region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields as check
from functions.vault.base.fields import Mismatch

from . import tenants
from .names import ENDPOINTS, PARAMETER_NAME, PLACEHOLDERS
from .object_checks import known_members, members

if TYPE_CHECKING:
    from functions.vault.base.fields import Check

MOST_PARAMETERS = 10
MOST_REGIONS = 20
REGION_NAME = r"[a-z0-9][a-z0-9-]{0,31}"


def parameters(value: Any) -> dict[str, str]:
    """Accept the names of parameters, each with the pattern of its values."""
    expected = (
        f"an object of at most {MOST_PARAMETERS} patterns, like [a-z0-9-]{{1,63}}, "
        f"with names of a-z, 0-9 and _ that are none of {', '.join(PLACEHOLDERS)}"
    )
    names = check.text(rf"(?!(?:{'|'.join(PLACEHOLDERS)})\Z){PARAMETER_NAME}", expected)
    return members(value, names, check.text(tenants.PATTERN, expected), expected, MOST_PARAMETERS)


def regions(endpoint: Check) -> Check:
    """Accept the endpoints of each region that differ from the others; `endpoint` checks each of them."""
    expected = (
        f"an object of at most {MOST_REGIONS} regions, with names of a-z, 0-9 and -, each with an object of the "
        f"endpoints that are others there ({', '.join(ENDPOINTS)})"
    )
    names, endpoints = check.text(REGION_NAME, expected), dict.fromkeys(ENDPOINTS, endpoint)

    def an_object(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Mismatch(expected)
        return value

    def accept(value: Any) -> dict[str, dict[str, str]]:
        given = members(value, names, an_object, expected, MOST_REGIONS)
        return {name: known_members(urls, endpoints, expected, path=f"{name}.") for name, urls in given.items()}

    return accept
