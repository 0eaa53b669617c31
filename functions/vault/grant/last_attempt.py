"""How the latest attempt to authorize ended, where it came to nothing: for who operates Gatehouse, and for no page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.vault.base.errors import ProviderError
from functions.vault.base.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping


@record
class LastAttempt:
    """One answer to an authorization request. `at` is Unix seconds; `outcome` is `denied`, `failed` or `refused`.

    `error` is what the application is told, or why the answer was refused; `provider_error` what the server said.
    """

    request_id: str
    at: int
    outcome: str
    error: str
    provider_error: ProviderError | None = None

    @classmethod
    def from_item(cls, stored: Mapping[str, Any]) -> LastAttempt:
        """Return the attempt that a record has."""
        said = stored.get("provider_error")
        error = ProviderError(said["error"], said.get("error_description"), said.get("status")) if said else None
        return cls(**{**stored, "provider_error": error})
