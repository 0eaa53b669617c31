"""CloudWatch Logs Insights as far as the template's saved queries use it: a query's own text, run over lines of logs.

What it knows is from AWS's documentation of the query language: `fields`, `display`, `filter`, `stats`, `sort` and
`limit`, with `=`, `!=`, `in`, `like`, `and`, `or`, `not`, `ispresent` and `coalesce`. What is new here is an error, not
a guess; so is a comparison by `!=` with a field that a line does not have: nothing is documented of that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = dict[str, Any]
Value = Callable[[Row], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"\\]*")|(?P<pattern>/(?:[^/\\]|\\.)+/)|(?P<number>\d+)|(?P<name>[@A-Za-z_][\w.]*)"""
    r"""|(?P<mark>!=|[=()\[\],*|]))"""
)
_LONGEST_PREFIX_OF_FIELDS = 200
_MOST_ROWS = 1000
"""Rows of a query that has no `limit`. (The documentation says 10,000; fewer are an error here, before they are.)"""


def lines_of(log: Iterable[str]) -> list[Row]:
    """Return lines of a log as Insights discovers them: the fields of a line of JSON, and `@timestamp`, by their order.

    A line that is no JSON has a `@message` and nothing else.
    """
    found: list[Row] = []
    for number, line in enumerate(log):
        try:
            document = json.loads(line)
        except ValueError:
            document = {}
        fields = dict(_flat(document)) if isinstance(document, dict) else {}
        if len(fields) > _LONGEST_PREFIX_OF_FIELDS:
            raise ValueError(f"Insights discovers {_LONGEST_PREFIX_OF_FIELDS} fields of a line, and it has more")
        found.append({**fields, "@message": line, "@timestamp": number})
    return found


def _flat(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Give what is in a document, by names like ``record.metrics.0.value``."""
    if isinstance(part, dict | list):
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif part is not None:
        yield name, part


def run(query: str, rows: list[Row]) -> list[Row]:
    """Return what a query finds in some lines, with the fields that it shows. Raises `ValueError` for a new word."""
    shown: list[str] = []
    for command in _commands(query):
        keyword = command.take("name")
        match keyword:
            case "fields" | "display":
                columns = command.columns()
                rows = [row | _values(columns, row) for row in rows]
                shown = [name for name, _ in columns] if keyword == "display" else [*shown, *(n for n, _ in columns)]
            case "filter":
                condition = command.condition()
                rows = [row for row in rows if condition(row)]
            case "stats":
                rows, shown = command.stats(rows)
            case "sort":
                name, order = command.take("name"), command.take("name")
                rows = sorted(rows, key=lambda row: row[name], reverse={"asc": False, "desc": True}[order])
            case "limit":
                rows = rows[: int(command.take("number"))]
            case _:
                raise ValueError(keyword)
        command.end()
    if len(rows) > _MOST_ROWS:
        raise ValueError(f"more than {_MOST_ROWS} rows: give a limit")
    return [{name: row[name] for name in shown if name in row} for row in rows]


def _values(columns: Sequence[tuple[str, Value]], row: Row) -> Row:
    return {name: found for name, value in columns if (found := value(row)) is not None}


def _commands(query: str) -> list[_Command]:
    tokens: list[tuple[str, str]] = []
    place, text = 0, query.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(text[place:])
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        place = found.end()
    commands: list[list[tuple[str, str]]] = [[]]
    for token in tokens:
        if token == ("mark", "|"):
            commands.append([])
        else:
            commands[-1].append(token)
    return [_Command(command) for command in commands]


@dataclass
class _Command:
    """The words of one command that are left to read."""

    left: list[tuple[str, str]]

    def take(self, kind: str, *allowed: str) -> str:
        """Read a word of this kind. Raises `ValueError` for any other."""
        if not self.left or self.left[0][0] != kind or (allowed and self.left[0][1] not in allowed):
            raise ValueError(f"{kind} expected at {self.left[:3]}")
        return self.left.pop(0)[1]

    def has(self, word: str) -> bool:
        """Read a word if it comes next."""
        if self.left and self.left[0] in {("name", word), ("mark", word)}:
            self.left.pop(0)
            return True
        return False

    def end(self) -> None:
        """Raise `ValueError` if something is left."""
        if self.left:
            raise ValueError(self.left)

    def columns(self) -> list[tuple[str, Value]]:
        """Read columns: a field, or something `as` a name."""
        found: list[tuple[str, Value]] = []
        while True:
            name = self.left[0][1]
            value = self._value()
            found.append((self.take("name") if self.has("as") else name, value))
            if not self.has(","):
                return found

    def stats(self, rows: list[Row]) -> tuple[list[Row], list[str]]:
        """Read what is counted, and by what; return the groups, and their columns."""
        counted: list[tuple[str, Callable[[Sequence[Row]], Any]]] = []
        while True:
            aggregate = self._aggregate()
            self.take("name", "as")
            counted.append((self.take("name"), aggregate))
            if not self.has(","):
                break
        by: list[str] = []
        if self.has("by"):
            by.append(self.take("name"))
            while self.has(","):
                by.append(self.take("name"))
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            # What becomes of a line without the field is not documented: a query has to leave it out first.
            groups.setdefault(tuple(row[name] for name in by), []).append(row)
        results = [
            dict(zip(by, key, strict=True)) | {name: f for name, work in counted if (f := work(group)) is not None}
            for key, group in groups.items()
        ]
        return results, [*by, *(name for name, _ in counted)]

    def _aggregate(self) -> Callable[[Sequence[Row]], Any]:
        name = self.take("name", "count", "latest", "max")
        self.take("mark", "(")
        if name == "count":
            self.take("mark", "*")
            self.take("mark", ")")
            return len
        field = self.take("name")
        self.take("mark", ")")
        return lambda group: _latest(group, field) if name == "latest" else max(row[field] for row in group)

    def condition(self) -> Callable[[Row], bool]:
        """Read a condition; `and` binds more tightly than `or`."""
        options = [self._all_of()]
        while self.has("or"):
            options.append(self._all_of())
        return lambda row: any(option(row) for option in options)

    def _all_of(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self.has("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if self.has("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self.has("("):
            grouped = self.condition()
            self.take("mark", ")")
            return grouped
        if self.has("ispresent"):
            self.take("mark", "(")
            field = self.take("name")
            self.take("mark", ")")
            return lambda row: field in row
        return self._comparison(self.take("name"))

    def _comparison(self, field: str) -> Callable[[Row], bool]:
        if self.has("="):
            wanted = self._text()
            return lambda row: row.get(field) == wanted
        if self.has("!="):
            unwanted = self._text()
            return lambda row: bool(row[field] != unwanted)
        if self.has("in"):
            self.take("mark", "[")
            options = [self._text()]
            while self.has(","):
                options.append(self._text())
            self.take("mark", "]")
            return lambda row: row.get(field) in options
        self.take("name", "like")
        pattern = re.compile(self.take("pattern")[1:-1])
        return lambda row: pattern.search(str(row.get(field, ""))) is not None

    def _value(self) -> Value:
        name = self.take("name")
        if name != "coalesce":
            return lambda row: row.get(name)
        self.take("mark", "(")
        options = [self._operand()]
        while self.has(","):
            options.append(self._operand())
        self.take("mark", ")")
        return lambda row: next((found for option in options if (found := option(row)) is not None), None)

    def _operand(self) -> Value:
        if self.left and self.left[0][0] == "text":
            text = self._text()
            return lambda _row: text
        name = self.take("name")
        return lambda row: row.get(name)

    def _text(self) -> str:
        return self.take("text")[1:-1]


def _latest(group: Sequence[Row], field: str) -> Any:
    having = [row for row in group if field in row]
    return max(having, key=lambda row: row["@timestamp"])[field] if having else None
