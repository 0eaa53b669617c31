"""What an authorization server's answer contains, read tolerantly: its fields, and its error.

What that means is decided in `responses` and `refusal_meaning`. Whatever a server sends, nothing here raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from functions.vault.provider.provider import Provider

    from .transport import Answer

# More digits than any number of seconds has: nobody computes with such a number, so it becomes infinite.
_MOST_DIGITS = 19
_MOST_FIELDS = 100

# Where servers put code and texts of an error, in the objects that they send beside or inside RFC 6749's `error`.
_CODES = ("error", "error_code", "errorCode", "errorType", "error_type", "code", "type", "status", ".tag")
_TEXTS = (
    *("error_description", "developer_message", "user_message", "error_message", "errorMessage"),
    *("message", "msg", "detail", "reason", "title", "error_summary"),
)


class _Twice:
    """In the place of a member that came twice with different values (RFC 6749 section 3.2 allows it once)."""


TWICE = _Twice()


def document_of(answer: Answer, provider: Provider | None = None) -> dict[str, Any] | None:
    """Return an answer's fields from JSON (RFC 6749 section 5.1) or, as some servers do, a form; None if neither.

    An answer that contradicts itself about its `error` has no fields either.
    """
    names = {"access_token", "error"}
    if provider is not None:
        names |= {*provider.names_of("access_token"), provider.error_fields.get("error", "error")}
    document = _fields_of(answer.body, answer.headers.get("content-type", "").lower(), frozenset(names))
    return None if document is not None and document.get("error") is TWICE else document


def _fields_of(body: bytes, content_type: str, names: frozenset[str]) -> dict[str, Any] | None:
    """Return the fields of a body. A form must have one of `names`, so that no other text is taken for a form."""
    # Octets that the encoding does not have become a mark that no token may contain: only that field is lost.
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
        return None  # markup and broken JSON may contain a form's `name=value&...` anywhere, whatever the content type
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

    In a list a number is the index, from 0 on.
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


def text_of(value: Any) -> str | None:
    """Return a text or a number as text that can be stored, cut to 512 characters; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return storable(str(value)[:512]) or None


def storable(text: str) -> str:
    """Return `text` as UTF-8 holds it: half a surrogate pair, valid in JSON, must not fail the write of good tokens."""
    return text.encode(errors="replace").decode()


# Errors

NAMELESS = "error"
"""The code of an error that has none."""


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
    code = codes[0] if codes else "error_response" if sources else NAMELESS
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
