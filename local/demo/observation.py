"""What the demo server saw: requests without their values, and apart from them every secret, for leak scans."""

from __future__ import annotations

import itertools
import threading
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORTEST_SECRET = 16


@dataclass
class Seen:
    """One request that arrived; filled in while it is being answered. Names and codes only, no values."""

    number: int
    at: float
    endpoint: str
    dialect: str | None
    method: str
    parameter_names: list[str]
    header_names: list[str]
    client_id: str | None = None
    client_auth: str | None = None
    """none, client_secret_post or client_secret_basic, as presented; None where no client authenticates."""
    grant_type: str | None = None
    grant_id: str | None = None
    outcome: str = "pending"
    """What the server did: issued, refreshed, replayed, revoked, ..., an error code, or `not_acted`."""
    answer: int | str = "pending"
    """The HTTP status of the answer, or `dropped`."""


class Ledger:
    """Records requests, secrets and simultaneity. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start with an empty page."""
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._requests: list[Seen] = []
        self._secrets: defaultdict[str, set[str]] = defaultdict(set)
        self._in_flight: Counter[str] = Counter()
        self._most_in_flight: Counter[str] = Counter()

    def arrived(
        self, endpoint: str, dialect: str | None, method: str, parameter_names: list[str], header_names: list[str]
    ) -> Seen:
        """Write down a request that has just come."""
        with self._lock:
            seen = Seen(
                next(self._numbers), self._clock(), endpoint, dialect, method, parameter_names, sorted(header_names)
            )
            self._requests.append(seen)
            return seen

    def requests(self) -> list[dict[str, object]]:
        """Return what arrived since the last `clear`, oldest first, as plain dictionaries."""
        with self._lock:
            return [asdict(seen) for seen in self._requests]

    def clear(self) -> None:
        """Forget requests and simultaneity. Secrets stay: a leak may show later."""
        with self._lock:
            self._requests.clear()
            self._most_in_flight.clear()

    def issued(self, kind: str, secret: str | None) -> None:
        """Remember a secret that the server made or has registered."""
        if secret:
            with self._lock:
                self._secrets[kind].add(secret)

    def received(self, kind: str, secret: str | None) -> None:
        """Remember a secret of somebody else's making. What is too short for one would only raise false alarms."""
        if secret and len(secret) >= _SHORTEST_SECRET:
            self.issued(kind, secret)

    def secrets(self) -> dict[str, list[str]]:
        """Return every secret ever issued or received, by kind."""
        with self._lock:
            return {kind: sorted(values) for kind, values in self._secrets.items()}

    def enter(self, grant_id: str) -> None:
        """Count a token request of a grant in."""
        with self._lock:
            self._in_flight[grant_id] += 1
            self._most_in_flight[grant_id] = max(self._most_in_flight[grant_id], self._in_flight[grant_id])

    def leave(self, grant_id: str) -> None:
        """Count a token request of a grant out."""
        with self._lock:
            self._in_flight[grant_id] -= 1

    def most_simultaneous(self) -> dict[str, int]:
        """Return for each grant how many of its token requests were ever open at once."""
        with self._lock:
            return dict(self._most_in_flight)
