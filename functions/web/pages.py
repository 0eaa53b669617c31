"""The pages that a person sees in the browser: an HTML document for each way in which an attempt to connect can end.

The texts are in `languages/`, one file for each language, and are plain text. Text becomes markup in one place, here:
`_markup`. A page shows only what the callers of this module pass: never a query parameter, never what an authorization
server said. It needs no package but the standard library, because it may be loaded in a cold start.
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
from typing import Any, NamedTuple

from functions.vault.settings import Appearance
from functions.web.language import texts_in

_TEMPLATES = Path(__file__).parent / "templates"

# What may follow in the href of a button: http, https, or a path of this site. A second slash or a backslash after
# the first would make a browser read a path as the name of another host.
_LINK = r"(?:https?://(?=[^/?#])|/(?!/))[!-\[\]-~]*"

_PLAIN = Appearance()


class _Page(NamedTuple):
    """A page apart from its texts: the color of its icon (`tone`), how it is announced, and the values that it takes.

    If `has_help`, it ends with whom to ask, and a `reference` for them. If it `reloads`, it is not the end yet.
    """

    tone: str
    role: str = "alert"
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    has_help: bool = True
    reloads: bool = False


class _Filled(NamedTuple):
    """A page with what it is filled with: texts of its language, the application's names as markup, and values."""

    page: _Page
    texts: Any
    named: Mapping[str, str]
    given: Mapping[str, str]
    appearance: Appearance


_PROVIDER = frozenset({"provider"})
_TRY_AGAIN = frozenset({"try_again"})

_PAGES: Mapping[str, _Page] = MappingProxyType(
    {
        "connected": _Page("good", "status", _PROVIDER, frozenset({"account"}), has_help=False),
        "already": _Page("good", "status", _PROVIDER),
        "unfinished": _Page("caution", "status", _PROVIDER, has_help=False, reloads=True),
        "waiting": _Page("caution", "status", _PROVIDER, _TRY_AGAIN, has_help=False, reloads=True),
        "denied": _Page("caution", "status", _PROVIDER, _TRY_AGAIN),
        "expired": _Page("caution", required=_PROVIDER),
        "failed": _Page("bad", required=_PROVIDER | {"error"}, optional=_TRY_AGAIN),
        "refused": _Page("bad"),
        "no_longer_shown": _Page("caution"),
        "not_connected": _Page("caution", optional=_TRY_AGAIN),
        "begin_here": _Page("caution", "status", frozenset({"application"}), has_help=False),
        "invalid_link": _Page("bad"),
        "forbidden": _Page("bad"),
        "method_not_allowed": _Page("bad"),
        "error": _Page("bad"),
    },
)

NAMES = frozenset(_PAGES)
"""The names that :func:`render` knows."""


def render(
    name: str,
    values: Mapping[str, str | None],
    *,
    reference: str,
    language: str = "en",
    appearance: Appearance = _PLAIN,
) -> str:
    """Return the page ``name`` as a whole HTML document; ``values`` are plain text and are escaped here.

    A value that is optional on the page may be ``None`` or left out. ``try_again`` is an http or https URL, or a path,
    and so is ``application``. ``error`` is a code: the page has a text for each that it knows, and another for the
    rest, and shows no code. ``account`` is what the provider calls the account. ``reference`` is shown if the page
    tells of something that did not work.

    Raises ``ValueError`` for an unknown page, a missing or unknown value, or a link that is not allowed. Its text names
    the page and the value but never contains what was passed: a link may hold a ticket.
    """
    page = _known(name)
    given = {key: value for key, value in values.items() if value is not None}
    _check(name, page, given)
    texts = texts_in(language)
    filled = _Filled(page, texts, _names(texts, appearance), given | {"reference": reference}, appearance)
    heading, *paragraphs = texts.PAGES[name]
    if account := _shown_account(given):
        filled, paragraphs[0] = filled._replace(named={**filled.named, "account": account}), texts.ACCOUNT_CONNECTED
    parts = {
        "language": escape(language),
        "title": _markup(heading, **filled.named),
        "site": escape(appearance.application_name or "Gatehouse"),
        "style": _style(appearance.color),
        "brand": _brand(appearance),
        "tone": page.tone,
        "mark": _read(f"{page.tone}.svg").rstrip(),
        "content": "\n".join([*_paragraphs(filled, paragraphs), *_way_on(filled), *_help(filled)]),
        "footer": _markup(texts.FOOTER, **filled.named),
    }
    return Template(_read("_layout.html")).substitute(parts)


def headers(language: str, appearance: Appearance = _PLAIN) -> dict[str, str]:
    """Return the headers that every page is answered with."""
    image = f"img-src {appearance.logo_url}; " if appearance.logo_url else ""
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": language,
        "Vary": "Accept-Language",
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {_source_hash(_style(appearance.color))}; {image}"
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        # The address of a page may hold a code and a state.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


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


def _markup(text: str, **markup: str) -> str:
    """Return the markup of a text of ours, with `markup` in place of its `$names`. Text becomes markup nowhere else."""
    return Template(escape(text)).substitute(markup)


def _names(texts: Any, appearance: Appearance) -> dict[str, str]:
    """Return the markup of what a language calls the application, in each form that it needs."""
    is_unknown = not appearance.application_name
    name = escape(appearance.application_name)
    return {form: _markup(either[is_unknown], application=name) for form, either in texts.APPLICATION.items()}


def _shown_account(given: Mapping[str, str]) -> str:
    """Return the markup of the account's name, whichever way it is written; empty if there is none to show."""
    if "account" not in given:
        return ""
    from functions.web import names  # noqa: PLC0415 - many providers give no name

    name = names.shown(given["account"])
    return name and f"<strong><bdi>{escape(name)}</bdi></strong>"


def _paragraphs(filled: _Filled, paragraphs: list[str]) -> list[str]:
    """Return the paragraphs of a page. The first is the message that is announced, and names the provider in bold."""
    texts, given = filled.texts, filled.given
    provider = escape(given.get("provider", ""))
    reason = escape(texts.REASONS.get(given.get("error"), texts.OTHER_REASON))
    known = {**filled.named, "reason": reason}
    first, *rest = paragraphs
    return [
        f'<p role="{filled.page.role}">{_markup(first, **known, provider=f"<strong>{provider}</strong>")}</p>',
        *(f"<p>{_markup(each, **known, provider=provider)}</p>" for each in rest),
    ]


def _way_on(filled: _Filled) -> list[str]:
    """Return the button of a page, or what there is to do without one."""
    texts, given = filled.texts, filled.given
    if "try_again" in given:
        return [_button(given["try_again"], _markup(texts.TRY_AGAIN))]
    if "application" in given:
        return [_button(given["application"], _markup(texts.GO_ON, **filled.named))]
    if filled.page.reloads:
        return [_button("", _markup(texts.CHECK_AGAIN))]
    may_be_tried_again = "try_again" in filled.page.optional
    return [f"<p>{_markup(texts.START_AGAIN, **filled.named)}</p>"] if may_be_tried_again else []


def _button(link: str, label: str) -> str:
    return f'<p class="actions"><a class="button" href="{escape(link)}">{label}</a></p>'


def _help(filled: _Filled) -> list[str]:
    """Return whom to ask, and what about."""
    if not filled.page.has_help:
        return []
    support = filled.appearance.support
    code = f"<code>{escape(filled.given['reference'])}</code>"
    link = f'<a href="{escape(support if "/" in support else f"mailto:{support}")}">{escape(support)}</a>'
    text = filled.texts.HELP[not support]
    return [f'<p class="help">{_markup(text, **filled.named, reference=code, support=link)}</p>']


def _brand(appearance: Appearance) -> str:
    """Return what stands above the page: the application's logo, or else its name, or nothing."""
    name = escape(appearance.application_name)
    if appearance.logo_url:
        shown = f'<img src="{escape(appearance.logo_url)}" alt="{name}" referrerpolicy="no-referrer">'
    elif name:
        shown = name
    else:
        return ""
    return f'<header class="brand"><p>{shown}</p></header>'


@cache
def _read(file: str) -> str:
    return (_TEMPLATES / file).read_text(encoding="utf-8")


@cache
def _style(color: str) -> str:
    """Return the style of all pages, with the application's own color if it has one."""
    if not color:
        return _read("style.css")
    from functions.web import accent  # noqa: PLC0415 - most deployments have no color of their own

    return _read("style.css") + accent.style(color)


@cache
def _source_hash(style: str) -> str:
    """Return the CSP source expression that allows exactly this inline style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
