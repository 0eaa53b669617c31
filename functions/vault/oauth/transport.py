"""One HTTP answer, and what carries requests to providers; nothing here opens a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class Answer:
    """One HTTP answer, whole: `headers` has lower-case names, `body` is what came, up to the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What carries a request: `Outbound`, or in tests whatever answers like it."""

    def send(self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout: float) -> Answer:
        """Return the whole answer within `timeout` seconds, or raise `ProviderUnavailable`."""
