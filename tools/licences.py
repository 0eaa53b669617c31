"""Says under which licences a package may be shipped with the functions, and what to do about any other.

Standard library only, as the build that calls it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Permissive licences: whoever ships the code has to keep its notices, which lie in the package's folders *.dist-info.
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        # It takes away a duty: compiled code need not carry the notice.
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        # For tables that are made from Unicode's data: as MIT.
        "Unicode-3.0",
        "Zlib",
    }
)

# Packages under a licence that is not allowed in general: the licence, and why this package may be shipped.
EXCEPTIONS = {
    "certifi": (
        "MPL-2.0",
        "asks for the source of changed files, and the build ships its list of certificate authorities unchanged",
    ),
}

# What packages call a licence for which SPDX has a name.
_SPDX = {"Apache License 2.0": "Apache-2.0"}

# Packages that do not name their licence as SPDX does: what it is, and where that was read.
NOT_NAMED = {
    "python-dateutil": ("Apache-2.0 OR BSD-3-Clause", "calls it a dual licence; its LICENSE has both texts"),
    "openssl": ("Apache-2.0", "its LICENSE.txt, since version 3; the list in cryptography's wheel leaves it out"),
}


class NotAllowed(Exception):
    """Something may not be shipped; says what, and how to go on."""


def expression(name: str, said: str | None) -> str:
    """Return the SPDX expression for what a package says of its licence; what it said, if that is none.

    ``name`` is the package's, ``said`` what stands in its metadata, if anything does.
    """
    if name in NOT_NAMED:
        return NOT_NAMED[name][0]
    return _SPDX.get(said or "", said or "no licence")


def check(components: Iterable[dict[str, Any]]) -> None:
    """Look at the licence of each component of a bill of materials. Raises ``NotAllowed`` with those refused."""
    failed = [
        f"- {component['name']} {component.get('version', '')}: {said}"
        for component in components
        for said in [component["licenses"][0]["expression"]]
        if not _may_be_shipped(component["name"], said)
    ]
    if failed:
        raise NotAllowed(
            "\n".join(["Packages that would be shipped under a licence that is not allowed:", *failed, _HOW])
        )


_HOW = """\
Do one of these, and build again:
- Do without the package: take it out of tools/requirements/runtime.in, or take the version before, and run `make lock`.
- If its terms suit you, name it in tools/licences.py, with the reason: its licence in ALLOWED, or itself in EXCEPTIONS.
- If its metadata does not name the licence as SPDX does, read its licence file, and name it in NOT_NAMED."""


def _may_be_shipped(name: str, said: str) -> bool:
    return said in EXCEPTIONS.get(name, ())[:1] or _is_allowed(said)


def _is_allowed(said: str) -> bool:
    """Tell whether an SPDX expression leaves a choice of allowed licences; False for what is no expression."""
    words = iter([*re.findall(r"[()]|[^\s()]+", said), ""])
    try:
        allowed, following = _any_of(next(words), words)
    except (StopIteration, ValueError):
        return False
    return allowed and following == ""


def _any_of(word: str, words: Iterator[str]) -> tuple[bool, str]:
    """Read `A OR B` from ``word`` on; return whether it is allowed, and the word that follows it."""
    allowed, following = _all_of(word, words)
    while following == "OR":
        other, following = _all_of(next(words), words)
        allowed = allowed or other
    return allowed, following


def _all_of(word: str, words: Iterator[str]) -> tuple[bool, str]:
    """Read `A AND B`, likewise: it binds more closely than OR."""
    allowed, following = _one(word, words)
    while following == "AND":
        other, following = _one(next(words), words)
        allowed = allowed and other
    return allowed, following


def _one(word: str, words: Iterator[str]) -> tuple[bool, str]:
    """Read a licence, a licence with an exception to it, or an expression in parentheses, likewise."""
    if word == "(":
        allowed, closing = _any_of(next(words), words)
        if closing != ")":
            raise ValueError("a parenthesis is left open")
        return allowed, next(words)
    following = next(words)
    if following == "WITH":
        return f"{word} WITH {next(words)}" in ALLOWED, next(words)
    return word in ALLOWED, following
