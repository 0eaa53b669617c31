"""Masks secrets in a server's words, however the server encodes them, so that the words can be repeated.

This is the one place that does so: for the log, the record, and `provider_error` in an answer.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote_plus

from .names import SHORTEST_PRIVATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST = 200
"""Characters of a server's words that are repeated, at the most."""

_LONGEST_READ = 20_000
_MASK = "***"
_NOT_VISIBLE_ASCII = r"[^\x20-\x7e]+"

_RUN = 8
"""Consecutive characters of a secret that reveal it."""

_ADDRESS = r"[a-z][a-z0-9+.-]*://.*"
# A URL, or plain words: a server that uses the same words is not repeating a key.
_ORDINARY = rf"{_ADDRESS}|[a-z._ /-]+"
_BETWEEN_WORDS = r"[\s,;=:\"{}\[\]]+"

_HTML = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;"))
_ENTITIES = {**{entity: sign for sign, entity in _HTML}, "&#39;": "'", "&#34;": '"', "&#38;": "&", "&apos;": "'"}
_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|(.))"
_JWT = r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*"
"""Masked even if we have not sent it: a server may quote a JWT (RFC 7519) that it was about to issue."""

_ENCODED = r"[A-Za-z0-9+/_-]{8,}"


def masked(text: object, secrets: Iterable[str], private: Iterable[str] = ()) -> str | None:
    """Return a server's words as they may be repeated: short, visible ASCII, and with every secret masked.

    `secrets` are credentials, codes and tokens. `private` are values that only the owner's registration has: most
    likely API keys, but they may be URLs or plain words. Returns None if nothing is left, or if a secret is there in a
    form that cannot be masked.
    """
    if not isinstance(text, str):
        return None
    whole = [secret for secret in secrets if secret]
    parts = list(_parts(private))
    text = re.sub(_JWT, _MASK, text[:_LONGEST_READ])
    for spelling in sorted({each for value in (*whole, *parts) for each in _spellings(value)}, key=len, reverse=True):
        text = text.replace(spelling, _MASK)
    keys = [*whole, *(part for part in parts if not re.fullmatch(_ORDINARY, part))]
    shown = {run for reading in _readings(text[:2000]) for run in _runs(reading)}
    if any(run in shown for key in keys for run in _runs(key)):
        return None  # encoded in a way that no replacement finds: then nothing is repeated at all
    return re.sub(_NOT_VISIBLE_ASCII, " ", text)[:LONGEST].strip() or None


def _parts(private: Iterable[str]) -> Iterator[str]:
    """Yield what to look for of private values: each, its words (`Key KEY`, `key=KEY`), both halves if it is Basic."""
    for value in filter(None, private):
        yield value
        words = [] if re.fullmatch(_ADDRESS, value) else re.split(_BETWEEN_WORDS, value)
        halves = [half for word in words for half in _decoded(word).split(":")]
        yield from (part for part in (*words, *halves) if len(part) >= SHORTEST_PRIVATE)


def _spellings(secret: str) -> Iterator[str]:
    """Yield the ways to write a secret in a text: in a URL, a form, JSON (also within JSON), HTML, base64."""
    for encoded in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda octet: octet[0].lower(), encoded)
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (escaped, escaped.replace("/", r"\/"), json.dumps(escaped)[1:-1])
    marked = secret
    for sign, entity in _HTML:
        marked = marked.replace(sign, entity)
    yield from (marked, marked.replace("&#x27;", "&#39;"))
    # Basic credentials are form-encoded before base64 (RFC 6749 section 2.3.1).
    for text in {secret, quote(secret, safe=""), quote_plus(secret)}:
        octets = text.encode(errors="replace")
        yield from (spelling for spelling in _encodings(octets) if len(spelling) >= _RUN)


def _encodings(octets: bytes) -> Iterator[str]:
    """Yield octets in hexadecimal digits and in base64, also as part of something longer."""
    found = [b64encode(octets).decode(), b64encode(octets).decode().rstrip("=")]
    for before in range(3):
        # Octets before them shift the encoding, and the characters at both ends depend on their neighbours.
        encoded = b64encode(b"\0" * before + octets).decode().rstrip("=")
        found.append(encoded[(before * 8 + 5) // 6 : -1])
    yield from (octets.hex(), octets.hex().upper())
    for encoded in found:
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def _readings(text: str) -> Iterator[str]:
    """Yield what a reader could make of a text, without blanks: percent-decoded, unescaped, base64-decoded."""
    once = unquote_plus(text)
    for reading in (text, once, unquote_plus(once)):
        yield "".join(reading.split())
        yield "".join(_unescaped(reading).split())
    yield from (_decoded(part) for part in re.findall(_ENCODED, text)[:20])


def _unescaped(text: str) -> str:
    """Return a text without the escapes of JSON and the entities of HTML."""
    plain = re.sub(_ESCAPE, lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    for entity, sign in _ENTITIES.items():
        plain = plain.replace(entity, sign)
    return plain


def _decoded(text: str) -> str:
    """Return what a base64 text encodes; an empty text if it is not base64."""
    padded = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode(errors="replace")
    except ValueError:
        return ""


def _runs(text: str) -> Iterator[str]:
    """Yield all runs of `_RUN` characters."""
    return (text[start : start + _RUN] for start in range(len(text) - _RUN + 1))
