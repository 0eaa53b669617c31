"""What stands in an authorization server's answer, read tolerantly: its fields, its error, its times.

Nothing here decides what an answer means; that is `responses`. Whatever a server sends, nothing here raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from functions.vault.base.fields import LONGEST_LIFETIME

# More digits than any number of seconds has: such a number is not computed with, but taken for endless.
_MOST_DIGITS = 19
_MOST_FIELDS = 100

# Where the code and the words of an error stand in the objects that servers send beside or inside RFC 6749's `error`.
_CODES = ("error", "error_code", "errorCode", "errorType", "error_type", "code", "type", "status", ".tag")
_WORDS = (
    "error_description",
    "developer_message",
    "user_message",
    "error_message",
    "errorMessage",
    "message",
    "msg",
    "detail",
    "reason",
    "title",
    "error_summary",
)

_EARLIEST_MILLISECONDS = 100_000_000_000
"""A moment this large is counted in milliseconds: in seconds it would be in the year 5138, in those it is in 1973."""


class _Twice:
    """In the place of a member that came twice with different values (RFC 6749 section 3.2 allows it once)."""


TWICE = _Twice()


def document_of(body: bytes, content_type: str, names: frozenset[str]) -> dict[str, Any] | None:
    """Return an answer's fields from JSON (RFC 6749 section 5.1) or, as some servers do, a form; None if neither.

    `names` are those of which a form must have one, so that no other text is taken for a form.
    """
    # What is not in its own encoding becomes a mark that no token may hold, and costs nothing but its own field.
    text = body.decode(json.detect_encoding(body), errors="replace")
    if "form-urlencoded" not in content_type:
        document = _json_object(text)
        if document is not None or "html" in content_type:
            return document
    return _form_object(text, names)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text, object_pairs_hook=_unambiguous, parse_int=_bounded_int)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _form_object(text: str, names: frozenset[str]) -> dict[str, Any] | None:
    text = text.strip()
    if text.startswith(("<", "{", "[")):
        return None  # markup and broken JSON may hold a form's `name=value&...` anywhere, whatever they are called
    try:
        document = _unambiguous(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return None
    return document if document.keys() & names else None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[name] = TWICE if name in members and members[name] != value else value
    return members


def _bounded_int(digits: str) -> float:
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def at_path(document: Any, path: str) -> Any:
    """Return what stands at `path`: a member's name, or names joined by dots; the document itself for a single dot.

    In a list a number is the place, from 0 on.
    """
    if path == ".":
        return document
    if isinstance(document, Mapping) and path in document:
        return document[path]
    for name in path.split("."):
        if isinstance(document, list) and name.isascii() and name.isdigit():
            document = dict(enumerate(document)).get(int(name))
        else:
            document = document.get(name) if isinstance(document, Mapping) else None
    return document


# Errors

NAMELESS = "error"
"""The code of an error that has none."""


def error_of(
    document: Mapping[str, Any], fields: Mapping[str, str], known: frozenset[str], *, refused: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the code and the texts of an answer's error, the likeliest first; no code where it tells of none.

    RFC 6749's `error` is a string; servers send numbers, flags, objects and lists in its place, or codes under names of
    their own. `fields` are the provider's names; among several codes one of the `known` wins, and a word over a number.
    `refused` says that the HTTP status, or a flag, has told of an error already.
    """
    error = at_path(document, fields.get("error", "error"))
    words = at_path(document, fields["error_description"]) if "error_description" in fields else None
    if not _tells(error):
        if not refused:
            return None, ()
        error = document.get("errors")
    sources = [entry for entry in (error, *(error if isinstance(error, list) else ())) if isinstance(entry, Mapping)]
    codes = [*_texts(error if not isinstance(error, Mapping) else None), *_found(sources, _CODES)]
    if not isinstance(error, str):
        codes += _found([document], _CODES)
    codes.sort(key=lambda code: (code.lower() not in known, code.isdigit()))
    code = codes[0] if codes else "error_response" if sources else NAMELESS
    return code, _texts_of(words, sources, document, error)


def _tells(error: Any) -> bool:
    """Tell whether an `error` says anything: servers that make answers of a class send every field, most of them empty.

    An empty object stands for an error all the same: what is no error is null.
    """
    return error not in (None, "", False, 0, "0") and error != []


def _texts(error: Any) -> list[str]:
    """Return the codes that `error` itself is: a string, a number, or the strings of a list."""
    entries = error if isinstance(error, list) else [error]
    texts = [str(entry).strip() for entry in entries if isinstance(entry, str | int) and not isinstance(entry, bool)]
    return [text for text in texts if text not in {"", "0"}]


def _found(sources: list[Mapping[str, Any]], names: tuple[str, ...]) -> list[str]:
    return [text for source in sources for name in names for text in _texts(source.get(name))]


def _texts_of(words: Any, sources: list[Mapping[str, Any]], document: Mapping[str, Any], error: Any) -> tuple[str, ...]:
    """Return the words of an error, wherever they stand; an `error` that is a sentence, and so no code, comes last."""
    sentence = error if isinstance(error, str) and " " in error.strip() else None
    texts = [words, *(source.get(name) for source in (*sources, document) for name in _WORDS), sentence]
    return tuple(text for text in texts if isinstance(text, str) and text)


# Times


def seconds_of(value: Any, unit: str = "seconds") -> int | None:
    """Return a lifetime: a number, or a string that holds one. None where it is absent, zero, negative or no number.

    Zero is what servers send for "does not expire"; a token that were really dead on arrival would help nobody.
    """
    number = _number(value)
    if number is None:
        return None
    seconds = number / 1000 if unit == "milliseconds" else number
    return int(min(seconds, LONGEST_LIFETIME)) if seconds >= 1 else None


def moment_of(value: Any, now: float) -> int | None:
    """Return a moment in Unix seconds: a number of seconds or milliseconds, or RFC 3339. None where it is not ahead."""
    number = _number(value)
    if number is None:
        number = _rfc_3339(value)
    if number is None:
        return None
    if number >= _EARLIEST_MILLISECONDS:
        number /= 1000
    return int(min(number, now + LONGEST_LIFETIME)) if number >= now + 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _rfc_3339(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
