"""The end of a grant: here at once, then at the authorization server (RFC 7009), which is told until it has heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .connection import ENDED, Status
from .errors import GatehouseError, ProviderMisconfigured, RevocationRefused, TokenTypeNotRevoked
from .record import record
from .store import Conflict
from .stored_set import REFUSED_AFTER_AN_INTERRUPTION

if TYPE_CHECKING:
    from .cipher import Cipher
    from .client import Client
    from .connection import Connection
    from .providers import Registration
    from .registrations import Registrations
    from .store import Connections
    from .stored_set import StoredSet
    from .timing import Deadline, Timing

GIVE_UP_AFTER = 30
"""Failures to tell the server until a person has to look: with the delays between them, a day and more."""

After = Callable[["Connection", "StoredSet", float], "Connection"]
"""What becomes of a record with a certain token set to revoke in it, at a certain time."""


class NotToldYet(Exception):
    """The server could not be told for so long that the message goes to the dead letters, where an alarm rings."""


@record
class Revoking:
    """The use case `revoke`."""

    connections: Connections
    registrations: Registrations
    cipher: Cipher
    client: Client
    timing: Timing

    def revoke(self, connection_id: str, deadline: Deadline) -> dict[str, Any]:
        """End the connection: `revoked` where the server was told or need not be, `revoking` where it is yet to be."""
        ending, ours = self._end_here(connection_id)
        told = self._tell(ending, deadline, ours=ours)
        status = Status.REVOKING if told.to_revoke else Status.REVOKED
        return {"connection_id": connection_id, "status": str(status)}

    def retry(self, connection_id: str, deadline: Deadline) -> GatehouseError | None:
        """Tell the server once more, for the queue.

        Returns the failure, for the log; the record says when it is due again. Raises `NotToldYet` where that has
        failed too often.
        """
        connection = self.connections.get(connection_id)
        if connection is None:
            return None
        told = self._tell(connection, deadline, ours=None)
        failures = [
            each.revocation.failure
            for each in told.to_revoke
            if each.revocation and each.revocation.failure is not None
        ]
        most = max((failure.count for failure in failures), default=0)
        if most >= GIVE_UP_AFTER:
            raise NotToldYet(f"The authorization server was not reached for the revocation in {most} attempts.")
        return failures[0].as_error(connection_id, self.timing.now()) if failures else None

    def _end_here(self, connection_id: str) -> tuple[Connection, str | None]:
        """Return the connection with nothing to vend any more, and the token set whose revocation we have begun."""
        while True:
            connection = self.connections.require(connection_id)
            if connection.status in ENDED:
                return connection, None
            ending = connection.revoking(self.timing.now())
            try:
                self.connections.change(connection, ending)
            except Conflict:
                continue
            return ending, connection.current.id if connection.current else None

    def _tell(self, connection: Connection, deadline: Deadline, *, ours: str | None) -> Connection:
        """Tell the servers of each token set once, also of those that come back meanwhile; return what is stored.

        `ours` is the one of which our attempt is in the journal already.
        """
        tried: set[str] = set()
        while left := [each for each in connection.to_revoke if each.id not in tried]:
            over = left[0]
            if over.id != ours:
                connection = self._change(connection, over, _begun)
            if (current := _to_revoke(connection, over)) is not None:
                connection = self._tell_of(connection, current, deadline)
            tried.add(over.id)
        return connection

    def _tell_of(self, connection: Connection, over: StoredSet, deadline: Deadline) -> Connection:
        """Tell the server of one token set, and write down how that ended."""
        asked, failure = self._ask(connection, over, deadline)
        jitter = self.timing.jitter()

        def after(stored: Connection, current: StoredSet, now: float) -> Connection:
            # A confirmed end stands over the failure of another, whom the server may have refused only because it had
            # just confirmed it to us; and what is not confirmed is judged by what is known of it by now.
            known = current.with_answers(asked.answers)
            if failure is None or _is_gone(known, failure):
                return stored.revocation_confirmed(known, now)
            if isinstance(failure, RevocationRefused) and known.another_attempt_is_open:
                known = known.answered("grant", REFUSED_AFTER_AN_INTERRUPTION, now)
                return stored.revocation_confirmed(known, now)
            return stored.revocation_failed(known.attempt_failed(failure, now, jitter), now)

        return self._change(connection, over, after)

    def _change(self, connection: Connection, over: StoredSet, after: After) -> Connection:
        """Write what has become of a revocation into the record, whatever else happens to that; return what is stored.

        One that is no more was told of by another: that stands.
        """
        while (current := _to_revoke(connection, over)) is not None:
            changed = after(connection, current, self.timing.now())
            try:
                self.connections.change(connection, changed)
            except Conflict:
                connection = self.connections.require(connection.connection_id)
            else:
                return changed
        return connection

    def _ask(
        self, connection: Connection, over: StoredSet, deadline: Deadline
    ) -> tuple[StoredSet, GatehouseError | None]:
        """Return what the server has answered to each token so far, and the failure where it has not heard of all."""
        asked = over
        try:
            registration = self.registrations.get(over.whose.provider, deadline).for_tenant(over.whose.parameters)
            if _belongs_to_a_newer_consent(connection, over, registration):
                return asked.answered("grant", "left to the newer consent", self.timing.now()), None
            unsupported: dict[str, GatehouseError] = {}
            for kind in _to_be_told(registration, over):
                try:
                    answer = self._say(registration, connection, over, kind, deadline)
                except TokenTypeNotRevoked as error:
                    unsupported[kind] = error
                else:
                    asked = asked.answered(kind, answer, self.timing.now())
            return self._passing_over(unsupported, asked), None
        except GatehouseError as error:
            return asked, error

    def _say(
        self, registration: Registration, connection: Connection, over: StoredSet, kind: str, deadline: Deadline
    ) -> str:
        """Return what the server answered to the revocation of a token, `none` where there is no such token."""
        tokens = self.cipher.open(connection.connection_id, over)
        token: str | None = getattr(tokens, kind)
        if token is None:
            return "none"
        self.client.revoke(registration, kind, token, deadline.for_http(registration.provider.request_timeout))
        return "revoked"

    def _passing_over(self, unsupported: dict[str, GatehouseError], asked: StoredSet) -> StoredSet:
        """Return the token set with the kinds of token that the server does not revoke, if it has revoked another.

        Raises the server's refusal where it has revoked none (RFC 7009 section 2.2.1 lets it support either kind).
        """
        for kind, refusal in unsupported.items():
            if not asked.is_confirmed:
                raise refusal
            asked = asked.answered(kind, "unsupported_token_type", self.timing.now())
        return asked


def _to_revoke(connection: Connection, over: StoredSet) -> StoredSet | None:
    """Return a token set as it is to be revoked now; None where that is over."""
    return next((each for each in connection.to_revoke if each.id == over.id), None)


def _begun(stored: Connection, current: StoredSet, now: float) -> Connection:
    return stored.revocation_began(current.attempted(), now)


def _belongs_to_a_newer_consent(connection: Connection, over: StoredSet, registration: Registration) -> bool:
    """Tell whether telling the server would end what the user has consented to since.

    Where it ends the client's whole authorization with any token of it, there is no old grant apart from the new one.
    """
    return (
        registration.provider.revocation_ends_authorization
        and connection.status not in ENDED
        and (connection.provider, connection.parameters) == (over.whose.provider, over.whose.parameters)
    )


def _to_be_told(registration: Registration, over: StoredSet) -> list[str]:
    """Return the kinds of token to revoke, in the provider's order; none where the server has no way to be told."""
    if registration.provider.revocation_endpoint is None:
        return []
    return [kind for kind in registration.provider.revocation_tokens if kind not in over.answers]


def _is_gone(over: StoredSet, error: GatehouseError) -> bool:
    """Tell whether a refusal means that there is nothing left to revoke.

    It does where the server had said before that the grant is gone. Where it had confirmed the end of the grant before
    these tokens of it came back, it does too, unless it is us that the server refuses.
    """
    if isinstance(error, RevocationRefused):
        return over.was_dead or over.had_ended
    return over.was_dead and _refuses_us(error)


def _refuses_us(error: GatehouseError) -> bool:
    """Tell whether the server refuses our client, or what it does not explain: it has not looked at the tokens."""
    return isinstance(error, ProviderMisconfigured) and error.provider_error is not None
