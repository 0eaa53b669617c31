"""The document in an authorization server's answer, parsed tolerantly from JSON or a form, and what stands where in it.

It reads the answers of every endpoint: token, revocation, account, pushed requests. What their fields mean is decided
in `responses`, `token_fields` and `answer_errors`. Whatever a server sends, nothing here raises.
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
    """Return the fields of a JSON object. A list has none, and no `response_paths` lead into it."""
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
