"""In which language somebody gets a page: of those in `languages/`, the one that their browser prefers."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

_LANGUAGES = Path(__file__).parent / "languages"

_ENGLISH = "en"

_MOST_RANGES = 50
"""A browser names a handful. The header may have ten thousand octets, and whoever sends it pays nothing for them."""

_WEIGHT = r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?"
_RANGE = rf"(?P<range>[A-Za-z]{{1,8}}(?:-[A-Za-z0-9]{{1,8}})*|\*)(?:[ \t]*;[ \t]*[qQ]=(?P<weight>{_WEIGHT}))?"
"""A language range (RFC 4647 section 2.1) with its weight (RFC 9110 section 12.4.2)."""


@cache
def known() -> tuple[str, ...]:
    """Return the tags of the languages that there are."""
    return tuple(sorted(path.stem for path in _LANGUAGES.glob("*.py") if path.stem != "__init__"))


def texts_in(language: str) -> Any:
    """Return the texts of a known language. Only languages that somebody reads are loaded."""
    return import_module(f"functions.web.languages.{language}")


def preferred(unverified_accept_language: str, languages: Collection[str], default: str) -> str:
    """Return the language for an Accept-Language header (RFC 9110 section 12.5.4), by lookup (RFC 4647 section 3.4).

    `de-CH` is served by `de` if there is nothing closer. Of ranges with the same weight the first counts. `*` stands
    for the default, or for another language if the header excludes that one (`q=0`). What is no range is not looked at.
    The default is also the answer to a header that fits nothing: a page in another language is better than none.
    """
    default = default if default in languages else _ENGLISH
    wanted, excluded = _ranges(unverified_accept_language)
    for each in wanted:
        if each == "*":
            choices = [default, *(language for language in languages if language != default)]
            found = next((language for language in choices if language not in excluded), None)
        else:
            found = next((tag for tag in _from_narrow_to_wide(each) if tag in languages and tag not in excluded), None)
        if found is not None:
            return found
    return default


def _ranges(unverified: str) -> tuple[list[str], set[str]]:
    """Return the language ranges of a header in lower case, the most wanted first, and those that it excludes."""
    found = (re.fullmatch(_RANGE, part.strip(" \t")) for part in unverified.split(",", _MOST_RANGES)[:_MOST_RANGES])
    weighted = [(each["range"].lower(), float(each["weight"] or 1)) for each in found if each is not None]
    wanted = sorted((each for each in weighted if each[1] > 0), key=lambda each: -each[1])
    return [name for name, _ in wanted], {name for name, weight in weighted if weight == 0}


def _from_narrow_to_wide(language_range: str) -> list[str]:
    """Return a range and what is left of it as one subtag after another is taken away."""
    subtags = language_range.split("-")
    return ["-".join(subtags[:end]) for end in range(len(subtags), 0, -1)]
