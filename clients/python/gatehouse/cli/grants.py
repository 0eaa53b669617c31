"""Grants in a file: JSON Lines or CSV, what `gatehouse export` wrote, opened, among them. Read row by row, and checked.

What is said of a row names its line and its field, and repeats no value: it could be a token.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import exits, repository
from .failures import Failure
from .words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LATEST = 2**33
"""Unix seconds in the year 2242: a time in milliseconds is beyond it."""
_OBJECTS = ("parameters", "tags", "metadata")
_MOST_PROBLEMS = 20
_LONGEST_FIELD = 131_072
_JWE = re.compile(r"eyJ[\w-]*(?:\.[\w-]*){4}")
"""A JWE in its compact form (RFC 7516, section 7.1): five parts. The first is JSON in base64url."""


@dataclass(frozen=True)
class Row:
    """One grant of a file, and the line that it is on."""

    line: int
    fields: dict[str, Any] = field(repr=False)


class Unreadable(Exception):
    """A row cannot be read. The text says why, and nothing of what it contains."""


@dataclass
class Checked:
    """What a file has: how many grants of each provider, from which line on, and what is wrong with which line."""

    providers: Counter[str] = field(default_factory=Counter)
    first_lines: dict[str, int] = field(default_factory=dict)
    """By provider."""
    mistakes: list[tuple[int, str]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many grants there are."""
        return self.providers.total()

    @property
    def problems(self) -> list[str]:
        """What is wrong, in the order of the lines."""
        return [f"line {line}: {text}" for line, text in sorted(self.mistakes, key=lambda each: each[0])]


def rows(path: Path, provider: str | None) -> Iterator[Row | tuple[int, str]]:
    """Give the grants of a file; for a line that cannot be read, its number and why. Raises `Failure`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reads = _of_csv if path.suffix.lower() == ".csv" else _of_json_lines
            for line, found in reads(file):
                if isinstance(found, str):
                    yield line, found
                else:
                    yield Row(line, {"provider": provider, **found} if provider else found)
    except UnicodeDecodeError:
        raise Failure("unreadable", f"{path} is not UTF-8.", code=exits.USAGE) from None
    except OSError as error:
        raise Failure("unreadable", f"{path}: {error.strerror}.", code=exits.USAGE) from None


def checked(path: Path, provider: str | None, now: float) -> Checked:
    """Read a file to its end, and say what is wrong with it. Of each row only its id is kept."""
    base, read = repository.module("functions.vault.base.fields"), _reader()
    found, of_ids = Checked(), dict[str, int]()
    for row in rows(path, provider):
        if isinstance(row, tuple):
            found.mistakes.append(row)
            continue
        found.mistakes += [(row.line, text) for text in _problems_of(row, read, now)]
        connection_id, name = row.fields.get("connection_id"), row.fields.get("provider")
        if isinstance(connection_id, str) and connection_id in of_ids:
            found.mistakes.append((row.line, f"connection_id: the same as on line {of_ids[connection_id]}"))
        elif isinstance(connection_id, str):
            of_ids[connection_id] = row.line
        if isinstance(name, str) and base.matches(name, base.PROVIDER_NAME):
            found.first_lines.setdefault(name, row.line)
            found.providers[name] += 1
    return found


def refused(path: Path, problems: list[str]) -> Failure:
    """Return the failure that a file is not imported for."""
    shown = "\n  ".join(problems[:_MOST_PROBLEMS])
    more = f"\n  and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    failure = Failure(
        "invalid_file",
        f"{path} has {counted(len(problems), 'mistake')}, and nothing was imported:\n  {shown}{more}",
        advice="Correct the file, and import the whole of it again.",
        code=exits.USAGE,
    )
    failure.facts = {"problems": problems}
    return failure


def _problems_of(row: Row, read: Callable[[dict[str, Any]], Any], now: float) -> Iterator[str]:
    fields = row.fields
    errors = repository.module("functions.vault.base.errors")
    try:
        read(fields)
    except errors.GatehouseError as error:
        yield str(error.description)
    if "refresh_token" not in fields and "access_token" not in fields:
        yield "refresh_token: required, unless there is an access_token"
    if "expires_at" in fields and "access_token" not in fields:
        yield "expires_at: expected to be left out without an access_token, whose end it is"
    expires_at = fields.get("expires_at")
    if "refresh_token" not in fields and isinstance(expires_at, int) and expires_at <= now:
        yield "expires_at: expected a time in the future, in Unix seconds, since there is no refresh_token"


def import_fields() -> Any:
    """Return the fields of `import_connection`, with the checks that the function makes."""
    base = repository.module("functions.vault.base.fields")
    visible = r"[\x21-\x7e](?:[\x20-\x7e]{0,16382}[\x21-\x7e])?"
    token = base.text(visible, "the token as the provider issued it, without blanks or line breaks around it")
    scope = rf"{base.SCOPE_TOKEN}(?: {base.SCOPE_TOKEN}){{0,99}}"
    name = base.text(base.LABEL, "1 to 64 of A-Z a-z 0-9 _ . : -")
    return base.Fields(
        required={"provider": base.provider_name, "connection_id": base.connection_id},
        optional={
            "refresh_token": token,
            "access_token": token,
            "expires_at": base.integer(0, LATEST).like(1767229200),
            "scope": base.text(scope, "scopes separated by single spaces, at most 100", "read write"),
            "owner": base.owner,
            "parameters": base.labels.like({"shop": "acme"}),
            "tags": base.labels.like({"plan": "gold"}),
            "subject": base.printable(256).like("merchant-42"),
            "metadata": base.string_map(name, 1024, 20).like({"host": "api.example.com"}),
            "prove": base.boolean,
        },
    )


def _reader() -> Callable[[dict[str, Any]], Any]:
    read: Callable[[dict[str, Any]], Any] = import_fields().read
    return read


def _of_json_lines(file: Any) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        if _JWE.fullmatch(text.strip()):
            raise Failure(
                "encrypted",
                f"Line {number} is an export as it was written, encrypted: it has to be opened first.",
                advice="docs/export.md, under Open it, has the program. Then import the file that it writes.",
                code=exits.USAGE,
            )
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            yield number, "expected a JSON object on one line"
            continue
        # An export, opened: many grants on one line.
        exported = document.get("connections") if isinstance(document, dict) else None
        for each in exported if isinstance(exported, list) else [document]:
            yield number, _without_nulls(each) if isinstance(each, dict) else "expected a JSON object"


def _of_csv(file: Any) -> Iterator[tuple[int, dict[str, Any] | str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(file, strict=True)
    try:
        for cells in reader:
            if None in cells or None in cells.values():
                yield reader.line_num, "expected as many cells as the first line has names"
                continue
            try:
                yield reader.line_num, _from_cells(cells)
            except Unreadable as error:
                yield reader.line_num, str(error)
    except csv.Error:
        yield reader.line_num, "not CSV: see whether quotation marks in cells are doubled"


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a row. An empty cell is no field; `tags.plan` is the name `plan` in `tags`."""
    found: dict[str, Any] = {}
    for name, text in cells.items():
        if not text:
            continue
        head, _, key = name.strip().partition(".")
        if head in _OBJECTS and key:
            found.setdefault(head, {})[key] = text
        elif head in _OBJECTS:
            found[head] = _json_of(head, text)
        elif head == "expires_at":
            found[head] = _number_of(text)
        elif head == "prove":
            found[head] = text.strip().lower() in {"1", "true", "yes"}
        else:
            found[name.strip()] = text
    return found


def _json_of(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f'{name}: expected a JSON object, or a column for each name, like "{name}.plan"') from None


def _number_of(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Unreadable("expires_at: expected whole Unix seconds, like 1795972434") from None


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
