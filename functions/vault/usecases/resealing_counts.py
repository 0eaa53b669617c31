"""What one pass over all connections has counted, and the cursor that carries it from one call to the next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from functions.vault.base.cursor import cursor_of, unverified_place
from functions.vault.base.errors import InvalidRequest
from functions.vault.base.fields import CONNECTION_ID, matches
from functions.vault.grant.life import Place

if TYPE_CHECKING:
    from functions.vault.grant.connection import Connection
    from functions.vault.storage.cipher import Cipher

UNKNOWN = "unknown"
"""In place of a key's name: format 1 did not say it."""

_COUNTED = ("connections", "resealed", "left", "unopened", "pending", "revoking")
_KEY_NAME = r"[\x21-\x7e]{1,2048}"
_MOST_KEYS = 20


class Counts:
    """The counts of a pass, and the connection `after` which it goes on; None at its beginning.

    `left` are token sets that are not sealed under the key that seals now. Among them `pending` and `revoking` are
    those that this function has no right to open, by what they wait for; `unopened` are those that did not open.
    """

    def __init__(self) -> None:
        self.after: str | None = None
        self._numbers: Counter[str] = Counter()
        self._of_keys: Counter[str] = Counter()

    def add(self, connection: Connection, cipher: Cipher) -> None:
        """Count a connection as it is stored, and go on after it."""
        self.after = connection.connection_id
        self._numbers["connections"] += 1
        for each in connection.sets:
            self._of_keys[each.seal.key or UNKNOWN] += 1
            if cipher.is_sealed_now(each.seal):
                continue
            self._numbers["left"] += 1
            if each.pending is not None:
                self._numbers["revoking" if each.place is Place.REVOKING else "pending"] += 1

    def note(self, what: str) -> None:
        """Count one token set more as `resealed`, or as `unopened`."""
        self._numbers[what] += 1

    def as_result(self, key_id: str, *, is_whole: bool) -> dict[str, Any]:
        """Return the answer to a call, with a cursor unless all connections were read."""
        numbers = {name: self._numbers[name] for name in _COUNTED}
        waiting = {name: numbers.pop(name) for name in ("pending", "revoking")}
        result = {"key": key_id, **numbers, "waiting": waiting, "keys": dict(sorted(self._of_keys.items()))}
        return result if is_whole else {**result, "cursor": self._cursor()}

    def _cursor(self) -> str:
        return cursor_of({"after": self.after, "numbers": self._numbers, "keys": self._of_keys})

    @classmethod
    def of(cls, cursor: str) -> Counts:
        """Return the counts that a cursor carries. Gatehouse made it, but a caller sends it: its form is checked."""
        read = unverified_place(cursor)
        if not isinstance(read, dict) or read.keys() != {"after", "numbers", "keys"} or not _is_in_order(**read):
            raise InvalidRequest("cursor: expected the cursor of an earlier answer of this function.")
        counts = cls()
        counts.after, counts._numbers, counts._of_keys = read["after"], Counter(read["numbers"]), Counter(read["keys"])
        return counts


def _is_in_order(after: Any, numbers: Any, keys: Any) -> bool:
    is_somewhere = after is None or matches(after, CONNECTION_ID)
    if not is_somewhere or not isinstance(numbers, dict) or not isinstance(keys, dict) or len(keys) > _MOST_KEYS:
        return False
    are_known = numbers.keys() <= set(_COUNTED) and all(matches(name, _KEY_NAME) for name in keys)
    return are_known and all(_is_count(each) for each in (*numbers.values(), *keys.values()))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
