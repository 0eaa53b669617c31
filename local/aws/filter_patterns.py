"""Filter patterns of CloudWatch Logs for lines of JSON, as AWS documents them: what a metric filter matches.

Comparisons with text (`*` stands for any characters), with numbers and with TRUE, FALSE and NULL, `NOT EXISTS`, names
through objects and arrays, `&&`, which binds more tightly than `||`, and parentheses. Anything else is an error, not a
guess.
"""

from __future__ import annotations

import json
import operator
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(?:(?P<field>\$(?:\.[A-Za-z_]\w*|\[\d+\])+)|(?P<text>\"[^\"]*\")|(?P<word>NOT EXISTS|IS (?:TRUE|FALSE|NULL))"
    r"|(?P<mark>&&|\|\||>=|<=|!=|[=<>()])|(?P<bare>[A-Za-z0-9.*_-]+))"
)
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_NOTHING = object()
_TRUTH = {"IS TRUE": True, "IS FALSE": False, "IS NULL": None}


def matches(pattern: str, line: str) -> bool:
    """Return whether a pattern matches a line of a log; one that is not JSON is matched by none."""
    inner = re.fullmatch(r"\{(.*)\}", pattern)
    if inner is None:
        raise ValueError(pattern)
    try:
        document = json.loads(line)
    except ValueError:
        return False
    reader = _Reader(_tokens(inner[1].strip()), document)
    result = reader.any_of()
    reader.end()
    return result


def value_at(document: Any, field: str) -> Any:
    """Return what `$.name` selects in a document; None if nothing is there."""
    found = _at(document, field)
    return None if found is _NOTHING else found


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(text[place:])
        found.append((str(token.lastgroup), token[str(token.lastgroup)]))
        place = token.end()
    return found


def _at(document: Any, field: str) -> Any:
    for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", field):
        if name and isinstance(document, dict) and name in document:
            document = document[name]
        elif number and isinstance(document, list) and int(number) < len(document):
            document = document[int(number)]
        else:
            return _NOTHING
    return document


class _Reader:
    def __init__(self, left: list[tuple[str, str]], document: Any) -> None:
        self._left = left
        self._document = document

    def any_of(self) -> bool:
        result = self._all_of()
        while self._has("||"):
            # Both sides are read, whatever the first is.
            result = self._all_of() or result
        return result

    def _all_of(self) -> bool:
        result = self._one()
        while self._has("&&"):
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._has("("):
            result = self.any_of()
            if not self._has(")"):
                raise ValueError(self._left)
            return result
        value = _at(self._document, self._take("field"))
        kind, said = self._left.pop(0)
        if kind == "word":
            return value is _NOTHING if said == "NOT EXISTS" else value is _TRUTH[said]
        kind_of_wanted, wanted = self._left.pop(0)
        if kind != "mark" or kind_of_wanted not in {"text", "bare"}:
            raise ValueError((said, wanted))
        return _compares(value, said, wanted)

    def end(self) -> None:
        if self._left:
            raise ValueError(self._left)

    def _has(self, mark: str) -> bool:
        if self._left and self._left[0] == ("mark", mark):
            self._left.pop(0)
            return True
        return False

    def _take(self, kind: str) -> str:
        if not self._left or self._left[0][0] != kind:
            raise ValueError((kind, self._left))
        return self._left.pop(0)[1]


def _compares(value: Any, by: str, wanted: str) -> bool:
    """Return whether a value compares so. Nothing that is not there, or is no text or number, does.

    Whether what is not there is unlike something is not documented: that is an error.
    """
    if value is _NOTHING and by == "!=":
        raise ValueError((by, wanted))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    text = wanted.strip('"')
    if re.fullmatch(r"-?\d+(\.\d+)?", text) and isinstance(value, int | float):
        return _NUMBERS[by](value, float(text))
    if by not in {"=", "!="}:
        return False
    pattern = ".*".join(map(re.escape, text.split("*")))
    return (re.fullmatch(pattern, str(value), re.DOTALL) is not None) == (by == "=")
