"""What Gatehouse answers. What holds a secret is a class whose repr leaves it out; the rest are dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from .errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping

_Answer = TypeVar("_Answer", "Token", "Link")


@dataclass(frozen=True)
class Token:
    """An access token of one connection, and what is known of it. Times are Unix seconds."""

    connection_id: str
    provider: str
    access_token: str = field(repr=False)
    token_type: str
    expires_at: int | None
    """None if the provider did not tell."""
    scope: str | None
    version: int
    """Counts the token sets of the connection: `refresh` takes it as `if_version`."""
    subject: str | None
    """The customer's account at the provider, if known."""
    metadata: dict[str, Any]
    """What you need beside the token to call the provider's API, such as its host."""


@dataclass(frozen=True)
class Link:
    """Where to send one customer's browser: redirect it to `authorize_url` before `expires_at` (Unix seconds)."""

    connection_id: str
    request_id: str
    authorize_url: str = field(repr=False)
    """A secret until it has been used: whoever opens it connects their own account."""
    expires_at: int


class Confirmed(TypedDict):
    """What `confirm` and `import_connection` answer."""

    connection_id: str
    status: str
    version: int


class Revoked(TypedDict, total=False):
    """What `revoke` answers. `grant` is there if nothing was revoked at the provider, or more than this connection."""

    connection_id: str
    status: str
    grant: str


class Attempt(TypedDict, total=False):
    """How one attempt to authorize ended."""

    request_id: str
    at: int
    outcome: str
    error: str
    provider_error: dict[str, Any]


class Connection(TypedDict, total=False):
    """One connection, without any token. A newer Gatehouse may answer more fields: they are there, too."""

    connection_id: str
    provider: str
    status: str
    needs: str | None
    refreshable: bool
    version: int
    scope: str | None
    requested_scope: str | None
    scope_missing: list[str]
    token_type: str | None
    expires_at: int | None
    refresh_expires_at: int | None
    subject: str | None
    client_id: str | None
    client_secret_used: str | None
    owner: str | None
    metadata: dict[str, Any]
    parameters: dict[str, str]
    tags: dict[str, str]
    created_at: int
    updated_at: int
    refreshed_at: int | None
    failure: dict[str, Any] | None
    left_alone: dict[str, Any] | None
    last_attempt: Attempt | None


def read(kind: type[_Answer], answer: Mapping[str, Any]) -> _Answer:
    """Return an answer as its class. What a newer Gatehouse answers beyond that is left out."""
    names = [each.name for each in fields(kind)]
    missing = [name for name in names if name not in answer]
    if missing:
        raise ServerError(f"The answer lacks {', '.join(missing)}: is it Gatehouse that is called?")
    return kind(**{name: answer[name] for name in names})
