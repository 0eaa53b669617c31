"""A server's words as they may be repeated: without what we had sent in confidence, however the server spells it.

The one place where that is taken out: for the log, the record, `provider_error` in an answer, and what a browser sees.
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
"""Characters of a server's words that are repeated."""

_LONGEST_READ = 20_000
_MASK = "***"
_UNSPEAKABLE = r"[^\x20-\x7e]+"

_RUN = 8
"""Characters of a secret in a row by which it is known."""

_ADDRESS = r"[a-z][a-z0-9+.-]*://.*"
# An address, or words: a server that uses such words too does not repeat a key for that.
_ORDINARY = rf"{_ADDRESS}|[a-z._ /-]+"
_BETWEEN_WORDS = r"[\s,;=:\"{}\[\]]+"

_HTML = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;"))
_ENTITIES = {**{entity: sign for sign, entity in _HTML}, "&#39;": "'", "&#34;": '"', "&#38;": "&", "&apos;": "'"}
_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|(.))"
_JWT = r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*"
"""A token of this form nobody here need have sent: a server may quote one that it was about to issue (RFC 7519)."""

_ENCODED = r"[A-Za-z0-9+/_-]{8,}"


def masked(text: object, secrets: Iterable[str], private: Iterable[str] = ()) -> str | None:
    """Return a server's words as they may be repeated: short, visible ASCII, without anything that is in confidence.

    `secrets` are credentials, codes and tokens. `private` are values that only the owner's registration has: keys most
    likely, but they may be addresses or plain words. Returns None where nothing is left, or nothing can be repeated.
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
        return None  # spelled so that no replacement finds it: then nothing is repeated at all
    return re.sub(_UNSPEAKABLE, " ", text)[:LONGEST].strip() or None


def _parts(private: Iterable[str]) -> Iterator[str]:
    """Give what is to be found of private values: each, its words (`Key KEY`, `key=KEY`), both halves of Basic ones."""
    for value in filter(None, private):
        yield value
        words = [] if re.fullmatch(_ADDRESS, value) else re.split(_BETWEEN_WORDS, value)
        halves = [half for word in words for half in _decoded(word).split(":")]
        yield from (part for part in (*words, *halves) if len(part) >= SHORTEST_PRIVATE)


def _spellings(secret: str) -> Iterator[str]:
    """Give the ways in which a text may hold a secret: in a URL, a form, JSON (also within JSON), HTML, base64."""
    for encoded in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda octet: octet[0].lower(), encoded)
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (escaped, escaped.replace("/", r"\/"), json.dumps(escaped)[1:-1])
    marked = secret
    for sign, entity in _HTML:
        marked = marked.replace(sign, entity)
    yield from (marked, marked.replace("&#x27;", "&#39;"))
    # Basic has the secret form-encoded below the base64 (RFC 6749 section 2.3.1).
    for text in {secret, quote(secret, safe=""), quote_plus(secret)}:
        octets = text.encode(errors="replace")
        yield from (spelling for spelling in _encodings(octets) if len(spelling) >= _RUN)


def _encodings(octets: bytes) -> Iterator[str]:
    """Give octets in hexadecimal digits and in base64, also as a part of something longer."""
    found = [b64encode(octets).decode(), b64encode(octets).decode().rstrip("=")]
    for before in range(3):
        # What stands before shifts them; the characters at both ends depend on their neighbours.
        encoded = b64encode(b"\0" * before + octets).decode().rstrip("=")
        found.append(encoded[(before * 8 + 5) // 6 : -1])
    yield from (octets.hex(), octets.hex().upper())
    for encoded in found:
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def _readings(text: str) -> Iterator[str]:
    """Give the texts that a reader could make of one, without blanks: percent-decoded, unescaped, decoded."""
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
    """Return what base64 holds, or nothing."""
    padded = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode(errors="replace")
    except ValueError:
        return ""


def _runs(text: str) -> Iterator[str]:
    """Give all runs of so many characters by which a secret is known."""
    return (text[start : start + _RUN] for start in range(len(text) - _RUN + 1))
