"""How a refusal of fields reads: what was expected, an example, what came instead, and what may have been meant.

Loaded only when there is something to refuse. Everything is said by names and kinds: no value is repeated, because it
may be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    Check = Callable[[Any], Any]

    class Mismatch(Protocol):
        """Why a value does not fit: that of `fields`, which imports this module."""

        at: str | int | None
        part: Any
        known: Collection[str]


LIKE = 0.78
"""How similar to a known name (0 to 1) an unknown one has to be to be taken for it."""

_WORD = r"(?:[A-Za-z]{1,24}[0-9]{0,3}|[0-9]{1,3})"
NAME_OF_WORDS = rf"_?{_WORD}(?:[_.:-]{_WORD}){{0,7}}"
"""A name as people give them: words of letters, with a number at most. What could be a token or a key is none."""

_OF_AWS = {"isBase64Encoded"}
"""Fields of AWS's events whose names are not of words: whoever invokes with an event of an API sees them named."""

_A_TIME = 1_000_000_000
"""Unix seconds: an example beyond it is a time."""

_MOST = 20
"""Problems that are named: a thousand unknown fields make no thousand-line error."""

_CALLED = {
    "connection_id": ("id", "connection", "connid", "name"),
    "return_to": ("redirecturi", "redirecturl", "returnurl", "returnuri", "callbackurl", "redirect", "next"),
    "scopes": ("scope", "permissions"),
    "owner": ("user", "userid", "customer", "customerid", "tenant", "account", "accountid", "subject"),
    "parameters": ("params",),
    "authorization_params": ("authparams", "extraparams", "authorizationparameters"),
    "min_ttl": ("ttl", "minvalidity", "minlifetime"),
    "if_version": ("version", "ifmatch"),
    "tag": ("tags",),
    "tags": ("tag", "labels", "label", "metadata"),
    "limit": ("pagesize", "maxresults", "perpage", "count"),
    "cursor": ("nexttoken", "pagetoken", "after", "next", "startingtoken"),
}
"""What other programs call the fields: only the letters and digits of their names."""


def refused(payload: Any, checks: Mapping[str, Check], mismatches: Mapping[str, Mismatch | None]) -> InvalidRequest:
    """Return the refusal of a request: its unknown fields, what does not fit, what is required and missing (None)."""
    if not isinstance(payload, Mapping):
        fields = ", ".join(checks)
        return InvalidRequest(
            f"The request is {kind_of(payload)}, and must be a JSON object with the fields: {fields}."
        )
    unknown = [name for name in payload if name not in checks]
    meant = {name: near for name in unknown if (near := nearest(name, checks, _CALLED)) and near not in payload}
    problems = [f"{shown(name)}: unknown field{did_you_mean(meant.get(name))}" for name in unknown]
    # If a name is misspelt, that is the problem, and not that the right one is missing.
    problems += [
        described(name, mismatch, payload.get(name), checks[name])
        for name, mismatch in mismatches.items()
        if mismatch is not None or name not in meant.values()
    ]
    if unknown and not meant:
        problems.append("known are " + ", ".join(checks))
    return InvalidRequest("; ".join(problems[:_MOST]) + ".")


def described(name: str, mismatch: Mismatch | None, value: Any, check: Check) -> str:
    """Return what is wrong with a field: its value, or, without a mismatch, that it is missing."""
    if mismatch is None:
        return f"{name}: required{like(check)}"
    return f"{name}: expected {mismatch}{like(check)}{_beyond(value, check) or came(mismatch, value)}"


def _beyond(value: Any, check: Check) -> str:
    """Return what is wrong with a whole number that is too large or too small; nothing if something else is wrong."""
    schema, example = getattr(check, "schema", {}), getattr(check, "example", None)
    if isinstance(value, bool) or not isinstance(value, int) or "maximum" not in schema:
        return ""
    most, least = int(schema["maximum"]), int(schema["minimum"])
    is_time = isinstance(example, int) and example > _A_TIME
    if value > most:
        return " (milliseconds? a time is in seconds)" if is_time and value // 1000 <= most else " (it is larger)"
    return " (it is smaller)" if value < least else ""


def came(mismatch: Mismatch, value: Any, called: Mapping[str, Iterable[str]] | None = None) -> str:
    """Return what came in place of what was expected, to follow that: the name that was meant, or else the kind.

    If only a part does not fit, it is about that, and says which. `called` is what others call the known names.
    """
    if mismatch.at is None:
        return did_you_mean(_meant(value, mismatch, called)) or f" (it is {kind_of(value)})"
    if mismatch.at == 0 and mismatch.known:
        return f": {not_among(mismatch.part, mismatch.known, 'one of the keys', called)}"
    meant = _meant(mismatch.part, mismatch, called)
    is_what = f" is {kind_of(mismatch.part)}" if meant is None else f": did you mean {meant}?"
    return f" ({part_of(mismatch)}{is_what})"


def _meant(value: Any, mismatch: Mismatch, called: Mapping[str, Iterable[str]] | None) -> str | None:
    return nearest(value, mismatch.known, called) if isinstance(value, str) else None


def part_of(mismatch: Mismatch) -> str:
    """Return which part of a value does not fit."""
    if isinstance(mismatch.at, int):
        return f"entry {mismatch.at}" if mismatch.at else "a name in it"
    return str(mismatch.at) if re.fullmatch(NAME_OF_WORDS, str(mismatch.at)) else "one of its members"


def shown(name: object) -> str:
    """Return a field's name as it may stand in a message: one of words as it is, what could be a token not at all."""
    is_plain = isinstance(name, str) and (name in _OF_AWS or re.fullmatch(NAME_OF_WORDS, name) is not None)
    return str(name) if is_plain else "(a field with an unusual name)"


def like(check: Check) -> str:
    """Return the example of a check, to follow what is expected; nothing if it has none."""
    example = getattr(check, "example", None)
    return "" if example is None else f", like {json.dumps(example)}"


def kind_of(value: Any) -> str:
    """Return of what kind a JSON value is, and nothing of the value: not what is in it, but how much of it there is."""
    if isinstance(value, str):
        return _kind_of_text(value)
    if isinstance(value, Mapping):
        return f"an object with {_counted(len(value), 'field', 'fields')}"
    if isinstance(value, list | tuple):
        return f"a list with {_counted(len(value), 'entry', 'entries')}"
    kinds = {type(None): "null", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), "no JSON")


def _kind_of_text(text: str) -> str:
    if not text:
        return "an empty string"
    odd = [word for word, pattern in _ODD.items() if re.search(pattern, text)]
    return f"a string with {_counted(len(text), 'character', 'characters')}{''.join(f', {word}' for word in odd)}"


_ODD = {
    "a blank at one of its ends": r"^\s|\s$",
    "a blank in it": r"\S[ \t]+\S",
    "a control character in it": r"[\x00-\x1f\x7f]",
    "half a surrogate pair in it": r"[\ud800-\udfff]",
}
"""What is easily overlooked in a text, and reveals nothing of it."""


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def did_you_mean(name: str | None) -> str:
    """Return the question after an unknown name; nothing if no known one is near."""
    return "" if name is None else f" (did you mean {name}?)"


def not_among(
    name: object, known: Iterable[str], among: str = "one of them", called: Mapping[str, Iterable[str]] | None = None
) -> str:
    """Return that a name is not among the known ones, and the one that may have been meant."""
    return f"{shown(name)} is not {among}{did_you_mean(nearest(name, known, called))}"


def nearest(name: object, known: Iterable[str], called: Mapping[str, Iterable[str]] | None = None) -> str | None:
    """Return the known name that may have been meant by an unknown one: spelled nearly so, or `called` so elsewhere."""
    letters, spelled = letters_of(str(name)), {letters_of(each): each for each in known}
    if letters in spelled:
        return spelled[letters]
    elsewhere = dict(_by_letters(called or {}, set(spelled.values())))
    if letters in elsewhere:
        return elsewhere[letters]
    near = difflib.get_close_matches(letters, spelled, 1, LIKE)
    return spelled[near[0]] if near else None


def _by_letters(called: Mapping[str, Iterable[str]], known: set[str]) -> Iterator[tuple[str, str]]:
    yield from ((other, name) for name, others in called.items() if name in known for other in others)


def letters_of(name: str) -> str:
    """Return only the letters and digits of a name: that is how names are compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def not_json(error: Exception) -> str:
    """Return why a text is not JSON: the position, and nothing of the text."""
    if isinstance(error, json.JSONDecodeError):
        what = error.msg.partition(":")[0].removesuffix(" at")
        rules = "names and texts stand in double quotation marks, no comma after the last, no comments"
        return f"line {error.lineno}, column {error.colno}: {what} ({rules})"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return (
        "it is no UTF-8" if isinstance(error, UnicodeError) else "it is no JSON text, or has a number that is too long"
    )
