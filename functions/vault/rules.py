"""What a refusal means at one provider, as rules: how they are written in its data, and which of them fits.

A rule holds conditions on endpoint, status, code, words and members of an answer, and what a refusal means that meets
all of them. Rules that look into an answer (`words`, `contains`) are asked first, whoever wrote them: a code alone says
less. Among equals the order is that of the data, a registration's before a file's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Required, TypedDict

from . import fields as check
from .fields import Mismatch
from .record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ENDPOINTS = ("authorization", "token", "refresh", "revocation")
"""Where a refusal can come from: `token` is the exchange of a code, `refresh` that of a refresh token."""

BUSY = "busy"
"""The server is at work on another request for the same grant: this answer says nothing about the grant."""

MEANINGS = (
    "invalid_grant",
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "invalid_token",
    "unauthorized_client",
    "slow_down",
    "temporarily_unavailable",
    BUSY,
)

CODE = r"[A-Za-z0-9_.:/ -]{1,64}"
WORDS = r"(?! )[^\x00-\x1f\x7f\ud800-\udfff]{0,199}[^\x00-\x20\x7f\ud800-\udfff]"
MOST_RULES = 50
MOST_TEXTS = 10
MOST_MEMBERS = 10
DEEPEST = 4
"""Objects in one another, in a rule's `contains`."""

LARGEST_NUMBER = 10**15

_EXAMPLE = '{"status": 403, "words": ["refresh token is invalid"], "means": "invalid_grant"}'


class Rule(TypedDict, total=False):
    """One rule, as it is written: what it does not name it does not ask for."""

    endpoint: str
    status: int
    code: str
    words: list[str]
    contains: dict[str, Any]
    means: Required[str]


@record
class Refusal:
    """An answer that is no success, as rules see it.

    `code` is the server's own, else `http_` and the status. It is None where a page came: somebody else than the server
    may have sent that, and it is known by its words alone. `texts` are the server's words, the likeliest first.
    """

    endpoint: str
    status: int
    code: str | None
    texts: tuple[str, ...]
    document: Mapping[str, Any] | None

    @property
    def words(self) -> str:
        """Return all of its words, as words are compared: none that a rule may have stands across two texts."""
        return "\0".join(map(plain, self.texts))


def plain(text: str) -> str:
    """Return a text as it is compared: without regard to case, and with single spaces."""
    return " ".join(text.casefold().split())


def of_codes(error_codes: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules that `error_codes` is the short form of."""
    return tuple({"code": code, "means": meaning} for code, meaning in error_codes.items())


def fitting(refusal: Refusal, rules: Iterable[Rule]) -> Rule | None:
    """Return the rule that says what a refusal means; None where none of them fits."""
    words, ordered = refusal.words, sorted(rules, key=lambda rule: not _looks_inside(rule))
    return next((rule for rule in ordered if _fits(rule, refusal, words)), None)


def _looks_inside(rule: Rule) -> bool:
    return "words" in rule or "contains" in rule


def _fits(rule: Rule, refusal: Refusal, words: str) -> bool:
    if rule.get("endpoint", refusal.endpoint) != refusal.endpoint:
        return False
    if rule.get("status", refusal.status) != refusal.status:
        return False
    if "words" in rule and not any(plain(text) in words for text in rule["words"]):
        return False
    if "contains" in rule and not _holds(refusal.document, rule["contains"]):
        return False
    if refusal.code is None:
        return "words" in rule and "code" not in rule
    return plain(rule.get("code", refusal.code)) == plain(refusal.code)


def _holds(found: Any, expected: Any) -> bool:
    """Tell whether what was found is what is expected; of a list one member has to be."""
    return any(_is(each, expected) for each in (found if isinstance(found, list) else [found]))


def _is(found: Any, expected: Any) -> bool:
    """Tell whether one value is as expected: an object with at least these members, or the same text or number."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and _holds(found[name], value) for name, value in expected.items()
        )
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    return isinstance(found, str | int) and plain(str(found)) == plain(str(expected))


# How they are written


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
            f"a list of 1 to {MOST_TEXTS} texts, of which an answer has to hold one, each of 1 to 200 characters, like "
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
"""Of these a rule needs one: an endpoint alone would give all that can go wrong there one meaning."""


def checked(value: Any) -> tuple[Rule, ...]:
    """Accept a list of rules. Raises `Mismatch` that names each bad one by its number, and what was expected there."""
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
        yield f"{which} to have none but the keys {', '.join(_CHECKS)}: {check.shown(name)} is not one of them"
    for name, accept in _CHECKS.items():
        if name in rule:
            try:
                accept(rule[name])
            except Mismatch as mismatch:
                yield f"{name} of {which} to be {mismatch}"
    if "means" not in rule:
        yield f"{which} to say what it means: one of {', '.join(MEANINGS)}"
    if not rule.keys() & set(CONDITIONS):
        yield f"{which} to have a condition: at least one of {', '.join(CONDITIONS)}"
