"""The error in an authorization server's answer: its code and its texts, wherever servers put them.

What an error means is decided in `refusal_meaning`. Whatever a server sends, nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .answer_document import at_path

# Where servers put code and texts of an error, in the objects that they send beside or inside RFC 6749's `error`.
_CODES = ("error", "error_code", "errorCode", "errorType", "error_type", "code", "type", "status", ".tag")
_TEXTS = (
    *("error_description", "developer_message", "user_message", "error_message", "errorMessage"),
    *("message", "msg", "detail", "reason", "title", "error_summary"),
)

NAMELESS, NAMELESS_OBJECT = "error", "error_response"
"""The code of an error that has none, and of an object in its place that has none."""


def error_of(
    document: Mapping[str, Any], fields: Mapping[str, str], known: frozenset[str], *, refused: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the code and the texts of an answer's error, the likeliest text first; no code if there is no error.

    RFC 6749's `error` is a string. Servers also send numbers, flags, objects and lists in its place, or codes under
    names of their own. `fields` are the provider's names. Of several codes one of the `known` wins, and a word over a
    number. `refused` says that the HTTP status, or a flag, has already shown that this is an error.
    """
    error = at_path(document, fields.get("error", "error"))
    description = at_path(document, fields["error_description"]) if "error_description" in fields else None
    if not _is_set(error):
        if not refused:
            return None, ()
        error = document.get("errors")
    sources = [entry for entry in (error, *(error if isinstance(error, list) else ())) if isinstance(entry, Mapping)]
    codes = [*_codes_in(error if not isinstance(error, Mapping) else None), *_found(sources, _CODES)]
    if not isinstance(error, str):
        codes += _found([document], _CODES)
    codes.sort(key=lambda code: (code.lower() not in known, code.isdigit()))
    code = codes[0] if codes else NAMELESS_OBJECT if sources else NAMELESS
    return code, _texts_in(description, sources, document, error)


def _is_set(error: Any) -> bool:
    """Return whether an `error` says anything: servers that serialize a class send every field, most of them empty.

    An empty object does stand for an error: servers send null if there is none.
    """
    return error not in (None, "", False, 0, "0") and error != []


def _codes_in(error: Any) -> list[str]:
    """Return the codes that `error` itself is: a string, a number, or the strings of a list."""
    entries = error if isinstance(error, list) else [error]
    texts = [str(entry).strip() for entry in entries if isinstance(entry, str | int) and not isinstance(entry, bool)]
    return [text for text in texts if text not in {"", "0"}]


def _found(sources: list[Mapping[str, Any]], names: tuple[str, ...]) -> list[str]:
    return [code for source in sources for name in names for code in _codes_in(source.get(name))]


def _texts_in(
    description: Any, sources: list[Mapping[str, Any]], document: Mapping[str, Any], error: Any
) -> tuple[str, ...]:
    """Return the texts of an error, wherever they stand; an `error` that is a sentence, and so no code, comes last."""
    sentence = error if isinstance(error, str) and " " in error.strip() else None
    texts = [description, *(source.get(name) for source in (*sources, document) for name in _TEXTS), sentence]
    return tuple(text for text in texts if isinstance(text, str) and text)
