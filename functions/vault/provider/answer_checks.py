"""Checks of the keys that say how to read a provider's answers and its redirects."""

from __future__ import annotations

from typing import Any

from functions.vault.base import fields as check
from functions.vault.base.fields import SCOPE_TOKEN, Mismatch

from . import refusal_rules, tenants
from .auth_methods import ID_TOKEN_ALGORITHMS
from .names import FIELD_NAME, PARAMETER_NAME
from .object_checks import known_members, members, text_or_list

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
MOST_CODES = 50
MOST_METADATA = 20
MOST_PARAMETERS = 10
SCOPE_PATTERN = rf"(?![^*]*\*[^*]*\*){SCOPE_TOKEN}"


def response_fields(value: Any) -> dict[str, str | list[str]]:
    """Accept other names for the fields of a token response."""
    expected = (
        f"an object with keys of {', '.join(TOKEN_FIELDS)}, and for each its name in the answer, an empty one to pass "
        f"it over, or a list of at most {MOST_NAMES} names (the first that is there counts)"
    )
    name = check.text(FIELD_NAME, expected)
    names = text_or_list(check.text(f"{FIELD_NAME}|", expected), check.list_of(name, MOST_NAMES))
    return known_members(value, dict.fromkeys(TOKEN_FIELDS, names), expected)


def error_codes(value: Any) -> dict[str, str]:
    """Accept what the server's own error codes mean."""
    expected = (
        f"an object of at most {MOST_CODES} codes of the server, each with one of {', '.join(refusal_rules.MEANINGS)}"
    )
    codes, meanings = check.text(refusal_rules.CODE, expected), check.one_of(*refusal_rules.MEANINGS)
    return members(value, codes, meanings, expected, MOST_CODES)


def id_token_algorithms(value: Any) -> str | tuple[str, ...]:
    """Accept an algorithm that ID tokens are signed with, or a list of those that they may be signed with."""
    algorithm = check.one_of(*ID_TOKEN_ALGORITHMS)
    try:
        if isinstance(value, list | tuple) and value:
            return check.list_of(algorithm, len(ID_TOKEN_ALGORITHMS))(value)  # type: ignore[no-any-return]
        return algorithm(value)  # type: ignore[no-any-return]
    except Mismatch as mismatch:
        expected = f"one of {', '.join(ID_TOKEN_ALGORITHMS)}, or a list of them"
        raise Mismatch(expected, mismatch.at, mismatch.part, known=mismatch.known) from None


def scope_aliases(value: Any) -> dict[str, list[str]]:
    """Accept other scopes under which the server may grant one that was asked for."""
    expected = (
        f"an object of at most {MOST_SCOPES} scopes, each with a list of at most {MOST_ALIASES} names that it may be "
        'granted under, and at most one * in each, like {"read_*": ["write_*"]}'
    )
    scope = check.text(SCOPE_PATTERN, expected)
    taken = members(value, scope, check.list_of(scope, MOST_ALIASES), expected, MOST_SCOPES)
    return {asked: [*names] for asked, names in taken.items()}


def callback_metadata(value: Any) -> dict[str, str | list[str]]:
    """Accept which parameters of the redirect become metadata, and which values they may have."""
    expected = (
        f"an object of at most {MOST_METADATA} parameters of the redirect, each with a pattern, like [0-9]{{1,20}}, or "
        f"with a list of at most {MOST_VALUES} texts (it has to be one of them)"
    )
    values = text_or_list(check.text(tenants.PATTERN, expected), check.list_of(check.printable(256), MOST_VALUES))
    return members(value, check.text(FIELD_NAME, expected), values, expected, MOST_METADATA)


def callback_parameters(value: Any) -> dict[str, str]:
    """Accept under which names the redirect brings parameters of the connection."""
    expected = (
        f"an object of at most {MOST_PARAMETERS} names among parameters, each with the name that it has in the redirect"
    )
    names, theirs = check.text(PARAMETER_NAME, expected), check.text(FIELD_NAME, expected)
    return members(value, names, theirs, expected, MOST_PARAMETERS)
