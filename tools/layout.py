"""`python -m tools.layout`: how the code lies: levels, circles, sizes, arrows between packages, words that need a key.

With a folder as argument it measures another checkout. `tests/test_layout.py` holds what has to hold.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parent.parent

LONGEST_FILE = 300
"""Lines of a file in `functions/`, at the most."""

LONGEST_BODY = 40
"""Lines of a function's body there, its docstring aside, at the most."""

WORDS = {
    "house": "services",
    "door": "handler",
    "floor": "layer",
    "furnish": "preload",
    "ladder": "commit with fallbacks: table, queue, log",
    "rung": "a fallback",
    "withdrawal": "a token set in the place `revoking`, a pending revocation",
    "told": "what happens: asked, answered, confirmed, named",
    "untold": "unknown",
    "heard": "confirmed, answered, received",
    "unheard": "unknown, unconfirmed",
    "hearing": "an answer",
    "mischief": "faults on the wire",
    "switchboard": "fault API",
    "anew": "again",
}
"""Words that need a key, as a part of a name or in a sentence, and what to say in their place."""

PHRASES = {"all the same": "even so", "of which": "a sentence of its own", "alarm rings": "the alarm fires"}

KEPT = (
    ("*", "tools/layout.py"),  # this list
    ("*", "tests/test_layout.py"),  # its test
    ("withdrawal", "functions/vault/grant/earlier.py"),  # an attribute of records as they were stored
    ("withdrawal", "tests/unit/earlier_items.py"),  # as above
    ("withdrawal", "tests/unit/test_earlier.py"),  # as above
    ("furnish", "LICENSE"),  # its words are fixed
    ("told", "functions/web/log.py"),  # what a line says of a caller whom AWS does not name
    ("told", "docs/permissions.md"),  # as above
)
"""Where a word has to stay, and which."""

TEXTS = {".py", ".md", ".toml", ".yaml", ".html", ".css", ".mjs", ".sh", ""}

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def modules(folder: Path) -> dict[str, Path]:
    """Return the modules below a folder of the repository, packages aside, by their names."""
    return {
        ".".join([folder.name, *path.relative_to(folder).with_suffix("").parts]): path
        for path in sorted(folder.rglob("*.py"))
        if path.stem != "__init__"
    }


@cache
def imports_of(path: Path, package: tuple[str, ...]) -> frozenset[str]:
    """Return the absolute names of all that a module of `package` imports, for types alone or late ones included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return frozenset(found)


def arrows(folder: Path) -> dict[str, set[str]]:
    """Return which modules below a folder import which, by their names."""
    named = modules(folder)
    return {
        name: {other for other in imports_of(path, tuple(name.split(".")[:-1])) if other in named and other != name}
        for name, path in named.items()
    }


def levels(found: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the level of each module: one above the highest that it imports. What is in a circle has none."""
    known: dict[str, int] = {}
    while ready := [name for name, below in found.items() if name not in known and below <= known.keys()]:
        known |= {name: 1 + max((known[other] for other in found[name]), default=0) for name in ready}
    return known


def between_packages(found: Mapping[str, set[str]]) -> Counter[tuple[str, str]]:
    """Return how many imports lead from one package to another."""
    pairs = ((name.rpartition(".")[0], other.rpartition(".")[0]) for name, below in found.items() for other in below)
    return Counter((one, other) for one, other in pairs if one != other)


def long_files(folder: Path) -> dict[str, int]:
    """Return the files that are too long, with their lines."""
    lines = {str(path.relative_to(folder.parent)): len(path.read_text("utf-8").splitlines()) for path in _code(folder)}
    return {name: count for name, count in lines.items() if count > LONGEST_FILE}


def long_bodies(folder: Path) -> dict[str, int]:
    """Return the functions whose bodies are too long, with the lines of those."""
    return {
        f"{path.relative_to(folder.parent)} {node.name}": count
        for path in _code(folder)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (count := _body(node)) > LONGEST_BODY
    }


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _code(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def words_in(text: str) -> Iterator[str]:
    """Give each word of a text that needs a key, as often as it is there."""
    for word in map(str.lower, _WORD.findall(text)):
        for plain in (word, word.removesuffix("s"), word.removesuffix("ed"), word.removesuffix("es")):
            if plain in WORDS:
                yield plain
                break
    for phrase in PHRASES:
        yield from [phrase] * len(re.findall(rf"\b{phrase}\b", text.replace("\n", " "), re.IGNORECASE))


def in_circles(found: Mapping[str, set[str]]) -> set[str]:
    """Return the modules that import each other in a circle, directly or by others."""
    left = dict(found)
    while ends := [name for name, below in left.items() if not below & left.keys()]:
        left = {name: below for name, below in left.items() if name not in ends}
    while tops := left.keys() - {other for name, below in left.items() for other in below}:
        left = {name: below for name, below in left.items() if name not in tops}
    return set(left)


def of_packages(found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return which packages import from which."""
    packages: dict[str, set[str]] = {name.rpartition(".")[0]: set() for name in found}
    for one, other in between_packages(found):
        packages[one].add(other)
    return packages


def texts(root: Path) -> dict[Path, str]:
    """Return the texts of a checkout that people read: code, documents, data; by their paths in it."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)  # noqa: S607 - the caller's git
    paths = (Path(name) for name in tracked.stdout.split("\0") if name)
    return {
        path: (root / path).read_text(encoding="utf-8")
        for path in paths
        if path.suffix in TEXTS and (root / path).is_file() and not (root / path).is_symlink()
    }


def words_left(root: Path) -> dict[tuple[Path, str], int]:
    """Return how often each word that needs a key is left in each file, but for what `KEPT` allows."""
    counts = Counter((path, word) for path, text in texts(root).items() for word in words_in(text))
    return {(path, word): count for (path, word), count in counts.items() if not _is_kept(path, word)}


def _is_kept(path: Path, word: str) -> bool:
    return any(kept in {word, "*"} and path.match(where) for kept, where in KEPT)


def main(root: Path) -> None:
    """Print the figures of a checkout."""
    functions, local = (arrows(root / name) for name in ("functions", "local"))
    of_both = functions | local
    packages = levels(of_packages(functions))
    print(f"modules in functions/ and local/                  {len(of_both)}")
    print(f"levels of packages in functions/                  {max(packages.values())}")
    print(f"levels of modules there                           {max(levels(functions).values())}")
    print(f"most modules in one package                       {max(_sizes(functions).values())}")
    print(f"modules in circles                                {len(in_circles(of_both))}")
    print(f"packages in functions/ and local/                 {len(of_packages(of_both))}")
    print(f"arrows between them                               {len(between_packages(of_both))}")
    long = {"files": long_files(root / "functions"), "bodies": long_bodies(root / "functions")}
    print(f"files of more than {LONGEST_FILE} lines in functions/       {len(long['files'])}")
    print(f"bodies of more than {LONGEST_BODY} lines in functions/       {len(long['bodies'])}")
    print(f"words that need a key, in all texts               {sum(words_left(root).values())}")


def _sizes(found: Mapping[str, set[str]]) -> Counter[str]:
    return Counter(name.rpartition(".")[0] for name in found)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
