"""A refusal, and the rule of the provider's data that fits it.

Rules that look into an answer (`words`, `contains`) are asked first, whoever wrote them: a code alone says less. Among
equals the order is that of the data, a registration's before a file's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from functions.vault.provider.rules import Rule


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
    # A text of nothing but blanks of another alphabet is in no words, rather than in all.
    if "words" in rule and not any((wanted := plain(text)) and wanted in words for text in rule["words"]):
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
