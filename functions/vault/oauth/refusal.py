"""A refusal by an authorization server, and the rule in the provider's data that matches it.

Rules that look into an answer (`words`, `contains`) come first, whoever wrote them: a code alone says less. Among
equals the order is that of the data, a registration's rules before a file's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from functions.vault.provider.refusal_rules import Rule


@record
class Refusal:
    """An answer that is no success, as rules see it.

    `code` is the server's own, or else `http_` and the status. It is None if a page came, because another machine than
    the server may have sent that; only its words identify it. `texts` are the server's texts, the likeliest first.
    """

    endpoint: str
    status: int
    code: str | None
    texts: tuple[str, ...]
    document: Mapping[str, Any] | None

    @property
    def words(self) -> str:
        """Return all of its texts, normalized; no words of a rule can match across two of them."""
        return "\0".join(map(normalized, self.texts))


def normalized(text: str) -> str:
    """Return a text as texts are compared: without regard to case, and with single spaces."""
    return " ".join(text.casefold().split())


def matching_rule(refusal: Refusal, rules: Iterable[Rule]) -> Rule | None:
    """Return the rule that says what a refusal means; None if no rule matches."""
    words, ordered = refusal.words, sorted(rules, key=lambda rule: not _looks_inside(rule))
    return next((rule for rule in ordered if _matches(rule, refusal, words)), None)


def _looks_inside(rule: Rule) -> bool:
    return "words" in rule or "contains" in rule


def _matches(rule: Rule, refusal: Refusal, words: str) -> bool:
    if rule.get("endpoint", refusal.endpoint) != refusal.endpoint:
        return False
    if rule.get("status", refusal.status) != refusal.status:
        return False
    # A text of nothing but blanks of another alphabet is empty by now: it must not match every answer.
    if "words" in rule and not any((wanted := normalized(text)) and wanted in words for text in rule["words"]):
        return False
    if "contains" in rule and not _holds(refusal.document, rule["contains"]):
        return False
    if refusal.code is None:
        return "words" in rule and "code" not in rule
    return normalized(rule.get("code", refusal.code)) == normalized(refusal.code)


def _holds(found: Any, expected: Any) -> bool:
    """Return whether what was found is as expected; one member of a list is enough."""
    return any(_is(each, expected) for each in (found if isinstance(found, list) else [found]))


def _is(found: Any, expected: Any) -> bool:
    """Return whether one value is as expected: an object with at least these members, or the same text or number."""
    if isinstance(expected, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and _holds(found[name], value) for name, value in expected.items()
        )
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    return isinstance(found, str | int) and normalized(str(found)) == normalized(str(expected))
