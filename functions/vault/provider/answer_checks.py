"""Checks of the keys that say how to read a provider's answers and its redirects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functions.vault.base import fields as check
from functions.vault.base.fields import SCOPE_TOKEN, Mismatch

from . import refusal_rules, tenants
from .auth_methods import ID_TOKEN_ALGORITHMS
from .names import FIELD_NAME, PARAMETER_NAME

TOKEN_FIELDS = (
    "access_token",
    "refresh_token",
    "token_type",
    "expires_in",
    "expires_at",
    "scope",
    "refresh_token_expires_in",
    "refresh_token_expires_at",
)
"""The fields of a token response that a server may have under another name."""

MOST_NAMES = 5
MOST_VALUES = 50
MOST_SCOPES = 100
MOST_ALIASES = 10
SCOPE_PATTERN = rf"(?![^*]*\*[^*]*\*){SCOPE_TOKEN}"


def response_fields(value: Any) -> dict[str, str | list[str]]:
    """Accept other names for the fields of a token response."""
    expected = (
        f"an object with keys of {', '.join(TOKEN_FIELDS)}, and for each its name in the answer, an empty one to pass "
        f"it over, or a list of at most {MOST_NAMES} names (the first that is there counts)"
    )
    names = check.list_of(check.text(FIELD_NAME, expected), MOST_NAMES)
    if not isinstance(value, Mapping) or value.keys() - set(TOKEN_FIELDS):
        raise Mismatch(expected)
    try:
        for name in value.values():
            if not check.matches(name, f"{FIELD_NAME}|"):
                names(name if isinstance(name, list) else None)
    except Mismatch:
        raise Mismatch(expected) from None
    return dict(value)


def error_codes(value: Any) -> dict[str, str]:
    """Accept what the server's own error codes mean."""
    expected = f"an object of at most 50 codes of the server, each with one of {', '.join(refusal_rules.MEANINGS)}"
    if not isinstance(value, Mapping) or len(value) > 50:  # noqa: PLR2004 - a registration, not a manual
        raise Mismatch(expected)
    if not all(check.matches(code, refusal_rules.CODE) for code in value):
        raise Mismatch(expected)
    if not all(isinstance(meaning, str) and meaning in refusal_rules.MEANINGS for meaning in value.values()):
        raise Mismatch(expected)
    return dict(value)


def id_token_algorithms(value: Any) -> str | tuple[str, ...]:
    """Accept an algorithm that ID tokens are signed with, or a list of those that they may be signed with."""
    algorithm = check.one_of(*ID_TOKEN_ALGORITHMS)
    try:
        if isinstance(value, list | tuple) and value:
            return check.list_of(algorithm, len(ID_TOKEN_ALGORITHMS))(value)  # type: ignore[no-any-return]
        return algorithm(value)  # type: ignore[no-any-return]
    except Mismatch:
        raise Mismatch(f"one of {', '.join(ID_TOKEN_ALGORITHMS)}, or a list of them") from None


def scope_aliases(value: Any) -> dict[str, list[str]]:
    """Accept other scopes under which the server may grant one that was asked for."""
    expected = (
        f"an object of at most {MOST_SCOPES} scopes, each with a list of at most {MOST_ALIASES} names that it may be "
        'granted under, and at most one * in each, like {"read_*": ["write_*"]}'
    )
    scope = check.text(SCOPE_PATTERN, expected)
    others = check.list_of(scope, MOST_ALIASES)
    if not isinstance(value, Mapping) or len(value) > MOST_SCOPES:
        raise Mismatch(expected)
    try:
        return {scope(asked): [*others(names)] for asked, names in value.items()}
    except Mismatch:
        raise Mismatch(expected) from None


def callback_metadata(value: Any) -> dict[str, str | list[str]]:
    """Accept which parameters of the redirect become metadata, and which values they may have."""
    expected = (
        "an object of at most 20 parameters of the redirect, each with a pattern, like [0-9]{1,20}, or with a list of "
        f"at most {MOST_VALUES} texts (it has to be one of them)"
    )
    values = check.list_of(check.printable(256), MOST_VALUES)
    if not isinstance(value, Mapping) or len(value) > 20:  # noqa: PLR2004 - no server says more about an account
        raise Mismatch(expected)
    try:
        for name, accepted in value.items():
            check.text(FIELD_NAME, expected)(name)
            if not check.matches(accepted, tenants.PATTERN):
                values(accepted if isinstance(accepted, list) else None)
    except Mismatch:
        raise Mismatch(expected) from None
    return dict(value)


def callback_parameters(value: Any) -> dict[str, str]:
    """Accept under which names the redirect brings parameters of the connection."""
    expected = "an object of at most 10 names among parameters, each with the name that it has in the redirect"
    if not isinstance(value, Mapping) or len(value) > 10:  # noqa: PLR2004 - as many as parameters
        raise Mismatch(expected)
    if not all(
        check.matches(name, PARAMETER_NAME) and check.matches(theirs, FIELD_NAME) for name, theirs in value.items()
    ):
        raise Mismatch(expected)
    return dict(value)
