"""The grants of a file, checked row by row as `import_connection` would check them.

What is said of a row names its line and its field, and repeats no value: it could be a token.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from . import exits, repository
from .failures import Failure
from .words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .grant_file import GrantFile

LATEST = 2**33
"""Unix seconds in the year 2242: a time in milliseconds is beyond it."""
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Row:
    """One grant of a file, and the line that it is on."""

    line: int
    fields: dict[str, Any] = field(repr=False)


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


def rows(file: GrantFile, provider: str | None) -> Iterator[Row | tuple[int, str]]:
    """Give the grants of a file; for a line that cannot be read, its number and why. Raises `Failure`."""
    for line, found in file.rows([*import_fields().checks]):
        if isinstance(found, str):
            yield line, found
        else:
            yield Row(line, {"provider": provider, **found} if provider else found)


def checked(file: GrantFile, provider: str | None, now: float) -> Checked:
    """Read a file to its end, and say what is wrong with it. Of each row its id is kept, and a digest of its token.

    One refresh token under two ids would be used twice, and many servers end a grant for that.
    """
    base, read = repository.module("functions.vault.base.fields"), import_fields().read
    found, seen = Checked(), dict[str | bytes, int]()
    for row in rows(file, provider):
        if isinstance(row, tuple):
            found.mistakes.append(row)
            continue
        found.mistakes += [(row.line, text) for text in _problems_of(row, read, now)]
        found.mistakes += [(row.line, text) for text in _there_before(row, seen)]
        name = row.fields.get("provider")
        if isinstance(name, str) and base.matches(name, base.PROVIDER_NAME):
            found.first_lines.setdefault(name, row.line)
            found.providers[name] += 1
    if not found.total and not found.mistakes:
        found.mistakes.append((1, "expected grants, and the file has none"))
    return found


def _there_before(row: Row, seen: dict[str | bytes, int]) -> Iterator[str]:
    """Say what of a row an earlier one has, by the lines that were `seen`: its id, or else its refresh token."""
    connection_id, token = row.fields.get("connection_id"), row.fields.get("refresh_token")
    if isinstance(connection_id, str):
        if connection_id in seen:
            yield f"connection_id: the same as on line {seen[connection_id]}"
            return
        seen[connection_id] = row.line
    if isinstance(token, str) and token:
        digest = sha256(f"{row.fields.get('provider')}\n{token}".encode(errors="surrogatepass")).digest()
        if digest in seen:
            yield f"refresh_token: the same as on line {seen[digest]}: its second use may end the grant for both"
        seen.setdefault(digest, row.line)


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
    yield from _do_not_fit_together(fields, _given(fields), now)


def _given(fields: dict[str, Any]) -> set[str]:
    """Return the fields that a row has, and those that its unknown ones are meant to be: what they lack follows."""
    known = import_fields().checks
    nearest = repository.module("functions.vault.base.refused_fields").nearest
    return {*fields, *(str(nearest(name, known)) for name in fields if name not in known)}


def _do_not_fit_together(fields: dict[str, Any], given: set[str], now: float) -> Iterator[str]:
    """Say which of the fields do not fit together: the first thing only, since the others follow from it."""
    expires_at = fields.get("expires_at")
    if not given & {"refresh_token", "access_token"}:
        yield "refresh_token: required, unless there is an access_token"
    elif "expires_at" in given and "access_token" not in given:
        yield "expires_at: expected to be left out without an access_token, whose end it is"
    elif "refresh_token" not in given and type(expires_at) is int and 0 <= expires_at <= now:
        yield "expires_at: expected a time in the future, in Unix seconds, since there is no refresh_token"


@cache
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
