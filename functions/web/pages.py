"""The pages that a person sees in the browser: an HTML document for each way in which an attempt to connect can end.

The texts are in ``templates/``, and headings and reasons in ``texts``. Values are escaped in one place, here, and a
page shows only what the callers of this module pass: never a query parameter, never what an authorization server said.
It needs no package but the standard library, because it is loaded in a cold start.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import NamedTuple

from functions.web import texts

_TEMPLATES = Path(__file__).parent / "templates"

# What may follow in the href of a button: http, https, or a path of this site. A second slash or a backslash after
# the first would make a browser read a path as the name of another host.
_LINK = r"(?:https?://(?=[^/?#])|/(?!/))[!-\[\]-~]*"


class _Page(NamedTuple):
    """A page apart from its texts: the color of its icon (`tone`), and the values that it takes."""

    tone: str
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


_PROVIDER = frozenset({"provider"})
_TRY_AGAIN = frozenset({"try_again"})

_PAGES: Mapping[str, _Page] = MappingProxyType(
    {
        "connected": _Page("good", _PROVIDER),
        "already": _Page("good", _PROVIDER),
        "unfinished": _Page("caution", _PROVIDER),
        "waiting": _Page("caution", _PROVIDER, _TRY_AGAIN),
        "denied": _Page("caution", _PROVIDER, _TRY_AGAIN),
        "expired": _Page("caution", optional=_PROVIDER),
        "failed": _Page("bad", _PROVIDER | {"error"}, _TRY_AGAIN),
        "refused": _Page("bad"),
        "not_connected": _Page("caution", optional=_TRY_AGAIN),
        "begin_here": _Page("caution", frozenset({"application"})),
        "invalid_link": _Page("bad"),
        "forbidden": _Page("bad"),
        "method_not_allowed": _Page("bad"),
        "error": _Page("bad", optional=frozenset({"reference"})),
    },
)

NAMES = frozenset(_PAGES)
"""The names that :func:`render` knows."""


def render(name: str, **values: str | None) -> str:
    """Return the page ``name`` as a whole HTML document; ``values`` are plain text and are escaped here.

    A value that is optional on the page may be ``None`` or left out: ``try_again`` (an http or https URL, or a path, as
    ``application`` is on the page that needs it), ``reference``, and on ``expired`` the ``provider``. ``error`` is a
    code: the page has a text for each that it knows, and another for the rest, and shows no code.

    Raises ``ValueError`` for an unknown page, a missing or unknown value, or a link that is not allowed. Its text names
    the page and the value but never contains what was passed: a link may hold a ticket.
    """
    page = _known(name)
    given = {key: value for key, value in values.items() if value is not None}
    _check(name, page, given)
    # If no provider is known, the sentences also work with the account in its place.
    text = {"provider": texts.ACCOUNT} | given
    if "error" in page.required:
        text["reason"] = texts.REASONS.get(given["error"], texts.OTHER_REASON)
    content = _fill(f"{name}.html", text=text, markup=_optional_parts(name, page, given))
    return _fill(
        "_layout.html",
        text={"title": texts.TITLES[name], "tone": page.tone},
        markup={"style": _STYLE, "mark": _read(f"{page.tone}.svg").rstrip(), "content": content.rstrip()},
    )


def _known(name: str) -> _Page:
    if name not in _PAGES:
        raise ValueError("there is no such page")
    return _PAGES[name]


def _check(name: str, page: _Page, given: Mapping[str, str]) -> None:
    missing = page.required - given.keys()
    surplus = given.keys() - page.required - page.optional
    if missing or surplus:
        raise ValueError(f"page {name}: missing {sorted(missing)}, unknown {sorted(surplus)}")
    for link in ("try_again", "application"):
        if link in given and not re.fullmatch(_LINK, given[link]):
            raise ValueError(f"page {name}: {link} is not an http or https URL, nor a path")


def _optional_parts(name: str, page: _Page, given: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that depend on whether an optional value was given."""
    parts = {}
    if "try_again" in page.optional:
        without = "_check_again.html" if name == "waiting" else "_start_again.html"
        parts["way_on"] = _fill("_try_again.html" if "try_again" in given else without, text=given)
    if "reference" in page.optional:
        parts["reference_note"] = _fill("_reference.html", text=given) if "reference" in given else ""
    return parts


def _fill(file: str, *, text: Mapping[str, str], markup: Mapping[str, str] | None = None) -> str:
    """Fill the template ``file``. Text becomes markup nowhere else."""
    escaped = {key: escape(value) for key, value in text.items()}
    return Template(_read(file)).substitute(escaped | dict(markup or {}))


@cache
def _read(file: str) -> str:
    return (_TEMPLATES / file).read_text(encoding="utf-8")


def _source_hash(style: str) -> str:
    """Return the CSP source expression that allows exactly this inline style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


_STYLE = _read("style.css")

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {_source_hash(_STYLE)}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        # The address of a result page holds the code and the state.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    },
)
"""The headers that every page is answered with."""
