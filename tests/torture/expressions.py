"""The expressions of DynamoDB that the tables write, evaluated: conditions, key conditions and updates.

Values stay in DynamoDB's own form (`{"S": "x"}`, `{"N": "1"}`), so that what is stored is what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]
Names = dict[str, str]
Values = dict[str, Value]
Condition = Callable[[Item, Names, Values], bool]
_Operand = Callable[[Item, Names, Values], Value | None]

_TOKEN = re.compile(r"\s*(#\w+(?:\.#\w+)*|:\w+|<=|>=|<>|[=<>(),]|\w+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: bool(left == right),
    "<>": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


class Unsupported(Exception):
    """An expression beyond the subset that the store uses: teach it here, and prove it against a real engine."""


def _plain(value: Value) -> tuple[str, Any]:
    """Return type and comparable content: numbers as numbers, sets without an order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    if kind in {"SS", "NS", "BS"}:
        return kind, frozenset(content)
    return kind, content


def _at(item: Item, path: str, names: Names) -> Value | None:
    """Return the value at a document path, or None if there is none."""
    found: Value | None = {"M": item}
    for part in path.split("."):
        inside = found.get("M") if found else None
        found = inside.get(names[part]) if inside is not None else None
    return found


class _Parser:
    """Recursive descent: OR, AND, NOT, comparison (in rising order of precedence)."""

    def __init__(self, expression: str) -> None:
        self._tokens = _TOKEN.findall(expression)
        if "".join(self._tokens) != re.sub(r"\s+", "", expression):
            raise Unsupported(expression)
        self._tokens.reverse()

    def whole(self) -> Condition:
        condition = self._any()
        if self._tokens:
            raise Unsupported(self._tokens[-1])
        return condition

    def _next(self) -> str:
        return str(self._tokens.pop())

    def _accept(self, token: str) -> bool:
        if self._tokens and self._tokens[-1].upper() == token:
            self._tokens.pop()
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise Unsupported(f"{token} expected")

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._accept("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda *record: any(part(*record) for part in parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._accept("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda *record: all(part(*record) for part in parts)

    def _one(self) -> Condition:
        if self._accept("NOT"):
            inner = self._one()
            return lambda *record: not inner(*record)
        if self._accept("("):
            inner = self._any()
            self._expect(")")
            return inner
        for function in ("ATTRIBUTE_NOT_EXISTS", "ATTRIBUTE_EXISTS"):
            if self._accept(function):
                return self._existence(wanted=function == "ATTRIBUTE_EXISTS")
        if self._accept("CONTAINS"):
            return self._contains()
        return self._comparison()

    def _existence(self, *, wanted: bool) -> Condition:
        self._expect("(")
        operand = self._operand()
        self._expect(")")
        return lambda *record: (operand(*record) is not None) == wanted

    def _contains(self) -> Condition:
        self._expect("(")
        whole = self._operand()
        self._expect(",")
        part = self._operand()
        self._expect(")")

        def contains(*record: Any) -> bool:
            found, wanted = whole(*record), part(*record)
            return found is not None and wanted is not None and _plain(wanted)[1] in _plain(found)[1]

        return contains

    def _comparison(self) -> Condition:
        left = self._operand()
        if self._accept("IN"):
            return self._membership(left)
        operator = self._next()
        if operator not in _COMPARE:
            raise Unsupported(operator)
        compare, right = _COMPARE[operator], self._operand()

        def comparison(*record: Any) -> bool:
            one, other = left(*record), right(*record)
            if one is None or other is None:
                return False
            (kind, first), (other_kind, second) = _plain(one), _plain(other)
            return compare(first, second) if kind == other_kind else operator == "<>"

        return comparison

    def _membership(self, left: _Operand) -> Condition:
        self._expect("(")
        entries = [self._operand()]
        while self._accept(","):
            entries.append(self._operand())
        self._expect(")")
        return lambda *record: left(*record) in [entry(*record) for entry in entries]

    def _operand(self) -> _Operand:
        token = self._next()
        if token.startswith(":"):
            return lambda _item, _names, values: values[token]
        if token.startswith("#"):
            return lambda item, names, _values: _at(item, token, names)
        raise Unsupported(token)


@cache
def condition(expression: str) -> Condition:
    """Return a condition or key condition, ready to be asked."""
    return _Parser(expression).whole()


@dataclass(frozen=True)
class Update:
    """An update expression: the clauses that the stores use, each a list of top-level attribute and value.

    What is assigned may be another attribute, as it was before.
    """

    assigned: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[tuple[str, str], ...] = ()

    def apply(self, item: Item, names: Names, values: Values) -> Item:
        """Return the item after the update; the old one stays as it is."""
        after = dict(item)
        for name, value in self.assigned:
            after[names[name]] = values[value] if value.startswith(":") else item[names[value]]
        for name in self.removed:
            after.pop(names[name], None)
        for name, value in self.added:
            after[names[name]] = _sum(after.get(names[name]), values[value])
        return after


def _sum(before: Value | None, more: Value) -> Value:
    """Return what ADD makes: a larger number, or a union of sets."""
    if before is None:
        return more
    ((kind, content),) = more.items()
    if kind == "N":
        return {"N": str(Decimal(before["N"]) + Decimal(content))}
    return {kind: sorted({*before[kind], *content})}


@cache
def update(expression: str) -> Update:
    """Return an update expression, ready to be applied."""
    clauses: dict[str, list[str]] = {}
    for verb, body in re.findall(r"\b(SET|REMOVE|ADD)\s+(.*?)(?=\s+(?:SET|REMOVE|ADD)\s|$)", expression):
        if verb in clauses:
            raise Unsupported(expression)
        clauses[verb] = [part.strip() for part in body.split(",")]
    if not clauses:
        raise Unsupported(expression)
    return Update(
        tuple(_pair(part, r"(#\w+)\s*=\s*([:#]\w+)") for part in clauses.get("SET", [])),
        tuple(_single(part) for part in clauses.get("REMOVE", [])),
        tuple(_pair(part, r"(#\w+)\s+(:\w+)") for part in clauses.get("ADD", [])),
    )


def _pair(part: str, pattern: str) -> tuple[str, str]:
    match = re.fullmatch(pattern, part)
    if match is None:
        raise Unsupported(part)
    return match[1], match[2]


def _single(part: str) -> str:
    if not re.fullmatch(r"#\w+", part):
        raise Unsupported(part)
    return part
