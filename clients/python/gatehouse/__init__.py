"""Access tokens for your customers' accounts, from Gatehouse in your own AWS account.

    from gatehouse import Gatehouse

    token = Gatehouse().token("shop-1")

README.md begins with an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answers import Attempt, Confirmed, Connection, Link, Revoked, Token
from .client import Gatehouse
from .errors import (
    ConfirmationExpired,
    ConfirmationInvalid,
    ConfirmationRequired,
    ConnectionNotFound,
    ConnectionRevoked,
    GatehouseError,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotConnected,
    NotDeployed,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderUnavailable,
    ReauthorizationRequired,
    ServerError,
    TemporarilyUnavailable,
    UnknownProvider,
)

if TYPE_CHECKING:
    from .aio import AsyncGatehouse

__version__ = "1.0.0"

__all__ = [
    "AsyncGatehouse",
    "Attempt",
    "ConfirmationExpired",
    "ConfirmationInvalid",
    "ConfirmationRequired",
    "Confirmed",
    "Connection",
    "ConnectionNotFound",
    "ConnectionRevoked",
    "Gatehouse",
    "GatehouseError",
    "InvalidRequest",
    "Link",
    "NoAnswer",
    "NotAllowed",
    "NotConnected",
    "NotDeployed",
    "ProviderMisconfigured",
    "ProviderThrottled",
    "ProviderUnavailable",
    "ReauthorizationRequired",
    "Revoked",
    "ServerError",
    "TemporarilyUnavailable",
    "Token",
    "UnknownProvider",
]


def __getattr__(name: str) -> Any:
    """Load what is for asyncio only for those who name it: asyncio takes as long to load as all the rest."""
    if name == "AsyncGatehouse":
        from .aio import AsyncGatehouse  # noqa: PLC0415 - that is the point

        return AsyncGatehouse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
