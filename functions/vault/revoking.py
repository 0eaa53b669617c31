"""The end of a grant: here at once, then at the authorization server (RFC 7009), which is told until it has heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .connection import ENDED, Status
from .errors import GatehouseError, ProviderMisconfigured
from .store import Conflict

if TYPE_CHECKING:
    from .cipher import Cipher
    from .client import Client
    from .connection import Connection
    from .providers import Registration
    from .registrations import Registrations
    from .store import Connections
    from .timing import Deadline, Timing

GIVE_UP_AFTER = 30
"""Failures to tell the server until a person has to look: with the delays between them, a day and more."""

_SERVER_ERRORS = 500
_THROTTLED = 429


class NotToldYet(Exception):
    """The server could not be told for so long that the message goes to the dead letters, where an alarm rings."""


@dataclass(frozen=True, slots=True)
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline) -> dict[str, Any]:
        """End the connection: `revoked` where the server was told or need not be, `revoking` where it is yet to be."""
        ending, is_first = self._end_here(connection_id)
        while ending.status is Status.REVOKING:
            settled = self._end_there(ending, deadline, is_first=is_first)
            if settled.version == ending.version:
                ending = settled
                break
            ending, is_first = settled, True  # tokens came back from a refresh in flight, or from a consent: their turn
        return {
            "connection_id": connection_id,
            "status": str(ending.status if ending.status in ENDED else Status.REVOKED),
        }

    def retry(self, connection_id: str, deadline: Deadline) -> GatehouseError | None:
        """Tell the server once more, for the queue.

        Returns the failure, for the log; the record says when it is due again. Raises `NotToldYet` where that has
        failed too often.
        """
        connection = self.connections.get(connection_id)
        if connection is None or connection.status is not Status.REVOKING:
            return None
        settled = self._end_there(connection, deadline, is_first=False)
        failure = settled.failure
        if settled.status is not Status.REVOKING or failure is None:
            return None
        if failure.count >= GIVE_UP_AFTER:
            raise NotToldYet(
                f"The authorization server was not reached for the revocation in {failure.count} attempts."
            )
        return failure.as_error(connection_id, self.timing.now())

    def _end_here(self, connection_id: str) -> tuple[Connection, bool]:
        """Return the connection with nothing to vend any more, and whether it is us who ended it."""
        while True:
            connection = self.connections.require(connection_id)
            if connection.status in ENDED:
                return connection, False
            ending = connection.revoking(self.timing.now())
            try:
                self.connections.change(connection, ending)
            except Conflict:
                continue
            return ending, True

    def _end_there(self, ending: Connection, deadline: Deadline, *, is_first: bool) -> Connection:
        """Tell the server of each token that it has not yet heard of, and write down how that ended."""
        told = ending
        try:
            registration = self.registrations.get(ending.provider)
            unsupported: dict[str, GatehouseError] = {}
            for kind in _to_be_told(registration, ending):
                try:
                    told = told.told(kind, self._tell(registration, ending, kind, deadline), self.timing.now())
                except GatehouseError as error:
                    if not _is_unsupported(error):
                        raise
                    unsupported[kind] = error
            told = self._passing_over(unsupported, told)
        except GatehouseError as error:
            if _is_gone(ending, error):
                return self._settle(ending, told.revoked(self.timing.now()))
            if _is_refusal_of_tokens(error) and _may_have_been_told(ending, is_first=is_first):
                told = told.told("grant", "refused after an interruption", self.timing.now())
                return self._settle(ending, told.revoked(self.timing.now()))
            return self._settle(ending, told.revocation_failed(error, self.timing.now(), self.timing.jitter()))
        return self._settle(ending, told.revoked(self.timing.now()))

    def _tell(self, registration: Registration, ending: Connection, kind: str, deadline: Deadline) -> str:
        """Return what the server said to the revocation of a token, `none` where there is no such token."""
        token: str | None = getattr(self.cipher.tokens_of(ending), kind)
        if token is None:
            return "none"
        self.client.revoke(registration, kind, token, deadline.for_http(registration.provider.request_timeout))
        return "revoked"

    def _passing_over(self, unsupported: dict[str, GatehouseError], told: Connection) -> Connection:
        """Return the connection with the kinds of token that the server does not revoke, if it has revoked another.

        Raises the server's refusal where it has revoked none (RFC 7009 section 2.2.1 lets it support either kind).
        """
        for kind, refusal in unsupported.items():
            if all(entry["said"] != "revoked" for entry in told.revocation.values()):
                raise refusal
            told = told.told(kind, "unsupported_token_type", self.timing.now())
        return told

    def _settle(self, ending: Connection, after: Connection) -> Connection:
        """Write how it ended; return that, or what another has made of the record meanwhile.

        A confirmed end stands over the failure of another, whom the server may have refused only because it had just
        confirmed it to us. Tokens that came back meanwhile are known to be of a grant that has ended.
        """
        while True:
            try:
                self.connections.change(ending, after)
            except Conflict:
                stored = self.connections.require(ending.connection_id)
                if stored.status is not Status.REVOKING or after.status is Status.REVOKING:
                    return stored
                is_same = stored.version == ending.version
                now = self.timing.now()
                ending, after = stored, stored.revoked(now) if is_same else stored.told("grant", "revoked", now)
            else:
                return after


def _to_be_told(registration: Registration, ending: Connection) -> list[str]:
    """Return the kinds of token to revoke, in the provider's order; none where the server has no way to be told."""
    if registration.provider.revocation_endpoint is None:
        return []
    return [kind for kind in registration.provider.revocation_tokens if kind not in ending.revocation]


def _is_unsupported(error: GatehouseError) -> bool:
    return error.provider_error is not None and error.provider_error.error == "unsupported_token_type"


def _is_gone(ending: Connection, error: GatehouseError) -> bool:
    """Tell whether a refusal means that there is nothing left to revoke.

    It does where the server had said before that the grant is gone. Where it had confirmed the end of the grant before
    these tokens of it came back, it does too, unless it is us that the server refuses.
    """
    if not _is_refusal(error):
        return False
    return ending.was_dead or (ending.had_ended and _is_refusal_of_tokens(error))


def _may_have_been_told(ending: Connection, *, is_first: bool) -> bool:
    """Tell whether an earlier attempt may have reached the server: its answer was lost, or it never told how it ended.

    A server that has ended the grant then refuses to end it again, and would for ever.
    """
    if ending.failure is not None:
        return ending.failure.outcome_unknown
    return not is_first and ending.attempts > 0


def _is_refusal_of_tokens(error: GatehouseError) -> bool:
    """Tell whether the server said no to these tokens. Where it refuses our client, it has not looked at them."""
    return _is_refusal(error) and not isinstance(error, ProviderMisconfigured)


def _is_refusal(error: GatehouseError) -> bool:
    """Tell whether the server itself said no, rather than being out of reach or out of order."""
    status = error.provider_error.status if error.provider_error else None
    return status is not None and status < _SERVER_ERRORS and status != _THROTTLED
