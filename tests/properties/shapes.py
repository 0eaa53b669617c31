"""Generators that know the grammar: valid values, the same a little changed, and what has nothing to do with them.

Whatever is made up has `MARK` in it. Wherever that comes up again, something from outside was repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import DrawFn, SearchStrategy

MARK = "Zq7Xk9"

_ODD = (
    MARK,
    f"<script>{MARK}</script>",
    f"{MARK}\r\nSet-Cookie: {MARK}=1",
    f"{MARK}\x00",
    f"\N{RIGHT-TO-LEFT OVERRIDE}{MARK}\N{ZERO WIDTH SPACE}",
    f"{MARK}\N{GRINNING FACE}",
    f"%{MARK}%FF%00%",
    f"https://{MARK}.example/?a=b#c",
    f"{MARK};a={MARK}&b",
    MARK * 2000,
    f"{MARK}'\"--",
    f"../{MARK}/..",
    MARK + "A" * 16,
    MARK + "A" * 37,
)
_EMPTY = ("", " ", "\t", ".", "..", "=", "&", "%", "+", "null", "0")
_HALF = f"\ud800{MARK}"
"""Half a surrogate pair, which JSON can spell and UTF-8 cannot."""

odd_text = st.sampled_from((*_ODD, *_EMPTY)) | st.text(max_size=12).map(lambda text: MARK + text)
"""A text that can come in an HTTP request."""

any_text = odd_text | st.just(_HALF)
"""A text that can come in JSON."""

_numbers = st.sampled_from((0, 1, -1, 1.5, 2**31, 2**53, 2**53 + 1, 10**400, float("nan"), float("inf"), -0.0, 1e308))
_scalars = st.none() | st.booleans() | _numbers | st.integers() | any_text
_deep: list[Any] = []
for _ in range(50):
    _deep = [_deep]

any_json: SearchStrategy[Any] = (
    _scalars
    | st.just(_deep)
    | st.recursive(
        _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3), max_leaves=6
    )
)
"""A value that can come in JSON."""


@st.composite
def changed(draw: DrawFn, text: str) -> str:
    """Give a text with something small changed: a character, its length, its case."""
    at = draw(st.integers(0, len(text)))
    other = draw(st.sampled_from(("A", ".", "_", "%41", "\u017f", "\n", "\x00", " ", "=", "/")))
    ways = {
        "replaced": text[:at] + other + text[at + 1 :],
        "without": text[:at] + text[at + 1 :],
        "with": text[:at] + other + text[at:],
        "cut": text[:at],
        "case": text.swapcase(),
        "twice": text * 2,
        "longer": text + other,
    }
    return ways[draw(st.sampled_from(sorted(ways)))]


def near(*valid: str) -> SearchStrategy[str]:
    """Give one of these texts, mostly as it is; sometimes a little changed, or another."""
    exact = st.sampled_from(valid)
    return st.one_of(exact, exact, exact, exact.flatmap(changed), odd_text)


@st.composite
def fields_of(draw: DrawFn, valid: dict[str, SearchStrategy[Any]], extra: Sequence[str] = ()) -> dict[str, Any]:
    """Give a JSON object with fields of these names: most of them there, most of their values valid."""
    made = {}
    for name, values in valid.items():
        match draw(st.sampled_from(("valid", "valid", "valid", "absent", "absent", "any", "null"))):
            case "valid":
                made[name] = draw(values)
            case "any":
                made[name] = draw(any_json)
            case "null":
                made[name] = None
            case _:
                pass
    if draw(st.integers(0, 9)) == 0:
        made[draw(st.sampled_from((*extra, "unknown")) | any_text)] = draw(any_json)
    return made


@st.composite
def form_of(draw: DrawFn, pairs: dict[str, SearchStrategy[str]]) -> str:
    """Give a query or form with some of these parameters, in any order, encoded in any way, some of them twice."""
    chosen = draw(st.lists(st.sampled_from(sorted(pairs)), min_size=1, max_size=6, unique=draw(st.integers(0, 3)) > 0))
    parts = []
    for name in chosen:
        value = draw(pairs[name])
        spelled = draw(st.sampled_from((quote_plus(value), quote_plus(value), quote(value), value)))
        parts.append(f"{name}={spelled}")
    if draw(st.integers(0, 5)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), draw(odd_text))
    return "&".join(parts)
