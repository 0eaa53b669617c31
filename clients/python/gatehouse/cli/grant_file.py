"""A file with grants: its rows, as JSON Lines or as CSV has them.

What is said of a row names its line and its field, and repeats no value: it could be a token.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from . import exits
from .failures import Failure, unusable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

STANDARD_INPUT = "-"
_OBJECTS = ("parameters", "tags", "metadata")
_LONGEST_FIELD = 131_072
_JWE = re.compile(r"eyJ[\w-]*(?:\.[\w-]*){4}")
"""A JWE in its compact form (RFC 7516, section 7.1): five parts. The first is JSON in base64url."""
_DELIMITERS = ",;\t"
"""What programs that write tables put between cells. No name of a field has one of them."""
_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no"}


class Unreadable(Exception):
    """A row cannot be read. The text says why, and nothing of what it contains."""


class GrantFile:
    """A file that is read twice: to be checked, and to be imported. It must not change in between.

    What can be read only once, like a pipe or standard input, is kept in memory.
    """

    def __init__(self, path: Path, *, is_csv: bool = False) -> None:
        self.path = path
        self._is_csv = is_csv or path.suffix.lower() == ".csv"
        self._kept: bytes | None = None
        self._stamp: tuple[int, ...] | None = None

    def rows(self, names: Collection[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Give each row by its line: its fields, or why it cannot be read. `names` are those of fields."""
        try:
            with io.TextIOWrapper(self._opened(), encoding="utf-8-sig", newline="") as file:
                yield from _of_csv(file, names) if self._is_csv else _of_json_lines(file)
        except UnicodeDecodeError:
            raise Failure(
                "unreadable", f"{self.path} is not UTF-8.", advice="Save it in that encoding.", code=exits.USAGE
            ) from None
        except OSError as error:
            raise unusable("unreadable", self.path, error) from None

    def is_same(self, path: Path) -> bool:
        """Return whether a path leads to this file."""
        return path.exists() and self.path.exists() and path.samefile(self.path)

    def _opened(self) -> Any:
        if self._kept is None and self.path.is_file():
            found = self.path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._stamp not in {None, stamp}:
                raise Failure(
                    "changed",
                    f"{self.path} has changed since it was checked.",
                    advice="Run the command again, and leave the file as it is until it is done.",
                    code=exits.USAGE,
                )
            self._stamp = stamp
            return self.path.open("rb")
        if self._kept is None:
            is_typed = str(self.path) == STANDARD_INPUT
            self._kept = sys.stdin.buffer.read() if is_typed else self.path.read_bytes()
        return io.BytesIO(self._kept)


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
            yield number, _without_nulls(each) if isinstance(each, dict) else "expected a JSON object, one on each line"


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _of_csv(file: Any, known: Collection[str]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    csv.field_size_limit(_LONGEST_FIELD)
    first = file.readline()
    file.seek(0)
    reader = csv.reader(file, strict=True, delimiter=max(_DELIMITERS, key=first.count))
    try:
        names = [name.strip() for name in next(reader, [])]
        if problem := _problem_of(names, known):
            yield 1, problem
            return
        for cells in reader:
            # Programs that write tables leave rows without anything in them.
            if any(cells):
                yield reader.line_num, _of_cells(names, cells)
    except csv.Error:
        yield reader.line_num, "not CSV: see whether quotation marks in cells are doubled"


def _problem_of(names: list[str], known: Collection[str]) -> str:
    """Return what is wrong with the first line. Of what is no field nothing is repeated: it may be a row of tokens."""
    columns = {number: _head(name) for number, name in enumerate(names, 1) if name}
    heads = [*columns.values()]
    wrong = next((number for number, head in columns.items() if head not in known), None)
    if wrong is not None or not heads:
        which = "" if wrong is None else f" (column {wrong}{_meant(columns[wrong], known)})"
        return f"expected names of fields in the first line, each one of {', '.join(known)}, or like tags.plan{which}"
    twice = [name for name, number in Counter(filter(None, names)).items() if number > 1]
    twice += [name for name in _OBJECTS if name in names and heads.count(name) > 1]
    return f"{twice[0]}: the first line has it twice" if twice else ""


def _head(name: str) -> str:
    """Return the field that a column is for: a column like `tags.plan` has a part of one."""
    return name.partition(".")[0] if name.startswith(_OBJECTS) else name


def _meant(head: str, known: Collection[str]) -> str:
    nearest = get_close_matches(re.sub(r"\W", "_", head.lower()), known, 1)
    return f": did you mean {nearest[0]}?" if nearest else ""


def _of_cells(names: list[str], cells: list[str]) -> dict[str, Any] | str:
    """Return the fields of a row, or why it cannot be read."""
    if len(cells) != len(names) or any(cell for name, cell in zip(names, cells, strict=True) if not name):
        return "expected as many cells as the first line has names"
    try:
        return _fields(dict(zip(names, cells, strict=True)))
    except Unreadable as error:
        return str(error)


def _fields(cells: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a row. An empty cell is no field; `tags.plan` is the name `plan` in `tags`."""
    found: dict[str, Any] = {}
    for name, text in cells.items():
        if not text:
            continue
        head, _, key = name.partition(".")
        if head in _OBJECTS and key:
            found.setdefault(head, {})[key] = text
        elif head in _OBJECTS:
            found[head] = _json_of(head, text)
        elif head == "expires_at":
            found[head] = _number_of(text)
        elif head == "prove":
            found[head] = _truth_of(text)
        else:
            found[name] = text
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


def _truth_of(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise Unreadable("prove: expected true or false")
    return word in _TRUE
