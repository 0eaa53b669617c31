"""Opened token sets in memory, for functions that need the same ones again and again: each for an hour at most."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.vault.grant.token_set import TokenSet

MOST = 256
"""The number of opened token sets kept in memory; the least recently used goes first."""

KEPT = 3600.0
"""Seconds for which an opened token set stays in memory: then KMS is asked again, and sees who still opens it."""


class Opened:
    """Keeps opened token sets by a hash of what they were sealed as. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, TokenSet] = OrderedDict()
        self._since: dict[bytes, float] = {}
        self._lock = Lock()

    def get(self, key: bytes) -> TokenSet | None:
        """Return a token set that is kept, or None."""
        with self._lock:
            self._forget_old()
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: bytes, tokens: TokenSet) -> None:
        """Keep a token set, from now on for an hour at most."""
        with self._lock:
            self._forget_old()
            self._forget(key)
            self._kept[key], self._since[key] = tokens, self._clock()
            if len(self._kept) > MOST:
                self._forget(next(iter(self._kept)))

    def _forget_old(self) -> None:
        now = self._clock()
        # In the order in which they came. A clock that went back would keep them longer.
        while self._since:
            key, since = next(iter(self._since.items()))
            if since <= now < since + KEPT:
                return
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        self._kept.pop(key, None)
        self._since.pop(key, None)
