"""Checks of the keys that let endpoints depend on a connection: its parameters, and its region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields as check
from functions.vault.base.fields import Mismatch

from . import tenants
from .names import ENDPOINTS, PARAMETER_NAME, PLACEHOLDERS

if TYPE_CHECKING:
    from functions.vault.base.fields import Check

MOST_REGIONS = 20
REGION_NAME = r"[a-z0-9][a-z0-9-]{0,31}"


def parameters(value: Any) -> dict[str, str]:
    """Accept the names of parameters, each with the pattern of its values."""
    expected = (
        "an object of at most 10 patterns, like [a-z0-9-]{1,63}, "
        f"with names of a-z, 0-9 and _ that are none of {', '.join(PLACEHOLDERS)}"
    )
    if not isinstance(value, Mapping) or len(value) > 10:  # noqa: PLR2004 - no URL has more tenants in it
        raise Mismatch(expected)
    for name, pattern in value.items():
        if not check.matches(name, PARAMETER_NAME) or name in PLACEHOLDERS:
            raise Mismatch(expected)
        if not check.matches(pattern, tenants.PATTERN):
            raise Mismatch(expected)
    return dict(value)


def regions(endpoint: Check) -> Check:
    """Accept the endpoints of each region that differ from the others; `endpoint` checks each of them."""
    expected = (
        f"an object of at most {MOST_REGIONS} regions, with names of a-z, 0-9 and -, each with an object of the "
        f"endpoints that are others there ({', '.join(ENDPOINTS)})"
    )

    def accept(value: Any) -> dict[str, dict[str, str]]:
        if not isinstance(value, Mapping) or len(value) > MOST_REGIONS:
            raise Mismatch(expected)
        for region, urls in value.items():
            if not check.matches(region, REGION_NAME) or not isinstance(urls, Mapping) or urls.keys() - set(ENDPOINTS):
                raise Mismatch(expected)
            for key, url in urls.items():
                try:
                    endpoint(url)
                except Mismatch as mismatch:
                    raise Mismatch(f"{expected}, and {region}.{key} to be {mismatch}") from None
        return {region: dict(urls) for region, urls in value.items()}

    return accept
