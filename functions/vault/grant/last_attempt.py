"""How the latest authorization ended that came to nothing: for the operators of Gatehouse, never for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderError
from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class LastAttempt:
    """One answer to an authorization request. `at` is Unix seconds; `outcome` is `denied`, `failed` or `refused`.

    `error` is the code that the application gets, or why the answer was refused; `provider_error` is the server's own.
    """

    request_id: str
    at: int
    outcome: str
    error: str
    provider_error: ProviderError | None = None

    @classmethod
    def from_item(cls, stored: Mapping[str, Any]) -> LastAttempt:
        """Return the attempt that a record has."""
        stored_error = stored.get("provider_error")
        error = ProviderError.from_item(stored_error) if stored_error else None
        return cls(**{**stored, "provider_error": error})
