"""Endpoints of one tenant each: `https://{shop}.myshopify.com/...`, with the names that `start` got filled in.

A tenant's name comes from outside, often from a person. It has to match its pattern, then fit its place in the URL, and
at last the expanded URL is compared with the template: the host below the literal labels, the port, the depth of the
path and everything else stay as the provider's data says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from functions.vault.base.fields import Mismatch

from .names import PARAMETER_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PLACEHOLDER = rf"\{{({PARAMETER_NAME})\}}"

# A pattern is a small subset of regular expressions: alternatives of literals and classes, repeated up to 99 times.
# Matching takes one pass whatever somebody sends, and anybody can read it.
_REPEATED = r"(?:\{(?:[01],)?[1-9][0-9]?\})?"
_CLASS = r"\[(?:a-z|A-Z|0-9|[A-Za-z0-9_.~])+-?\]"
PATTERN = rf"(?!\|)(?:[A-Za-z0-9_-]|\\\.|{_CLASS}{_REPEATED}|\|(?=[A-Za-z0-9\[])){{1,200}}"

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_IN_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_IN_PATH = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,255}"
_LONGEST_HOST = 253
_LONGEST_VALUE = 256


def names_in(text: str) -> set[str]:
    """Return the names of the placeholders in a template."""
    return set(re.findall(PLACEHOLDER, text))


def problem_of(name: str, pattern: str, unverified: str | None, templates: Iterable[str] = ()) -> str | None:
    """Return what is wrong with a parameter's value; None if it matches its pattern and fits each template."""
    if unverified is None:
        return f"parameters.{name}: required: {_in_words(pattern)}"
    if not 0 < len(unverified) <= _LONGEST_VALUE or not re.fullmatch(pattern, unverified, re.ASCII):
        return f"parameters.{name}: expected {_in_words(pattern)}"
    try:
        for template in templates:
            _put_in(template, {name: unverified})
    except Mismatch as mismatch:
        return f"parameters.{name}: expected {mismatch}"
    return None


def _in_words(pattern: str) -> str:
    from . import pattern_words  # noqa: PLC0415 - most parameters fit

    return pattern_words.described(pattern)


def admits(expected: str | Sequence[str], unverified: str) -> bool:
    """Return whether a value from outside matches a pattern, or is in a list."""
    if isinstance(expected, str):
        return re.fullmatch(expected, unverified, re.ASCII) is not None
    return unverified in expected


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with those placeholders filled in that have a value; other braces are part of the text."""
    return re.sub(PLACEHOLDER, lambda found: values.get(found[1], found[0]), text)


def expanded(template: str, values: Mapping[str, str]) -> str:
    """Return the URL that an endpoint's template makes with these values. Raises `Mismatch` if one does not fit."""
    url = _put_in(template, values)
    if not _is_of(template, url):
        raise Mismatch(f"values that leave the URL {template} as it is")
    return url


def _put_in(template: str, values: Mapping[str, str]) -> str:
    scheme, _, rest = template.partition("://")
    end = next((index for index, character in enumerate(rest) if character in "/?"), len(rest))
    host, (path, mark, query) = rest[:end], rest[end:].partition("?")
    return (
        f"{scheme}://{_put(host, values, _host_part)}{_put(path, values, _path_part)}{mark}{_put(query, values, _any)}"
    )


def _put(template: str, values: Mapping[str, str], encode: Callable[[str], str]) -> str:
    return re.sub(PLACEHOLDER, lambda found: encode(values[found[1]]) if found[1] in values else found[0], template)


def _host_part(value: str) -> str:
    if not re.fullmatch(_IN_HOST, value):
        raise Mismatch("labels of a host name: a-z, 0-9 and inner hyphens, joined by dots")
    return value


def _path_part(value: str) -> str:
    if not re.fullmatch(_IN_PATH, value):
        raise Mismatch("one segment of a path: A-Z, a-z, 0-9 and . _ ~ -, not beginning with a dot")
    return value


def _any(value: str) -> str:
    return quote(value, safe="")


def _is_of(template: str, url: str) -> bool:
    """Return whether an expanded URL still is one of its template: a second check, of the whole URL."""
    try:
        made, given = urlsplit(url), urlsplit(re.sub(PLACEHOLDER, "0", template))
        same_port = made.port == given.port
    except ValueError:
        return False
    host, fixed = made.hostname or "", _literal_end(template)
    return (
        same_port
        and url.isascii()
        and (made.scheme, made.username, made.password, made.fragment) == (given.scheme, None, None, "")
        and len(host) <= _LONGEST_HOST
        and (host == fixed or host.endswith("." + fixed))
        and made.path.count("/") == given.path.count("/")
        and made.query.count("&") == given.query.count("&")
    )


def _literal_end(template: str) -> str:
    """Return the labels of a template's host after the last one with a placeholder; all, if it has none."""
    host = re.sub(r":\d+$", "", template.partition("://")[2].partition("/")[0].partition("?")[0])
    labels = host.lower().split(".")
    last = max((index for index, label in enumerate(labels) if "{" in label), default=-1)
    return ".".join(labels[last + 1 :])
