"""What an answer was that cannot be used: its fields by their names, or what kind of text it is. No value of it.

Loaded only if an answer cannot be used. Whoever reads it sees where a server puts what was looked for, and can say so
in the registration (`response_paths`, `response_fields`, `subject`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.vault.base.refused_fields import NAME_OF_WORDS
from functions.vault.provider.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from functions.vault.provider.provider import Provider

    from .transport import Answer

_MOST = 20
"""Fields that are named."""

_MEDIA_TYPE = r"(?:application|text|image|multipart)/[a-z.+-]{1,40}"


def described(
    answer: Answer, document: Mapping[str, Any] | None, provider: Provider, secrets: tuple[str, ...] = ()
) -> str:
    """Return what came, to follow what was expected: `its fields are data, data.accessToken, status`.

    `secrets` are what the request carried: no name repeats them.
    """
    if document is None:
        return f"it is {kind_of(answer)}"
    names = [name for name in _names(document) if re.fullmatch(NAME_OF_WORDS, name)]
    others = sum(1 for _ in _names(document)) - len(names)
    shown = masked(", ".join(names[:_MOST]), secrets, provider.private)
    if not document or shown is None:
        return "it has no fields" if not document else "its fields have names that are not repeated"
    more = max(len(names) - _MOST, 0) + others
    return f"its fields are {shown}{f', and {more} more' if more else ''}"


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of an answer's fields, and of the fields in them: as `response_paths` and the like have them."""
    for name, value in document.items():
        yield str(name)
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in value)


def kind_of(answer: Answer) -> str:
    """Return of what kind an answer without fields is: its media type and size."""
    if not answer.body:
        return "empty"
    found = re.match(_MEDIA_TYPE, answer.headers.get("content-type", "").lower())
    return f"{found[0] if found else 'a text of no known type'} of {len(answer.body)} octets"
