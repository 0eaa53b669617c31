"""Checks of endpoint URLs, which may have placeholders in them, but none that decides whose host it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from functions.vault.base import fields as check
from functions.vault.base.fields import Mismatch

from .names import PARAMETER_NAME

if TYPE_CHECKING:
    from functions.vault.base.fields import Check

# The host is literal, or has placeholders below at least two literal labels (three, if those two are like `co.uk`), so
# that no value changes whose host it is. Path and query may have placeholders, too.
_HOLE = rf"\{{{PARAMETER_NAME}\}}"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TOP = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PUBLIC = r"(?:ac|co|com|edu|go|gov|ne|net|or|org)\.[A-Za-z]{2}(?![A-Za-z0-9_.-])"
_BELOW = rf"(?:(?:[A-Za-z0-9_-]|{_HOLE}){{1,63}}\.)+(?:(?!{_PUBLIC}){_LABEL}\.{_TOP}|{_LABEL}\.{_PUBLIC})"
_PORT = r"(?::(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
_REST = rf"(?:[/?](?:[!$-;=?-\[\]-z|~]|{_HOLE})*)?"
ORIGIN = rf"https://(?:{_LABEL}(?:\.{_LABEL})*|{_BELOW}){_PORT}"
HTTPS_URL = rf"{ORIGIN}{_REST}"
LOOPBACK_ORIGIN = rf"https?://(?:localhost|127\.0\.0\.1|\[::1\]){_PORT}"
LOOPBACK_URL = rf"{LOOPBACK_ORIGIN}{_REST}"
LONGEST_URL = 2048


def endpoint_url(*, loopback_http: bool) -> Check:
    """Accept an absolute https URL without fragment or user information.

    With `loopback_http` it may be http if its host is this machine.
    Placeholders, `{name}`, may stand below the registrable part of its host, in its path and in its query.
    """
    pattern = f"{HTTPS_URL}|{LOOPBACK_URL}" if loopback_http else HTTPS_URL

    def accept(value: Any) -> str:
        if not isinstance(value, str) or len(value) > LONGEST_URL or not re.fullmatch(pattern, value):
            raise Mismatch("an absolute https URL without user name or fragment, with {placeholders} below its domain")
        return value

    return accept


def literal_url(*, loopback_http: bool) -> Check:
    """Accept such a URL, but without placeholders."""
    accept_template = endpoint_url(loopback_http=loopback_http)

    def accept(value: Any) -> str:
        if not isinstance(value, str) or "{" in value:
            raise Mismatch("an absolute https URL without user name or fragment")
        accepted: str = accept_template(value)
        return accepted

    return accept


def or_empty(accept: Check) -> Check:
    """Accept an empty text as well: it turns off what a layer below says."""

    def accept_empty(value: Any) -> str:
        return "" if value == "" else str(accept(value))

    return accept_empty


def origin(*, loopback_http: bool) -> Check:
    """Accept an origin, which may have placeholders below its domain."""
    return check.text(f"{ORIGIN}|{LOOPBACK_ORIGIN}" if loopback_http else ORIGIN, "an https origin, without a path")
