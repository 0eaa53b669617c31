"""`Gatehouse`: the functions of Gatehouse, for threads. `AsyncGatehouse` is in `aio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from . import answers
from .answers import Link
from .base import Client
from .core import without_nulls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Literal

    from .answers import Attempt, Confirmed, Connection, Revoked, Token
    from .auth import Auth


class Gatehouse(Client):
    """The functions of Gatehouse, for one thread or many. Make one for your process.

    Each raises a `GatehouseError` if there is no answer, or if the answer is a failure. What is retryable has been
    repeated by then, for as long as `timeout` allows.
    """

    def token(self, connection_id: str, *, min_ttl: int | None = None) -> Token:
        """Return an access token that is valid for at least `min_ttl` seconds (60, if not named)."""
        return self.core.token(connection_id, min_ttl, self._allowance.begin())

    def refresh(self, connection_id: str, *, if_version: int | None = None) -> Token:
        """Return another token, because an API has rejected the one with this version.

        Always name the version: any number of callers then cause one refresh, and the call can be repeated.
        """
        return self.core.refresh(connection_id, if_version, self._allowance.begin())

    def another(self, refused: Token) -> Token | None:
        """Return the token for a repeat of a request that an API refused, or None if no repeat would help."""
        return self.core.another(refused, self._allowance.begin())

    def auth_for(self, connection_id: str, *, scheme: str = "Bearer") -> Auth:
        """Return what `auth=` of requests and httpx takes: it puts a token on, and after a 401 another, once."""
        from .auth import auth_for  # noqa: PLC0415 - it looks for httpx among what the caller has loaded

        return auth_for(self, connection_id, scheme)

    def start(  # noqa: PLR0913 - the fields of the contract
        self,
        provider: str,
        *,
        connection_id: str | None = None,
        owner: str | None = None,
        scopes: Sequence[str] | None = None,
        return_to: str | None = None,
        parameters: Mapping[str, str] | None = None,
        authorization_params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        confirm: bool | None = None,
        allow_new_subject: bool | None = None,
    ) -> Link:
        """Open an authorization request, and return the link for one customer's browser.

        It is not repeated if no answer comes: each call makes another link.
        """
        request = without_nulls(
            provider=provider,
            connection_id=connection_id,
            owner=owner,
            scopes=None if scopes is None else list(scopes),
            return_to=return_to,
            parameters=_plain(parameters),
            authorization_params=_plain(authorization_params),
            tags=_plain(tags),
            confirm=confirm,
            allow_new_subject=allow_new_subject,
        )
        return answers.read(Link, self.call("start", request))

    def confirm(self, connection_id: str, confirmation: str, *, owner: str | None = None) -> Confirmed:
        """Vouch that the customer who came back is the one whom you sent. Take `owner` from their session."""
        request = without_nulls(connection_id=connection_id, confirmation=confirmation, owner=owner)
        return cast("Confirmed", self.call("confirm", request))

    def revoke(self, connection_id: str) -> Revoked:
        """End a connection: in Gatehouse at once, and at the provider until it confirms that.

        It is not repeated if no answer comes: a late repeat would end what the customer has connected since. Look at
        `connection` then.
        """
        return cast("Revoked", self.call("revoke", {"connection_id": connection_id}))

    def import_connection(  # noqa: PLR0913 - the fields of the contract
        self,
        provider: str,
        connection_id: str,
        *,
        refresh_token: str | None = None,
        access_token: str | None = None,
        expires_at: int | None = None,
        scope: str | None = None,
        owner: str | None = None,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        subject: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        prove: bool | None = None,
    ) -> Confirmed:
        """Take over a grant that was obtained elsewhere, and prove it by refreshing it once."""
        request = without_nulls(
            provider=provider,
            connection_id=connection_id,
            refresh_token=refresh_token,
            access_token=access_token,
            expires_at=expires_at,
            scope=scope,
            owner=owner,
            parameters=_plain(parameters),
            tags=_plain(tags),
            subject=subject,
            metadata=_plain(metadata),
            prove=prove,
        )
        return cast("Confirmed", self.call("import_connection", request))

    def connection(self, connection_id: str) -> Connection:
        """Return what is known of one connection. It never has a token."""
        connection: Connection = self.call("connections", {"connection_id": connection_id})["connection"]
        return connection

    def attempt(self, request_id: str) -> Attempt | None:
        """Return how an attempt to authorize ended, by the `request_id` of its link; None while it has not."""
        attempt: Attempt | None = self.call("connections", {"request_id": request_id})["last_attempt"]
        return attempt

    def connections(  # noqa: PLR0913 - the fields of the contract
        self,
        *,
        owner: str | None = None,
        needs: Literal["reauthorization", "confirmation"] | None = None,
        provider: str | None = None,
        status: str | None = None,
        tag: Mapping[str, str] | None = None,
        expiring_before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Connection]:
        """Give all connections that match every field that you name. `limit` is how many are asked for at a time."""
        request = without_nulls(
            owner=owner,
            needs=needs,
            provider=provider,
            status=status,
            tag=_plain(tag),
            expiring_before=expiring_before,
            limit=limit,
        )
        while True:
            page = self.call("connections", request)
            yield from page["connections"]
            if not page.get("cursor"):
                return
            request["cursor"] = page["cursor"]

    def call(self, function: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer of any function, as it is. What this client does not know is not sent twice."""
        return self.core.call(function, dict(request), self._allowance.begin())


def _plain(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if fields is None else dict(fields)
