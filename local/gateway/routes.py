"""The route table of an HTTP API: a fixed path wins over one with parameters.

As AWS is reported to do it: the path is decoded once, what follows a `?` in that is cut off, and slashes that stand
side by side count as one. None of that is documented, so the functions look at the path for themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from local.base.errors import TemplateError
from local.gateway.payload import Match

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PARAMETER = re.compile(r"\{([A-Za-z0-9_]+)\}")


class Routes:
    """Finds the function for a method and a raw (still percent-encoded) path."""

    def __init__(self, functions: Mapping[str, str], public: Collection[str] = ()) -> None:
        """``functions`` maps route keys (``GET /authorize/{ticket}``) to function names. Raises ``TemplateError``.

        ``public`` are the keys of the routes that need no signature when deployed.
        """
        self._public = frozenset(public)
        keys = sorted(functions, key=lambda key: key.count("{"))
        self._routes = [(key, _pattern(key), functions[key]) for key in keys]

    def find(self, method: str, raw_path: str) -> tuple[str, Match] | None:
        """Return the function's name and the match, or ``None`` where the API has no such route."""
        path = unquote(raw_path).partition("?")[0]
        as_matched = re.sub("/{2,}", "/", path)
        for key, pattern, function in self._routes:
            found = pattern.fullmatch(f"{method} {as_matched}")
            if found:
                return function, Match(key, found.groupdict(), path, is_signed=key not in self._public)
        return None

    def is_public(self, method: str, raw_path: str) -> bool:
        """Return whether a request is for a route that anybody may call when deployed."""
        found = self.find(method, raw_path)
        return found is not None and found[1].route_key in self._public


def _pattern(key: str) -> re.Pattern[str]:
    """One segment for each ``{name}``; the greedy ``{name+}`` and ``$default`` are not in use and refused."""
    if not re.fullmatch(r"[A-Z]+ (/([A-Za-z0-9_.-]+|\{[A-Za-z0-9_]+\})?)+", key):
        raise TemplateError(f"the local gateway does not understand the route {key!r}")
    return re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", key.replace(".", r"\.")))
