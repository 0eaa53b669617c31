"""Rules in a provider's data that say what its refusals mean.

A rule has conditions on endpoint, status, code, words and members of an answer, and the meaning of a refusal that meets
all of them. `oauth.refusal` finds the rule that matches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Required, TypedDict

from functions.vault.base import fields as check
from functions.vault.base.fields import Mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINTS = ("authorization", "token", "refresh", "revocation")
"""Where a refusal can come from: `token` is the exchange of a code, `refresh` that of a refresh token."""

BUSY = "busy"
"""The server is processing another request for the same grant: this answer says nothing about the grant."""

REVOKED = "revoked"
"""The grant was ended on purpose, or because its refresh token was used twice: there is no doubt about it."""

ACCESS_DENIED = "access_denied"
"""The customer said no (RFC 6749 section 4.1.2.1), which only the authorization endpoint can say."""

MEANINGS = (
    "invalid_grant",
    REVOKED,
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "unauthorized_client",
    "slow_down",
    "temporarily_unavailable",
    BUSY,
    ACCESS_DENIED,
)

CODE = r"[A-Za-z0-9_.:/ -]{1,64}"
WORDS = r"(?! )[^\x00-\x1f\x7f\ud800-\udfff]{0,199}[^\x00-\x20\x7f\ud800-\udfff]"
MOST_RULES = 50
MOST_TEXTS = 10
MOST_MEMBERS = 10
DEEPEST = 4
"""How deep objects can be nested in a rule's `contains`."""

LARGEST_NUMBER = 10**15

_EXAMPLE = '{"status": 403, "words": ["refresh token is invalid"], "means": "invalid_grant"}'


class Rule(TypedDict, total=False):
    """One rule, as it is written. A condition that it does not name is not checked."""

    endpoint: str
    status: int
    code: str
    words: list[str]
    contains: dict[str, Any]
    means: Required[str]


def of_codes(error_codes: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules that `error_codes` is the short form of."""
    return tuple(_of_code(code, meaning) for code, meaning in error_codes.items())


def _of_code(code: str, meaning: str) -> Rule:
    rule: Rule = {"code": code, "means": meaning}
    return {"endpoint": "authorization", **rule} if meaning == ACCESS_DENIED else rule


def _contains(value: Any) -> Any:
    if not _is_pattern(value, DEEPEST):
        raise Mismatch(
            f"an object of 1 to {MOST_MEMBERS} members that an answer has to have, each a text, a whole number, true, "
            f'false or such an object, up to {DEEPEST} in one another, like {{"errors": {{"resource": "Token"}}}}'
        )
    return value


def _is_pattern(value: Any, depth: int) -> bool:
    if not isinstance(value, Mapping) or not 0 < len(value) <= MOST_MEMBERS or depth == 0:
        return False
    return all(_is_name(name) and (_is_scalar(part) or _is_pattern(part, depth - 1)) for name, part in value.items())


def _is_name(name: Any) -> bool:
    return _takes(check.printable(64), name)


def _is_scalar(value: Any) -> bool:
    number = check.integer(-LARGEST_NUMBER, LARGEST_NUMBER)
    return isinstance(value, bool) or _takes(check.printable(200), value) or _takes(number, value)


def _takes(accept: check.Check, value: Any) -> bool:
    try:
        accept(value)
    except Mismatch:
        return False
    return True


def _words(value: Any) -> Any:
    texts = check.list_of(check.text(WORDS, "words"), MOST_TEXTS)
    if not isinstance(value, list) or not value or not _takes(texts, value):
        raise Mismatch(
            f"a list of 1 to {MOST_TEXTS} texts of 1 to 200 characters (an answer has to contain one of them), like "
            '["refresh token is invalid"]'
        )
    return value


_CHECKS: dict[str, check.Check] = {
    "endpoint": check.one_of(*ENDPOINTS),
    "status": check.integer(200, 599),
    "code": check.text(CODE, "the server's code, like invalid_request, or http_400 for an answer that has none"),
    "words": _words,
    "contains": _contains,
    "means": check.one_of(*MEANINGS),
}
CONDITIONS = ("status", "code", "words", "contains")
"""A rule needs one of these: by endpoint alone, everything that can go wrong there would mean the same."""


def checked(value: Any) -> tuple[Rule, ...]:
    """Accept a list of rules. Raises `Mismatch` that names each invalid one by its number, and what was expected."""
    if not isinstance(value, list | tuple) or len(value) > MOST_RULES:
        raise Mismatch(f"a list of at most {MOST_RULES} rules, like [{_EXAMPLE}]")
    if problems := [problem for number, rule in enumerate(value, 1) for problem in _problems(f"rule {number}", rule)]:
        raise Mismatch(", and ".join(problems[:5]))
    return tuple(value)


def _problems(which: str, rule: Any) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        yield f"{which} to be an object, like {_EXAMPLE}"
        return
    for name in sorted(rule.keys() - _CHECKS.keys()):
        from functions.vault.base.refused_fields import not_among  # noqa: PLC0415 - most rules are right

        yield f"{which} to have none but the keys {', '.join(_CHECKS)}: {not_among(name, _CHECKS)}"
    for name, accept in _CHECKS.items():
        if name in rule:
            try:
                accept(rule[name])
            except Mismatch as mismatch:
                from functions.vault.base.refused_fields import came  # noqa: PLC0415 - as above

                yield f"{name} of {which} to be {mismatch}{came(mismatch, rule[name])}"
    if "means" not in rule:
        yield f"{which} to say what it means: one of {', '.join(MEANINGS)}"
    if rule.get("means") == ACCESS_DENIED and rule.get("endpoint") != "authorization":
        yield f'{which} to have "endpoint": "authorization": nobody else can say that the customer declined'
    if not rule.keys() & set(CONDITIONS):
        yield f"{which} to have a condition: at least one of {', '.join(CONDITIONS)}"
