"""`python -m tools.catalogue`: write the table of providers in docs/providers.md anew, from their files."""

from __future__ import annotations

import re
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from functions.vault.provider import vocabulary
from functions.vault.provider.providers import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "providers.md"
FILES = sorted((ROOT / "functions" / "providers").glob("*.toml"))

_BEGIN = "<!-- what follows is made by `python -m tools.catalogue` -->\n"
_END = "<!-- so far -->\n"
_HEAD = (
    "| name | provider | known from | `start` takes | the registration adds | client authentication | PKCE | scopes "
    "| refresh token | revocation | kept of the account |\n" + "|---" * 11 + "|\n"
)
_SOURCES = (
    ("Seen in: ", "the field"),
    ("Recorded from ", "the field"),
    ("Documented in: ", "documentation"),
    ("Read in: ", "catalogues alone"),
)
"""How a file's first comment begins what it names of each kind of source, the best first, and what the table says."""

_MISSING = "# Missing: "
"""How a comment begins that says what keeps a provider from working whole, up to the next line that is no comment."""
_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"))


def document(text: str) -> str:
    """Return docs/providers.md with the table, and what is missing, as the files have it."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + table() + "\n" + missing() + _END + after


def table() -> str:
    """Return the table."""
    return _HEAD + "".join(f"| {' | '.join(_cells(path))} |\n" for path in FILES)


def missing() -> str:
    """Return a list of what keeps providers from working whole."""
    told = ((path.stem, _missing(path.read_text(encoding="utf-8"))) for path in FILES)
    return "".join(f"- `{name}`: {words}\n" for name, words in told if words)


def _missing(text: str) -> str:
    lines = iter(text.splitlines())
    first = next((line for line in lines if line.startswith(_MISSING)), "")
    rest = takewhile(lambda line: line.startswith("# "), lines)
    return " ".join([first.removeprefix(_MISSING), *(line.removeprefix("# ") for line in rest)]).strip()


def known_from(text: str) -> str:
    """Return the best kind of source that a file's first comment names; none where it names none."""
    comment = text.partition("\n\n")[0]
    return next((kind for mark, kind in _SOURCES if mark in comment), "")


def _cells(path: Path) -> Iterator[str]:
    known = vocabulary.validated(written(path), path.name, vocabulary.checks(loopback_http=False))
    provider = Provider(name=path.stem, **known)
    yield f"[`{path.stem}`](../functions/providers/{path.name})"
    text = path.read_text(encoding="utf-8")
    yield _title(text)
    yield known_from(text)
    yield ", ".join(_parameters(provider)) or "-"
    yield ", ".join(f"`{key}`" for key in provider.required) or "-"
    yield ", ".join(_methods(provider)) or "-"
    yield "yes" if provider.pkce == "S256" else "no"
    yield _scopes(provider)
    yield "; ".join(_refresh(provider)) or "-"
    yield _revocation(provider)
    kept = [*provider.metadata, *provider.callback_metadata, *([provider.subject] if provider.subject else [])]
    yield ", ".join(f"`{name}`" for name in dict.fromkeys(kept)) or "-"


def _title(text: str) -> str:
    """Return what the file's first line calls the provider."""
    return re.split(r"[,.] ", text.removeprefix("# "), maxsplit=1)[0]


def _parameters(provider: Provider) -> Iterator[str]:
    if provider.regions:
        yield "`region`"
    for name in provider.parameters:
        default = provider.parameter_defaults.get(name)
        yield f"`{name}`" + (f" (`{default}`)" if default else "")


def _methods(provider: Provider) -> Iterator[str]:
    for method in provider.token_endpoint_auth_methods_supported or ():
        yield {"none": "none", "client_secret_basic": "header", "client_secret_post": "body"}.get(method, method)


def _scopes(provider: Provider) -> str:
    if provider.scopes_fixed:
        return "the application's"
    separated = {" ": "space", ",": "comma"}.get(provider.scope_separator, f"`{provider.scope_separator}`")
    return separated + (f"; {', '.join(f'`{scope}`' for scope in provider.scopes)}" if provider.scopes else "")


def _refresh(provider: Provider) -> Iterator[str]:
    if provider.background_refresh == "never":
        yield "never unasked"
    if provider.refresh_token_rotation is not None:
        yield "replaced" if provider.refresh_token_rotation else "stays"
    if provider.refresh_token_idle_seconds:
        yield f"{_duration(provider.refresh_token_idle_seconds)} unused"
    if provider.default_refresh_token_expires_in:
        yield f"{_duration(provider.default_refresh_token_expires_in)} at most"
    if provider.refresh_token_replay_seconds:
        yield f"taken again for {_duration(provider.refresh_token_replay_seconds)}"


def _revocation(provider: Provider) -> str:
    if provider.revocation_endpoint is None:
        return "here alone"
    kinds = " and ".join(kind.removesuffix("_token") for kind in provider.revocation_tokens)
    place = "in the path" if "{token}" in provider.revocation_endpoint else None
    header = next((name for name, text in provider.revocation_headers.items() if "{token}" in text), None)
    body = f"in {provider.revocation_body_format}"
    return f"{provider.revocation_method}, {kinds} {place or (f'in {header}' if header else body)}"


def _duration(seconds: int) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds % size == 0), (1, "seconds"))
    number = seconds // size
    return f"{number} {unit if number > 1 else unit.removesuffix('s')}"


def written(path: Path) -> dict[str, Any]:
    """Return a provider file as it is written."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
